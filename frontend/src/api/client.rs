//! One request: headers, status, body, and every failure as a [`Fault`].
//!
//! What goes over the wire is the same for every document, so that code exists once: an [`Ask`] knows its type only
//! when the answer is here.

use std::any::Any;
use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use fastflow_shared::{CSRF_HEADER, json};
use gloo_net::http::{Method, Request, RequestBuilder};
use gloo_timers::future::TimeoutFuture;
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

/// An answer on its way, of whatever type.
pub type Coming = Pin<Box<dyn Future<Output = Answer<Box<dyn Any>>>>>;

/// Makes a document of a body.
type Read = fn(&str) -> Result<Box<dyn Any>, json::Unfit>;

/// A call whose answer is a `T`.
pub struct Ask<T>(Coming, PhantomData<T>);

impl<T: 'static> Ask<T> {
    /// Several calls as one.
    pub fn of(work: impl Future<Output = Answer<T>> + 'static) -> Self {
        Self(Box::pin(async move { work.await.map(|answer| Box::new(answer) as Box<dyn Any>) }), PhantomData)
    }

    /// The answer without its type, for code that exists once.
    pub fn coming(self) -> Coming {
        self.0
    }
}

impl<T: Unpin + 'static> Future for Ask<T> {
    type Output = Answer<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer<T>> {
        self.0.as_mut().poll(context).map(|answer| {
            // What is in there was put there by this type, so it is a `T`.
            answer?.downcast().map(|answer| *answer).map_err(|_| Fault::unreadable(200, String::new()))
        })
    }
}

/// One copy for each type, however many pages read it.
#[inline(never)]
fn read<T: DeserializeOwned + 'static>(body: &str) -> Result<Box<dyn Any>, json::Unfit> {
    json::from_str::<T>(body).map(|answer| Box::new(answer) as Box<dyn Any>)
}

fn nothing(_: &str) -> Result<Box<dyn Any>, json::Unfit> {
    Ok(Box::new(()))
}

/// `GET`.
pub fn get<T: DeserializeOwned + 'static>(url: &str) -> Ask<T> {
    Ask(sent(Question::Read(url.to_owned()), None, read::<T>), PhantomData)
}

/// `GET` of a document that is complete with this other status, too.
pub fn get_even<T: DeserializeOwned + 'static>(url: &str, status: u16) -> Ask<T> {
    Ask(sent(Question::Read(url.to_owned()), Some(status), read::<T>), PhantomData)
}

/// A write with a body that answers with a document.
pub fn write<B: Serialize, T: DeserializeOwned + 'static>(method: Method, url: &str, body: &B) -> Ask<T> {
    Ask(sent(Question::Write(with(method, url, json::to_string(body))), None, read::<T>), PhantomData)
}

/// A write without a body that answers with a document.
pub fn order<T: DeserializeOwned + 'static>(method: Method, url: &str) -> Ask<T> {
    Ask(sent(Question::Write(ours(method, url).build()), None, read::<T>), PhantomData)
}

/// A write with a body whose answer does not matter.
pub fn deliver<B: Serialize>(method: Method, url: &str, body: &B) -> Ask<()> {
    Ask(sent(Question::Write(with(method, url, json::to_string(body))), None, nothing), PhantomData)
}

/// A write without a body whose answer does not matter.
pub fn dismiss(method: Method, url: &str) -> Ask<()> {
    Ask(sent(Question::Write(ours(method, url).build()), None, nothing), PhantomData)
}

fn ours(method: Method, url: &str) -> RequestBuilder {
    RequestBuilder::new(url).method(method).header(CSRF_HEADER, "1")
}

/// With a document as its body. One that cannot be written is sent without, and the server says what is missing.
#[inline(never)]
fn with(method: Method, url: &str, body: Result<String, json::Unfit>) -> Result<Request, gloo_net::Error> {
    ours(method, url).header("content-type", "application/json").body(body.unwrap_or_default())
}

/// What is asked.
enum Question {
    /// `GET` of this address.
    Read(String),
    /// Anything else.
    Write(Result<Request, gloo_net::Error>),
}

/// Milliseconds until a reading that got lost is asked once more. A browser breaks off what is under way whenever the
/// machine's network changes, and so does a server that is started anew.
const PAUSES: [u32; 3] = [250, 750, 2000];

#[inline(never)]
fn sent(question: Question, good: Option<u16>, read: Read) -> Coming {
    Box::pin(async move {
        let (status, body) = match question {
            // Not asked again: it may have been carried out, though its answer got lost.
            Question::Write(request) => answered(request, good).await?,
            Question::Read(url) => {
                let mut answer = answered(Request::get(&url).build(), good).await;
                for pause in PAUSES {
                    if !matches!(&answer, Err(fault) if fault.is_network()) {
                        break;
                    }
                    TimeoutFuture::new(pause).await;
                    answer = answered(Request::get(&url).build(), good).await;
                }
                answer?
            }
        };
        read(&body).map_err(|unfit| Fault::unreadable(status, unfit.0.to_owned()))
    })
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
