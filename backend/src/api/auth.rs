//! Logging in and out, and one's own password and sessions.

use fastflow_shared::{Login, LoginAnswer, PasswordChange, SessionInfo, User};
use poem::Request;
use poem_openapi::param::Path;
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};

use super::gate::{audit_actor, audit_detail};
use super::problem::{ApiError, ApiResult};
use super::security::{Access, cookie};
use super::{Api, Tag};
use crate::auth::Client;
use crate::domain::forwarded::Origin;

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

/// Answer to what leaves nothing to say.
#[derive(ApiResponse)]
pub enum Done {
    /// Done.
    #[oai(status = 204)]
    Done,
}

/// Where a request comes from.
fn client(request: &Request) -> Client {
    Client {
        ip: request.extensions().get::<Origin>().and_then(|origin| origin.ip),
        user_agent: request.header("user-agent").map(str::to_owned),
    }
}

fn by_https(request: &Request) -> bool {
    request.extensions().get::<Origin>().is_some_and(|origin| origin.https)
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
        // Before it is known whether there is such a user: the log tells who was tried.
        audit_actor(username.trim(), None);
        let session = self.0.auth.login(&username, &password, &client(request)).await?;
        audit_actor(&session.user.username, Some(&session.user.id));
        let expires_at = session.expires_at.to_utc();
        let seconds = session.expires_at.seconds_since(self.0.clock.now()).max(0.0);
        let token = session.token.expose().to_owned();
        let cookie = cookie(&token, seconds, by_https(request));
        let answer =
            LoginAnswer { access_token: token, token_type: "bearer".to_owned(), expires_at, user: session.user };
        Ok(LoggedIn::Ok(Json(answer), cookie))
    }

    /// Log out
    ///
    /// Ends the session on the server: its token is worth nothing from now on.
    #[oai(path = "/auth/logout", method = "post", operation_id = "logout")]
    async fn logout(&self, request: &Request, access: Access) -> ApiResult<LoggedOut> {
        self.0.auth.logout(&access.caller().token).await?;
        Ok(LoggedOut::Done(cookie("", 0.0, by_https(request))))
    }

    /// Who am I?
    #[oai(path = "/auth/me", method = "get", operation_id = "getMe")]
    async fn me(&self, access: Access) -> ApiResult<Json<User>> {
        Ok(Json(access.caller().identity.user.clone()))
    }

    /// Change one's own password
    ///
    /// Ends all other sessions of the user. API tokens go on: they are other keys.
    #[oai(path = "/auth/password", method = "post", operation_id = "changePassword")]
    async fn change_password(&self, request: &Request, access: Access, body: Json<PasswordChange>) -> ApiResult<Done> {
        let caller = access.caller();
        let Json(PasswordChange { current_password, new_password }) = body;
        let client = client(request);
        let auth = &self.0.auth;
        auth.change_password(&caller.identity, &caller.token, &current_password, &new_password, &client).await?;
        Ok(Done::Done)
    }

    /// List one's own sessions
    #[oai(path = "/auth/sessions", method = "get", operation_id = "listSessions")]
    async fn sessions(&self, access: Access) -> ApiResult<Json<Vec<SessionInfo>>> {
        let caller = access.caller();
        Ok(Json(self.0.auth.sessions(&caller.identity, &caller.token).await?))
    }

    /// End all of one's own sessions but this one
    #[oai(path = "/auth/sessions", method = "delete", operation_id = "endOtherSessions")]
    async fn end_others(&self, access: Access) -> ApiResult<Done> {
        let caller = access.caller();
        let ended = self.0.auth.end_other_sessions(&caller.identity, &caller.token).await?;
        audit_detail("ended", ended.to_string());
        Ok(Done::Done)
    }

    /// End one of one's own sessions
    #[oai(path = "/auth/sessions/:id", method = "delete", operation_id = "endSession")]
    async fn end_session(&self, access: Access, id: Path<String>) -> ApiResult<Done> {
        self.0.auth.end_session(&access.caller().identity, &id).await?;
        Ok(Done::Done)
    }
}
