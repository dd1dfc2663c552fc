//! The one shape of every error that leaves the API. Rooms' errors become problems here, and are logged here, once.

use fastflow_shared::{FieldProblem, Problem};
use poem::http::StatusCode;
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;

use crate::auth::AuthError;
use crate::catalog::CatalogError;
use crate::journal::JournalError;
use crate::runs::{LaunchError, RunsError};
use crate::schedule::ScheduleError;
use crate::settings::SettingsError;
use crate::storage::StorageError;
use crate::store::{BackupError, StoreError};
use crate::sync::{SyncError, TidyError};
use crate::vault::VaultError;

/// Content type of a problem (RFC 9457).
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Every error of every operation.
#[derive(ApiResponse)]
pub enum ApiError {
    /// The request cannot be understood.
    #[oai(status = 400, content_type = "application/problem+json")]
    BadRequest(Json<Problem>),
    /// Not logged in, or no longer.
    #[oai(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Json<Problem>),
    /// Logged in, but not allowed to do this.
    #[oai(status = 403, content_type = "application/problem+json")]
    Forbidden(Json<Problem>),
    /// There is no such thing.
    #[oai(status = 404, content_type = "application/problem+json")]
    NotFound(Json<Problem>),
    /// It cannot be done in the present state.
    #[oai(status = 409, content_type = "application/problem+json")]
    Conflict(Json<Problem>),
    /// The request is understood, and some of its values are wrong.
    #[oai(status = 422, content_type = "application/problem+json")]
    Unprocessable(Json<Problem>),
    /// The body is too large.
    #[oai(status = 413, content_type = "application/problem+json")]
    TooLarge(Json<Problem>),
    /// Too much at once.
    #[oai(status = 429, content_type = "application/problem+json")]
    TooMany(
        Json<Problem>,
        /// Seconds after which to try again.
        #[oai(header = "Retry-After")]
        i64,
    ),
    /// A fault of the server's; its log has the details under the request's id.
    #[oai(status = 500, content_type = "application/problem+json")]
    Internal(Json<Problem>),
    /// Something that the server needs is away.
    #[oai(status = 503, content_type = "application/problem+json")]
    Unavailable(
        Json<Problem>,
        /// Seconds after which to try again.
        #[oai(header = "Retry-After")]
        i64,
    ),
}

/// What an operation answers.
pub type ApiResult<T> = Result<T, ApiError>;

fn problem(status: StatusCode, code: &str, detail: impl Into<String>) -> Problem {
    super::gate::audit_code(code);
    Problem {
        status: status.as_u16(),
        code: code.to_owned(),
        title: status.canonical_reason().unwrap_or("Error").to_owned(),
        detail: detail.into(),
        request_id: super::request_id(),
        retry_after: None,
        errors: Vec::new(),
    }
}

impl ApiError {
    /// The stable name of the error.
    pub fn code(&self) -> Option<String> {
        let (Self::BadRequest(Json(problem))
        | Self::Unauthenticated(Json(problem))
        | Self::Forbidden(Json(problem))
        | Self::NotFound(Json(problem))
        | Self::Conflict(Json(problem))
        | Self::TooLarge(Json(problem))
        | Self::Unprocessable(Json(problem))
        | Self::TooMany(Json(problem), _)
        | Self::Internal(Json(problem))
        | Self::Unavailable(Json(problem), _)) = self;
        Some(problem.code.clone())
    }

    /// 413.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::TooLarge(Json(problem(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)))
    }

    /// 400.
    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::BadRequest(Json(problem(StatusCode::BAD_REQUEST, code, detail)))
    }

    /// 401.
    pub fn unauthenticated() -> Self {
        let detail = "Log in first, or send a valid token as `Authorization: Bearer …`.";
        Self::Unauthenticated(Json(problem(StatusCode::UNAUTHORIZED, "unauthenticated", detail)))
    }

    /// 401 of the figures, which have a token of their own.
    pub fn metrics_token(detail: impl Into<String>) -> Self {
        Self::Unauthenticated(Json(problem(StatusCode::UNAUTHORIZED, "metrics_token", detail)))
    }

    /// 403.
    pub fn forbidden(code: &str, detail: impl Into<String>) -> Self {
        Self::Forbidden(Json(problem(StatusCode::FORBIDDEN, code, detail)))
    }

    /// 404.
    pub fn not_found(code: &str, detail: impl Into<String>) -> Self {
        Self::NotFound(Json(problem(StatusCode::NOT_FOUND, code, detail)))
    }

    /// 404 for a pipeline.
    pub fn no_pipeline(name: &str) -> Self {
        Self::not_found("pipeline_not_found", format!("There is no pipeline {name:?}."))
    }

    /// 409.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::Conflict(Json(problem(StatusCode::CONFLICT, code, detail)))
    }

    /// 422.
    pub fn unprocessable(code: &str, detail: impl Into<String>, errors: Vec<FieldProblem>) -> Self {
        let problem = Problem { errors, ..problem(StatusCode::UNPROCESSABLE_ENTITY, code, detail) };
        Self::Unprocessable(Json(problem))
    }

    /// 429.
    pub fn too_many(code: &str, detail: impl Into<String>, retry_after: i64) -> Self {
        let problem =
            Problem { retry_after: Some(retry_after), ..problem(StatusCode::TOO_MANY_REQUESTS, code, detail) };
        Self::TooMany(Json(problem), retry_after)
    }

    /// 503.
    pub fn unavailable(code: &str, detail: impl Into<String>) -> Self {
        const RETRY_AFTER: i64 = 5;
        let problem =
            Problem { retry_after: Some(RETRY_AFTER), ..problem(StatusCode::SERVICE_UNAVAILABLE, code, detail) };
        Self::Unavailable(Json(problem), RETRY_AFTER)
    }

    /// 500: the details go to the log and nowhere else.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        let problem = problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server failed. Its log has the details under this request's id.",
        );
        tracing::error!(request_id = problem.request_id, "a request failed: {}", chain(error));
        Self::Internal(Json(problem))
    }
}

/// An error with everything that caused it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Whatever the framework refuses by itself (a broken body, a wrong parameter, an unknown path), in the same shape.
pub async fn from_framework(error: poem::Error) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    let status = error.status();
    let detail = error.to_string();
    let api = match status {
        StatusCode::UNAUTHORIZED => ApiError::unauthenticated(),
        StatusCode::FORBIDDEN => ApiError::forbidden("forbidden", detail),
        StatusCode::NOT_FOUND => ApiError::not_found("not_found", "There is no such address."),
        StatusCode::INTERNAL_SERVER_ERROR => ApiError::internal(&std::io::Error::other(detail)),
        status => {
            let code = match status {
                StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
                StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported_media_type",
                StatusCode::PAYLOAD_TOO_LARGE => "too_large",
                _ => "bad_request",
            };
            let body = problem(status, code, detail);
            return Response::builder().status(status).content_type(CONTENT_TYPE).body(body.to_json_string());
        }
    };
    api.into_response()
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Unavailable { .. } if error.is_full() => {
                tracing::warn!("the database has no room: {}", chain(&error));
                let detail = "The disk of the database is full, so nothing was done. Make room on it; what works goes on meanwhile.";
                Self::unavailable("storage_full", detail)
            }
            StoreError::Unavailable { .. } => {
                tracing::warn!("the database is unavailable: {}", chain(&error));
                Self::unavailable("database_unavailable", "The database does not answer. Try again in a moment.")
            }
            StoreError::Damaged { .. } => {
                tracing::error!("{error}");
                Self::unavailable("database_damaged", error.to_string())
            }
            StoreError::NotFound { what, .. } => Self::not_found("not_found", format!("There is no such {what}.")),
            _ => Self::internal(&error),
        }
    }
}

impl From<RunsError> for ApiError {
    fn from(error: RunsError) -> Self {
        match error {
            RunsError::UnknownRun(id) => Self::not_found("run_not_found", format!("There is no run {id:?}.")),
            RunsError::Store(error) => error.into(),
            RunsError::Catalog(error) => error.into(),
            RunsError::Vault(error) => error.into(),
            RunsError::Journal(error) => error.into(),
            RunsError::Engine(error) if error.is_unavailable() => {
                Self::unavailable("docker_unavailable", error.to_string())
            }
            other => Self::internal(&other),
        }
    }
}

impl From<LaunchError> for ApiError {
    fn from(error: LaunchError) -> Self {
        let text = error.to_string();
        match error {
            LaunchError::UnknownPipeline(_) => Self::not_found("pipeline_not_found", text),
            LaunchError::Disabled { .. } => Self::conflict("pipeline_disabled", text),
            LaunchError::Invalid { .. } => Self::conflict("pipeline_invalid", text),
            LaunchError::NotEnded(_) => Self::conflict("run_not_ended", text),
            LaunchError::CodeGone(_) => Self::conflict("code_gone", text),
            LaunchError::BadValues(errors) => Self::unprocessable("invalid_values", text, errors),
            LaunchError::QueueFull { retry_after, .. } => Self::too_many("queue_full", text, i64::from(retry_after)),
            LaunchError::DockerUnavailable(_) => Self::unavailable("docker_unavailable", text),
            LaunchError::NoRoom(_) => Self::unavailable("storage_full", text),
            LaunchError::Closing => Self::unavailable("shutting_down", text),
            LaunchError::Room(error) => error.into(),
        }
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Store(error) => error.into(),
            CatalogError::InRepository(_) => Self::conflict("pipeline_in_repository", error.to_string()),
            CatalogError::Folder { .. } | CatalogError::Code { .. } => {
                Self::unavailable("pipelines_unreadable", error.to_string())
            }
        }
    }
}

impl From<SyncError> for ApiError {
    fn from(error: SyncError) -> Self {
        let failure = error.failure();
        match error {
            SyncError::Catalog(error) => error.into(),
            SyncError::Store(error) => error.into(),
            SyncError::Settings(errors) => Self::unprocessable(failure.code, failure.message, errors),
            SyncError::Branch(_) | SyncError::WebhookMalformed => Self::bad_request(failure.code, failure.message),
            SyncError::WebhookRefused => {
                Self::Unauthenticated(Json(problem(StatusCode::UNAUTHORIZED, failure.code, failure.message)))
            }
            SyncError::WebhookClosed => Self::not_found(failure.code, failure.message),
            _ => match failure.code {
                "repository_unreachable"
                | "repository_too_slow"
                | "github_app_failed"
                | "disk_full"
                | "shutting_down"
                | "database_unavailable"
                | "pipelines_unreadable" => Self::unavailable(failure.code, failure.message),
                _ => Self::conflict(failure.code, failure.message),
            },
        }
    }
}

impl From<TidyError> for ApiError {
    fn from(error: TidyError) -> Self {
        match error {
            TidyError::Store(error) => error.into(),
            other => Self::internal(&other),
        }
    }
}

impl From<SettingsError> for ApiError {
    fn from(error: SettingsError) -> Self {
        let text = error.to_string();
        match error {
            SettingsError::Unknown(_) => Self::not_found("setting_not_found", text),
            SettingsError::Fixed(_) => Self::conflict("setting_fixed", text),
            SettingsError::Bad(errors) => Self::unprocessable("invalid_values", text, errors),
            SettingsError::Store(error) => error.into(),
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> Self {
        let text = error.to_string();
        match error {
            StorageError::Store(error) | StorageError::Backup(BackupError::Store(error)) => error.into(),
            StorageError::Journal(error) => error.into(),
            StorageError::Catalog(error) => error.into(),
            StorageError::UnknownBackup(_) => Self::not_found("backup_not_found", text),
            StorageError::Backup(BackupError::NotSqlite) => Self::conflict("backup_by_pg_dump", text),
            StorageError::Left(_) | StorageError::Backup(_) => {
                tracing::error!("{text}");
                Self::unavailable("storage_failed", text)
            }
            other => Self::internal(&other),
        }
    }
}

impl From<ScheduleError> for ApiError {
    fn from(error: ScheduleError) -> Self {
        let text = error.to_string();
        match error {
            ScheduleError::UnknownJob(_) => Self::not_found("job_not_found", text),
            ScheduleError::NoPipeline(_) => Self::not_found("pipeline_not_found", text),
            ScheduleError::NotConfirmed { .. } => Self::conflict("confirmation_needed", text),
            ScheduleError::Catalog(error) => error.into(),
            ScheduleError::BadJob(errors) => Self::unprocessable("invalid_job", text, errors),
            ScheduleError::InRepository(..) => Self::conflict("job_in_repository", text),
            ScheduleError::BadSpan(_) => Self::bad_request("bad_request", text),
            ScheduleError::Trigger(_) => Self::conflict("job_broken", text),
            ScheduleError::Launch(error) => error.into(),
            ScheduleError::Store(error) => error.into(),
            ScheduleError::Runs(error) => error.into(),
        }
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        let text = error.to_string();
        match error {
            VaultError::Bad(errors) => Self::unprocessable("invalid_values", text, errors),
            VaultError::Exists(_) => Self::conflict("secret_exists", text),
            VaultError::NotFound(_) => Self::not_found("secret_not_found", text),
            VaultError::Unreadable { .. } | VaultError::Encrypted { .. } => Self::conflict("secret_unreadable", text),
            VaultError::NotGiven { .. } => Self::conflict("secret_not_given", text),
            VaultError::Store(error) => error.into(),
        }
    }
}

impl From<JournalError> for ApiError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::NotFound(_) => {
                Self::not_found("log_not_found", "There is no such file: the run wrote none yet, or it was cleaned up.")
            }
            JournalError::InvalidRunId => Self::not_found("run_not_found", "There is no such run."),
            other => Self::internal(&other),
        }
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        let text = error.to_string();
        match error {
            AuthError::InvalidCredentials => {
                Self::Unauthenticated(Json(problem(StatusCode::UNAUTHORIZED, "invalid_credentials", text)))
            }
            AuthError::Unauthenticated => Self::unauthenticated(),
            AuthError::TooManyAttempts { retry_after } => {
                Self::too_many("too_many_attempts", text, i64::try_from(retry_after).unwrap_or(i64::MAX))
            }
            AuthError::WrongPassword => Self::forbidden("wrong_password", text),
            AuthError::Field { field, ref message } => {
                let errors = vec![FieldProblem { field: field.to_owned(), message: message.clone() }];
                Self::unprocessable("invalid_values", text, errors)
            }
            AuthError::UserExists(_) => Self::conflict("user_exists", text),
            AuthError::UserNotFound(_) => Self::not_found("user_not_found", text),
            AuthError::SessionNotFound(_) => Self::not_found("session_not_found", text),
            AuthError::TokenNotFound(_) => Self::not_found("token_not_found", text),
            AuthError::LastAdmin => Self::conflict("last_admin", text),
            AuthError::TooManyTokens(_) => Self::conflict("too_many_tokens", text),
            AuthError::Store(error) => error.into(),
            other @ (AuthError::FirstUser(_) | AuthError::Password(_)) => Self::internal(&other),
        }
    }
}
