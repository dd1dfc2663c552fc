//! A small HTTP server for stand-ins: git's own CGI program, and what plays GitHub.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// What stands behind `?`.
    pub query: String,
    /// Its headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Bytes,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

impl Response {
    /// An answer without anything.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// JSON.
    #[must_use]
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        Self { status, headers, body: value.to_string().into() }
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// What answers requests.
pub type Handler = Arc<dyn Fn(Request) -> BoxFuture<'static, Response> + Send + Sync>;

/// Serves until the test ends. Returns its address.
///
/// # Panics
/// When no port is free.
pub async fn serve(handler: Handler) -> String {
    listen(bound("127.0.0.1").await, handler, None)
}

/// The same over https.
///
/// # Panics
/// When no port is free.
pub async fn serve_tls(handler: Handler, tls: TlsAcceptor) -> String {
    listen(bound("127.0.0.1").await, handler, Some(tls))
}

/// The same for containers, which reach this machine at `host`. The handler is made from the server's address.
///
/// # Panics
/// When no port is free.
pub async fn serve_containers(host: &str, handler: impl FnOnce(String) -> Handler) -> String {
    let listener = bound(host).await;
    let address = listener.local_addr().expect("an address");
    listen(listener, handler(format!("http://{address}")), None)
}

async fn bound(host: &str) -> TcpListener {
    TcpListener::bind((host, 0)).await.expect("a free port")
}

fn listen(listener: TcpListener, handler: Handler, tls: Option<TlsAcceptor>) -> String {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (handler, tls) = (handler.clone(), tls.clone());
            tokio::spawn(async move {
                // A client that goes away, or that does not trust us, is its own business.
                let _ = match tls {
                    None => answer(stream, &handler).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => answer(stream, &handler).await,
                        Err(error) => Err(error),
                    },
                };
            });
        }
    });
    format!("{scheme}://{address}")
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, handler: &Handler) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(()) };
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|encoding| encoding.contains("chunked")) {
        loop {
            let mut size = String::new();
            stream.read_line(&mut size).await?;
            let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
            let mut piece = vec![0; size + 2];
            stream.read_exact(&mut piece).await?;
            if size == 0 {
                break;
            }
            body.extend_from_slice(&piece[..size]);
        }
    } else if let Some(length) = headers.get("content-length").and_then(|text| text.parse().ok()) {
        body = vec![0; length];
        stream.read_exact(&mut body).await?;
    }
    let request = Request { method, path: path.to_owned(), query: query.to_owned(), headers, body: body.into() };
    let response = handler(request).await;
    let mut head =
        format!("HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n", response.status, response.body.len());
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&response.body).await?;
    stream.flush().await?;
    stream.shutdown().await
}
