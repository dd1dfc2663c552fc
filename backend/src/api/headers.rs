//! What every answer carries, whatever it is: how a browser may use it, and how it may not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poem::http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest as _, Sha256};

/// An answer that is no page: nothing in it may be loaded, executed or framed.
const NO_PAGE: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

/// Features of the browser that no page of ours uses.
const NO_FEATURES: &str = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), \
                           magnetometer=(), microphone=(), midi=(), payment=(), usb=()";

/// A year, for this host alone: what its neighbours do is not ours to decide.
const ONLY_HTTPS: &str = "max-age=31536000";

/// Adds what is missing.
pub fn complete(headers: &mut HeaderMap, status: StatusCode, path: &str, request_id: &str, https: bool) {
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value)
            && !headers.contains_key(name)
        {
            headers.insert(name, value);
        }
    };
    set("x-request-id", request_id);
    set("x-content-type-options", "nosniff");
    set("x-frame-options", "DENY");
    set("referrer-policy", "same-origin");
    set("permissions-policy", NO_FEATURES);
    set("cross-origin-opener-policy", "same-origin");
    set("cross-origin-resource-policy", "same-origin");
    if https {
        set("strict-transport-security", ONLY_HTTPS);
    }
    if path == "/api" || path.starts_with("/api/") {
        set("cache-control", "no-store");
        set("content-security-policy", NO_PAGE);
    }
    if status == StatusCode::UNAUTHORIZED {
        // Not `Basic`: browsers would ask for a password of their own.
        set(header::WWW_AUTHENTICATE.as_str(), "Bearer");
    }
}

/// The policy of the browser's side: its own files, its inline scripts by their hashes, and nothing from elsewhere.
pub fn page_policy(page: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{}; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; manifest-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'",
        hashes(page)
    )
}

/// The policy of the page that shows the document. Its library writes styles into the page as it goes.
pub fn docs_policy(page: &str) -> String {
    format!(
        "default-src 'none'; script-src{}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hashes(page)
    )
}

fn hashes(page: &str) -> String {
    inline_scripts(page)
        .map(|script| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(script.as_bytes()))))
        .collect()
}

/// The text of each `<script>` without a source, as a browser finds them: up to the first closing tag, whatever the script
/// itself says of scripts.
fn inline_scripts(page: &str) -> impl Iterator<Item = &str> {
    let mut rest = page;
    std::iter::from_fn(move || {
        loop {
            let (_, begun) = rest.split_once("<script")?;
            let (tag, inner) = begun.split_once('>')?;
            let (script, after) = inner.split_once("</script>")?;
            rest = after;
            if !tag.contains("src=") {
                return Some(script);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_allow_exactly_the_pages_own_inline_scripts() {
        let page = "<script src=\"a.js\"></script><script type=\"module\">init('<script src=x>')</script><p>";
        assert_eq!(inline_scripts(page).collect::<Vec<_>>(), ["init('<script src=x>')"]);
        let digest = STANDARD.encode(Sha256::digest(b"init('<script src=x>')"));
        for policy in [page_policy(page), docs_policy(page)] {
            let scripts = policy.split(';').find(|part| part.contains("script-src")).expect("a rule for scripts");
            assert!(
                scripts.contains(&format!("'sha256-{digest}'")) && !scripts.contains("'unsafe-inline'"),
                "{policy}"
            );
        }
    }

    #[test]
    fn what_is_sent_with_what() {
        let with = |path: &str, https, status| {
            let mut headers = HeaderMap::new();
            complete(&mut headers, status, path, "r", https);
            headers
        };
        let answer = with("/api/runs", false, StatusCode::OK);
        assert_eq!(answer["cache-control"], "no-store");
        assert!(!answer.contains_key("strict-transport-security") && !answer.contains_key("www-authenticate"));
        assert!(with("/api/runs", true, StatusCode::OK).contains_key("strict-transport-security"));
        assert_eq!(with("/api", false, StatusCode::UNAUTHORIZED)["www-authenticate"], "Bearer");
        assert!(!with("/apiary.js", false, StatusCode::OK).contains_key("cache-control"));
    }
}
