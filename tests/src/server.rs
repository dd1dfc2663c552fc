//! A server on data of its own: started as an operator starts it, killed as a power cut kills it.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fastflow_shared::routes;
use rustix::process::{Pid, Signal, kill_process};

use crate::options::{Database, Options, UvCache};
use crate::pipelines::Pipeline;
use crate::postgres::Schema;
use crate::wait::until;
use crate::{Client, docker, place, postgres, sweep, warm};

/// Name of the first user.
pub const USER: &str = "admin";

/// Password of the first user.
pub const PASSWORD: &str = "a password for stories";

/// How long a start may take.
const START: Duration = Duration::from_secs(60);

/// Variables of the tests' own environment that a server gets as well; all others are kept from it.
const PASSED_ON: &[&str] = &["PATH", "HOME", "DOCKER_HOST", "SSL_CERT_FILE", "WORKER_BASE_IMAGE", "RUST_BACKTRACE"];

/// A server with everything that belongs to it. When it is dropped, all of that goes.
pub struct Server {
    /// How it is started; may be changed before a restart.
    pub options: Options,
    root: PathBuf,
    instance: String,
    port: u16,
    schema: Option<Schema>,
    process: Option<Child>,
    client: Option<Client>,
    /// Everything but the process and its port belongs to another one.
    is_second: bool,
}

impl Server {
    /// Starts a server and logs in.
    pub async fn start(options: Options) -> Self {
        let mut server = Self::prepare(options).await;
        server.launch().await;
        server
    }

    /// Lays out a server's folders without starting it.
    pub async fn prepare(options: Options) -> Self {
        sweep::once();
        if options.uv_cache == UvCache::Shared {
            warm::once().await;
        }
        let instance = place::unique();
        let root = place::scratch().join(&instance);
        fs::create_dir_all(root.join("pipelines")).expect("the server's folders can be made");
        let schema = match options.database {
            Database::Sqlite => None,
            Database::Postgres => Some(Schema::create(&instance).await),
        };
        Self {
            options,
            root,
            instance,
            port: place::free_port(),
            schema,
            process: None,
            client: None,
            is_second: false,
        }
    }

    /// Another process on the very same data; not started yet. It must go before this one.
    #[must_use]
    pub fn second(&self) -> Self {
        let mut options = self.options.clone();
        if let Some(schema) = &self.schema {
            options.env.insert("DATABASE_URL".to_owned(), schema.url());
        }
        let (root, instance) = (self.root.clone(), self.instance.clone());
        let port = place::free_port();
        Self { options, root, instance, port, schema: None, process: None, client: None, is_second: true }
    }

    /// Waits until it has ended by itself; returns its exit code.
    pub async fn end(&mut self) -> Option<i32> {
        let status = until("the server's own end", START, async || self.exited()).await;
        self.process = None;
        status.code()
    }

    /// Starts it and, the first time, logs in.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn launch(&mut self) {
        self.spawn();
        let (path, base) = (if self.options.unready { routes::HEALTH } else { routes::READY }, self.base());
        let anonymous = Client::anonymous(&base);
        until(&format!("the server's {path}"), START, async || {
            if let Some(status) = self.exited() {
                panic!("the server ended with {status} instead of starting");
            }
            anonymous.is_well(path).await.then_some(())
        })
        .await;
        if self.client.is_none() {
            self.client = Some(Client::program(&base, USER, PASSWORD).await);
        }
        if self.options.warm > 0 && !self.options.unready {
            self.all_parked().await;
        }
    }

    /// Waits until as many containers are parked as it shall keep.
    ///
    /// # Panics
    /// When they are not in time.
    pub async fn all_parked(&self) {
        let wanted = i32::try_from(self.options.warm).unwrap_or(i32::MAX);
        until("all parked containers", Duration::from_secs(30), async || {
            (self.client().overview().await.warm_ready == wanted).then_some(())
        })
        .await;
    }

    /// Starts the process without waiting for anything.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let log = OpenOptions::new().create(true).append(true).open(self.log_file()).expect("a file for its messages");
        let out = File::create(self.file("out")).expect("a file for its output");
        let mut command = self.command();
        self.settings(&mut command);
        command.stdin(Stdio::null()).stdout(out).stderr(log);
        let process = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", place::server_binary().display()));
        let _ = fs::write(self.file("pid"), process.id().to_string());
        self.process = Some(process);
    }

    /// Calls the program with the server's settings; says how it ended and what it printed.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn call(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(place::server_binary());
        self.settings(&mut command);
        let output = command.args(arguments).stdin(Stdio::null()).output().expect("it can be started");
        let printed = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&printed).into_owned())
    }

    /// Gives a command of a story's own the server's settings.
    pub fn give_settings(&self, command: &mut tokio::process::Command) {
        self.settings(command.as_std_mut());
    }

    fn settings(&self, command: &mut Command) {
        command.current_dir(&self.root).env_clear();
        for (name, value) in std::env::vars() {
            if PASSED_ON.contains(&name.as_str()) || name.starts_with("UV_") {
                command.env(name, value);
            }
        }
        command
            .env("BIND_ADDRESS", format!("127.0.0.1:{}", self.port))
            .env("DATA_DIR", self.data_dir())
            .env("PIPELINES_DIR", self.pipelines_dir())
            .env("UV_CACHE_DIR", self.uv_cache_dir())
            .env("FASTFLOW_INSTANCE", &self.instance)
            .env("ADMIN_USERNAME", USER)
            .env("ADMIN_PASSWORD", PASSWORD)
            .env("WARM_CONTAINERS", self.options.warm.to_string())
            .env("LOG_LEVEL", "debug");
        if let Some(schema) = &self.schema {
            command.env("DATABASE_URL", schema.url());
        }
        if self.options.log_disk.or(self.options.data_disk).is_some() {
            // Such a disk is smaller than what is kept free of others.
            command.env("DATA_MIN_FREE_MB", "0");
        }
        command.envs(&self.options.env);
    }

    fn command(&self) -> Command {
        // Mounted for this process alone, so they go with it and nobody has to clean up.
        let logs = self.options.log_disk.map(|size| (size, self.root.join("small-disk")));
        let git = self.options.git_disk.map(|size| (size, self.data_dir().join("git")));
        let data = self.options.data_disk.map(|size| (size, self.data_dir()));
        let mut script = String::new();
        for (size, folder) in logs.iter().chain(&git).chain(&data) {
            fs::create_dir_all(folder).expect("a folder to mount at");
            script.push_str(&format!("mount -t tmpfs -o size={size} none '{}' && ", folder.display()));
        }
        if script.is_empty() {
            let mut command = Command::new(place::server_binary());
            command.arg("serve");
            return command;
        }
        if let Some((_, folder)) = &logs {
            script.push_str(&format!("LOGS_DIR='{}' ", folder.display()));
        }
        script.push_str(r#"exec "$0" serve"#);
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        command.args(["--mount", "sh", "-c", &script]).arg(place::server_binary());
        command
    }

    /// Runs the program's command line on the server's data, with `input` on its standard input. Returns what it printed, or
    /// what it complained of.
    ///
    /// # Errors
    /// When it ends with a failure.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn command_line(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new(place::server_binary());
        command.args(arguments).current_dir(&self.root).env_clear().env("DATA_DIR", self.data_dir());
        if let Some(schema) = &self.schema {
            command.env("DATABASE_URL", schema.url());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the program starts");
        std::io::Write::write_all(&mut process.stdin.take().expect("a pipe"), input.as_bytes()).expect("it reads");
        let output = process.wait_with_output().expect("it ends");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Its end, if it has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.try_wait().expect("its state can be asked for")
    }

    /// Kills it, as a power cut would.
    pub fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it can be killed");
            process.wait().expect("it ends");
        }
    }

    /// Asks it to end and waits. Returns how long that took.
    ///
    /// # Panics
    /// When it does not end, or not well.
    pub async fn terminate(&mut self) -> Duration {
        let begin = Instant::now();
        self.signal(Signal::TERM);
        let status = until("the server's end", Duration::from_secs(30), async || self.exited()).await;
        self.process = None;
        assert!(status.success(), "the server ended with {status}");
        begin.elapsed()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it takes signals");
    }

    /// Starts it again on the same data.
    pub async fn restart(&mut self) {
        self.kill9();
        self.launch().await;
    }

    /// Lets the next start hold at a step of a run's life (see [`Self::held`]).
    pub fn hold_at(&mut self, step: &str) {
        let file = self.root.join("held");
        let _ = fs::remove_file(&file);
        self.options.env.insert("FASTFLOW_TEST_HOLD_AT".to_owned(), format!("{step}:{}", file.display()));
    }

    /// Lets the next start hold nowhere.
    pub fn hold_nowhere(&mut self) {
        self.options.env.remove("FASTFLOW_TEST_HOLD_AT");
    }

    /// Waits until a run was held at the step.
    pub async fn held(&self) {
        let file = self.root.join("held");
        until("a run to reach the step", START, async || file.exists().then_some(())).await;
    }

    /// The admin's client.
    ///
    /// # Panics
    /// When the server was never started.
    #[must_use]
    pub fn client(&self) -> &Client {
        self.client.as_ref().expect("the server was started")
    }

    /// A client without credentials.
    #[must_use]
    pub fn anonymous(&self) -> Client {
        Client::anonymous(&self.base())
    }

    /// Writes a pipeline.
    pub fn pipeline(&self, name: &str, main_py: &str) -> Pipeline {
        Pipeline::create(&self.pipelines_dir(), name, main_py)
    }

    /// Takes over a pipeline of `examples/`.
    pub fn example(&self, name: &str) -> Pipeline {
        Pipeline::example(&self.pipelines_dir(), name)
    }

    /// Its address.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its name on containers.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The address of its PostgreSQL schema.
    ///
    /// # Panics
    /// When it works with SQLite.
    #[must_use]
    pub fn postgres_url(&self) -> String {
        self.schema.as_ref().expect("a server on PostgreSQL").url()
    }

    /// Executes a statement on its database, beside it.
    ///
    /// # Panics
    /// When the database refuses it.
    pub async fn sql(&self, statement: &'static str) {
        use sqlx::{Connection as _, Executor as _};
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&self.database_url()).await.expect("its database");
        connection.execute(statement).await.expect("the database does it");
        connection.close().await.expect("closed");
    }

    /// Executes statements on its database in one transaction, beside it.
    ///
    /// # Panics
    /// When the database refuses one of them.
    pub async fn sql_all(&self, statements: Vec<String>) {
        use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
        sqlx::any::install_default_drivers();
        let mut connection = sqlx::AnyConnection::connect(&self.database_url()).await.expect("its database");
        let mut transaction = connection.begin().await.expect("a transaction");
        for statement in statements {
            let done = transaction.execute(AssertSqlSafe(statement.clone())).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
        transaction.commit().await.expect("committed");
        connection.close().await.expect("closed");
    }

    /// Every row of every table as text, as a dump has it.
    ///
    /// # Panics
    /// When the database cannot be read.
    pub async fn rows(&self) -> Vec<(String, Vec<String>)> {
        postgres::rows(&self.postgres_url()).await
    }

    fn database_url(&self) -> String {
        match &self.schema {
            Some(schema) => schema.url(),
            None => format!("sqlite://{}", self.data_dir().join("fastflow.db").display()),
        }
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> Pid {
        let process = self.process.as_ref().expect("it runs");
        Pid::from_raw(process.id().try_into().expect("a process id")).expect("a process id")
    }

    /// `DATA_DIR`.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.root.join("data")
    }

    /// `PIPELINES_DIR`.
    #[must_use]
    pub fn pipelines_dir(&self) -> PathBuf {
        self.root.join("pipelines")
    }

    /// `UV_CACHE_DIR`.
    #[must_use]
    pub fn uv_cache_dir(&self) -> PathBuf {
        match &self.options.uv_cache {
            UvCache::Shared => warm::cache(),
            UvCache::Own => self.root.join("uv_cache"),
            UvCache::At(folder) => folder.clone(),
        }
    }

    /// Its folder, for whatever a story wants to leave there.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What it has said so far.
    #[must_use]
    pub fn messages(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.file("log")
    }

    fn file(&self, end: &str) -> PathBuf {
        self.root.join(format!("{}.{end}", if self.is_second { "second" } else { "server" }))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let messages = self.messages();
            // Polling fills the log; what it says of other things is wanted.
            let lines: Vec<&str> = messages.lines().filter(|line| !line.contains(" method=GET ")).collect();
            eprintln!("\nthe server's last messages:\n{}", lines[lines.len().saturating_sub(80)..].join("\n"));
        }
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if self.is_second {
            return;
        }
        docker::remove_all_of(&self.instance);
        let _ = fs::remove_dir_all(&self.root);
    }
}
