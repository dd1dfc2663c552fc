//! What the journal promises, shown on real files in a temporary directory. The one stand-in is a disk that fails when told
//! to ([`Disk`]); time stands still and moves on by itself wherever waiting is tested.

mod follow;
mod format;
mod masked;
mod metrics;
mod read;
mod search;
mod speed;
mod write;

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::TryStreamExt;
use tempfile::TempDir;
use uuid::Uuid;

use super::{ByteStream, Journal, LogLine, LogWriter, Options, RunId, Source, TextOptions, sink::Storage};

/// A journal in a directory that goes away with it.
struct Place {
    dir: TempDir,
    journal: Journal,
}

impl std::ops::Deref for Place {
    type Target = Journal;

    fn deref(&self) -> &Journal {
        &self.journal
    }
}

impl Place {
    fn new() -> Self {
        Self::with_cap(None)
    }

    fn with_cap(max_bytes: Option<u64>) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let journal = Journal::open(Options { dir: dir.path().join("logs"), max_bytes }).expect("a journal");
        Self { dir, journal }
    }

    fn log_path(&self, run: RunId) -> std::path::PathBuf {
        self.dir.path().join("logs").join(format!("{run}.log"))
    }

    fn stored(&self, run: RunId) -> Vec<u8> {
        std::fs::read(self.log_path(run)).expect("the log file")
    }

    /// A finished log with these lines on standard output, a second apart.
    async fn log_of<T: AsRef<str>>(&self, lines: impl IntoIterator<Item = T>) -> RunId {
        let run = run();
        let mut writer = self.create(run).await.expect("a writer");
        for (number, line) in lines.into_iter().enumerate() {
            say(&mut writer, number as u64, line.as_ref()).await;
        }
        assert!(writer.finish().await.error.is_none());
        run
    }

    async fn text_of(&self, run: RunId, options: TextOptions) -> String {
        let bytes = all(self.text(run, options).await.expect("the text")).await;
        String::from_utf8(bytes).expect("UTF-8")
    }
}

fn run() -> RunId {
    Uuid::now_v7().into()
}

/// So many seconds after some moment.
fn at(seconds: u64) -> DateTime<Utc> {
    let base = DateTime::from_timestamp(1_767_225_600, 123_456_789).expect("a time");
    base + TimeDelta::seconds(seconds.try_into().expect("a small number"))
}

/// A line on standard output.
async fn say(writer: &mut LogWriter, seconds: u64, line: &str) {
    writer.append(Source::Stdout, at(seconds), format!("{line}\n").as_bytes()).await.expect("stored");
}

async fn all(stream: ByteStream) -> Vec<u8> {
    let pieces: Vec<Bytes> = stream.try_collect().await.expect("readable");
    pieces.concat()
}

fn texts(lines: &[LogLine]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
}

/// A disk with so much room, that may refuse to cut a file.
#[derive(Clone)]
struct Disk {
    file: Arc<File>,
    room: Arc<AtomicU64>,
    stuck: Arc<AtomicBool>,
}

impl Disk {
    fn new(file: File) -> Self {
        Self { file: Arc::new(file), room: Arc::new(AtomicU64::new(u64::MAX)), stuck: Arc::default() }
    }

    fn has_room_for(&self, bytes: u64) {
        self.room.store(bytes, Ordering::SeqCst);
    }
}

impl Storage for Disk {
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let room = self.room.load(Ordering::SeqCst).saturating_sub(offset).min(bytes.len() as u64);
        if room == 0 {
            // ENOSPC, as the system would say it.
            return Err(io::Error::from_raw_os_error(28));
        }
        self.file.write_at(&bytes[..room as usize], offset)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if self.stuck.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        self.file.set_len(len)
    }
}
