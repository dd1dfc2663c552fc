//! What the main pages look like: compared with the pictures in `tests/looks`, which a person has reviewed.
//!
//! `FASTFLOW_BLESS=1 scripts/test the_pages_look_as_they_were_reviewed` makes them anew, `FASTFLOW_BLESS=1 scripts/test
//! the_documentation_shows` those in `docs/images`.

use chrono::{DateTime, TimeZone as _, Utc};
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::looks::{Theme, WIDTHS};
use fastflow_tests::{Server, compare, place, showcase};

/// The moment at which all of these pages are looked at.
fn then() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 18, 9, 41, 0).single().expect("a moment")
}

/// What is different each time is the same again: times, sizes on the disk, what the pipelines' folder is part of, and the year's
/// squares, whose first day depends on the server's clock. By a sheet of the document's own: the policy refuses any other.
const SAME: &str = "
const sheet = new CSSStyleSheet();
sheet.replaceSync(`.gauge, .heat, .toast, .sync-link, .week a { visibility: hidden !important }
    [data-testid=sync-status], [data-testid=environment] .facts, [data-testid=storage-next] tr:nth-child(n+2) { display: none !important }
    .week, .week ol { height: 120px !important; overflow: hidden !important }`);
document.adoptedStyleSheets = [sheet];
const say = (css, text) => document.querySelectorAll(css).forEach(one => {
    const walk = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
    let first = true;
    for (let node; (node = walk.nextNode()); first = false) node.nodeValue = first ? text : '';
});
say('time', '1 h');
say('.gauge-row .num, .facts dd, [data-testid=storage-parts] .num, [data-testid=storage-next] td', '0');
say('[data-testid=storage-parts] strong', 'part');
say('.week h3', '00');
say('#year-title', 'A year');
say('[data-testid=sync-log]', 'log');
";

async fn signed_in(server: &Server, frozen: Option<DateTime<Utc>>) -> Browser {
    let browser = Browser::open(Look { width: 1440, height: 900, language: "en-US" }).await;
    if let Some(at) = frozen {
        browser.freeze(at).await;
    }
    browser.sign_in(server).await;
    browser
}

/// Waits until a run's page has the last line of the log and has drawn it.
async fn all_of_its_log(browser: &Browser, page: &str) {
    if page.starts_with("/runs/") {
        browser.find_css("[data-testid='log-link'][data-state='is-idle']").await;
    }
}

#[tokio::test]
async fn the_pages_look_as_they_were_reviewed() {
    let server = Server::start(showcase::options()).await;
    let seen = showcase::fill(&server, then(), false).await;
    let browser = signed_in(&server, Some(then())).await;
    let (run, log) = (format!("/runs/{}", seen.failed), format!("/runs/{}/log", seen.failed));
    let pages = [
        ("dashboard", "/", "year"),
        ("pipelines", "/pipelines", "pipelines"),
        ("pipeline", "/pipelines/orders-import", "chart-peaks"),
        ("runs", "/runs", "runs"),
        ("run", run.as_str(), "chart-memory"),
        ("log", log.as_str(), "log-lines"),
        ("schedules", "/schedules", "calendar"),
        ("vault", "/secrets", "vault"),
        ("sync", "/sync", "sync-pipelines"),
        ("storage", "/storage", "back-up"),
    ];
    let mut found = Vec::new();
    for (name, page, shows) in pages {
        for width in WIDTHS {
            browser.wear(width, Theme::Light).await;
            browser.goto(&format!("{}{page}", server.base())).await;
            browser.find(shows).await;
            all_of_its_log(&browser, page).await;
            for theme in Theme::ALL {
                browser.wear(width, theme).await;
                browser.rest().await;
                browser.run(SAME).await;
                browser.rest().await;
                let png = browser.page.screenshot_as_png().await.expect("a picture of the page");
                let name = format!("{name}-{}-{width}", theme.name());
                std::fs::write(place::screenshots().join(format!("{name}.png")), &png).expect("written");
                // A phone's picture is half as wide to begin with.
                found.extend(compare::compare(&name, &png, if width < 500 { 2 } else { 4 }).err());
            }
        }
    }
    // A judge that never complains is none.
    if std::env::var_os("FASTFLOW_BLESS").is_none() {
        browser.run("document.querySelector('h1').style.marginTop = '60px'").await;
        let png = browser.page.screenshot_as_png().await.expect("a picture of the page");
        let moved = compare::compare("storage-dark-390", &png, 2);
        assert!(moved.is_err(), "a page whose content has moved is refused");
        for kind in ["actual", "difference"] {
            let _ = std::fs::remove_file(place::screenshots().join(format!("storage-dark-390-{kind}.png")));
        }
    }
    browser.close().await;
    assert!(found.is_empty(), "{}\nWhen they are meant to look so: FASTFLOW_BLESS=1", found.join("\n"));
}

#[tokio::test]
async fn the_documentation_shows_pages_as_they_are() {
    let images = place::repository().join("docs/images");
    let shown = ["dashboard", "run-page", "schedules"];
    if std::env::var_os("FASTFLOW_BLESS").is_some() {
        let server = Server::start(showcase::options()).await;
        let seen = showcase::fill(&server, Utc::now(), true).await;
        let browser = signed_in(&server, None).await;
        let run = format!("/runs/{}", seen.failed);
        for (name, (page, shows)) in
            shown.into_iter().zip([("/", "year"), (run.as_str(), "chart-memory"), ("/schedules", "calendar")])
        {
            browser.wear(WIDTHS[0], Theme::Light).await;
            browser.goto(&format!("{}{page}", server.base())).await;
            browser.find(shows).await;
            all_of_its_log(&browser, page).await;
            browser.rest().await;
            let png = browser.page.screenshot_as_png().await.expect("a picture of the page");
            compare::store_with_palette(&images.join(format!("{name}.png")), &png);
        }
        browser.close().await;
    }
    let mut texts = std::fs::read_to_string(place::repository().join("README.md")).expect("README.md");
    for entry in std::fs::read_dir(place::repository().join("docs")).expect("docs").flatten() {
        texts += &std::fs::read_to_string(entry.path()).unwrap_or_default();
    }
    for name in shown {
        let bytes = std::fs::metadata(images.join(format!("{name}.png"))).expect("the picture is there").len();
        assert!(bytes < 150_000, "{name}.png has {bytes} bytes");
        assert!(texts.contains(&format!("images/{name}.png")), "nobody shows {name}.png");
    }
}
