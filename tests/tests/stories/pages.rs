//! The pages that one looks after pipelines with: many at once, their files, a year's runs by day, and what every page offers.

use fastflow_shared::{Pipeline, Role, SourceFile, SourceList, StartRun, routes};
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::options::UvCache;
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;
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
    let _ = Client::anonymous(&server.base()).get(&at("main.py")).await.expect(401);
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
    // The latest message is that of the one.
    browser.click("[data-testid='toast']:last-child [data-testid='undo']").await;
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
async fn statistics_begin_anew_and_the_runs_stay() {
    let fake = Options::new().env("FASTFLOW_TEST_ENGINE", "fake").uv_cache(UvCache::Own);
    let server = Server::start(fake).await;
    server.pipeline("counts", "print(1)");
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    for program in ["exit 0", "exit 3", "exit 0"] {
        let parameters = [("FAKE_PROGRAM".to_owned(), program.to_owned())].into();
        let run = client.start_with("counts", &StartRun { parameters, ..StartRun::default() }).await;
        client.end_of(&run.id).await;
    }
    let job = json!({ "pipeline_name": "counts", "trigger_type": "cron", "trigger_value": "30 12 29 2 *",
        "time_zone": "America/Argentina/ComodRivadavia" });
    let _ = client.write(Method::POST, routes::JOBS, &job).await.expect(201);
    let _vera = client.new_user("vera", Role::Viewer).await;
    let browser = signed_in(&server, Look { width: 1440, height: 900, language: "en-US" }).await;
    let page = format!("{}/pipelines/counts", server.base());
    let figures = async || {
        let read = "return [...document.querySelectorAll(\"[data-testid='stats'] dd\")].map(one => one.innerText)";
        serde_json::from_value::<Vec<String>>(browser.run(read).await).expect("texts")
    };
    browser.goto(&page).await;
    browser.text_when("[data-testid='stats'] dd", "%").await;
    let before = figures().await;
    assert_eq!(before[..3], ["66.7 %", "3", "1"], "{before:?}");
    assert!(before[3..].iter().all(|took| took.ends_with('s')), "{before:?}");
    // Beside them stands a schedule in words, however many it takes.
    browser.text_when("[data-testid='pipeline-schedules']", "ComodRivadavia").await;
    assert!(browser.overhang().await <= 0, "the page does not scroll sideways");
    let cut = "const next = document.querySelector(\"[data-testid='pipeline-schedules'] dd\"); return next.scrollWidth - next.clientWidth";
    assert_eq!(browser.run(cut).await, 0, "the next time is read whole");

    // Only its name opens the way, and who thinks better of it has changed nothing.
    for sure in [false, true] {
        browser.click("[data-testid='reset-stats']").await;
        browser.text_when("dialog[open]", "The runs themselves and their logs stay.").await;
        assert_eq!(browser.run("return document.querySelector('[data-testid=confirm-yes]').disabled").await, true);
        browser.find("confirm-name").await.send_keys("counts").await.expect("typed");
        if sure {
            browser.click("[data-testid='confirm-yes']").await;
        } else {
            browser.press("\u{e00c}").await;
            browser.gone("dialog[open]").await;
            assert_eq!((figures().await, client.stats("counts").await.total_runs), (before.clone(), 3));
        }
    }
    browser.text_when("[data-testid='stats'] dd", "–").await;
    assert_eq!(figures().await, ["–", "0", "0", "–", "–"]);
    browser.text_when("[data-testid='stats'] h2", "since").await;
    let stats = client.stats("counts").await;
    assert_eq!((stats.total_runs, stats.mean_duration_seconds, stats.p95_duration_seconds), (0, None, None));
    assert_eq!(client.runs().await.len(), 3, "the runs stay");
    browser.goto(&format!("{page}?tab=runs")).await;
    browser.find_css("[data-testid='run-row']:nth-child(3)").await;

    // A viewer is not offered what would be refused.
    client.run_to_end("counts").await;
    browser.page.delete_all_cookies().await.expect("forgotten");
    browser.goto(&page).await;
    browser.find("username").await.send_keys("vera").await.expect("typed");
    browser.find("password").await.send_keys("a quiet word of veras").await.expect("typed");
    browser.click("[data-testid='login-submit']").await;
    browser.text_when("[data-testid='stats'] dd", "100 %").await;
    let seen = "return getComputedStyle(document.querySelector('[data-testid=reset-stats]')).display";
    assert_eq!(browser.run(seen).await, "none");
    let hidden = ["choose", "choose-all", "run", "switch", "sync", "job-new", "job-run", "job-edit", "job-delete"];
    for (page, shows) in [("pipelines", "pipeline"), ("schedules", "job")] {
        browser.goto(&format!("{}/{page}", server.base())).await;
        browser.find(shows).await;
        for testid in hidden {
            let shown = format!("return document.querySelector('[data-testid={testid}]')?.checkVisibility() ?? false");
            assert_eq!(browser.run(&shown).await, false, "{testid} on {page}");
        }
    }
    browser.close().await;
}

/// Notes whom the page asks and how often its line of events was made, and holds back the answers to what is asked of one path.
const NOTED: &str = "const real = window.fetch; window.asked = []; window.held = null; window.lines = 0; \
    window.EventSource = class extends EventSource { \
    constructor(...all) { super(...all); this.addEventListener('open', () => window.lines++); } }; \
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

    // A run changes one row, and no other is read again; all of them only after a cut of the line, as any other story's new
    // network may bring about in this browser.
    let cuts = async || browser.run("return window.lines").await.as_u64().expect("a number");
    let (lists, line) = (asked(routes::PIPELINES).await, cuts().await);
    let run = client.start("two").await;
    client.end_of(&run.id).await;
    browser.find_css("[data-name='two'] .strip .cell.tone-good a").await;
    let (again, one) = (asked(routes::PIPELINES).await - lists, asked(&routes::pipeline("one")).await);
    assert!(again <= cuts().await - line && one == 0, "all of them {again} times, another one {one} times");
    assert!(asked(&routes::pipeline("two")).await > 0);

    // Back from elsewhere the list stands there before the server has answered, and what happened meanwhile is read by itself.
    let elsewhere = async || {
        browser.click(".side-nav a[href='/users']").await;
        browser.find("users").await;
    };
    elsewhere().await;
    browser.run(&format!("window.held = {}", json!(routes::pipeline("three")))).await;
    let run = client.start("three").await;
    client.end_of(&run.id).await;
    browser.click(".side-nav a[href='/pipelines']").await;
    browser.find_css("[data-name='two'] .strip .cell.tone-good a").await;
    elsewhere().await;
    browser.run("window.held = null").await;
    browser.click(".side-nav a[href='/pipelines']").await;
    browser.find_css("[data-name='three'] .strip .cell.tone-good a").await;
    elsewhere().await;
    browser.run(&format!("window.held = {}", json!(routes::PIPELINES))).await;
    browser.click(".side-nav a[href='/pipelines']").await;
    browser.find_css("[data-name='three'] .strip .cell.tone-good a").await;

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
