//! Dependencies: resolved and built once, ahead of the run, with uv's own words when they cannot be.

use std::time::Duration;

use fastflow_shared::{EnvironmentState, ErrorType, Phase, RunStatus};
use fastflow_tests::options::UvCache;
use fastflow_tests::wait::until;
use fastflow_tests::{Options, Server};

/// A small package without dependencies of its own.
const REQUIREMENTS: &str = "humanize>=4.9,<5\n";

const USES_IT: &str = "import humanize, sys; print(humanize.intcomma(1234567)); print(sys.prefix)";

#[tokio::test]
async fn a_requirement_that_does_not_exist_fails_the_run_with_uvs_own_words() {
    let server = Server::start(Options::new().uv_cache(UvCache::Own)).await;
    let client = server.client();
    server.pipeline("wrong", "print('never')").requirements("humanize==0.0.0.0.7\n");
    let _ = client.post(fastflow_shared::routes::SYNC).await.expect(200);
    let run = client.run_to_end("wrong").await;
    assert_eq!((run.status, run.error_type), (RunStatus::Failed, Some(ErrorType::Dependency)));
    let message = run.error_message.expect("a message");
    let log = client.log_text(&run.id).await;
    assert!(message.contains("humanize") && message.contains("requirements.txt"), "{message}\n{log}");
    assert!(log.contains("humanize==0.0.0.0.7") && log.contains("unsatisfiable"), "{log}");
    assert!(!log.contains("never\n"));
    assert!(run.started_at.is_none() && run.exit_code.is_none() && run.finished_at.is_some());
    let failed =
        async || Some(client.pipeline("wrong").await).filter(|p| p.environment_state == EnvironmentState::Failed);
    let pipeline = until("the environment to be known as failed", Duration::from_secs(20), failed).await;
    assert!(pipeline.environment_error.is_some_and(|error| error.contains("humanize")));
    client.idle().await;
}

#[tokio::test]
async fn once_prepared_a_run_needs_no_network_and_resolves_nothing() {
    let first = Server::start(Options::new().uv_cache(UvCache::Own)).await;
    first.pipeline("counts", USES_IT).requirements(REQUIREMENTS);
    let cold = first.client().run_well("counts").await;
    assert!(cold.setup_duration.is_some_and(|seconds| seconds > 0.1), "{:?}", cold.setup_duration);
    assert!(cold.uv_version.as_deref().is_some_and(|version| version.contains('.')), "{:?}", cold.uv_version);
    let log = first.client().log_text(&cold.id).await;
    assert!(log.starts_with("1,234,567\n"), "{log}");

    let cut_off = Options::new().uv_cache(UvCache::At(first.uv_cache_dir())).env("WORKER_NETWORK", "none");
    let second = Server::start(cut_off).await;
    second
        .pipeline("counts", &format!("{USES_IT}\nimport socket\nprint([name for _, name in socket.if_nameindex()])"))
        .requirements(REQUIREMENTS);
    let warm = second.client().run_well("counts").await;
    assert!(warm.setup_duration.is_some_and(|seconds| seconds < 0.5), "{:?}", warm.setup_duration);
    assert_eq!((warm.environment, warm.uv_version), (cold.environment, cold.uv_version));
    let log = second.client().log_text(&warm.id).await;
    assert!(log.starts_with("1,234,567\n") && log.ends_with("['lo']\n"), "{log}");
}

#[tokio::test]
async fn starts_wait_together_for_one_build_and_say_so() {
    let server = Server::start(Options::new().uv_cache(UvCache::Own)).await;
    let client = server.client();
    server.pipeline("counts", USES_IT).requirements(REQUIREMENTS);
    let (a, b) = tokio::join!(client.start("counts"), client.start("counts"));
    for run in [&a, &b] {
        let what = "to say that it is being prepared";
        client
            .run_when(&run.id, what, Duration::from_secs(20), |run| {
                run.phase == Phase::Preparing || run.status.is_final()
            })
            .await;
    }
    let (a, b) = tokio::join!(client.end_of(&a.id), client.end_of(&b.id));
    assert_eq!(
        (a.status, b.status),
        (RunStatus::Success, RunStatus::Success),
        "{:?} {:?}",
        a.error_message,
        b.error_message
    );
    assert_eq!(a.environment, b.environment);
    let builds = server.messages().matches("building environment").count();
    assert_eq!(builds, 1, "two starts at the same moment share one build");
    let _ = client.post(fastflow_shared::routes::SYNC).await.expect(200);
    // A sync answers before the environments are looked at.
    until("the environment to be known as ready", Duration::from_secs(20), async || {
        (client.pipeline("counts").await.environment_state == EnvironmentState::Ready).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pyproject_in_the_folder_is_not_picked_up_by_accident() {
    let server = Server::start(Options::new()).await;
    server
        .pipeline("plain", "print('plain')")
        .file("pyproject.toml", "[project]\nname = 'x'\nversion = '1'\ndependencies = ['no-such-package-at-all==1']\n")
        .file("uv.toml", "this is = not even [ toml");
    server.client().run_well("plain").await;
}
