//! The door itself: headers, foreign pages, proxies, large bodies, and everything that is no token.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use fastflow_shared::{CSRF_HEADER, Role, User, routes};
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::http::{self, Response};
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;

#[tokio::test]
async fn every_answer_tells_the_browser_what_it_may_not_do() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    for path in ["/", "/runs/x", "/docs", "/openapi.json", "/health", routes::RUNS, "/api/nothing", "/nothing.js"] {
        let answer = client.get(path).await;
        for (name, expected) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name).as_deref(), Some(expected), "{path} {name}");
        }
        assert!(answer.header("permissions-policy").is_some_and(|text| text.contains("camera=()")), "{path}");
        assert_eq!(answer.header("strict-transport-security"), None, "{path}: not without https");
        if path.starts_with("/api") {
            assert_eq!(answer.header("cache-control").as_deref(), Some("no-store"), "{path}");
        }
        if !["/openapi.json", "/health", "/nothing.js"].contains(&path) {
            let policy = answer.header("content-security-policy").expect("a policy");
            assert!(
                policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
                "{path} {policy}"
            );
            let scripts = policy.split(';').find(|part| part.trim().starts_with("script-src")).unwrap_or_default();
            assert!(!scripts.contains("unsafe-inline") && !scripts.contains("'unsafe-eval'"), "{path} {scripts}");
        }
    }
}

#[tokio::test]
async fn a_foreign_page_changes_nothing() {
    let server = Server::start(Options::new()).await;
    server.pipeline("hello", "print('hello')");
    let browser = Client::browser(&server.base(), USER, PASSWORD).await;
    let start = async |headers: &[(&str, &str)]| {
        let mut request = browser.request(Method::POST, &routes::pipeline_run("hello"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        browser.send(request).await
    };
    let own = server.base();
    for headers in [
        [("Sec-Fetch-Site", "cross-site")].as_slice(),
        &[("Sec-Fetch-Site", "same-site"), ("Origin", &own)],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Origin", "http://127.0.0.1:1")],
    ] {
        let _ = start(headers).await.problem(403, "cross_origin");
    }
    // A program with a token as well: no page may use one that it got hold of.
    let client = server.client();
    let request = client.request(Method::POST, routes::SYNC).header("Origin", "https://evil.example");
    let _ = client.send(request).await.problem(403, "cross_origin");
    // Nor does it log anybody in.
    let login = json!({ "username": USER, "password": PASSWORD });
    let request =
        server.anonymous().request(Method::POST, routes::LOGIN).json(&login).header("Sec-Fetch-Site", "cross-site");
    let answer = client.send(request).await;
    assert_eq!(answer.header("set-cookie"), None);
    let _ = answer.problem(403, "cross_origin");
    assert_eq!(client.runs().await.len(), 0, "nothing was started");
    for headers in [[("Origin", own.as_str())].as_slice(), &[("Sec-Fetch-Site", "same-origin")], &[]] {
        let _ = start(headers).await.expect(201);
    }
}

/// A page that tries what a page can: a form that it sends, and calls with the cookie, with and without asking first.
const EVIL: &str = r#"<!doctype html><title>working</title>
<iframe name="sink"></iframe>
<form method="post" action="TARGET/api/pipelines/hello/run" target="sink" enctype="text/plain"><input name='{"parameters":{},"x":"' value='"}'></form>
<script>
const told = [];
const call = async (name, options) => {
  try { const answer = await fetch("TARGET/api/pipelines/hello/run", { method: "POST", credentials: "include", ...options }); told.push(name + ":" + answer.type + ":" + answer.status); }
  catch (error) { told.push(name + ":failed"); }
};
const read = async () => {
  try { const answer = await fetch("TARGET/api/secrets", { credentials: "include" }); told.push("read:" + (await answer.text()).length); }
  catch (error) { told.push("read:failed"); }
};
(async () => {
  document.forms[0].submit();
  await call("simple", { mode: "no-cors", body: "{}" });
  await call("json", { headers: { "Content-Type": "application/json" }, body: "{}" });
  await call("header", { headers: { "CSRF": "1" } });
  await call("beacon", { mode: "no-cors", keepalive: true });
  navigator.sendBeacon("TARGET/api/pipelines/hello/run", "{}");
  await read();
  document.title = told.join(" ");
})();
</script>"#;

#[tokio::test]
async fn a_foreign_page_in_a_real_browser_changes_nothing_and_reads_nothing() {
    let server = Server::start(Options::new()).await;
    server.pipeline("hello", "print('hello')");
    let client = server.client();
    let _ = client.post(routes::SYNC).await.expect(200);
    let page = EVIL.replace("TARGET", &server.base()).replace("CSRF", CSRF_HEADER);
    let foreign = http::serve(Arc::new(move |_| {
        let body = page.clone();
        Box::pin(async move {
            Response { body: body.into(), ..Response::status(200) }.header("Content-Type", "text/html; charset=utf-8")
        })
    }))
    .await;
    let browser = Browser::open(Look { width: 900, height: 600, language: "en-US" }).await;
    browser.goto(&server.base()).await;
    browser.find("username").await.send_keys(USER).await.expect("typed");
    browser.find("password").await.send_keys(PASSWORD).await.expect("typed");
    browser.click("[data-testid='login-submit']").await;
    browser.find_css("[data-testid='pipeline'][data-name='hello']").await;
    // Another port is another origin on the same site, so the cookie comes along; another name is another site.
    for origin in [foreign.clone(), foreign.replace("127.0.0.1", "localhost")] {
        browser.goto(&origin).await;
        let told = until("the page to have tried all", PATIENCE, async || {
            browser.page.title().await.ok().filter(|title| title.contains("read:"))
        })
        .await;
        assert_eq!(told, "simple:failed json:failed header:failed beacon:failed read:failed", "{origin}");
        assert_eq!(client.runs().await.len(), 0, "nothing was started from {origin}");
    }
    let refused =
        server.messages().lines().filter(|line| line.contains("/hello/run") && line.contains("status=403")).count();
    assert!(refused >= 6, "what arrived was refused: {refused}");
    // The same browser on our own page does what it is told.
    browser.goto(&server.base()).await;
    browser.click("[data-testid='pipeline'][data-name='hello'] [data-testid='run']").await;
    until("the start by our own page", PATIENCE, async || (client.runs().await.len() == 1).then_some(())).await;
    browser.close().await;
}

/// Two hundred texts that are no token of this server's.
fn malformed(good: &str) -> Vec<Vec<u8>> {
    let mut texts: Vec<Vec<u8>> = [
        "",
        " ",
        "null",
        "undefined",
        "Bearer",
        "ff_",
        "ff_x",
        "../../etc/passwd",
        "' OR '1'='1",
        "%00",
        "{}",
        "[]",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
        "=",
        "==",
        "\u{e4}\u{20ac}\u{1f600}",
        "a.b.c",
        "-",
        "_",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    texts.push(b"\xff\xfe\x80".to_vec());
    texts.push(vec![b'A'; 5_000]);
    // Each place of a good one, changed: another letter, a letter that is none, a letter less, one more.
    for place in 0..good.len() {
        let bytes = good.as_bytes();
        let mut other = bytes.to_vec();
        other[place] = if other[place] == b'A' { b'B' } else { b'A' };
        texts.push(other);
        let mut strange = bytes.to_vec();
        strange[place] = [b'!', 0xe4, b'.', b'%', b'"'][place % 5];
        texts.push(strange);
        texts.push([&bytes[..place], &bytes[place + 1..]].concat());
        texts.push([&bytes[..place], b"=", &bytes[place..]].concat());
    }
    texts
}

#[tokio::test]
async fn two_hundred_malformed_tokens_and_cookies_are_nobody_and_no_fault() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    let token = client.new_token("good", Role::Admin).await.secret;
    let session = client.token().expect("a session").to_owned();
    let anonymous = server.anonymous();
    let mut tried = 0;
    for good in [token.as_str(), session.as_str()] {
        let texts = malformed(good);
        assert!(texts.len() > 180, "{}", texts.len());
        for text in texts {
            let shown = String::from_utf8_lossy(&text).into_owned();
            for (header, prefix) in [("authorization", "Bearer "), ("cookie", "fastflow_session=")] {
                let value = HeaderValue::from_bytes(&[prefix.as_bytes(), &text].concat()).expect("a header");
                let mut request = anonymous.request(Method::GET, routes::ME).header(header, value);
                if tried % 3 == 0 {
                    request = anonymous.request(Method::POST, routes::SYNC).header(CSRF_HEADER, "1").headers(
                        [(
                            reqwest::header::HeaderName::from_static(header),
                            HeaderValue::from_bytes(&[prefix.as_bytes(), &text].concat()).expect("a header"),
                        )]
                        .into_iter()
                        .collect(),
                    );
                }
                let answer = anonymous.send(request).await;
                assert_eq!(answer.header("www-authenticate").as_deref(), Some("Bearer"), "{shown}");
                let _ = answer.problem(401, "unauthenticated");
                tried += 1;
            }
        }
    }
    assert!(tried > 700, "{tried}");
    for header in ["Basic YWRtaW46YWRtaW4=", "Digest x", "bearer", "Bearer", "Token abc", ", ,", "\"\""] {
        let request = anonymous.request(Method::GET, routes::ME).header("authorization", header);
        let _ = anonymous.send(request).await.problem(401, "unauthenticated");
    }
    // The good ones are still good.
    let _ = client.get(routes::ME).await.expect(200);
    let _ = anonymous.with_token(&token).get(routes::ME).await.expect(200);
}

#[tokio::test]
async fn broken_http_is_the_clients_mistake() {
    let server = Server::start(Options::new()).await;
    let address = server.base().trim_start_matches("http://").to_owned();
    let speak = |bytes: &[u8]| {
        let mut connection = TcpStream::connect(&address).expect("connects");
        connection.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
        let _ = connection.write_all(bytes);
        let mut answer = [0; 64];
        let length = connection.read(&mut answer).unwrap_or_default();
        String::from_utf8_lossy(&answer[..length]).into_owned()
    };
    for bytes in [
        b"GET /api/auth/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\x00b\r\n\r\n".as_slice(),
        b"GET /api/auth/me HTTP/1.1\r\nHost: x\r\nCookie: \x01\x02\r\n\r\n",
        b"GET /api/auth/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n",
        b"GET /api/auth/me\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/runs/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
    ] {
        let answer = speak(bytes);
        let status = answer.split(' ').nth(1).unwrap_or_default();
        assert!(status.is_empty() || status.starts_with('4'), "{:?}: {answer}", String::from_utf8_lossy(bytes));
    }
    for path in ["/api/runs/%00", "/api/users/%00", "/api/tokens/%00", "/api/audit?actor=%00", "/api/runs/%ff"] {
        let answer = server.client().get(path).await;
        assert!(answer.status.as_u16() < 500, "{path}: {}", answer.text());
    }
    let _ = server.client().get(routes::ME).await.expect(200);
}

#[tokio::test]
async fn bodies_have_a_limit_and_strangers_a_smaller_one() {
    let server = Server::start(Options::new()).await;
    let large = json!({ "username": "x".repeat(20_000), "password": "x" });
    let anonymous = server.anonymous();
    let _ = anonymous.write(Method::POST, routes::LOGIN, &large).await.problem(413, "too_large");
    let large = json!({ "key": "A", "value": "x".repeat(3 << 20), "is_secret": true });
    let client = server.client();
    let _ = client.write(Method::POST, routes::SECRETS, &large).await.problem(413, "too_large");
    // Nobody's body is read at all.
    let _ = anonymous.write(Method::POST, routes::SECRETS, &large).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_proxy_is_believed_only_when_it_is_trusted() {
    let forwarded = |client: &Client, method, path: &str, address: &str| {
        client
            .request(method, path)
            .header("X-Forwarded-For", address)
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", "flow.example.com")
    };
    let login = json!({ "username": USER, "password": PASSWORD });

    let server = Server::start(Options::new()).await;
    let anonymous = server.anonymous();
    let answer =
        anonymous.send(forwarded(&anonymous, Method::POST, routes::LOGIN, "6.6.6.6").json(&login)).await.expect(200);
    assert!(answer.header("set-cookie").is_some_and(|cookie| cookie.starts_with("fastflow_session=")));
    assert_eq!(answer.header("strict-transport-security"), None);
    assert!(
        server.client().audit("action=auth.login").await.iter().all(|entry| entry.ip.as_deref() == Some("127.0.0.1"))
    );

    let server = Server::start(Options::new().env("TRUSTED_PROXIES", "127.0.0.0/8, ::1")).await;
    let anonymous = server.anonymous();
    let send = async |address: &str, body: &serde_json::Value| {
        anonymous.send(forwarded(&anonymous, Method::POST, routes::LOGIN, address).json(body)).await
    };
    let answer = send("9.9.9.9, 6.6.6.6", &login).await.expect(200);
    assert!(answer.header("strict-transport-security").is_some());
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(
        cookie.starts_with("__Host-fastflow_session=") && cookie.ends_with("; Secure") && cookie.contains("Path=/;"),
        "{cookie}"
    );
    assert_eq!(server.client().audit("action=auth.login").await[0].ip.as_deref(), Some("6.6.6.6"));
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let me = forwarded(&anonymous, Method::GET, routes::ME, "6.6.6.6").header("cookie", &pair);
    assert_eq!(anonymous.send(me).await.expect(200).json::<User>().username, USER);
    // A cookie that a page without https could have planted counts for nothing.
    let planted =
        forwarded(&anonymous, Method::GET, routes::ME, "6.6.6.6").header("cookie", pair.trim_start_matches("__Host-"));
    let _ = anonymous.send(planted).await.problem(401, "unauthenticated");
    // The host that the browser asked for is the proxy's.
    let sync = |origin: &str| {
        forwarded(&anonymous, Method::POST, routes::SYNC, "6.6.6.6")
            .header("cookie", &pair)
            .header(CSRF_HEADER, "1")
            .header("Origin", origin)
    };
    let _ = anonymous.send(sync("https://flow.example.com")).await.expect(200);
    let _ = anonymous.send(sync(&server.base())).await.problem(403, "cross_origin");

    // Guesses from one address lock nobody out who comes from another.
    let wrong = json!({ "username": USER, "password": "wrong" });
    for _ in 0..5 {
        let _ = send("6.6.6.6", &wrong).await.problem(401, "invalid_credentials");
    }
    let _ = send("6.6.6.6", &login).await.problem(429, "too_many_attempts");
    let _ = send("7.7.7.7", &login).await.expect(200);
}
