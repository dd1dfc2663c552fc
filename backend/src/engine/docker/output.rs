//! A container's output: live by attach, or afterwards from Docker's own log.

use std::future::ready;

use bollard::container::LogOutput;
use bollard::errors::Error as BollardError;
use bollard::query_parameters::{AttachContainerOptionsBuilder, LogsOptionsBuilder};
use bytes::{Buf, Bytes};
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt};
use tokio::io::AsyncWriteExt;

use super::super::stream::beside;
use super::super::{
    Attachment, ContainerId, EngineError, Frame, JobInput, OutputStream, Result, Source, StoredFrame, StoredLogStream,
    launcher,
};
use super::DockerEngine;

/// Docker's logger cuts a line after so many bytes.
const PIECE: usize = 16 * 1024;

impl DockerEngine {
    /// See [`super::super::Engine::attach`].
    pub(super) async fn attach_before_start(&self, id: &ContainerId) -> Result<Attachment> {
        let query = AttachContainerOptionsBuilder::default().stream(true).stdin(true).stdout(true).stderr(true).build();
        let name = id.clone();
        let attach = self.client.call("attach", self.options.deadline, |docker| async move {
            let mut attached = docker.attach_container(name.as_str(), Some(query)).await?;
            // From here on an end of input without a job is an error; see `launcher`.
            attached.input.write_all(launcher::PRELUDE.as_bytes()).await?;
            attached.input.flush().await?;
            Ok(attached)
        });
        let attached = attach.await?;
        Ok(Attachment {
            output: self.frames(attached.output),
            input: JobInput::new(attached.input, self.options.slow_deadline),
        })
    }

    /// See [`super::super::Engine::reattach`].
    pub(super) async fn attach_to_running(&self, id: &ContainerId) -> Result<OutputStream> {
        let query = AttachContainerOptionsBuilder::default().stream(true).stdout(true).stderr(true).build();
        let name = id.clone();
        let attach = self.client.call("attach", self.options.deadline, |docker| async move {
            docker.attach_container(name.as_str(), Some(query)).await
        });
        let mut output = self.frames(attach.await?.output);
        // Docker attaches to an ended container without a word, and then the stream never ends. Asked afterwards, the
        // answer is certain: whatever ends later closes the stream.
        let mut first = Vec::new();
        let state = beside(&mut output, |frame| first.push(frame), self.state(id)).await?;
        match state {
            Some(state) if state.status.is_running() => {
                Ok(Box::pin(futures_util::stream::iter(first).chain(output).fuse()))
            }
            Some(_) => Err(EngineError::NotRunning { what: format!("container {id}") }),
            None => Err(EngineError::NotFound { what: format!("container {id}") }),
        }
    }

    fn frames(
        &self,
        output: impl Stream<Item = std::result::Result<LogOutput, BollardError>> + Send + 'static,
    ) -> OutputStream {
        let client = self.client.clone();
        let frames = output.filter_map(move |piece| {
            ready(match piece {
                Ok(piece) => demux(piece).map(|(source, bytes)| Ok(Frame { source, bytes })),
                Err(error) => Some(Err(client.stream_error("attach", error))),
            })
        });
        Box::pin(frames.fuse())
    }

    /// See [`super::super::Engine::stored_log`].
    pub(super) async fn docker_log(&self, id: &ContainerId, since: Option<DateTime<Utc>>) -> Result<StoredLogStream> {
        let connection = self.client.connection("read log").await?;
        let mut mender =
            (connection.docker.client_version().minor_version < FIRST_API_WITH_NEWLINES).then(Mender::default);
        let mut query = LogsOptionsBuilder::default().stdout(true).stderr(true).timestamps(true);
        if let Some(since) = since {
            // Docker's own filter is good enough to skip whole files; the exact one is below.
            query = query.since(i32::try_from(since.timestamp()).unwrap_or(0).max(0));
        }
        let messages = connection.docker.logs(id.as_str(), Some(query.build()));
        let client = self.client.clone();
        let mut frames = Box::pin(messages.map(move |message| {
            let frame = parse(message.map_err(|error| client.stream_error("read log", error))?)?;
            Ok(match &mut mender {
                Some(mender) => mender.mend(frame),
                None => frame,
            })
        }));
        // The first answer shows whether there is such a log at all, and that Docker is alive.
        let first = tokio::time::timeout(self.options.deadline, frames.next()).await;
        let first = match first {
            Ok(first) => first.transpose()?,
            Err(_) => return Err(self.client.silent("read log", self.options.deadline)),
        };
        let all = futures_util::stream::iter(first.map(Ok)).chain(frames);
        Ok(Box::pin(all.filter(move |frame| {
            ready(match (frame, since) {
                (Ok(frame), Some(since)) => frame.timestamp >= since,
                _ => true,
            })
        })))
    }
}

fn demux(piece: LogOutput) -> Option<(Source, Bytes)> {
    match piece {
        LogOutput::StdOut { message } => Some((Source::Stdout, message)),
        LogOutput::StdErr { message } => Some((Source::Stderr, message)),
        // Ours have no terminal, and Docker does not echo stdin.
        LogOutput::StdIn { .. } | LogOutput::Console { .. } => None,
    }
}

/// Splits `2026-01-02T03:04:05.000000006Z text` into its two parts, without touching the text.
fn parse(message: LogOutput) -> Result<StoredFrame> {
    let broken = |bytes: &[u8]| EngineError::Other {
        call: "read log",
        message: format!("Docker broke off: {}", String::from_utf8_lossy(bytes).trim_end()),
        source: None,
    };
    // A console message in a log is Docker's own complaint about reading it.
    if let LogOutput::Console { message } = &message {
        return Err(broken(message));
    }
    let (source, mut bytes) = demux(message).ok_or_else(|| broken(b"unexpected stream"))?;
    let space = memchr::memchr(b' ', &bytes).ok_or_else(|| broken(&bytes))?;
    let timestamp = std::str::from_utf8(&bytes[..space])
        .ok()
        .and_then(|text| DateTime::parse_from_rfc3339(text).ok())
        .ok_or_else(|| broken(&bytes[..space]))?
        .to_utc();
    bytes.advance(space + 1);
    Ok(StoredFrame { source, timestamp, bytes })
}

/// Docker 20.10 (API 1.41) loses the newline after a line that its logger had to cut; later ones do not.
const FIRST_API_WITH_NEWLINES: usize = 42;

/// Puts back the newlines that an old Docker lost.
///
/// The logger cuts a long line into pieces of exactly [`PIECE`] bytes; the last piece is shorter, perhaps empty. So a
/// shorter message without a newline, after a full one without, ends a cut line. Without a full one before it, it is what
/// the program wrote last, and there never was a newline. One case stays undecided, a cut line at the very end of the
/// output: it gets a newline, as most have.
#[derive(Clone, Copy, Default)]
struct Mender {
    /// Per stream: whether the message before was a full piece without a newline.
    in_cut_line: [bool; 2],
}

impl Mender {
    fn mend(&mut self, mut message: StoredFrame) -> StoredFrame {
        let in_cut_line = &mut self.in_cut_line[message.source as usize];
        let complete = message.bytes.ends_with(b"\n");
        let full = message.bytes.len() >= PIECE;
        if *in_cut_line && !complete && !full {
            message.bytes = [&message.bytes[..], b"\n"].concat().into();
        }
        *in_cut_line = full && !complete;
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(source: Source, bytes: &[u8]) -> StoredFrame {
        StoredFrame { source, timestamp: DateTime::UNIX_EPOCH, bytes: Bytes::copy_from_slice(bytes) }
    }

    #[test]
    fn a_message_is_split_from_its_time_and_left_alone() {
        let text = b"2026-01-02T03:04:05.000000006+02:00  \xff indented\r\n";
        let frame = parse(LogOutput::StdErr { message: Bytes::from_static(text) }).expect("valid");
        assert_eq!(frame.source, Source::Stderr);
        assert_eq!(frame.timestamp.to_rfc3339(), "2026-01-02T01:04:05.000000006+00:00");
        assert_eq!(&frame.bytes[..], b" \xff indented\r\n");
    }

    #[test]
    fn a_broken_log_is_an_error() {
        let complaint = LogOutput::Console { message: Bytes::from_static(b"\x03error grabbing logs") };
        assert!(parse(complaint).is_err());
        assert!(parse(LogOutput::StdOut { message: Bytes::from_static(b"no time") }).is_err());
    }

    #[test]
    fn lost_newlines_come_back() {
        let mut mender = Mender::default();
        let mut mended = |source, bytes: &[u8]| mender.mend(stored(source, bytes)).bytes.last().copied();
        let piece = [b'x'; PIECE];
        assert_eq!(mended(Source::Stdout, &piece), Some(b'x'));
        assert_eq!(mended(Source::Stderr, b"other stream, unfinished"), Some(b'd'));
        assert_eq!(mended(Source::Stdout, &piece), Some(b'x'));
        assert_eq!(mended(Source::Stdout, b"end of the cut line"), Some(b'\n'));
        assert_eq!(mended(Source::Stdout, &piece), Some(b'x'));
        assert_eq!(mended(Source::Stdout, b""), Some(b'\n'), "a line of exactly one piece");
        assert_eq!(mended(Source::Stdout, b"unfinished"), Some(b'd'));
    }
}
