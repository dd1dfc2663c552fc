//! What is kept for runs, and what starts them: secrets and parameters; schedules with their calendar and editor.

use fastflow_tests::showcase;

use super::{Person, Place};

#[tokio::test]
async fn everybody_keeps_secrets_and_schedules() {
    let place = Place::open(showcase::options()).await;
    place
        .everybody(async |person| {
            keeps_a_secret(person).await;
            makes_a_schedule(person).await;
        })
        .await;
    place.browser.close().await;
}

async fn keeps_a_secret(person: &Person<'_>) {
    let browser = person.browser;
    person.comes_to("/secrets", "vault", ("Secrets & parameters", "Geheimnisse & Parameter")).await;
    let entry = "[data-key='NEW_TOKEN']";
    person.taps("vault-new").await;
    person.types("vault-key", "NEW_TOKEN").await;
    person.types("vault-value", "a value that is long enough").await;
    person.suits("vault-form").await;
    person.taps("vault-save").await;
    person.reads(entry, ("Hidden", "Verborgen")).await;
    browser.tap(&format!("{entry} [data-testid='vault-reveal']")).await;
    person.taps("confirm-yes").await;
    browser.text_when(entry, "a value that is long enough").await;
    person.suits("vault-revealed").await;
    browser.tap(&format!("{entry} [data-testid='vault-delete']")).await;
    person.confirms("NEW_TOKEN").await;
    browser.gone(entry).await;
}

async fn makes_a_schedule(person: &Person<'_>) {
    let browser = person.browser;
    person.goes_to("/schedules", "calendar", ("Schedules", "Zeitpläne")).await;
    // What has been planned by the code is in the calendar, and leads to its pipeline.
    browser.find_css("[data-testid='calendar'] a.due[href='/pipelines/orders-import']").await;
    person.reads("[data-testid='calendar'] .week", ("Mon ", "Mo. ")).await;
    let jobs = person.count("[data-testid='job']").await;
    person.taps("job-new").await;
    browser.tap("[data-testid='job-pipeline'] option[value='price-sync']").await;
    person.types("job-value", "0 25 * * *").await;
    browser.find_css("[data-testid='job-form'] .field-wrong").await;
    person.types("job-value", "45 5 * * 1").await;
    person.types("job-zone", "America/New_York").await;
    person.reads("[data-testid='sentence']", ("Monday", "Montag")).await;
    browser.text_when("[data-testid='sentence']", "05:45").await;
    // The next five times, in the person's zone and in the schedule's.
    person.counts("[data-testid='outlook'] tbody tr", 5).await;
    person.reads("[data-testid='outlook'] th:first-child", ("Your time", "Deine Zeit")).await;
    browser.text_when("[data-testid='outlook'] th:last-child", "America/New_York").await;
    person.suits("schedule-form").await;
    person.taps("job-save").await;
    browser.gone("[data-testid='job-form']").await;
    person.counts("[data-testid='job']", jobs + 1).await;
    let mine = "[data-testid='job']:has(a[href='/pipelines/price-sync'])";
    browser.tap(&format!("{mine} [data-testid='job-switch']")).await;
    browser.find_css(&format!("{mine} [data-testid='job-switch'][aria-checked='false']")).await;
    browser.tap(&format!("{mine} [data-testid='job-delete']")).await;
    person.confirms("price-sync").await;
    person.counts("[data-testid='job']", jobs).await;
}
