//! Finding the place in a log that has lost its beginning; on the fake, whose log can be made small.

use std::sync::Arc;

use super::super::super::fake::{FakeDocker, program};
use super::super::super::*;
use super::*;
use crate::domain::mask::Mask;

/// A container that has just been given `program`.
async fn begun(engine: &dyn Engine, program: &str) -> (ContainerId, OutputStream) {
    let spec = ContainerSpec {
        name: "one".into(),
        kind: Kind::Run,
        image: "i".into(),
        user: "1:1".into(),
        run_id: None,
        pipeline: None,
        mounts: Vec::new(),
        network: Network::None,
        limits: Limits::default(),
    };
    let id = engine.create(&spec).await.expect("create");
    let Attachment { output, input } = engine.attach(&id).await.expect("attach");
    engine.start(&id).await.expect("start");
    let env = vec![(program::VARIABLE.to_owned(), program.to_owned())];
    input.send(&Job { argv: vec!["x".into()], env, cwd: "/".into() }).await.expect("job");
    (id, output)
}

/// A container that has printed and ended.
async fn ended(docker: &FakeDocker, program: &str) -> (Arc<dyn Engine>, ContainerId, Vec<u8>) {
    let engine: Arc<dyn Engine> = Arc::new(docker.engine(Options::new("test")));
    let (id, output) = begun(&*engine, program).await;
    let printed = all(output).await;
    engine.wait(&id).await.expect("wait");
    (engine, id, printed)
}

async fn all(mut output: OutputStream) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(frame) = output.next().await {
        all.extend_from_slice(&frame.expect("output").bytes);
    }
    all
}

fn have(printed: &[u8], tail: usize) -> Position {
    let tail = Bytes::copy_from_slice(&printed[printed.len().saturating_sub(tail)..]);
    let stdout = StreamPosition { bytes: printed.len() as u64, tail, mask: None };
    Position { stdout, stderr: StreamPosition::default() }
}

fn last(tail: &[u8]) -> StreamPosition {
    StreamPosition { tail: Bytes::copy_from_slice(tail), ..StreamPosition::default() }
}

async fn rest(engine: &Arc<dyn Engine>, id: &ContainerId, have: Position) -> (Vec<u8>, Vec<Source>) {
    let Resumed { output, gaps } = resume(Arc::clone(engine), id, have).await.expect("resume");
    (all(output).await, gaps)
}

#[tokio::test(start_paused = true)]
async fn a_cut_log_is_continued_where_the_reader_s_last_lines_are_found() {
    let docker = FakeDocker::new();
    docker.with_stored_log_of(2_000);
    let (engine, id, printed) = ended(&docker, "lines 1000").await;
    // The log begins somewhere after line 500; the reader stopped after line 900.
    let stopped = printed.windows(5).position(|window| window == b"\n900\n").expect("line 900") + 5;
    let (rest, gaps) = rest(&engine, &id, have(&printed[..stopped], 100)).await;
    assert_eq!(gaps, []);
    assert!(rest == printed[stopped..], "{}", String::from_utf8_lossy(&rest));
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_stopped_before_the_cut_is_told() {
    let docker = FakeDocker::new();
    docker.with_stored_log_of(2_000);
    let (engine, id, printed) = ended(&docker, "lines 1000").await;
    let (rest, gaps) = rest(&engine, &id, have(&printed[..100], 100)).await;
    assert_eq!(gaps, [Source::Stdout]);
    assert!(printed.ends_with(&rest) && rest.len() > 1_900, "all that is left");
}

/// What a reader has who hides a secret in all that was printed.
fn have_masked(printed: &[u8], mask: &Arc<Mask>) -> Position {
    let shown = mask.text(&String::from_utf8_lossy(printed)).into_bytes();
    let shown = Bytes::copy_from_slice(&shown[shown.len().saturating_sub(200)..]);
    let stdout = StreamPosition { bytes: printed.len() as u64, tail: shown, mask: Some(mask.clone()) };
    Position { stdout, stderr: StreamPosition::default() }
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_has_a_secret_in_every_line_finds_the_place_by_what_is_hidden_alike() {
    let mask = Mask::new(["swordfish"]).expect("small").expect("a secret");
    let program: String = (1..=1000).map(|number| format!("out swordfish {number} swordfish;")).collect();
    for left in [20_000, 1 << 20] {
        let docker = FakeDocker::new();
        docker.with_stored_log_of(left);
        let (engine, id, printed) = ended(&docker, &program).await;
        for line in ["\nswordfish 701 swordfish\n", "\nswordfish 999 swordfish\n"] {
            let stopped =
                printed.windows(line.len()).position(|window| window == line.as_bytes()).expect("it") + line.len();
            let (rest, gaps) = rest(&engine, &id, have_masked(&printed[..stopped], &mask)).await;
            assert_eq!(gaps, []);
            assert!(rest == printed[stopped..], "{}", String::from_utf8_lossy(&rest));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn lines_that_repeat_are_not_guessed_silently() {
    let docker = FakeDocker::new();
    docker.with_stored_log_of(2_000);
    let program = "out tick;".repeat(1_000);
    let (engine, id, printed) = ended(&docker, &program).await;
    let (_, gaps) = rest(&engine, &id, have(&printed[..4_500], 100)).await;
    assert_eq!(gaps, [Source::Stdout]);
}

#[tokio::test(start_paused = true)]
async fn the_last_lines_are_found_wherever_they_lie() {
    let docker = FakeDocker::new();
    let (engine, id, printed) = ended(&docker, "lines 400000").await;
    // Around the edges of the search's windows, and at both ends.
    let window = 16 * CHUNK;
    for place in [100, window - 50, window, window + 1, window + 50, 2 * window + 30, printed.len()] {
        let tail = &printed[place - 100..place];
        let found = find(&*engine, &id, Source::Stdout, &last(tail)).await.expect("find");
        assert!(matches!(found, Found::Once(end) if end == place as u64), "{place}");
    }
    assert!(
        matches!(find(&*engine, &id, Source::Stdout, &last(b"0\n")).await.expect("find"), Found::Often(end) if end == printed.len() as u64)
    );
    assert!(matches!(find(&*engine, &id, Source::Stdout, &last(b"x")).await.expect("find"), Found::Never));
    assert!(matches!(find(&*engine, &id, Source::Stderr, &last(b"1\n")).await.expect("find"), Found::Never));
}

#[tokio::test(start_paused = true)]
async fn without_freezing_the_log_alone_is_followed() {
    let docker = FakeDocker::new();
    docker.without_pause();
    let engine: Arc<dyn Engine> = Arc::new(docker.engine(Options::new("test")));
    let (id, output) = begun(&*engine, "lines 100 50ms").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(output);
    let (rest, gaps) = rest(&engine, &id, Position::default()).await;
    assert_eq!(gaps, []);
    let expected: String = (1..=100).map(|number| format!("{number}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&rest), expected);
}
