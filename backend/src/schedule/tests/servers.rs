//! Several servers on one database: each due time is fired by one of them.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::*;

/// Due times that two schedulers share.
const DUE_TIMES: usize = 10_000;

const JOBS: usize = 50;

/// Tells a process of [`a_server_process`] where its database is.
const DATABASE: &str = "FASTFLOW_TEST_SCHEDULER_DATABASE";

/// What such a process says when it has fired what was due.
const FIRED: &str = "fired ";

/// No test by itself: one server of the test below, in a process of its own. It reads the minutes to which its clock is to
/// go from its standard input, and fires what is due by then.
#[tokio::test]
#[ignore = "a process of another test"]
async fn a_server_process() {
    let Ok(url) = std::env::var(DATABASE) else { return };
    let mut options = crate::store::Options::sqlite("");
    options.url = Some(url);
    let world = World::on(Store::open(&options).await.expect("the database opens"));
    let server = world.server().await.schedule;
    for order in std::io::stdin().lines() {
        let minutes: i64 = order.expect("readable").trim().parse().expect("minutes");
        world.set(Millis(at(BEGIN).0 + minutes * 60_000));
        let mut fired = 0;
        loop {
            match server.tick().await.expect("ticks") {
                0 => break,
                more => fired += more,
            }
        }
        println!("{FIRED}{fired}");
    }
}

/// A process of [`a_server_process`]; killed when it is dropped.
struct Process {
    process: Child,
    orders: ChildStdin,
    said: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(url: &str) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut process = Command::new(program)
            .args([
                "--exact",
                "schedule::tests::servers::a_server_process",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(DATABASE, url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let (orders, said) = (process.stdin.take().expect("a pipe"), process.stdout.take().expect("a pipe"));
        Self { process, orders, said: BufReader::new(said).lines() }
    }

    async fn order(&mut self, minutes: i64) {
        self.orders.write_all(format!("{minutes}\n").as_bytes()).await.expect("it listens");
    }

    async fn fired(&mut self) -> usize {
        loop {
            let line = self.said.next_line().await.expect("readable").expect("it goes on");
            // The harness begins the line with the test's name.
            if let Some((_, count)) = line.split_once(FIRED) {
                return count.trim().parse().expect("a number");
            }
        }
    }
}

#[tokio::test]
async fn two_processes_share_ten_thousand_due_times_though_one_is_killed() {
    let options = testing::postgres().await;
    let world = World::on(options.open().await);
    let all = Policy { catch_up: CatchUp::All { most: 1000, max_age: 30 * 86_400_000 }, ..LATEST };
    let mut jobs = Vec::new();
    for _ in 0..JOBS {
        jobs.push(world.job("cron", "* * * * *", all).await);
    }
    let per_job = i64::try_from(DUE_TIMES / JOBS).expect("fits");
    let mut servers = [Process::start(options.url()), Process::start(options.url())];
    let mut won = [0, 0];
    for leap in 1..=5 {
        for server in &mut servers {
            server.order(per_job * leap / 5).await;
        }
        if leap == 3 {
            // In the middle of it, as a power cut would; another one takes its place and finds what is left.
            won[0] += servers[0].fired().await;
            let killed = &mut servers[1].process;
            killed.start_kill().expect("killed");
            killed.wait().await.expect("it ends");
            servers[1] = Process::start(options.url());
            continue;
        }
        for (sum, server) in won.iter_mut().zip(&mut servers) {
            *sum += server.fired().await;
        }
    }
    println!("{won:?}");
    assert!(won.iter().all(|won| *won > 0) && won[0] + won[1] <= DUE_TIMES, "both take part: {won:?}");
    let expected: Vec<i64> = (1..=per_job).collect();
    for job in &jobs {
        assert_eq!(world.started(job).await, expected, "none lost, none twice");
    }
    let (filter, mut runs, mut cursor) = (crate::store::RunFilter::default(), 0, None);
    loop {
        let oldest = crate::store::RunOrder::OldestFirst;
        let page = world.store.runs_page(&filter, oldest, cursor.as_ref(), 500).await.expect("read");
        runs += page.rows.len();
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(runs, DUE_TIMES, "no run without a due time");
    drop(servers);
    world.store.close().await;
    options.drop().await;
}
