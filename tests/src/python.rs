//! A mirror of interpreters, as a company has one: uv fetches from it what the worker image lacks.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::http::{self, Response};
use crate::{docker, place};

/// The mirror. It has one interpreter, made from one of this machine's.
pub struct Mirror {
    /// Address of its list, for `UV_PYTHON_DOWNLOADS_JSON_URL`.
    pub list: String,
    /// Version of its interpreter, like `3.13`.
    pub version: String,
    fetched: Arc<AtomicUsize>,
}

impl Mirror {
    /// Serves the interpreter of `FASTFLOW_TEST_OTHER_PYTHON` to containers.
    ///
    /// # Panics
    /// When there is none.
    pub async fn serve() -> Self {
        let prefix = place::service("FASTFLOW_TEST_OTHER_PYTHON");
        let prefix = Path::new(&prefix);
        let full = said(
            Command::new(prefix.join("bin/python3")).args(["-c", "import platform; print(platform.python_version())"]),
        );
        let mut parts = full.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
        let [major, minor, patch] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        let archive = archive(prefix, &format!("python{major}.{minor}"));
        let sha256 = hex::encode(Sha256::digest(&archive));

        // The address by which containers reach this machine.
        let gateway = "{{(index .IPAM.Config 0).Gateway}}";
        let host = docker::docker(&["network", "inspect", "bridge", "--format", gateway]).await;
        let fetched = Arc::new(AtomicUsize::new(0));
        let count = fetched.clone();
        let base = http::serve_containers(host.trim(), move |own: String| {
            let arch = std::env::consts::ARCH;
            let list = json!({ format!("cpython-{full}-linux-{arch}-gnu"): {
                "name": "cpython", "arch": { "family": arch, "variant": null }, "os": "linux", "libc": "gnu",
                "major": major, "minor": minor, "patch": patch, "prerelease": "", "variant": null, "build": "1",
                "url": format!("{own}/python.tar.gz"), "sha256": sha256,
            }});
            Arc::new(move |request| {
                let (list, archive, count) = (list.clone(), archive.clone(), count.clone());
                Box::pin(async move {
                    match request.path.as_str() {
                        "/list.json" => Response::json(200, &list),
                        "/python.tar.gz" => {
                            count.fetch_add(1, Ordering::Relaxed);
                            Response { body: archive, ..Response::status(200) }
                        }
                        _ => Response::status(404),
                    }
                })
            })
        })
        .await;
        Self { list: format!("{base}/list.json"), version: format!("{major}.{minor}"), fetched }
    }

    /// How often its interpreter was fetched.
    #[must_use]
    pub fn fetched(&self) -> usize {
        self.fetched.load(Ordering::Relaxed)
    }
}

/// The interpreter as uv expects one: in a folder `python`, wherever that lies.
fn archive(prefix: &Path, name: &str) -> Bytes {
    let work = place::scratch().join(format!("python-{}", place::unique()));
    let bin = work.join("python/bin");
    fs::create_dir_all(&bin).expect("a folder can be made");
    // Most builds look for their library where they were built; relative to the program is as good, and shorter.
    let mut program = fs::read(prefix.join("bin").join(name)).expect("an interpreter");
    let built_at = format!("{}/lib\0", prefix.display()).into_bytes();
    let moved = b"$ORIGIN/../lib\0";
    let places: Vec<_> = (0..program.len()).filter(|at| program[*at..].starts_with(&built_at)).collect();
    for at in places.into_iter().filter(|_| moved.len() <= built_at.len()) {
        program[at..at + built_at.len()].fill(0);
        program[at..at + moved.len()].copy_from_slice(moved);
    }
    fs::write(bin.join(name), program).expect("written");
    fs::set_permissions(bin.join(name), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("allowed");
    for link in ["python", "python3"] {
        std::os::unix::fs::symlink(name, bin.join(link)).expect("a link");
    }
    let mut tar = Command::new("tar");
    tar.args(["--use-compress-program=gzip -1", "--transform=s,^lib,python/lib,S", "-cf", "python.tar.gz"]);
    for left_out in [
        "__pycache__",
        "lib/python*/test",
        "*/config-*",
        "*/idlelib",
        "*/tkinter",
        "*/ensurepip",
        "*/site-packages/*",
        "*.a",
    ] {
        tar.arg(format!("--exclude={left_out}"));
    }
    said(tar.arg("-C").arg(prefix).arg("lib").arg("-C").arg(&work).arg("python").current_dir(&work));
    let archive = fs::read(work.join("python.tar.gz")).expect("an archive");
    let _ = fs::remove_dir_all(&work);
    archive.into()
}

fn said(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
