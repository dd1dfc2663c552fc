//! Serves the browser's side, which lies inside the binary: compressed when it was built, cached for ever where the name
//! holds a hash, and `index.html` for every page address.

use poem::http::{Method, StatusCode, header};
use poem::{Endpoint, Request, Response};
use rust_embed::RustEmbed;

use super::headers::page_policy;

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/web"]
struct Files;

/// The endpoint.
pub struct Spa {
    /// Content security policy of the page, with the hashes of its inline scripts.
    policy: String,
}

impl Default for Spa {
    fn default() -> Self {
        let page = Files::get("index.html").map(|file| file.data.into_owned()).unwrap_or_default();
        Self { policy: page_policy(&String::from_utf8_lossy(&page)) }
    }
}

impl Endpoint for Spa {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(StatusCode::METHOD_NOT_ALLOWED.into());
        }
        let path = request.uri().path().trim_start_matches('/');
        // A page address has no dot in its last part; a file that is missing is not a page.
        let is_page = path.is_empty() || !path.rsplit('/').next().unwrap_or_default().contains('.');
        let name = if is_page { "index.html" } else { path };
        if name.ends_with(".br") || name.ends_with(".gz") || Files::get(name).is_none() {
            return Err(StatusCode::NOT_FOUND.into());
        }
        Ok(self.file(&request, name))
    }
}

impl Spa {
    fn file(&self, request: &Request, name: &str) -> Response {
        let accepted = request.header("accept-encoding").unwrap_or_default();
        let wanted = [("br", ".br"), ("gzip", ".gz")].into_iter().find_map(|(encoding, ending)| {
            let taken = accepted.split(',').any(|one| one.split(';').next().unwrap_or_default().trim() == encoding);
            taken.then(|| Files::get(&format!("{name}{ending}"))).flatten().map(|file| (Some(encoding), file))
        });
        let Some((encoding, file)) = wanted.or_else(|| Files::get(name).map(|file| (None, file))) else {
            return Response::builder().status(StatusCode::NOT_FOUND).finish();
        };
        let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
        let mut response = Response::builder()
            .header(header::ETAG, &tag)
            .header(header::VARY, "accept-encoding")
            .header(header::CACHE_CONTROL, cache_control(name));
        if request.header("if-none-match").is_some_and(|tags| tags.contains(&tag)) {
            return response.status(StatusCode::NOT_MODIFIED).finish();
        }
        if name == "index.html" {
            response = response.header("content-security-policy", &self.policy);
        }
        if let Some(encoding) = encoding {
            response = response.header(header::CONTENT_ENCODING, encoding);
        }
        let length = file.data.len();
        response = response.content_type(content_type(name)).header(header::CONTENT_LENGTH, length);
        if *request.method() == Method::HEAD { response.finish() } else { response.body(file.data.into_owned()) }
    }
}

/// The builder puts a hash of up to 16 hexadecimal digits into the name of what may be kept for ever.
fn cache_control(name: &str) -> &'static str {
    let hashed = name
        .split(['-', '.', '_'])
        .any(|part| (12..=16).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit()));
    if hashed { "public, max-age=31536000, immutable" } else { "no-cache" }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        // The texts of a language.
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "json" | "webmanifest" => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        assert!(cache_control("fastflow-frontend-0123456789abcdef_bg.wasm").contains("immutable"));
        assert!(cache_control("base-677c4e67e8fd8b6.css").contains("immutable"));
        assert!(cache_control("texts-de-a8f2a180bc4395f1.txt").contains("immutable"));
        assert_eq!(cache_control("index.html"), "no-cache");
        assert_eq!(cache_control("favicon.svg"), "no-cache");
    }
}
