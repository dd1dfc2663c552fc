//! A run's output and usage: as a download, and live.

use std::time::Duration;

use bytes::Bytes;
use fastflow_shared::{
    LiveEvent, LogLine, LogLines, LogSkipped, LogSource, MetricsBatch, MetricsSample, RunStatus, StreamEnd, events,
};
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, stream};
use poem::web::sse::Event;
use poem::{Body, IntoResponse, Request, Response};
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::{EventStream, Json, Payload};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Enum, OpenApi, Union};

use serde::Serialize;
use tokio::sync::{broadcast, watch};

use super::events::{Encoded, encode};
use super::problem::{ApiError, ApiResult};
use super::runs::wrong;
use super::security::Access;
use super::{Api, Tag};
use crate::journal::{self, FollowOptions, JournalError, LogEvent, MetricsEvent, RunId, TextOptions};
use crate::runs::Elsewhere;

/// Silence after which a stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// How long after the end of a log the run's outcome may take to be stored.
const OUTCOME_WITHIN: Duration = Duration::from_secs(5);

/// How long who waits for a run's files waits before looking again without news: those that another server writes begin
/// without a word here.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Points of a chart when the client does not say.
const DEFAULT_POINTS: usize = 600;

/// The operations.
pub struct LogsApi(pub Api);

/// Which output is wanted.
#[derive(Debug, Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum Output {
    /// Both, in the order in which they came.
    All,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

// For the document alone: events are encoded where they arise.
/// What a log stream sends; the event's name tells which.
#[derive(Union)]
pub enum LogMessage {
    /// Event `lines`.
    Lines(LogLines),
    /// Event `skipped`.
    Skipped(LogSkipped),
    /// Event `metrics`, when it was asked for.
    Samples(MetricsBatch),
    /// Event `end`, or `reconnect` when the server goes away.
    End(StreamEnd),
}

/// What a metrics stream sends; the event's name tells which.
#[derive(Union)]
pub enum MetricsMessage {
    /// Event `metrics`.
    Samples(MetricsBatch),
    /// Event `end`, or `reconnect` when the server goes away.
    End(StreamEnd),
}

/// A log as text.
pub struct LogText {
    body: Body,
    file: Option<String>,
}

impl Payload for LogText {
    const CONTENT_TYPE: &'static str = "text/plain; charset=utf-8";

    fn schema_ref() -> MetaSchemaRef {
        String::schema_ref()
    }
}

impl IntoResponse for LogText {
    fn into_response(self) -> Response {
        let mut response = Response::builder().content_type(Self::CONTENT_TYPE);
        if let Some(file) = self.file {
            response = response.header("Content-Disposition", format!("attachment; filename=\"{file}\""));
        }
        response.body(self.body)
    }
}

impl ApiResponse for LogText {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "The text as the script wrote it.",
                status: Some(200),
                status_range: None,
                content: vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() }],
                headers: vec![],
            }],
        }
    }

    fn register(_registry: &mut Registry) {}
}

type LogStream = Encoded<LogMessage>;
type MetricsStream = EventStream<BoxStream<'static, MetricsMessage>>;

#[OpenApi(tag = "Tag::Runs")]
impl LogsApi {
    /// Get a run's log as text
    ///
    /// As the script wrote it, byte for byte, streamed. Lines of Fast-Flow itself begin with `[fastflow] `.
    #[oai(path = "/runs/:id/logs", method = "get", operation_id = "getRunLogs")]
    #[expect(clippy::too_many_arguments, reason = "each is one query parameter")]
    async fn text(
        &self,
        _access: Access,
        id: Path<String>,
        /// Each line as `<RFC 3339> <stdout|stderr> <text>`.
        timestamps: Query<Option<bool>>,
        /// Only one of the two outputs.
        stream: Query<Option<Output>>,
        /// Only the last so many lines.
        tail: Query<Option<u64>>,
        /// Begin at this offset of the stored file.
        offset: Query<Option<u64>>,
        /// End before this offset of the stored file.
        end: Query<Option<u64>>,
        /// As a file to be saved.
        download: Query<Option<bool>>,
    ) -> ApiResult<LogText> {
        let run = self.run(&id).await?;
        let source = match stream.0 {
            None | Some(Output::All) => None,
            Some(Output::Stdout) => Some(journal::Source::Stdout),
            Some(Output::Stderr) => Some(journal::Source::Stderr),
        };
        let options = TextOptions {
            source,
            timestamps: timestamps.0.unwrap_or(false),
            without_marks: false,
            tail: tail.0,
            offset: offset.0,
            end: end.0,
        };
        let body = match self.0.journal.text(run.0, options).await {
            Ok(text) => Body::from_bytes_stream(text.map(|piece| piece.map_err(std::io::Error::from))),
            // A run that waits, or that ended before it could write, has an empty log.
            Err(JournalError::NotFound(_)) => Body::empty(),
            Err(error) => return Err(error.into()),
        };
        Ok(LogText { body, file: download.0.unwrap_or(false).then(|| format!("{}.log", *id)) })
    }

    /// Follow a run's log
    ///
    /// Server-sent events: `lines`, `skipped` (the viewer was behind a flood and continues at the tail; the stored log is
    /// whole), `end`, and `reconnect` when the server goes away. An event's id is the offset to continue at: send it as
    /// `Last-Event-ID` or `offset`.
    #[oai(path = "/runs/:id/logs/stream", method = "get", operation_id = "streamRunLogs")]
    async fn follow(
        &self,
        request: &Request,
        _access: Access,
        id: Path<String>,
        /// Begin at this offset of the stored file.
        offset: Query<Option<u64>>,
        /// Begin with the last so many lines.
        tail: Query<Option<u64>>,
        /// Send CPU and memory as well, as events `metrics` from this offset of the stored samples on: a browser has
        /// few connections.
        metrics: Query<Option<u64>>,
    ) -> ApiResult<LogStream> {
        let run = self.run(&id).await?;
        let start = match (last_event_id(request)?, offset.0, tail.0) {
            (Some(id), _, _) => journal::Start::Offset(id),
            (None, Some(offset), _) => journal::Start::Offset(offset),
            (None, None, Some(lines)) => journal::Start::Tail(lines),
            (None, None, None) => journal::Start::Offset(0),
        };
        let options = FollowOptions { start, rate: self.0.settings.tuning().log_stream_rate, heartbeat: HEARTBEAT };
        let api = self.0.clone();
        let logged = stream::unfold(Some(Reader::Waiting(options)), move |reader| {
            let (api, run) = (api.clone(), run.0);
            async move {
                let mut reader = reader?;
                let (event, go_on) = tokio::select! {
                    event = next_event(&api, run, &mut reader) => event,
                    () = api.runs.closing() => (going_away(), false),
                };
                Some((event, go_on.then_some(reader)))
            }
        });
        let events = match metrics.0 {
            None => logged.boxed(),
            Some(offset) => {
                // Who wants only what comes asks from beyond the end.
                let end = self.0.journal.size(run.0).await?.and_then(|files| files.metrics).unwrap_or_default();
                let offset = offset.min(end);
                let samples =
                    metrics_messages(self.0.clone(), run.0, offset).filter_map(async |message| match message {
                        // Without an id: that is the log's place.
                        MetricsMessage::Samples(batch) => Some(event(events::METRICS, None, &batch)),
                        // The end of the log is the end.
                        MetricsMessage::End(_) => None,
                    });
                stream::select(logged, samples).boxed()
            }
        };
        Ok(Encoded::new(events, HEARTBEAT))
    }

    /// Get a run's CPU and memory
    ///
    /// Thinned out so that a chart can draw it at once, however long the run was.
    #[oai(path = "/runs/:id/metrics", method = "get", operation_id = "getRunMetrics")]
    async fn metrics(
        &self,
        _access: Access,
        id: Path<String>,
        /// Most points wanted, from 2 to 10,000.
        points: Query<Option<usize>>,
    ) -> ApiResult<Json<MetricsBatch>> {
        let run = self.run(&id).await?;
        let points = points.0.unwrap_or(DEFAULT_POINTS);
        if !(2..=10_000).contains(&points) {
            return Err(wrong("points", "must be from 2 to 10000".to_owned()));
        }
        let next = match self.0.journal.size(run.0).await? {
            Some(files) => files.metrics.unwrap_or_default(),
            None => 0,
        };
        let samples = match self.0.journal.metrics_points(run.0, points).await {
            Ok(points) => points.into_iter().map(sample).collect(),
            Err(JournalError::NotFound(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Json(MetricsBatch { samples, next: i64::try_from(next).unwrap_or(i64::MAX) }))
    }

    /// Follow a run's CPU and memory
    ///
    /// Server-sent events: `metrics`, `end`, and `reconnect` when the server goes away.
    #[oai(path = "/runs/:id/metrics/stream", method = "get", operation_id = "streamRunMetrics")]
    async fn follow_metrics(
        &self,
        request: &Request,
        _access: Access,
        id: Path<String>,
        /// Begin at this offset of the stored file.
        offset: Query<Option<u64>>,
    ) -> ApiResult<MetricsStream> {
        let run = self.run(&id).await?;
        let offset = last_event_id(request)?.or(offset.0).unwrap_or_default();
        let messages = metrics_messages(self.0.clone(), run.0, offset);
        Ok(EventStream::new(messages.boxed()).keep_alive(HEARTBEAT).to_event(metrics_event))
    }
}

fn metrics_messages(api: Api, run: RunId, offset: u64) -> impl Stream<Item = MetricsMessage> + Send + 'static {
    stream::unfold(Some((offset, None)), move |state| {
        let api = api.clone();
        async move {
            let (mut offset, mut follow) = state?;
            let (message, go_on) = tokio::select! {
                message = next_metrics(&api, run, &mut offset, &mut follow) => message,
                () = api.runs.closing() => (MetricsMessage::End(StreamEnd { status: RunStatus::Interrupted }), false),
            };
            Some((message, go_on.then_some((offset, follow))))
        }
    })
}

/// A run that exists.
pub(super) struct Known(pub RunId);

impl Known {
    pub(super) async fn find(api: &Api, id: &str) -> ApiResult<Self> {
        api.runs.run(id).await?;
        Ok(Self(id.parse().map_err(ApiError::from)?))
    }
}

impl LogsApi {
    async fn run(&self, id: &str) -> ApiResult<Known> {
        Known::find(&self.0, id).await
    }
}

/// A viewer of a log.
enum Reader {
    /// The run has written nothing yet.
    Waiting(FollowOptions),
    /// It has.
    Following(Box<journal::Follow>),
}

/// Follows a run's log, whichever server writes it.
async fn follow_wherever(api: &Api, run: RunId, options: FollowOptions) -> Result<journal::Follow, JournalError> {
    look_elsewhere(api, run).await;
    api.journal.follow(run, options).await
}

/// Lets the files of a run be followed that another server drives.
async fn look_elsewhere(api: &Api, run: RunId) {
    if !matches!(api.runs.elsewhere(run).await, Ok(Elsewhere::Works)) {
        return;
    }
    let runs = api.runs.clone();
    api.journal
        .look_elsewhere(run, move || {
            let runs = runs.clone();
            async move {
                match runs.elsewhere(run).await {
                    // Without an answer nothing is known to have changed.
                    Ok(Elsewhere::Works) | Err(_) => journal::Writes::Still,
                    Ok(Elsewhere::Ended) => journal::Writes::NoMore,
                    Ok(Elsewhere::Here) => journal::Writes::Later,
                }
            }
        })
        .await;
}

/// The next event, and whether more will come.
async fn next_event(api: &Api, run: RunId, reader: &mut Reader) -> (Bytes, bool) {
    loop {
        match reader {
            Reader::Waiting(options) => {
                let news = News::of(api, run);
                match follow_wherever(api, run, *options).await {
                    Ok(follow) => *reader = Reader::Following(Box::new(follow)),
                    Err(JournalError::NotFound(_)) => {
                        if let Some(status) = final_status(api, run, Duration::ZERO).await {
                            return (end(status), false);
                        }
                        news.wait().await;
                    }
                    Err(error) => return (broken(&error), false),
                }
            }
            Reader::Following(follow) => match follow.next().await {
                // Once for all who are sent these lines.
                Some(Ok(LogEvent::Lines(batch))) => return (batch.rendered(render), true),
                Some(Ok(LogEvent::Skipped { from, to, lines })) => {
                    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
                    let skipped = LogSkipped { from: number(from), to: number(to), lines: lines.map_or(-1, number) };
                    return (event(events::SKIPPED, Some(skipped.to), &skipped), true);
                }
                Some(Ok(LogEvent::Heartbeat)) => {}
                Some(Ok(LogEvent::End { finished: true, .. })) => {
                    let status = final_status(api, run, OUTCOME_WITHIN).await.unwrap_or(RunStatus::Interrupted);
                    return (end(status), false);
                }
                // The writer went away for a moment (the log is being opened again); so does the viewer.
                Some(Ok(LogEvent::End { .. })) | None => return (going_away(), false),
                Some(Err(error)) => return (broken(&error), false),
            },
        }
    }
}

/// An event `end`, or `reconnect` when the status is not final.
fn end(status: RunStatus) -> Bytes {
    event(end_name(status), None, &StreamEnd { status })
}

fn going_away() -> Bytes {
    end(RunStatus::Interrupted)
}

fn broken(error: &JournalError) -> Bytes {
    tracing::error!(%error, "a log stream broke off: {error}");
    going_away()
}

/// The final status of a run, waiting for it no longer than `within`.
async fn final_status(api: &Api, run: RunId, within: Duration) -> Option<RunStatus> {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        match api.runs.run(&run.to_string()).await {
            Ok(run) if run.status.is_final() => return Some(run.status),
            _ if tokio::time::Instant::now() >= deadline => return None,
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// What may happen to a run whose files are not there yet. Made before looking for them, so that nothing is missed.
struct News {
    run: RunId,
    changes: broadcast::Receiver<LiveEvent>,
    begins: watch::Receiver<()>,
}

impl News {
    fn of(api: &Api, run: RunId) -> Self {
        Self { run, changes: api.runs.subscribe(), begins: api.journal.begins(run) }
    }

    /// Waits until something happens to the run, or a while.
    async fn wait(mut self) {
        let id = self.run.to_string();
        let changed = async {
            // An error: too much has happened to know, or the server goes away.
            while self.changes.recv().await.is_ok_and(|event| event.id != id) {}
        };
        tokio::select! {
            () = changed => {}
            _ = self.begins.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Lines as one event.
pub fn render(batch: &journal::Batch) -> Bytes {
    let next = i64::try_from(batch.next).unwrap_or(i64::MAX);
    event(events::LINES, Some(next), &LogLines { lines: batch.lines.iter().map(line).collect(), next })
}

/// An event with this content, which always becomes JSON: it has no maps.
fn event(name: &str, id: Option<i64>, content: &impl Serialize) -> Bytes {
    let json = serde_json::to_vec(content).unwrap_or_default();
    encode(name, id.map(|id| id.to_string()).as_deref(), &json)
}

pub(super) fn line(line: &journal::LogLine) -> LogLine {
    LogLine {
        offset: i64::try_from(line.offset).unwrap_or(i64::MAX),
        time: line.timestamp,
        source: source(line.source),
        complete: line.terminated,
        text: String::from_utf8_lossy(&line.text).into_owned(),
    }
}

pub(super) fn source(source: journal::Source) -> LogSource {
    match source {
        journal::Source::Stdout => LogSource::Stdout,
        journal::Source::Stderr => LogSource::Stderr,
    }
}

const fn end_name(status: RunStatus) -> &'static str {
    if status.is_final() { events::END } else { events::RECONNECT }
}

fn metrics_event(message: MetricsMessage) -> Event {
    match message {
        MetricsMessage::Samples(batch) => {
            Event::message(batch.to_json_string()).event_type(events::METRICS).id(batch.next.to_string())
        }
        MetricsMessage::End(end) => Event::message(end.to_json_string()).event_type(end_name(end.status)),
    }
}

async fn next_metrics(
    api: &Api,
    run: RunId,
    offset: &mut u64,
    follow: &mut Option<journal::MetricsFollow>,
) -> (MetricsMessage, bool) {
    let gone = |status| (MetricsMessage::End(StreamEnd { status }), false);
    loop {
        let Some(reader) = follow else {
            let news = News::of(api, run);
            look_elsewhere(api, run).await;
            match api.journal.follow_metrics(run, *offset, HEARTBEAT).await {
                Ok(reader) => *follow = Some(reader),
                Err(JournalError::NotFound(_)) => {
                    if let Some(status) = final_status(api, run, Duration::ZERO).await {
                        return gone(status);
                    }
                    news.wait().await;
                }
                Err(error) => {
                    tracing::error!(%error, "a metrics stream broke off: {error}");
                    return gone(RunStatus::Interrupted);
                }
            }
            continue;
        };
        match reader.next().await {
            Some(Ok(MetricsEvent::Samples(raw, next))) => {
                *offset = next;
                let samples = raw.iter().filter_map(|raw| serde_json::from_slice(&raw.json).ok()).collect();
                let next = i64::try_from(next).unwrap_or(i64::MAX);
                return (MetricsMessage::Samples(MetricsBatch { samples, next }), true);
            }
            Some(Ok(MetricsEvent::Heartbeat)) => {}
            Some(Ok(MetricsEvent::End { finished: true, .. })) => {
                return gone(final_status(api, run, OUTCOME_WITHIN).await.unwrap_or(RunStatus::Interrupted));
            }
            Some(Ok(MetricsEvent::End { .. })) | None => return gone(RunStatus::Interrupted),
            Some(Err(error)) => {
                tracing::error!(%error, "a metrics stream broke off: {error}");
                return gone(RunStatus::Interrupted);
            }
        }
    }
}

fn sample(point: journal::Point) -> MetricsSample {
    MetricsSample {
        timestamp: point.timestamp,
        cpu_percent: point.cpu_percent.avg,
        ram_mb: point.ram_mb.max,
        ram_limit_mb: point.ram_limit_mb,
        cpu_limit: point.cpu_limit,
        soft_limit_exceeded: point.soft_limit_exceeded,
        cpu_throttled: point.throttled,
    }
}

fn last_event_id(request: &Request) -> ApiResult<Option<u64>> {
    let Some(text) = request.header("Last-Event-ID").filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| wrong("Last-Event-ID", format!("{text:?} is not an offset")))
}
