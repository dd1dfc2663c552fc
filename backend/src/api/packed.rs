//! Big texts that are rarely asked for: made once, kept compressed.

use std::io::{self, Read, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use poem::http::header;
use poem::{Request, Response};

/// A text, packed. A clone shares it.
#[derive(Clone)]
pub struct Packed {
    content_type: &'static str,
    gzip: Bytes,
}

impl Packed {
    /// Packs a text.
    ///
    /// # Errors
    /// When it cannot be compressed; memory is all that needs.
    pub fn new(content_type: &'static str, text: &str) -> io::Result<Self> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(text.as_bytes())?;
        // As long as it is, not as long as it might have become.
        Ok(Self { content_type, gzip: Bytes::from(gzip.finish()?.into_boxed_slice()) })
    }

    /// The answer with it: as it is kept, unless whoever asks cannot unpack it.
    pub fn answer(&self, request: &Request) -> poem::Result<Response> {
        let answer = Response::builder().content_type(self.content_type).header(header::VARY, "accept-encoding");
        if takes_gzip(request.header("accept-encoding").unwrap_or_default()) {
            return Ok(answer.header(header::CONTENT_ENCODING, "gzip").body(self.gzip.clone()));
        }
        let mut text = Vec::new();
        GzDecoder::new(&*self.gzip).read_to_end(&mut text).map_err(poem::error::InternalServerError)?;
        Ok(answer.body(text))
    }
}

fn takes_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|one| {
        let (encoding, weight) = one.split_once(';').unwrap_or((one, ""));
        encoding.trim() == "gzip" && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_takes_gzip_gets_it_and_everybody_else_the_text() {
        let text = "a text ".repeat(1_000);
        let packed = Packed::new("text/plain", &text).expect("packed");
        assert!(packed.gzip.len() < 200);
        for (accepted, is_packed) in
            [("", false), ("gzip", true), ("br, gzip;q=0.5", true), ("gzip;q=0, identity", false), ("gzipped", false)]
        {
            let request = Request::builder().header("accept-encoding", accepted).finish();
            let answer = packed.answer(&request).expect("answered");
            assert_eq!(answer.header("content-encoding") == Some("gzip"), is_packed, "{accepted:?}");
            assert_eq!(answer.header("vary"), Some("accept-encoding"));
            let body = answer.into_body().into_vec().await.expect("readable");
            let mut read = String::new();
            match is_packed {
                true => drop(GzDecoder::new(&*body).read_to_string(&mut read).expect("gzip")),
                false => read.push_str(&String::from_utf8_lossy(&body)),
            }
            assert!(read == text, "{accepted:?}");
        }
    }
}
