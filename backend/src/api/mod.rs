//! The HTTP interface: the only room that knows poem. Each file is one resource and holds no logic: request → one service
//! call → DTO. Here is what they share: the router, headers, ids of requests, compression.

mod audit;
mod auth;
mod door;
mod environments;
mod events;
mod files;
mod gate;
mod headers;
mod log_pages;
mod logs;
mod metrics;
mod packed;
mod pipelines;
mod problem;
mod rules;
mod runs;
mod scheduler;
mod secrets;
mod security;
mod settings;
mod spa;
mod storage;
mod sync;
mod system;
mod tokens;
mod users;

use std::sync::Arc;

use ipnet::IpNet;
use poem::endpoint::BoxEndpoint;
use poem::middleware::Compression;
use poem::{Endpoint, EndpointExt, IntoEndpoint as _, IntoResponse, Request, Response, Route};
use poem_openapi::{OpenApiService, Tags};
use tracing::Instrument as _;

use crate::audit::Audit;
use crate::auth::Auth;
use crate::catalog::Catalog;
use crate::domain::clock::SharedClock;
use crate::domain::forwarded::{self, Seen};
use crate::journal::Journal;
use crate::runs::Runs;
use crate::schedule::Schedule;
use crate::settings::Settings;
use crate::storage::Storage;
use crate::store::Store;
use crate::sync::Sync;
use crate::upkeep::Upkeep;
use crate::vault::Vault;

pub use door::Door;
pub use logs::render;
pub use metrics::MetricsAccess;
use packed::Packed;

/// Groups of operations.
#[derive(Tags)]
enum Tag {
    /// Logging in and out, one's own sessions and tokens.
    Access,
    /// Users, and what everybody did.
    People,
    /// What can be started.
    Pipelines,
    /// What was started.
    Runs,
    /// What is started by the clock.
    Schedules,
    /// What runs are given.
    Secrets,
    /// Where the code comes from.
    Sync,
    /// The server itself.
    System,
}

/// The rooms below, for the operations. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    /// Who did what.
    pub audit: Audit,
    /// Users and sessions.
    pub auth: Auth,
    /// The list of pipelines.
    pub catalog: Catalog,
    /// Run files.
    pub journal: Journal,
    /// All runs.
    pub runs: Runs,
    /// Jobs.
    pub schedule: Schedule,
    /// Settings, and changes of them.
    pub settings: Settings,
    /// What is kept on the disk.
    pub storage: Storage,
    /// The database.
    pub store: Store,
    /// The code.
    pub sync: Sync,
    /// The chores.
    pub upkeep: Upkeep,
    /// Secrets and parameters.
    pub vault: Vault,
    /// Time.
    pub clock: SharedClock,
    /// Who may read the figures.
    pub metrics: MetricsAccess,
    /// Proxies whose word about the client is taken.
    pub trusted_proxies: Arc<[IpNet]>,
}

tokio::task_local! {
    static REQUEST_ID: String;
}

/// Id of the request that this task works for.
fn request_id() -> Option<String> {
    REQUEST_ID.try_with(Clone::clone).ok()
}

/// The operations with their documentation.
fn services(
    api: &Api,
) -> (OpenApiService<system::ProbeApi, ()>, OpenApiService<impl poem_openapi::OpenApi + use<>, ()>) {
    let probes = OpenApiService::new(system::ProbeApi(api.clone()), "Fast-Flow", env!("CARGO_PKG_VERSION"));
    let operations = (
        (
            auth::AuthApi(api.clone()),
            tokens::TokensApi(api.clone()),
            users::UsersApi(api.clone()),
            audit::AuditApi(api.clone()),
        ),
        pipelines::PipelinesApi(api.clone()),
        runs::RunsApi(api.clone()),
        logs::LogsApi(api.clone()),
        log_pages::LogPagesApi(api.clone()),
        files::FilesApi(api.clone()),
        scheduler::SchedulerApi(api.clone()),
        secrets::SecretsApi(api.clone()),
        sync::SyncApi(api.clone()),
        (system::SystemApi(api.clone()), settings::SettingsApi(api.clone()), storage::StorageApi(api.clone())),
        environments::EnvironmentsApi(api.clone()),
    );
    let service = OpenApiService::new(operations, "Fast-Flow", env!("CARGO_PKG_VERSION"));
    (probes, service)
}

/// Everything that is served.
///
/// # Errors
/// When the documents cannot be packed.
fn router(api: &Api) -> std::io::Result<impl Endpoint<Output = Response> + use<>> {
    let (probes, operations) = services(api);
    let document = document(&probes, &operations);
    let gate = gate::Gate::new(api, rules::Operations::of(&document));
    let document = Packed::new("application/json", &serde_json::to_string_pretty(&document).unwrap_or_default())?;
    let swagger = operations.swagger_ui_html();
    let docs_policy = headers::docs_policy(&swagger);
    // Three megabytes for a page that hardly anybody opens.
    let swagger = Packed::new("text/html; charset=utf-8", &swagger)?;
    let plain: Arc<BoxEndpoint<'static, Response>> =
        Arc::new(operations.into_endpoint().catch_all_error(problem::from_framework).map_to_response().boxed());
    // Streams must leave at once, so they are never compressed.
    let compressed = Arc::new(plain.clone().with(Compression::new()).map_to_response().boxed());
    let api_routes = poem::endpoint::make(move |request: Request| {
        let streams = ["/stream", "/events", "/logs", "/file", "/export"];
        let as_it_is = streams.iter().any(|end| request.uri().path().ends_with(end));
        let inner = if as_it_is { plain.clone() } else { compressed.clone() };
        let gate = gate.clone();
        async move { gate.pass(inner, request).await }
    });
    let document_json = poem::endpoint::make(move |request: Request| {
        let answer = document.answer(&request);
        async move { answer }
    });
    let docs = poem::endpoint::make(move |request: Request| {
        let answer = swagger.answer(&request).map(|answer| answer.with_header("content-security-policy", &docs_policy));
        async move { answer.map(IntoResponse::into_response) }
    });
    let probes = Arc::new(probes.into_endpoint().catch_all_error(problem::from_framework).map_to_response().boxed());
    let probe = |path: &'static str| {
        let probes = probes.clone();
        poem::endpoint::make(move |mut request: Request| {
            let probes = probes.clone();
            async move {
                *request.uri_mut() = poem::http::Uri::from_static(path);
                probes.call(request).await
            }
        })
    };
    let watched = api.clone();
    let figures = poem::endpoint::make(move |request: Request| {
        let api = watched.clone();
        async move { metrics::metrics(&api, &request).await }
    });
    let routes = Route::new()
        .at("/metrics", poem::get(figures))
        .nest_no_strip("/api", Route::new().nest("/api", api_routes))
        .at("/health", poem::get(probe("/health")))
        .at("/ready", poem::get(probe("/ready")))
        .at("/openapi.json", poem::get(document_json))
        .at("/docs", poem::get(docs))
        .nest_no_strip("/", spa::Spa::default())
        .catch_all_error(problem::from_framework)
        .around(frame)
        .data(api.clone());
    Ok(routes)
}

/// The OpenAPI document of all operations: those below `/api` and the probes beside them.
fn document<A: poem_openapi::OpenApi, B: poem_openapi::OpenApi>(
    probes: &OpenApiService<A, ()>,
    operations: &OpenApiService<B, ()>,
) -> serde_json::Value {
    let parse = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap_or_default();
    let (mut all, probes) = (parse(operations.spec()), parse(probes.spec()));
    let below: serde_json::Map<_, _> = all["paths"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(path, item)| (format!("{}{path}", fastflow_shared::routes::API), item.clone()))
        .chain(probes["paths"].as_object().into_iter().flatten().map(|(path, item)| (path.clone(), item.clone())))
        .collect();
    all["paths"] = below.into();
    if let (Some(all), Some(more)) =
        (all["components"]["schemas"].as_object_mut(), probes["components"]["schemas"].as_object())
    {
        all.extend(more.iter().map(|(name, schema)| (name.clone(), schema.clone())));
    }
    lift_descriptions(&mut all);
    tell_rules(&mut all);
    for schema in all["components"]["schemas"].as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        allow_null(schema);
    }
    all
}

/// Says with each operation who may call it and what it is called in the audit log. One without a rule is left bare, which a
/// story notices.
fn tell_rules(document: &mut serde_json::Value) {
    let items = document["paths"].as_object_mut().into_iter().flat_map(serde_json::Map::values_mut);
    for operation in items.filter_map(|item| item.as_object_mut()).flat_map(serde_json::Map::values_mut) {
        let rule = rules::of(operation["operationId"].as_str().unwrap_or_default());
        if rule.operation.is_empty() {
            continue;
        }
        operation["x-fastflow-role"] = rule.needs.map_or("nobody", fastflow_shared::Role::as_str).into();
        if let Some(action) = rule.action {
            operation["x-fastflow-audit"] = action.into();
        }
        if rule.in_person {
            operation["x-fastflow-login"] = true.into();
        }
    }
}

/// Fields that may be absent are sent as null, so that an object always has the same fields: a client must know that.
fn allow_null(schema: &mut serde_json::Value) {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().cloned().collect();
    for (name, field) in schema["properties"].as_object_mut().into_iter().flatten() {
        let is_optional = !required.contains(&name.as_str().into()) && field.get("default").is_none();
        if let Some(field) = field.as_object_mut().filter(|_| is_optional) {
            field.insert("nullable".to_owned(), true.into());
        }
    }
}

/// A field that refers to another schema and has a description of its own comes as `allOf` of both. Generators of clients
/// take that for a mixture of two types and give up: the description belongs beside the `allOf`.
fn lift_descriptions(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Array(items) => items.iter_mut().for_each(lift_descriptions),
        Value::Object(fields) => {
            fields.values_mut().for_each(lift_descriptions);
            let Some(Value::Array(parts)) = fields.get_mut("allOf") else { return };
            if let [Value::Object(reference), Value::Object(own)] = parts.as_mut_slice()
                && reference.contains_key("$ref")
                && !own.contains_key("type")
                && !own.contains_key("$ref")
            {
                let own = std::mem::take(own);
                parts.truncate(1);
                fields.extend(own);
            }
        }
        _ => {}
    }
}

/// Who is at the other end, as far as it can be believed.
fn origin(request: &Request, trusted: &[IpNet]) -> forwarded::Origin {
    let all_forwarded: Vec<_> =
        request.headers().get_all("x-forwarded-for").iter().filter_map(|v| v.to_str().ok()).collect();
    let forwarded_for = all_forwarded.join(",");
    let seen = Seen {
        peer: request.remote_addr().as_socket_addr().map(std::net::SocketAddr::ip),
        forwarded_for: Some(forwarded_for.as_str()),
        forwarded_proto: request.header("x-forwarded-proto"),
        forwarded_host: request.header("x-forwarded-host"),
        // HTTP/2 has it in the address.
        host: request.header("host").or_else(|| request.uri().authority().map(poem::http::uri::Authority::as_str)),
    };
    forwarded::origin(&seen, trusted)
}

/// What every request is given and every answer carries, and a line in the log for what failed.
async fn frame<E: Endpoint>(endpoint: Arc<E>, mut request: Request) -> poem::Result<Response> {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begin = std::time::Instant::now();
    let trusted = request.data::<Api>().map(|api| api.trusted_proxies.clone()).unwrap_or_default();
    let origin = origin(&request, &trusted);
    let https = origin.https;
    request.extensions_mut().insert(origin);
    // Whatever is said on the way of this request, and by the runs that it starts, carries its id.
    let span = tracing::error_span!("request", request_id = id);
    let answer = REQUEST_ID.scope(id.clone(), async { endpoint.call(request).await.map(IntoResponse::into_response) });
    let mut response = match answer.instrument(span.clone()).await {
        Ok(response) => response,
        Err(error) => REQUEST_ID.scope(id.clone(), problem::from_framework(error)).instrument(span).await,
    };
    let status = response.status();
    crate::meters::request_answered(status.as_u16());
    tracing::debug!(request_id = id, %method, path, status = status.as_u16(), ms = begin.elapsed().as_millis(), "{method} {path}");
    headers::complete(response.headers_mut(), status, &path, &id, https);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::rules::{self, RULES};

    /// Operations that only answer a question which is too long for an address.
    const QUESTIONS: [&str; 1] = ["explainTrigger"];

    /// Reads the document that was reviewed; a story sees to it that it is the one that is served.
    #[test]
    fn every_operation_of_the_document_has_a_rule_and_every_rule_an_operation() {
        let document = include_str!("../../../docs/openapi.json");
        let document: serde_json::Value = serde_json::from_str(document).expect("JSON");
        let mut wrong = Vec::new();
        let mut known: Vec<_> = RULES.iter().map(|rule| rule.operation).collect();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for (method, operation) in operations.as_object().expect("operations") {
                let id = operation["operationId"].as_str().expect("an operationId");
                let rule = rules::of(id);
                known.retain(|known| *known != id);
                if rule.operation != id {
                    wrong.push(format!("{method} {path}: {id} has no line in api/rules.rs"));
                }
                let says_login = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
                if says_login != rule.needs.is_some() {
                    wrong.push(format!("{method} {path}: the document and the rule differ about a login"));
                }
                if method != "get" && !QUESTIONS.contains(&id) && rule.action.is_none() && rule.needs.is_some() {
                    wrong.push(format!("{method} {path}: {id} changes something and is not audited"));
                }
            }
        }
        wrong.extend(known.iter().map(|known| format!("{known} has a rule and is no operation")));
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
