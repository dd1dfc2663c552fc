//! A person with a browser: logs in, starts a pipeline, watches it, comes back.

use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::{Options, Server};
use serde_json::json;

const PRINTS: &str = r"
import time
for n in range(1, 31):
    print(f'line {n:02d} of thirty', flush=True)
    time.sleep(0.2)
";

/// What is looked for on the pages, in one language.
struct Words {
    name: &'static str,
    language: &'static str,
    login: &'static str,
    success: &'static str,
}

const ENGLISH: Words = Words { name: "en", language: "en-US", login: "Sign in", success: "Succeeded" };
const GERMAN: Words = Words { name: "de", language: "de-DE", login: "Anmelden", success: "Erfolgreich" };

async fn a_person_runs_a_pipeline(words: &Words, width: u32) {
    let server = Server::start(Options::new()).await;
    server.pipeline("prints", PRINTS).json(&json!({ "description": "Prints thirty lines", "tags": ["story"] }));
    server.pipeline("other", "print('other')");
    let _ = server.client().post(fastflow_shared::routes::SYNC).await.expect(200);
    let height = if width < 500 { 844 } else { 900 };
    let browser = Browser::open(Look { width, height, language: words.language }).await;
    let picture = async |name: &str| browser.picture(&format!("{name}-{}-{width}", words.name)).await;

    browser.goto(&server.base()).await;
    browser.find("login-form").await;
    browser.text_when("[data-testid='login-submit']", words.login).await;
    picture("login").await;
    browser.find("username").await.send_keys(USER).await.expect("typed");
    browser.find("password").await.send_keys("wrong").await.expect("typed");
    browser.click("[data-testid='login-submit']").await;
    browser.find("login-error").await;
    browser.find("password").await.clear().await.expect("cleared");
    browser.find("password").await.send_keys(PASSWORD).await.expect("typed");
    browser.click("[data-testid='login-submit']").await;

    browser.text_when("[data-testid='pipeline'][data-name='prints']", "Prints thirty lines").await;
    browser.find_css("[data-testid='pipeline'][data-name='other']").await;
    picture("dashboard").await;
    browser.click("[data-testid='pipeline'][data-name='prints'] [data-testid='run']").await;
    browser.text_when("[data-testid='now']", "prints").await;
    picture("dashboard-live").await;
    browser.click("[data-testid='toast'] a").await;

    // The run's page shows lines while the script prints them.
    browser.find("run-head").await;
    browser.text_when("[data-testid='log-lines']", "line 03 of thirty").await;
    let status = browser.find("run-head").await.attr("data-status").await.expect("readable");
    assert_ne!(status.as_deref(), Some("FAILED"));
    picture("run-live").await;
    browser.find_css("[data-testid='run-head'][data-status='SUCCESS']").await;
    browser.text_when("[data-testid='log-lines']", "line 30 of thirty").await;
    browser.text_when("[data-testid='outcome']", words.success).await;
    picture("run").await;

    browser.page.refresh().await.expect("reloaded");
    browser.find_css("[data-testid='run-head'][data-status='SUCCESS']").await;
    let text = browser.text_when("[data-testid='log-lines']", "line 30 of thirty").await;
    assert_eq!(text.matches("of thirty").count(), 30, "{text}");

    let wider = browser.run("return document.documentElement.scrollWidth > window.innerWidth").await;
    assert_eq!(wider, false, "the page does not scroll sideways");
    let language = browser.run("return document.documentElement.lang").await;
    assert_eq!(language.as_str().map(|tag| tag.get(..2).unwrap_or_default()), Some(words.name));

    browser.goto(&format!("{}/runs", server.base())).await;
    browser.text_when("[data-testid='runs']", "prints").await;
    picture("runs").await;
    browser.close().await;
}

#[tokio::test]
async fn a_person_runs_a_pipeline_in_english_on_a_desk() {
    a_person_runs_a_pipeline(&ENGLISH, 1440).await;
}

#[tokio::test]
async fn a_person_runs_a_pipeline_in_german_on_a_desk() {
    a_person_runs_a_pipeline(&GERMAN, 1440).await;
}

#[tokio::test]
async fn a_person_runs_a_pipeline_in_english_on_a_phone() {
    a_person_runs_a_pipeline(&ENGLISH, 390).await;
}

#[tokio::test]
async fn a_person_runs_a_pipeline_in_german_on_a_phone() {
    a_person_runs_a_pipeline(&GERMAN, 390).await;
}

#[tokio::test]
async fn a_page_connects_again_by_itself_after_the_server_was_away() {
    let mut server = Server::start(Options::new()).await;
    let slow = "import time\nfor n in range(1, 101): print(f'line {n:03d}', flush=True); time.sleep(0.1)";
    server.pipeline("slow", slow);
    let run = server.client().start("slow").await;
    let browser = Browser::open(Look { width: 1440, height: 900, language: "en-US" }).await;
    browser.goto(&format!("{}/runs/{}", server.base(), run.id)).await;
    browser.find("login-form").await;
    browser.find("username").await.send_keys(USER).await.expect("typed");
    browser.find("password").await.send_keys(PASSWORD).await.expect("typed");
    browser.click("[data-testid='login-submit']").await;
    // The login leads back to where the person wanted to go.
    browser.text_when("[data-testid='log-lines']", "line 010").await;
    server.kill9();
    browser.find_css("[data-testid='live'][data-state='reconnecting']").await;
    server.launch().await;
    browser.find_css("[data-testid='live'][data-state='live']").await;
    browser.find_css("[data-testid='run-head'][data-status='SUCCESS']").await;
    let text = browser.text_when("[data-testid='log-lines']", "line 100").await;
    let lines = text.split_whitespace().filter(|word| *word == "line").count();
    assert_eq!(lines, 100, "every line once: {text}");
    browser.close().await;
}

#[tokio::test]
async fn a_page_whose_files_got_lost_on_the_way_comes_by_itself() {
    let server = Server::start(Options::new()).await;
    let browser = Browser::open(Look { width: 1440, height: 900, language: "en-US" }).await;
    for lost in ["*_bg.wasm", "*.js", "*/tokens-*.css", "*/api/auth/me"] {
        browser.break_off(&[lost]).await;
        browser.goto(&server.base()).await;
        if lost.contains("/api/") {
            browser.text_when("[data-testid='fault']", "Try again").await;
        } else {
            browser.until("return sessionStorage.getItem('fastflow.loads') !== null").await;
        }
        browser.break_off(&[]).await;
        browser.find("login-form").await;
        browser.until("return sessionStorage.getItem('fastflow.loads') === null").await;
    }
    // What never comes is told.
    browser.break_off(&["*_bg.wasm"]).await;
    browser.goto(&server.base()).await;
    browser.text_when("body", "Fast-Flow could not be loaded.").await;
    browser.close().await;
}

#[tokio::test]
async fn a_person_finds_a_line_in_a_long_log() {
    let server = Server::start(Options::new()).await;
    server.pipeline("long", "for n in range(1, 50001): print(f'line {n:05d} of many')");
    let run = server.client().run_well("long").await;
    let browser = Browser::open(Look { width: 1440, height: 900, language: "en-US" }).await;
    let page = format!("/runs/{}", run.id);
    // A link survives the login.
    browser.goto(&format!("{}{page}", server.base())).await;
    browser.find("username").await.send_keys(USER).await.expect("typed");
    browser.find("password").await.send_keys(PASSWORD).await.expect("typed");
    browser.click("[data-testid='login-submit']").await;
    browser.text_when("[data-testid='log-lines']", "line 50000 of many").await;
    let rows = browser.run("return document.querySelectorAll('[data-testid=log-lines] .ln').length").await;
    assert!(rows.as_u64().is_some_and(|rows| rows <= 501), "{rows} rows are drawn");

    // The server searches what is not loaded.
    browser.find("log-search").await.send_keys("LINE 0123").await.expect("typed");
    browser.text_when("[data-testid='log-hits']", "1 of 10").await;
    browser.text_when(".ln-now", "line 01230 of many").await;
    browser.find("log-search").await.send_keys("\u{e007}").await.expect("typed");
    browser.text_when("[data-testid='log-hits']", "2 of 10").await;
    browser.text_when(".ln-now", "line 01231 of many").await;
    browser.picture("log-search").await;

    // To a line, to a nonsense, and back to the end.
    browser.find("log-go").await.send_keys("31415\u{e007}").await.expect("typed");
    browser.text_when(".ln-target", "line 31415 of many").await;
    let number = browser.run("return document.querySelector('.ln-target .ln-no').textContent").await;
    assert_eq!(number, "31415");
    browser.find("log-go").await.send_keys("x\u{e007}").await.expect("typed");
    browser.find_css("[data-testid='log-go'][aria-invalid='true']").await;
    browser.click("[data-testid='log-jump']").await;
    browser.text_when("[data-testid='log-lines']", "line 50000 of many").await;

    // Upwards beyond what is loaded.
    let up = "document.querySelector('[data-testid=log-lines]').scrollTo(0, 0)";
    fastflow_tests::wait::until("the way to earlier lines", std::time::Duration::from_secs(30), async || {
        browser.run(up).await;
        let found = browser.run("return document.querySelectorAll('[data-testid=log-earlier]').length").await;
        (found == 1).then_some(())
    })
    .await;
    browser.click("[data-testid='log-earlier']").await;
    browser.text_when(".ln-target", "line 49001 of many").await;
    browser.close().await;
}
