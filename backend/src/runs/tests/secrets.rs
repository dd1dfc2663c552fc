//! Secrets of a run: into it, and hidden in all that comes out of it, also after a crash.

use fastflow_shared::{NewVaultEntry, VaultChange};

use super::*;
use crate::runs::Again;

const SECRET: &str = "swordfish-4711";

impl World {
    fn vault(&self) -> Vault {
        Vault::new(self.store.clone(), self.keyring.clone(), self.clock.clone())
    }

    async fn secret(&self, key: &str, value: &str) {
        let entry =
            NewVaultEntry { key: key.to_owned(), value: value.to_owned(), is_secret: true, pipelines: Vec::new() };
        self.vault().create(&entry).await.expect("new");
    }
}

#[tokio::test]
async fn a_secret_reaches_the_run_and_nothing_else() {
    let world = World::new().await;
    world.secret("TOKEN", SECRET).await;
    let encrypted = world.vault().encrypt("encrypted-0815").expect("encrypted").encrypted;
    world.pipeline("p", &format!(r#"{{"encrypted_env": {{"OTHER": "{encrypted}"}}}}"#));
    let server = world.server();
    let script = "env TOKEN; env OTHER; env HIDDEN; err Traceback (most recent call last):; err   File; \
                  hex err 4572726f723a20; env TOKEN; err ValueError: hidden-value!; exit 1";
    let mut start = script_start(script);
    start.env_vars.insert("HIDDEN".to_owned(), "hidden-value".to_owned());
    let run = server.launch("p", Trigger::Manual, start).await.expect("accepted").id;
    let row = server.ended(&run).await;
    let log = server.log(&run).await;
    assert!(log.starts_with("TOKEN=***\nOTHER=***\nHIDDEN=***\n"), "{log}");
    assert_eq!(row.error_type, Some(ErrorType::ExitCode));
    let message = row.error_message.clone().expect("a reason");
    assert!(message.contains("***") && !message.contains("hidden-value"), "{message}");
    let shown = server.run(&run).await.expect("there");
    let sources: Vec<_> = shown.env_names.iter().map(|env| (env.name.as_str(), env.source.as_str())).collect();
    assert_eq!(
        sources,
        [("FAKE_PROGRAM", "start"), ("HIDDEN", "start"), ("OTHER", "encrypted_env"), ("TOKEN", "secret")]
    );
    assert!(shown.env_names.iter().all(|env| env.value.is_some() == (env.name == "FAKE_PROGRAM")), "{shown:?}");
    assert_eq!(world.store.run_mask(&run).await.expect("answers"), None, "forgotten with the run");
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn after_a_crash_at_every_step_of_time_the_log_is_whole_and_masked() {
    // 14 bytes become 3, so a wrong count would lose or double lines.
    let script: String = (1..=20).map(|number| format!("env TOKEN; out {number}; hex out 78; sleep 10ms;")).collect();
    let expected: String = (1..=20).map(|number| format!("TOKEN=***\n{number}\nx")).collect();
    for milliseconds in (0..260).step_by(13) {
        let world = World::new().await;
        world.secret("TOKEN", SECRET).await;
        let server = world.server();
        server.ended(&server.start("exit 0").await).await;
        let run = server.start(&format!("{script} exit 3")).await;
        pause(milliseconds).await;
        for _ in 0..milliseconds % 7 {
            tokio::task::yield_now().await;
        }
        server.crash().await;
        // What is in the vault now is not what the run was given, unless it had not begun.
        let begun = world.store.run(&run).await.expect("there").status != RunStatus::Pending;
        if begun {
            let change = VaultChange { value: Some("another value".to_owned()), is_secret: None, pipelines: None };
            world.vault().change("TOKEN", &change).await.expect("there");
        }
        pause(milliseconds * 31 % 200).await;
        let server = world.server();
        server.recover().await.expect("recovered");
        let row = server.ended(&run).await;
        assert_eq!(outcome(&row), failed(ErrorType::ExitCode, Some(3)), "{milliseconds} ms");
        assert_eq!(server.log(&run).await, expected, "{milliseconds} ms");
        assert_eq!(server.marks(&run).await, Vec::<String>::new(), "{milliseconds} ms");
        server.recover().await.expect("recovered");
        world.assert_clean(&server).await;
        assert_eq!(world.store.run_mask(&run).await.expect("answers"), None);
    }
}

#[tokio::test]
async fn output_that_cannot_be_masked_any_more_is_withheld_and_comes_back_with_the_key() {
    let mut world = World::new().await;
    world.secret("TOKEN", SECRET).await;
    let server = world.server();
    let run =
        server.start("env TOKEN; out first; sleep 20s; env TOKEN; out second; sleep 200s; out third; exit 3").await;
    server.until_logged(&run, "first").await;
    server.crash().await;

    let right = std::mem::replace(&mut world.keyring, Arc::new(Keyring::parse(&other_key(), "test").expect("a key")));
    let server = world.server();
    server.recover().await.expect("recovered");
    pause(60_000).await;
    assert_eq!(server.log(&run).await, "TOKEN=***\nfirst\n");
    assert!(server.marks(&run).await.iter().any(|mark| mark.contains("withheld")));
    server.crash().await;

    world.keyring = right;
    let server = world.server();
    server.recover().await.expect("recovered");
    let row = server.ended(&run).await;
    assert_eq!(outcome(&row), failed(ErrorType::ExitCode, Some(3)));
    assert_eq!(server.log(&run).await, "TOKEN=***\nfirst\nTOKEN=***\nsecond\nthird\n");
}

#[tokio::test]
async fn a_run_that_cannot_have_what_it_needs_fails_by_name_before_it_starts() {
    let mut world = World::new().await;
    let encrypted = world.vault().encrypt("encrypted-0815").expect("encrypted").encrypted;
    world.pipeline("encrypted", &format!(r#"{{"encrypted_env": {{"OTHER": "{encrypted}"}}}}"#));
    world.pipeline("wants", r#"{"secrets": ["NONE"]}"#);
    world.keyring = Arc::new(Keyring::parse(&other_key(), "test").expect("a key"));
    let server = world.server();
    for (pipeline, name) in [("encrypted", "`OTHER`"), ("wants", "`NONE`")] {
        let run = server.start_of(pipeline, "out never").await;
        let row = server.ended(&run).await;
        let message = row.error_message.clone().expect("a reason");
        assert!(message.contains(name) && !message.contains("0815"), "{message}");
        assert_eq!((row.status, row.started_at), (RunStatus::Failed, None));
        assert!(server.marks(&run).await.iter().any(|mark| mark.contains(name)));
    }
    world.assert_clean(&server).await;
}

#[tokio::test]
async fn defaults_of_parameters_reach_the_run_and_wrong_values_are_refused() {
    let world = World::new().await;
    let parameters =
        r#"{"parameters": [{"name": "FAKE_PROGRAM"}, {"name": "LIMIT", "type": "integer", "default": 5}]}"#;
    world.pipeline("p", parameters);
    let server = world.server();
    let run = server.start("env LIMIT").await;
    server.ended(&run).await;
    assert_eq!(server.log(&run).await, "LIMIT=5\n");
    let mut start = script_start("env LIMIT");
    start.parameters.insert("LIMIT".to_owned(), "many".to_owned());
    start.parameters.insert("LIMITS".to_owned(), "1".to_owned());
    let Err(LaunchError::BadValues(problems)) = server.launch("p", Trigger::Manual, start).await else {
        panic!("it is refused")
    };
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["/parameters/LIMITS", "/parameters/LIMIT"]);
}

#[tokio::test]
async fn the_same_again_takes_the_values_of_then_and_the_secrets_of_today() {
    let world = World::new().await;
    world.secret("TOKEN", "short").await;
    world.pipeline("p", r#"{"parameters": [{"name": "FAKE_PROGRAM"}, {"name": "LIMIT", "default": 5}]}"#);
    let server = world.server();
    let run = server.start("env LIMIT; env TOKEN").await;
    server.ended(&run).await;
    world.pipeline("p", r#"{"parameters": [{"name": "FAKE_PROGRAM"}, {"name": "DAY", "required": true}]}"#);
    let change = VaultChange { value: Some("other".to_owned()), is_secret: None, pipelines: None };
    world.vault().change("TOKEN", &change).await.expect("there");
    let again = server.launch_again(&run, Again::Same, Trigger::Manual, None).await.expect("the code of then").id;
    server.ended(&again).await;
    assert_eq!(server.log(&again).await, "LIMIT=5\nTOKEN=other\n");
    let retried = server.launch_again(&run, Again::Retry, Trigger::Manual, None).await;
    assert!(matches!(retried, Err(LaunchError::BadValues(problems)) if problems.len() == 2), "the code of today");
}

fn other_key() -> String {
    "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=".to_owned()
}
