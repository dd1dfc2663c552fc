//! What a person comes to a page for, page by page, in a browser: in both languages, light and dark, on a desk and on a phone.
//!
//! Each walk is gone by all eight of them, one after the other, before the same server. On a phone it goes as one does there: by
//! the bar below. What each page looked like lies below `target/screenshots`.

mod administering;
mod keeping;
mod pipelines;
mod running;

use std::fmt;

use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::looks::{Theme, Variant, WIDTHS, height};
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Options, Server, showcase};

/// A text in English and in German.
type Both = (&'static str, &'static str);

/// Somebody in front of a server.
struct Person<'s> {
    server: &'s Server,
    browser: &'s Browser,
    variant: Variant,
    /// Which of the eight this is.
    number: usize,
}

/// A server that looks lived in, and a browser for those who come to it.
struct Place {
    server: Server,
    seen: showcase::Showcase,
    browser: Browser,
}

impl Place {
    async fn open(options: Options) -> Self {
        Self::fill(Server::start(options).await).await
    }

    async fn fill(server: Server) -> Self {
        let seen = showcase::fill(&server, chrono::Utc::now(), true).await;
        let browser = Browser::open(Look { width: WIDTHS[0], height: height(WIDTHS[0]), language: "en-US" }).await;
        Self { server, seen, browser }
    }

    /// All eight, one after the other.
    async fn everybody(&self, mut walk: impl AsyncFnMut(&Person<'_>)) {
        for (number, variant) in Variant::all().into_iter().enumerate() {
            self.browser.become_one_of(variant).await;
            let person = Person { server: &self.server, browser: &self.browser, variant, number };
            person.begin().await;
            walk(&person).await;
        }
    }
}

impl Person<'_> {
    fn says(&self, text: Both) -> &'static str {
        self.variant.says(text.0, text.1)
    }

    /// A tab that nobody has used before.
    async fn begin(&self) {
        self.browser.goto(&format!("{}/favicon.svg", self.server.base())).await;
        self.browser.page.delete_all_cookies().await.expect("forgotten");
    }

    /// Follows a link from outside to a page, and signs in on the way there.
    async fn comes_to(&self, page: &str, shows: &str, heading: Both) {
        self.browser.goto(&format!("{}{page}", self.server.base())).await;
        self.types("username", USER).await;
        self.types("password", PASSWORD).await;
        self.browser.click("[data-testid='login-submit']").await;
        self.is_at(shows, heading).await;
    }

    /// Goes to a page by its address.
    async fn opens(&self, page: &str, shows: &str, heading: Both) {
        self.browser.goto(&format!("{}{page}", self.server.base())).await;
        self.is_at(shows, heading).await;
    }

    /// Goes to a page by a link on this one: that of the navigation, if it has one.
    async fn goes_to(&self, page: &str, shows: &str, heading: Both) {
        let link = format!("a[href='{page}']");
        let inside = format!(".side-nav {link}");
        let script = format!("return document.querySelector({}) !== null", serde_json::json!(inside));
        let known = self.browser.run(&script).await == true;
        self.browser.tap(if known { &inside } else { &link }).await;
        self.is_at(shows, heading).await;
    }

    /// The page is there, is what this person must see, and its picture is kept.
    async fn is_at(&self, shows: &str, heading: Both) {
        self.browser.find(shows).await;
        self.browser.text_when("h1", self.says(heading)).await;
        self.browser.rest().await;
        self.suits(shows).await;
    }

    async fn suits(&self, page: &str) {
        self.browser.picture(&format!("walk-{page}-{}", self.variant.name())).await;
        self.browser.suits(self.variant, page).await;
    }

    /// Types into an empty field.
    async fn types(&self, testid: &str, text: &str) {
        let field = self.browser.find(testid).await;
        field.clear().await.expect("cleared");
        field.send_keys(text).await.expect("typed");
    }

    async fn taps(&self, testid: &str) {
        self.browser.tap(&format!("[data-testid='{testid}']")).await;
    }

    async fn reads(&self, css: &str, text: Both) {
        self.browser.text_when(css, self.says(text)).await;
    }

    /// Agrees to what destroys: only its name opens the way.
    async fn confirms(&self, name: &str) {
        self.types("confirm-name", &name[1..]).await;
        assert_eq!(self.browser.run("return document.querySelector('[data-testid=confirm-yes]').disabled").await, true);
        self.types("confirm-name", name).await;
        self.taps("confirm-yes").await;
    }

    /// Opens what is folded up, like the table behind a chart. Again, should the page have moved below the finger.
    async fn unfolds(&self, css: &str) {
        until(&format!("{css} to be open for {self}"), PATIENCE, async || {
            self.browser.tap(&format!("{css} > summary")).await;
            (self.count(&format!("{css}[open]")).await == 1).then_some(())
        })
        .await;
    }

    /// How many elements there are.
    async fn count(&self, css: &str) -> u64 {
        let script = format!("return document.querySelectorAll({}).length", serde_json::json!(css));
        self.browser.run(&script).await.as_u64().expect("a number")
    }

    async fn counts(&self, css: &str, wanted: u64) {
        until(&format!("{wanted} {css} for {self}"), PATIENCE, async || {
            (self.count(css).await == wanted).then_some(())
        })
        .await;
    }
}

impl fmt::Display for Person<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.variant.name())
    }
}

#[test]
fn everybody_is_eight() {
    let all = Variant::all();
    for theme in Theme::ALL {
        for width in WIDTHS {
            for language in ["en-US", "de-DE"] {
                assert!(all.contains(&Variant { language, theme, width }));
            }
        }
    }
    assert_eq!(all.len(), 8);
}
