//! The door: who may come in, how, and how often somebody may knock.

use fastflow_shared::{LoginAnswer, User, routes};
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;
use serde_json::Value;

#[tokio::test]
async fn everything_but_the_door_itself_needs_a_login() {
    let server = Server::start(Options::new()).await;
    let anonymous = server.anonymous();
    let document: Value = anonymous.fetch("/openapi.json").await;
    let mut looked_at = 0;
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for method in operations.as_object().expect("operations").keys().filter(|key| *key != "parameters") {
            let address = path.replace("{id}", "x").replace("{name}", "x").replace("{key}", "x");
            let method: Method = method.to_uppercase().parse().expect("a method");
            let answer = anonymous.send(anonymous.request(method.clone(), &address)).await;
            let open = [routes::HEALTH, routes::READY, routes::LOGIN].contains(&path.as_str());
            if path == routes::SYNC_WEBHOOK {
                // Its proof is the webhook's own secret, and none is set.
                let _ = answer.problem(404, "webhook_closed");
            } else if open {
                assert_ne!(answer.status, 401, "{method} {path}");
            } else {
                let _ = answer.problem(401, "unauthenticated");
                let forged = anonymous.with_token("forged");
                let _ = forged.send(forged.request(method, &address)).await.problem(401, "unauthenticated");
            }
            looked_at += 1;
        }
    }
    assert!(looked_at > 20, "{looked_at}");
    let _ = anonymous.get("/api/no/such/thing").await.problem(404, "not_found");
    let _ = anonymous.get("/health").await.expect(200);
    for page in ["/", "/runs", "/login"] {
        let answer = anonymous.get(page).await.expect(200);
        assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{page}");
        let policy = answer.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'self'") || policy.contains("default-src 'none'"), "{policy}");
    }
}

#[tokio::test]
async fn a_program_logs_in_with_a_token_that_logout_ends() {
    let server = Server::start(Options::new()).await;
    let answer = server.anonymous().login(USER, PASSWORD).await.expect(200);
    let cookie = answer.header("set-cookie").expect("a cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let login: LoginAnswer = answer.json();
    assert_eq!((login.token_type.as_str(), login.user.username.as_str()), ("bearer", USER));
    assert!(login.expires_at > chrono::Utc::now());
    let client = server.anonymous().with_token(&login.access_token);
    assert_eq!(client.fetch::<User>(routes::ME).await, login.user);
    let other = Client::program(&server.base(), USER, PASSWORD).await;
    let _ = client.post(routes::LOGOUT).await.expect(204);
    let _ = client.get(routes::ME).await.problem(401, "unauthenticated");
    let _ = other.get(routes::ME).await.expect(200);
}

#[tokio::test]
async fn a_browser_has_a_cookie_and_writes_only_with_the_header_that_no_foreign_page_can_send() {
    let server = Server::start(Options::new()).await;
    server.pipeline("hello", "print('hello')");
    let browser = Client::browser(&server.base(), USER, PASSWORD).await;
    assert_eq!(browser.fetch::<User>(routes::ME).await.username, USER);
    let run = browser.run_well("hello").await;
    assert_eq!(run.trigger, fastflow_shared::Trigger::Manual);
    assert_eq!(run.triggered_by.as_deref(), Some(USER));
    let run = server.client().run_well("hello").await;
    assert_eq!(run.trigger, fastflow_shared::Trigger::Api);

    let forged = browser.without_credentials();
    let path = routes::pipeline_run("hello");
    let _ = forged.send(forged.request(Method::POST, &path)).await.problem(403, "csrf_header_missing");
    assert_eq!(browser.runs().await.len(), 2);
    let _ = browser.post(routes::LOGOUT).await.expect(204);
    let _ = browser.get(routes::ME).await.problem(401, "unauthenticated");
}

#[tokio::test]
async fn a_session_outlives_a_restart_of_the_server() {
    let mut server = Server::start(Options::new()).await;
    server.restart().await;
    assert_eq!(server.client().fetch::<User>(routes::ME).await.username, USER);
}

#[tokio::test]
async fn who_guesses_passwords_is_slowed_down() {
    let server = Server::start(Options::new()).await;
    let anonymous = server.anonymous();
    let mut refused = None;
    for _ in 0..12 {
        let answer = anonymous.login(USER, "wrong").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        let _ = answer.problem(401, "invalid_credentials");
    }
    let refused = refused.expect("twelve guesses in a row are too many");
    assert!(refused.header("retry-after").and_then(|text| text.parse::<u64>().ok()).is_some_and(|wait| wait > 0));
    let _ = refused.problem(429, "too_many_attempts");
    let _ = anonymous.login(USER, PASSWORD).await.problem(429, "too_many_attempts");
    let _ = server.client().get(routes::ME).await.expect(200);
    // A name that does not exist is told no differently.
    let _ = anonymous.login("nobody", "wrong").await.problem(401, "invalid_credentials");
}

#[tokio::test]
async fn bad_logins_are_problems_too() {
    let server = Server::start(Options::new()).await;
    let anonymous = server.anonymous();
    for body in ["", "{", "[]", "{}", r#"{"username": 1, "password": []}"#, r#"{"username": "admin"}"#] {
        let request = anonymous.request(Method::POST, routes::LOGIN).header("content-type", "application/json");
        let answer = anonymous.send(request.body(body)).await;
        assert!([400, 422].contains(&answer.status.as_u16()), "{body}: {}", answer.status);
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"), "{body}");
    }
    let answer = anonymous.send(anonymous.request(Method::DELETE, routes::LOGIN)).await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"));
}
