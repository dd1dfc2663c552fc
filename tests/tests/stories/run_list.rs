//! The list of runs: ordered by the heads of its columns, narrowed by its filters; both are in the address.

use std::collections::BTreeSet;

use fastflow_shared::{JobDraft, JobSwitch, RunPage, Trigger, TriggerType, routes};
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::options::UvCache;
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;
use serde_json::{Value, json};

/// A browser that is logged in and shows the dashboard.
async fn signed_in(server: &Server) -> Browser {
    let browser = Browser::open(Look { width: 1440, height: 900, language: "en-US" }).await;
    browser.sign_in(server).await;
    browser
}

#[tokio::test]
async fn runs_are_ordered_by_the_heads_of_their_columns() {
    let fake = Options::new().env("FASTFLOW_TEST_ENGINE", "fake").uv_cache(UvCache::Own);
    let server = Server::start(fake).await;
    for name in ["slow", "quick"] {
        server.pipeline(name, "print(1)");
    }
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    for name in ["quick", "slow", "quick"] {
        client.run_well(name).await;
    }
    server
        .sql("UPDATE runs SET finished_at = started_at + CASE pipeline_name WHEN 'slow' THEN 61000 ELSE 2000 END")
        .await;

    let page: RunPage = client.fetch(&format!("{}?order=longest&limit=2", routes::RUNS)).await;
    assert_eq!(page.items[0].pipeline_name, "slow");
    let cursor = page.next_cursor.expect("there is one more");
    let last: RunPage = client.fetch(&format!("{}?order=longest&limit=2&cursor={cursor}", routes::RUNS)).await;
    assert_eq!((last.items.len(), last.next_cursor), (1, None));
    // The place of one order says nothing in another.
    let _ = client.get(&format!("{}?cursor={cursor}", routes::RUNS)).await.problem(422, "invalid_values");

    let browser = signed_in(&server).await;
    browser.goto(&format!("{}/runs", server.base())).await;
    let head = |sort: &str| format!("[data-testid='runs'] th:nth-child(4)[aria-sort='{sort}'] button");
    let first = async |name: &str| {
        browser.text_when("[data-testid='run-row']:first-child .run-name", name).await;
    };
    first("quick").await;
    browser.click(&head("none")).await;
    first("slow").await;
    assert_eq!(browser.run("return location.search").await, "?order=longest");
    // By keyboard: the head is still what has the focus.
    browser.find_css(&head("descending")).await.send_keys("\u{e007}").await.expect("typed");
    browser.find_css(&head("ascending")).await;
    first("quick").await;
    browser.picture("runs-shortest").await;
    // A reload keeps it, and the other column ends it.
    browser.goto(&format!("{}/runs?order=longest", server.base())).await;
    first("slow").await;
    browser.click("[data-testid='runs'] th:nth-child(5) button").await;
    first("quick").await;
    assert_eq!(browser.run("return location.search").await, "");
    browser.close().await;
}

#[tokio::test]
async fn runs_are_narrowed_to_what_started_them() {
    let fake = Options::new().env("FASTFLOW_TEST_ENGINE", "fake").uv_cache(UvCache::Own);
    let server = Server::start(fake).await;
    server.pipeline("works", "print(1)");
    let retries = json!({ "type": "custom_schedule", "delays": [0.1] });
    server
        .pipeline("fails", "print(1)")
        .json(&json!({ "default_env": { "FAKE_PROGRAM": "exit 3" }, "retry_attempts": 1,
        "retry_strategy": retries }));
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    // A program, a person with a browser, a schedule, and the policy of one that fails.
    client.run_well("works").await;
    let person = Client::browser(&server.base(), USER, PASSWORD).await;
    person.run_well("works").await;
    person.run_to_end("fails").await;
    let draft = JobDraft {
        pipeline_name: "works".to_owned(),
        trigger_type: TriggerType::Interval,
        trigger_value: "1".to_owned(),
        ..JobDraft::default()
    };
    let job: Value = client.write(Method::POST, routes::JOBS, &draft).await.expect(201).json();
    let of = async |trigger: Trigger| client.runs().await.into_iter().filter(move |run| run.trigger == trigger);
    until("a run of the schedule and a second attempt", PATIENCE, async || {
        (of(Trigger::Schedule).await.count() > 0 && of(Trigger::Retry).await.count() > 0).then_some(())
    })
    .await;
    let job = routes::job(job["id"].as_str().expect("an id"));
    let _ = client.write(Method::PATCH, &job, &JobSwitch { enabled: false }).await.expect(200);
    client.idle().await;

    let browser = signed_in(&server).await;
    browser.goto(&format!("{}/runs", server.base())).await;
    let listed = async || {
        let read =
            "return [...document.querySelectorAll(\"[data-testid='run-row'] .run-link\")].map(one => one.pathname)";
        serde_json::from_value::<BTreeSet<String>>(browser.run(read).await).expect("addresses")
    };
    let words = [
        (Trigger::Manual, "Manual"),
        (Trigger::Api, "API"),
        (Trigger::Schedule, "Schedule"),
        (Trigger::Retry, "Retry"),
    ];
    assert_eq!(words.map(|(trigger, _)| trigger), Trigger::ALL, "each that exists");
    for (trigger, word) in words {
        let wanted: BTreeSet<String> = of(trigger).await.map(|run| format!("/runs/{}", run.id)).collect();
        assert!(!wanted.is_empty() && wanted.len() < client.runs().await.len(), "{trigger:?}: {wanted:?}");
        let only_they = async |how: &str| {
            until(&format!("only what {trigger:?} started, {how}"), PATIENCE, async || {
                (listed().await == wanted).then_some(())
            })
            .await;
            assert_eq!(browser.run("return location.search").await, format!("?trigger={}", trigger.as_str()));
            let chosen = "return document.querySelector('[data-testid=filter-trigger]').selectedOptions[0].text";
            assert_eq!(browser.run(chosen).await, word);
        };
        browser.click(&format!("[data-testid='filter-trigger'] option[value='{}']", trigger.as_str())).await;
        only_they("by the choice").await;
        browser.page.refresh().await.expect("read again");
        only_they("after a reload").await;
    }
    browser.picture("runs-of-a-trigger").await;
    browser.click("[data-testid='filter-trigger'] option[value='']").await;
    let all = client.runs().await.len();
    until("all of them again", PATIENCE, async || (listed().await.len() == all).then_some(())).await;
    assert_eq!(browser.run("return location.search").await, "");
    browser.close().await;
}
