//! What makes a day with it pleasant: a tab that tells, a notification, what is read by keyboard and on paper, ways to where one
//! wants to go.

use fastflow_shared::{SyncSettingsChange, routes};
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::options::UvCache;
use fastflow_tests::{Options, Server, showcase};
use reqwest::Method;
use serde_json::json;

/// Notifications go to a list of the page's own: this browser has nowhere to show them.
const NOTED: &str = "window.noted = []; window.Notification = class { \
    constructor(title) { window.noted.push(title); } \
    static requestPermission() { return Promise.resolve('granted'); } };";

/// Answers of the path `hold` wait for `letGo`, and what is to happen after 200 ms happens when the story says so. Whether
/// anything was ever shown to those who wait is in `waited`.
const HELD: &str = "{ const { fetch, setTimeout, clearTimeout } = window; \
    const answers = []; window.patient = []; window.hold = '/api/runs'; window.waited = false; \
    window.held = () => answers.length; window.letGo = () => answers.splice(0).forEach(go => go()); \
    window.fetch = (...asked) => new URL(asked[0].url ?? asked[0], location).pathname !== window.hold ? fetch(...asked) \
        : new Promise(go => answers.push(() => go(fetch(...asked)))); \
    window.setTimeout = (what, after, ...more) => after === 200 ? -patient.push(what) : setTimeout(what, after, ...more); \
    window.clearTimeout = id => { if (id < 0) patient[-id - 1] = null; else clearTimeout(id); }; \
    new MutationObserver(() => { window.waited ||= document.querySelector('.is-shown') !== null; }) \
        .observe(document, { subtree: true, childList: true, attributes: true }); }";

const ICON: &str = "return document.getElementById('favicon').getAttribute('href') + ' ' + document.title";

async fn signed_in(server: &Server) -> Browser {
    let browser = Browser::open(Look { width: 1440, height: 900, language: "en-US" }).await;
    browser.sign_in(server).await;
    browser
}

#[tokio::test]
async fn a_tab_tells_how_its_run_is_doing_and_says_so_when_it_has_ended() {
    let server = Server::start(Options::new().env("FASTFLOW_TEST_ENGINE", "fake").uv_cache(UvCache::Own)).await;
    let program = json!({ "FAKE_PROGRAM": "out it works; memory 90000000; cpu 40; hang" });
    server.pipeline("works", "print('it works')").json(&json!({ "default_env": program }));
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    let run = client.start("works").await.id;
    let _ = client.running(&run).await;
    let browser = signed_in(&server).await;
    browser.before_each_page(NOTED).await;
    browser.goto(&format!("{}/runs/{run}", server.base())).await;
    browser.text_when("[data-testid='log-lines']", "it works").await;
    assert_eq!(browser.run(ICON).await, "/favicon-running.svg Running · works · Fast-Flow");
    // On request, and not before.
    browser.click("[data-testid='notify']").await;
    browser.find_css("[data-testid='notify'][aria-pressed='true']").await;
    assert_eq!(browser.run("return window.noted").await, json!([]));
    browser.click("[data-testid='cancel']").await;
    browser.click("[data-testid='confirm-yes']").await;
    browser.until("return window.noted.length === 1").await;
    assert_eq!(browser.run("return window.noted").await, json!(["Cancelled · works"]));
    // The state is announced where it is shown.
    browser.find_css("[role='status'] [data-testid='outcome']").await;
    browser.close().await;
}

#[tokio::test]
async fn a_page_is_read_by_keyboard_and_on_paper_and_leads_on() {
    let server = Server::start(showcase::options()).await;
    let seen = showcase::fill(&server, chrono::Utc::now(), true).await;
    let browser = signed_in(&server).await;

    // A cell of the strip says by keyboard what the mouse is told: how it went, when, how long it took.
    let cell = "[data-name='train-forecast'] .strip .cell:last-child a";
    browser.find_css(cell).await;
    let read = format!(
        "const one = document.querySelector({cell}), text = one.querySelector('.sr'); one.scrollIntoView({{ block: 'center' }}); \
         const seen = () => text.getBoundingClientRect().width > 60 && getComputedStyle(text).clipPath === 'none'; \
         const before = seen(); one.focus({{ focusVisible: true }}); const box = text.getBoundingClientRect(); \
         return {{ before, after: seen(), said: text.textContent, hint: one.parentElement.title, \
         there: text.contains(document.elementFromPoint(box.left + 8, box.top + 4)) }}",
        cell = json!(cell)
    );
    let told = browser.run(&read).await;
    assert_eq!(
        (&told["before"], &told["after"], &told["there"]),
        (&json!(false), &json!(true), &json!(true)),
        "{told}"
    );
    assert_eq!(told["said"], told["hint"]);
    let said = told["said"].as_str().unwrap_or_default();
    assert!(said.starts_with("Out of memory · ") && said.contains(" ago · ") && said.ends_with('s'), "{said}");
    browser.picture("strip-by-keyboard").await;

    // The palette leads to pages that the navigation has no room for.
    for (typed, page) in [("Storage", "/storage"), ("Code", "/sync"), ("Settings", "/settings")] {
        browser.press("\u{e009}k").await;
        browser.find("palette-input").await.send_keys(format!("{typed}\u{e007}")).await.expect("typed");
        browser.until(&format!("return location.pathname === '{page}'")).await;
        browser.gone("dialog[open]").await;
    }

    // From the run to its commit, where the repository has a page for it. Nobody can reach this one now.
    let repository = SyncSettingsChange {
        repository_url: Some("https://127.0.0.1:1/team/flows.git".to_owned()),
        ..SyncSettingsChange::default()
    };
    let _ = server.client().write(Method::PUT, routes::SYNC_SETTINGS, &repository).await.expect(200);
    browser.goto(&format!("{}/runs/{}", server.base(), seen.failed)).await;
    let commit = browser.find("commit").await.attr("href").await.expect("readable").expect("an address");
    assert_eq!(commit, "https://127.0.0.1:1/team/flows/commit/4f1c9d27ab03e65d8821f0c7739be2a45d60817c");
    assert_eq!(browser.run(ICON).await, "/favicon-failed.svg Out of memory · train-forecast · Fast-Flow");

    // On paper: no navigation and no buttons, the whole log, dark on light also for who likes it dark.
    browser.text_when("[data-testid='log-lines']", "Killed").await;
    browser.run("document.documentElement.dataset.theme = 'dark'").await;
    browser.tools("Emulation.setEmulatedMedia", json!({ "media": "print" })).await;
    let paper = browser
        .run(
            "const light = colour => colour.match(/[\\d.]+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 3; \
             const how = css => getComputedStyle(document.querySelector(css)); const log = document.querySelector('[data-testid=log-lines]'); \
             return { paper: light(how('html').backgroundColor), ink: light(how('h1').color), side: how('.side').display, \
             actions: how('.run-actions').display, cut: log.scrollHeight - log.clientHeight, \
             over: document.documentElement.scrollWidth - innerWidth }",
        )
        .await;
    assert!(paper["paper"].as_f64() > Some(200.0) && paper["ink"].as_f64() < Some(80.0), "{paper}");
    assert_eq!((&paper["side"], &paper["actions"]), (&json!("none"), &json!("none")), "{paper}");
    assert!(paper["cut"].as_i64() <= Some(1) && paper["over"].as_i64() <= Some(0), "{paper}");
    browser.picture("run-on-paper").await;
    browser.close().await;
}

#[tokio::test]
async fn who_need_not_wait_long_sees_no_sign_of_it() {
    let server = Server::start(Options::new().env("FASTFLOW_TEST_ENGINE", "fake").uv_cache(UvCache::Own)).await;
    server.pipeline("works", "print('it works')");
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    client.run_well("works").await;
    let browser = signed_in(&server).await;
    browser.before_each_page(HELD).await;
    let look = "const one = document.querySelector('#main .skeleton'); \
        return [one.classList.contains('is-shown'), getComputedStyle(one).opacity, one.ariaLabel]";
    let asked = "return document.querySelector('#main .skeleton') !== null && held() > 0 && patient.some(one => one)";

    // The answer does not come: nothing is seen of the wait until its time is over.
    browser.goto(&format!("{}/runs", server.base())).await;
    browser.until(asked).await;
    assert_eq!(browser.run(look).await, json!([false, "0", "Loading…"]));
    browser.run("patient.forEach(over => over?.())").await;
    browser.until("return getComputedStyle(document.querySelector('#main .skeleton.is-shown')).opacity === '1'").await;
    browser.picture("runs-are-waited-for").await;
    browser.run("letGo()").await;
    browser.find("run-row").await;
    browser.gone(".skeleton").await;

    // The answer comes first: nobody has seen anything, and nothing is to come any more.
    browser.goto(&format!("{}/runs", server.base())).await;
    browser.until(asked).await;
    browser.run("letGo()").await;
    browser.find("run-row").await;
    browser.until("return patient.length > 0 && patient.every(one => one === null)").await;
    assert_eq!(browser.run("return waited").await, false);

    // A button says at once that it works, and turns after as long. The turning is looked at by its own clock.
    browser.goto(&server.base()).await;
    browser.run("hold = '/api/sync'; letGo()").await;
    browser.click("[data-testid='sync']").await;
    browser.find_css("[data-testid='sync'][aria-busy='true']").await;
    let turned = "const icon = document.querySelector('[data-testid=sync] .icon'); \
        const turn = icon.getAnimations().find(one => one.animationName === 'turn'); turn.pause(); \
        return [0, 199, 425].map(ms => { turn.currentTime = ms; return getComputedStyle(icon).transform !== 'none'; })";
    assert_eq!(browser.run(turned).await, json!([false, false, true]));
    browser.run("letGo()").await;
    browser.find_css("[data-testid='sync']:not([aria-busy])").await;
    browser.close().await;
}
