//! What the SPA weighs: people wait for it, so it may not grow unseen. And whom it talks to: this server alone.

use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::options::UvCache;
use fastflow_tests::{Options, Server, place};
use serde_json::json;

/// Most bytes of the program, compressed the way the server sends it.
const BUDGET: usize = 350_000;

#[test]
fn the_page_stays_within_its_budget() {
    let dist = place::repository().join("frontend/dist");
    let files = std::fs::read_dir(&dist).unwrap_or_else(|error| {
        panic!("{}: {error}; `scripts/web` builds the SPA", dist.display());
    });
    let program = files
        .map(|file| file.expect("the folder can be read").path())
        .find(|path| path.extension().is_some_and(|ending| ending == "wasm"))
        .expect("the SPA is WebAssembly");
    let bytes = std::fs::read(&program).expect("the program can be read");
    let mut packed = Vec::new();
    let best = brotli::enc::BrotliEncoderParams { quality: 11, ..Default::default() };
    brotli::BrotliCompress(&mut bytes.as_slice(), &mut packed, &best).expect("memory can be written");
    println!("{} bytes, {} compressed, {BUDGET} allowed", bytes.len(), packed.len());
    assert!(
        packed.len() <= BUDGET,
        "{} weighs {} bytes compressed, {BUDGET} are allowed: see “Weight” in frontend/README.md",
        program.display(),
        packed.len()
    );
}

#[tokio::test]
async fn the_first_load_is_over_within_a_second() {
    let server = Server::start(Options::new().env("FASTFLOW_TEST_ENGINE", "fake").uv_cache(UvCache::Own)).await;
    server.pipeline("one", "");
    let _ = server.client().post(fastflow_shared::routes::SYNC).await.expect(200);
    let browser = Browser::open(Look { width: 1440, height: 900, language: "en-US" }).await;
    let shown = "new MutationObserver(() => { if (!window.shown && document.querySelector(\"[data-testid='pipeline']\")) \
        requestAnimationFrame(() => setTimeout(() => { window.shown ??= performance.now(); })); \
        }).observe(document, { childList: true, subtree: true })";
    browser.before_each_page(shown).await;
    browser.sign_in(&server).await;
    // Nothing comes from the browser's cache. Once is enough: the machine may be busy with other stories.
    browser.tools("Network.enable", json!({})).await;
    browser.tools("Network.setCacheDisabled", json!({ "cacheDisabled": true })).await;
    let mut quickest = f64::MAX;
    for _ in 0..40 {
        browser.goto(&server.base()).await;
        browser.find("pipeline").await;
        browser.until("return window.shown > 0").await;
        let bytes =
            "return performance.getEntriesByType('resource').filter(one => one.name.endsWith('.wasm'))[0].transferSize";
        assert!(browser.run(bytes).await.as_u64() > Some(100_000), "it came over the wire");
        quickest = quickest.min(browser.run("return window.shown").await.as_f64().expect("a time"));
        if quickest < 1_000.0 {
            break;
        }
    }
    assert!(quickest < 1_000.0, "the dashboard is there after {quickest} ms at the earliest");
    browser.close().await;
}

#[tokio::test]
async fn no_page_asks_another_host() {
    let fake = Options::new().env("FASTFLOW_TEST_ENGINE", "fake").uv_cache(UvCache::Own);
    let server = Server::start(fake).await;
    let _ =
        server.pipeline("one", "").json(&json!({ "default_env": { "FAKE_PROGRAM": "out \u{1b}[31mhello\u{1b}[0m" } }));
    let client = server.client();
    let _ = client.post(fastflow_shared::routes::SYNC).await.expect(200);
    let run = client.run_well("one").await.id;
    let policy = client.get("/").await.expect(200).header("content-security-policy").expect("a policy");
    let sources = ["'self'", "'none'", "data:", "'wasm-unsafe-eval'"];
    for directive in policy.split(';') {
        let strange =
            directive.split_whitespace().skip(1).find(|one| !sources.contains(one) && !one.starts_with("'sha256-"));
        assert_eq!(strange, None, "{directive}");
    }

    let browser = Browser::open(Look { width: 1440, height: 900, language: "de-DE" }).await;
    // What the policy stops is not among the requests: that it was tried is.
    browser
        .before_each_page(
            "addEventListener('securitypolicyviolation', e => (window.stopped ??= []).push(e.blockedURI))",
        )
        .await;
    browser.sign_in(&server).await;
    let (of_run, its_log) = (format!("/runs/{run}"), format!("/runs/{run}/log"));
    let pages = [
        "/",
        "/pipelines",
        "/pipelines/one",
        "/runs",
        &of_run,
        &its_log,
        "/schedules",
        "/secrets",
        "/sync",
        "/system",
        "/storage",
        "/settings",
        "/users",
        "/audit",
        "/account",
        "/nowhere",
    ];
    for page in pages {
        browser.goto(&format!("{}{page}", server.base())).await;
        // Its data is there: nothing waits any more.
        browser.find_css("h1").await;
        let quiet = "const done = arguments[0]; let seen = -1; const look = () => { \
            const now = performance.getEntriesByType('resource').length; \
            if (now === seen && !document.querySelector('.skeleton')) done(); else { seen = now; setTimeout(look, 100); } }; look();";
        browser.run_async(quiet).await;
        let asked = browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)").await;
        let asked: Vec<String> = serde_json::from_value(asked).expect("addresses");
        let elsewhere: Vec<_> = asked.iter().filter(|name| !name.starts_with(&format!("{}/", server.base()))).collect();
        assert!(elsewhere.is_empty(), "{page}: {elsewhere:?}");
        assert_eq!(browser.run("return window.stopped ?? []").await, json!([]), "{page}");
        // The program and the texts of one language came, and from here: the list is not empty for another reason.
        assert!(asked.iter().any(|name| name.ends_with(".wasm")), "{page}: {asked:?}");
        let texts: Vec<_> = asked.iter().filter(|name| name.contains("/texts-")).collect();
        assert!(!texts.is_empty() && texts.iter().all(|name| name.contains("/texts-de-")), "{page}: {texts:?}");
    }
    browser.close().await;
}
