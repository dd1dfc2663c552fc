//! The server's own messages: to stderr, as text for people or as JSON for collectors.
//!
//! A message is a sentence that can be read alone and carries its facts as fields as well, so that both readers are served
//! by one line of code. Errors are logged once, where they stop being passed on.
//!
//! In JSON the facts of what a message belongs to, the request and the run, stand beside its own, flat: a collector finds all
//! of a run's messages by one field. The text leaves them out, for its sentences name them.

use std::fmt;
use std::io::IsTerminal as _;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::{LookupSpan, Scope};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt as text};

use crate::config::Server;

/// Begins to write messages. A second call changes nothing.
pub(super) fn start(server: &Server) {
    // Checked when the settings were read.
    let filter = EnvFilter::try_new(&server.log_filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let stderr = || std::io::stderr();
    let begin = tracing_subscriber::registry().with(filter);
    let done = if server.log_json {
        let lines = text::layer().fmt_fields(JsonFields::new()).event_format(JsonLines).with_writer(stderr);
        begin.with(lines).try_init()
    } else {
        let lines = text::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(stderr);
        begin.with(filter_fn(|about| !about.is_span())).with(lines).try_init()
    };
    // Somebody else, such as a test, has begun already.
    drop(done);
}

/// One JSON object per message: `timestamp`, `level`, `target`, `message`, and all facts.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> text::FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let about = event.metadata();
        let mut line = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>().and_then(|fields| serde_json::from_str(fields).ok());
            line.extend(fields.unwrap_or_else(Map::new));
        }
        event.record(&mut Facts(&mut line));
        // Last, so that no fact can pass itself off as one of these.
        for (name, value) in
            [("timestamp", now), ("level", about.level().to_string()), ("target", about.target().to_owned())]
        {
            line.insert(name.to_owned(), value.into());
        }
        let text = serde_json::to_string(&line).map_err(|_| fmt::Error)?;
        writeln!(writer, "{text}")
    }
}

/// Takes the facts of a message.
struct Facts<'l>(&'l mut Map<String, Value>);

impl Facts<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Facts<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.put(field, u64::try_from(value).unwrap_or(u64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("unpoisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn each_message_is_one_object_with_the_facts_of_what_it_belongs_to() {
        let memory = Memory::default();
        let writer = memory.clone();
        let lines =
            text::layer().fmt_fields(JsonFields::new()).event_format(JsonLines).with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let _request = tracing::error_span!("request", request_id = "r1").entered();
            let _run = tracing::error_span!("run", run = %"u1", pipeline = "a \"b\"").entered();
            tracing::warn!(seconds = 1.5, tries = 2, late = true, run = %"u2", level = "forged", "it\nbroke");
        });
        let text = String::from_utf8(memory.0.lock().expect("unpoisoned").clone()).expect("UTF-8");
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            (&line["request_id"], &line["run"], &line["pipeline"]),
            (&"r1".into(), &"u2".into(), &"a \"b\"".into())
        );
        assert_eq!((&line["seconds"], &line["tries"], &line["late"]), (&1.5.into(), &2.into(), &true.into()));
        assert_eq!((&line["level"], &line["message"]), (&"WARN".into(), &"it\nbroke".into()));
        assert!(line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
    }
}
