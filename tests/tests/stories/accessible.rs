//! Everybody can use it: axe-core finds nothing on any page, in either theme, on a desk and on a phone.

use fastflow_shared::routes;
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::{Options, Server};
use reqwest::Method;
use serde_json::json;

const AXE: &str = "FASTFLOW_TEST_AXE";

/// Runs on the page as it is; what it finds, one line for each rule.
const CHECK: &str = r"
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ['violations'] }).then(
    result => done(result.violations.map(found => `${found.impact} ${found.id}: ${found.help} (${found.nodes.map(node => node.target).join(' | ')})`)),
    error => done([String(error)]),
);";

/// Half-faded things have another contrast than those that have arrived.
const ARRIVE: &str =
    "document.getAnimations().forEach(animation => { try { animation.finish() } catch { animation.cancel() } })";

/// Everything the page has fetched that did not come from its own server.
const FOREIGN: &str = "return performance.getEntriesByType('resource').map(entry => entry.name)\
    .filter(name => new URL(name).origin !== location.origin)";

async fn complaints(browser: &Browser, axe: &str) -> Vec<String> {
    browser.run(ARRIVE).await;
    browser.run(axe).await;
    let found = browser.page.execute_async(CHECK, Vec::new()).await.expect("axe works");
    serde_json::from_value(found.json().clone()).expect("a list of sentences")
}

async fn nobody_is_left_out(width: u32, language: &'static str) {
    let file = std::env::var(AXE).unwrap_or_else(|_| panic!("{AXE} is not set: run the tests by `make test`"));
    let axe = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("good", "print('\\x1b[31mred\\x1b[0m and \\x1b[33myellow\\x1b[0m')").json(
        &json!({ "description": "Prints colours", "tags": ["story"], "default_env": { "A": "b" }, "mem_hard_limit": "256m" }),
    );
    server.pipeline("bad", "import sys; print('oh', file=sys.stderr); sys.exit(3)");
    server.pipeline("broken", "print(1)").json(&json!({ "timeout": "soon" }));
    let _ = client.post(routes::SYNC).await.expect(200);
    let good = client.run_well("good").await.id;
    let bad = client.run_to_end("bad").await.id;
    let secret = json!({ "key": "TOKEN", "value": "a long enough value", "is_secret": true, "pipelines": [] });
    let _ = client.write(Method::POST, routes::SECRETS, &secret).await.expect(201);

    let browser = Browser::open(Look { width, height: 900, language }).await;
    let mut found = Vec::new();
    let mut check = async |place: &str| {
        for complaint in complaints(&browser, &axe).await {
            found.push(format!("{place}: {complaint}"));
        }
    };
    browser.goto(&server.base()).await;
    browser.find("login-form").await;
    check("login").await;
    browser.find("username").await.send_keys(USER).await.expect("typed");
    browser.find("password").await.send_keys(PASSWORD).await.expect("typed");
    browser.click("[data-testid='login-submit']").await;
    browser.find("now").await;
    // A judge that never complains is none.
    browser
        .run("document.querySelector('main').insertAdjacentHTML('beforeend', '<img id=mute src=/favicon.svg>')")
        .await;
    let mute = complaints(&browser, &axe).await;
    assert!(mute.iter().any(|complaint| complaint.contains("#mute")), "axe looks: {mute:?}");

    let (run, log, failed) = (format!("/runs/{good}"), format!("/runs/{good}/log"), format!("/runs/{bad}"));
    let pages = [
        ("/", "now"),
        ("/pipelines", "pipelines"),
        ("/runs", "runs"),
        (run.as_str(), "log-lines"),
        (log.as_str(), "log-lines"),
        (failed.as_str(), "log-lines"),
        ("/pipelines/good", "stats"),
        ("/pipelines/good?tab=runs", "runs"),
        ("/pipelines/good?tab=source", "source"),
        ("/pipelines/good?tab=settings", "pipeline-page"),
        ("/pipelines/broken", "problems"),
        ("/schedules", "empty"),
        ("/secrets", "vault"),
        ("/sync", "sync-status"),
        ("/system", "chores"),
        ("/users", "users"),
        ("/account", "account-page"),
        ("/audit", "audit"),
        ("/nowhere", "lost"),
    ];
    for theme in ["light", "dark"] {
        browser.run(&format!("localStorage.setItem('fastflow.theme', '{theme}')")).await;
        for (page, shows) in pages {
            browser.goto(&format!("{}{page}", server.base())).await;
            browser.find(shows).await;
            check(&format!("{page}, {theme}")).await;
            let wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth").await;
            assert!(wide.as_i64().is_some_and(|over| over <= 0), "{page} scrolls sideways by {wide} at {width}");
            assert_eq!(browser.run(FOREIGN).await, json!([]), "{page} asks another host");
            let name = page.replace(&run, "-run").replace(&failed, "-failed").replace(['/', '?', '='], "-");
            browser.picture(&format!("page{name}-{theme}-{width}")).await;
        }
    }
    let dialogs = [
        ("/pipelines", "[data-testid='pipeline'][data-name='good'] [data-testid='run-with']", "the form that starts"),
        ("/secrets", "[data-testid='vault-new']", "the form for a secret"),
        ("/schedules", "[data-testid='job-new']", "the form for a schedule"),
        ("/users", "[data-testid='user-new']", "the form for a user"),
        ("/", "[data-testid='open-palette']", "the palette"),
    ];
    for (page, opens, name) in dialogs {
        browser.goto(&format!("{}{page}", server.base())).await;
        browser.click(opens).await;
        browser.find_css("dialog[open]").await;
        check(name).await;
    }
    browser.close().await;
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
}

#[tokio::test]
async fn nobody_is_left_out_on_a_desk() {
    nobody_is_left_out(1440, "en-US").await;
}

#[tokio::test]
async fn nobody_is_left_out_on_a_phone() {
    nobody_is_left_out(390, "de-DE").await;
}
