//! Output, live and stored: every byte once, in order, whatever it is.

use super::*;

contract! {
    docker_s_log_holds_what_the_attach_delivered,
    docker_s_log_can_begin_later,
    a_flood_loses_nothing,
    a_slow_reader_loses_nothing,
    only_a_running_container_can_be_attached_again,
    a_frozen_container_says_nothing,
}

async fn docker_s_log_holds_what_the_attach_delivered(ground: Ground) {
    // What Docker's logger does to lines differs by their length and by what is in them; each is a case of its own.
    let repeat = |byte: char, count: usize| format!("head -c {count} /dev/zero | tr '\\0' {byte}");
    let (long, piece, pieces) = (repeat('z', 40_000), repeat('y', 16_384), repeat('w', 32_768));
    let newline = "hex out 0a";
    let cases = [
        ("plain", r"printf 'a\n\n  b\r\n\tc\n'".to_owned(), "hex out 610a0a2020620d0a09630a".to_owned()),
        (
            "bytes",
            r"printf '\377\376\200x\n\000\001\033[1m\n'".to_owned(),
            "hex out fffe80780a00011b5b316d0a".to_owned(),
        ),
        ("long", format!("{long}; echo"), format!("fill out z 40000; {newline}")),
        ("piece", format!("{piece}; echo"), format!("fill out y 16384; {newline}")),
        ("pieces", format!("{pieces}; echo; echo end"), format!("fill out w 32768; {newline}; out end")),
        ("unfinished", "printf 'a\\nend'".to_owned(), "out a; hex out 656e64".to_owned()),
        ("nothing", "true".to_owned(), String::new()),
        (
            "both",
            format!("{long}; printf 'x\\n' >&2; echo; {long} >&2; echo >&2; printf 'o\\n'; printf e >&2"),
            format!("fill out z 40000; err x; {newline}; fill err z 40000; hex err 0a; out o; hex err 65"),
        ),
    ];
    for (name, shell, fake) in cases {
        let outcome = ground.run(name, &ground.job(&shell, &fake)).await;
        assert_eq!(outcome.exit.code, 0, "{name}: {}", text(&outcome.stderr));
        let (stdout, stderr) = ground.logged(&outcome.id).await;
        assert!(stdout == outcome.stdout, "{name}: {} bytes logged, {} attached", stdout.len(), outcome.stdout.len());
        assert!(stderr == outcome.stderr, "{name}: {} bytes logged, {} attached", stderr.len(), outcome.stderr.len());
    }
}

async fn docker_s_log_can_begin_later(ground: Ground) {
    let job =
        ground.job("echo 1; sleep 1.2; echo 2; sleep 1.2; echo 3", "out 1; sleep 1200ms; out 2; sleep 1200ms; out 3");
    let outcome = ground.run("a", &job).await;
    let all: Vec<StoredFrame> = collect(ground.engine.stored_log(&outcome.id, None).await.expect("log")).await;
    assert_eq!(all.iter().map(|frame| text(&frame.bytes)).collect::<String>(), "1\n2\n3\n");
    assert!(all.is_sorted_by_key(|frame| frame.timestamp));
    for (position, frame) in all.iter().enumerate() {
        let rest = collect(ground.engine.stored_log(&outcome.id, Some(frame.timestamp)).await.expect("log")).await;
        assert_eq!(rest, all[position..], "since is inclusive, to the nanosecond");
    }
}

async fn collect(log: StoredLogStream) -> Vec<StoredFrame> {
    log.map(|frame| frame.expect("log")).collect().await
}

async fn a_flood_loses_nothing(ground: Ground) {
    let lines = 200_000;
    let outcome = ground.run("a", &ground.job(&format!("exec seq {lines}"), &format!("lines {lines}"))).await;
    assert_eq!(outcome.exit.code, 0);
    let expected: String = (1..=lines).map(|number| format!("{number}\n")).collect();
    assert!(text(&outcome.stdout) == expected, "{} bytes of {}", outcome.stdout.len(), expected.len());
}

async fn a_slow_reader_loses_nothing(ground: Ground) {
    let (id, mut output) = ground.begin("a", &ground.job("exec seq 300000", "lines 300000")).await;
    let mut seen = read_lines(&mut output, 10).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    seen.extend(drain(output).await.0);
    let expected: String = (1..=300_000).map(|number| format!("{number}\n")).collect();
    assert!(text(&seen) == expected, "{} bytes of {}", seen.len(), expected.len());
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, 0);
}

async fn only_a_running_container_can_be_attached_again(ground: Ground) {
    let created = ground.engine.create(&ground.spec("created")).await.expect("create");
    let ended = ground.run("ended", &ground.job("exit 0", "exit 0")).await.id;
    for id in [created, ended] {
        let error = ground.engine.reattach(&id).await.err().expect("it does not run");
        assert!(matches!(error, EngineError::NotRunning { .. }), "{error}");
    }
    let (paused, _output) = ground.begin("paused", &ground.job("exec sleep 1000", "hang")).await;
    ground.engine.pause(&paused).await.expect("freeze");
    let error = ground.engine.reattach(&paused).await.err().expect("it is frozen");
    assert!(matches!(error, EngineError::Conflict { .. }), "{error}");
}

async fn a_frozen_container_says_nothing(ground: Ground) {
    let shell = "while :; do echo tick; sleep 0.02; done";
    let (id, mut output) = ground.begin("a", &ground.job(shell, "lines 1000000 20ms")).await;
    read_lines(&mut output, 3).await;
    ground.engine.pause(&id).await.expect("freeze");
    ground.engine.pause(&id).await.expect("freezing twice is fine");
    assert_eq!(ground.state(&id).await.status, Status::Paused);
    // Let what was on its way arrive.
    while tokio::time::timeout(Duration::from_millis(200), output.next()).await.is_ok() {}
    assert!(tokio::time::timeout(Duration::from_millis(500), output.next()).await.is_err(), "it is frozen");
    ground.engine.unpause(&id).await.expect("thaw");
    ground.engine.unpause(&id).await.expect("thawing twice is fine");
    read_lines(&mut output, 3).await;
    // A signal thaws it.
    ground.engine.pause(&id).await.expect("freeze");
    ground.engine.signal(&id, Signal::Terminate).await.expect("signal");
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, 143);
    let error = ground.engine.pause(&id).await.expect_err("it has ended");
    assert!(matches!(error, EngineError::NotRunning { .. }), "{error}");

    let (id, _output) = ground.begin("b", &ground.job("exec sleep 1000", "hang")).await;
    ground.engine.pause(&id).await.expect("freeze");
    ground.engine.signal(&id, Signal::Kill).await.expect("kill");
    assert_eq!(ground.engine.wait(&id).await.expect("wait").code, 137);
}
