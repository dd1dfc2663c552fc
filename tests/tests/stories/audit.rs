//! The audit log: what is in it, who reads it, and that nobody writes into it what did not happen.

use fastflow_shared::{AuditEntry, AuditPage, AuditResult, NewVaultEntry, Role, routes};
use fastflow_tests::options::Database;
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::{Client, Options, Server};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn who_did_what_is_written_down() {
    for database in Database::ALL {
        let server = Server::start(Options::new().database(database)).await;
        let admin = server.client();
        server.pipeline("hello", "print('hello')");
        let _ = admin.post(routes::SYNC).await.expect(200);
        let ute = admin.new_user("ute", Role::Operator).await;
        let run = ute.run_well("hello").await;
        let _ = ute.cancel(&run.id).await;
        let _ = ute.post(&routes::run_again(&run.id)).await.expect(201);
        let _ = ute.write(Method::PATCH, &routes::pipeline("hello"), &json!({ "enabled": false })).await.expect(200);
        let _ = ute.try_start("hello").await.problem(409, "pipeline_disabled");
        let value = "a value that must not be in the log";
        let secret = NewVaultEntry { key: "KEY".into(), value: value.into(), is_secret: true, pipelines: Vec::new() };
        let _ = ute.write(Method::POST, routes::SECRETS, &secret).await.problem(403, "role_too_low");
        let _ = admin.write(Method::POST, routes::SECRETS, &secret).await.expect(201);
        let _ = ute.post(routes::SYNC).await.expect(200);
        let token = ute.new_token("deploy", Role::Operator).await;
        let _ = ute.with_token(&token.secret).post(routes::SYNC).await.expect(200);
        let _ = ute.post(routes::LOGOUT).await.expect(204);
        let _ = server.anonymous().login("ute", "wrong").await.problem(401, "invalid_credentials");

        let all = admin.audit("limit=500").await;
        let seen: Vec<_> = all
            .iter()
            .rev()
            .map(|entry| {
                let target = entry.target.as_deref().unwrap_or_default().replace(&run.id, "RUN");
                format!("{} {} {} {target} {}", entry.actor, entry.via, entry.action, entry.result.as_str())
            })
            .collect();
        assert_eq!(
            seen,
            [
                "server server user.create admin ok",
                "admin login auth.login  ok",
                "admin session sync.run  ok",
                "admin session user.create ute ok",
                "ute login auth.login  ok",
                "ute session run.start hello ok",
                "ute session run.cancel RUN ok",
                "ute session run.rerun RUN ok",
                "ute session pipeline.switch hello ok",
                "ute session run.start hello failed",
                "ute session secret.create  denied",
                "admin session secret.create KEY ok",
                "ute session sync.run  ok",
                "ute session token.create deploy ok",
                "ute token sync.run  ok",
                "ute session auth.logout  ok",
                "ute login auth.login  denied",
            ]
        );
        let by = |action: &str| all.iter().find(|entry| entry.action == action).expect("written down");
        assert_eq!(all.iter().rfind(|entry| entry.action == "run.start").expect("there").detail["made"], run.id);
        assert_eq!(by("run.start").code.as_deref(), Some("pipeline_disabled"));
        assert_eq!(by("sync.run").detail["token"], "deploy");
        assert_eq!(by("user.create").detail["role"], "operator");
        assert!(
            all.iter()
                .skip_while(|entry| entry.via == "server")
                .all(|entry| entry.via == "server" || entry.ip.is_some())
        );
        let text = serde_json::to_string(&all).expect("JSON");
        for hidden in [value, &token.secret, PASSWORD, "wrong\""] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
    }
}

#[tokio::test]
async fn the_log_is_filtered_paged_and_exported_and_an_admins_alone() {
    for database in Database::ALL {
        let server = Server::start(Options::new().database(database)).await;
        let admin = server.client();
        let ute = admin.new_user("ute", Role::Operator).await;
        for _ in 0..5 {
            let _ = ute.post(routes::SYNC).await.expect(200);
        }
        let _ = ute.get(routes::AUDIT).await.problem(403, "role_too_low");
        let _ = ute.get(routes::AUDIT_EXPORT).await.problem(403, "role_too_low");
        assert_eq!(admin.audit("actor=UTE&action=sync.run").await.len(), 5);
        assert_eq!(admin.audit("action=auth.&actor=ute").await.len(), 1);
        let denied = admin.audit("result=denied").await;
        assert_eq!((denied.len(), denied[0].action.as_str()), (1, "audit.export"));
        assert_eq!(admin.audit("from=2100-01-01T00:00:00Z").await, []);
        let _ = admin.get("/api/audit?limit=0").await.problem(422, "invalid_values");
        let _ = admin.get("/api/audit?cursor=x").await.problem(422, "invalid_values");

        let mut paged = Vec::new();
        let mut cursor = String::new();
        loop {
            let page: AuditPage = admin.fetch(&format!("{}?limit=3{cursor}", routes::AUDIT)).await;
            paged.extend(page.items);
            let Some(next) = page.next_cursor else { break };
            cursor = format!("&cursor={next}");
        }
        let lines = admin.get(&format!("{}?format=jsonl", routes::AUDIT_EXPORT)).await.expect(200);
        assert_eq!(lines.header("content-type").as_deref(), Some("application/x-ndjson"));
        let exported: Vec<AuditEntry> =
            lines.text().lines().map(|line| serde_json::from_str(line).expect("an entry per line")).collect();
        assert_eq!(exported, paged);
        let csv = admin.get(&format!("{}?actor=ute", routes::AUDIT_EXPORT)).await.expect(200);
        assert!(csv.header("content-disposition").is_some_and(|text| text.contains("fastflow-audit.csv")));
        let text = csv.text();
        assert!(text.starts_with("time,actor,") && text.lines().skip(1).all(|line| line.contains(",ute,")), "{text}");
        // That somebody took it away is in it as well.
        assert_eq!(admin.audit("action=audit.export&result=ok").await.len(), 2);
    }
}

#[tokio::test]
async fn nobody_forges_an_entry() {
    let server = Server::start(Options::new()).await;
    let anonymous = server.anonymous();
    let forged = format!("eve\r\n2026-01-01T00:00:00Z,{USER},,session,user.delete,eve,ok\u{202e}");
    let _ = anonymous.login(&forged, "x").await.problem(401, "invalid_credentials");
    let _ = anonymous.login("=cmd|'/c calc'!A1", "x").await.problem(401, "invalid_credentials");
    // A pipeline may print and be called what it likes.
    server.pipeline("prints", "print('{\"actor\":\"admin\",\"action\":\"user.delete\"}')");
    let run = server.client().run_well("prints").await;
    let _ = server.client().try_start("a\nb\u{202e}").await.problem(404, "pipeline_not_found");
    let entries = server.client().audit("").await;
    let deletions = entries.iter().filter(|entry| entry.action == "user.delete").count();
    assert_eq!(deletions, 0, "run {}: {entries:?}", run.id);
    let eve = entries.iter().find(|entry| entry.actor.starts_with("eve")).expect("written down");
    assert!(eve.actor.contains("\\u{d}\\u{a}") && eve.actor.contains("\\u{202e}"), "{:?}", eve.actor);
    assert!(entries.iter().any(|entry| entry.target.as_deref() == Some("a\\u{a}b\\u{202e}")), "{entries:?}");
    let csv = server.client().get(routes::AUDIT_EXPORT).await.expect(200).text();
    assert_eq!(csv.lines().count(), entries.len() + 1, "a line per entry:\n{csv}");
    assert!(csv.contains("\"'=cmd|"), "no formula:\n{csv}");
}

#[tokio::test]
async fn a_flood_of_guesses_does_not_fill_the_log_and_malformed_ones_are_not_in_it() {
    let server = Server::start(Options::new()).await;
    let anonymous = server.anonymous();
    for _ in 0..30 {
        let _ = anonymous.login(USER, "wrong").await;
        let request = anonymous.request(Method::POST, routes::LOGIN).header("content-type", "application/json");
        let _ = anonymous.send(request.body("{")).await.expect(400);
    }
    let denied = server.client().audit("action=auth.login&result=denied").await;
    assert_eq!(denied.len(), 5, "what was not even looked at is not written down");
    assert!(server.client().audit("result=failed").await.is_empty());
}

#[tokio::test]
async fn who_hangs_up_is_written_down_all_the_same() {
    let server = Server::start(Options::new()).await;
    let client = Client::program(&server.base(), USER, PASSWORD).await;
    let mut hung_up = 0;
    for _ in 0..20 {
        let request = client.request(Method::POST, routes::SYNC).timeout(std::time::Duration::from_millis(2));
        hung_up += usize::from(request.send().await.is_err());
    }
    eprintln!("{hung_up} of 20 hung up");
    // Everything that the server began is in the log, with its end.
    let before = server.messages().matches("POST /api/sync").count();
    fastflow_tests::wait::until("an entry for each", fastflow_tests::wait::PATIENCE, async || {
        (server.client().audit("action=sync.run&limit=500").await.len() >= before).then_some(())
    })
    .await;
    let entries = server.client().audit("action=sync.run&limit=500").await;
    assert!(entries.iter().all(|entry| entry.result == AuditResult::Ok), "{entries:?}");
}

/// Makes the audit log refuse entries, or take them again, as the database's owner.
async fn audit_log_of(server: &Server, works: bool) {
    let sql = match (&server.options.database, works) {
        (Database::Sqlite, false) => {
            "CREATE TRIGGER story BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        }
        (Database::Sqlite, true) => "DROP TRIGGER story",
        (Database::Postgres, false) => "ALTER TABLE audit ADD CONSTRAINT story CHECK (false) NOT VALID",
        (Database::Postgres, true) => "ALTER TABLE audit DROP CONSTRAINT story",
    };
    server.sql(sql).await;
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_done() {
    for database in Database::ALL {
        let server = Server::start(Options::new().database(database)).await;
        let client = server.client();
        server.pipeline("hello", "print('hello')");
        server.pipeline("long", "import time; print('working', flush=True); time.sleep(600)");
        let _ = client.post(routes::SYNC).await.expect(200);
        let run = client.start("long").await;
        client.log_when(&run.id, "working").await;
        let session = Client::program(&server.base(), USER, PASSWORD).await;
        let secret = json!({ "key": "KEY", "value": "a value of its own" });
        let _ = client.write(Method::POST, routes::SECRETS, &secret).await.expect(201);
        let before = client.audit("limit=500").await.len();

        audit_log_of(&server, false).await;
        let other = json!({ "key": "OTHER", "value": "another value" });
        for answer in [
            client.try_start("hello").await,
            client.post(&routes::secret_reveal("KEY")).await,
            client.write(Method::POST, routes::SECRETS, &other).await,
            client.write(Method::POST, routes::USERS, &json!({ "username": "eve", "role": "admin" })).await,
            client.write(Method::PATCH, &routes::pipeline("hello"), &json!({ "enabled": false })).await,
            client.send(client.request(Method::DELETE, &format!("{}?confirm=true", routes::pipeline("hello")))).await,
        ] {
            assert!(answer.header("retry-after").is_some());
            let problem = answer.problem(503, "audit_unavailable");
            assert!(problem.detail.contains("nothing was done"), "{problem:?}");
        }
        // What is looked at is, and what ends something is done; the server's messages tell of it.
        assert_eq!(client.runs().await.len(), 1);
        assert!(client.pipeline("hello").await.enabled);
        assert!(!client.get(routes::SECRETS).await.expect(200).text().contains("OTHER"));
        assert!(!client.get(routes::USERS).await.expect(200).text().contains("eve"));
        let _ = client.cancel(&run.id).await;
        let ended = client.end_of(&run.id).await;
        assert_eq!(ended.error_type, Some(fastflow_shared::ErrorType::Cancelled));
        let _ = session.post(routes::LOGOUT).await.expect(204);
        let messages = server.messages();
        assert!(messages.contains("run.start is refused") && messages.contains("the entry is Event"), "{messages}");
        assert!(messages.contains("run.cancel") && !messages.contains("a value of its own"));

        audit_log_of(&server, true).await;
        assert_eq!(client.audit("limit=500").await.len(), before, "no trial is left in it");
        let _ = client.run_well("hello").await;
        assert_eq!(client.audit("action=run.start").await.len(), 2);
    }
}
