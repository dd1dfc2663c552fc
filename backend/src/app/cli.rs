//! The command line.

use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing::error;

use super::people::{self, UserCommand};
use super::{backup, doctor, health, measure, rotate, serve, telemetry, validate};
use crate::config::{self, Config, Sources};
use crate::domain::schema::pipeline_schema;

/// Runs Python pipelines from a git repository, each in a fresh, hardened container.
#[derive(Debug, Parser)]
#[command(name = "fastflow", version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

/// Exit code of a start that may work later, for whoever starts the server again and again.
const MAY_PASS: u8 = 3;

const EXIT_CODES: &str = "Without a command the server is started. Settings come from the environment and from .env; \
                          see `fastflow config`.\n\nExit codes:\n  0  done\n  1  failed, or a problem was found\n  \
                          2  wrong usage: an unknown command or argument\n  3  the server cannot start now and may later: the \
                          database does not answer,\n     another server works on the same SQLite or folder, or the address \
                          is taken";

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server (the default).
    ///
    /// SIGTERM and SIGINT end it; working runs go on and the next start finds them. Several servers may work on one PostgreSQL
    /// and one DATA_DIR.
    Serve,
    /// Look at everything that a server needs, say of each thing whether it is well, and how to mend it.
    ///
    /// Settings, disks, database, keys, link mode, Docker, the worker image, a container as a run gets it, clocks and the git
    /// remote. Changes nothing; a server may run beside it. Ends with 1 when something fails, with 0 when all is well or only
    /// worth a warning.
    Doctor {
        /// Print one JSON document instead.
        #[arg(long)]
        json: bool,
    },
    /// Ask the server of these settings whether it is alive; for health checks of containers.
    ///
    /// Ends with 0 when it is, with 1 when it does not answer at BIND_ADDRESS within three seconds.
    Health,
    /// Check pipelines and print every problem as file:line:column.
    Validate {
        /// Folder of a pipeline, or of pipelines.
        dir: PathBuf,
        /// Print one JSON document instead.
        #[arg(long)]
        json: bool,
    },
    /// Encrypt everything anew with the first key of ENCRYPTION_KEY, so that the others can be removed.
    ///
    /// Put the new key before the old one, separated by a comma, restart the server, call this, and then remove the old key.
    /// It may be broken off and called again. Values in encrypted_env of a pipeline.json are not touched.
    RotateKey,
    /// Write a backup of the SQLite database to a file, with the server running or not.
    ///
    /// It holds neither the encryption key nor logs. PostgreSQL has pg_dump.
    Backup {
        /// The file; it must not be there yet.
        file: PathBuf,
    },
    /// Put a backup in the place of the SQLite database. No server may be running.
    ///
    /// The backup is checked first, and the database that it replaces is kept under another name.
    Restore {
        /// The backup.
        file: PathBuf,
        /// Replace a database that is there.
        #[arg(long)]
        force: bool,
    },
    /// Print a JSON Schema of pipeline.json, for editors.
    Schema,
    /// Look after users, with the server running or not.
    #[command(subcommand)]
    User(UserCommand),
    /// Show the settings that hold and where each comes from; secrets are hidden.
    Config {
        /// Print an example of a .env instead, with every setting, its meaning and its default.
        #[arg(long)]
        example: bool,
        /// Print the same as a page of documentation.
        #[arg(long, conflicts_with = "example")]
        markdown: bool,
    },
    /// Carries lines through the whole path of a log, without Docker, and says how long it took; for `scripts/instructions`.
    #[command(hide = true)]
    MeasureLogPath {
        /// How many lines of 100 bytes.
        #[arg(long, default_value_t = 1_000_000)]
        lines: u64,
        /// How many secrets are looked for in them.
        #[arg(long, default_value_t = 0)]
        secrets: u32,
        /// How many viewers read all of them as events.
        #[arg(long, default_value_t = 0)]
        viewers: u32,
    },
    /// What the server runs for itself: one job of git, told on stdin.
    #[command(hide = true)]
    GitHelper,
}

/// Does what the arguments say; ends the process only when they are wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Cli::parse_from(arguments).command {
        None | Some(Command::Serve) => start(),
        Some(Command::Validate { dir, json }) => check(&dir, json),
        Some(Command::Schema) => print(&in_lines(&pipeline_schema())),
        Some(Command::GitHelper) => match crate::git::helper() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&format!("the server does not listen: {error}")),
        },
        Some(Command::MeasureLogPath { lines, secrets, viewers }) => match measure::log_path(lines, secrets, viewers) {
            Ok(text) => print(&text),
            Err(error) => fail(&error.to_string()),
        },
        Some(Command::RotateKey) => rotate_key(),
        Some(Command::Backup { file }) => with_database(|config| async move { backup::back_up(&config, &file).await }),
        Some(Command::Restore { file, force }) => {
            with_database(|config| async move { backup::restore(&config, &file, force).await })
        }
        Some(Command::User(command)) => with_database(|config| async move { people::run(&command, &config).await }),
        Some(Command::Doctor { json }) => diagnose(json),
        Some(Command::Health) => match load().map(|config| health::ask(config.server.bind_address)) {
            Ok(Ok(())) => print("ok\n"),
            Ok(Err(error)) => fail(&error.to_string()),
            Err(code) => code,
        },
        Some(Command::Config { example: true, .. }) => print(&config::example()),
        Some(Command::Config { markdown: true, .. }) => print(&config::markdown()),
        Some(Command::Config { .. }) => match load() {
            Ok(config) => print(&config::table(&config.effective)),
            Err(code) => code,
        },
    }
}

fn start() -> ExitCode {
    let (config, sources) = match load_with_sources() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    telemetry::start(&config.server);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the server's threads cannot be started: {error}")),
    };
    match runtime.block_on(serve(config, sources)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Through the log as well as any other message, so that a collector of JSON lines gets it.
            error!("Fast-Flow cannot go on: {}", chain(&error));
            if error.may_pass() { ExitCode::from(MAY_PASS) } else { ExitCode::FAILURE }
        }
    }
}

fn rotate_key() -> ExitCode {
    let config = match load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("nothing can be done on this machine: {error}")),
    };
    match runtime.block_on(rotate(&config)) {
        Ok(rotation) => {
            let printed = print(&rotation.to_string());
            if rotation.is_complete() { printed } else { ExitCode::FAILURE }
        }
        Err(error) => fail(&format!("{}; what is done is done, and calling this again goes on", chain(&error))),
    }
}

/// Does something with the database and prints what it says.
fn with_database<F, E>(work: impl FnOnce(Config) -> F) -> ExitCode
where
    F: Future<Output = Result<String, E>>,
    E: Error + 'static,
{
    let config = match load() {
        Ok(config) => config,
        Err(code) => return code,
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("nothing can be done on this machine: {error}")),
    };
    match runtime.block_on(work(config)) {
        Ok(text) => print(&text),
        Err(error) => fail(&chain(&error)),
    }
}

fn diagnose(json: bool) -> ExitCode {
    let sources = match Sources::of_process() {
        Ok(sources) => sources,
        Err(error) => return fail(&format!(".env cannot be read: {error}")),
    };
    let diagnosis = match Config::load(&sources) {
        Err(mistakes) => doctor::unreadable(&mistakes),
        Ok(config) => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(doctor::examine(&config)),
            Err(error) => return fail(&format!("nothing can be done on this machine: {error}")),
        },
    };
    let printed = print(&if json { in_lines(&diagnosis) } else { diagnosis.to_string() });
    if diagnosis.healthy { printed } else { ExitCode::FAILURE }
}

fn check(dir: &std::path::Path, json: bool) -> ExitCode {
    let findings = match validate::validate(dir) {
        Ok(findings) => findings,
        Err(error) => return fail(&format!("{} cannot be read: {error}", dir.display())),
    };
    let printed = print(&if json { in_lines(&findings) } else { findings.to_string() });
    let problems = findings.errors();
    eprintln!("{} looked at, {}", count(findings.pipelines, "pipeline"), count(problems, "problem"));
    if problems == 0 { printed } else { ExitCode::FAILURE }
}

fn in_lines(value: &impl serde::Serialize) -> String {
    // Plain data cannot fail to be written.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn load() -> Result<Config, ExitCode> {
    load_with_sources().map(|(config, _)| config)
}

fn load_with_sources() -> Result<(Config, Sources), ExitCode> {
    let sources = Sources::of_process().map_err(|error| fail(&format!(".env cannot be read: {error}")))?;
    let config = Config::load(&sources).map_err(|mistakes| fail(&mistakes.to_string()))?;
    Ok((config, sources))
}

/// Not by `print!`, which panics when the reader (`| head`) is gone.
fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(&error.to_string()),
        _ => ExitCode::SUCCESS,
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("fastflow: {message}");
    ExitCode::FAILURE
}

fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// An error with all that caused it, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        // Transparent errors repeat what they hold.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_and_argument_says_what_it_is_for() {
        fn look(command: &clap::Command, path: &str, mute: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            if command.get_about().is_none() {
                mute.push(path.clone());
            }
            for argument in command.get_arguments().filter(|argument| argument.get_help().is_none()) {
                mute.push(format!("{path} {}", argument.get_id()));
            }
            command.get_subcommands().filter(|command| !command.is_hide_set()).for_each(|sub| look(sub, &path, mute));
        }
        let mut command = Cli::command();
        command.build();
        let mut mute = Vec::new();
        look(&command, "", &mut mute);
        mute.retain(|path| !path.contains(" help"));
        assert!(mute.is_empty(), "{mute:#?}");
        let help = Cli::command().render_long_help().to_string();
        for code in ["0  done", "1  failed", "2  wrong usage", "3  the server cannot start now"] {
            assert!(help.contains(code), "{help}");
        }
    }

    #[test]
    fn serve_is_what_happens_without_a_command() {
        assert!(Cli::try_parse_from(["fastflow"]).expect("valid").command.is_none());
        assert!(Cli::try_parse_from(["fastflow", "server"]).is_err());
    }

    #[test]
    fn an_error_is_told_with_its_causes() {
        let inner = std::io::Error::other("disk on fire");
        let outer = std::io::Error::other(config::Mistakes(Vec::new()));
        assert_eq!(chain(&inner), "disk on fire");
        assert_eq!(chain(&outer), "0 settings are wrong:");
    }
}
