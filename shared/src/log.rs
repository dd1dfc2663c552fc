//! A run's log as it is streamed to a viewer.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Which of the script's two outputs a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Enum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", oai(rename_all = "snake_case"))]
pub enum LogSource {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One stored line, or one piece of a line of more than 16 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct LogLine {
    /// Byte offset of the line in the stored file; it names the line for good.
    pub offset: i64,
    /// When it was received.
    pub time: DateTime<Utc>,
    /// Which output it came from.
    pub source: LogSource,
    /// Whether a newline followed; if not, the next piece of the same source continues this line.
    pub complete: bool,
    /// Its text; bytes that are not UTF-8 are shown as U+FFFD (the download has them as they are).
    pub text: String,
}

/// Payload of the SSE event `lines`. The event's id is the offset to continue at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct LogLines {
    /// The lines, in order.
    pub lines: Vec<LogLine>,
    /// Offset after the last of them.
    pub next: i64,
}

/// A page of a stored log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct LogPage {
    /// The lines, in order.
    pub lines: Vec<LogLine>,
    /// Number of the line that the page begins with; the first of a log is 1.
    pub first_line: i64,
    /// Offset at which the page begins.
    pub start: i64,
    /// Offset after the last line of the page.
    pub next: i64,
    /// Offset at which the log ended when the page was read.
    pub end: i64,
    /// Whether nothing will be added behind `end`.
    pub finished: bool,
}

/// A stored line with the text that was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct LogHit {
    /// Byte offset of the line in the stored file.
    pub offset: i64,
    /// Its number; the first is 1.
    pub line: i64,
    /// When it was received.
    pub time: DateTime<Utc>,
    /// Which output it came from.
    pub source: LogSource,
    /// The text around the first place found.
    pub text: String,
}

/// Some places at which a text occurs, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct LogHits {
    /// The places; may be empty although there are more.
    pub hits: Vec<LogHit>,
    /// Everything before this offset was looked at.
    pub scanned: i64,
    /// Offset at which to go on; absent when the end was reached.
    pub next: Option<i64>,
}

/// Payload of the SSE event `skipped`: the viewer was behind a flood and continues at the tail. The stored log is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct LogSkipped {
    /// Offset of the first byte that was not sent.
    pub from: i64,
    /// Offset at which the stream continues.
    pub to: i64,
    /// How many lines lie between.
    pub lines: i64,
}

/// Payload of the SSE event `end`: nothing more will come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(poem_openapi::Object))]
pub struct StreamEnd {
    /// Final status of the run.
    pub status: crate::RunStatus,
}

/// Names of the SSE events, so that each exists once.
pub mod events {
    /// Lines of a log; payload [`super::LogLines`].
    pub const LINES: &str = "lines";
    /// A gap in what was sent; payload [`super::LogSkipped`].
    pub const SKIPPED: &str = "skipped";
    /// Samples of CPU and memory; payload [`crate::MetricsBatch`].
    pub const METRICS: &str = "metrics";
    /// Something changed on the server; payload [`crate::LiveEvent`].
    pub const CHANGE: &str = "change";
    /// Nothing more will come; payload [`super::StreamEnd`].
    pub const END: &str = "end";
    /// The server goes away; connect again in a moment.
    pub const RECONNECT: &str = "reconnect";
}
