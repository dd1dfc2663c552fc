//! Cancelling: at once, wherever the run is, and always with the same end.

use std::time::{Duration, Instant};

use fastflow_shared::{ErrorType, Phase, Run, RunStatus};
use fastflow_tests::options::UvCache;
use fastflow_tests::{Client, Options, Server, docker};
use futures_util::future::join_all;

async fn cancel(client: &Client, id: &str) {
    let answer: Run = client.cancel(id).await.expect(202).json();
    assert!(answer.cancel_requested || answer.status.is_final());
}

fn is_cancelled(run: &Run) {
    assert_eq!(
        (run.status, run.error_type),
        (RunStatus::Failed, Some(ErrorType::Cancelled)),
        "{:?}",
        run.error_message
    );
    assert_eq!(run.error_message.as_deref(), Some("Cancelled by admin."));
}

#[tokio::test]
async fn in_the_queue_it_ends_at_once_and_others_move_up() {
    let server = Server::start(Options::new().env("MAX_CONCURRENT_RUNS", "1")).await;
    let client = server.client();
    server.pipeline("nap", "import time; time.sleep(5)");
    let first = client.start("nap").await;
    let second = client.start("nap").await;
    let third = client.start("nap").await;
    cancel(client, &second.id).await;
    let second = client.run_when(&second.id, "to end", Duration::from_secs(2), |run| run.status.is_final()).await;
    is_cancelled(&second);
    assert!(second.started_at.is_none() && second.exit_code.is_none());
    client.run_when(&third.id, "to move up", Duration::from_secs(5), |run| run.queue_position == Some(1)).await;
    cancel(client, &first.id).await;
    cancel(client, &third.id).await;
    is_cancelled(&client.end_of(&first.id).await);
    is_cancelled(&client.end_of(&third.id).await);
    client.idle().await;
}

#[tokio::test]
async fn while_it_is_prepared_it_ends_at_once() {
    let server = Server::start(Options::new().uv_cache(UvCache::Own)).await;
    let client = server.client();
    server.pipeline("counts", "print('never')").requirements("humanize>=4.9,<5\n");
    let run = client.start("counts").await;
    client.run_when(&run.id, "to be prepared", Duration::from_secs(20), |run| run.phase == Phase::Preparing).await;
    cancel(client, &run.id).await;
    let run = client.run_when(&run.id, "to end", Duration::from_secs(2), |run| run.status.is_final()).await;
    is_cancelled(&run);
    // The next start is none the worse for it.
    server.pipeline("counts", "import humanize; print('well')");
    client.run_well("counts").await;
}

#[tokio::test]
async fn a_script_gets_the_chance_to_put_things_in_order() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.example("long");
    let run = client.start("long").await;
    client.log_when(&run.id, "line 2 of").await;
    cancel(client, &run.id).await;
    let begin = Instant::now();
    let run = client.end_of(&run.id).await;
    is_cancelled(&run);
    assert_eq!(run.exit_code, Some(143));
    assert!(begin.elapsed() < Duration::from_secs(6), "it did not need the whole grace period");
    let log = client.log_text(&run.id).await;
    assert!(log.contains("putting things in order") && log.ends_with("done, goodbye\n"), "{log}");
    cancel(client, &run.id).await;
    is_cancelled(&client.run(&run.id).await);
}

#[tokio::test]
async fn a_script_that_does_not_listen_is_killed_after_the_grace_period() {
    let server = Server::start(Options::new().env("CANCEL_GRACE_SECONDS", "2")).await;
    let client = server.client();
    // It floods as well: whoever does not read its output could not kill it.
    let deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: print('x' * 100)";
    server.pipeline("deaf", deaf);
    let run = client.start("deaf").await;
    client.log_when(&run.id, "xxx").await;
    let begin = Instant::now();
    cancel(client, &run.id).await;
    client.run_when(&run.id, "to be stopping", Duration::from_secs(2), |run| run.phase == Phase::Stopping).await;
    let run = client.end_of(&run.id).await;
    let took = begin.elapsed();
    is_cancelled(&run);
    assert_eq!(run.exit_code, Some(137));
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(8), "{took:?}");
    docker::all_gone(server.instance()).await;
}

#[tokio::test]
async fn a_cancel_that_races_with_the_end_never_leaves_a_run_between() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    server.pipeline("brief", "import time; time.sleep(0.2)");
    let (mut cancelled, mut done) = (0, 0);
    for round in 0..25_u32 {
        let one = |n: u32| async move {
            let run = client.start("brief").await;
            client.running(&run.id).await;
            tokio::time::sleep(Duration::from_millis(u64::from(n) * 40)).await;
            cancel(client, &run.id).await;
            client.end_of(&run.id).await
        };
        for run in join_all((0..8).map(|n| one(n + round % 2))).await {
            match run.status {
                RunStatus::Success => done += 1,
                _ => {
                    is_cancelled(&run);
                    cancelled += 1;
                }
            }
        }
    }
    let stats = client.stats("brief").await;
    assert_eq!((stats.total_runs, stats.successful_runs, stats.failed_runs), (200, done, cancelled));
    client.idle().await;
    docker::all_gone(server.instance()).await;
}

#[tokio::test]
async fn a_run_that_nobody_knows_cannot_be_cancelled() {
    let server = Server::start(Options::new()).await;
    let _ = server.client().cancel("00000000-0000-7000-8000-000000000000").await.problem(404, "run_not_found");
    let _ = server.client().cancel("nonsense").await.problem(404, "run_not_found");
}
