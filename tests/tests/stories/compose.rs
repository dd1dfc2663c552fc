//! The compose file, run by Docker Compose itself: first as docs/install.md shows it, then with all of its profiles. The file is the
//! repository's; an additional one names what a test must have for itself (ports, a subnet) and the program that is built already.
//! Images that cannot be pulled here have stand-ins, given by the variables that are there for those who keep copies of their own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use fastflow_shared::{RunStatus, routes};
use fastflow_tests::docker::{self, docker};
use fastflow_tests::pipelines::Pipeline;
use fastflow_tests::server::{PASSWORD, USER};
use fastflow_tests::wait::{PATIENCE, until, within};
use fastflow_tests::{Client, place};
use serde_json::{Value, json};

use super::image::{self, COUNTS, counted};

/// All that the file has.
const ALL: [&str; 4] = ["--profile", "postgres", "--profile", "tls"];

/// Lays out a stand-in for PostgreSQL's image with the programs of this machine: `sh -c … FOLDER`.
const POSTGRES_FILES: &str = r#"
set -eu
cd "$0"
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
home=${bin%/bin}
mkdir root
cp -r --parents "$bin/postgres" "$bin/initdb" "$bin/pg_isready" "$home/lib/plpgsql.so" "$home/lib/dict_snowball.so" \
    "/usr/share/postgresql/${home##*/}" root
ldd "$bin/postgres" "$bin/initdb" "$bin/pg_isready" | awk '$3 ~ /^\// { print $3 }' | sed 's|^/lib/|/usr/lib/|' | sort -u |
    grep -v '/libc\.so' | xargs cp -L --parents --target-directory root
cat >Dockerfile <<END
ARG BASE
FROM \$BASE
COPY root/ /
COPY start /usr/local/bin/
ENV PATH=$bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
CMD ["sh", "/usr/local/bin/start"]
END
"#;

/// What PostgreSQL's image does at each start, and before at the first one.
const POSTGRES_START: &str = r#"
set -eu
as() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
mkdir -p /run/postgresql
chown nobody /run/postgresql "$PGDATA"
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    (umask 077 && printf %s "$POSTGRES_PASSWORD" >/tmp/password && chown nobody /tmp/password)
    as initdb -D "$PGDATA" -U "$POSTGRES_USER" --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256 -E UTF8 --locale C.UTF-8
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_DB" | as postgres --single -D "$PGDATA" postgres
fi
exec setpriv --reuid nobody --regid nogroup --clear-groups postgres -D "$PGDATA" -c "listen_addresses=*"
"#;

/// A checkout as a user has it, and all that Compose makes of it; removed with the value.
struct Checkout {
    /// Name of the project, of the images made for it, and of the installation.
    name: String,
    folder: PathBuf,
    http: u16,
    https: u16,
    subnet: String,
}

impl Checkout {
    async fn make() -> Self {
        let name = place::unique();
        let folder = place::scratch().join(&name);
        let subnet = format!("172.30.{}.0/24", 41 + std::process::id() % 200);
        let checkout = Self { name, folder, http: place::free_port(), https: place::free_port(), subnet };
        image::context(&checkout.folder);
        for file in ["docker-compose.yaml", ".env.example", ".dockerignore"] {
            std::fs::copy(place::repository().join(file), checkout.folder.join(file))
                .expect("a file of the repository");
        }
        let plugins = checkout.folder.join("docker/cli-plugins");
        std::fs::create_dir_all(&plugins).expect("a folder");
        std::os::unix::fs::symlink(place::service("FASTFLOW_TEST_COMPOSE"), plugins.join("docker-compose"))
            .expect("a link");
        checkout.add_own_file().await;
        checkout
    }

    /// What the tests need beside the repository's file.
    async fn add_own_file(&self) {
        let build = match image::finished() {
            Some(finished) => {
                docker(&["tag", &finished, &self.name]).await;
                "!reset null".to_owned()
            }
            None => format!("{{target: prebuilt, args: {{RUNTIME_IMAGE: {:?}}}}}", docker::image()),
        };
        let Self { name, http, https, subnet, .. } = self;
        let text = format!(
            "services:\n  fastflow:\n    image: {name}\n    build: {build}\n    healthcheck: {{interval: 2s}}\n    \
             ports: !override [\"127.0.0.1:{http}:8000\"]\n  proxy:\n    ports: !override [\"127.0.0.1:{https}:443\"]\n\
             networks:\n  front:\n    ipam: !override {{config: [{{subnet: {subnet}}}]}}\n"
        );
        std::fs::write(self.folder.join("tests.yaml"), text).expect("a file");
    }

    /// Images for the profiles, from what this machine has.
    async fn make_stand_ins(&self) -> [(&'static str, String); 2] {
        let base = format!("BASE={}", docker::image());
        let [postgres, proxy] = ["postgres", "proxy"].map(|service| self.folder.join("stand-ins").join(service));
        for folder in [&postgres, &proxy] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        let write = |path: PathBuf, text: &str| std::fs::write(path, text).expect("a file");
        write(postgres.join("start"), POSTGRES_START);
        let mut files = std::process::Command::new("sh");
        assert!(files.args(["-c", POSTGRES_FILES]).arg(&postgres).status().expect("sh").success());
        std::fs::copy(place::service("FASTFLOW_TEST_CADDY"), proxy.join("caddy")).expect("Caddy");
        let dockerfile =
            "ARG BASE\nFROM $BASE\nCOPY caddy /usr/local/bin/\nENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config\n";
        write(proxy.join("Dockerfile"), dockerfile);
        let names = ["postgres", "proxy"].map(|service| format!("{}-{service}", self.name));
        for (name, folder) in names.iter().zip([&postgres, &proxy]) {
            image::build(name, folder, &["--build-arg", &base]).await;
        }
        let [postgres, proxy] = names;
        [("POSTGRES_IMAGE", postgres), ("PROXY_IMAGE", proxy)]
    }

    /// Adds to `.env`.
    fn set(&self, variables: &[(&str, &str)]) {
        let path = self.folder.join(".env");
        let mut text = std::fs::read_to_string(&path).unwrap_or_default();
        variables.iter().for_each(|(name, value)| text.push_str(&format!("\n{name}={value}\n")));
        std::fs::write(path, text).expect("a file");
    }

    /// A shell in the checkout, where `docker compose` takes the additional file as well.
    fn shell(&self, line: &str) -> std::process::Command {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", line]).current_dir(&self.folder).stdin(Stdio::null()).env_clear();
        let passed =
            ["PATH", "HOME", "DOCKER_HOST"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        shell.envs(passed).env("DOCKER_CONFIG", self.folder.join("docker"));
        shell.env("COMPOSE_PROJECT_NAME", &self.name).env("COMPOSE_FILE", "docker-compose.yaml:tests.yaml");
        shell
    }

    /// Runs a line and returns what it prints.
    async fn run(&self, line: &str) -> String {
        let mut shell = tokio::process::Command::from(self.shell(line));
        let output = within(line, Duration::from_secs(180), shell.kill_on_drop(true).output()).await.expect("sh");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `docker compose` with all profiles.
    async fn compose(&self, words: &str) -> String {
        self.run(&format!("docker compose {} {words}", ALL.join(" "))).await
    }

    /// What a service is and how it does, for as long as it is there.
    async fn state(&self, service: &str) -> Option<(String, String)> {
        let lines = self.compose("ps --all --format json").await;
        let mut all = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = all.find(|found| found["Service"] == service)?;
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        Some((text("State"), text("Health")))
    }

    async fn healthy(&self, service: &str) {
        until(&format!("{service} to be healthy"), PATIENCE, async || {
            let (state, health) = self.state(service).await?;
            (state == "running" && health == "healthy").then_some(())
        })
        .await;
    }

    /// The address that the proxy does not stand before.
    fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.http)
    }

    async fn ready(&self) {
        let anonymous = Client::anonymous(&self.base());
        let look = async || anonymous.is_well(routes::READY).await.then_some(());
        until("the product to be ready", PATIENCE, look).await;
    }

    /// Asks through the proxy, as a client that has never heard of its authority.
    async fn https(&self, path: &str, more: &[&str]) -> Option<String> {
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["--insecure", "--silent", "--show-error", "--include", "--no-buffer", "--max-time", "60"]);
        curl.args(more).arg(format!("https://localhost:{}{path}", self.https)).kill_on_drop(true);
        let output = within(path, Duration::from_secs(90), curl.output()).await.expect("curl");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Over HTTPS the cookie is for HTTPS alone, because the proxy is believed; and a stream is not held back.
    async fn is_used_over_https(&self) {
        until("the product behind its proxy", PATIENCE, async || {
            let ready = self.https(routes::READY, &[]).await;
            ready.filter(|answer| answer.lines().next().is_some_and(|line| line.contains(" 200")))
        })
        .await;
        let login = json!({ "username": USER, "password": PASSWORD }).to_string();
        let json = ["--header", "Content-Type: application/json", "--data", &login];
        let answer = self.https("/api/auth/login", &json).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let head = head.to_lowercase();
        let cookie = head.lines().find(|line| line.starts_with("set-cookie:")).expect("a cookie");
        assert!(cookie.contains("secure") && head.contains("strict-transport-security:"), "{head}");
        let body: Value = serde_json::from_str(body).expect("JSON");
        let bearer = format!("Authorization: Bearer {}", body["access_token"].as_str().expect("a token"));
        let started = self.https("/api/pipelines/hello/run", &["--header", &bearer, "--request", "POST"]).await;
        let started = started.expect("an answer");
        let run: Value = serde_json::from_str(started.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
        let stream = format!("/api/runs/{}/logs/stream", run["id"].as_str().unwrap_or_else(|| panic!("{started}")));
        let streamed = self.https(&stream, &["--header", &bearer]).await.expect("it ends by itself");
        for wanted in ["hello from behind a proxy", "event: end", "SUCCESS"] {
            assert!(streamed.contains(wanted), "{streamed}");
        }
    }

    /// As install.md says, word by word but for the clone: SQLite, no proxy, a password that is made up.
    async fn works_as_documented(&self, own: &[(&str, &str)]) {
        let lines = shown(&place::repository().join("docs/install.md"), "## With Docker Compose");
        let (clone, lines) = lines.split_first().expect("commands");
        assert!(clone.starts_with("git clone ") && lines.len() == 3, "{lines:?}");
        let mut told = String::new();
        for line in lines {
            let is_start = line.starts_with("docker compose up");
            if is_start {
                self.set(own);
            }
            told = self.run(line).await;
            if is_start {
                self.ready().await;
            }
        }
        let password = told.split("password ").nth(1).and_then(|rest| rest.split_whitespace().next());
        let password = password.unwrap_or_else(|| panic!("no password in {told}"));
        let client = Client::program(&self.base(), USER, password).await;
        assert_eq!(client.run_to_end("hello").await.status, RunStatus::Success);
        let told = self.compose("exec --no-TTY fastflow fastflow doctor").await;
        assert!(told.contains("SQLite") && !told.contains("FAIL"), "{told}");
        self.compose("down").await;
        self.has_volumes(&["data"]).await;
    }

    async fn has_volumes(&self, volumes: &[&str]) {
        for volume in volumes {
            docker(&["volume", "inspect", &format!("{}_{volume}", self.name)]).await;
        }
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let compose = |words: &str| self.shell(&format!("docker compose {} {words}", ALL.join(" "))).output();
        if std::thread::panicking()
            && let Ok(logs) = compose("logs --no-color --tail 40")
        {
            eprintln!("the services said:\n{}", String::from_utf8_lossy(&[logs.stdout, logs.stderr].concat()));
        }
        let _ = compose("down --volumes --timeout 5");
        docker::remove_all_of(&self.name);
        for image in ["", "-postgres", "-proxy"] {
            let name = format!("{}{image}", self.name);
            let _ = std::process::Command::new("docker").args(["image", "rm", "--force", &name]).output();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The commands that a section of a document shows, without their comments.
fn shown(document: &Path, section: &str) -> Vec<String> {
    let text = std::fs::read_to_string(document).expect("a document");
    let block = text.split_once(section).and_then(|(_, rest)| rest.split_once("```console\n")).expect("a block").1;
    let lines = block.lines().take_while(|line| *line != "```");
    lines.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned()).collect()
}

#[tokio::test]
async fn compose_runs_the_file_as_the_documents_say_and_with_all_profiles() {
    let checkout = Checkout::make().await;
    let pipelines = checkout.folder.join("pipelines");
    let _ = Pipeline::create(&pipelines, "hello", "print('hello from behind a proxy')");
    let _ = Pipeline::create(&pipelines, "counts", COUNTS);
    let worker = docker::image();
    let own = [("FASTFLOW_INSTANCE", checkout.name.as_str()), ("WORKER_BASE_IMAGE", worker.as_str())];

    // Two images are built meanwhile.
    let (images, ()) = tokio::join!(checkout.make_stand_ins(), checkout.works_as_documented(&own));

    // With everything. Nothing says which service comes first: the product waits for its database.
    checkout.set(&images.each_ref().map(|(name, value)| (*name, value.as_str())));
    checkout.set(&[
        ("POSTGRES_PASSWORD", "a-quiet-word"),
        ("DATABASE_URL", "postgres://fastflow:a-quiet-word@postgres:5432/fastflow"),
        ("FASTFLOW_DOMAIN", "localhost"),
        ("TRUSTED_PROXIES", &checkout.subnet),
        ("ADMIN_PASSWORD", PASSWORD),
    ]);
    checkout.compose("config --quiet").await;
    checkout.compose("up --build --detach").await;
    checkout.is_used_over_https().await;
    let told = checkout.compose("exec --no-TTY fastflow fastflow doctor").await;
    assert!(told.contains("PostgreSQL") && !told.contains("FAIL"), "{told}");
    checkout.healthy("postgres").await;

    // The service is started again while a run works: the run goes on, every line once.
    let client = Client::program(&checkout.base(), USER, PASSWORD).await;
    let run = client.start("counts").await;
    client.log_when(&run.id, "line 0050").await;
    checkout.compose("restart fastflow").await;
    checkout.ready().await;
    assert_eq!(client.end_of(&run.id).await.status, RunStatus::Success);
    assert_eq!(client.log_text(&run.id).await, counted());
    checkout.healthy("fastflow").await;
    client.idle().await;

    // Taken down, nothing is left but the volumes; and what is started again has everything.
    checkout.compose("down").await;
    assert_eq!(checkout.state("fastflow").await, None);
    checkout.has_volumes(&["data", "postgres", "certificates"]).await;
    checkout.compose("up --detach").await;
    checkout.ready().await;
    assert_eq!(client.run(&run.id).await.status, RunStatus::Success, "the session outlives it as well");
    assert_eq!(client.log_text(&run.id).await, counted());
}
