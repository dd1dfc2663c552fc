//! A real browser in front of the server.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use thirtyfour::prelude::*;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::server::{PASSWORD, USER};
use crate::wait::{PAUSE, until};
use crate::{Client, Server, place, sweep};

/// How long a page may take to show something.
const SHOW: Duration = Duration::from_secs(60);

/// How the browser looks at the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Width in CSS pixels.
    pub width: u32,
    /// Height in CSS pixels.
    pub height: u32,
    /// Language that it asks for.
    pub language: &'static str,
}

/// A browser with one page.
pub struct Browser {
    /// The page.
    pub page: WebDriver,
    driver: Child,
    driver_address: String,
    folder: PathBuf,
}

impl Browser {
    /// Starts chromedriver and Chromium.
    ///
    /// # Panics
    /// When one of them is missing or does not start.
    pub async fn open(look: Look) -> Self {
        let set = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
        let (chromium, chromedriver) =
            (set("CHROMIUM", "/usr/bin/chromium"), set("CHROMEDRIVER", "/usr/bin/chromedriver"));
        let folder = place::scratch().join(place::unique());
        std::fs::create_dir_all(&folder).expect("a folder for the browser");
        let port = place::free_port();
        let driver = Command::new(&chromedriver)
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{chromedriver}: {error}"));
        let address = format!("http://127.0.0.1:{port}");
        let probe = Client::anonymous(&address);
        until("chromedriver", SHOW, async || probe.is_well("/status").await.then_some(())).await;
        let page = WebDriver::new(&address, capabilities(look, &chromium, &folder)).await;
        Self { page: page.expect("Chromium starts"), driver, driver_address: address, folder }
    }

    /// Goes to an address. Once more when the browser broke it off: it does whenever a story beside this one makes or
    /// removes a Docker network, and then shows a page of its own.
    ///
    /// # Panics
    /// When the browser is gone.
    pub async fn goto(&self, url: &str) {
        self.shown(url, async || match self.page.goto(url).await {
            Err(error) if error.to_string().contains("ERR_NETWORK_CHANGED") => None,
            opened => {
                opened.expect("the page is opened");
                Some(())
            }
        })
        .await;
    }

    /// The element with this test id, once it is shown.
    pub async fn find(&self, testid: &str) -> WebElement {
        self.find_css(&format!("[data-testid='{testid}']")).await
    }

    /// The element with this selector, once it is shown.
    pub async fn find_css(&self, css: &str) -> WebElement {
        self.shown(&format!("{css} on the page"), async || {
            let element = self.page.find(By::Css(css)).await.ok()?;
            element.is_displayed().await.ok()?.then_some(element)
        })
        .await
    }

    /// Clicks on the element with this selector, also when it is drawn anew meanwhile.
    pub async fn click(&self, css: &str) {
        self.shown(&format!("a click on {css}"), async || self.page.find(By::Css(css)).await.ok()?.click().await.ok())
            .await;
    }

    /// Waits until the element with this selector holds a text; returns all of its text.
    pub async fn text_when(&self, css: &str, wanted: &str) -> String {
        self.shown(&format!("{wanted:?} in {css}"), async || {
            let text = self.page.find(By::Css(css)).await.ok()?.text().await.ok()?;
            text.contains(wanted).then_some(text)
        })
        .await
    }

    /// Looks at the page again and again until there is something.
    ///
    /// # Panics
    /// When there is still nothing after a minute; then with what the page was instead.
    async fn shown<T>(&self, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let end = Instant::now() + SHOW;
        loop {
            if let Some(found) = look().await {
                return found;
            }
            if Instant::now() >= end {
                panic!("waited {SHOW:?} in vain: {what}\n{}", self.state().await);
            }
            sleep(PAUSE).await;
        }
    }

    /// Address, text and messages of the page, and where its picture is: for whoever has to find out why a story fails.
    async fn state(&self) -> String {
        let told = async {
            let _ = self.page.screenshot(&place::screenshots().join(format!("failed-{}.png", place::unique()))).await;
            let address = self.page.current_url().await.map(String::from);
            let script = "return document.body ? document.body.innerText : null";
            let text = self.page.execute(script, Vec::new()).await.map(|value| value.json().clone());
            format!("address: {address:?}\ntext: {text:?}\nmessages: {:?}", self.messages().await)
        };
        tokio::time::timeout(SHOW, told).await.unwrap_or_else(|_| "the browser does not answer".to_owned())
    }

    /// What was written to the browser's console, failed requests among it. Not in WebDriver's standard.
    async fn messages(&self) -> Result<serde_json::Value, reqwest::Error> {
        let url = format!("{}/session/{}/se/log", self.driver_address, self.page.session_id());
        reqwest::Client::new().post(url).json(&json!({ "type": "browser" })).send().await?.json().await
    }

    /// Lets requests for addresses of these forms fail, as if the network had changed meanwhile; none, once empty.
    ///
    /// # Panics
    /// When the browser is gone.
    pub async fn break_off(&self, forms: &[&str]) {
        for (command, values) in [("Network.enable", json!({})), ("Network.setBlockedURLs", json!({ "urls": forms }))] {
            self.tools(command, values).await;
        }
    }

    /// What a script on the page returns.
    ///
    /// # Panics
    /// When it fails.
    pub async fn run(&self, script: &str) -> serde_json::Value {
        self.page.execute(script, Vec::new()).await.expect("the script works").json().clone()
    }

    /// What a script on the page gives to its last argument, a function.
    ///
    /// # Panics
    /// When it fails, or takes longer than the browser's 30 seconds.
    pub async fn run_async(&self, script: &str) -> serde_json::Value {
        self.page.execute_async(script, Vec::new()).await.expect("the script works").json().clone()
    }

    /// What Chromium answers to a command of its developer tools.
    ///
    /// # Panics
    /// When it refuses.
    pub async fn tools(&self, command: &str, with: serde_json::Value) -> serde_json::Value {
        self.page.cdp().send_raw(command, with).await.unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Runs a script in every page from now on, before its own.
    pub async fn before_each_page(&self, script: &str) {
        self.tools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script })).await;
    }

    /// Logs in at a server and waits for the dashboard.
    ///
    /// # Panics
    /// When nothing can be typed.
    pub async fn sign_in(&self, server: &Server) {
        self.goto(&server.base()).await;
        self.find("username").await.send_keys(USER).await.expect("typed");
        self.find("password").await.send_keys(PASSWORD).await.expect("typed");
        self.click("[data-testid='login-submit']").await;
        self.find("now").await;
    }

    /// Waits until a script on the page returns true.
    pub async fn until(&self, script: &str) {
        self.shown(script, async || {
            let answer = self.page.execute(script, Vec::new()).await.ok()?;
            (answer.json() == &json!(true)).then_some(())
        })
        .await;
    }

    /// Stores a picture of the page below `target/screenshots`.
    ///
    /// # Panics
    /// When it cannot be stored.
    pub async fn picture(&self, name: &str) {
        let file = place::screenshots().join(format!("{name}.png"));
        self.page.screenshot(&file).await.expect("a picture of the page");
    }

    /// Closes it.
    pub async fn close(self) {
        let _ = self.page.clone().quit().await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Unless it was closed, it would ask the driver to, from a thread that is waited for: after a panic, for ever.
        let _ = self.page.clone().leak();
        let _ = self.driver.start_kill();
        sweep::kill_browser(&self.folder);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn capabilities(look: Look, chromium: &str, folder: &Path) -> Capabilities {
    let Look { width, height, language } = look;
    let mut arguments: Vec<String> = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(format!("--user-data-dir={}", folder.display()));
    arguments.push(format!("--window-size={width},{height}"));
    arguments.push(format!("--lang={language}"));
    let mut options = json!({
        "binary": chromium,
        "args": arguments,
        "prefs": { "intl.accept_languages": language },
    });
    // A window has a smallest width of some 500 pixels; a phone has not.
    if width < 500 {
        options["mobileEmulation"] =
            json!({ "deviceMetrics": { "width": width, "height": height, "pixelRatio": 2.0, "mobile": true } });
    }
    let mut chrome = DesiredCapabilities::chrome();
    chrome.as_mut().set("goog:chromeOptions", options).expect("plain JSON");
    chrome.as_mut().set("goog:loggingPrefs", json!({ "browser": "ALL" })).expect("plain JSON");
    chrome.into()
}
