//! The path of a log by itself: masker, encoder, file, and the events that viewers are sent. Without Docker and without a
//! network, on one thread and with the same text each time, so that instructions can be counted (`scripts/instructions`).

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::render;
use crate::domain::clock::{SharedClock, SystemClock};
use crate::domain::mask::Mask;
use crate::engine::Source;
use crate::journal::{FollowOptions, Journal, LogEvent, Options, RunId, Start};
use crate::runs::{Tap, Veil};

/// Bytes of a line, the newline included.
const LINE: usize = 100;

/// Lines of a frame: Docker's are 32 KiB at most.
const FRAME: u64 = 320;

/// Frames that arrive before there is nothing ready for a moment.
const BURST: u64 = 8;

type Failure = Box<dyn Error + Send + Sync>;

/// Measures, and says what it found.
pub(super) fn log_path(lines: u64, secrets: u32, viewers: u32) -> Result<String, Failure> {
    let folder = std::env::temp_dir().join(format!("fastflow-measure-{}", uuid::Uuid::now_v7()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let journal = Journal::open(Options { dir: folder.clone(), max_bytes: None })?;
    let measured = runtime.block_on(measure(journal, lines, secrets, viewers));
    std::fs::remove_dir_all(folder)?;
    let (took, sent) = measured?;
    #[expect(clippy::cast_precision_loss, reason = "a rate to three digits")]
    let rate = lines as f64 / took.as_secs_f64();
    Ok(format!("lines {lines}\nseconds {:.4}\nlines_per_second {rate:.0}\nbytes_sent {sent}\n", took.as_secs_f64()))
}

/// How long it took, and how many bytes of events the viewers were sent.
async fn measure(journal: Journal, lines: u64, secrets: u32, viewers: u32) -> Result<(Duration, usize), Failure> {
    let run = RunId::from(uuid::Uuid::now_v7());
    let clock: SharedClock = Arc::new(SystemClock);
    let values = values(secrets);
    let veil = Mask::new(values.iter().map(String::as_str))?.map_or(Veil::None, Veil::Secrets);
    let mut tap = Tap::new(journal.create(run).await?, clock.clone(), veil);
    let frame = frame();
    let options = FollowOptions { start: Start::Offset(0), rate: 0, heartbeat: Duration::from_secs(60) };
    let mut watching = tokio::task::JoinSet::new();
    for _ in 0..viewers {
        let mut follow = journal.follow(run, options).await?;
        watching.spawn(async move {
            let mut sent = 0;
            while let Some(event) = follow.next().await {
                if let LogEvent::Lines(batch) = event? {
                    sent += batch.rendered(render).len();
                }
            }
            Ok::<_, Failure>(sent)
        });
    }
    let begin = Instant::now();
    for number in 0..lines.div_ceil(FRAME) {
        tap.take(Source::Stdout, clock.now().to_utc(), &frame).await;
        if number % BURST == BURST - 1 {
            tap.flush().await;
        }
    }
    tap.end_of_output().await;
    tap.flush().await;
    tap.writer.finish().await;
    let mut sent = 0;
    while let Some(viewer) = watching.join_next().await {
        sent += viewer??;
    }
    Ok((begin.elapsed(), sent))
}

/// Words as programs print them: some letters of the secrets, none of them whole.
fn frame() -> Vec<u8> {
    let mut text = String::new();
    for number in 0..FRAME {
        let start = text.len();
        let _ = write!(
            text,
            "2026-01-01T00:00:00 INFO worker-{} fetched page {number} of the catalogue in 12 ms ",
            number % 7
        );
        while text.len() < start + LINE - 1 {
            text.push(char::from(b'a' + u8::try_from((text.len() * 7) % 26).unwrap_or_default()));
        }
        text.truncate(start + LINE - 1);
        text.push('\n');
    }
    text.into_bytes()
}

/// Forty letters and digits each.
fn values(count: u32) -> Vec<String> {
    let mut seed = 88_172_645_463_325_252_u64;
    let mut letter = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        char::from(b"abcdefghijklmnopqrstuvwxyz0123456789"[usize::try_from((seed >> 11) % 36).unwrap_or_default()])
    };
    (0..count).map(|_| (0..40).map(|_| letter()).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_viewer_is_sent_every_line() {
        let text = log_path(FRAME * 4, 3, 2).expect("measured");
        let sent = text.lines().find_map(|line| line.strip_prefix("bytes_sent ")).expect("told");
        // Two viewers, and each event holds more than the text alone.
        assert!(sent.parse::<u64>().expect("a number") > 2 * 4 * FRAME * LINE as u64, "{text}");
    }
}
