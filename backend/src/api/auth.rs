//! Logging in and out.

use fastflow_shared::{Login, LoginAnswer, User};
use poem::Request;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::problem::{ApiError, ApiResult};
use super::security::{Access, COOKIE};
use super::{Api, Tag};
use crate::auth::Client;

/// Longest user name or password that is looked at, in bytes.
const MAX_BYTES: usize = 1024;

/// The operations.
pub struct AuthApi(pub Api);

/// Answer to a login.
#[derive(ApiResponse)]
pub enum LoggedIn {
    /// Logged in.
    #[oai(status = 200)]
    Ok(
        Json<LoginAnswer>,
        /// The browser's session.
        #[oai(header = "Set-Cookie")]
        String,
    ),
}

/// Answer to a logout.
#[derive(ApiResponse)]
pub enum LoggedOut {
    /// The session has ended.
    #[oai(status = 204)]
    Done(
        /// Takes the browser's session away.
        #[oai(header = "Set-Cookie")]
        String,
    ),
}

#[OpenApi(tag = "Tag::Access")]
impl AuthApi {
    /// Log in
    ///
    /// Answers with a token for API clients; the browser gets the session as a cookie as well.
    #[oai(path = "/auth/login", method = "post", operation_id = "login")]
    async fn login(&self, request: &Request, body: Json<Login>) -> ApiResult<LoggedIn> {
        let Json(Login { username, password }) = body;
        if username.len() > MAX_BYTES || password.len() > MAX_BYTES {
            return Err(ApiError::bad_request(
                "too_long",
                format!("Names and passwords have at most {MAX_BYTES} bytes."),
            ));
        }
        let client = Client {
            ip: request.remote_addr().as_socket_addr().map(std::net::SocketAddr::ip),
            user_agent: request.header("user-agent").map(str::to_owned),
        };
        let session = self.0.auth.login(&username, &password, &client).await?;
        let expires_at = session.expires_at.to_utc();
        let seconds = session.expires_at.seconds_since(self.0.clock.now()).max(0.0);
        let token = session.token.expose().to_owned();
        let cookie = format!("{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds:.0}");
        let answer =
            LoginAnswer { access_token: token, token_type: "bearer".to_owned(), expires_at, user: session.user };
        Ok(LoggedIn::Ok(Json(answer), cookie))
    }

    /// Log out
    ///
    /// Ends the session on the server: its token is worth nothing from now on.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, access: Access) -> ApiResult<LoggedOut> {
        self.0.auth.logout(&access.caller().token).await?;
        Ok(LoggedOut::Done(format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0")))
    }

    /// Who am I?
    #[oai(path = "/auth/me", method = "get", operation_id = "getMe")]
    async fn me(&self, access: Access) -> ApiResult<Json<User>> {
        Ok(Json(access.caller().identity.user.clone()))
    }
}
