//! Preparation containers: the only places where uv reaches the network. They hold no secret.
//!
//! Building a source distribution runs code of its author. So what may run such code sees nothing that others use:
//!
//! | step | runs code of packages | may write |
//! |---|---|---|
//! | an interpreter is fetched | no | the folder of interpreters |
//! | the lock is resolved; source distributions are built | **yes** | a private folder and a copy of the code, deleted afterwards |
//! | wheels are installed, bytecode is compiled | no: wheels are only unpacked, and Python runs without `site` | cache and environments |
//!
//! Of a build only the wheel is taken over, and only for the lock that named it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;

use super::inputs::{NamedBy, Wheel, with_wheels};
use super::{CA_MOUNT, EnvironmentError, Inputs, MOUNT, Options, seal, target};
use crate::catalog::copy_into;
use crate::domain::mask::{self, Mask};
use crate::engine::{ContainerId, ContainerSpec, Engine, Image, Job, Kind, Limits, Mount, Network};

/// Where the pipeline's folder is mounted, for requirement files that refer to others: read-only, or as a copy where packages
/// of its own may be built, for which most tools write beside the source.
const SOURCE: &str = "/fastflow/source";

/// Where the container's private folder is mounted; temporary files and results go there.
const WORK: &str = "/fastflow/work";

/// Most bytes of uv's output that are kept: the end, where the reason stands.
const MAX_OUTPUT: usize = 64 * 1024;

/// Most bytes of a lock.
const MAX_LOCK: u64 = 16 << 20;

/// What a container may write beside its private folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    /// Nothing: code of packages runs in it.
    Nothing,
    /// The folder of interpreters.
    Pythons,
    /// uv's cache and the environments.
    Everything,
}

/// One build: how its containers are made.
pub struct Worker<'a> {
    /// Settings of the room.
    pub options: &'a Options,
    /// Docker.
    pub engine: &'a Arc<dyn Engine>,
    /// The worker image.
    pub image: &'a Image,
    /// Where the names of its containers are noted.
    pub in_use: &'a Names,
}

/// Names of containers.
pub type Names = Arc<Mutex<HashSet<String>>>;

/// What the installation says of itself.
pub struct Report {
    /// Version of uv.
    pub uv_version: String,
    /// Version of Python.
    pub python_version: String,
    /// Files of the wheels that were built from source distributions.
    pub built: Vec<String>,
}

impl Worker<'_> {
    /// Makes sure that the wanted version of Python is there, in the image or among those that uv keeps.
    pub async fn fetch_python(&self, inputs: &Inputs) -> Result<(), EnvironmentError> {
        const SCRIPT: &str = r#"
            set -e
            uv python find --quiet --no-project "$PYTHON" >/dev/null 2>&1 || uv python install --quiet "$PYTHON"
        "#;
        let Some(version) = &inputs.python else { return Ok(()) };
        let work = seal::work_folder(self.options)?;
        let found = self.run(SCRIPT, inputs, work.path(), Writes::Pythons, &[]).await;
        found.map_err(|error| match error {
            EnvironmentError::Dependency { summary, .. } => {
                EnvironmentError::Python { version: version.clone(), reason: summary }
            }
            other => other,
        })
    }

    /// Resolves what the inputs name into a lock with hashes.
    pub async fn resolve(&self, inputs: &Inputs) -> Result<String, EnvironmentError> {
        const COMPILE: &str = r#"
            set -e
            cd "$SOURCE"
            exec uv pip compile --quiet --generate-hashes --no-header ${PYTHON:+--python "$PYTHON"} \
                --output-file "$WORK/lock" "$FROM"
        "#;
        const EXPORT: &str = r#"
            set -e
            # uv wants to write beside the project, which is read-only.
            mkdir "$WORK/project"
            cp "$SOURCE/pyproject.toml" "$SOURCE/uv.lock" "$WORK/project/"
            cd "$WORK/project"
            exec uv export --quiet --frozen --no-dev --no-emit-project --no-header --emit-index-url \
                ${PYTHON:+--python "$PYTHON"} --format requirements.txt --output-file "$WORK/lock"
        "#;
        let work = seal::work_folder(self.options)?;
        let (script, from) = match inputs.named_by {
            NamedBy::UvLock => (EXPORT, String::new()),
            NamedBy::Script => {
                let text = inputs.files.values().next().map_or("", String::as_str);
                std::fs::write(work.path().join("requirements.txt"), text)
                    .map_err(io("writing what the script names"))?;
                (COMPILE, format!("{WORK}/requirements.txt"))
            }
            NamedBy::Nobody | NamedBy::Requirements => (COMPILE, "requirements.txt".to_owned()),
        };
        self.run(script, inputs, work.path(), Writes::Nothing, &[("FROM", from)]).await?;
        // Code of packages may have run in there, so what lies there is not trusted to be a file.
        seal::read_foreign(&work.path().join("lock"), MAX_LOCK).map_err(io("reading the new lock"))
    }

    /// Builds the environment `key` from `lock`.
    pub async fn install(&self, key: &str, lock: &str, inputs: &Inputs) -> Result<Report, EnvironmentError> {
        let kept = seal::kept_wheels(&self.options.root, key).map_err(io("reading the wheels that were built"))?;
        if !kept.is_empty() {
            return self.install_with(key, lock, inputs, kept).await;
        }
        let refused = match self.unpack(key, lock, inputs).await {
            Err(refused @ EnvironmentError::Dependency { .. }) => refused,
            other => return other,
        };
        // Most likely something has no wheel. If not, this says the true reason.
        let work = seal::work_folder(self.options)?;
        let built = self.build(lock, inputs, work.path()).await?;
        if built.is_empty() {
            return Err(refused);
        }
        let kept =
            seal::keep_wheels(&self.options.root, key, &built).map_err(io("keeping the wheels that were built"))?;
        drop(work);
        seal::discard(&self.options.root, key)?;
        self.install_with(key, lock, inputs, kept).await
    }

    async fn install_with(
        &self,
        key: &str,
        lock: &str,
        inputs: &Inputs,
        wheels: Vec<Wheel>,
    ) -> Result<Report, EnvironmentError> {
        let lock = with_wheels(lock, &wheels, &format!("{MOUNT}/built/{key}"));
        let report = self.unpack(key, &lock, inputs).await?;
        Ok(Report { built: wheels.into_iter().map(|wheel| wheel.file).collect(), ..report })
    }

    /// Installs wheels. No code of theirs runs: uv unpacks them, and Python compiles them without `site`, which would run
    /// their `.pth` files.
    async fn unpack(&self, key: &str, lock: &str, inputs: &Inputs) -> Result<Report, EnvironmentError> {
        // `--no-deps`: the lock is complete, and a package that it does not name must not slip in. One call of uv alone,
        // for it asks the environment's Python about itself, which must be empty then. What does not compile (a template,
        // code for another Python) is left as it is.
        const SCRIPT: &str = r#"
            set -e
            cd "$SOURCE"
            uv --version > "$WORK/uv"
            uv venv --quiet --no-project ${PYTHON:+--python "$PYTHON"} "$TARGET"
            if [ -s "$WORK/lock" ]; then
                uv pip install --quiet --no-deps --no-build --python "$TARGET/bin/python" -r "$WORK/lock"
                "$TARGET/bin/python" -I -S -m compileall -q -j 0 "$TARGET/lib" >/dev/null 2>&1 || true
            fi
            "$TARGET/bin/python" -I -S -c 'import platform; print(platform.python_version())' > "$WORK/python"
        "#;
        let work = seal::work_folder(self.options)?;
        std::fs::write(work.path().join("lock"), lock).map_err(io("writing the lock"))?;
        self.run(SCRIPT, inputs, work.path(), Writes::Everything, &[("TARGET", target(key))]).await?;
        let read = |name| std::fs::read_to_string(work.path().join(name)).map_err(io("reading the build's report"));
        Ok(Report {
            // `uv 0.8.1 (abc 2026-01-01)`: the second word is the version.
            uv_version: read("uv")?.split_whitespace().nth(1).unwrap_or_default().to_owned(),
            python_version: read("python")?.trim().to_owned(),
            built: Vec::new(),
        })
    }

    /// Builds what the lock names and no wheel exists for, in a cache of its own. Returns the wheels.
    async fn build(&self, lock: &str, inputs: &Inputs, work: &Path) -> Result<Vec<PathBuf>, EnvironmentError> {
        const SCRIPT: &str = r#"
            set -e
            cd "$SOURCE"
            uv venv --quiet --no-project ${PYTHON:+--python "$PYTHON"} "$WORK/venv"
            uv pip install --quiet --no-deps --python "$WORK/venv/bin/python" -r "$WORK/lock"
        "#;
        std::fs::write(work.join("lock"), lock).map_err(io("writing the lock"))?;
        self.run(SCRIPT, inputs, work, Writes::Nothing, &[]).await?;
        seal::built_wheels(&work.join("cache")).map_err(io("looking for the wheels that were built"))
    }

    async fn run(
        &self,
        script: &str,
        inputs: &Inputs,
        work: &Path,
        writes: Writes,
        more: &[(&str, String)],
    ) -> Result<(), EnvironmentError> {
        let mut source = inputs.folder.clone();
        if writes == Writes::Nothing {
            source = work.join("source");
            let (from, to) = (inputs.folder.clone(), source.clone());
            super::blocking("copying the code", move || {
                std::fs::create_dir(&to).and_then(|()| copy_into(&from, &to)).map_err(io("copying the code"))
            })
            .await?;
        }
        let spec = self.spec(inputs, &source, work, writes);
        let job = self.job(script, inputs, writes, more);
        if self.options.network == Network::Own {
            self.engine.ensure_network().await?;
        }
        // Whatever happens from here on, also when this future is dropped, the container goes.
        let _in_use = InUse::note(self.in_use, &spec.name);
        let container = Borrowed { engine: self.engine.clone(), id: Some(self.engine.create(&spec).await?) };
        let result = match &container.id {
            Some(id) => self.run_in(id, &job).await,
            None => return Err(EnvironmentError::Interrupted),
        };
        container.give_back().await;
        let (code, output) = result?;
        let output = without_credentials(&self.options.uv_env, output);
        match code {
            0 => return Ok(()),
            // The shell's, or the init's when there is no shell; uv itself ends with 1 or 2.
            126 | 127 => {
                let reason = last_line(&output);
                // dash says 127 also of what it finds and may not execute.
                let code = if reason.contains("Permission denied") { 126 } else { code };
                return Err(EnvironmentError::Worker { code, reason });
            }
            _ => {}
        }
        Err(EnvironmentError::Dependency { summary: summary(&output, code), output })
    }

    async fn run_in(&self, id: &ContainerId, job: &Job) -> Result<(i64, String), EnvironmentError> {
        let attachment = self.engine.attach(id).await?;
        let mut output = attachment.output;
        let collect = async {
            let mut kept = Vec::new();
            while let Some(Ok(frame)) = output.next().await {
                kept.extend_from_slice(&frame.bytes);
                if kept.len() > 2 * MAX_OUTPUT {
                    kept.drain(..kept.len() - MAX_OUTPUT);
                }
            }
            String::from_utf8_lossy(&kept).into_owned()
        };
        let work = async {
            self.engine.start(id).await?;
            attachment.input.send(job).await?;
            self.engine.wait(id).await
        };
        let (text, exit) = tokio::join!(collect, work);
        Ok((exit?.code, text))
    }

    fn spec(&self, inputs: &Inputs, source: &Path, work: &Path, writes: Writes) -> ContainerSpec {
        let bind = |from: &Path, target: &str, read_only| Mount::Bind {
            source: from.to_owned(),
            target: target.to_owned(),
            read_only,
        };
        let root = &self.options.root;
        let mut mounts = vec![bind(work, WORK, false)];
        match writes {
            // In one mount, so that uv can link from the one into the other.
            Writes::Everything => mounts.push(bind(root, MOUNT, false)),
            Writes::Pythons => mounts.push(bind(&root.join("pythons"), &format!("{MOUNT}/pythons"), false)),
            Writes::Nothing if inputs.python.is_some() => {
                mounts.push(bind(&root.join("pythons"), &format!("{MOUNT}/pythons"), true));
            }
            Writes::Nothing => {}
        }
        mounts.push(bind(source, SOURCE, writes != Writes::Nothing));
        if let Some(bundle) = &self.options.ca_bundle {
            mounts.push(bind(bundle, CA_MOUNT, true));
        }
        ContainerSpec {
            name: format!("fastflow-prepare-{}", uuid::Uuid::now_v7()),
            kind: Kind::Preparation,
            image: self.image.id.clone(),
            user: self.options.user.clone(),
            run_id: None,
            pipeline: None,
            mounts,
            network: self.options.network.clone(),
            limits: Limits { cpus: None, memory_bytes: None, pids: Some(4096) },
        }
    }

    fn job(&self, script: &str, inputs: &Inputs, writes: Writes, more: &[(&str, String)]) -> Job {
        let mut env: Vec<(String, String)> = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("HOME", WORK.to_owned()),
            ("TMPDIR", WORK.to_owned()),
            ("SOURCE", SOURCE.to_owned()),
            ("WORK", WORK.to_owned()),
            ("PYTHON", inputs.python.clone().unwrap_or_default()),
            ("NO_COLOR", "1".to_owned()),
            ("UV_NO_PROGRESS", "1".to_owned()),
            ("UV_NO_CONFIG", "1".to_owned()),
            (
                "UV_CACHE_DIR",
                if writes == Writes::Everything { format!("{MOUNT}/cache") } else { format!("{WORK}/cache") },
            ),
            ("UV_PYTHON_INSTALL_BIN", "0".to_owned()),
            ("UV_PYTHON_INSTALL_DIR", format!("{MOUNT}/pythons")),
            // Else uv takes one that was fetched for somebody else before that of the image.
            ("UV_PYTHON_PREFERENCE", if inputs.python.is_some() { "system" } else { "only-system" }.to_owned()),
            // Only where nothing else happens.
            ("UV_PYTHON_DOWNLOADS", if writes == Writes::Pythons { "manual" } else { "never" }.to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if self.options.ca_bundle.is_some() {
            env.push(("SSL_CERT_FILE".to_owned(), CA_MOUNT.to_owned()));
        }
        env.extend(self.options.uv_env.iter().cloned());
        env.extend(more.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Job { argv: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()], env, cwd: "/".to_owned() }
    }
}

/// What uv said, without the passwords of package indices and proxies.
fn without_credentials(env: &[(String, String)], output: String) -> String {
    let passwords = env.iter().flat_map(|(_, value)| value.split_whitespace()).filter_map(mask::url_password);
    match Mask::new(passwords) {
        Ok(Some(mask)) => mask.text(&output),
        Ok(None) => output,
        // Nobody has so many of them; then nothing is told.
        Err(_) => String::new(),
    }
}

fn io(what: &'static str) -> impl Fn(std::io::Error) -> EnvironmentError {
    move |source| EnvironmentError::Io { what, source }
}

/// A noted name; dropping it takes it off the list.
struct InUse<'a>(&'a Names, &'a str);

impl<'a> InUse<'a> {
    fn note(names: &'a Names, name: &'a str) -> Self {
        names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
        Self(names, name)
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(self.1);
    }
}

/// A container that is removed when it is no longer needed.
struct Borrowed {
    engine: Arc<dyn Engine>,
    id: Option<ContainerId>,
}

impl Borrowed {
    async fn give_back(mut self) {
        if let Some(id) = self.id.take() {
            remove(&self.engine, &id).await;
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let engine = self.engine.clone();
            tokio::spawn(async move { remove(&engine, &id).await });
        }
    }
}

async fn remove(engine: &Arc<dyn Engine>, id: &ContainerId) {
    if let Err(error) = engine.remove(id).await {
        tracing::warn!(%error, container = %id, "a preparation container stays until the next sweep: {error}");
    }
}

/// The last line that says anything.
fn last_line(output: &str) -> String {
    let line = output.lines().map(str::trim).rfind(|line| !line.is_empty());
    line.unwrap_or("nothing was said").chars().take(400).collect()
}

/// uv's reason in one line: its complaint and what it is due to, without decoration. Older versions draw it as a tree, newer
/// ones begin its lines with `error:` and `cause:`.
fn summary(output: &str, code: i64) -> String {
    let meaningful = |line: &&str| !line.is_empty();
    let clean = |line: &str| {
        let line = line.trim().trim_start_matches(['×', '╰', '─', '▶', '├', '│', ' ']);
        let line = ["error:", "cause:", "Caused by:"].iter().find_map(|word| line.strip_prefix(word)).unwrap_or(line);
        line.trim().to_owned()
    };
    let is_cause = |line: &&str| ["╰", "cause:", "Caused by:"].iter().any(|start| line.starts_with(start));
    let error = output.lines().map(str::trim).find(|line| line.starts_with("error:") || line.starts_with('×'));
    match error.or_else(|| output.lines().map(str::trim).rfind(meaningful)) {
        Some(line) => {
            let mut text = clean(line);
            // A resolution failure is told in two parts: that there is none, and why.
            if let Some(why) = output.lines().map(str::trim).find(is_cause) {
                text = format!("{}: {}", text.trim_end_matches(':'), clean(why));
            }
            text.chars().take(400).collect()
        }
        None => format!("uv ended with code {code} and said nothing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_an_index_are_not_repeated() {
        let env =
            [("UV_EXTRA_INDEX_URL".to_owned(), "https://a.example/ https://user:p%40ssword@b.example/".to_owned())];
        let output = "error: Failed to fetch https://user:p%40ssword@b.example/x: 401 p@ssword".to_owned();
        assert_eq!(without_credentials(&env, output), "error: Failed to fetch https://user:***@b.example/x: 401 ***");
        assert_eq!(without_credentials(&[], "x".to_owned()), "x");
    }

    #[test]
    fn uvs_reason_is_found_in_its_decoration() {
        let output = "  × No solution found when resolving dependencies:\n  ╰─▶ Because nope was not found in the package\n      registry, your requirements are unsatisfiable.\n";
        assert_eq!(
            summary(output, 1),
            "No solution found when resolving dependencies: Because nope was not found in the package"
        );
        let output =
            "error: No solution found when resolving dependencies\n  cause: Because there is no version of nope\n";
        assert_eq!(
            summary(output, 1),
            "No solution found when resolving dependencies: Because there is no version of nope"
        );
        assert_eq!(summary("warning: x\nerror: Failed to fetch\n", 2), "Failed to fetch");
        assert_eq!(summary("", 2), "uv ended with code 2 and said nothing");
    }
}
