//! Everybody can use it: axe-core finds nothing serious on any page or dialog, in either theme, on a desk and on a phone.

use fastflow_shared::routes;
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::looks::{Theme, WIDTHS, height};
use fastflow_tests::server::USER;
use fastflow_tests::{Server, place, showcase};
use serde_json::{Value, json};

/// Runs on the page as it is; what it finds, one line for each rule.
const CHECK: &str = r"
const done = arguments[arguments.length - 1], options = { resultTypes: ['violations'] };
if (arguments[0]) options.runOnly = { type: 'rule', values: arguments[0] };
axe.run(document, options).then(
    result => done(result.violations.filter(found => ['serious', 'critical'].includes(found.impact)).map(found =>
        `${found.impact} ${found.id}: ${found.help} (${found.nodes.map(node => node.target.join(' ') + ': ' +
            [...node.any, ...node.all, ...node.none].map(why => why.message).slice(0, 1)).slice(0, 4).join(' | ')})`)),
    error => done([String(error)]),
);";

/// What depends on the theme; everything else is the same in both.
const OF_COLOUR: [&str; 2] = ["color-contrast", "link-in-text-block"];

/// Everything the page has fetched that did not come from its own server.
const FOREIGN: &str = "return performance.getEntriesByType('resource').map(entry => entry.name)\
    .filter(name => new URL(name).origin !== location.origin)";

async fn complaints(browser: &Browser, rules: Option<&[&str]>) -> Vec<String> {
    let found = browser.page.execute_async(CHECK, vec![json!(rules)]).await.expect("axe works");
    serde_json::from_value(found.json().clone()).expect("a list of sentences")
}

/// One who looks for what keeps people out, and remembers it.
struct Judge<'b> {
    browser: &'b Browser,
    width: u32,
    found: Vec<String>,
}

impl Judge<'_> {
    /// The place as it is shown, in both themes.
    async fn look(&mut self, place: &str) {
        let Self { browser, width, .. } = *self;
        for theme in Theme::ALL {
            browser.wear(width, theme).await;
            browser.rest().await;
            let rules = (theme == Theme::Dark).then_some(OF_COLOUR.as_slice());
            for complaint in complaints(browser, rules).await {
                self.found.push(format!("{place}, {}, {width}: {complaint}", theme.name()));
            }
        }
        browser.wear(width, Theme::Light).await;
    }

    /// A page.
    async fn visit(&mut self, server: &Server, page: &str, shows: &str) {
        self.browser.goto(&format!("{}{page}", server.base())).await;
        self.browser.find(shows).await;
        self.look(page).await;
        let over = self.browser.overhang().await;
        if over > 0 {
            self.found.push(format!("{page}, {}: scrolls sideways by {over}", self.width));
        }
        if self.browser.run(FOREIGN).await != json!([]) {
            self.found.push(format!("{page}: asks another host"));
        }
    }

    /// A dialog, which a click opens.
    async fn open(&mut self, css: &str, name: &str) {
        self.browser.tap(css).await;
        self.opened(name).await;
    }

    /// A dialog that is opened already; then it is closed by key.
    async fn opened(&mut self, name: &str) {
        self.browser.find_css("dialog[open]").await;
        self.look(name).await;
        self.browser.press("\u{e00c}").await;
        self.browser.gone("dialog[open]").await;
    }
}

async fn everywhere(
    server: &Server,
    seen: &showcase::Showcase,
    live: &str,
    width: u32,
    language: &'static str,
) -> Vec<String> {
    let axe = std::fs::read_to_string(place::service("FASTFLOW_TEST_AXE")).expect("axe-core can be read");
    let browser = Browser::open(Look { width: 1440, height: height(1440), language }).await;
    browser.before_each_page(&axe).await;
    browser.wear(width, Theme::Light).await;
    let mut judge = Judge { browser: &browser, width, found: Vec::new() };
    judge.visit(server, "/login", "login-form").await;
    browser.sign_in(server).await;
    // A judge that never complains is none.
    browser
        .run("document.querySelector('main').insertAdjacentHTML('beforeend', '<img id=mute src=/favicon.svg>')")
        .await;
    let mute = complaints(&browser, None).await;
    assert!(mute.iter().any(|complaint| complaint.contains("#mute")), "axe looks: {mute:?}");

    let (failed, good) = (&seen.failed, &seen.good);
    let pages = [
        ("/", "now"),
        ("/runs?status=FAILED", "runs"),
        (&format!("/runs/{live}"), "log-lines"),
        (&format!("/runs/{good}"), "chart-memory"),
        (&format!("/runs/{failed}"), "log-lines"),
        (&format!("/runs/{failed}/log"), "log-lines"),
        ("/runs/nobody", "lost"),
        ("/pipelines/orders-import", "chart-peaks"),
        ("/pipelines/orders-import?tab=runs", "runs"),
        ("/pipelines/orders-import?tab=source", "source-text"),
        ("/pipelines/orders-import?tab=settings", "delete-pipeline"),
        ("/pipelines/legacy-import", "problems"),
        ("/system", "chores"),
        ("/storage", "back-up"),
        ("/audit", "audit"),
        ("/account", "session"),
        ("/nowhere", "lost"),
    ];
    for (page, shows) in pages {
        judge.visit(server, page, shows).await;
    }
    judge.visit(server, "/pipelines", "pipelines").await;
    judge.open("[data-name='daily-report'] [data-testid='run-with']", "the form with parameters").await;
    judge.open("[data-name='orders-import'] [data-testid='run-with']", "the form with variables").await;
    browser.tap("[data-testid='choose-all']").await;
    browser.find("bulk").await;
    judge.look("pipelines that are chosen").await;
    judge.visit(server, "/runs", "runs").await;
    browser.press("\u{e009}k").await;
    judge.opened("the palette").await;
    browser.press("?").await;
    judge.opened("the help sheet").await;
    browser.tap("[data-testid='account']").await;
    judge.look("the menu of the account").await;
    judge.visit(server, "/secrets", "vault").await;
    judge.open("[data-testid='vault-new']", "the form for a secret").await;
    judge.open("[data-key='MAIL_TOKEN'] [data-testid='vault-delete']", "the question before a secret goes").await;
    judge.visit(server, "/schedules", "calendar").await;
    browser.tap("[data-testid='job-new']").await;
    browser.find("outlook").await;
    judge.opened("the form for a schedule").await;
    judge.open("[data-testid='job-history']", "what a schedule did").await;
    judge.visit(server, "/users", "users").await;
    judge.open("[data-testid='user-new']", "the form for a user").await;
    judge
        .open(&format!("[data-name='{USER}'] [data-testid='user-reset']"), "the question before a password goes")
        .await;
    judge.visit(server, "/settings", "setting").await;
    judge.open("[data-testid='setting-change']", "the form for a setting").await;
    judge.visit(server, "/sync", "sync-status").await;
    judge.open("[data-testid='sync-settings']", "the form for the repository").await;
    let found = std::mem::take(&mut judge.found);
    browser.close().await;
    found
}

#[tokio::test]
async fn nobody_is_left_out() {
    let server = Server::start(showcase::options()).await;
    let program: Value = json!({ "FAKE_PROGRAM": "out it goes on; memory 90000000; cpu 40; hang" });
    server.pipeline("live", "print('it goes on')").json(&json!({ "default_env": program }));
    let seen = showcase::fill(&server, chrono::Utc::now(), true).await;
    let live = server.client().start("live").await.id;
    let _ = server.client().running(&live).await;
    // The same server, a desk and a phone at once, each in another language.
    let [desk, phone] = WIDTHS;
    let (mut found, more) = tokio::join!(
        everywhere(&server, &seen, &live, desk, "en-US"),
        everywhere(&server, &seen, &live, phone, "de-DE")
    );
    found.extend(more);
    let _ = server.client().get(routes::READY).await.expect(200);
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
}
