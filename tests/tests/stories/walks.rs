//! What a person comes to a page for, page by page, in a browser: both languages, light and dark, on a desk and on a phone. What
//! each looks like meanwhile lies below `target/screenshots`.

use fastflow_shared::{RunStatus, routes};
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::looks::{Theme, WIDTHS, height};
use fastflow_tests::options::Database;
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Options, Server, showcase};

const DESK: u32 = WIDTHS[0];
const PHONE: u32 = WIDTHS[1];

/// Somebody who is signed in to a server that looks lived in.
async fn somebody(width: u32, theme: Theme, language: &'static str) -> (Server, showcase::Showcase, Browser) {
    somebody_at(showcase::options(), width, theme, language).await
}

async fn somebody_at(
    options: Options,
    width: u32,
    theme: Theme,
    language: &'static str,
) -> (Server, showcase::Showcase, Browser) {
    let server = Server::start(options).await;
    let seen = showcase::fill(&server, chrono::Utc::now(), true).await;
    let browser = Browser::open(Look { width: DESK, height: height(DESK), language }).await;
    browser.wear(width, theme).await;
    browser.sign_in(&server).await;
    (server, seen, browser)
}

/// Goes to a page, and keeps what it looks like.
async fn visit(browser: &Browser, server: &Server, page: &str, shows: &str, name: &str) {
    browser.goto(&format!("{}{page}", server.base())).await;
    browser.find(shows).await;
    browser.rest().await;
    browser.picture(&format!("walk-{name}")).await;
    assert!(browser.overhang().await <= 0, "{page} scrolls sideways");
}

async fn fill_in(browser: &Browser, testid: &str, text: &str) {
    let field = browser.find(testid).await;
    field.clear().await.expect("cleared");
    field.send_keys(text).await.expect("typed");
}

#[tokio::test]
async fn a_person_reads_a_failed_run_and_tries_again_in_german_in_the_dark() {
    let (server, seen, browser) = somebody(DESK, Theme::Dark, "de-DE").await;
    // From the list, filtered in the address, to the run.
    visit(&browser, &server, "/runs?status=FAILED&error_type=oom", "runs", "runs").await;
    assert_eq!(browser.run("return document.querySelectorAll('[data-testid=run-row]').length").await, 1);
    browser.click("[data-testid='run-row'] .run-link").await;
    browser.text_when("[data-testid='cause']", "512 MB").await;
    browser.text_when("[data-testid='exit-code']", "137").await;
    browser.find("timeline").await;
    browser.find("chart-memory").await;
    browser.text_when("[data-testid='log-lines']", "Killed").await;
    // The table behind a chart says what the chart shows.
    browser.click("[data-testid='chart-memory'] summary").await;
    browser.text_when("[data-testid='chart-memory'] details", "MiB").await;
    browser.picture("walk-run").await;
    browser.click("[data-testid='log-download']").await;
    let download = browser.find("log-download-plain").await.attr("href").await.expect("readable").expect("an address");
    let text = server.client().get(&download).await.expect(200).text();
    assert!(text.ends_with("Killed\n"), "the log can be downloaded: {text:?}");
    visit(&browser, &server, &format!("/runs/{}/log", seen.failed), "log-lines", "log").await;
    fill_in(&browser, "log-search", "UserWarning").await;
    browser.text_when("[data-testid='log-hits']", "3").await;
    visit(&browser, &server, &format!("/runs/{}", seen.failed), "retry", "run-again").await;
    browser.click("[data-testid='retry']").await;
    browser.find_css("[data-testid='run-head'][data-status='SUCCESS']").await;
    let tried = server.client().run(&seen.failed).await.retried_by.expect("a run came after it");
    assert_eq!(server.client().end_of(&tried).await.status, RunStatus::Success);
    browser.close().await;
}

#[tokio::test]
async fn a_person_keeps_secrets_and_schedules_on_a_phone() {
    let (server, _, browser) = somebody(PHONE, Theme::Dark, "en-US").await;
    visit(&browser, &server, "/secrets", "vault", "vault").await;
    browser.tap("[data-testid='vault-new']").await;
    fill_in(&browser, "vault-key", "NEW_TOKEN").await;
    fill_in(&browser, "vault-value", "a value that is long enough").await;
    browser.tap("[data-testid='vault-save']").await;
    browser.tap("[data-key='NEW_TOKEN'] [data-testid='vault-reveal']").await;
    browser.tap("[data-testid='confirm-yes']").await;
    browser.text_when("[data-key='NEW_TOKEN']", "a value that is long enough").await;
    browser.picture("walk-vault-revealed").await;
    browser.tap("[data-key='NEW_TOKEN'] [data-testid='vault-delete']").await;
    // What destroys wants the name, and not another one.
    fill_in(&browser, "confirm-name", "NEW_TOKE").await;
    assert_eq!(browser.run("return document.querySelector('[data-testid=confirm-yes]').disabled").await, true);
    fill_in(&browser, "confirm-name", "NEW_TOKEN").await;
    browser.tap("[data-testid='confirm-yes']").await;
    browser.gone("[data-key='NEW_TOKEN']").await;

    visit(&browser, &server, "/schedules", "calendar", "schedules").await;
    browser.tap("[data-testid='job-new']").await;
    browser.click("[data-testid='job-pipeline'] option[value='price-sync']").await;
    fill_in(&browser, "job-value", "0 25 * * *").await;
    browser.find_css("[data-testid='job-form'] .field-wrong").await;
    fill_in(&browser, "job-value", "45 5 * * 1").await;
    browser.text_when("[data-testid='sentence']", "05:45").await;
    until("the next five times", PATIENCE, async || {
        (browser.run("return document.querySelectorAll('[data-testid=outlook] tbody tr').length").await == 5)
            .then_some(())
    })
    .await;
    browser.picture("walk-schedule-form").await;
    browser.tap("[data-testid='job-save']").await;
    browser.gone("[data-testid='job-form']").await;
    browser.text_when("[data-testid='jobs']", "price-sync").await;
    browser.close().await;
}

#[tokio::test]
async fn an_admin_changes_a_setting_looks_at_the_disk_and_tests_a_connection() {
    // Backups are SQLite's; whoever has PostgreSQL makes them with its own tools.
    let options = showcase::options().database(Database::Sqlite);
    let (server, _, browser) = somebody_at(options, DESK, Theme::Light, "en-US").await;
    visit(&browser, &server, "/settings", "setting", "settings").await;
    let row = "[data-name='MAX_CONCURRENT_RUNS']";
    browser.click(&format!("{row} [data-testid='setting-change']")).await;
    fill_in(&browser, "setting-value", "none").await;
    browser.click("[data-testid='setting-save']").await;
    browser.find_css("[data-testid='setting-form'] .field-wrong").await;
    fill_in(&browser, "setting-value", "7").await;
    browser.click("[data-testid='setting-save']").await;
    browser.find_css(&format!("{row} [data-testid='setting-reset']")).await;
    assert_eq!(server.client().overview().await.max_concurrent_runs, 7, "at once");
    browser.picture("walk-setting-changed").await;
    browser.click(&format!("{row} [data-testid='setting-reset']")).await;
    browser.gone(&format!("{row} [data-testid='setting-reset']")).await;
    assert_ne!(server.client().overview().await.max_concurrent_runs, 7);

    visit(&browser, &server, "/storage", "storage-parts", "storage").await;
    browser.click("[data-testid='back-up']").await;
    browser.find("backup").await;
    browser.picture("walk-storage-backup").await;
    visit(&browser, &server, "/system", "chores", "system").await;
    browser.find_css("[data-testid='readiness'][data-ready='true']").await;
    visit(&browser, &server, "/sync", "sync-pipelines", "sync").await;
    browser.click("[data-testid='sync-settings']").await;
    browser.find_css("#sync-repository_url").await.send_keys("http://127.0.0.1:1/none.git").await.expect("typed");
    browser.click("[data-testid='sync-test']").await;
    browser.find_css("[data-testid='sync-tested'], [data-testid='sync-form'] .field-wrong").await;
    browser.picture("walk-sync-test").await;
    visit(&browser, &server, "/audit", "audit", "audit").await;
    browser.find_css("[data-testid='audit-entry'][data-action^='setting']").await;
    browser.close().await;
}

#[tokio::test]
async fn a_pipeline_is_found_looked_through_and_deleted_by_keyboard_and_phone() {
    let (server, _, browser) = somebody(PHONE, Theme::Light, "de-DE").await;
    // The palette, by keys alone, finds a pipeline and goes there.
    browser.find_css("body").await.send_keys("\u{e009}k").await.expect("typed");
    browser.text_when("[data-testid='palette']", "price-sync").await;
    browser.find("palette-input").await.send_keys("price-sync\u{e007}").await.expect("typed");
    browser.text_when("h1", "price-sync").await;
    browser.rest().await;
    browser.picture("walk-pipeline").await;
    for (tab, shows) in [("runs", "runs"), ("source", "source-text"), ("settings", "delete-pipeline")] {
        visit(&browser, &server, &format!("/pipelines/price-sync?tab={tab}"), shows, &format!("pipeline-{tab}")).await;
    }
    browser.tap("[data-testid='delete-pipeline']").await;
    fill_in(&browser, "confirm-name", "price-sync").await;
    browser.click("[data-testid='confirm-yes']").await;
    browser.find("now").await;
    let _ = server.client().get(&routes::pipeline("price-sync")).await.problem(404, "pipeline_not_found");
    visit(&browser, &server, "/pipelines/price-sync", "lost", "lost").await;
    // Tab by tab everything can be reached, and one sees where one is.
    visit(&browser, &server, "/pipelines", "pipelines", "pipelines").await;
    browser.run("document.activeElement.blur()").await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        browser.press("\u{e004}").await;
        let (place, mark) = (
            "const one = document.activeElement; return one.dataset.testid || one.getAttribute('href') || one.tagName",
            "return [document.activeElement, document.activeElement.parentElement].some(one => { const how = getComputedStyle(one);\
             return how.outlineStyle !== 'none' || how.boxShadow !== 'none' })",
        );
        let place = browser.run(place).await.as_str().unwrap_or_default().to_owned();
        if !["BODY", "HTML"].contains(&place.as_str()) {
            assert_eq!(browser.run(mark).await, true, "one sees that {place} has the focus");
        }
        seen.insert(place);
    }
    for wanted in ["#main", "open-palette", "/runs", "filter", "choose-all", "choose", "switch", "run"] {
        assert!(seen.contains(wanted), "{wanted} is reached by Tab: {seen:?}");
    }
    browser.close().await;
}
