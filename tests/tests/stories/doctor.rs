//! `fastflow doctor` and the other commands that tell what is wrong: by their words and their exit codes.

use fastflow_tests::options::Database;
use fastflow_tests::{Options, Server};
use serde_json::Value;

/// A check's name, its verdict, and how to mend it.
type Told = (String, String, Option<String>);

fn verdicts(server: &Server) -> (Option<i32>, Vec<Told>) {
    let (code, printed) = server.call(&["doctor", "--json"]);
    let diagnosis: Value = serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    let text = |check: &Value, name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let checks = diagnosis["checks"].as_array().expect("checks").iter();
    let told =
        checks.map(|check| (text(check, "name"), text(check, "verdict"), check["mend"].as_str().map(str::to_owned)));
    (code, told.collect())
}

#[tokio::test]
async fn the_doctor_finds_a_well_machine_well_and_says_how_to_mend_another() {
    for database in Database::ALL {
        let mut server = Server::start(Options::new().database(database)).await;
        let (code, checks) = verdicts(&server);
        let names: Vec<_> = checks.iter().map(|(name, ..)| name.as_str()).collect();
        let expected = [
            "settings",
            "data",
            "logs",
            "uv cache",
            "database",
            "key",
            "link mode",
            "docker",
            "image",
            "uv",
            "clock",
            "folders",
            "git",
        ];
        assert_eq!(names, expected);
        // A disk that is nearly full is this machine's affair.
        let bad: Vec<_> = checks.iter().filter(|(_, verdict, _)| verdict == "fail").collect();
        assert!(bad.is_empty(), "{bad:?}");
        assert_eq!(code, Some(0));
        if database == Database::Sqlite {
            server.kill9();
            let key = server.data_dir().join("encryption.key");
            std::fs::write(&key, "no key").expect("written");
            server.options.env.insert("DOCKER_HOST".to_owned(), "unix:///nobody/listens.sock".to_owned());
            server.options.env.insert("PIPELINES_REPO_URL".to_owned(), "/no/such/repository".to_owned());
            let (code, checks) = verdicts(&server);
            assert_eq!(code, Some(1));
            for name in ["key", "docker", "git"] {
                let (_, verdict, mend) = checks.iter().find(|(of, ..)| of == name).expect("the check");
                assert!(verdict == "fail" && mend.as_ref().is_some_and(|mend| mend.len() > 10), "{name}: {mend:?}");
            }
            server.options.env.insert("MAX_CONCURRENT_RUNS".to_owned(), "many".to_owned());
            let (code, checks) = verdicts(&server);
            assert_eq!((code, checks.len(), checks[0].0.as_str()), (Some(1), 1, "settings"));
        }
    }
}

#[tokio::test]
async fn exit_codes_are_those_of_the_documents() {
    let mut server = Server::start(Options::new().database(Database::Sqlite)).await;
    let code = |arguments: &[&str]| server.call(arguments).0;
    assert_eq!(code(&["health"]), Some(0));
    assert_eq!(code(&["config"]), Some(0));
    assert_eq!(code(&["schema"]), Some(0));
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["no-such-command"]), Some(2));
    assert_eq!(code(&["doctor", "--no-such-argument"]), Some(2));
    assert_eq!(code(&["validate", "/no/such/folder"]), Some(1));
    assert_eq!(code(&["user", "reset-password", "nobody"]), Some(1));
    let (second, printed) = server.call(&["serve"]);
    assert_eq!(second, Some(3), "{printed}");
    server.terminate().await;
    assert_eq!(server.call(&["health"]).0, Some(1), "nobody answers");
    server.options.env.insert("MAX_CONCURRENT_RUNS".to_owned(), "many".to_owned());
    let (wrong, printed) = server.call(&["serve"]);
    assert_eq!(wrong, Some(1), "{printed}");
    assert!(printed.contains("MAX_CONCURRENT_RUNS"), "{printed}");
    // Somebody else has the address.
    server.options.env.remove("MAX_CONCURRENT_RUNS");
    let other = std::net::TcpListener::bind(server.base().trim_start_matches("http://")).expect("the port is free");
    let (taken, printed) = server.call(&["serve"]);
    assert_eq!(taken, Some(3), "{printed}");
    drop(other);
}
