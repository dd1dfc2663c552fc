//! Who may do what: every operation of the document, for every role, and without a login.

use std::collections::BTreeMap;

use fastflow_shared::{Problem, Role, routes};
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;
use serde_json::Value;

/// What an operation says of itself.
struct Operation {
    id: String,
    method: Method,
    path: String,
    role: String,
    in_person: bool,
}

async fn operations(client: &Client) -> Vec<Operation> {
    let document: Value = client.fetch("/openapi.json").await;
    let mut all = Vec::new();
    for (path, operations) in document["paths"].as_object().expect("paths") {
        for (method, operation) in operations.as_object().expect("operations") {
            let id = operation["operationId"].as_str().expect("an operationId").to_owned();
            let role =
                operation["x-fastflow-role"].as_str().unwrap_or_else(|| panic!("{id} has no line in api/rules.rs"));
            // Nothing has this name, so that whoever is let in changes nothing.
            let path = path.split('/').map(|part| if part.starts_with('{') { "no-such" } else { part });
            all.push(Operation {
                method: method.to_uppercase().parse().expect("a method"),
                path: path.collect::<Vec<_>>().join("/"),
                role: role.to_owned(),
                in_person: operation["x-fastflow-login"] == true,
                id,
            });
        }
    }
    assert!(all.len() > 40, "{}", all.len());
    all
}

/// Status of the answer and the code of its problem. Streams are not read: they do not end.
async fn ask(client: &Client, operation: &Operation) -> (u16, String) {
    let mut request = client.request(operation.method.clone(), &operation.path);
    if operation.method != Method::GET {
        request = request.header("content-type", "application/json").body("{}");
    }
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let code = match status {
        400.. => answer.json::<Problem>().await.map(|problem| problem.code).unwrap_or_default(),
        _ => String::new(),
    };
    (status, code)
}

#[tokio::test]
async fn every_operation_lets_in_exactly_who_may() {
    let server = Server::start(Options::new()).await;
    let admin = server.client();
    let mut sessions = BTreeMap::new();
    let mut tokens = BTreeMap::new();
    for role in Role::ALL {
        let session = admin.new_user(&format!("their-{}", role.as_str()), role).await;
        tokens.insert(role, session.with_token(&session.new_token("matrix", role).await.secret));
        sessions.insert(role, session);
    }
    let anonymous = server.anonymous();
    let mut wrong = Vec::new();
    for operation in operations(&anonymous).await {
        let Operation { id, role, .. } = &operation;
        let mut check = |who: String, (status, code): (u16, String), expected: Result<(), &str>| {
            let good = match expected {
                Ok(()) => ![401, 403, 500].contains(&status),
                Err(wanted) => code == wanted,
            };
            if !good {
                wrong.push(format!("{id} as {who}: {status} {code}, expected {expected:?}"));
            }
        };
        let needed = Role::parse(role);
        match needed {
            // Without a name and a password a login is refused for another reason.
            None => {
                let answer = ask(&anonymous, &operation).await;
                check("nobody".to_owned(), answer, Ok(()));
                continue;
            }
            Some(_) => {
                let answer = ask(&anonymous, &operation).await;
                check("nobody".to_owned(), answer, Err("unauthenticated"));
                let answer = ask(&anonymous.with_token("forged"), &operation).await;
                check("a forger".to_owned(), answer, Err("unauthenticated"));
            }
        }
        for own in Role::ALL {
            let expected = if Some(own) >= needed { Ok(()) } else { Err("role_too_low") };
            // These end the session that calls them.
            if id != "logout" {
                let answer = ask(&sessions[&own], &operation).await;
                check(own.as_str().to_owned(), answer, expected);
                let with_token = match expected {
                    Ok(()) if operation.in_person => Err("login_needed"),
                    other => other,
                };
                let answer = ask(&tokens[&own], &operation).await;
                check(format!("a token of {}", own.as_str()), answer, with_token);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_viewer_sees_no_secret_and_no_token_anywhere() {
    let server = Server::start(Options::new()).await;
    let secret = "s3cr3t-that-nobody-reads";
    let new = fastflow_shared::NewVaultEntry { key: "API_KEY".into(), value: secret.into(), is_secret: true };
    let _ = server.client().write(Method::POST, routes::SECRETS, &new).await.expect(201);
    let token = server.client().new_token("deploy", Role::Admin).await.secret;
    let viewer = server.client().new_user("vera", Role::Viewer).await;
    server.pipeline("hello", "print('hello')");
    let _ = server.client().run_well("hello").await;
    for operation in operations(&viewer).await {
        let streams = operation.path.ends_with("/stream") || operation.path == routes::EVENTS;
        if operation.method != Method::GET || streams {
            continue;
        }
        let text = viewer.get(&operation.path.replace("no-such", "hello")).await.text();
        for hidden in [secret, token.as_str(), "$argon2"] {
            assert!(!text.contains(hidden), "{}: {text}", operation.id);
        }
    }
}
