//! People: made, changed and removed; their passwords, sessions and API tokens.

use std::time::Duration;

use fastflow_shared::{
    ApiToken, PasswordChange, Role, SessionInfo, User, UserAccount, UserChange, UserWithPassword, routes,
};
use fastflow_tests::browser::{Browser, Look};
use fastflow_tests::options::Database;
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;
use serde_json::json;

async fn users(client: &Client) -> Vec<UserAccount> {
    client.fetch(routes::USERS).await
}

async fn id_of(client: &Client, name: &str) -> String {
    users(client).await.into_iter().find(|user| user.username == name).expect("there is such a user").id
}

#[tokio::test]
async fn an_admin_makes_changes_and_removes_users() {
    for database in Database::ALL {
        let server = Server::start(Options::new().database(database)).await;
        let admin = server.client();
        let answer = admin.write(Method::POST, routes::USERS, &json!({ "username": "ute", "role": "operator" })).await;
        let made: UserWithPassword = answer.clone().expect(201).json();
        assert_eq!(answer.header("location"), Some(routes::user(&made.user.id)));
        let password = made.password.expect("made up and shown");
        let ute = Client::program(&server.base(), "UTE", &password).await;
        assert_eq!(ute.fetch::<User>(routes::ME).await.role, Role::Operator);
        assert!(users(admin).await.iter().any(|user| user.id == made.user.id && user.last_login_at.is_some()));
        let again = admin.write(Method::POST, routes::USERS, &json!({ "username": "Ute", "role": "viewer" })).await;
        let _ = again.problem(409, "user_exists");
        let weak = json!({ "username": "uwe", "role": "viewer", "password": "short" });
        let problem = admin.write(Method::POST, routes::USERS, &weak).await.problem(422, "invalid_values");
        assert_eq!(problem.errors[0].field, "password");

        // A change holds from the next request on, for sessions and tokens.
        let token = ute.with_token(&ute.new_token("deploy", Role::Operator).await.secret);
        let path = routes::user(&made.user.id);
        let _ = admin.write(Method::PATCH, &path, &json!({ "role": "viewer" })).await.expect(200);
        for client in [&ute, &token] {
            assert_eq!(client.fetch::<User>(routes::ME).await.role, Role::Viewer);
            let _ = client.post(routes::SYNC).await.problem(403, "role_too_low");
        }
        let mut events = ute.stream(routes::EVENTS, None).await;
        let _ = admin.write(Method::PATCH, &path, &json!({ "disabled": true })).await.expect(200);
        for client in [&ute, &token] {
            let _ = client.get(routes::ME).await.problem(401, "unauthenticated");
        }
        let _ = server.anonymous().login("ute", &password).await.problem(401, "invalid_credentials");
        // What was open is closed as well.
        while events.event(PATIENCE).await.is_some() {}

        let _ = admin.send(admin.request(Method::DELETE, &path)).await.expect(204);
        let _ = admin.get(&path).await.problem(404, "user_not_found");
        assert_eq!(users(admin).await.len(), 1);
    }
}

#[tokio::test]
async fn the_last_admin_cannot_be_lost() {
    for database in Database::ALL {
        let server = Server::start(Options::new().database(database)).await;
        let admin = server.client();
        let own = routes::user(&id_of(admin, USER).await);
        for change in [json!({ "role": "viewer" }), json!({ "disabled": true })] {
            let _ = admin.write(Method::PATCH, &own, &change).await.problem(409, "last_admin");
        }
        let _ = admin.send(admin.request(Method::DELETE, &own)).await.problem(409, "last_admin");
        // Two who remove each other at the same moment: one of them stays.
        let ada = admin.new_user("ada", Role::Admin).await;
        let hers = routes::user(&id_of(admin, "ada").await);
        let demote = UserChange { role: Some(Role::Viewer), disabled: None };
        let both = (admin.write(Method::PATCH, &hers, &demote), ada.write(Method::PATCH, &own, &demote));
        let (first, second) = tokio::join!(both.0, both.1);
        let refused = [&first, &second].iter().filter(|answer| answer.status != 200).count();
        assert_eq!(refused, 1, "{} {}", first.text(), second.text());
    }
}

#[tokio::test]
async fn a_person_changes_their_password_and_looks_after_their_sessions() {
    let server = Server::start(Options::new()).await;
    let here = Client::browser(&server.base(), USER, PASSWORD).await;
    let there = Client::program(&server.base(), USER, PASSWORD).await;
    let sessions: Vec<SessionInfo> = here.fetch(routes::SESSIONS).await;
    // The story's own client is the third.
    assert_eq!(sessions.len(), 3);
    assert_eq!(sessions.iter().filter(|session| session.current).count(), 1);
    assert!(sessions.iter().all(|session| session.ip.as_deref() == Some("127.0.0.1")));
    let own = there.fetch::<Vec<SessionInfo>>(routes::SESSIONS).await;
    let id = own.into_iter().find(|session| session.current).expect("this one").id;
    let _ = here.send(here.request(Method::DELETE, &routes::session(&id))).await.expect(204);
    let _ = there.get(routes::ME).await.problem(401, "unauthenticated");
    let _ = here.send(here.request(Method::DELETE, &routes::session(&id))).await.problem(404, "session_not_found");

    let there = Client::program(&server.base(), USER, PASSWORD).await;
    let change =
        |current: &str, new: &str| PasswordChange { current_password: current.into(), new_password: new.into() };
    let post = async |change| here.write(Method::POST, routes::PASSWORD, &change).await;
    let _ = post(change("wrong", "another quiet word")).await.problem(403, "wrong_password");
    let _ = post(change(PASSWORD, "short")).await.problem(422, "invalid_values");
    let _ = post(change(PASSWORD, "admin-admin-admin")).await.problem(422, "invalid_values");
    let _ = post(change(PASSWORD, "another quiet word")).await.expect(204);
    let _ = there.get(routes::ME).await.problem(401, "unauthenticated");
    let _ = here.get(routes::ME).await.expect(200);
    let _ = server.anonymous().login(USER, PASSWORD).await.problem(401, "invalid_credentials");
    let _ = server.anonymous().login(USER, "another quiet word").await.expect(200);
    let _ = here.send(here.request(Method::DELETE, routes::SESSIONS)).await.expect(204);
    assert_eq!(here.fetch::<Vec<SessionInfo>>(routes::SESSIONS).await.len(), 1);
}

#[tokio::test]
async fn a_token_works_for_a_program_and_is_shown_once() {
    for database in Database::ALL {
        let mut server = Server::start(Options::new().database(database)).await;
        let made = server.client().new_token("nightly", Role::Operator).await;
        assert!(made.secret.starts_with("ff_"), "recognisable wherever it lies");
        let program = server.anonymous().with_token(&made.secret);
        let me: User = program.fetch(routes::ME).await;
        assert_eq!((me.username.as_str(), me.role), (USER, Role::Operator));
        server.pipeline("hello", "print('hello')");
        let run = program.run_well("hello").await;
        assert_eq!(run.trigger, fastflow_shared::Trigger::Api);
        let list = server.client().get(routes::TOKENS).await.expect(200);
        assert!(!list.text().contains(&made.secret));
        let listed: Vec<ApiToken> = list.json();
        assert_eq!((listed.len(), listed[0].hint.as_str()), (1, &made.secret[..8]));
        assert!(listed[0].last_used_at.is_some() && listed[0].expires_at.is_some());
        // It may not make itself at home.
        let _ = program
            .write(Method::POST, routes::TOKENS, &json!({ "name": "x", "role": "viewer" }))
            .await
            .problem(403, "login_needed");
        server.restart().await;
        let _ = program.get(routes::ME).await.expect(200);
        let client = server.client();
        let _ = client.send(client.request(Method::DELETE, &routes::token(&made.token.id))).await.expect(204);
        let _ = program.get(routes::ME).await.problem(401, "unauthenticated");
        let messages = server.messages();
        assert!(
            !messages.contains(&made.secret) && !messages.contains(&made.secret[3..]),
            "not in the server's messages"
        );
    }
}

#[tokio::test]
async fn other_peoples_tokens_are_an_admins_matter() {
    let server = Server::start(Options::new()).await;
    let admin = server.client();
    let ute = admin.new_user("ute", Role::Viewer).await;
    let uwe = admin.new_user("uwe", Role::Operator).await;
    let too_much = json!({ "name": "x", "role": "operator" });
    let _ = ute.write(Method::POST, routes::TOKENS, &too_much).await.problem(422, "invalid_values");
    let token = ute.new_token("hers", Role::Viewer).await.token;
    assert_eq!(uwe.fetch::<Vec<ApiToken>>(routes::TOKENS).await, []);
    let _ = uwe.get(&format!("{}?all=true", routes::TOKENS)).await.problem(403, "role_too_low");
    let path = routes::token(&token.id);
    let _ = uwe.send(uwe.request(Method::DELETE, &path)).await.problem(404, "token_not_found");
    let all: Vec<ApiToken> = admin.fetch(&format!("{}?all=true", routes::TOKENS)).await;
    assert_eq!((all.len(), all[0].owner.as_str()), (1, "ute"));
    let _ = admin.send(admin.request(Method::DELETE, &path)).await.expect(204);
}

#[tokio::test]
async fn whoever_has_the_machine_lets_people_in_from_the_command_line() {
    for database in Database::ALL {
        let server = Server::start(Options::new().database(database)).await;
        let said = server.command_line(&["user", "create", "ute", "--role", "operator"], "").expect("created");
        let password = said.lines().find_map(|line| line.trim().strip_prefix("password")).expect("shown");
        let password = password.split_whitespace().next().expect("shown");
        let ute = Client::program(&server.base(), "ute", password).await;
        let listed = server.command_line(&["user", "list"], "").expect("listed");
        assert!(listed.contains("ute") && listed.contains("operator") && listed.contains(USER), "{listed}");
        let again = server.command_line(&["user", "create", "UTE"], "").expect_err("there is one");
        assert!(again.contains("already"), "{again}");
        let weak = server.command_line(&["user", "reset-password", "ute", "--password-stdin"], "short\n");
        assert!(weak.expect_err("too short").contains("at least 12"));
        // Also for who was locked out. A server that runs notices within seconds.
        let path = routes::user(&id_of(server.client(), "ute").await);
        let _ = server.client().write(Method::PATCH, &path, &json!({ "disabled": true })).await.expect(200);
        let given = "another quiet word";
        let _ = server.command_line(&["user", "reset-password", "ute", "--password-stdin"], given).expect("reset");
        let _ = Client::program(&server.base(), "ute", given).await;
        until("the old session's end", Duration::from_secs(20), async || {
            (ute.get(routes::ME).await.status == 401).then_some(())
        })
        .await;
        let entries = server.client().audit("target=ute&action=user.").await;
        let seen: Vec<_> = entries.iter().map(|entry| (entry.via.as_str(), entry.action.as_str())).collect();
        assert_eq!(seen, [("cli", "user.reset_password"), ("session", "user.change"), ("cli", "user.create")]);
    }
}

async fn sign_in(browser: &Browser, name: &str, password: &str) {
    browser.find("username").await.send_keys(name).await.expect("typed");
    browser.find("password").await.send_keys(password).await.expect("typed");
    browser.click("[data-testid='login-submit']").await;
}

#[tokio::test]
async fn in_the_browser_an_admin_looks_after_people_and_a_viewer_is_offered_only_what_a_viewer_may() {
    let server = Server::start(Options::new()).await;
    server.pipeline("hello", "print('hello')");
    let _ = server.client().post(routes::SYNC).await.expect(200);
    let look = |width| Look { width, height: 900, language: "en-US" };
    let browser = Browser::open(look(1440)).await;
    // A deep link survives the login.
    browser.goto(&format!("{}/users", server.base())).await;
    sign_in(&browser, USER, PASSWORD).await;
    browser.find_css("[data-testid='user'][data-name='admin']").await;
    browser.click("[data-testid='user-new']").await;
    browser.find("user-name").await.send_keys("vera").await.expect("typed");
    browser.picture("user-form-1440").await;
    browser.click("[data-testid='user-save']").await;
    let password = browser.find("once-text").await.text().await.expect("readable");
    browser.picture("user-once-1440").await;
    browser.click("[data-testid='once-close']").await;
    browser.find_css("[data-testid='user'][data-name='vera']").await;
    browser.picture("users-1440").await;
    browser.goto(&format!("{}/audit?action=user.", server.base())).await;
    browser.text_when("[data-testid='audit-entry'][data-action='user.create']", "vera").await;
    browser.picture("audit-1440").await;
    browser.goto(&format!("{}/account", server.base())).await;
    browser.find("token-name").await.send_keys("deploy").await.expect("typed");
    browser.click("[data-testid='token-create']").await;
    let token = browser.text_when("[data-testid='once-text']", "ff_").await;
    let _ = server.anonymous().with_token(&token).get(routes::ME).await.expect(200);
    browser.click("[data-testid='once-close']").await;
    browser.text_when("[data-testid='token']", "deploy").await;
    browser.picture("account-1440").await;
    browser.close().await;

    let browser = Browser::open(look(390)).await;
    browser.goto(&server.base()).await;
    sign_in(&browser, "vera", &password).await;
    browser.find_css("[data-testid='pipeline'][data-name='hello']").await;
    for hidden in ["run", "run-with", "switch", "sync"] {
        let script = format!(
            "return [...document.querySelectorAll(\"[data-testid='{hidden}']\")].every(one => one.offsetParent === null)"
        );
        assert_eq!(browser.run(&script).await, true, "{hidden} is not offered to a viewer");
    }
    let links =
        browser.run("return [...document.querySelectorAll('nav a')].map(one => one.getAttribute('href')).join()").await;
    assert_eq!(links, "/,/pipelines,/runs,/schedules,/system");
    browser.goto(&format!("{}/account", server.base())).await;
    browser.find("session").await;
    browser.picture("account-390").await;
    let wider = browser.run("return document.documentElement.scrollWidth > window.innerWidth").await;
    assert_eq!(wider, false, "the page does not scroll sideways");
    // Locked out: the next page asks for a login.
    let id = id_of(server.client(), "vera").await;
    let _ = server.client().write(Method::PATCH, &routes::user(&id), &json!({ "disabled": true })).await.expect(200);
    browser.goto(&format!("{}/runs", server.base())).await;
    browser.find("login-form").await;
    browser.close().await;
}
