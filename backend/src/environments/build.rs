//! The preparation container: the only place where uv reaches the network and writes the cache. It holds no secret.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;

use super::{CA_MOUNT, EnvironmentError, Inputs, MOUNT, Options, target};
use crate::domain::mask::{self, Mask};
use crate::engine::{ContainerId, ContainerSpec, Engine, Image, Job, Kind, Limits, Mount, Network};

/// Where the pipeline's folder is mounted (read-only), for requirement files that refer to others.
const SOURCE: &str = "/fastflow/source";

/// Where the build's private folder is mounted; temporary files and results go there.
const WORK: &str = "/fastflow/work";

/// Most bytes of uv's output that are kept: the end, where the reason stands.
const MAX_OUTPUT: usize = 64 * 1024;

/// One build: how its containers are made.
pub struct Worker<'a> {
    /// Settings of the room.
    pub options: &'a Options,
    /// Docker.
    pub engine: &'a Arc<dyn Engine>,
    /// The worker image.
    pub image: &'a Image,
    /// Private folder of this build on this machine.
    pub work: &'a Path,
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
}

impl Worker<'_> {
    /// Resolves the requirements into a lock with hashes.
    pub async fn resolve(&self, inputs: &Inputs) -> Result<String, EnvironmentError> {
        const SCRIPT: &str = r#"
            set -e
            cd "$SOURCE"
            set -- --quiet --generate-hashes --no-header --output-file "$WORK/lock" requirements.txt
            [ -z "$PYTHON" ] || set -- --python-version "$PYTHON" "$@"
            exec uv pip compile "$@"
        "#;
        self.run(SCRIPT, inputs, &[]).await?;
        std::fs::read_to_string(self.work.join("lock"))
            .map_err(|source| EnvironmentError::Io { what: "reading the new lock", source })
    }

    /// Builds the environment `key` from `lock`.
    pub async fn install(&self, key: &str, lock: &str, inputs: &Inputs) -> Result<Report, EnvironmentError> {
        // `--no-deps`: the lock is complete, and a package that it does not name must not slip in.
        const SCRIPT: &str = r#"
            set -e
            cd "$SOURCE"
            uv --version > "$WORK/uv"
            uv venv --quiet --no-project ${PYTHON:+--python "$PYTHON"} "$TARGET"
            if [ -s "$WORK/lock" ]; then
                uv pip install --quiet --no-deps --compile-bytecode --python "$TARGET/bin/python" -r "$WORK/lock"
            fi
            "$TARGET/bin/python" -c 'import platform; print(platform.python_version())' > "$WORK/python"
        "#;
        let io = |what| move |source| EnvironmentError::Io { what, source };
        std::fs::write(self.work.join("lock"), lock).map_err(io("writing the lock"))?;
        self.run(SCRIPT, inputs, &[("TARGET", target(key))]).await?;
        let read = |name| std::fs::read_to_string(self.work.join(name)).map_err(io("reading the build's report"));
        Ok(Report {
            // `uv 0.8.1 (abc 2026-01-01)`: the second word is the version.
            uv_version: read("uv")?.split_whitespace().nth(1).unwrap_or_default().to_owned(),
            python_version: read("python")?.trim().to_owned(),
        })
    }

    async fn run(&self, script: &str, inputs: &Inputs, more: &[(&str, String)]) -> Result<(), EnvironmentError> {
        let spec = self.spec(inputs);
        if self.options.network == Network::Own {
            self.engine.ensure_network().await?;
        }
        // Whatever happens from here on, also when this future is dropped, the container goes.
        let _in_use = InUse::note(self.in_use, &spec.name);
        let container = Borrowed { engine: self.engine.clone(), id: Some(self.engine.create(&spec).await?) };
        let result = match &container.id {
            Some(id) => self.run_in(id, script, inputs, more).await,
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

    async fn run_in(
        &self,
        id: &ContainerId,
        script: &str,
        inputs: &Inputs,
        more: &[(&str, String)],
    ) -> Result<(i64, String), EnvironmentError> {
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
            attachment.input.send(&self.job(script, inputs, more)).await?;
            self.engine.wait(id).await
        };
        let (text, exit) = tokio::join!(collect, work);
        Ok((exit?.code, text))
    }

    fn spec(&self, inputs: &Inputs) -> ContainerSpec {
        let bind = |source: &Path, target: &str, read_only| Mount::Bind {
            source: source.to_owned(),
            target: target.to_owned(),
            read_only,
        };
        let mut mounts = vec![bind(&self.options.root, MOUNT, false), bind(self.work, WORK, false)];
        mounts.push(bind(&inputs.folder, SOURCE, true));
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

    fn job(&self, script: &str, inputs: &Inputs, more: &[(&str, String)]) -> Job {
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
            ("UV_CACHE_DIR", format!("{MOUNT}/cache")),
            ("UV_PYTHON_INSTALL_DIR", format!("{MOUNT}/pythons")),
            // Another Python than the image's is fetched only when a pipeline asks for one.
            ("UV_PYTHON_DOWNLOADS", if inputs.python.is_some() { "automatic" } else { "never" }.to_owned()),
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
