//! Logs in which secrets are hidden: each stored line knows how much of the output it stands for, so that a log is continued
//! at the right byte after any crash.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Place, all, at, run};
use crate::domain::mask::{Mask, Masked, Masker};
use crate::journal::{RunId, Source, TextOptions};

const SECRET: &str = "swordfish";

fn mask() -> Arc<Mask> {
    Mask::new([SECRET, "two lines\nof a secret"]).expect("small").expect("secrets")
}

fn whole(mask: &Arc<Mask>, stream: &[u8]) -> Vec<u8> {
    let (mut masker, mut out) = (Masker::new(mask.clone()), Masked::default());
    masker.push(stream, &mut out);
    masker.finish(&mut out);
    out.text
}

/// One life of a server: it goes on where the log ends, and takes the stream up to `until` in pieces.
async fn write(place: &Place, run: RunId, stream: &[u8], until: usize, piece: usize, to_the_end: bool) {
    let (mut writer, stored) = place.resume(run).await.expect("a writer");
    let from = usize::try_from(stored.stdout.bytes + stored.stdout.missing).expect("small");
    assert!(from <= stream.len(), "more is counted than was written");
    let (mut masker, mut out) = (Masker::new(mask()), Masked::default());
    for (number, bytes) in stream[from..until.max(from)].chunks(piece.max(1)).enumerate() {
        out.clear();
        masker.push(bytes, &mut out);
        writer.append_masked(Source::Stdout, at(number as u64), &out).await.expect("stored");
        if number % 3 == 0 {
            writer.flush_partial().await.expect("stored");
        }
    }
    if to_the_end {
        out.clear();
        masker.finish(&mut out);
        writer.append_masked(Source::Stdout, at(0), &out).await.expect("stored");
        let finished = writer.finish().await;
        assert_eq!(finished.totals.stored.stdout, stream.len() as u64, "all that the script wrote is counted");
    }
}

fn streams() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(SECRET.as_bytes().to_vec()),
        Just(b"two lines\nof a secret".to_vec()),
        Just(b"swordfi".to_vec()),
        Just(b"\n".to_vec()),
        Just("\u{20ac}".repeat(40).into_bytes()),
        (0..20_000_usize).prop_map(|length| vec![b'x'; length]),
        "[a-z ]{0,40}\n".prop_map(String::into_bytes),
    ];
    prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_masked_log_is_continued_exactly_wherever_it_was_torn(
        stream in streams(),
        lives in prop::collection::vec((any::<prop::sample::Index>(), 1..5_000_usize, 0.0..1.0_f64), 0..5),
        piece in 1..5_000_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let text = runtime.block_on(async {
            let (place, run) = (Place::new(), run());
            for (until, piece, torn) in lives {
                write(&place, run, &stream, until.index(stream.len() + 1), piece, false).await;
                let file = std::fs::OpenOptions::new().write(true).open(place.log_path(run)).expect("the log");
                let len = file.metadata().expect("its size").len();
                file.set_len((len as f64 * (1.0 - torn * torn)) as u64).expect("torn");
            }
            write(&place, run, &stream, stream.len(), piece, true).await;
            all(place.text(run, TextOptions::default()).await.expect("the text")).await
        });
        prop_assert_eq!(text, whole(&mask(), &stream));
    }
}

#[tokio::test]
async fn what_is_hidden_is_counted_in_the_line() {
    let (place, run) = (Place::new(), run());
    let stream = b"token=swordfish\nnothing secret\nswordfish swordfish";
    write(&place, run, stream, stream.len(), 1000, true).await;
    let text = place.text_of(run, TextOptions::default()).await;
    assert_eq!(text, "token=***\nnothing secret\n*** ***");
    let stored = String::from_utf8(place.stored(run)).expect("text");
    let tags: Vec<&str> = stored.lines().map(|line| line.split(' ').nth(2).expect("a tag")).collect();
    assert_eq!(tags, ["F:00000006", "F", "P:0000000c"], "{stored}");
    let (_, log) = place.resume(run).await.expect("a writer");
    assert_eq!(log.stdout.bytes, stream.len() as u64);
}

#[tokio::test]
async fn a_script_cannot_forge_what_is_hidden() {
    let (place, run) = (Place::new(), run());
    let mut writer = place.create(run).await.expect("a writer");
    writer.append(Source::Stdout, at(0), b":00000006 x\nF:00000006 x\n").await.expect("stored");
    assert_eq!(writer.finish().await.totals.stored.stdout, 25);
    let (_, log) = place.resume(run).await.expect("a writer");
    assert_eq!(log.stdout.bytes, 25);
    assert_eq!(place.text_of(run, TextOptions::default()).await, ":00000006 x\nF:00000006 x\n");
}
