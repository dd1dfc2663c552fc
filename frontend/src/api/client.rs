//! One request: headers, status, body, and every failure as a [`Fault`].

use std::cell::RefCell;

use fastflow_shared::CSRF_HEADER;
use gloo_net::http::{Method, Request, RequestBuilder, Response};
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
    let response = send(Request::get(url).build()).await?;
    decode(checked(response).await?).await
}

/// `GET` of a document that is complete with this other status, too.
pub async fn get_even<T: DeserializeOwned>(url: &str, status: u16) -> Answer<T> {
    let response = send(Request::get(url).build()).await?;
    if response.status() == status {
        return decode(response).await;
    }
    decode(checked(response).await?).await
}

/// A write with a body that answers with a document.
pub async fn write<B: Serialize, T: DeserializeOwned>(method: Method, url: &str, body: &B) -> Answer<T> {
    let response = send(ours(method, url).json(body)).await?;
    decode(checked(response).await?).await
}

/// A write without a body that answers with a document.
pub async fn order<T: DeserializeOwned>(method: Method, url: &str) -> Answer<T> {
    let response = send(ours(method, url).build()).await?;
    decode(checked(response).await?).await
}

/// A write without a body whose answer does not matter.
pub async fn dismiss(method: Method, url: &str) -> Answer<()> {
    let response = send(ours(method, url).build()).await?;
    checked(response).await.map(drop)
}

fn ours(method: Method, url: &str) -> RequestBuilder {
    RequestBuilder::new(url).method(method).header(CSRF_HEADER, "1")
}

async fn send(request: Result<Request, gloo_net::Error>) -> Answer<Response> {
    let request = request.map_err(|error| Fault::network(error.to_string()))?;
    request.send().await.map_err(|error| Fault::network(error.to_string()))
}

async fn checked(response: Response) -> Answer<Response> {
    if response.ok() {
        return Ok(response);
    }
    let status = response.status();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.parse().ok());
    let body = response.text().await.unwrap_or_default();
    let fault = Fault::from_body(status, &body, retry_after);
    if status == 401 && fault.code != "invalid_credentials" {
        let told = SIGNED_OUT.with(|slot| slot.borrow().clone());
        told.inspect(|told| told.emit(()));
    }
    Err(fault)
}

async fn decode<T: DeserializeOwned>(response: Response) -> Answer<T> {
    let status = response.status();
    let text = response.text().await.map_err(|error| Fault::network(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| Fault::unreadable(status, error.to_string()))
}
