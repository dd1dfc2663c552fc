//! What the pages explain to somebody who has read no manual: what to do first, and what a schedule will do, before it is kept.

use std::collections::BTreeSet;

use fastflow_shared::{Job, Outlook, SyncSettingsChange, TriggerDraft, routes};
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::git::Repository;
use fastflow_tests::looks::{Theme, Variant};
use fastflow_tests::options::UvCache;
use fastflow_tests::{Options, Server};
use reqwest::Method;

/// Somebody at a desk who reads English, and somebody who reads German.
const READERS: [Variant; 2] = [
    Variant { language: "en-US", theme: Theme::Light, width: 1440 },
    Variant { language: "de-DE", theme: Theme::Light, width: 1440 },
];

async fn at_the_dashboard() -> (Server, Browser) {
    let server = Server::start(Options::new().env("FASTFLOW_TEST_ENGINE", "fake").uv_cache(UvCache::Own)).await;
    let browser = Browser::open(Look { width: 1440, height: 900, language: "en-US" }).await;
    browser.sign_in(&server).await;
    (server, browser)
}

#[tokio::test]
async fn the_first_visit_says_what_to_do_and_it_works() {
    let (server, browser) = at_the_dashboard().await;
    let explains = async |picture: &str| {
        for reader in READERS {
            browser.become_one_of(reader).await;
            browser.goto(&server.base()).await;
            let text = browser.find("first-visit").await.text().await.expect("readable");
            for wanted in [
                reader.says("No pipelines yet", "Noch keine Pipelines"),
                reader.says("in the pipelines repository", "im Pipelines-Repository"),
                reader.says(
                    "in PIPELINES_DIR: for example hello/",
                    "in PIPELINES_DIR einen Ordner an: zum Beispiel hello/",
                ),
                reader.says("Put a main.py into it.", "Lege eine main.py hinein."),
                reader.says("Sync. The pipeline appears here", "Abgleichen. Die Pipeline erscheint hier"),
            ] {
                assert!(text.contains(wanted), "{wanted:?} in {text:?}");
            }
            browser.rest().await;
            browser.picture(&format!("{picture}-{}", reader.name())).await;
        }
    };
    let hello = "[data-testid='pipeline'][data-name='hello']";

    // A plain folder: what is put into it is there by itself, and runs.
    explains("first-visit-folder").await;
    let pipeline = server.pipeline("hello", "print('Hello from a fresh container')");
    browser.find_css(hello).await;
    browser.gone("[data-testid='first-visit']").await;
    browser.click(&format!("{hello} [data-testid='run']")).await;
    browser.click("[data-testid='toast'] a").await;
    browser.find_css("[data-testid='run-head'][data-status='SUCCESS']").await;
    std::fs::remove_dir_all(pipeline.folder()).expect("it can be removed");

    // A repository without a pipeline: what is pushed is there after the sync that the last step names.
    let repository = Repository::new();
    repository.write("README.md", "Nothing yet").commit("Begin");
    let url = repository.bare().to_string_lossy().into_owned();
    let connect = SyncSettingsChange { repository_url: Some(url), ..SyncSettingsChange::default() };
    let client = server.client();
    let _ = client.write(Method::PUT, routes::SYNC_SETTINGS, &connect).await.expect(200);
    let _ = client.post(routes::SYNC).await.expect(200);
    explains("first-visit-repository").await;
    repository.write("hello/main.py", "print('Hello from a fresh container')").commit("Say hello");
    browser.click("[data-testid='first-visit'] button").await;
    browser.find_css(hello).await;
    browser.gone("[data-testid='first-visit']").await;
    browser.close().await;
}

/// What an expression meets when the clock is put on, and when it is put back, in English and in German.
type Meets = [(&'static str, &'static str); 2];

#[tokio::test]
async fn a_schedule_says_what_a_change_of_the_clock_does_to_it_before_it_is_kept() {
    let (server, browser) = at_the_dashboard().await;
    server.pipeline("hello", "print('hello')");
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    let fixed: Meets = [
        ("it fires once, at 03:00", "er startet einmal, um 03:00"),
        ("it fires the first time only", "er startet nur beim ersten Mal"),
    ];
    let steps: Meets = [
        ("its times in between do not exist and are left out", "seine Zeiten dazwischen gibt es nicht, sie entfallen"),
        ("it fires in both", "er startet beide Male"),
    ];
    // Where a change of last week comes again in a year and a few days, the other zone has its own within the year.
    let cases = [
        ("Europe/Berlin", "30 2 * * *", &fixed),
        ("Europe/Berlin", "*/20 * * * *", &steps),
        ("America/Chicago", "*/20 * * * *", &steps),
        // Nothing is due in the hour that changes.
        ("Europe/Berlin", "30 12 * * *", &fixed),
        ("UTC", "30 2 * * *", &fixed),
    ];
    for reader in READERS {
        browser.become_one_of(reader).await;
        browser.goto(&format!("{}/schedules", server.base())).await;
        browser.click("[data-testid='job-new']").await;
        let types = async |field: &str, text: &str| {
            let field = browser.find(field).await;
            field.clear().await.expect("cleared");
            field.send_keys(text).await.expect("typed");
        };
        let mut met = BTreeSet::new();
        for (zone, cron, meets) in cases {
            types("job-zone", zone).await;
            types("job-value", cron).await;
            let draft = TriggerDraft {
                trigger_value: cron.to_owned(),
                time_zone: Some(zone.to_owned()),
                ..TriggerDraft::default()
            };
            let outlook: Outlook = client.write(Method::POST, routes::EXPLAIN, &draft).await.expect(200).json();
            browser.text_when("[data-testid='outlook'] th:last-child", zone).await;
            let sentence = if reader == READERS[0] { &outlook.sentence.en } else { &outlook.sentence.de };
            browser.text_when("[data-testid='sentence']", sentence).await;
            let notes = browser
                .run("return [...document.querySelectorAll(\"[data-testid='outlook'] .notice\")].map(one => one.innerText)")
                .await;
            let notes: Vec<String> = serde_json::from_value(notes).expect("texts");
            let told = outlook.clock_changes.into_iter();
            let told: Vec<String> = told.map(|note| if reader == READERS[0] { note.en } else { note.de }).collect();
            assert_eq!(notes, told, "{cron} in {zone}");
            let nothing_due = zone == "UTC" || cron == "30 12 * * *";
            assert_eq!(notes.is_empty(), nothing_due, "{cron} in {zone}: {notes:?}");
            for note in &notes {
                let kind = meets.iter().position(|(english, german)| note.contains(reader.says(english, german)));
                met.insert(kind.unwrap_or_else(|| panic!("{cron} in {zone}: {note:?} says what happens")));
            }
        }
        assert_eq!(met.len(), 2, "within a year the clock is put on and put back");
        types("job-zone", "Europe/Berlin").await;
        browser.find_css("[data-testid='outlook'] .notice").await.scroll_into_view().await.expect("it is there");
        browser.picture(&format!("schedule-summer-time-{}", reader.name())).await;
    }
    assert_eq!(client.fetch::<Vec<Job>>(routes::JOBS).await.len(), 0, "nothing was kept");
    browser.close().await;
}
