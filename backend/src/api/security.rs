//! Who is asking, as the operations see it. The gate has found it out before they are called ([`super::gate`]); here is what
//! they are given, and how a request shows who it is: a bearer token, or the browser's session cookie.

use fastflow_shared::Role;
use poem::http::header;
use poem::{Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::problem::{ApiError, ApiResult};
use crate::auth::Identity;

/// Name of the session cookie.
pub const COOKIE: &str = "fastflow_session";

/// Its name behind https: browsers take a cookie of such a name only when it is `Secure` and of this very host, so that
/// neither a neighbouring subdomain nor a page without https can plant one.
pub const HOST_COOKIE: &str = "__Host-fastflow_session";

/// Who is asking, for an operation that needs to know. Its presence also says so in the document.
pub struct Access(Caller);

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
        &self.0
    }

    /// Checks that the caller may do what needs `role`. The gate has checked the operation's own role already.
    pub fn require(&self, role: Role) -> ApiResult<&Caller> {
        let caller = self.caller();
        if caller.identity.user.role >= role { Ok(caller) } else { Err(too_low(role, caller.identity.user.role)) }
    }
}

/// The answer to who may not do this.
pub(super) fn too_low(needed: Role, own: Role) -> ApiError {
    let detail = format!("This needs the role {}; yours is {}.", needed.as_str(), own.as_str());
    ApiError::forbidden("role_too_low", detail)
}

impl<'a> ApiExtractor<'a> for Access {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let scheme = |ty, description, name, key_in, scheme| MetaSecurityScheme {
            ty,
            description: Some(description),
            name,
            key_in,
            scheme,
            bearer_format: None,
            flows: None,
            openid_connect_url: None,
        };
        let bearer = "An API token (`ff_…`), or the token that a login answered with.";
        registry.create_security_scheme("BearerToken", scheme("http", bearer, None, None, Some("bearer")));
        let cookie = "The browser's session cookie. Writes need the header X-Fastflow-Request as well. Behind https its \
                      name is `__Host-fastflow_session`.";
        let meta = scheme("apiKey", cookie, Some(COOKIE), Some("cookie"), None);
        registry.create_security_scheme("SessionCookie", meta);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec!["BearerToken", "SessionCookie"]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        // Shut for whatever came past the gate.
        let caller = request.extensions().get::<Caller>().ok_or_else(ApiError::unauthenticated)?;
        Ok(Self(caller.clone()))
    }
}

/// The token that a request shows, and whether by cookie. A bearer token decides when there is one. Another scheme is none
/// of ours: a proxy that asks for a password of its own passes that on with every request of the browser's.
pub(super) fn shown_token(request: &Request, https: bool) -> Option<(String, bool)> {
    let authorization = request.headers().get(header::AUTHORIZATION).map(|value| value.as_bytes());
    if let Some((scheme, token)) = authorization.and_then(|value| value.split_at_checked(7))
        && scheme.eq_ignore_ascii_case(b"bearer ")
    {
        return Some((String::from_utf8_lossy(token).trim().to_owned(), false));
    }
    let name = if https { HOST_COOKIE } else { COOKIE };
    let cookies = request.headers().get_all(header::COOKIE).into_iter();
    let pairs = cookies.filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(';'));
    let mut found = pairs.filter_map(|pair| pair.split_once('=')).filter(|(key, _)| key.trim() == name);
    found.next().map(|(_, value)| (value.trim().to_owned(), true))
}

/// The cookie that gives the browser its session; with no seconds left it takes it away.
pub(super) fn cookie(token: &str, seconds: f64, https: bool) -> String {
    let (name, secure) = if https { (HOST_COOKIE, "; Secure") } else { (COOKIE, "") };
    format!("{name}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={seconds:.0}{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_request_shows() {
        let by = |authorization: Option<&[u8]>, cookies: &[&[u8]], https| {
            let mut request = Request::builder();
            for (name, value) in authorization
                .map(|value| ("authorization", value))
                .into_iter()
                .chain(cookies.iter().map(|c| ("cookie", *c)))
            {
                request = request.header(name, value);
            }
            shown_token(&request.finish(), https)
        };
        let some = |token: &str, by_cookie| Some((token.to_owned(), by_cookie));
        assert_eq!(by(None, &[], false), None);
        assert_eq!(by(Some(b"Bearer abc"), &[b"fastflow_session=def"], false), some("abc", false));
        assert_eq!(by(Some(b"bEARER  abc "), &[], false), some("abc", false));
        assert_eq!(by(Some(b"Bearer "), &[b"fastflow_session=def"], false), some("", false));
        assert_eq!(by(Some(b"Basic YTpi"), &[b"a=b; fastflow_session=def"], false), some("def", true));
        assert_eq!(by(Some(b"\xff\xff\xff"), &[b"\xff", b"x=1;fastflow_session=d=f"], false), some("d=f", true));
        // Behind https only the cookie that cannot be planted counts.
        assert_eq!(by(None, &[b"fastflow_session=planted"], true), None);
        assert_eq!(by(None, &[b"fastflow_session=planted; __Host-fastflow_session=own"], true), some("own", true));
    }

    #[test]
    fn cookies_are_for_this_host_alone() {
        let (plain, secure) = (cookie("t", 60.4, false), cookie("t", 60.4, true));
        assert_eq!(plain, "fastflow_session=t; HttpOnly; SameSite=Strict; Path=/; Max-Age=60");
        assert_eq!(secure, "__Host-fastflow_session=t; HttpOnly; SameSite=Strict; Path=/; Max-Age=60; Secure");
    }
}
