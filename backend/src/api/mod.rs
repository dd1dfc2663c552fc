//! The HTTP interface: the only room that knows poem. Each file is one resource and holds no logic: request → one service
//! call → DTO. Here is what they share: the router, headers, ids of requests, compression.

mod auth;
mod door;
mod environments;
mod files;
mod log_pages;
mod logs;
mod pipelines;
mod problem;
mod runs;
mod secrets;
mod security;
mod spa;
mod sync;
mod system;

use std::path::PathBuf;
use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::http::HeaderValue;
use poem::middleware::Compression;
use poem::{Endpoint, EndpointExt, IntoEndpoint as _, IntoResponse, Request, Response, Route};
use poem_openapi::{OpenApiService, Tags};

use crate::auth::Auth;
use crate::catalog::Catalog;
use crate::domain::clock::SharedClock;
use crate::journal::Journal;
use crate::runs::Runs;
use crate::schedule::Schedule;
use crate::store::Store;
use crate::sync::Sync;
use crate::upkeep::Upkeep;
use crate::vault::Vault;

pub use door::Door;

/// Most bytes of a request's body: parameters and secrets, never files.
const MAX_BODY: usize = 2 << 20;

/// The same in words.
const MAX_BYTES_TEXT: &str = "2 MB";

/// Groups of operations.
#[derive(Tags)]
enum Tag {
    /// Logging in and out.
    Access,
    /// What can be started.
    Pipelines,
    /// What was started.
    Runs,
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
    /// Lines per second that a viewer of a log is sent; 0 for all.
    pub log_rate: u32,
    /// Folder whose disk is looked at.
    pub data_dir: PathBuf,
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
        auth::AuthApi(api.clone()),
        pipelines::PipelinesApi(api.clone()),
        runs::RunsApi(api.clone()),
        logs::LogsApi(api.clone()),
        log_pages::LogPagesApi(api.clone()),
        files::FilesApi(api.clone()),
        secrets::SecretsApi(api.clone()),
        sync::SyncApi(api.clone()),
        system::SystemApi(api.clone()),
        environments::EnvironmentsApi(api.clone()),
    );
    let service = OpenApiService::new(operations, "Fast-Flow", env!("CARGO_PKG_VERSION"));
    (probes, service)
}

/// Everything that is served.
fn router(api: &Api) -> impl Endpoint<Output = Response> + use<> {
    let (probes, operations) = services(api);
    let document = document(&probes, &operations);
    let swagger = operations.swagger_ui_html();
    let plain: Arc<BoxEndpoint<'static, Response>> =
        Arc::new(operations.into_endpoint().catch_all_error(problem::from_framework).map_to_response().boxed());
    // Streams must leave at once, so they are never compressed.
    let compressed = Arc::new(plain.clone().with(Compression::new()).map_to_response().boxed());
    let api_routes = poem::endpoint::make(move |request: Request| {
        let (plain, compressed) = (plain.clone(), compressed.clone());
        async move {
            let path = request.uri().path();
            if path.ends_with("/stream")
                || path.ends_with("/events")
                || path.ends_with("/logs")
                || path.ends_with("/file")
            {
                plain.call(request).await
            } else {
                compressed.call(request).await
            }
        }
    });
    let document_json =
        poem::endpoint::make_sync(move |_| Response::builder().content_type("application/json").body(document.clone()));
    let docs = poem::endpoint::make_sync(move |_| {
        Response::builder().content_type("text/html; charset=utf-8").body(swagger.clone())
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
    Route::new()
        .nest_no_strip("/api", Route::new().nest("/api", api_routes))
        .at("/health", poem::get(probe("/health")))
        .at("/ready", poem::get(probe("/ready")))
        .at("/openapi.json", poem::get(document_json))
        .at("/docs", poem::get(docs))
        .nest_no_strip("/", spa::Spa::default())
        .catch_all_error(problem::from_framework)
        .data(api.clone())
        .around(frame)
}

/// The OpenAPI document of all operations: those below `/api` and the probes beside them.
fn document<A: poem_openapi::OpenApi, B: poem_openapi::OpenApi>(
    probes: &OpenApiService<A, ()>,
    operations: &OpenApiService<B, ()>,
) -> String {
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
    for schema in all["components"]["schemas"].as_object_mut().into_iter().flat_map(serde_json::Map::values_mut) {
        allow_null(schema);
    }
    serde_json::to_string_pretty(&all).unwrap_or_default()
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

/// Takes the whole body now, and no more than [`MAX_BODY`] of it.
async fn limit_body(request: &mut Request) -> poem::Result<()> {
    let body = request.take_body();
    match body.into_bytes_limit(MAX_BODY).await {
        Ok(bytes) => {
            // A start without values has no body, and no body has no type.
            if bytes.is_empty() && request.content_type().is_none() {
                request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
            }
            request.set_body(bytes);
        }
        Err(poem::error::ReadBodyError::PayloadTooLarge) => {
            let detail = format!("A request has at most {MAX_BYTES_TEXT}.");
            return Err(poem::Error::from_string(detail, poem::http::StatusCode::PAYLOAD_TOO_LARGE));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// What every answer carries, and a line in the log for what failed.
async fn frame<E: Endpoint>(endpoint: Arc<E>, mut request: Request) -> poem::Result<Response> {
    let id = uuid::Uuid::now_v7().simple().to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let begin = std::time::Instant::now();
    let answer = REQUEST_ID
        .scope(id.clone(), async {
            limit_body(&mut request).await?;
            endpoint.call(request).await.map(IntoResponse::into_response)
        })
        .await;
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => REQUEST_ID.scope(id.clone(), problem::from_framework(error)).await,
    };
    tracing::debug!(request = id, %method, path, status = response.status().as_u16(), ms = begin.elapsed().as_millis(), "{method} {path}");
    let headers = response.headers_mut();
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value)
            && !headers.contains_key(name)
        {
            headers.insert(name, value);
        }
    };
    set("x-request-id", &id);
    set("x-content-type-options", "nosniff");
    set("x-frame-options", "DENY");
    set("referrer-policy", "same-origin");
    if path.starts_with("/api") {
        set("cache-control", "no-store");
    }
    if path == "/docs" {
        set(
            "content-security-policy",
            "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
        );
    }
    Ok(response)
}
