//! The only room that touches run files: what a run prints and what it uses, written once, read from any place.
//!
//! **The log file is the queue.** There is no buffer between the container and a viewer: a writer appends to
//! `{run_id}.log`, then publishes the new length; a viewer is an offset into the file that moves towards that length. So a
//! hundred viewers, a reload, a reconnect and a download are the same thing, a slow viewer costs nothing, and what a viewer
//! saw is what the file holds. A viewer that cannot keep up is told what it skipped; the file is always whole.
//!
//! Lines are stored in the CRI log format, `<RFC 3339 nanos> <stdout|stderr> <F|P> <text>\n`, which log shippers read as is.
//! `F` ends a line, `P` does not (a piece of a long line, or output that had no newline yet). The text is kept byte for
//! byte, so text plus a newline for each `F` is exactly what the script wrote.
//!
//! What holds at all times:
//! 1. One writer per file; a second one is refused.
//! 2. A published length ends behind a whole line, and the bytes before it never change again.
//! 3. Timestamps never go back within a log.
//! 4. Whatever is missing is named by a mark in the log (disk full, size limit); a failed write leaves no half line.
//! 5. Memory does not depend on a file's size, nor on the number of its viewers.
//!
//! | module | what it does |
//! |---|---|
//! | `stamp`, `record`, `encode` | the format; frames to stored lines (pure) |
//! | `sink`, `writer`, `resume`, `registry` | appending, losses, going on after a crash, who writes what |
//! | `block`, `read`, `index`, `text`, `search` | reading by offset, line, time; downloads; finding |
//! | `pace`, `feed`, `follow` | live viewers: how much each is sent (pure), shared reading, the pull |
//! | `elsewhere` | following what another process writes |
//! | `metrics`, `samples` | the JSONL beside the log; down-sampling (pure) |

mod block;
mod elsewhere;
mod encode;
mod error;
mod feed;
mod files;
mod follow;
mod id;
mod index;
mod metrics;
mod pace;
mod read;
mod record;
mod registry;
mod resume;
mod samples;
mod search;
mod sink;
mod stamp;
mod text;
mod writer;

#[cfg(test)]
mod tests;

pub use elsewhere::Writes;
pub use encode::PerSource;
pub use error::JournalError;
pub use files::{Journal, Options, RunFiles};
pub use follow::{Batch, Follow, FollowOptions, LogEvent, Start};
pub use id::{FileKind, RunId};
pub use metrics::{MetricsEvent, MetricsFollow, MetricsPage, MetricsWriter, RawSample};
pub use read::Page;
pub use record::{LogLine, MARK_PREFIX, MAX_TEXT, Source};
pub use registry::LogState;
pub use resume::{StoredLog, StoredStream};
pub use samples::{Downsampler, Point, Sample, Spread, downsample};
pub use search::{Hit, MAX_NEEDLE, Search, SearchPage};
pub use text::{ByteStream, TextOptions};
pub use writer::{Finished, LogWriter, Totals};
