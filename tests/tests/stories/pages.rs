//! The pages that one looks after pipelines with: many at once, their files, a year's runs by day, and what every page offers.

use fastflow_shared::{Pipeline, Role, RunPage, SourceFile, SourceList, routes};
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::options::UvCache;
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::{Options, Server};
use serde_json::json;

/// A browser that is logged in and shows the dashboard.
async fn signed_in(server: &Server, look: Look) -> Browser {
    let browser = Browser::open(look).await;
    browser.sign_in(server).await;
    browser
}

#[tokio::test]
async fn the_files_of_a_pipeline_can_be_read_and_nothing_else() {
    let server = Server::start(Options::new()).await;
    let pipeline = server.pipeline("reads", "print('hällo')");
    std::fs::create_dir(pipeline.folder().join("lib")).expect("a folder");
    pipeline.file("lib/part.py", "A = 1\n").file(".env", "SECRET=1\n");
    server.pipeline("other", "print('other')");
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);

    let list: SourceList = client.fetch(&routes::pipeline_files("reads")).await;
    let paths: Vec<&str> = list.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["main.py", "lib/part.py"]);
    let at = |path: &str| format!("{}?path={}", routes::pipeline_file("reads"), routes::segment(path));
    let viewer = client.new_user("vera", Role::Viewer).await;
    let file: SourceFile = viewer.fetch(&at("main.py")).await;
    assert_eq!((file.text.as_deref(), file.truncated), (Some("print('hällo')"), false));
    for bad in ["../other/main.py", "/etc/passwd", ".env", "lib", "lib/../../other/main.py", "none.py"] {
        let _ = client.get(&at(bad)).await.problem(404, "file_not_found");
    }
    let _ = client.get(&routes::pipeline_files("nobody")).await.problem(404, "pipeline_not_found");
    let _ = fastflow_tests::Client::anonymous(&server.base()).get(&at("main.py")).await.expect(401);
}

#[tokio::test]
async fn a_person_looks_after_many_pipelines_at_once() {
    let server = Server::start(Options::new()).await;
    for name in ["alpha", "beta", "gamma"] {
        let tags = if name == "gamma" { json!(["late"]) } else { json!(["early"]) };
        server.pipeline(name, "import os\nprint('ran')").json(&json!({ "tags": tags }));
    }
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    let browser = signed_in(&server, Look { width: 1440, height: 900, language: "en-US" }).await;

    // Search and tags are in the address, so that a link keeps them.
    browser.goto(&format!("{}/pipelines?tag=early", server.base())).await;
    browser.find_css("[data-testid='pipeline'][data-name='beta']").await;
    let rows = "return document.querySelectorAll(\"[data-testid='pipeline']\").length";
    assert_eq!(browser.run(rows).await, 2);
    browser.find("filter").await.send_keys("alp").await.expect("typed");
    browser.find_css("[data-testid='pipelines'] > :only-child[data-name='alpha']").await;
    assert_eq!(browser.run("return location.search").await, "?q=alp&tag=early");

    // Both of a tag are switched off, and one is switched on again from the message.
    browser.goto(&format!("{}/pipelines?tag=early", server.base())).await;
    browser.click("[data-testid='choose-all']").await;
    browser.text_when("[data-testid='bulk']", "2 selected").await;
    browser.picture("pipelines-bulk").await;
    browser.click("[data-testid='bulk-off']").await;
    browser.text_when("[data-testid='toast']", "2 of 2 switched").await;
    browser.find_css("[data-name='alpha'] [data-testid='switch'][aria-checked='false']").await;
    assert!(!client.pipeline("beta").await.enabled && client.pipeline("gamma").await.enabled);
    browser.click("[data-name='alpha'] [data-testid='switch']").await;
    browser.find_css("[data-name='alpha'] [data-testid='switch'][aria-checked='true']").await;
    browser.click("[data-testid='undo']").await;
    browser.find_css("[data-name='alpha'] [data-testid='switch'][aria-checked='false']").await;
    browser.click("[data-name='alpha'] [data-testid='switch']").await;
    browser.find_css("[data-name='alpha'] [data-testid='switch'][aria-checked='true']").await;

    // All are started; what is off is told.
    browser.goto(&format!("{}/pipelines", server.base())).await;
    browser.find_css("[data-testid='pipeline'][data-name='gamma']").await;
    browser.click("[data-testid='choose-all']").await;
    browser.click("[data-testid='bulk-run']").await;
    browser.click("[data-testid='confirm-yes']").await;
    browser.text_when("[data-testid='toast']", "2 of 3 started").await;
    browser.find("toast-bad").await;
    client.idle().await;
    let mut ran: Vec<String> = client.runs().await.into_iter().map(|run| run.pipeline_name).collect();
    ran.sort();
    assert_eq!(ran, ["alpha", "gamma"]);

    // The source, by way of its tab.
    browser.goto(&format!("{}/pipelines/alpha", server.base())).await;
    browser.click("[data-testid='tab-source']").await;
    browser.text_when("[data-testid='source-text']", "import os").await;
    assert_eq!(browser.run("return document.querySelector('.src-w').textContent").await, "import");
    browser.picture("pipeline-source").await;

    // Runs of a time that has none, and of all time.
    browser.goto(&format!("{}/runs?to=2020-01-01", server.base())).await;
    browser.find("empty").await;
    browser.goto(&format!("{}/runs?from=2020-01-01", server.base())).await;
    browser.text_when("[data-testid='runs']", "alpha").await;
    browser.close().await;
}

#[tokio::test]
async fn every_page_has_a_palette_a_help_sheet_a_title_and_a_way_back() {
    let server = Server::start(Options::new()).await;
    server.pipeline("first", "print(1)");
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    let run = client.run_well("first").await;
    let browser = signed_in(&server, Look { width: 1440, height: 900, language: "de-DE" }).await;

    // By keyboard alone: the palette finds a pipeline and goes there.
    browser.find_css("body").await.send_keys("\u{e009}k").await.expect("typed");
    browser.find_css("dialog[open]").await;
    browser.find_css("dialog[open] input").await.send_keys("first\u{e007}").await.expect("typed");
    browser.find("pipeline-page").await;
    assert_eq!(browser.run("return document.title").await, "first · Fast-Flow");
    browser.find_css("body").await.send_keys("?").await.expect("typed");
    browser.text_when("dialog[open]", "Tastenkürzel").await;
    browser.picture("help").await;
    browser.find_css("dialog[open]").await.send_keys("\u{e00c}").await.expect("typed");

    // The crumb leads up, the address of a run is a page of its own, and nothing is where nothing is.
    browser.click("nav.crumbs a").await;
    browser.find("pipelines-page").await;
    browser.goto(&format!("{}/runs/{}", server.base(), run.id)).await;
    browser.find_css("[data-testid='run-head'][data-status='SUCCESS']").await;
    browser.find("warmth").await;
    let icon = browser.run("return document.getElementById('favicon').getAttribute('href')").await;
    assert_eq!(icon, "/favicon-good.svg");
    browser.goto(&format!("{}/no/such/page", server.base())).await;
    browser.find("lost").await;
    browser.close().await;
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

    let browser = signed_in(&server, Look { width: 1440, height: 900, language: "en-US" }).await;
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

/// Notes whom the page asks, and holds back the answers to what is asked of one path.
const NOTED: &str = "const real = window.fetch; window.asked = []; window.held = null; \
    window.fetch = (request, ...more) => { const url = new URL(request.url ?? request, location); \
    window.asked.push(url.pathname); \
    return url.pathname === window.held ? new Promise(() => {}) : real(request, ...more); }";

#[tokio::test]
async fn the_list_is_there_at_once_and_only_what_changed_is_read_again() {
    let server = Server::start(Options::new().env("FASTFLOW_TEST_ENGINE", "fake").uv_cache(UvCache::Own)).await;
    for name in ["one", "two", "three"] {
        let _ = server.pipeline(name, "").json(&json!({ "default_env": { "FAKE_PROGRAM": "out hello" } }));
    }
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    let browser = Browser::open(Look { width: 1440, height: 900, language: "en-US" }).await;
    browser.before_each_page(NOTED).await;
    browser.sign_in(&server).await;
    browser.click(".side-nav a[href='/pipelines']").await;
    browser.find_css("[data-testid='pipelines-page'] [data-name='two']").await;
    let asked = async |path: &str| {
        let count = format!("return window.asked.filter(one => one === {}).length", json!(path));
        browser.run(&count).await.as_u64().expect("a number")
    };

    // A run changes one row, and no other is read again.
    let before = asked(routes::PIPELINES).await;
    let run = client.start("two").await;
    client.end_of(&run.id).await;
    browser.find_css("[data-name='two'] .strip .cell.tone-good a").await;
    assert_eq!((asked(routes::PIPELINES).await, asked(&routes::pipeline("one")).await), (before, 0));
    assert!(asked(&routes::pipeline("two")).await > 0);

    // Back from elsewhere the list stands there before the server has answered.
    browser.click(".side-nav a[href='/users']").await;
    browser.find("users").await;
    browser.run(&format!("window.held = {}", json!(routes::PIPELINES))).await;
    browser.click(".side-nav a[href='/pipelines']").await;
    browser.find_css("[data-name='two'] .strip .cell.tone-good a").await;
    assert_eq!(asked(routes::PIPELINES).await, before + 1, "and is read again");

    // Whoever signs in next sees nothing of it.
    browser.click("[data-testid='account']").await;
    browser.click("[data-testid='sign-out']").await;
    browser.find("username").await.send_keys(USER).await.expect("typed");
    browser.find("password").await.send_keys(PASSWORD).await.expect("typed");
    browser.click("[data-testid='login-submit']").await;
    browser.find_css(".skeleton.is-shown").await;
    assert_eq!(browser.run("return document.querySelectorAll('[data-testid=pipeline]').length").await, 0);
    browser.close().await;

    // Lists of names need no runs.
    let list = async |most: &str| client.get(&format!("{}?latest_runs={most}", routes::PIPELINES)).await;
    for (most, runs) in [("0", 0), ("1", 1), ("20", 1)] {
        let all: Vec<Pipeline> = list(most).await.expect(200).json();
        let two = all.iter().find(|pipeline| pipeline.name == "two").expect("listed");
        assert_eq!((all.len(), two.latest_runs.len()), (3, runs), "{most}");
    }
    let _ = list("21").await.problem(422, "invalid_values");
}
