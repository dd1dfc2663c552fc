//! The pages in a browser, with 500 pipelines and 10,000 stored runs: how long a person waits, what a tab keeps, what many cost.
//!
//! Times are taken by the page: from the action to the frame after the one in which its result is drawn. So a frame of 16 ms is
//! in each of them, and the server's answer where the action asks for one.

use std::fmt::Write as _;
use std::time::Duration;

use fastflow_shared::routes;
use fastflow_tests::Server;
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::wait::until;
use serde_json::json;
use sqlx::any::AnyPoolOptions;
use sqlx::{AssertSqlSafe, Executor};

use crate::database::migrate;
use crate::fake::{megabytes, options};
use crate::report::{Report, Table, Times, both};
use crate::usage;

const PIPELINES: usize = 500;
const RUNS: usize = 10_000;

/// Actions of each kind, and loads.
const ASKED: usize = 20;

/// Minutes that a tab follows a flood, unless `WEB_MINUTES` says otherwise.
const MINUTES: u64 = 10;

/// Tabs that are open at the same time.
const TABS: usize = 20;

/// Notes when the page first showed what it is for, and where its program keeps its memory.
const WATCH: &str = "\
    new MutationObserver((_, watch) => { \
        if (!document.querySelector(\"[data-testid='pipeline']\")) return; \
        watch.disconnect(); \
        requestAnimationFrame(() => setTimeout(() => { window.drawn = performance.now(); })); \
    }).observe(document, { childList: true, subtree: true }); \
    addEventListener('TrunkApplicationStarted', event => { window.wasm = event.detail.wasm; });";

pub async fn part(report: &mut Report) {
    let server = filled().await;
    let browser = Browser::open(Look { width: 1440, height: 900, language: "en-US" }).await;
    browser.before_each_page(WATCH).await;
    browser.sign_in(&server).await;
    let mut waits = Table::new("web", &["in the browser", "median / p95"]).note(format!(
        "{ASKED} of each, with {PIPELINES} pipelines and {RUNS} stored runs. A load is from the start of the navigation, an action \
         from the key or click, both to the frame after the result is drawn; the server's answers are in it."
    ));
    loads(&browser, &server, &mut waits).await;
    actions(&browser, &server, &mut waits).await;
    report.add(waits);
    report.add(crate::web_log::jumps(&browser, &server).await);
    report.add(flood(&browser, &server).await);
    report.add(tabs(&browser, &server).await);
    browser.close().await;
}

/// A server with all of that in its database.
async fn filled() -> Server {
    let mut server = Server::prepare(options()).await;
    std::fs::create_dir_all(server.data_dir()).expect("a folder");
    for number in 0..PIPELINES {
        let settings = json!({
            "description": format!("Number {number} of many"),
            "tags": [format!("team-{}", number % 7)],
            "default_env": { "FAKE_PROGRAM": "out hello" },
        });
        let _ = server.pipeline(&format!("p{number}"), "print('hello')").json(&settings);
    }
    let flood = json!({ "default_env": { "FAKE_PROGRAM": "lines 100000000 1ms" } });
    let _ = server.pipeline("flood", "print('hello')").json(&flood);
    let url = format!("sqlite://{}?mode=rwc", server.data_dir().join("fastflow.db").display());
    sqlx::any::install_default_drivers();
    let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await.expect("the database opens");
    pool.execute("PRAGMA journal_mode = WAL").await.expect("WAL");
    migrate(&pool, None).await;
    let begin = chrono::Utc::now().timestamp_millis() - i64::try_from(RUNS).expect("fits") * 60_000;
    let fill = format!(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {}) \
         INSERT INTO runs (id, pipeline_name, status, trigger_kind, attempt, max_attempts, created_at, queued_at, \
         started_at, finished_at, exit_code, error_type, code_path, environment_key, image) \
         SELECT '01900000-0000-7000-8000-00000' || CAST(1000000 + i AS TEXT), 'p' || CAST(i * 7 % {PIPELINES} AS TEXT), \
         CASE WHEN i % 10 = 0 THEN 'FAILED' ELSE 'SUCCESS' END, 'schedule', 1, 1, {begin} + i * 60000, {begin} + i * 60000, \
         {begin} + i * 60000 + 10, {begin} + i * 60000 + 10 + i * 37 % 90000, CASE WHEN i % 10 = 0 THEN 1 ELSE 0 END, \
         CASE WHEN i % 10 = 0 THEN 'exit_code' ELSE NULL END, '/data/code/0123456789abcdef/p', \
         '0123456789abcdef0123456789abcdef', 'worker:1' FROM n",
        RUNS - 1
    );
    pool.execute(sqlx::raw_sql(AssertSqlSafe(fill))).await.expect("filled");
    pool.close().await;
    server.launch().await;
    until("all pipelines", Duration::from_secs(120), async || {
        let answer = server.client().get(routes::PIPELINES).await;
        answer.text().contains("\"p499\"").then_some(())
    })
    .await;
    server
}

async fn loads(browser: &Browser, server: &Server, table: &mut Table) {
    browser.tools("Network.enable", json!({})).await;
    for (what, cold) in [("first load", true), ("load with the browser's cache", false)] {
        browser.tools("Network.setCacheDisabled", json!({ "cacheDisabled": cold })).await;
        let (mut painted, mut drawn) = (Times::default(), Times::default());
        for _ in 0..ASKED {
            browser.goto(&server.base()).await;
            let shown = until("the dashboard", Duration::from_secs(60), async || {
                browser.run("return window.drawn ?? null").await.as_f64()
            })
            .await;
            drawn.push(millis(shown));
            let paint = "return performance.getEntriesByName('first-contentful-paint')[0].startTime";
            painted.push(millis(browser.run(paint).await.as_f64().expect("a time")));
        }
        table.row(&[&format!("{what}: the first thing is drawn"), &both(&painted)]);
        table.row(&[&format!("{what}: the dashboard with its pipelines is drawn"), &both(&drawn)]);
    }
}

fn millis(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.max(0.0) / 1000.0)
}

/// What a person does: on which page, what is done the n-th time, and what is on the page then. `n` and `$` are known to both.
const ACTIONS: [(&str, &str, &str, &str); 9] = [
    (
        "type into the search of 500 pipelines",
        "/pipelines",
        "const field = $(\"[data-testid='filter']\"); field.value = n % 2 ? '' : 'p4' + n % 10; \
         field.dispatchEvent(new InputEvent('input', { bubbles: true }))",
        "n % 2 ? $$(\"[data-testid='pipeline']\").length > 20 : $$(\"[data-testid='pipeline']\").length <= 11",
    ),
    (
        "choose a tag",
        "/pipelines",
        "$$('.chips button')[n % 2 ? 0 : 1 + n / 2 % 7].click()",
        "$$('.chips button')[n % 2 ? 0 : 1 + n / 2 % 7].getAttribute('aria-pressed') === 'true'",
    ),
    (
        "open the palette",
        "/runs",
        "if (n % 2) $('dialog[open]').dispatchEvent(new Event('cancel', { cancelable: true })); \
         else document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'k', ctrlKey: true, bubbles: true }))",
        "n % 2 ? !$('dialog[open]') : $('dialog[open] [role=option]')",
    ),
    (
        "type into the palette",
        "palette",
        "const field = $('dialog[open] input'); field.value = 'p' + (100 + n * 7); \
         field.dispatchEvent(new InputEvent('input', { bubbles: true }))",
        "[...$$('dialog[open] [role=option]')].some(one => one.textContent.includes('p' + (100 + n * 7)))",
    ),
    (
        "filter the runs by their status",
        "/runs",
        "const field = $(\"[data-testid='filter-status']\"); field.value = n % 2 ? 'SUCCESS' : 'FAILED'; \
         field.dispatchEvent(new Event('change', { bubbles: true }))",
        "$(`[data-testid='run-row'][data-status='${n % 2 ? 'SUCCESS' : 'FAILED'}']`) \
         && !$(`[data-testid='run-row'][data-status='${n % 2 ? 'FAILED' : 'SUCCESS'}']`)",
    ),
    (
        "order the runs by duration",
        "/runs",
        "window.before = $(\"[data-testid='run-row'] .run-took\").textContent; $('th:nth-child(4) .sort').click()",
        "$(\"[data-testid='run-row'] .run-took\") && $(\"[data-testid='run-row'] .run-took\").textContent !== window.before",
    ),
    (
        "show 50 more runs",
        "/runs",
        "window.before = $$(\"[data-testid='run-row']\").length; $(\"[data-testid='load-more']\").click()",
        "$$(\"[data-testid='run-row']\").length > window.before",
    ),
    (
        "from the runs to the pipelines and back",
        "/runs",
        "$(n % 2 ? \"nav a[href='/runs']\" : \"nav a[href='/pipelines']\").click()",
        "n % 2 ? $(\"[data-testid='run-row']\") : $(\"[data-testid='pipeline']\")",
    ),
    (
        "from the runs to a run and back",
        "/runs",
        "if (n % 2) history.back(); else $('.run-link').click()",
        "n % 2 ? $(\"[data-testid='run-row']\") : $(\"[data-testid='run-head']\")",
    ),
];

async fn actions(browser: &Browser, server: &Server, table: &mut Table) {
    for (what, page, act, seen) in ACTIONS {
        let address = if page == "palette" { "/runs" } else { page };
        browser.goto(&format!("{}{address}", server.base())).await;
        browser.find_css("[data-testid='run-row'], [data-testid='pipeline']").await;
        if page == "palette" {
            browser.run("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'k', ctrlKey: true, bubbles: true }))").await;
            browser.find_css("dialog[open] [role=option]").await;
        }
        let mut times = Times::default();
        for n in 0..ASKED {
            let script = format!(
                "const done = arguments[0], n = {n}, $ = css => document.querySelector(css), \
                 $$ = css => document.querySelectorAll(css); \
                 requestAnimationFrame(() => setTimeout(() => {{ \
                     const begin = performance.now(); {{ {act} }} \
                     const look = () => {{ \
                         let there = false; try {{ there = {seen}; }} catch {{}} \
                         if (there) requestAnimationFrame(() => setTimeout(() => done(performance.now() - begin))); \
                         else if (performance.now() - begin > 20000) done(null); \
                         else setTimeout(look); \
                     }}; look(); \
                 }}));"
            );
            let took = browser.run_async(&script).await.as_f64();
            times.push(millis(took.unwrap_or_else(|| panic!("{what}, the {n}th time: nothing was drawn"))));
        }
        table.row(&[what, &both(&times)]);
    }
}

/// What a tab holds after a collection, in MB: its objects, the memory of the program.
async fn held(browser: &Browser) -> (f64, f64) {
    browser.tools("HeapProfiler.collectGarbage", json!({})).await;
    let metrics = browser.tools("Performance.getMetrics", json!({})).await;
    let of = |name: &str| {
        let all = metrics["metrics"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|metric| metric["name"] == name).and_then(|metric| metric["value"].as_f64())
    };
    let wasm = browser.run("return window.wasm.memory.buffer.byteLength").await;
    let mb = 1_048_576.0;
    (of("JSHeapUsedSize").expect("a size") / mb, wasm.as_f64().expect("a size") / mb)
}

async fn flood(browser: &Browser, server: &Server) -> Table {
    let minutes = std::env::var("WEB_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(MINUTES);
    let run = server.client().start("flood").await.id;
    browser.goto(&format!("{}/runs/{run}", server.base())).await;
    browser.find_css("[data-testid='log-lines'] > *").await;
    browser.tools("Performance.enable", json!({})).await;
    // The ring of lines is full before the first figure is taken.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let mut table = Table::new("web_flood", &["minute", "objects of the page", "memory of the program"]);
    let mut seen = Vec::new();
    for minute in 0..=minutes {
        if minute > 0 {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let (objects, program) = held(browser).await;
        seen.push(objects + program);
        table.row(&[&minute.to_string(), &megabytes(objects), &megabytes(program)]);
    }
    let _ = server.client().cancel(&run).await;
    server.client().idle().await;
    let (first, last) = (seen.first().copied().unwrap_or_default(), seen.last().copied().unwrap_or_default());
    table.note(format!(
        "A tab that follows a run of 1,000 lines a second, after a collection each: {:+.1} MB in {minutes} \
         minutes.",
        last - first
    ))
}

async fn tabs(browser: &Browser, server: &Server) -> Table {
    let mut windows = vec![browser.page.window().await.expect("a window")];
    browser.goto(&server.base()).await;
    for _ in 1..TABS {
        let tab = browser.page.new_tab().await.expect("a tab");
        browser.page.switch_to_window(tab.clone()).await.expect("the tab");
        browser.goto(&server.base()).await;
        browser.find("now").await;
        windows.push(tab);
    }
    // Tabs in the background let go of their streams after ten seconds.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (cpu, begin) = (usage::cpu(server), chrono::Utc::now().timestamp_millis());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (spent, end) = (usage::cpu(server) - cpu, chrono::Utc::now().timestamp_millis());
    let mut requests = 0;
    for window in &windows {
        browser.page.switch_to_window(window.clone()).await.expect("the tab");
        let mut script = "const at = entry => performance.timeOrigin + entry.startTime; ".to_owned();
        // Writing into a String cannot fail.
        let _ = write!(
            script,
            "return performance.getEntriesByType('resource').filter(one => at(one) >= {begin} && at(one) < {end}).length"
        );
        requests += browser.run(&script).await.as_u64().unwrap_or_default();
    }
    for window in windows.iter().skip(1) {
        browser.page.switch_to_window(window.clone()).await.expect("the tab");
        browser.page.close_window().await.expect("closed");
    }
    browser.page.switch_to_window(windows[0].clone()).await.expect("the tab");
    let share = spent.as_secs_f64() / 60.0 * 100.0;
    let mut table = Table::new("web_tabs", &["one browser with 20 tabs, while nothing runs", "in a minute"]);
    table.row(&["share of a core that the server needs", &format!("{share:.2} %")]);
    table.row(&["requests of all tabs", &requests.to_string()]);
    table
}
