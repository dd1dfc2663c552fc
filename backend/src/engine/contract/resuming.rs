//! A server dies, another goes on: [`resume`], in all states a container can be found in.

use std::time::Duration;

use super::*;

contract! {
    numbered_lines_go_on_without_gap_or_double,
    both_streams_go_on,
    an_unfinished_line_is_finished,
    what_ended_in_the_meantime_is_completed,
    a_container_left_frozen_goes_on,
    a_flood_goes_on,
    a_log_that_lost_its_beginning_says_so,
    a_reader_who_leaves_lets_the_container_go_on,
    a_cancel_while_resuming_loses_and_doubles_nothing,
}

/// What a server has written down.
#[derive(Default)]
struct Journal {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Journal {
    fn position(&self) -> Position {
        let of = |bytes: &[u8]| StreamPosition {
            bytes: bytes.len() as u64,
            tail: bytes[bytes.len().saturating_sub(4096)..].to_vec().into(),
            mask: None,
        };
        Position { stdout: of(&self.stdout), stderr: of(&self.stderr) }
    }

    fn write(&mut self, frame: Result<Frame>) {
        let Frame { source, bytes } = frame.expect("output");
        match source {
            Source::Stdout => self.stdout.extend_from_slice(&bytes),
            Source::Stderr => self.stderr.extend_from_slice(&bytes),
        }
    }

    /// Reads until that has come on stdout.
    async fn read_until(&mut self, output: &mut OutputStream, end: &str) {
        while memchr::memmem::find(&self.stdout, end.as_bytes()).is_none() {
            let frame = tokio::time::timeout(Duration::from_secs(60), output.next()).await;
            self.write(frame.unwrap_or_else(|_| panic!("waiting for {end:?}")).expect("more output"));
        }
    }

    async fn read_for(&mut self, output: &mut OutputStream, time: Duration) {
        let read = async {
            while let Some(frame) = output.next().await {
                self.write(frame);
            }
        };
        let _ = tokio::time::timeout(time, read).await;
    }

    /// Another server takes over; the log must be whole.
    async fn resume(&self, ground: &Ground, id: &ContainerId) -> OutputStream {
        let resumed = resume(Arc::clone(&ground.engine), id, self.position()).await.expect("resume");
        assert_eq!(resumed.gaps, []);
        resumed.output
    }

    async fn finish(&mut self, mut output: OutputStream) {
        while let Some(frame) = output.next().await {
            self.write(frame);
        }
    }
}

fn numbers(last: u64) -> String {
    (1..=last).map(|number| format!("{number}\n")).collect()
}

async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

async fn numbered_lines_go_on_without_gap_or_double(ground: Ground) {
    let shell = "i=0; while [ $i -lt 1200 ]; do i=$((i+1)); echo $i; sleep 0.003; done";
    let (id, mut output) = ground.begin("a", &ground.job(shell, "lines 1200 3ms")).await;
    let mut journal = Journal::default();
    // Each server dies at another moment of the program's life; one of them twice in a row without having read anything.
    for life in [150, 0, 300, 20, 250] {
        journal.read_for(&mut output, Duration::from_millis(life)).await;
        drop(output);
        pause(life).await;
        output = journal.resume(&ground, &id).await;
    }
    journal.finish(output).await;
    assert_eq!(text(&journal.stdout), numbers(1200));
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, 0);
}

async fn both_streams_go_on(ground: Ground) {
    let shell = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo o$i; echo e$i >&2; sleep 0.005; done";
    let fake: String = (1..=300).map(|number| format!("out o{number};err e{number};sleep 5ms;")).collect();
    let (id, mut output) = ground.begin("a", &ground.job(shell, &fake)).await;
    let mut journal = Journal::default();
    for life in [100, 200] {
        journal.read_for(&mut output, Duration::from_millis(life)).await;
        drop(output);
        pause(life).await;
        output = journal.resume(&ground, &id).await;
    }
    journal.finish(output).await;
    assert_eq!(text(&journal.stdout), (1..=300).map(|number| format!("o{number}\n")).collect::<String>());
    assert_eq!(text(&journal.stderr), (1..=300).map(|number| format!("e{number}\n")).collect::<String>());
}

async fn an_unfinished_line_is_finished(ground: Ground) {
    // Every second a piece, never a newline until late; Docker's log knows nothing of the line before that.
    let shell = "printf 'first\\nabc'; sleep 1; printf def; sleep 1; printf ghi; sleep 1; printf 'jkl\\nlast\\nend'";
    let hex = |text: &str| format!("hex out {}", hex::encode(text));
    let fake = [hex("first\nabc"), hex("def"), hex("ghi"), hex("jkl\nlast\nend")].join("; sleep 1s; ");
    let whole = "first\nabcdefghijkl\nlast\nend";
    for (name, reads_abc) in [("had-it", true), ("never-saw-it", false)] {
        let (id, mut output) = ground.begin(name, &ground.job(shell, &fake)).await;
        let mut journal = Journal::default();
        if reads_abc {
            journal.read_until(&mut output, "abc").await;
        }
        drop(output);
        pause(1_300).await;
        // The line's middle comes before, at, and after the take-over.
        let output = journal.resume(&ground, &id).await;
        journal.finish(output).await;
        assert_eq!(text(&journal.stdout), whole, "{name}");
    }
}

async fn what_ended_in_the_meantime_is_completed(ground: Ground) {
    let shell = "echo 1; echo e >&2; sleep 0.5; seq 2 5000; printf unfinished";
    let fake: String = format!(
        "out 1; err e; sleep 500ms; {}; hex out {}",
        (2..=5000).map(|number| format!("out {number}")).collect::<Vec<_>>().join(";"),
        hex::encode("unfinished")
    );
    let (id, mut output) = ground.begin("a", &ground.job(shell, &fake)).await;
    let mut journal = Journal::default();
    journal.read_until(&mut output, "1\n").await;
    drop(output);
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, 0);
    let output = journal.resume(&ground, &id).await;
    journal.finish(output).await;
    assert_eq!(text(&journal.stdout), format!("{}unfinished", numbers(5000)));
    assert_eq!(text(&journal.stderr), "e\n");
    // Once more from the end: nothing is left.
    let output = journal.resume(&ground, &id).await;
    assert_eq!(drain(output).await, (Vec::new(), Vec::new()));
}

async fn a_container_left_frozen_goes_on(ground: Ground) {
    let shell = "i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; sleep 0.01; done";
    let (id, mut output) = ground.begin("a", &ground.job(shell, "lines 100 10ms")).await;
    let mut journal = Journal::default();
    journal.read_until(&mut output, "10\n").await;
    drop(output);
    ground.engine.pause(&id).await.expect("freeze");
    // The server died in the middle of resuming.
    let output = journal.resume(&ground, &id).await;
    journal.finish(output).await;
    assert_eq!(text(&journal.stdout), numbers(100));
}

async fn a_flood_goes_on(ground: Ground) {
    // Faster than anybody writes it down, and small enough for Docker's log to hold all of it.
    let (id, mut output) = ground.begin("a", &ground.job("exec seq 300000", "lines 300000")).await;
    let mut journal = Journal::default();
    journal.read_until(&mut output, "\n").await;
    for _ in 0..2 {
        drop(output);
        pause(30).await;
        output = journal.resume(&ground, &id).await;
        journal.read_for(&mut output, Duration::from_millis(30)).await;
    }
    journal.finish(output).await;
    let expected = numbers(300_000);
    assert!(text(&journal.stdout) == expected, "{} bytes of {}", journal.stdout.len(), expected.len());
}

async fn a_log_that_lost_its_beginning_says_so(ground: Ground) {
    // 50 MB are more than Docker keeps.
    let line = "x".repeat(99);
    let shell = format!("echo begin; yes {line} | head -n 500000; echo end");
    let filler = (0..51).map(|_| format!("fill out {line}y 10000; hex out 0a")).collect::<Vec<_>>().join(";");
    let fake = format!("out begin; {filler}; out end");
    let (id, mut output) = ground.begin("a", &ground.job(&shell, &fake)).await;
    let mut journal = Journal::default();
    while journal.stdout.is_empty() {
        journal.write(output.next().await.expect("more output"));
    }
    journal.stdout.truncate(6);
    drop(output);
    ground.engine.wait(&id).await.expect("wait");
    let resumed = resume(Arc::clone(&ground.engine), &id, journal.position()).await.expect("resume");
    assert_eq!(resumed.gaps, [Source::Stdout, Source::Stderr], "said, not hidden");
    let (stdout, _) = drain(resumed.output).await;
    assert!(stdout.len() > 15_000_000 && stdout.len() < 45_000_000, "{}", stdout.len());
    assert!(stdout.ends_with(b"end\n"));
}

async fn a_reader_who_leaves_lets_the_container_go_on(ground: Ground) {
    let (id, mut output) = ground.begin("a", &ground.job("seq 200000", "lines 200000")).await;
    let mut journal = Journal::default();
    journal.read_until(&mut output, "\n").await;
    drop(output);
    let output = journal.resume(&ground, &id).await;
    drop(output);
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, 0);
}

async fn a_cancel_while_resuming_loses_and_doubles_nothing(ground: Ground) {
    // It says good-bye when it is told to end, perhaps in the very moment in which it is frozen.
    let shell = "trap 'for n in 1 2 3 4 5; do echo bye $n; sleep 0.02; done; exit 9' TERM; echo up; \
                 i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done";
    let byes = "bye 1\nbye 2\nbye 3\nbye 4\nbye 5\n";
    for delay in [20, 60, 100, 140, 180, 220, 260, 300] {
        let (id, mut output) =
            ground.begin(&format!("after-{delay}"), &ground.job(shell, "out up; term exit 9; lines 100000 10ms")).await;
        let mut journal = Journal::default();
        journal.read_until(&mut output, "\n1\n").await;
        drop(output);
        let cancel = tokio::spawn({
            let (engine, id) = (Arc::clone(&ground.engine), id.clone());
            async move {
                pause(delay).await;
                engine.signal(&id, Signal::Terminate).await.expect("signal");
            }
        });
        let output = journal.resume(&ground, &id).await;
        journal.finish(output).await;
        cancel.await.expect("task");
        assert_eq!(ground.engine.wait(&id).await.expect("wait").code, 9);
        let said = text(&journal.stdout);
        let counted = said.strip_suffix(byes).unwrap_or(&said);
        let last = counted.lines().count() - 1;
        assert_eq!(counted, format!("up\n{}", numbers(last as u64)), "cancelled after {delay} ms");
    }
}
