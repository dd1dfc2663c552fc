//! Server-sent events that are encoded once, however many viewers get them: what a stream brings are finished bytes, and
//! they go to the connection as they are.

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use poem::{Body, IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::{EventStream, Payload};
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};

/// What is sent when there has been nothing else for a while.
const SIGN_OF_LIFE: Bytes = Bytes::from_static(b":\n\n");

/// An event as it goes over the wire. `data` is JSON, which has no line breaks.
pub(super) fn encode(name: &str, id: Option<&str>, data: &[u8]) -> Bytes {
    let id_length = id.map_or(0, |id| id.len() + 5);
    let mut out = Vec::with_capacity(id_length + name.len() + data.len() + 17);
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        out.extend_from_slice(id.as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
    out.into()
}

/// A stream of encoded events; the document describes them as `T`.
pub struct Encoded<T> {
    events: BoxStream<'static, Bytes>,
    heartbeat: Duration,
    describes: PhantomData<fn() -> T>,
}

impl<T> Encoded<T> {
    /// Sends `events`, and a sign of life after so much silence.
    pub fn new(events: impl Stream<Item = Bytes> + Send + 'static, heartbeat: Duration) -> Self {
        Self { events: events.boxed(), heartbeat, describes: PhantomData }
    }
}

impl<T: Type + ToJSON + 'static> Payload for Encoded<T> {
    const CONTENT_TYPE: &'static str = "text/event-stream";

    fn schema_ref() -> MetaSchemaRef {
        EventStream::<BoxStream<'static, T>>::schema_ref()
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

impl<T> IntoResponse for Encoded<T> {
    fn into_response(self) -> Response {
        let mut quiet = tokio::time::interval(self.heartbeat);
        quiet.reset();
        let events = stream::unfold((self.events, quiet), |(mut events, mut quiet)| async {
            let bytes = tokio::select! {
                biased;
                event = events.next() => event?,
                _ = quiet.tick() => SIGN_OF_LIFE,
            };
            quiet.reset();
            Some((Ok::<_, io::Error>(bytes), (events, quiet)))
        });
        Response::builder()
            .content_type("text/event-stream")
            .header("X-Accel-Buffering", "no")
            .header("Cache-Control", "no-cache")
            .body(Body::from_bytes_stream(events))
    }
}

impl<T: Type + ToJSON + 'static> ApiResponse for Encoded<T> {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![MetaResponse {
                description: "",
                status: Some(200),
                status_range: None,
                content: vec![MetaMediaType { content_type: Self::CONTENT_TYPE, schema: Self::schema_ref() }],
                headers: vec![],
            }],
        }
    }

    fn register(registry: &mut Registry) {
        T::register(registry);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use poem::web::sse::Event;

    use super::*;

    #[test]
    fn events_look_as_the_library_writes_them() {
        let ours = encode("lines", Some("42"), b"{\"a\":1}");
        let theirs = Event::message("{\"a\":1}").event_type("lines").id("42").to_string();
        assert_eq!(ours, theirs.as_bytes());
        let theirs = Event::message("{}").event_type("end").to_string();
        assert_eq!(encode("end", None, b"{}"), theirs.as_bytes());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_broken_by_a_sign_of_life() {
        let events = stream::iter([Bytes::from_static(b"event: a\ndata: 1\n\n")]).chain(stream::pending());
        let answer = Encoded::<String>::new(events, Duration::from_secs(15)).into_response();
        assert_eq!(answer.content_type(), Some("text/event-stream"));
        let begin = tokio::time::Instant::now();
        let mut bytes = Box::pin(answer.into_body().into_bytes_stream());
        assert_eq!(bytes.next().await.expect("more").expect("fine"), "event: a\ndata: 1\n\n");
        for round in 1..=2 {
            assert_eq!(bytes.next().await.expect("more").expect("fine"), SIGN_OF_LIFE);
            assert_eq!(begin.elapsed(), Duration::from_secs(15) * round);
        }
    }
}
