//! What was done by mistake is taken back from the message that tells of it, and then all is as it was, on the server too.

use fastflow_shared::{Job, Role, Setting, UserAccount, routes};
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::options::UvCache;
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Options, Server};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::json;

/// Good news stay until somebody is done with them, however busy the machine is.
const STAY: &str = "{ const { setTimeout } = window; \
    window.setTimeout = (what, after, ...more) => after === 6000 ? 0 : setTimeout(what, after, ...more); }";

/// A person in front of a server.
struct Place {
    server: Server,
    browser: Browser,
}

impl Place {
    async fn opens(&self, page: &str) {
        self.browser.goto(&format!("{}{page}", self.server.base())).await;
    }

    /// The only message that can be taken back is about this, and is.
    async fn takes_back(&self, what: &str) {
        self.browser.text_when("[data-testid='toast']:has([data-testid='undo'])", what).await;
        self.browser.click("[data-testid='undo']").await;
        self.browser.gone("[data-testid='undo']").await;
    }

    /// Waits until what the server lists at this address is so.
    async fn until_all<T: DeserializeOwned>(&self, what: &str, path: &str, wanted: impl Fn(&[T]) -> bool) {
        until(what, PATIENCE, async || wanted(&self.server.client().fetch::<Vec<T>>(path).await).then_some(())).await;
    }
}

#[tokio::test]
async fn a_change_is_taken_back_from_its_message() {
    let server = Server::start(Options::new().env("FASTFLOW_TEST_ENGINE", "fake").uv_cache(UvCache::Own)).await;
    let client = server.client();
    for name in ["alpha", "beta", "gamma"] {
        server.pipeline(name, "print(1)");
    }
    let _ = client.post(routes::SYNC).await.expect(200);
    let off = json!({ "enabled": false });
    let _ = client.write(Method::PATCH, &routes::pipeline("gamma"), &off).await.expect(200);
    client.new_user("ute", Role::Viewer).await;
    let job = json!({ "pipeline_name": "alpha", "trigger_type": "cron", "trigger_value": "30 12 * * *" });
    let job: Job = client.write(Method::POST, routes::JOBS, &job).await.expect(201).json();
    let browser = Browser::open(Look { width: 1440, height: 900, language: "en-US" }).await;
    browser.sign_in(&server).await;
    browser.before_each_page(STAY).await;
    let place = Place { server, browser };
    many_pipelines(&place).await;
    a_setting(&place).await;
    a_user(&place).await;
    a_schedule(&place, &job.id).await;
    place.browser.close().await;
}

async fn many_pipelines(place: &Place) {
    place.opens("/pipelines").await;
    let (browser, client) = (&place.browser, place.server.client());
    let switches = async |on: &[&str], off: &[&str]| {
        for (names, state) in [(on, true), (off, false)] {
            for name in names {
                browser.find_css(&format!("[data-name='{name}'] [data-testid='switch'][aria-checked='{state}']")).await;
                assert_eq!(client.pipeline(name).await.enabled, state, "{name}");
            }
        }
    };
    switches(&["alpha", "beta"], &["gamma"]).await;
    browser.click("[data-testid='choose-all']").await;
    browser.click("[data-testid='bulk-off']").await;
    switches(&[], &["alpha", "beta", "gamma"]).await;
    browser.picture("undo-many").await;
    place.takes_back("3 of 3 switched").await;
    // What was off before stays off.
    switches(&["alpha", "beta"], &["gamma"]).await;
}

async fn a_setting(place: &Place) {
    const NAME: &str = "MAX_CONCURRENT_RUNS";
    place.opens("/settings").await;
    let browser = &place.browser;
    let row = format!("[data-testid='setting'][data-name='{NAME}']");
    let changes = async |value: &str| {
        browser.tap(&format!("{row} [data-testid='setting-change']")).await;
        let field = browser.find("setting-value").await;
        field.clear().await.expect("cleared");
        field.send_keys(value).await.expect("typed");
        browser.click("[data-testid='setting-save']").await;
        browser.gone("dialog[open]").await;
    };
    let is = async |value: &str, changed: bool| {
        let origin = if changed { "[data-origin='changed']" } else { ":not([data-origin='changed'])" };
        browser.text_when(&format!("{row}{origin} .setting-value"), value).await;
        let so = |one: &Setting| one.name == NAME && one.value == value && one.changed_at.is_some() == changed;
        place.until_all(&format!("{NAME} = {value}"), routes::SETTINGS, |all| all.iter().any(so)).await;
    };
    let before = browser.find_css(&format!("{row} .setting-value")).await.text().await.expect("readable");
    changes("7").await;
    is("7", true).await;
    place.takes_back(NAME).await;
    is(&before, false).await;
    // To the value before, which was a change as well; and from the default to that.
    changes("7").await;
    is("7", true).await;
    changes("8").await;
    is("8", true).await;
    place.takes_back(NAME).await;
    is("7", true).await;
    browser.tap(&format!("{row} [data-testid='setting-reset']")).await;
    is(&before, false).await;
    place.takes_back(NAME).await;
    is("7", true).await;
}

async fn a_user(place: &Place) {
    place.opens("/users").await;
    let browser = &place.browser;
    let row = "[data-testid='user'][data-name='ute']";
    let is = async |role: Role, disabled: bool| {
        let shown = format!(
            "const row = document.querySelector({}); return row?.querySelector('select').value === '{}' \
             && row.querySelector('[role=switch]').ariaChecked === '{}'",
            json!(row),
            role.as_str(),
            !disabled
        );
        browser.until(&shown).await;
        let so = |one: &UserAccount| (one.username.as_str(), one.role, one.disabled) == ("ute", role, disabled);
        place.until_all("ute as wanted", routes::USERS, |all| all.iter().any(so)).await;
    };
    is(Role::Viewer, false).await;
    browser.click(&format!("{row} [data-testid='user-role'] option[value='admin']")).await;
    is(Role::Admin, false).await;
    place.takes_back("ute").await;
    is(Role::Viewer, false).await;
    browser.click(&format!("{row} [data-testid='user-switch']")).await;
    is(Role::Viewer, true).await;
    place.takes_back("ute").await;
    is(Role::Viewer, false).await;
}

async fn a_schedule(place: &Place, job: &str) {
    place.opens("/schedules").await;
    let browser = &place.browser;
    let is = async |on: bool| {
        browser.find_css(&format!("[data-testid='job-switch'][aria-checked='{on}']")).await;
        place.until_all("the schedule as wanted", routes::JOBS, |all: &[Job]| all[0].paused != on).await;
    };
    is(true).await;
    browser.click("[data-testid='job-switch']").await;
    is(false).await;
    place.takes_back("alpha").await;
    is(true).await;
    // What can no longer be taken back is told, with the reason.
    browser.click("[data-testid='job-switch']").await;
    is(false).await;
    let client = place.server.client();
    let _ = client.send(client.request(Method::DELETE, &routes::job(job))).await.expect(204);
    place.takes_back("alpha").await;
    browser.find("toast-bad").await;
}
