//! What must be done before the compiler runs: the migrations are watched, and the SPA is compressed to be embedded.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Shown instead of the SPA when the server is built without it.
const PLACEHOLDER: &str = "<!doctype html><html lang=\"en\"><title>Fast-Flow</title><p>This server was built without its \
                           pages: run <code>make web</code> and build it again. The API works: see <a href=\"/docs\">/docs</a>.</html>";

/// Files that gain nothing from compression are smaller than this, in bytes.
const WORTH_IT: usize = 1024;

fn main() -> io::Result<()> {
    migrations();
    web()
}

/// The migrations are compiled in, but the compiler does not know that it reads them.
fn migrations() {
    println!("cargo:rerun-if-changed=../migrations");
}

/// Lays the SPA out below `OUT_DIR/web`, each file beside its brotli and gzip forms.
fn web() -> io::Result<()> {
    let dist = Path::new("../frontend/dist");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("web");
    println!("cargo:rerun-if-changed=../frontend/dist");
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    if !dist.join("index.html").exists() {
        return fs::write(out.join("index.html"), PLACEHOLDER);
    }
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(out.join(&folder))?;
        for entry in fs::read_dir(dist.join(&folder))? {
            let entry = entry?;
            let name = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(name);
            } else {
                embed(&entry.path(), &out.join(&name))?;
            }
        }
    }
    Ok(())
}

fn embed(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    fs::write(to, &bytes)?;
    let packed_already =
        matches!(from.extension().and_then(|e| e.to_str()), Some("png" | "ico" | "woff2" | "br" | "gz"));
    if bytes.len() < WORTH_IT || packed_already {
        return Ok(());
    }
    // Level 11 gains a few per cent for ten times the time: worth it only for what is shipped.
    let quality = if std::env::var("PROFILE").is_ok_and(|profile| profile == "release") { 11 } else { 5 };
    let mut packed = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { quality, ..Default::default() };
    brotli::BrotliCompress(&mut bytes.as_slice(), &mut packed, &parameters)?;
    fs::write(with_ending(to, "br"), packed)?;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&bytes)?;
    fs::write(with_ending(to, "gz"), gzip.finish()?)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}
