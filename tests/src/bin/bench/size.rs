//! What is shipped.

use std::fs;

use fastflow_tests::{Options, Server, options::UvCache, place};
use reqwest::Method;

use crate::report::{Report, Table};

pub async fn part(report: &mut Report) {
    let options = Options::new().env("FASTFLOW_TEST_ENGINE", "fake").uv_cache(UvCache::Own).env("LOG_LEVEL", "warn");
    let server = Server::start(options).await;
    let mut table = Table::new("size", &["what", "size"]);
    let (bytes, files) = spa(&server).await;
    table.row(&["SPA over the wire", &format!("{} kB in {files} files", bytes / 1000)]);
    let binary = fs::metadata(place::server_binary()).expect("the binary").len();
    table.row(&["server's binary", &format!("{}.{} MB", binary / 1_000_000, binary / 100_000 % 10)]);
    report.add(table);
}

/// What a browser's first visit takes: the page and every file that it names.
async fn spa(server: &Server) -> (usize, usize) {
    let client = server.anonymous();
    let get = async |path: &str| {
        let request = client.request(Method::GET, path).header("Accept-Encoding", "br, gzip");
        client.send(request).await.expect(200)
    };
    let page = client.get("/").await.expect(200).text();
    let quoted = page.split(['"', '\'']).filter(|text| text.starts_with('/'));
    let mut files: Vec<&str> =
        quoted.filter(|text| [".js", ".wasm", ".css"].iter().any(|end| text.ends_with(end))).collect();
    files.sort_unstable();
    files.dedup();
    assert!(!files.is_empty(), "the server was built without its pages: `make web`, then build it again");
    let mut bytes = get("/").await.body.len();
    for file in &files {
        bytes += get(file).await.body.len();
    }
    (bytes, files.len() + 1)
}
