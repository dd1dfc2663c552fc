//! From the dashboard to a pipeline and through its page: dashboard, pipelines, pipeline page, what is not there.

use std::collections::BTreeSet;

use fastflow_shared::routes;
use fastflow_tests::looks::Theme;
use fastflow_tests::{Server, showcase};

use super::{Person, Place};

#[tokio::test]
async fn everybody_looks_after_pipelines() {
    let server = Server::start(showcase::options()).await;
    for number in 0..8 {
        let asks = serde_json::json!({ "secrets": ["DATABASE_URL", "NOBODY_KEEPS_THIS"] });
        let _ = server.pipeline(&spare(number), "print('not for long')").json(&asks);
    }
    let place = Place::fill(server).await;
    place
        .everybody(async |person| {
            overlooks(person).await;
            chooses(person).await;
            looks_through_one(person).await;
            deletes_one(person).await;
            if person.variant.theme == Theme::Light && person.says(("en", "de")) == "en" {
                goes_by_keyboard(person).await;
            }
        })
        .await;
    place.browser.close().await;
}

/// The pipeline that one of them deletes.
fn spare(number: usize) -> String {
    format!("spare-{number}")
}

async fn overlooks(person: &Person<'_>) {
    let browser = person.browser;
    person.comes_to("/", "year", ("Dashboard", "Übersicht")).await;
    person.reads("[data-testid='now']", ("Nothing runs.", "Nichts läuft.")).await;
    person
        .reads("[data-testid='failures']", ("Failed in the last 24 hours", "In den letzten 24 Stunden fehlgeschlagen"))
        .await;
    browser.text_when("[data-testid='failures']", "512 MB").await;
    let row = "[data-testid='pipeline'][data-name='orders-import']";
    for shown in ["next-fire", "switch", "run", "run-with"] {
        browser.find_css(&format!("{row} [data-testid='{shown}']")).await;
    }
    browser.text_when(&format!("{row} .prow-facts"), "2 CPU · 512 MiB").await;
    person.reads(&format!("{row} .prow-facts"), ("Environment: Ready", "Umgebung: Bereit")).await;
    // Switched off by mistake, and back from the message.
    browser.tap(&format!("{row} [data-testid='switch']")).await;
    browser.find_css(&format!("{row} [data-testid='switch'][aria-checked='false']")).await;
    person.taps("undo").await;
    browser.find_css(&format!("{row} [data-testid='switch'][aria-checked='true']")).await;
    // What has to be given is asked for, then the run is under way.
    browser.tap("[data-testid='pipeline'][data-name='daily-report'] [data-testid='run']").await;
    browser.find("start-dialog").await;
    browser
        .find_css("[data-testid='start-dialog'] input[required]")
        .await
        .send_keys("2026-11-18")
        .await
        .expect("typed");
    person.suits("start-form").await;
    person.taps("start-submit").await;
    browser.gone("[data-testid='start-dialog']").await;
    let run = person.server.client().runs().await.into_iter().find(|run| run.pipeline_name == "daily-report");
    let run = run.expect("it was started");
    assert_eq!(run.parameters.get("DAY").map(String::as_str), Some("2026-11-18"), "for {person}");
    person.server.client().end_of(&run.id).await;
}

async fn chooses(person: &Person<'_>) {
    let browser = person.browser;
    person.goes_to("/pipelines", "pipelines", ("Pipelines", "Pipelines")).await;
    person.types("filter", "import").await;
    person.counts("[data-testid='pipeline']", 2).await;
    browser.tap("[data-testid='filter-state'] option[value='broken']").await;
    person.counts("[data-testid='pipeline']", 1).await;
    assert_eq!(browser.run("return location.search").await, "?q=import&state=broken", "for {person}");
    person.taps("choose-all").await;
    person.reads("[data-testid='bulk']", ("1 selected", "1 ausgewählt")).await;
    person.suits("pipelines-chosen").await;
}

async fn looks_through_one(person: &Person<'_>) {
    let browser = person.browser;
    // The palette, by keys alone, finds a pipeline and goes there.
    browser.find_css("h1").await;
    browser.run("document.activeElement.blur()").await;
    browser.press("\u{e009}k").await;
    browser.text_when("[data-testid='palette']", "orders-import").await;
    browser.press("orders-import\u{e007}").await;
    person.is_at("chart-peaks", ("orders-import", "orders-import")).await;
    person.reads("[data-testid='stats'] .figures", ("Success rate", "Erfolgsquote")).await;
    person.unfolds("[data-testid='chart-durations'] details").await;
    browser.find_css("[data-testid='chart-durations'] details td").await;
    browser.find_css("[data-testid='pipeline-schedules'] time").await;
    for (tab, shows) in [("runs", "runs"), ("source", "source-text"), ("settings", "delete-pipeline")] {
        person.taps(&format!("tab-{tab}")).await;
        person.is_at(shows, ("orders-import", "orders-import")).await;
    }
    // What a run of it receives, by name: its own secrets, none of another pipeline.
    person.reads("[data-testid='pipeline-inputs']", ("Secret", "Geheimnis")).await;
    let names = browser.text_when("[data-testid='pipeline-inputs']", "DATABASE_URL").await;
    assert!(names.contains("REGION") && !names.contains("MAIL_TOKEN"), "for {person}: {names}");
}

async fn deletes_one(person: &Person<'_>) {
    let name = spare(person.number);
    person.opens(&format!("/pipelines/{name}?tab=settings"), "delete-pipeline", ("spare", "spare")).await;
    // It asks for one secret that there is, and for one that there is not: that is why no run of it would start.
    let given = person.browser.text_when("[data-testid='pipeline-inputs']", "DATABASE_URL").await;
    assert!(given.contains("REGION"), "parameters need not be asked for: {given}");
    person.reads("[data-testid='secret-missing']", ("Missing", "Fehlt")).await;
    person.browser.text_when("[data-testid='secret-missing']", "NOBODY_KEEPS_THIS").await;
    person.taps("delete-pipeline").await;
    person.confirms(&name).await;
    person.is_at("now", ("Dashboard", "Übersicht")).await;
    let _ = person.server.client().get(&routes::pipeline(&name)).await.problem(404, "pipeline_not_found");
    let nothing = ("There is nothing at this address", "Unter dieser Adresse ist nichts");
    person.opens(&format!("/pipelines/{name}"), "lost", nothing).await;
    person.reads("[data-testid='lost']", ("renamed or removed", "umbenannt oder entfernt")).await;
    person.goes_to("/runs", "runs", ("Runs", "Läufe")).await;
}

/// Tab by tab everything can be reached, and one sees where one is.
async fn goes_by_keyboard(person: &Person<'_>) {
    let browser = person.browser;
    person.opens("/pipelines", "pipelines", ("Pipelines", "Pipelines")).await;
    browser.run("document.activeElement.blur()").await;
    let mut seen = BTreeSet::new();
    for _ in 0..60 {
        browser.press("\u{e004}").await;
        let found = browser
            .run(
                "const one = document.activeElement; return [one.dataset.testid || one.getAttribute('href') || one.tagName, \
                 [one, one.parentElement].some(one => { const how = one && getComputedStyle(one); \
                 return how && (how.outlineStyle !== 'none' || how.boxShadow !== 'none') })]",
            )
            .await;
        let place = found[0].as_str().unwrap_or_default().to_owned();
        if !["BODY", "HTML"].contains(&place.as_str()) {
            assert_eq!(found[1], true, "{person} sees that {place} has the focus");
        }
        seen.insert(place);
    }
    for wanted in ["#main", "open-palette", "/runs", "filter", "choose-all", "choose", "switch", "run"] {
        assert!(seen.contains(wanted), "{wanted} is reached by Tab: {seen:?}");
    }
}
