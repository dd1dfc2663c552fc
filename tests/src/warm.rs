//! The environment of pipelines without requirements, built once for all stories, so that each of them begins warm.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use tokio::sync::OnceCell;

use crate::options::{Options, UvCache};
use crate::{Server, docker, place};

/// uv's cache and the environments that all stories share.
pub(crate) fn cache() -> PathBuf {
    place::scratch().join("uv_cache")
}

/// Makes sure that the shared environment is there, once per process and for one process at a time.
pub(crate) async fn once() {
    static ONCE: OnceCell<()> = OnceCell::const_new();
    ONCE.get_or_init(|| Box::pin(warm())).await;
}

async fn warm() {
    let folder = cache();
    fs::create_dir_all(&folder).expect("the shared cache can be made");
    let lock = File::create(folder.join("warm.lock")).expect("a lock file can be made");
    let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await;
    let lock = lock.expect("no panic").expect("the lock is granted");
    // Another image or another server may need another environment.
    let image = docker::docker(&["image", "inspect", "--format", "{{.Id}}", &docker::image()]).await;
    let binary = fs::metadata(place::server_binary()).and_then(|meta| meta.modified()).expect("the server's binary");
    let built = binary.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let (mark, wanted) = (folder.join("warm"), format!("{image} {built}"));
    if fs::read_to_string(&mark).ok().as_deref() != Some(&wanted) {
        let server = Server::start(Options::new().uv_cache(UvCache::At(folder))).await;
        let _ = server.pipeline("warm", "print('warm')");
        let _ = server.client().run_well("warm").await;
        drop(server);
        fs::write(mark, wanted).expect("the mark can be written");
    }
    drop(lock);
}
