//! HTTP as a program speaks it: typed calls, and answers that can be looked at closely.

use std::time::Duration;

use bytes::Bytes;
use fastflow_shared::{
    ApiTokenCreated, AuditEntry, AuditPage, CSRF_HEADER, Login, LoginAnswer, NewApiToken, NewUser, Overview, Pipeline,
    PipelineStats, Problem, Role, Run, RunPage, RunStatus, StartRun, routes,
};
use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sse::EventStream;
use crate::wait::{PATIENCE, until, within};

/// How long any single answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, for messages.
    pub asked: String,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// A header as text.
    #[must_use]
    pub fn header(&self, name: impl TryInto<HeaderName>) -> Option<String> {
        let name = name.try_into().ok()?;
        self.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The answer, if it has this status.
    ///
    /// # Panics
    /// When it has another one.
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        let start: String = self.text().chars().take(2000).collect();
        assert_eq!(self.status.as_u16(), status, "{}: {start}", self.asked);
        self
    }

    /// The body as JSON of that shape.
    ///
    /// # Panics
    /// When it is not.
    #[must_use]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{}: {error} in {}", self.asked, self.text()))
    }

    /// The problem that it tells of, with this status and code.
    ///
    /// # Panics
    /// When it tells of none, of another one, or in another shape.
    #[must_use]
    pub fn problem(self, status: u16, code: &str) -> Problem {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type").as_deref(), Some("application/problem+json"), "{}", answer.asked);
        let problem: Problem = answer.json();
        assert_eq!((problem.status, problem.code.as_str()), (status, code), "{}: {problem:?}", answer.asked);
        assert!(!problem.title.is_empty() && !problem.detail.is_empty(), "{}: {problem:?}", answer.asked);
        problem
    }
}

/// How a client shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Credentials {
    None,
    Bearer(String),
    /// A browser's way: the cookie lies in the client, and writes carry the header.
    Cookie,
}

/// Somebody who speaks to a server.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    credentials: Credentials,
}

impl Client {
    /// Nobody yet.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    #[must_use]
    pub fn anonymous(base: &str) -> Self {
        let http = reqwest::Client::builder().cookie_store(false).no_proxy().build().expect("an HTTP client");
        Self { http, base: base.to_owned(), credentials: Credentials::None }
    }

    /// A program: it logs in and keeps the token.
    pub async fn program(base: &str, username: &str, password: &str) -> Self {
        let client = Self::anonymous(base);
        let answer: LoginAnswer = client.login(username, password).await.expect(200).json();
        client.with_token(&answer.access_token)
    }

    /// A browser: it logs in and keeps the cookie.
    ///
    /// # Panics
    /// When no HTTP client can be made.
    pub async fn browser(base: &str, username: &str, password: &str) -> Self {
        let http = reqwest::Client::builder().cookie_store(true).no_proxy().build().expect("an HTTP client");
        let client = Self { http, base: base.to_owned(), credentials: Credentials::Cookie };
        let _ = client.login(username, password).await.expect(200);
        client
    }

    /// The same with this token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { credentials: Credentials::Bearer(token.to_owned()), ..self.clone() }
    }

    /// The same without a token.
    #[must_use]
    pub fn without_credentials(&self) -> Self {
        Self { credentials: Credentials::None, ..self.clone() }
    }

    /// The token, of a program.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        match &self.credentials {
            Credentials::Bearer(token) => Some(token),
            _ => None,
        }
    }

    /// A request that can be changed before it is sent.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let is_read = method == Method::GET || method == Method::HEAD;
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.credentials {
            Credentials::None => request,
            Credentials::Bearer(token) => request.bearer_auth(token),
            Credentials::Cookie if is_read => request,
            Credentials::Cookie => request.header(CSRF_HEADER, "1"),
        }
    }

    /// Sends a request.
    ///
    /// # Panics
    /// When there is no answer in time.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let request = request.build().expect("a request");
        let asked = format!("{} {}", request.method(), request.url());
        let whole = async {
            let response = self.http.execute(request).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, response.bytes().await?))
        };
        let answer = within(&asked, ANSWER, whole).await;
        let (status, headers, body) = answer.unwrap_or_else(|error| panic!("{asked}: {error:?}"));
        Answer { asked, status, headers, body }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// `GET` of a document.
    pub async fn fetch<T: DeserializeOwned>(&self, path: &str) -> T {
        self.get(path).await.expect(200).json()
    }

    /// `POST` without a body.
    pub async fn post(&self, path: &str) -> Answer {
        self.send(self.request(Method::POST, path)).await
    }

    /// A write with a body.
    pub async fn write(&self, method: Method, path: &str, body: &(impl Serialize + Sync)) -> Answer {
        self.send(self.request(method, path).json(body)).await
    }

    /// Whether somebody listens and says that all is well.
    pub async fn is_well(&self, path: &str) -> bool {
        let request = self.request(Method::GET, path).timeout(Duration::from_secs(5)).send();
        matches!(request.await, Ok(response) if response.status().is_success())
    }

    /// Opens an event stream.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn stream(&self, path: &str, last_event_id: Option<&str>) -> EventStream {
        let mut request = self.request(Method::GET, path).header("Accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = within(path, ANSWER, request.send()).await.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let kind = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert!(kind.starts_with("text/event-stream"), "{path} is {kind}");
        EventStream::new(response.bytes_stream())
    }

    /// Asks for a session.
    pub async fn login(&self, username: &str, password: &str) -> Answer {
        let login = Login { username: username.to_owned(), password: password.to_owned() };
        self.write(Method::POST, routes::LOGIN, &login).await
    }

    /// Creates a user and logs in as them, as a program.
    pub async fn new_user(&self, name: &str, role: Role) -> Self {
        let password = format!("a quiet word of {name}s");
        let new = NewUser { username: name.to_owned(), role, password: Some(password.clone()) };
        let _ = self.write(Method::POST, routes::USERS, &new).await.expect(201);
        Self::program(&self.base, name, &password).await
    }

    /// Makes an API token of one's own and returns its text.
    pub async fn new_token(&self, name: &str, role: Role) -> ApiTokenCreated {
        let new = NewApiToken { name: name.to_owned(), role, expires_in_days: None };
        self.write(Method::POST, routes::TOKENS, &new).await.expect(201).json()
    }

    /// The latest entries of the audit log, with these filters.
    pub async fn audit(&self, query: &str) -> Vec<AuditEntry> {
        self.fetch::<AuditPage>(&format!("{}?{query}", routes::AUDIT)).await.items
    }

    /// Starts a pipeline, as it is.
    pub async fn start(&self, pipeline: &str) -> Run {
        self.start_with(pipeline, &StartRun::default()).await
    }

    /// Starts a pipeline with values.
    ///
    /// # Panics
    /// When it is refused, or the answer does not say where the run is.
    pub async fn start_with(&self, pipeline: &str, start: &StartRun) -> Run {
        let answer = self.try_start_with(pipeline, start).await.expect(201);
        let run: Run = answer.json();
        assert_eq!(answer.header("location"), Some(routes::run(&run.id)));
        run
    }

    /// Tries to start a pipeline.
    pub async fn try_start(&self, pipeline: &str) -> Answer {
        self.try_start_with(pipeline, &StartRun::default()).await
    }

    /// Tries to start a pipeline with values.
    pub async fn try_start_with(&self, pipeline: &str, start: &StartRun) -> Answer {
        self.write(Method::POST, &routes::pipeline_run(pipeline), start).await
    }

    /// One run.
    pub async fn run(&self, id: &str) -> Run {
        self.fetch(&routes::run(id)).await
    }

    /// All runs, newest first (at most 200).
    pub async fn runs(&self) -> Vec<Run> {
        self.fetch::<RunPage>(&format!("{}?limit=200", routes::RUNS)).await.items
    }

    /// Asks for a run's end.
    pub async fn cancel(&self, id: &str) -> Answer {
        self.post(&routes::run_cancel(id)).await
    }

    /// One pipeline.
    pub async fn pipeline(&self, name: &str) -> Pipeline {
        self.fetch(&routes::pipeline(name)).await
    }

    /// Counters of a pipeline.
    pub async fn stats(&self, name: &str) -> PipelineStats {
        self.fetch(&routes::pipeline_stats(name)).await
    }

    /// Numbers of the server.
    pub async fn overview(&self) -> Overview {
        self.fetch(routes::OVERVIEW).await
    }

    /// Waits until a run is as wanted.
    pub async fn run_when(&self, id: &str, what: &str, limit: Duration, wanted: impl Fn(&Run) -> bool) -> Run {
        let mut last = None;
        let look = async || {
            let run = self.run(id).await;
            let found = wanted(&run).then(|| run.clone());
            // Shown when the test fails: where it hangs is the question then.
            if last.replace((run.status, run.phase)) != Some((run.status, run.phase)) {
                eprintln!("run {id} of {}: {} {:?}", run.pipeline_name, run.status, run.phase);
            }
            found
        };
        until(&format!("run {id} {what}"), limit, look).await
    }

    /// Waits for a run's end.
    pub async fn end_of(&self, id: &str) -> Run {
        self.run_when(id, "to end", PATIENCE, |run| run.status.is_final()).await
    }

    /// Waits until a run works.
    pub async fn running(&self, id: &str) -> Run {
        self.run_when(id, "to work", PATIENCE, |run| run.status != RunStatus::Pending).await
    }

    /// Starts a pipeline and waits for its end.
    pub async fn run_to_end(&self, pipeline: &str) -> Run {
        let run = self.start(pipeline).await;
        self.end_of(&run.id).await
    }

    /// Waits until nothing works or waits any more: a run's slot is free a moment after its end.
    pub async fn idle(&self) {
        let look = async || {
            let overview = self.overview().await;
            (overview.running == 0 && overview.queued == 0).then_some(())
        };
        until("all slots to be free", PATIENCE, look).await;
    }

    /// Starts a pipeline, waits for its end, and shows the log when it failed.
    ///
    /// # Panics
    /// When it fails.
    pub async fn run_well(&self, pipeline: &str) -> Run {
        let run = self.run_to_end(pipeline).await;
        if run.status != RunStatus::Success {
            panic!("{:?}: {:?}\n{}", run.error_type, run.error_message, self.log_text(&run.id).await);
        }
        run
    }

    /// The log, byte for byte as the script wrote it.
    pub async fn log(&self, id: &str) -> Bytes {
        self.log_with(id, "").await
    }

    /// The log with a query, like `?tail=3`.
    pub async fn log_with(&self, id: &str, query: &str) -> Bytes {
        self.get(&format!("{}{query}", routes::run_logs(id))).await.expect(200).body
    }

    /// The log as text.
    pub async fn log_text(&self, id: &str) -> String {
        String::from_utf8_lossy(&self.log(id).await).into_owned()
    }

    /// Waits until the log holds a text.
    pub async fn log_when(&self, id: &str, wanted: &str) -> String {
        let look = async || Some(self.log_text(id).await).filter(|log| log.contains(wanted));
        until(&format!("{wanted:?} in the log of run {id}"), PATIENCE, look).await
    }
}
