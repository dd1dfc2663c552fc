//! Many starts at once: as many in flight on both sides.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastflow_tests::bench::{Raw, Wanted};
use fastflow_tests::options::UvCache;
use fastflow_tests::{Client, Options, Server};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::report::{Report, Table, Times, both, rate, times};
use crate::starts::{cache, in_environment, watch};

const RUNS: usize = 50;

const SCRIPT: &str = "print('first line')";

/// What a round brought.
struct Round {
    whole: Duration,
    first: Times,
    end: Times,
}

pub async fn part(report: &mut Report) {
    let head = ["", "Fast-Flow", "Docker", "ratio"];
    let mut table = Table::new("burst", &head).note(format!(
        "{RUNS} containers each, twice, until nothing is left of them; times are median / p95 from the request on. Docker: as above, \
         with the same environment mounted."
    ));
    for parallel in [10, 50] {
        let options = Options::new()
            .uv_cache(UvCache::At(cache()))
            .env("LOG_LEVEL", "warn")
            .env("MAX_CONCURRENT_RUNS", parallel.to_string())
            .env("MAX_QUEUED_RUNS", "1000");
        let server = Server::start(options).await;
        server.pipeline("first", SCRIPT);
        let key = server.client().run_well("first").await.environment.expect("it has one");
        let wanted = in_environment(&key, SCRIPT);
        server.client().idle().await;
        let raw = Arc::new(Raw::new(server.instance()));
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            theirs.push(docker(&raw, &wanted, parallel).await);
            ours.push(fast_flow(server.client()).await);
        }
        let sum = |rounds: &[Round]| rounds.iter().map(|round| round.whole).sum::<Duration>();
        let (ours_rate, theirs_rate) = (rate(RUNS * 2, sum(&ours)), rate(RUNS * 2, sum(&theirs)));
        table.row(&[
            &format!("{parallel} in flight, per second"),
            &format!("{ours_rate:.2}"),
            &format!("{theirs_rate:.2}"),
            &times(ours_rate / theirs_rate),
        ]);
        let all = |rounds: &[Round], pick: fn(&Round) -> &Times| {
            rounds.iter().flat_map(|round| pick(round).clone().into_times()).collect::<Times>()
        };
        for (what, pick) in
            [("first line", (|round| &round.first) as fn(&Round) -> &Times), ("completion", |round| &round.end)]
        {
            let (a, b) = (all(&ours, pick), all(&theirs, pick));
            let ratio = crate::report::ratio(a.median(), b.median());
            table.row(&[&format!("{parallel} in flight, {what}"), &both(&a), &both(&b), &ratio]);
        }
    }
    report.add(table);
}

async fn fast_flow(client: &Client) -> Round {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..RUNS {
        let client = client.clone();
        tasks.spawn(async move { watch(&client, "first").await });
    }
    let seen = tasks.join_all().await;
    client.idle().await;
    round(begin.elapsed(), seen)
}

async fn docker(raw: &Arc<Raw>, wanted: &Wanted, parallel: usize) -> Round {
    let slots = Arc::new(Semaphore::new(parallel));
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..RUNS {
        let (raw, wanted, slots) = (raw.clone(), wanted.clone(), slots.clone());
        tasks.spawn(async move {
            let since = Instant::now();
            let _slot = slots.acquire_owned().await.expect("open");
            let waited = since.elapsed();
            let seen = raw.run(&wanted).await;
            (waited + seen.first, waited + seen.end)
        });
    }
    let seen = tasks.join_all().await;
    round(begin.elapsed(), seen)
}

fn round(whole: Duration, seen: Vec<(Duration, Duration)>) -> Round {
    let (first, end): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
    Round { whole, first: first.into_iter().collect(), end: end.into_iter().collect() }
}
