//! How a run ended, decided from what is known: our own reason to stop it, the kernel's word, then the exit code.

use fastflow_shared::ErrorType;

use super::run::Event;
use super::size::format_bytes;

/// Why we ourselves ended a run. Our kill also ends in code 137, so this outranks everything that Docker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it.
    Cancelled {
        /// Who asked, when known.
        by: Option<String>,
    },
    /// It ran longer than this many seconds.
    Timeout {
        /// The limit in seconds.
        seconds: i64,
    },
    /// The watchdog gave it up, for this reason.
    Unhealthy {
        /// What the watchdog saw.
        why: String,
    },
    /// The server was told to stop its runs when it shuts down.
    Shutdown,
}

/// What is known of an ended container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ending {
    /// Why we stopped it, if we did.
    pub stop: Option<StopReason>,
    /// The kernel's out-of-memory flag.
    pub oom_killed: bool,
    /// The container's exit code.
    pub code: i64,
    /// Docker's own error text for a container that could not start.
    pub docker_error: Option<String>,
    /// Last line of an exception that the script printed, if one was seen.
    pub exception: Option<String>,
    /// Highest memory seen, in bytes.
    pub peak_memory: Option<u64>,
    /// Memory limit in bytes.
    pub memory_limit: Option<u64>,
}

/// The outcome of a run, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code, when the container had one.
    pub exit_code: Option<i32>,
    /// Why it failed; `None` for success.
    pub failure: Option<Failure>,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Kind of failure.
    pub kind: ErrorType,
    /// One sentence that a user can act on.
    pub message: String,
}

impl Outcome {
    /// A failure without an exit code: the run never had a container that ended.
    #[must_use]
    pub fn failed(kind: ErrorType, message: impl Into<String>) -> Self {
        Self { exit_code: None, failure: Some(Failure { kind, message: message.into() }) }
    }

    /// The event that this outcome is.
    #[must_use]
    pub const fn event(&self) -> Event {
        if self.failure.is_none() { Event::Succeeded } else { Event::Failed }
    }
}

/// Decides the outcome.
#[must_use]
pub fn classify(ending: &Ending) -> Outcome {
    let exit_code = i32::try_from(ending.code).ok();
    let fail = |kind, message| Outcome { exit_code, failure: Some(Failure { kind, message }) };
    if let Some(stop) = &ending.stop {
        return match stop {
            StopReason::Cancelled { by: Some(who) } => fail(ErrorType::Cancelled, format!("Cancelled by {who}.")),
            StopReason::Cancelled { by: None } => fail(ErrorType::Cancelled, "Cancelled.".to_owned()),
            StopReason::Timeout { seconds } => fail(
                ErrorType::Timeout,
                format!(
                    "Stopped after its timeout of {seconds} s. Raise `timeout` in pipeline.json if it needs longer."
                ),
            ),
            StopReason::Unhealthy { why } => fail(ErrorType::Unhealthy, format!("Stopped by the watchdog: {why}.")),
            StopReason::Shutdown => fail(
                ErrorType::Cancelled,
                "Cancelled because the server was shut down (SHUTDOWN_STOPS_RUNS).".to_owned(),
            ),
        };
    }
    if ending.oom_killed {
        return fail(ErrorType::Oom, out_of_memory(ending));
    }
    let docker = ending.docker_error.as_deref().filter(|text| !text.is_empty());
    match ending.code {
        0 => Outcome { exit_code, failure: None },
        125 => fail(
            ErrorType::Docker,
            format!("Docker could not run the container (125): {}.", docker.unwrap_or("no further detail")),
        ),
        126 => fail(
            ErrorType::NotExecutable,
            "The command could not be executed (126): the Python of the environment is not executable in this image."
                .to_owned(),
        ),
        127 => fail(
            ErrorType::NotFound,
            "A command was not found (127): the Python of the environment, or a program the script called last."
                .to_owned(),
        ),
        code => fail(ErrorType::ExitCode, exit_sentence(code, ending.exception.as_deref())),
    }
}

fn out_of_memory(ending: &Ending) -> String {
    let advice = "Raise `mem_hard_limit` in pipeline.json or let the script hold less at a time.";
    match (ending.peak_memory, ending.memory_limit) {
        // The sampler looks once a second, so the true peak is the limit itself: never show less than was seen.
        (Some(peak), Some(limit)) => {
            format!("Out of memory: peak {} of {}. {advice}", format_bytes(peak.min(limit)), format_bytes(limit))
        }
        (None, Some(limit)) => format!("Out of memory: the limit is {}. {advice}", format_bytes(limit)),
        _ => format!("Out of memory. {advice}"),
    }
}

fn exit_sentence(code: i64, exception: Option<&str>) -> String {
    let signal = match code {
        134 => " (aborted, SIGABRT)",
        137 => " (killed from outside, SIGKILL)",
        139 => " (crashed, SIGSEGV)",
        143 => " (terminated from outside, SIGTERM)",
        _ => "",
    };
    match exception {
        Some(text) => format!("Exit code {code}{signal}: {text}"),
        None => format!("Exit code {code}{signal}. The log's last lines usually say why."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(ending: &Ending) -> Option<ErrorType> {
        classify(ending).failure.map(|failure| failure.kind)
    }

    #[test]
    fn zero_is_success() {
        assert_eq!(classify(&Ending::default()), Outcome { exit_code: Some(0), failure: None });
    }

    #[test]
    fn our_own_reason_outranks_the_kernels_and_the_code() {
        let ending =
            Ending { stop: Some(StopReason::Timeout { seconds: 5 }), oom_killed: true, code: 137, ..Ending::default() };
        assert_eq!(kind(&ending), Some(ErrorType::Timeout));
    }

    #[test]
    fn a_script_that_ends_well_after_a_cancel_is_cancelled() {
        let ending = Ending { stop: Some(StopReason::Cancelled { by: None }), ..Ending::default() };
        let outcome = classify(&ending);
        assert_eq!(outcome.exit_code, Some(0));
        assert_eq!(outcome.event(), Event::Failed);
    }

    #[test]
    fn the_kernels_flag_outranks_the_code_and_137_alone_is_no_oom() {
        assert_eq!(kind(&Ending { oom_killed: true, code: 1, ..Ending::default() }), Some(ErrorType::Oom));
        assert_eq!(kind(&Ending { code: 137, ..Ending::default() }), Some(ErrorType::ExitCode));
    }

    #[test]
    fn docker_codes_have_their_own_kind() {
        for (code, expected) in [
            (125, ErrorType::Docker),
            (126, ErrorType::NotExecutable),
            (127, ErrorType::NotFound),
            (3, ErrorType::ExitCode),
        ] {
            assert_eq!(kind(&Ending { code, ..Ending::default() }), Some(expected));
        }
    }

    #[test]
    fn out_of_memory_names_peak_and_limit() {
        let ending = Ending {
            oom_killed: true,
            code: 137,
            peak_memory: Some(512 << 20),
            memory_limit: Some(512 << 20),
            ..Ending::default()
        };
        let message = classify(&ending).failure.map(|failure| failure.message).unwrap_or_default();
        assert!(message.starts_with("Out of memory: peak 512 MB of 512 MB."), "{message}");
    }

    #[test]
    fn the_exceptions_last_line_is_the_reason() {
        let ending = Ending { code: 1, exception: Some("ValueError: no rows".into()), ..Ending::default() };
        let message = classify(&ending).failure.map(|failure| failure.message).unwrap_or_default();
        assert_eq!(message, "Exit code 1: ValueError: no rows");
    }
}
