//! Somebody who watches a log live.

use std::time::{Duration, Instant};

use fastflow_shared::{LogLine, LogLines, LogSkipped, StreamEnd, events, routes};

use crate::client::Client;
use crate::sse::EventStream;

/// A live log must say something (a heartbeat at least) within this time.
const SILENCE: Duration = Duration::from_secs(40);

/// Somebody who watches a log live.
pub struct Viewer {
    client: Client,
    path: String,
    stream: Option<EventStream>,
    last_id: Option<String>,
    /// Every line that was sent, in order.
    pub lines: Vec<LogLine>,
    /// Every gap that was told of.
    pub skipped: Vec<LogSkipped>,
    /// The final status, and when it came.
    pub end: Option<(StreamEnd, Instant)>,
}

impl Viewer {
    /// Watches the log of a run from its first line.
    pub async fn open(client: &Client, run: &str) -> Self {
        Self::open_at(client, run, "?offset=0").await
    }

    /// Watches with this query.
    pub async fn open_at(client: &Client, run: &str, query: &str) -> Self {
        let path = format!("{}{query}", routes::run_logs_stream(run));
        let stream = client.stream(&path, None).await;
        Self {
            client: client.clone(),
            path,
            stream: Some(stream),
            last_id: None,
            lines: Vec::new(),
            skipped: Vec::new(),
            end: None,
        }
    }

    /// Loses the connection and makes a new one, as a browser does.
    pub async fn reconnect(&mut self) {
        self.stream = None;
        self.stream = Some(self.client.stream(&self.path, self.last_id.as_deref()).await);
    }

    /// Takes one event; `false` when the stream has ended.
    ///
    /// # Panics
    /// When the stream says something unheard of, or nothing at all for long.
    pub async fn step(&mut self) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        let Some(event) = stream.event(SILENCE).await else { return false };
        match event.name.as_str() {
            events::LINES => {
                let lines: LogLines = event.json();
                assert_eq!(event.id, Some(lines.next.to_string()), "the id is where to continue");
                self.last_id = event.id;
                self.lines.extend(lines.lines);
            }
            events::SKIPPED => {
                let skipped: LogSkipped = event.json();
                self.last_id = event.id;
                self.skipped.push(skipped);
            }
            events::END => self.end = Some((event.json(), Instant::now())),
            events::RECONNECT => return false,
            other => panic!("an event that nobody expects: {other}"),
        }
        self.end.is_none()
    }

    /// Watches until this many lines were seen.
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn see(&mut self, lines: usize) {
        while self.lines.len() < lines {
            assert!(self.step().await, "the stream ended after {} lines", self.lines.len());
        }
    }

    /// Watches to the end.
    ///
    /// # Panics
    /// When the stream breaks off without one.
    pub async fn watch(&mut self) {
        while self.step().await {}
        assert!(self.end.is_some(), "the stream broke off after {} lines", self.lines.len());
    }

    /// What was seen, as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            text.push_str(&line.text);
            if line.complete {
                text.push('\n');
            }
        }
        text
    }
}
