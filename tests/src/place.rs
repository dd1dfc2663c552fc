//! Where things lie on this machine.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// The repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository")
}

/// Folder of what the stories write: below cargo's target folder, so that it is on the disk of the build and not in memory,
/// and links between uv's cache and environments work.
///
/// # Panics
/// When this program does not lie where cargo puts programs.
#[must_use]
pub fn scratch() -> PathBuf {
    let program = env::current_exe().expect("this program has a path");
    target_of(&program).expect("this program lies in cargo's target folder").join("tmp/stories")
}

/// Cargo's target folder, from the path of a program in it: `TARGET/PROFILE/NAME` or, for tests, `TARGET/PROFILE/deps/NAME`.
/// The tag file for backup programs is no sign of it: cargo writes one only into a folder that it made itself.
fn target_of(program: &Path) -> Option<&Path> {
    let folder = program.parent()?;
    let profile = if folder.ends_with("deps") { folder.parent()? } else { folder };
    profile.parent()
}

/// Where screenshots go.
#[must_use]
pub fn screenshots() -> PathBuf {
    let folder = scratch().ancestors().nth(2).expect("scratch lies in target/tmp").join("screenshots");
    std::fs::create_dir_all(&folder).expect("the folder for screenshots can be made");
    folder
}

/// The server's binary: the one that is named by `FASTFLOW_TEST_SERVER`, else the one that was built beside this program.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn server_binary() -> PathBuf {
    if let Some(path) = env::var_os("FASTFLOW_TEST_SERVER").filter(|path| !path.is_empty()) {
        return PathBuf::from(path);
    }
    let program = env::current_exe().expect("this program has a path");
    let found = program.ancestors().skip(1).take(2).map(|folder| folder.join("fastflow")).find(|path| path.is_file());
    found.expect("no server to test: set FASTFLOW_TEST_SERVER, or run `cargo build` first")
}

/// A setting that scripts/test-services makes.
///
/// # Panics
/// When it is not set.
#[must_use]
pub fn service(name: &str) -> String {
    env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run scripts/test-services, then `. target/test-services/env`"))
}

/// A name that nobody else on this machine has.
#[must_use]
pub fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("story-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// A port that nobody listens on. Not one that the system gives away by itself: a connection of somebody else could take it
/// before the server does.
#[must_use]
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let start = u16::try_from(std::process::id() % 500).unwrap_or_default() * 20;
        let port = 20_000 + (start + step) % 12_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_folder_is_found_for_programs_and_for_tests() {
        assert_eq!(target_of(Path::new("/a/target/release/bench")), Some(Path::new("/a/target")));
        assert_eq!(target_of(Path::new("/a/target/debug/deps/stories-1f")), Some(Path::new("/a/target")));
    }
}
