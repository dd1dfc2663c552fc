//! Settings that an admin changes while the server works.

use std::time::Duration;

use fastflow_shared::{Role, Setting, SettingChange, routes};
use fastflow_tests::options::Database;
use fastflow_tests::wait::until;
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;

const SLEEPS: &str = "import time\nprint('on')\ntime.sleep(60)";

async fn change(client: &Client, name: &str, value: &str) -> Setting {
    let change = SettingChange { value: value.to_owned() };
    client.write(Method::PUT, &routes::setting(name), &change).await.expect(200).json()
}

async fn setting(client: &Client, name: &str) -> Setting {
    let all: Vec<Setting> = client.fetch(routes::SETTINGS).await;
    all.into_iter().find(|setting| setting.name == name).expect("listed")
}

async fn a_change_holds_at_once(database: Database) {
    let mut server =
        Server::start(Options::new().database(database).env("MAX_CONCURRENT_RUNS", "1").env("MAX_QUEUED_RUNS", "1"))
            .await;
    let client = server.client().clone();
    server.pipeline("sleeps", SLEEPS);
    let before = setting(&client, "MAX_CONCURRENT_RUNS").await;
    assert_eq!((before.value.as_str(), before.origin.as_str(), before.changeable), ("1", "environment", true));

    let (first, second) = (client.start("sleeps").await, client.start("sleeps").await);
    client.running(&first.id).await;
    let _ = client.try_start("sleeps").await.problem(429, "queue_full");
    let changed = change(&client, "MAX_CONCURRENT_RUNS", "2").await;
    assert_eq!((changed.value.as_str(), changed.origin.as_str()), ("2", "changed"));
    assert_eq!(changed.changed_by.as_deref(), Some("admin"));
    assert_eq!((changed.otherwise.as_deref(), changed.otherwise_origin.as_deref()), (Some("1"), Some("environment")));
    // Who waited in the queue is admitted without anything else happening.
    client.running(&second.id).await;
    assert_eq!(client.overview().await.max_concurrent_runs, 2);
    for run in [&first, &second] {
        let _ = client.cancel(&run.id).await;
        client.end_of(&run.id).await;
    }

    // Checked as the environment's values are.
    let bad = SettingChange { value: "many".to_owned() };
    let problem =
        client.write(Method::PUT, &routes::setting("MAX_QUEUED_RUNS"), &bad).await.problem(422, "invalid_values");
    assert_eq!(problem.errors[0].field, "MAX_QUEUED_RUNS");
    assert!(problem.errors[0].message.contains("a whole number from 0 to 100000"), "{problem:?}");
    let fixed = SettingChange { value: "0.0.0.0:1".to_owned() };
    let _ = client.write(Method::PUT, &routes::setting("BIND_ADDRESS"), &fixed).await.problem(409, "setting_fixed");
    let _ = client.write(Method::PUT, &routes::setting("NONSENSE"), &fixed).await.problem(404, "setting_not_found");

    server.restart().await;
    assert_eq!(server.client().overview().await.max_concurrent_runs, 2, "it is stored");
    let back: Setting =
        client.send(client.request(Method::DELETE, &routes::setting("MAX_CONCURRENT_RUNS"))).await.expect(200).json();
    assert_eq!((back.value.as_str(), back.origin.as_str(), back.changed_by), ("1", "environment", None));
    assert_eq!(client.overview().await.max_concurrent_runs, 1);

    let log = client.audit("action=setting.change").await;
    let entry = log.iter().find(|entry| entry.target.as_deref() == Some("MAX_CONCURRENT_RUNS")).expect("audited");
    let detail = |name: &str| entry.detail.get(name).map(String::as_str);
    assert_eq!((detail("from"), detail("to")), (Some("1"), Some("2")));
    assert_eq!(client.audit("action=setting.reset").await.len(), 1);
}

#[tokio::test]
async fn a_change_holds_at_once_is_kept_and_can_be_taken_back_on_sqlite() {
    a_change_holds_at_once(Database::Sqlite).await;
}

#[tokio::test]
async fn a_change_holds_at_once_is_kept_and_can_be_taken_back_on_postgresql() {
    a_change_holds_at_once(Database::Postgres).await;
}

#[tokio::test]
async fn limits_of_logs_and_intervals_hold_for_what_comes_next_and_secrets_are_not_shown() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("talks", "for n in range(40000): print('x' * 50)");
    change(client, "LOG_MAX_SIZE_MB", "1").await;
    let run = client.run_well("talks").await;
    assert!(client.log_text(&run.id).await.contains("[fastflow] "), "cut off with a mark");
    change(client, "STORAGE_INTERVAL_MINUTES", "77").await;
    until("the chore's new interval", Duration::from_secs(5), async || {
        let chores: Vec<fastflow_shared::Chore> = client.fetch(routes::CHORES).await;
        let chore = chores.into_iter().find(|chore| chore.name == "storage").expect("listed");
        (chore.interval_seconds > 77.0 * 59.0).then_some(())
    })
    .await;
    change(client, "WARM_CONTAINERS", "1").await;
    until("a container that waits", Duration::from_secs(30), async || {
        (client.overview().await.warm_ready == 1).then_some(())
    })
    .await;
    change(client, "WARM_CONTAINERS", "0").await;
    until("no container that waits", Duration::from_secs(30), async || {
        (client.overview().await.warm_ready == 0).then_some(())
    })
    .await;

    assert_eq!(setting(client, "ADMIN_PASSWORD").await.value, "(hidden)");
    let text = client.get(routes::SETTINGS).await.text();
    assert!(!text.contains(fastflow_tests::server::PASSWORD), "no secret in {text}");
    let operator = client.new_user("op", Role::Operator).await;
    let _ = operator.get(routes::SETTINGS).await.problem(403, "role_too_low");
}
