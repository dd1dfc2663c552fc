//! One request: headers, status, body, and every failure as a [`Fault`].
//!
//! What goes over the wire is the same for every document, so that code exists once: an [`Ask`] knows its type only
//! when the answer is here.

use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use fastflow_shared::{CSRF_HEADER, json};
use gloo_net::http::{Method, Request, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;
use yew::Callback;

use crate::logic::fault::Fault;

thread_local! {
    /// Told when the server no longer knows the session. A page cannot know what to do then; the session's provider can.
    static SIGNED_OUT: RefCell<Option<Callback<()>>> = const { RefCell::new(None) };
}

/// Says who is told when the server answers that nobody is signed in.
pub fn on_signed_out(callback: Callback<()>) {
    SIGNED_OUT.with(|slot| *slot.borrow_mut() = Some(callback));
}

/// What the answer of a call is.
pub type Answer<T> = Result<T, Fault>;

/// Status and body of an answer on its way.
type Body = Pin<Box<dyn Future<Output = Answer<(u16, String)>>>>;

/// A call whose answer is a `T`.
pub struct Ask<T>(Body, PhantomData<T>);

impl<T: DeserializeOwned + Unpin> Future for Ask<T> {
    type Output = Answer<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer<T>> {
        self.0.as_mut().poll(context).map(|answer| {
            let (status, body) = answer?;
            json::from_str(&body).map_err(|unfit| Fault::unreadable(status, unfit.0.to_owned()))
        })
    }
}

/// `GET`.
pub fn get<T>(url: &str) -> Ask<T> {
    Ask(sent(Request::get(url).build(), None), PhantomData)
}

/// `GET` of a document that is complete with this other status, too.
pub fn get_even<T>(url: &str, status: u16) -> Ask<T> {
    Ask(sent(Request::get(url).build(), Some(status)), PhantomData)
}

/// A write with a body that answers with a document.
pub fn write<B: Serialize, T>(method: Method, url: &str, body: &B) -> Ask<T> {
    Ask(sent(ours(method, url).json(body), None), PhantomData)
}

/// A write without a body that answers with a document.
pub fn order<T>(method: Method, url: &str) -> Ask<T> {
    Ask(sent(ours(method, url).build(), None), PhantomData)
}

/// A write with a body whose answer does not matter.
pub async fn deliver<B: Serialize>(method: Method, url: &str, body: &B) -> Answer<()> {
    answered(ours(method, url).json(body), None).await.map(drop)
}

/// A write without a body whose answer does not matter.
pub async fn dismiss(method: Method, url: &str) -> Answer<()> {
    answered(ours(method, url).build(), None).await.map(drop)
}

fn ours(method: Method, url: &str) -> RequestBuilder {
    RequestBuilder::new(url).method(method).header(CSRF_HEADER, "1")
}

fn sent(request: Result<Request, gloo_net::Error>, good: Option<u16>) -> Body {
    Box::pin(answered(request, good))
}

/// Status and body of a good answer.
async fn answered(request: Result<Request, gloo_net::Error>, good: Option<u16>) -> Answer<(u16, String)> {
    let lost = |error: gloo_net::Error| Fault::network(error.to_string());
    let response = request.map_err(lost)?.send().await.map_err(lost)?;
    let status = response.status();
    if response.ok() || good == Some(status) {
        return Ok((status, response.text().await.map_err(lost)?));
    }
    let retry_after = response.headers().get("retry-after").and_then(|value| value.parse().ok());
    let body = response.text().await.unwrap_or_default();
    let fault = Fault::from_body(status, &body, retry_after);
    if status == 401 && fault.code != "invalid_credentials" {
        let told = SIGNED_OUT.with(|slot| slot.borrow().clone());
        told.inspect(|told| told.emit(()));
    }
    Err(fault)
}
