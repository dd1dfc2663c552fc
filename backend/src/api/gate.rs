//! The gate in front of every operation. It finds out which operation is called and by whom, lets through who may, and
//! writes into the audit log what became of it. The operations themselves need not think of any of this, so none can
//! forget it: what holds for each stands in [`super::rules`].
//!
//! In this order: a write from a foreign page is refused; a login is asked for; a write by cookie needs its header; the role
//! must do. Only then is the body read. What is to be written down is done only while that can be written (ADR 20).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastflow_shared::{AuditResult, CSRF_HEADER};
use futures_util::StreamExt as _;
use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderValue, Method, StatusCode};
use poem::{Body, Endpoint, IntoResponse as _, Request, Response};
use tracing::Instrument as _;

use super::problem::ApiError;
use super::rules::{Found, Operations};
use super::security::{Caller, shown_token, too_low};
use super::{Api, REQUEST_ID, request_id};
use crate::audit::Event;
use crate::auth::Means;
use crate::domain::forwarded::Origin;
use crate::domain::origin::{self, Foreign};
use crate::domain::size::format_bytes;

/// How long a request's body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(60);

/// What an operation adds to its entry in the audit log.
#[derive(Debug, Default)]
struct Note {
    actor: Option<String>,
    actor_id: Option<String>,
    target: Option<String>,
    code: Option<String>,
    detail: BTreeMap<String, String>,
}

tokio::task_local! {
    static NOTE: RefCell<Note>;
}

fn note(change: impl FnOnce(&mut Note)) {
    // Outside of an operation that is written down there is nothing to add to.
    let _ = NOTE.try_with(|note| change(&mut note.borrow_mut()));
}

/// Says who it was, where nobody was logged in yet.
pub(super) fn audit_actor(name: &str, id: Option<&str>) {
    note(|note| {
        note.actor = Some(name.to_owned());
        note.actor_id = id.map(str::to_owned);
    });
}

/// Says what it was done to, where the address does not or says it worse.
pub(super) fn audit_target(target: impl Into<String>) {
    note(|note| note.target = Some(target.into()));
}

/// Says more about it. Never a secret.
pub(super) fn audit_detail(name: &str, value: impl Into<String>) {
    note(|note| {
        note.detail.insert(name.to_owned(), value.into());
    });
}

/// Says why it was refused. Each problem says so by itself.
pub(super) fn audit_code(code: &str) {
    note(|note| note.code = Some(code.to_owned()));
}

/// The gate. Cheap to clone.
#[derive(Clone)]
pub(super) struct Gate {
    api: Api,
    operations: Arc<Operations>,
}

impl Gate {
    pub(super) fn new(api: &Api, operations: Operations) -> Self {
        Self { api: api.clone(), operations: Arc::new(operations) }
    }

    /// Lets a request through to `inner`, or does not.
    pub(super) async fn pass(
        &self,
        inner: Arc<BoxEndpoint<'static, Response>>,
        mut request: Request,
    ) -> poem::Result<Response> {
        let Some(found) = self.operations.find(request.method(), request.original_uri().path()) else {
            // No operation: the router says what is wrong with the address or the method, to anybody.
            return inner.call(request).await;
        };
        let origin =
            request.extensions().get::<Origin>().cloned().unwrap_or(Origin { ip: None, https: false, host: None });
        let admitted = async {
            let caller = self.admit(&request, &found, &origin).await?;
            read_body(&mut request, found.rule.max_body).await?;
            Ok::<_, Refused>(caller)
        };
        let caller = match admitted.await {
            Ok(caller) => caller,
            Err(refused) => return Ok(self.refuse(refused, &request, &found, &origin).await),
        };
        let Some(action) = found.rule.action else {
            if let Some(caller) = &caller {
                request.extensions_mut().insert(caller.clone());
            }
            return Ok(self.until_ended(inner.call(request).await?, caller));
        };
        // On a task of its own: whoever hangs up in the middle must not keep what was done out of the log.
        let gate = self.clone();
        let work = async move { gate.audited(inner, request, found, origin, caller, action).await };
        let id = request_id().unwrap_or_default();
        match tokio::spawn(REQUEST_ID.scope(id, NOTE.scope(RefCell::default(), work)).in_current_span()).await {
            Ok(answer) => answer,
            Err(error) => Err(ApiError::internal(&error).into()),
        }
    }

    /// Who may come in; nobody for an operation that is open.
    async fn admit(&self, request: &Request, found: &Found, origin: &Origin) -> Result<Option<Caller>, Refused> {
        let rule = &found.rule;
        let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        if !reads {
            let site = request.header("sec-fetch-site");
            origin::check(site, request.header("origin"), origin.host.as_deref()).map_err(foreign)?;
        }
        let Some(needed) = rule.needs else { return Ok(None) };
        let (token, by_cookie) = shown_token(request, origin.https).ok_or_else(ApiError::unauthenticated)?;
        let identity = self.api.auth.authenticate(&token, origin.ip).await.map_err(ApiError::from)?;
        let caller = Caller { identity, token, by_cookie };
        let refuse = |error| Refused { error, caller: Some(caller.clone()) };
        if by_cookie && !reads && !request.headers().contains_key(CSRF_HEADER) {
            let detail =
                format!("A write with the session cookie needs the header {CSRF_HEADER}; its value does not matter.");
            return Err(refuse(ApiError::forbidden("csrf_header_missing", detail)));
        }
        let own = caller.identity.user.role;
        if own < needed {
            return Err(refuse(too_low(needed, own)));
        }
        if rule.in_person && caller.identity.means != Means::Session {
            let detail = "An API token may not do this: log in with the password and do it there.";
            return Err(refuse(ApiError::forbidden("login_needed", detail)));
        }
        Ok(Some(caller))
    }

    /// Answers who was not let in, and writes it down if it was somebody who is known.
    async fn refuse(&self, refused: Refused, request: &Request, found: &Found, origin: &Origin) -> Response {
        let Refused { error, caller } = refused;
        let code = error.code();
        let answer = error.into_response();
        if let (Some(action), Some(caller)) = (found.rule.action, caller) {
            let note = Note { code, ..Note::default() };
            let event = event(action, found, origin, request.header("user-agent"), Some(&caller), note, &answer);
            self.write(event).await;
        }
        answer
    }

    /// Calls the operation and writes down what became of it.
    async fn audited(
        &self,
        inner: Arc<BoxEndpoint<'static, Response>>,
        mut request: Request,
        found: Found,
        origin: Origin,
        caller: Option<Caller>,
        action: &str,
    ) -> poem::Result<Response> {
        let user_agent = request.header("user-agent").map(str::to_owned);
        // Of strangers nothing is asked: the login decides by itself, and a webhook changes nothing that nobody wanted.
        if caller.is_some()
            && !found.rule.even_unlogged
            && let Err(error) = self.api.audit.is_writable().await
        {
            tracing::error!(%error, action, "{action} is refused, for the audit log cannot be written: {error}");
            if error.is_unavailable() {
                // Nothing else of the database would work either: the cause is what helps.
                return Ok(ApiError::from(error).into_response());
            }
            let detail = "The audit log cannot be written, so nothing was done. Is the database's disk full? Try again in a moment.";
            return Ok(ApiError::unavailable("audit_unavailable", detail).into_response());
        }
        if let Some(caller) = &caller {
            request.extensions_mut().insert(caller.clone());
        }
        let answer = inner.call(request).await.unwrap_or_else(poem::Error::into_response);
        let status = answer.status();
        let refused = found.rule.refusals && status == StatusCode::UNAUTHORIZED;
        let decided = caller.is_some() || status.is_success() || refused;
        if decided {
            let note = NOTE.with(RefCell::take);
            let event = event(action, &found, &origin, user_agent.as_deref(), caller.as_ref(), note, &answer);
            let stored = self.write(event).await;
            if found.rule.discloses && status.is_success() && !stored {
                let detail = "The audit log cannot be written, so the answer is held back. Try again in a moment.";
                return Ok(ApiError::unavailable("audit_unavailable", detail).into_response());
            }
        }
        Ok(self.until_ended(answer, caller))
    }

    async fn write(&self, event: Event) -> bool {
        let told = format!("{event:?}");
        match self.api.audit.record(event).await {
            Ok(()) => true,
            Err(error) => {
                // Debug output is escaped, so that this line cannot be forged either.
                tracing::error!(%error, "the audit log cannot be written; the entry is {told}");
                false
            }
        }
    }

    /// Ends an event stream with the login that opened it: else somebody who is locked out would go on reading.
    fn until_ended(&self, mut answer: Response, caller: Option<Caller>) -> Response {
        let streams = answer.content_type().is_some_and(|kind| kind.starts_with("text/event-stream"));
        if let Some(caller) = caller.filter(|_| streams) {
            let auth = self.api.auth.clone();
            let ended = Box::pin(async move { auth.ended(caller.token).await });
            let bytes = answer.take_body().into_bytes_stream();
            answer.set_body(Body::from_bytes_stream(bytes.take_until(ended)));
        }
        answer
    }
}

/// Why somebody is not let in, and who it is when that is known.
struct Refused {
    error: ApiError,
    caller: Option<Caller>,
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self { error, caller: None }
    }
}

fn foreign(why: Foreign) -> Refused {
    let why = match why {
        Foreign::Site => "Sec-Fetch-Site",
        Foreign::Origin => "Origin",
    };
    let detail = format!(
        "The header {why} says that a page of another site sent this, so nothing was changed. If a proxy renames the \
         host, let it pass the original one on: X-Forwarded-Host, with the proxy's address in TRUSTED_PROXIES."
    );
    ApiError::forbidden("cross_origin", detail).into()
}

fn event(
    action: &str,
    found: &Found,
    origin: &Origin,
    user_agent: Option<&str>,
    caller: Option<&Caller>,
    note: Note,
    answer: &Response,
) -> Event {
    let status = answer.status();
    let user = caller.map(|caller| &caller.identity.user);
    let mut detail = note.detail;
    let via = match caller.map(|caller| &caller.identity.means) {
        None if found.rule.operation == "login" => "login",
        None => "outside",
        Some(Means::Session) => "session",
        Some(Means::Token { name }) => {
            detail.insert("token".to_owned(), name.clone());
            "token"
        }
    };
    // What was made is named by where it is now.
    let made =
        answer.header("location").and_then(|place| place.rsplit('/').next()).map(fastflow_shared::routes::decode);
    if let (Some(made), Some(_)) = (&made, &found.target) {
        detail.insert("made".to_owned(), made.clone());
    }
    Event {
        actor: note.actor.or_else(|| user.map(|user| user.username.clone())).unwrap_or_default(),
        actor_id: note.actor_id.or_else(|| user.map(|user| user.id.clone())),
        via,
        action: action.to_owned(),
        target: note.target.or_else(|| found.target.clone()).or(made),
        result: match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => AuditResult::Denied,
            status if status.is_success() => AuditResult::Ok,
            _ => AuditResult::Failed,
        },
        status: Some(status.as_u16()),
        code: note.code.filter(|_| !status.is_success()),
        ip: origin.ip.map(|ip| ip.to_string()),
        user_agent: user_agent.map(str::to_owned),
        request_id: request_id(),
        detail,
    }
}

/// Takes the whole body now, and no more than `most` of it.
async fn read_body(request: &mut Request, most: usize) -> Result<(), Refused> {
    let body = request.take_body().into_bytes_limit(most);
    match tokio::time::timeout(BODY_WITHIN, body).await {
        Ok(Ok(bytes)) => {
            // A start without values has no body, and no body has no type.
            if bytes.is_empty() && request.content_type().is_none() {
                request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
            }
            request.set_body(bytes);
            Ok(())
        }
        Ok(Err(poem::error::ReadBodyError::PayloadTooLarge)) => {
            let most = format_bytes(u64::try_from(most).unwrap_or(u64::MAX));
            Err(ApiError::too_large(format!("The body of this request has at most {most}.")).into())
        }
        Ok(Err(error)) => {
            Err(ApiError::bad_request("body_unreadable", format!("The body cannot be read: {error}.")).into())
        }
        Err(_) => {
            let detail = format!("The body did not arrive within {} s.", BODY_WITHIN.as_secs());
            Err(ApiError::bad_request("body_too_slow", detail).into())
        }
    }
}
