//! One request: headers, status, body, and every failure as a [`Fault`].

use std::cell::RefCell;

use fastflow_shared::CSRF_HEADER;
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

/// `GET`.
pub async fn get<T: DeserializeOwned>(url: &str) -> Answer<T> {
    decode(&answered(Request::get(url).build(), None).await?)
}

/// `GET` of a document that is complete with this other status, too.
pub async fn get_even<T: DeserializeOwned>(url: &str, status: u16) -> Answer<T> {
    decode(&answered(Request::get(url).build(), Some(status)).await?)
}

/// A write with a body that answers with a document.
pub async fn write<B: Serialize, T: DeserializeOwned>(method: Method, url: &str, body: &B) -> Answer<T> {
    decode(&answered(ours(method, url).json(body), None).await?)
}

/// A write without a body that answers with a document.
pub async fn order<T: DeserializeOwned>(method: Method, url: &str) -> Answer<T> {
    decode(&answered(ours(method, url).build(), None).await?)
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

/// Status and body of a good answer. It knows no types, so that it exists once and not once per document.
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

fn decode<T: DeserializeOwned>((status, body): &(u16, String)) -> Answer<T> {
    serde_json::from_str(body).map_err(|error| Fault::unreadable(*status, error.to_string()))
}
