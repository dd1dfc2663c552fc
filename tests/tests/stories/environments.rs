//! Sealed environments: nobody's package can change what another pipeline installs, a damaged one is built anew, and what
//! names the packages may be a requirements file, the script itself, or a project's lock.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fastflow_shared::{EnvironmentState, ErrorType, PipelineEnvironment, Run, RunStatus, Storage, routes};
use fastflow_tests::options::UvCache;
use fastflow_tests::pipelines::Pipeline;
use fastflow_tests::python::Mirror;
use fastflow_tests::wait::{PATIENCE, until};
use fastflow_tests::{Client, Options, Server, docker};
use serde_json::json;

const REQUIREMENTS: &str = "humanize>=4.9,<5\n";

const USES_IT: &str = "import humanize, sys; print(humanize.intcomma(1234567)); print(sys.prefix)";

/// What the vandal tries wherever its code runs: to leave its word in every file and folder that it can reach beside its own.
const POISON: &str = r#"
import os, sys
WORD = "vandal-was-here"
OWN = ("/proc", "/sys", "/dev", "/fastflow/work", "/app", "/tmp", "/fastflow/source")

def poison(where):
    reached = []
    for folder, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if not os.path.join(folder, name).startswith(OWN)]
        for path in [os.path.join(folder, name) for name in files] + [os.path.join(folder, WORD + ".py")]:
            try:
                if os.path.exists(path) and not os.path.islink(path):
                    os.chmod(path, 0o666)
                with open(path, "a") as file:
                    file.write("\n# " + WORD + " " + where + "\n")
            except OSError:
                continue
            reached.append(path)
    return reached
"#;

/// A package whose build script poisons what it can reach and packs what it reached; its wheel brings a `.pth` file, which
/// every start of Python that looks for packages would run.
const SETUP: &str = r#"
import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from poison import poison
from setuptools import setup
from setuptools.command.build_py import build_py

REACHED = poison("while it was built")

class Build(build_py):
    def run(self):
        super().run()
        with open(os.path.join(self.build_lib, "vandal_report.py"), "w") as file:
            file.write("REACHED = %r\n" % REACHED)
        with open(os.path.join(self.build_lib, "vandal.pth"), "w") as file:
            file.write("import poison; poison.PTH = poison.poison('while it was installed')\n")

setup(name="vandal", version="1.0", py_modules=["poison"], cmdclass={"build_py": Build})
"#;

/// Content of every file below a folder.
fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() {
                folders.push(path);
            } else {
                let content = if kind.is_symlink() {
                    fs::read_link(&path).expect("a link").as_os_str().as_encoded_bytes().to_vec()
                } else {
                    fs::read(&path).expect("readable")
                };
                all.insert(path, content);
            }
        }
    }
    all
}

async fn environment_of(client: &Client, pipeline: &str) -> PipelineEnvironment {
    client.fetch(&routes::pipeline_environment(pipeline)).await
}

fn folder_of(server: &Server, run: &Run) -> PathBuf {
    server.uv_cache_dir().join("environments").join(run.environment.as_deref().expect("an environment"))
}

fn with_package(pipeline: &Pipeline, name: &str, files: &[(&str, &str)]) {
    let folder = pipeline.folder().join(name);
    fs::create_dir_all(&folder).expect("a folder");
    for (file, text) in files {
        fs::write(folder.join(file), text).expect("a file");
    }
}

#[tokio::test]
async fn a_package_that_poisons_all_it_can_reach_changes_nothing_that_others_use() {
    let server = Server::start(Options::new().uv_cache(UvCache::Own)).await;
    let client = server.client();
    server.pipeline("victim", USES_IT).requirements(REQUIREMENTS);
    let before = client.run_well("victim").await;
    let environment = contents(&folder_of(&server, &before));
    let cache = contents(&server.uv_cache_dir().join("cache/archive-v0"));
    assert!(environment.len() > 50 && !cache.is_empty(), "{} {}", environment.len(), cache.len());

    let main = "import poison, vandal_report\nprint(vandal_report.REACHED)\nprint(poison.PTH)";
    let vandal =
        server.pipeline("vandal", main).requirements("humanize>=4.9,<5\nvandal @ file:///fastflow/source/vandal\n");
    with_package(&vandal, "vandal", &[("setup.py", SETUP), ("poison.py", POISON)]);
    let run = client.run_well("vandal").await;
    // Its code ran where it was built and where it works, and reached nothing in either.
    let log = client.log_text(&run.id).await;
    let reached: Vec<&str> = log.lines().collect();
    assert_eq!(reached.len(), 2, "{log}");
    for told in reached {
        assert_eq!(told, "[]", "{log}");
    }
    let seen = environment_of(client, "vandal").await;
    let built: Vec<_> = seen.packages.iter().filter(|package| package.built).map(|p| p.name.as_str()).collect();
    assert_eq!(built, ["vandal"], "{:?}", seen.packages);

    assert!(contents(&folder_of(&server, &before)) == environment, "the victim's environment is as it was");
    let after = contents(&server.uv_cache_dir().join("cache/archive-v0"));
    assert!(cache.iter().all(|(path, content)| after.get(path) == Some(content)), "and so is what uv keeps");
    for (path, content) in contents(&server.uv_cache_dir()) {
        let told = |word: &str| content.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(!told("vandal-was-here while"), "{}", path.display());
        assert!(!path.ends_with("vandal-was-here.py"), "{}", path.display());
    }
    let again = client.run_well("victim").await;
    assert_eq!(again.environment, before.environment);
    assert_eq!(client.log_text(&again.id).await, client.log_text(&before.id).await);

    // Somebody else who needs the same packages installs what the first one did.
    server.pipeline("other", USES_IT).requirements("humanize>=4.9,<5\ncowsay==6.1\n");
    let other = client.run_well("other").await;
    assert_ne!(other.environment, before.environment);
    let of = |run: &Run| {
        let files = contents(&folder_of(&server, run)).into_iter();
        let package = |path: &Path| path.to_string_lossy().contains("site-packages/humanize/");
        let source = |path: &Path| path.extension().is_some_and(|end| end == "py");
        files.filter(|(path, _)| package(path) && source(path)).map(|(_, content)| content).collect::<Vec<_>>()
    };
    assert!(of(&other) == of(&before) && of(&other).len() > 5);
}

#[tokio::test]
async fn an_environment_that_was_changed_or_damaged_is_built_anew_before_it_is_used() {
    let server = Server::start(Options::new().uv_cache(UvCache::Own)).await;
    let client = server.client();
    server.pipeline("counts", USES_IT).requirements(REQUIREMENTS);
    let first = client.run_well("counts").await;
    let folder = folder_of(&server, &first);
    let whole = contents(&folder);
    let module = whole.keys().find(|path| path.ends_with("humanize/number.py")).expect("the module").clone();

    fs::remove_file(&module).expect("removed");
    fs::write(&module, "raise SystemExit('spoilt')\n").expect("written");
    let second = client.run_well("counts").await;
    assert_eq!(second.environment, first.environment);
    assert_eq!(contents(&folder).get(&module), whole.get(&module), "as it was");

    fs::remove_dir_all(folder.join("lib")).expect("removed");
    client.run_well("counts").await;
    assert!(module.exists());
    let bytecode = contents(&folder).keys().any(|path| path.to_string_lossy().contains("number.cpython-"));
    assert!(bytecode, "compiled ahead, for nobody can write it later");
    for (path, _) in contents(&folder) {
        let meta = fs::symlink_metadata(&path).expect("there");
        let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions());
        assert!(meta.is_symlink() || mode & 0o222 == 0, "{} may be written: {mode:o}", path.display());
    }
}

#[tokio::test]
async fn a_script_may_name_its_packages_itself() {
    let server = Server::start(Options::new().uv_cache(UvCache::Own)).await;
    let client = server.client();
    let block =
        "# /// script\n# requires-python = \">=3.9\"\n# dependencies = [\n#   \"humanize>=4.9,<5\",\n# ]\n# ///\n";
    server.pipeline("script", &format!("{block}{USES_IT}"));
    let run = client.run_well("script").await;
    assert!(client.log_text(&run.id).await.starts_with("1,234,567\n"));
    let _ = client.post(routes::SYNC).await.expect(200);
    let environment = environment_of(client, "script").await;
    assert_eq!((environment.state, environment.named_by.as_deref()), (EnvironmentState::Ready, Some("main.py")));
    assert_eq!(environment.key, run.environment);
    assert_eq!(environment.packages.len(), 1);
    assert!(environment.packages[0].version.as_deref().is_some_and(|version| version.starts_with("4.")));
    assert_eq!(environment.link_mode.as_deref(), Some("hardlink"), "cache and environments lie together");
    assert!(environment.size_bytes.is_some_and(|bytes| bytes > 100_000) && environment.last_used_at.is_some());
    assert!(environment.python_version.is_some_and(|version| version.starts_with("3.")));
    let storage: Storage = client.fetch(routes::STORAGE).await;
    assert_eq!(storage.link_mode, "hardlink");
    let _ = client.get(&routes::pipeline_environment("nobody")).await.problem(404, "pipeline_not_found");
    let _ = server.anonymous().get(routes::STORAGE).await.problem(401, "unauthenticated");

    server.pipeline("broken", "# /// script\n# dependencies = 3\n# ///\nprint('never')");
    let _ = client.post(routes::SYNC).await.expect(200);
    let broken = client.pipeline("broken").await;
    assert!(!broken.valid && broken.problems[0].line == Some(2), "{:?}", broken.problems);
    let _ = client.try_start("broken").await.problem(409, "pipeline_invalid");
}

#[tokio::test]
async fn a_project_with_its_lock_is_installed_as_it_is_locked() {
    let server = Server::start(Options::new().uv_cache(UvCache::Own)).await;
    let client = server.client();
    let project =
        "[project]\nname = 'locked'\nversion = '1'\nrequires-python = '>=3.9'\ndependencies = ['humanize>=4.9,<5']\n";
    let pipeline =
        server.pipeline("project", USES_IT).file("pyproject.toml", project).json(&json!({ "dependencies": "uv.lock" }));
    let problem = client.try_start("project").await.problem(409, "pipeline_invalid");
    assert!(problem.detail.contains("uv.lock"), "{}", problem.detail);

    lock(pipeline.folder()).await;
    let run = client.run_well("project").await;
    assert!(client.log_text(&run.id).await.starts_with("1,234,567\n"));
    let _ = client.post(routes::SYNC).await.expect(200);
    let environment = environment_of(client, "project").await;
    assert_eq!(environment.named_by.as_deref(), Some("uv.lock"));
    let names: Vec<_> = environment.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(names, ["humanize"], "the project itself is not installed: it is the pipeline");
    // The folder is the pipeline's own; uv left nothing in it.
    assert!(!pipeline.folder().join(".venv").exists());
}

/// `uv lock` in a folder, with the worker image's uv.
async fn lock(folder: &Path) {
    let mount = format!("{}:/project", folder.display());
    let mut arguments = vec!["run".to_owned(), "--rm".to_owned(), "-v".to_owned(), mount];
    for (name, value) in std::env::vars() {
        let passed = name.starts_with("UV_") || ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].contains(&name.as_str());
        if passed {
            arguments.extend(["-e".to_owned(), format!("{name}={value}")]);
        }
        if name == "SSL_CERT_FILE" {
            arguments.extend(["-v".to_owned(), format!("{value}:/ca.pem:ro")]);
            arguments.extend(["-e".to_owned(), "SSL_CERT_FILE=/ca.pem".to_owned()]);
        }
    }
    arguments.push(docker::image());
    arguments.extend(["uv", "lock", "--quiet", "--no-cache", "--project", "/project"].map(str::to_owned));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    docker::docker(&arguments).await;
}

#[tokio::test]
async fn a_pipeline_runs_on_the_python_that_it_asks_for() {
    const SAYS: &str = "import sys, ssl, sqlite3, humanize; print(sys.version_info[:2], sys.prefix != sys.base_prefix)";
    let mirror = Mirror::serve().await;
    let options = Options::new().uv_cache(UvCache::Own).env("UV_PYTHON_DOWNLOADS_JSON_URL", &mirror.list);
    let server = Server::start(options).await;
    let client = server.client();
    let version = format!("({}) True\n", mirror.version.replace('.', ", "));
    let other = json!({ "python_version": mirror.version });
    server.pipeline("other", SAYS).requirements("humanize>=4.9,<5\n").json(&other);
    server.pipeline("images", SAYS).requirements("humanize>=4.9,<5\n");
    let run = client.run_well("other").await;
    assert_eq!(client.log_text(&run.id).await, version);
    let images = client.run_well("images").await;
    let log = client.log_text(&images.id).await;
    assert!(log.starts_with("(3, ") && log != version, "{log}: the image's Python is another one");
    assert_ne!(run.environment, images.environment, "the same packages, and not the same environment");
    let seen = environment_of(client, "other").await;
    assert!(seen.python_version.is_some_and(|python| python.starts_with(&mirror.version)));

    // Kept beside the environments: nobody fetches it again, also not for another environment or after a restart.
    server.pipeline("without packages", "import sys; print(sys.version_info[:2], True)").json(&other);
    let run = client.run_well("without packages").await;
    assert_eq!(client.log_text(&run.id).await, version);
    assert_eq!(mirror.fetched(), 1);
    let module = server.uv_cache_dir().join("pythons");
    assert!(
        module
            .read_dir()
            .expect("a folder")
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().contains("cpython"))
    );

    server.pipeline("absent", "print('never')").json(&json!({ "python_version": "3.99" }));
    let run = client.run_to_end("absent").await;
    assert_eq!(run.error_type, Some(ErrorType::Dependency));
    let message = run.error_message.expect("a message");
    assert!(message.contains("Python 3.99") && message.contains("UV_PYTHON_INSTALL_MIRROR"), "{message}");
}

#[tokio::test]
async fn a_python_that_is_not_to_be_had_is_named_before_anything_is_installed() {
    let server = Server::start(Options::new().uv_cache(UvCache::Own)).await;
    let client = server.client();
    server.pipeline("future", "print('never')").json(&json!({ "python_version": "3.99" }));
    let run = client.run_to_end("future").await;
    assert_eq!(run.error_type, Some(ErrorType::Dependency));
    let message = run.error_message.expect("a message");
    assert!(message.contains("Python 3.99") && message.contains("python_version"), "{message}");
    // That of the image may be asked for by its name.
    server.pipeline("present", "import sys; print(sys.version_info[:2])").json(&json!({ "python_version": "3.11" }));
    let run = client.run_well("present").await;
    assert_eq!(client.log_text(&run.id).await, "(3, 11)\n");
}

/// A package that takes its time to be built.
const SLOW_SETUP: &str = "import time; time.sleep(4)\nfrom setuptools import setup\nsetup(name='slow', version='1.0', py_modules=['slow'])\n";

/// Names of the environments that may be used.
fn sealed(server: &Server) -> Vec<String> {
    let folder = server.uv_cache_dir().join("environments");
    let names =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".json")).collect()
}

#[tokio::test]
async fn what_was_half_built_at_a_crash_is_never_used_and_built_anew() {
    let mut server = Server::start(Options::new().uv_cache(UvCache::Own)).await;
    let uses = "import slow; print(slow.WORD)";
    let pipeline = server.pipeline("waits", uses).requirements("slow @ file:///fastflow/source/slow\n");
    with_package(&pipeline, "slow", &[("setup.py", SLOW_SETUP), ("slow.py", "WORD = 'whole'")]);
    let run = server.client().start("waits").await;
    let kind = format!("label={}=preparation", docker::KIND);
    let own = format!("label={}={}", docker::INSTANCE, server.instance());
    let building = async || {
        let found = docker::docker(&["ps", "-q", "--filter", &kind, "--filter", &own]).await;
        let begun = fs::read_dir(server.uv_cache_dir().join("work")).is_ok_and(|mut work| work.next().is_some());
        (!found.is_empty() && begun).then_some(found)
    };
    let container = until("a build", PATIENCE, building).await;
    server.kill9();
    assert_eq!(sealed(&server), Vec::<String>::new(), "it was killed too late to show anything");
    server.launch().await;
    let client = server.client();
    let run = client.end_of(&run.id).await;
    assert_eq!(run.status, RunStatus::Success, "{:?}", run.error_message);
    assert_eq!(client.log_text(&run.id).await, "whole\n");
    assert_eq!(sealed(&server), [format!("{}.json", run.environment.as_deref().expect("an environment"))]);
    docker::all_gone(server.instance()).await;
    assert!(!container.contains('\n'), "one build at a time");
    let left: Vec<_> = fs::read_dir(server.uv_cache_dir().join("work")).expect("a folder").flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}
