//! Server-sent events, read as the standard says. Written for the tests, so that a fault of a library that the server or
//! the browser uses cannot hide itself.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;

use crate::wait::within;

/// What a stream brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// An event.
    Event(Event),
    /// A comment: a heartbeat.
    Comment(String),
}

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Id that was last seen, also one of an earlier event.
    pub id: Option<String>,
    /// Its name; `message` when it has none.
    pub name: String,
    /// Its data.
    pub data: String,
}

impl Event {
    /// Its data as JSON.
    ///
    /// # Panics
    /// When it is not of that shape.
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("{} is not as expected: {error}", self.data))
    }
}

/// Bytes to items.
#[derive(Debug, Default)]
struct Parser {
    line: Vec<u8>,
    last_id: Option<String>,
    name: String,
    data: Vec<String>,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8], out: &mut VecDeque<Item>) {
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8(line).expect("an event stream is UTF-8");
                self.line(line.strip_suffix('\r').unwrap_or(&line), out);
            } else {
                self.line.push(*byte);
            }
        }
    }

    fn line(&mut self, line: &str, out: &mut VecDeque<Item>) {
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            if !data.is_empty() {
                let name = if name.is_empty() { "message".to_owned() } else { name };
                out.push_back(Item::Event(Event { id: self.last_id.clone(), name, data: data.join("\n") }));
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => out.push_back(Item::Comment(value.to_owned())),
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push(value.to_owned()),
            "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
            // `retry` and what nobody knows.
            _ => {}
        }
    }
}

/// An open event stream.
pub struct EventStream {
    bytes: BoxStream<'static, reqwest::Result<Bytes>>,
    parser: Parser,
    ready: VecDeque<Item>,
}

impl EventStream {
    /// Reads a body.
    pub fn new(bytes: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static) -> Self {
        Self { bytes: bytes.boxed(), parser: Parser::default(), ready: VecDeque::new() }
    }

    /// The next item; `None` when the server has closed the stream (or died).
    ///
    /// # Panics
    /// When nothing comes within `limit`.
    pub async fn item(&mut self, limit: Duration) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            match within("an event stream's next bytes", limit, self.bytes.next()).await {
                Some(Ok(bytes)) => self.parser.feed(&bytes, &mut self.ready),
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// The next event, comments left out.
    ///
    /// # Panics
    /// As [`Self::item`].
    pub async fn event(&mut self, limit: Duration) -> Option<Event> {
        loop {
            match self.item(limit).await? {
                Item::Event(event) => return Some(event),
                Item::Comment(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pieces: &[&str]) -> Vec<Item> {
        let (mut parser, mut out) = (Parser::default(), VecDeque::new());
        for piece in pieces {
            parser.feed(piece.as_bytes(), &mut out);
        }
        out.into()
    }

    fn event(id: Option<&str>, name: &str, data: &str) -> Item {
        Item::Event(Event { id: id.map(str::to_owned), name: name.to_owned(), data: data.to_owned() })
    }

    #[test]
    fn events_comments_and_ids_are_told_apart_however_they_are_cut() {
        let text = ": hello\n\nid: 7\nevent: lines\ndata: {\"a\":\ndata: 1}\n\ndata:plain\r\n\r\nevent: none\n\n";
        let expected = [
            Item::Comment("hello".to_owned()),
            event(Some("7"), "lines", "{\"a\":\n1}"),
            event(Some("7"), "message", "plain"),
        ];
        assert_eq!(parse(&[text]), expected);
        let bytes: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(parse(&bytes.iter().map(String::as_str).collect::<Vec<_>>()), expected);
    }
}
