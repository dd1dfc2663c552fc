//! From the sign-in to a run that failed, its log, and the next attempt: login, runs, run page, log page.

use chrono::{DateTime, Local, Utc};
use fastflow_shared::RunStatus;
use fastflow_tests::server::USER;
use fastflow_tests::showcase;

use super::{Person, Place};

#[tokio::test]
async fn everybody_finds_out_why_a_run_failed_and_tries_again() {
    let place = Place::open(showcase::options()).await;
    place.everybody(async |person| finds_out(person, &place.seen.failed).await).await;
    place.browser.close().await;
}

async fn finds_out(person: &Person<'_>, failed: &str) {
    let Person { server, browser, variant, .. } = person;
    // The login says in this language what is wrong, and then leads to the filtered list that the link was to.
    browser.goto(&format!("{}/runs?status=FAILED&error_type=oom", server.base())).await;
    person.is_at("login-form", ("Sign in", "Anmelden")).await;
    person.types("username", USER).await;
    person.types("password", "a wrong one").await;
    person.taps("login-submit").await;
    person.reads("[data-testid='login-error']", ("password is wrong", "Passwort ist falsch")).await;
    person.comes_to("/runs?status=FAILED&error_type=oom", "runs", ("Runs", "Läufe")).await;
    person.counts("[data-testid='run-row']", 1).await;

    // Another filter by hand, and the way back.
    browser.click("[data-testid='filter-cause'] option[value='exit_code']").await;
    browser.find_css("[data-testid='run-row'][data-status='FAILED']:nth-child(2)").await;
    assert_eq!(browser.run("return location.search").await, "?status=FAILED&error_type=exit_code", "for {person}");
    browser.page.back().await.expect("back");
    person.counts("[data-testid='run-row']", 1).await;

    browser.tap("[data-testid='run-row'] .run-link").await;
    person.is_at("chart-memory", ("train-forecast", "train-forecast")).await;
    person.reads("[data-testid='outcome']", ("Out of memory", "Speicher erschöpft")).await;
    browser.text_when("[data-testid='cause']", "512 MB").await;
    browser.text_when("[data-testid='exit-code']", "137").await;
    browser.find("timeline").await;
    browser.text_when("[data-testid='log-lines']", "Killed").await;
    person.unfolds("[data-testid='chart-memory'] details").await;
    browser.text_when("[data-testid='chart-memory'] details", "MiB").await;
    if !variant.is_phone() {
        points(person).await;
    }
    person.taps("log-download").await;
    let download = browser.find("log-download-plain").await.attr("href").await.expect("readable").expect("an address");
    for found in ["log-download-plain", "metrics-download"] {
        let address = browser.find(found).await.attr("href").await.expect("readable").expect("an address");
        assert!(server.client().get(&address).await.expect(200).text().len() > 1_000, "{found} for {person}");
    }
    let text = server.client().get(&download).await.expect(200).text();
    assert!(text.ends_with("Killed\n"), "the log can be downloaded: {text:?}");
    browser.press("\u{e00c}").await;

    // The log on a page of its own: found, gone through, gone to by the time of day.
    person.goes_to(&format!("/runs/{failed}/log"), "log-lines", ("train-forecast", "train-forecast")).await;
    person.types("log-search", "UserWarning").await;
    person.reads("[data-testid='log-hits']", ("1 of 3", "1 von 3")).await;
    browser.press("\u{e007}").await;
    person.reads("[data-testid='log-hits']", ("2 of 3", "2 von 3")).await;
    browser.find_css(".ln-err.ln-now").await;
    let log = server.client().log_with(failed, "?timestamps=true").await;
    let log = String::from_utf8_lossy(&log);
    let line = log.lines().find(|line| line.contains("epoch 40")).expect("its 40th step");
    let at = line.split_whitespace().next().and_then(|at| at.parse::<DateTime<Utc>>().ok()).expect("a time");
    person.types("log-go", &format!("{}\u{e007}", at.with_timezone(&Local).format("%H:%M:%S"))).await;
    browser.text_when(".ln-target", "epoch 40").await;
    browser.tap(".crumbs a[href^='/runs/']").await;

    // Once more, and this time it works.
    browser.find("run-head").await;
    person.taps("retry").await;
    browser.find_css("[data-testid='run-head'][data-status='SUCCESS']").await;
    person.reads("[data-testid='outcome']", ("Succeeded", "Erfolgreich")).await;
    let tried = server.client().run(failed).await.retried_by.expect("a run came after it");
    assert_eq!(server.client().end_of(&tried).await.status, RunStatus::Success);
    // For whoever comes next it has not been tried again.
    server.sql("UPDATE runs SET retry_of = NULL, retried_by = NULL").await;
}

/// The pointer over a line of the log shows the moment in the charts, and a click on a chart shows the lines of that moment.
async fn points(person: &Person<'_>) {
    let browser = person.browser;
    person.counts(".chart-cursor", 0).await;
    let line = browser.find_css("[data-testid='log-lines'] .ln:nth-child(55) .ln-tx").await;
    browser.page.action_chain().move_to_element_center(&line).perform().await.expect("the pointer is moved");
    person.counts(".chart-cursor", 2).await;
    let area = browser.find_css("[data-testid='chart-memory'] .chart-area").await;
    browser.page.action_chain().move_to_element_center(&area).perform().await.expect("the pointer is moved");
    // In the middle it is what it was then: from 80 it went up by 1.4 MiB a second, for 303 seconds.
    browser.text_when("[data-testid='chart-memory'] .chart-now", "29").await;
    browser.page.action_chain().click().perform().await.expect("clicked");
    browser.text_when(".ln-target", "epoch 31").await;
}
