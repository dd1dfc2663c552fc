//! What an admin comes for: settings, storage, the server itself, the repository, people, tokens, sessions, the audit log.

use fastflow_shared::routes;
use fastflow_tests::git::Repository;
use fastflow_tests::options::Database;
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Client, showcase};
use serde_json::Value;

use super::{Person, Place};

#[tokio::test]
async fn everybody_who_is_an_admin_looks_after_the_server() {
    // Backups are SQLite's; whoever has PostgreSQL makes them with its own tools.
    let place = Place::open(showcase::options().database(Database::Sqlite)).await;
    let repository = Repository::new();
    repository.write("first/main.py", "print('first')").commit("Begin");
    place
        .everybody(async |person| {
            changes_a_setting(person).await;
            looks_at_the_disk(person).await;
            connects_a_repository(person, &repository).await;
        })
        .await;
    place.browser.close().await;
}

#[tokio::test]
async fn everybody_who_is_an_admin_looks_after_people() {
    let place = Place::open(showcase::options()).await;
    place
        .everybody(async |person| {
            looks_after_people(person).await;
            looks_after_the_own_account(person).await;
        })
        .await;
    place.browser.close().await;
}

async fn changes_a_setting(person: &Person<'_>) {
    let (browser, server) = (person.browser, person.server);
    person.comes_to("/system", "chores", ("System", "System")).await;
    browser.find_css("[data-testid='readiness'][data-ready='true']").await;
    person.reads("[data-testid='readiness']", ("Ready to work", "Bereit")).await;
    person.goes_to("/settings", "setting", ("Settings", "Einstellungen")).await;
    let row = "[data-name='MAX_CONCURRENT_RUNS']";
    browser.tap(&format!("{row} [data-testid='setting-change']")).await;
    person.types("setting-value", "none").await;
    person.taps("setting-save").await;
    browser.find_css("[data-testid='setting-form'] .field-wrong").await;
    person.types("setting-value", "7").await;
    person.suits("setting-form").await;
    person.taps("setting-save").await;
    browser.find_css(&format!("{row} [data-testid='setting-reset']")).await;
    assert_eq!(server.client().overview().await.max_concurrent_runs, 7, "at once");
    browser.tap(&format!("{row} [data-testid='setting-reset']")).await;
    browser.gone(&format!("{row} [data-testid='setting-reset']")).await;
    assert_ne!(server.client().overview().await.max_concurrent_runs, 7);
}

async fn looks_at_the_disk(person: &Person<'_>) {
    person.goes_to("/system", "chores", ("System", "System")).await;
    person.goes_to("/storage", "storage-parts", ("Storage", "Speicher")).await;
    // What takes the room.
    person.browser.find_css("[data-testid='storage-part'][data-kind='database']").await;
    let backups = person.count("[data-testid='backup']").await;
    person.taps("back-up").await;
    person.counts("[data-testid='backup']", backups + 1).await;
    person.reads("[data-testid='toast']:last-child", ("The backup is made", "Die Sicherung ist gemacht")).await;
}

async fn connects_a_repository(person: &Person<'_>, repository: &Repository) {
    let browser = person.browser;
    person.goes_to("/system", "chores", ("System", "System")).await;
    person.goes_to("/sync", "sync-pipelines", ("Code", "Code")).await;
    // A connection is tested before anything is saved.
    person.taps("sync-settings").await;
    let url = browser.find_css("#sync-repository_url").await;
    for (address, answer) in [("http://127.0.0.1:1/none.git", "bad"), (&*repository.bare().to_string_lossy(), "good")] {
        url.clear().await.expect("cleared");
        url.send_keys(address).await.expect("typed");
        person.taps("sync-test").await;
        browser.find_css(&format!("[data-testid='sync-tested'].tone-{answer}")).await;
    }
    person.suits("sync-test").await;
    // The first of them keeps it, and a sync begins; the others push and sync by hand. Its log comes while it works.
    let name = format!("hello-{}", person.number);
    let pushed = repository.write(&format!("{name}/main.py"), "print('hello')").commit(&format!("Say {name}"));
    if person.number == 0 {
        person.taps("sync-save").await;
        browser.gone("dialog[open]").await;
    } else {
        browser.press("\u{e00c}").await;
        browser.gone("dialog[open]").await;
        person.taps("sync-now").await;
    }
    browser.find_css(&format!("[data-testid='sync-status'][data-commit='{pushed}']")).await;
    person.reads(&format!("[data-testid='sync-pipeline'][data-name='{name}']"), ("added", "neu")).await;
    browser.text_when("[data-testid='sync-log']", &format!("Say {name}")).await;
    person.suits("synced").await;
}

async fn looks_after_people(person: &Person<'_>) {
    let (browser, name) = (person.browser, format!("vera-{}", person.number));
    person.comes_to("/users", "users", ("Users", "Benutzer")).await;
    person.taps("user-new").await;
    person.types("user-name", &name).await;
    person.taps("user-save").await;
    let password = browser.find("once-text").await.text().await.expect("readable");
    person.suits("user-once").await;
    person.taps("once-close").await;
    // Who was told the password can sign in, and as what the role says.
    let row = format!("[data-testid='user'][data-name='{name}']");
    browser.tap(&format!("{row} [data-testid='user-role'] option[value='operator']")).await;
    until("the new role", PATIENCE, async || {
        let login: Value = person.server.anonymous().login(&name, &password).await.expect(200).json();
        (login["user"]["role"] == "operator").then_some(())
    })
    .await;
    browser.tap(&format!("{row} [data-testid='user-delete']")).await;
    person.confirms(&name).await;
    browser.gone(&row).await;
    // All of it is in the audit log, by filter.
    person.goes_to("/audit", "audit", ("Audit log", "Protokoll")).await;
    browser.tap("[data-testid='audit-action'] option[value='user.']").await;
    browser.text_when("[data-testid='audit-entry'][data-action='user.delete']", &name).await;
    assert_eq!(person.count("[data-testid='audit-entry']:not([data-action^='user.'])").await, 0, "for {person}");
    assert_eq!(browser.run("return location.search").await, "?action=user.");
    person.suits("audit-filtered").await;
}

async fn looks_after_the_own_account(person: &Person<'_>) {
    let browser = person.browser;
    person.taps("account").await;
    person.goes_to("/account", "account-page", ("My account", "Mein Konto")).await;
    browser.find("session").await;
    // Another of one's own sessions is ended.
    let sessions = person.count("[data-testid='session']").await;
    let other = Client::browser(&person.server.base(), USER, PASSWORD).await;
    let _ = other.get(routes::ME).await.expect(200);
    browser.page.refresh().await.expect("read again");
    person.counts("[data-testid='session']", sessions + 1).await;
    person.taps("end-others").await;
    person.counts("[data-testid='session']", 1).await;
    let _ = other.get(routes::ME).await.expect(401);
    // A token works as soon as it is shown, and no longer than it is wanted.
    person.types("token-name", "deploy").await;
    person.taps("token-create").await;
    let token = browser.text_when("[data-testid='once-text']", "ff_").await;
    person.suits("token-once").await;
    let program = person.server.anonymous().with_token(&token);
    let _ = program.get(routes::ME).await.expect(200);
    person.taps("once-close").await;
    browser.text_when("[data-testid='token']", "deploy").await;
    person.taps("token-delete").await;
    person.confirms("deploy").await;
    browser.gone("[data-testid='token']").await;
    let _ = program.get(routes::ME).await.expect(401);
}
