//! Who is asking: a bearer token or the browser's session cookie. A write with the cookie needs a header that a foreign page
//! cannot send.

use fastflow_shared::{CSRF_HEADER, Role};
use poem::Request;
use poem::http::Method;
use poem_openapi::SecurityScheme;
use poem_openapi::auth::{ApiKey, Bearer};

use super::Api;
use super::problem::{ApiError, ApiResult};
use crate::auth::Identity;

/// Name of the session cookie.
pub const COOKIE: &str = "fastflow_session";

/// An API client's token.
#[derive(SecurityScheme)]
#[oai(ty = "bearer", key_name = "bearer", checker = "check_bearer")]
pub struct BearerToken(Caller);

/// The browser's session cookie.
#[derive(SecurityScheme)]
#[oai(ty = "api_key", key_name = "fastflow_session", key_in = "cookie", checker = "check_cookie")]
pub struct SessionCookie(Caller);

/// Either of them.
#[derive(SecurityScheme)]
pub enum Access {
    /// A token.
    Bearer(BearerToken),
    /// A cookie.
    Cookie(SessionCookie),
}

/// Who is asking, and with what.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The user.
    pub identity: Identity,
    /// The token behind the session.
    pub token: String,
    /// Whether it is the browser.
    pub by_cookie: bool,
}

impl Access {
    /// Who is asking.
    pub fn caller(&self) -> &Caller {
        match self {
            Self::Bearer(BearerToken(caller)) | Self::Cookie(SessionCookie(caller)) => caller,
        }
    }

    /// Checks that the caller may do what needs `role`.
    pub fn require(&self, role: Role) -> ApiResult<&Caller> {
        let caller = self.caller();
        if caller.identity.user.role >= role {
            return Ok(caller);
        }
        let detail = format!("This needs the role {}; yours is {}.", role.as_str(), caller.identity.user.role.as_str());
        Err(ApiError::forbidden("role_too_low", detail))
    }
}

async fn check_bearer(request: &Request, bearer: Bearer) -> poem::Result<Caller> {
    check(request, bearer.token, false).await
}

async fn check_cookie(request: &Request, key: ApiKey) -> poem::Result<Caller> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !reads && !request.headers().contains_key(CSRF_HEADER) {
        let detail =
            format!("A write with the session cookie needs the header {CSRF_HEADER}; its value does not matter.");
        return Err(ApiError::forbidden("csrf_header_missing", detail).into());
    }
    check(request, key.key, true).await
}

async fn check(request: &Request, token: String, by_cookie: bool) -> poem::Result<Caller> {
    let Some(api) = request.data::<Api>() else { return Err(ApiError::unauthenticated().into()) };
    match api.auth.authenticate(&token).await {
        Ok(identity) => Ok(Caller { identity, token, by_cookie }),
        Err(error) => Err(ApiError::from(error).into()),
    }
}
