//! Settings from every origin, right and wrong.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use super::*;

fn sources(environment: &[(&str, &str)], dotenv: Option<&str>) -> Sources {
    Sources {
        environment: environment.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect(),
        dotenv: dotenv.map(|text| text.as_bytes().to_owned()),
        changes: BTreeMap::new(),
    }
}

fn load(environment: &[(&str, &str)], dotenv: &str) -> Config {
    Config::load(&sources(environment, Some(dotenv))).expect("valid")
}

fn mistakes(environment: &[(&str, &str)], dotenv: &str) -> Vec<String> {
    let error = Config::load(&sources(environment, Some(dotenv))).expect_err("must be refused");
    error.0.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_needs_to_be_set() {
    let config = Config::load(&Sources::default()).expect("valid");
    assert_eq!(config.server.bind_address.to_string(), "127.0.0.1:8000");
    assert_eq!(config.server.log_filter, "warn,fastflow=info");
    assert!(config.data.data_dir.is_absolute() && config.data.logs_dir == config.data.data_dir.join("logs"));
    assert_eq!(config.store_options().sqlite_path, config.data.data_dir.join("fastflow.db"));
    assert_eq!((config.runs.max_concurrent, config.runs.max_queued), (10, 100));
    assert_eq!((config.runs.timeout, config.runs.silence, config.runs.log_max_bytes), (None, None, None));
    assert_eq!(config.limits, Limits { cpus: None, memory: None, pids: 512 });
    assert!(config.effective.iter().all(|line| line.origin == Origin::Default));
}

#[test]
fn everything_can_be_set() {
    let config = load(
        &[],
        "BIND_ADDRESS=[::]:80\nLOG_LEVEL=Debug\nLOG_FORMAT=JSON\nSHUTDOWN_STOPS_RUNS=yes\nFASTFLOW_INSTANCE=east-1\n\
         DATA_DIR=/d\nDATABASE_URL=postgres://u:hunter2@h/d\nPIPELINES_DIR=/p\nUV_CACHE_DIR=/c\nSESSION_IDLE_HOURS=0.5\n\
         CONTAINER_TIMEOUT=60\nLOG_MAX_SIZE_MB=2\nDEFAULT_CPU_LIMIT=1.5\nDEFAULT_MEMORY_LIMIT=512M\n\
         HOST_PATHS='/d=/srv/d, /p=/srv/p'\nWORKER_USER=1000:0\nWORKER_CAPABILITIES=cap_net_raw,CHOWN\nWORKER_NETWORK=none\n\
         ADMIN_PASSWORD=' a$b # '\n",
    );
    assert_eq!(config.server.log_filter, "warn,fastflow=debug");
    assert!(config.server.log_json && config.server.shutdown_stops_runs);
    assert_eq!(config.instance().expect("set"), "east-1");
    assert_eq!(config.data.logs_dir, PathBuf::from("/d/logs"));
    assert_eq!(config.data.uv_cache_dir, PathBuf::from("/c"));
    assert_eq!(config.auth_options().session_idle, Duration::from_secs(1800));
    assert_eq!(config.runs.timeout, Some(Duration::from_secs(60)));
    assert_eq!(config.runs.log_max_bytes, Some(2 << 20));
    assert_eq!(config.limits, Limits { cpus: Some(1.5), memory: Some(512 << 20), pids: 512 });
    assert_eq!(config.worker.host_paths[1], ("/p".into(), "/srv/p".into()));
    assert_eq!(config.worker.capabilities, ["NET_RAW", "CHOWN"]);
    assert_eq!(config.access.admin_password.as_ref().map(|text| text.as_str()), Some(" a$b # "));
}

#[test]
fn the_real_environment_wins_and_empty_is_not_set() {
    let config = load(
        &[("MAX_QUEUED_RUNS", "1"), ("RETRY_ATTEMPTS", ""), ("HEALTH_SILENCE_SECONDS", " ")],
        "MAX_QUEUED_RUNS=2\nMAX_QUEUED_RUNS=5\nRETRY_ATTEMPTS=3\nHEALTH_SILENCE_SECONDS=\n",
    );
    assert_eq!((config.runs.max_queued, config.runs.retry_attempts, config.runs.silence), (1, 3, None));
    let origin = |name| config.effective.iter().find(|line| line.name == name).map(|line| line.origin);
    assert_eq!(origin("MAX_QUEUED_RUNS"), Some(Origin::Environment));
    assert_eq!(origin("RETRY_ATTEMPTS"), Some(Origin::DotEnv));
    assert_eq!(origin("HEALTH_SILENCE_SECONDS"), Some(Origin::Default));
}

#[test]
fn all_mistakes_are_told_at_once_with_what_is_allowed() {
    let told = mistakes(
        &[("MAX_CONCURRENT_RUNS", "0"), ("BIND_ADDRESS", "localhost"), ("WORKER_USER", "root")],
        "LOG_FORMAT=xml\nDEFAULT_MEMORY_LIMIT=1m\nWORKER_CA_BUNDLE=/no/such.pem\nSHUTDOWN_STOPS_RUNS=maybe\nthis is no line\n",
    );
    assert_eq!(told.len(), 8, "{told:#?}");
    assert!(told.iter().any(|text| text == ".env: line 5 cannot be read: write NAME=value, and put values with spaces, quotes, $ or # in single quotes"), "{told:#?}");
    assert!(
        told.iter()
            .any(|text| text == "MAX_CONCURRENT_RUNS = 0 (from environment): allowed is a whole number from 1 to 1000"),
        "{told:#?}"
    );
    assert!(
        told.iter().any(|text| text.contains("LOG_FORMAT = xml (from .env): allowed is text or json")),
        "{told:#?}"
    );
    assert!(told.iter().any(|text| text.contains("No such file")), "{told:#?}");
}

#[test]
fn what_each_kind_refuses() {
    for (name, value) in [
        ("BIND_ADDRESS", "8000"),
        ("DATABASE_URL", "mysql://h/d"),
        ("DOCKER_HOST", "tcp://127.0.0.1:2375"),
        ("HOST_PATHS", "/only"),
        ("HOST_PATHS", "a=/b"),
        ("MAX_CONCURRENT_RUNS", "-1"),
        ("MAX_CONCURRENT_RUNS", "1.5"),
        ("SESSION_HOURS", "0"),
        ("SESSION_HOURS", "nan"),
        ("SESSION_HOURS", "1e2"),
        ("DEFAULT_CPU_LIMIT", "inf"),
        ("WORKER_USER", "0:0"),
        ("WORKER_USER", "1000"),
        ("WORKER_USER", ":"),
        ("WORKER_CAPABILITIES", "ALL"),
        ("WORKER_CAPABILITIES", "NET RAW"),
        ("FASTFLOW_INSTANCE", "a b"),
        ("FASTFLOW_INSTANCE", "-a"),
        ("RUST_LOG", "fastflow=loud"),
        ("WORKER_CA_BUNDLE", "/"),
        ("ENCRYPTION_KEY", "short"),
    ] {
        assert_eq!(mistakes(&[(name, value)], "").len(), 1, "{name}={value}");
    }
    let mut odd = Sources::default();
    odd.environment.insert("ADMIN_USERNAME".to_owned(), OsString::from_vec(vec![0xff]));
    assert!(Config::load(&odd).is_err());
}

#[test]
fn no_secret_is_shown_whether_it_is_right_or_wrong() {
    let key = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    let right = load(
        &[("ENCRYPTION_KEY", key), ("ADMIN_PASSWORD", "hunter2")],
        "DATABASE_URL=postgres://u:hu@nter2@h/d?password=hunter2",
    );
    let shown =
        format!("{right:?}\n{}\n{:?} {:?}", table(&right.effective), right.auth_options(), right.crypto_options());
    assert!(shown.contains("postgres://…@h/d?…"), "{shown}");
    let wrong = [
        mistakes(
            &[("ENCRYPTION_KEY", &format!("{key},hunter2")), ("DATABASE_URL", "hunter2")],
            "ADMIN_PASSWORD='hunter2",
        )
        .join("\n"),
        mistakes(&[("DATABASE_URL", "mysql://u:hunter2@h/d")], "ADMIN_PASSWORD=hunter2 hunter2=x\n").join("\n"),
        mistakes(&[], "hunter2\nhunter2=a b\nADMIN_PASSWORD=\"hunter2\nhunter2").join("\n"),
    ]
    .join("\n");
    for text in [shown, wrong] {
        assert!(!text.contains("hunter2") && !text.contains(key) && !text.contains("nter2"), "{text}");
    }
}

#[test]
fn the_servers_own_authorities_are_the_workers_unless_told_otherwise() {
    let folder = tempfile::tempdir().expect("folder");
    let [own, other] = ["own.pem", "other.pem"].map(|name| folder.path().join(name));
    std::fs::write(&own, "").expect("write");
    std::fs::write(&other, "").expect("write");
    let (own_text, other_text) = (own.to_str().expect("text"), other.to_str().expect("text"));
    assert_eq!(load(&[("SSL_CERT_FILE", own_text)], "").worker.ca_bundle, Some(own.clone()));
    assert_eq!(
        load(&[("SSL_CERT_FILE", own_text)], &format!("WORKER_CA_BUNDLE={other_text}")).worker.ca_bundle,
        Some(other)
    );
    assert_eq!(load(&[("SSL_CERT_FILE", "/no/such.pem")], "").worker.ca_bundle, None);
}

#[test]
fn names_in_dotenv_that_are_no_settings_are_found() {
    let config = load(&[("FASTFLOW_SOMETHING", "x")], "\u{feff}MAX_CONCURENT_RUNS=3\nLOG_LEVEL=warn\n");
    assert_eq!(config.unknown, ["MAX_CONCURENT_RUNS"]);
    assert_eq!(config.server.log_filter, "warn,fastflow=warn");
}

#[test]
fn the_instances_name_is_made_once() {
    let folder = tempfile::tempdir().expect("folder");
    let config = load(&[("DATA_DIR", folder.path().to_str().expect("text"))], "");
    let name = config.instance().expect("made");
    assert_eq!((name.len(), &config.instance().expect("kept")), (12, &name));
    std::fs::write(folder.path().join("instance-id"), "not a name").expect("write");
    assert!(matches!(config.instance(), Err(InstanceError::Malformed(_))));
}

#[test]
fn the_page_of_settings_is_the_table() {
    // Read now: it is written anew by the very program that this test is built with.
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configure.md")).expect("the page");
    assert_eq!(page, markdown(), "write it anew: cargo run -p fastflow -- config --markdown > docs/configure.md");
}

#[test]
fn the_example_file_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../.env.example");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == example(),
        ".env.example is out of date; write it anew: cargo run -- config --example > .env.example"
    );
}

#[test]
fn the_example_file_shows_the_defaults() {
    let uncommented: String = example()
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or_default().to_owned() + "\n")
        .collect();
    let (example, default) = (load(&[], &uncommented), load(&[], ""));
    assert_eq!(example.unknown, Vec::<String>::new());
    let values =
        |config: &Config| config.effective.iter().map(|line| (line.name, line.value.clone())).collect::<Vec<_>>();
    assert_eq!(values(&example), values(&default));
    assert_eq!(uncommented.lines().filter(|line| line.contains('=')).count(), settings::all().count());
}

#[test]
fn names_are_unique() {
    let names: BTreeSet<_> = settings::all().map(|setting| setting.name).collect();
    assert_eq!(names.len(), settings::all().count());
}

#[test]
fn what_was_changed_wins_over_everything_and_is_checked_as_the_environment_is() {
    let sources =
        sources(&[("MAX_QUEUED_RUNS", "1"), ("DEFAULT_MEMORY_LIMIT", "512m")], Some("LOG_RETENTION_DAYS=9\n"));
    let read = |changes: &[(&str, &str)]| {
        let changes = changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::tuned(&sources, &changes)
    };
    let none = read(&[]).expect("valid");
    assert_eq!((none.max_queued, none.keep_days, none.memory), (1, Some(9), Some(512 << 20)));
    let some =
        read(&[("MAX_QUEUED_RUNS", "7"), ("LOG_RETENTION_DAYS", ""), ("DEFAULT_MEMORY_LIMIT", "")]).expect("valid");
    assert_eq!((some.max_queued, some.keep_days, some.memory), (7, None, None), "an empty one is the default");
    let wrong =
        read(&[("MAX_QUEUED_RUNS", "many"), ("BIND_ADDRESS", "0.0.0.0:1"), ("NONSENSE", "1")]).expect_err("refused");
    let told: Vec<_> = wrong.iter().map(|problem| (problem.field.as_str(), problem.message.as_str())).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.contains(&("MAX_QUEUED_RUNS", "allowed is a whole number from 0 to 100000")), "{told:?}");
}

#[test]
fn nothing_that_can_be_changed_is_secret_and_all_of_it_is_listed() {
    assert!(settings::all().all(|setting| !(setting.changeable && setting.is_secret())));
    let known = load(&[("MAX_QUEUED_RUNS", "1")], "ADMIN_PASSWORD=hunter2").known();
    assert_eq!(known.len(), settings::all().count());
    let of = |name: &str| known.iter().find(|known| known.name == name).expect("listed");
    assert_eq!((of("MAX_QUEUED_RUNS").origin.as_str(), of("MAX_QUEUED_RUNS").changeable), ("environment", true));
    assert_eq!((of("ADMIN_PASSWORD").value.as_str(), of("ADMIN_PASSWORD").changeable), ("(hidden)", false));
}
