//! `pipeline.json`: what a pipeline says of itself. All fields are optional, unknown ones are ignored, and a broken file
//! makes the pipeline invalid: a limit with a typing mistake must not become "no limit".

use std::collections::BTreeMap;

use fastflow_shared::{PipelineParameter, PipelineProblem};
use serde_json::{Map, Value};

use super::env;
use super::parameters;
use super::schedules::{self, Schedule};
use super::size::{MIN_MEMORY, parse_bytes};

/// Longest name of a pipeline in bytes; it is a folder name, a label and part of a path.
pub const MAX_NAME_BYTES: usize = 200;

/// How long to wait between attempts.
#[derive(Debug, Clone, PartialEq)]
pub enum RetryStrategy {
    /// The same wait each time.
    FixedDelay {
        /// Seconds.
        delay: f64,
    },
    /// A wait that grows.
    ExponentialBackoff {
        /// Seconds before the second attempt.
        initial_delay: f64,
        /// Longest wait in seconds.
        max_delay: f64,
        /// Factor between two waits.
        multiplier: f64,
    },
    /// A list of waits; the last one repeats.
    CustomSchedule {
        /// Seconds.
        delays: Vec<f64>,
    },
}

impl Default for RetryStrategy {
    fn default() -> Self {
        Self::FixedDelay { delay: 60.0 }
    }
}

impl RetryStrategy {
    /// Seconds to wait before attempt number `attempt` (the first retry is attempt 2).
    #[must_use]
    pub fn delay_before(&self, attempt: u32) -> f64 {
        let retry = attempt.saturating_sub(2);
        match self {
            Self::FixedDelay { delay } => *delay,
            Self::ExponentialBackoff { initial_delay, max_delay, multiplier } => {
                (initial_delay * multiplier.powi(i32::try_from(retry).unwrap_or(i32::MAX))).min(*max_delay)
            }
            Self::CustomSchedule { delays } => {
                delays.get(retry as usize).or(delays.last()).copied().unwrap_or_default()
            }
        }
    }
}

/// What names the packages that a pipeline needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependencies {
    /// `requirements.txt`, with `requirements.txt.lock` when that is fresh.
    Requirements,
    /// The block of PEP 723 in `main.py`.
    Script,
    /// `uv.lock` of the project whose `pyproject.toml` lies in the folder.
    UvLock,
}

impl Dependencies {
    /// All.
    pub const ALL: [Self; 3] = [Self::Requirements, Self::Script, Self::UvLock];

    /// The word of `pipeline.json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requirements => "requirements.txt",
            Self::Script => "main.py",
            Self::UvLock => "uv.lock",
        }
    }
}

/// The settings of one pipeline.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// Shown in the UI.
    pub description: Option<String>,
    /// For grouping in the UI.
    pub tags: Vec<String>,
    /// Whether it may be started; absent means yes.
    pub enabled: Option<bool>,
    /// CPU limit in cores.
    pub cpu_hard_limit: Option<f64>,
    /// Memory limit in bytes.
    pub mem_hard_limit: Option<u64>,
    /// CPU in cores above which metrics are marked.
    pub cpu_soft_limit: Option<f64>,
    /// Memory in bytes above which metrics are marked.
    pub mem_soft_limit: Option<u64>,
    /// Seconds after which a run is killed; 0 is never; absent means the server's setting.
    pub timeout: Option<i64>,
    /// Attempts after a failed one; absent means the server's setting.
    pub retry_attempts: Option<u32>,
    /// How long to wait between attempts.
    pub retry_strategy: Option<RetryStrategy>,
    /// Variables set at each start, unless something else sets them.
    pub default_env: BTreeMap<String, String>,
    /// Variables whose values are encrypted for this server.
    pub encrypted_env: BTreeMap<String, String>,
    /// Names of the secrets that it receives; absent means every one that is not kept for other pipelines.
    pub secrets: Option<Vec<String>>,
    /// What it may be started with; none means anything.
    pub parameters: Vec<PipelineParameter>,
    /// What names its packages; absent means `requirements.txt` when there is one, else the block in `main.py`.
    pub dependencies: Option<Dependencies>,
    /// Version of Python, e.g. `3.12`; absent means that of the worker image.
    pub python_version: Option<String>,
    /// When it is started by the clock.
    pub schedules: Vec<Schedule>,
}

/// Reads a `pipeline.json`.
///
/// # Errors
/// Every mistake found, each with line and column where the text gives one.
pub fn parse_settings(file: &str, text: &str) -> Result<Settings, Vec<PipelineProblem>> {
    // Editors on Windows like to begin a file with a byte order mark; JSON does not allow it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value = serde_json::from_str(text).map_err(|error| {
        vec![PipelineProblem {
            file: file.to_owned(),
            line: i32::try_from(error.line()).ok(),
            column: i32::try_from(error.column()).ok(),
            message: format!("not valid JSON: {}", strip_position(&error.to_string())),
        }]
    })?;
    let Value::Object(fields) = value else {
        return Err(vec![PipelineProblem {
            file: file.to_owned(),
            line: Some(1),
            column: Some(1),
            message: "the file must hold one JSON object: { … }".to_owned(),
        }]);
    };
    let mut reader = Reader { file, text, fields: &fields, problems: Vec::new() };
    let settings = reader.settings();
    if reader.problems.is_empty() { Ok(settings) } else { Err(reader.problems) }
}

/// Checks the name of a pipeline's folder.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(format!("a pipeline's name has 1 to {MAX_NAME_BYTES} bytes"));
    }
    if name.starts_with('.') {
        return Err("a pipeline's name does not begin with a dot".to_owned());
    }
    if name.chars().any(|c| c.is_control() || c == '/' || c == '\\') {
        return Err("a pipeline's name holds no slash, backslash or control character".to_owned());
    }
    Ok(())
}

fn strip_position(message: &str) -> &str {
    message.split(" at line ").next().unwrap_or(message)
}

/// Line and column (both from 1, in characters) of the key `name` of the outermost object.
fn position(text: &str, name: &str) -> (Option<i32>, Option<i32>) {
    key_at(text, name).map_or((None, None), |at| place(text, at))
}

/// Where the key `name` of the outermost object begins.
fn key_at(text: &str, name: &str) -> Option<usize> {
    let quoted = Value::String(name.to_owned()).to_string();
    let (mut depth, mut at) = (0_u32, 0_usize);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let end = string_end(bytes, at);
                let is_key = bytes[end..].iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b':');
                if depth == 1 && is_key && text.get(at..end) == Some(quoted.as_str()) {
                    return Some(at);
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Line and column of the element number `index` of the list that is the value of the outermost object's key `name`.
fn element_position(text: &str, name: &str, index: usize) -> Option<(Option<i32>, Option<i32>)> {
    let start = key_at(text, name)?;
    let bytes = text.as_bytes();
    let (mut depth, mut seen, mut at) = (0_u32, 0, string_end(bytes, start));
    let mut awaits = false;
    while at < bytes.len() {
        let byte = bytes[at];
        if awaits && !byte.is_ascii_whitespace() && byte != b']' {
            if seen == index {
                return Some(place(text, at));
            }
            seen += 1;
            awaits = false;
        }
        match byte {
            b'{' | b'[' => {
                depth += 1;
                awaits = depth == 1 && byte == b'[';
            }
            b'}' | b']' if depth <= 1 => return None,
            b'}' | b']' => depth -= 1,
            b',' if depth == 1 => awaits = true,
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// Line and column of the byte `at`.
fn place(text: &str, at: usize) -> (Option<i32>, Option<i32>) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (i32::try_from(line).ok(), i32::try_from(column).ok())
}

/// Whether a text has the form of a Fernet token. Only the key can tell more.
fn is_sealed(text: &str) -> bool {
    // Version, time, IV, one block and the HMAC: 73 bytes at least.
    text.len() >= 100
        && text.starts_with("gAAAA")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='))
}

/// Index after the string that begins at `start`.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    fields: &'a Map<String, Value>,
    problems: Vec<PipelineProblem>,
}

impl Reader<'_> {
    fn settings(&mut self) -> Settings {
        let settings = Settings {
            description: self.read("description", "a text", |v| v.as_str().map(str::to_owned)),
            tags: self
                .read("tags", "a list of texts", |v| {
                    v.as_array()?.iter().map(|tag| tag.as_str().map(str::to_owned)).collect()
                })
                .unwrap_or_default(),
            enabled: self.read("enabled", "true or false", Value::as_bool),
            cpu_hard_limit: self.read("cpu_hard_limit", "a number of cores above 0, like 1.5", cores),
            mem_hard_limit: self.size("mem_hard_limit"),
            cpu_soft_limit: self.read("cpu_soft_limit", "a number of cores above 0, like 0.8", cores),
            mem_soft_limit: self.size("mem_soft_limit"),
            timeout: self.read("timeout", "a whole number of seconds, 0 for none", |v| whole(v, 0)),
            retry_attempts: self.read("retry_attempts", "a whole number from 0 to 100", |v| {
                whole(v, 0).and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= 100)
            }),
            retry_strategy: self.read("retry_strategy", RETRY_HELP, retry_strategy),
            default_env: self.default_env(),
            encrypted_env: self.encrypted_env(),
            secrets: self.secrets(),
            parameters: self.parameters(),
            dependencies: self.read("dependencies", "\"requirements.txt\", \"main.py\" or \"uv.lock\"", |v| {
                Dependencies::ALL.into_iter().find(|kind| v.as_str() == Some(kind.as_str()))
            }),
            python_version: self.read("python_version", "a version like \"3.12\"", |v| {
                let text = v.as_str()?;
                let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
                plain.then(|| text.to_owned())
            }),
            schedules: self.schedules(),
        };
        if let Some(minimum) = settings.mem_hard_limit.filter(|bytes| *bytes < MIN_MEMORY) {
            self.problem("mem_hard_limit", &format!("{minimum} bytes are less than Docker's minimum of 6m"));
        }
        settings
    }

    fn read<T>(&mut self, name: &str, expected: &str, convert: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.fields.get(name).filter(|value| !value.is_null())?;
        let converted = convert(value);
        if converted.is_none() {
            self.problem(name, &format!("expected {expected}, found {}", shorten(value)));
        }
        converted
    }

    fn size(&mut self, name: &str) -> Option<u64> {
        let value = self.fields.get(name).filter(|value| !value.is_null())?;
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => shorten(value),
        };
        match parse_bytes(&text) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.problem(name, &error.to_string());
                None
            }
        }
    }

    fn default_env(&mut self) -> BTreeMap<String, String> {
        let Some(value) = self.fields.get("default_env").filter(|value| !value.is_null()).cloned() else {
            return BTreeMap::new();
        };
        env::read(&value, |problem| self.problem("default_env", problem))
    }

    fn encrypted_env(&mut self) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        let Some(value) = self.fields.get("encrypted_env").filter(|value| !value.is_null()) else { return variables };
        let Value::Object(entries) = value else {
            // Not shown: somebody may have written the value itself.
            self.problem("encrypted_env", "expected an object of names and encrypted values");
            return variables;
        };
        for (name, value) in entries {
            match (value.as_str().map(str::trim).filter(|text| is_sealed(text)), env::check(name, "")) {
                (_, Err(error)) => self.problem("encrypted_env", &error.to_string()),
                (Some(sealed), Ok(())) => drop(variables.insert(name.clone(), sealed.to_owned())),
                (None, Ok(())) => self.problem(
                    "encrypted_env",
                    &format!(
                        "the value of `{name}` is not encrypted; encrypt it with POST /api/secrets/encrypt, and change the \
                         secret if this file was committed"
                    ),
                ),
            }
        }
        variables
    }

    fn secrets(&mut self) -> Option<Vec<String>> {
        let names = self.read("secrets", "a list of names of secrets", |value| {
            value.as_array()?.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        })?;
        for name in names.iter().filter(|name| !env::is_name(name)) {
            self.problem("secrets", &format!("{} can be no secret's name", shorten(&Value::String(name.clone()))));
        }
        Some(names)
    }

    fn parameters(&mut self) -> Vec<PipelineParameter> {
        let Some(value) = self.fields.get("parameters").filter(|value| !value.is_null()) else { return Vec::new() };
        parameters::parse(value).unwrap_or_else(|mistakes| {
            for (index, message) in mistakes {
                let at = index.map_or_else(String::new, |index| format!("number {}: ", index + 1));
                self.problem("parameters", &format!("{at}{message}"));
                if let (Some(index), Some(problem)) = (index, self.problems.last_mut())
                    && let Some(place) = element_position(self.text, "parameters", index)
                {
                    (problem.line, problem.column) = place;
                }
            }
            Vec::new()
        })
    }

    fn schedules(&mut self) -> Vec<Schedule> {
        let mut problems = Vec::new();
        let schedules = schedules::read(self.fields, &mut problems);
        for (name, message) in problems {
            self.problem(&name, &message);
        }
        schedules
    }

    fn problem(&mut self, name: &str, message: &str) {
        let (line, column) = position(self.text, name);
        self.problems.push(PipelineProblem {
            file: self.file.to_owned(),
            line,
            column,
            message: format!("`{name}`: {message}"),
        });
    }
}

const RETRY_HELP: &str = "an object with `type` exponential_backoff (initial_delay, max_delay, multiplier), fixed_delay (delay) \
                          or custom_schedule (delays), all in seconds from 0 to 2592000";

/// Longest wait between two attempts in seconds: 30 days.
const MAX_DELAY: f64 = 2_592_000.0;

pub(super) fn retry_strategy(value: &Value) -> Option<RetryStrategy> {
    let seconds = |value: &Value| value.as_f64().filter(|s| (0.0..=MAX_DELAY).contains(s));
    let field = |name: &str, default: f64| value.get(name).map_or(Some(default), seconds);
    match value.get("type")?.as_str()? {
        "fixed_delay" => Some(RetryStrategy::FixedDelay { delay: field("delay", 60.0)? }),
        "exponential_backoff" => Some(RetryStrategy::ExponentialBackoff {
            initial_delay: field("initial_delay", 60.0)?,
            max_delay: field("max_delay", 3600.0)?,
            multiplier: value
                .get("multiplier")
                .map_or(Some(2.0), Value::as_f64)
                .filter(|factor| (1.0..=100.0).contains(factor))?,
        }),
        "custom_schedule" => {
            let delays: Option<Vec<f64>> = value.get("delays")?.as_array()?.iter().map(seconds).collect();
            delays.filter(|delays| !delays.is_empty()).map(|delays| RetryStrategy::CustomSchedule { delays })
        }
        _ => None,
    }
}

pub(super) fn cores(value: &Value) -> Option<f64> {
    value.as_f64().filter(|cores| (0.01..=4096.0).contains(cores))
}

pub(super) fn whole(value: &Value, minimum: i64) -> Option<i64> {
    // 60.0 is a whole number, in JSON as in a schema.
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole, and out of range it saturates")]
    let whole = || value.as_f64().filter(|number| number.fract() == 0.0).map(|number| number as i64);
    value.as_i64().or_else(whole).filter(|number| (minimum..=i64::from(u32::MAX)).contains(number))
}

pub(super) fn shorten(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 { format!("{}…", text.chars().take(60).collect::<String>()) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<PipelineProblem> {
        parse_settings("pipeline.json", text).expect_err("must be refused")
    }

    #[test]
    fn the_plans_example() {
        let text = r#"{
          "cpu_hard_limit": 1.0, "mem_hard_limit": "1g", "cpu_soft_limit": 0.8, "mem_soft_limit": "800M",
          "timeout": 3600, "retry_attempts": 3, "description": "What it does", "tags": ["tag1", "tag2"],
          "enabled": true, "default_env": {"LOG_LEVEL": "INFO", "BATCH": 10, "DRY": false}, "something_new": [1]
        }"#;
        let settings = parse_settings("pipeline.json", text).expect("valid");
        assert_eq!(settings.mem_hard_limit, Some(1 << 30));
        assert_eq!(settings.mem_soft_limit, Some(800 << 20));
        assert_eq!(settings.timeout, Some(3600));
        assert_eq!(settings.default_env["BATCH"], "10");
        assert_eq!(settings.default_env["DRY"], "false");
    }

    #[test]
    fn an_empty_object_is_all_defaults() {
        assert_eq!(parse_settings("pipeline.json", "\u{feff}{}"), Ok(Settings::default()));
    }

    #[test]
    fn broken_json_is_told_with_line_and_column() {
        let problem = &problems("{\n  \"timeout\": 3,\n  oops\n}")[0];
        assert_eq!((problem.line, problem.column), (Some(3), Some(3)));
    }

    #[test]
    fn every_mistake_is_told_where_it_stands() {
        let text = "{\n  \"description\": \"timeout\",\n  \"timeout\": \"soon\",\n  \"mem_hard_limit\": \"lots\",\n  \"default_env\": {\"A-B\": 1}\n}";
        let found: Vec<_> = problems(text).into_iter().map(|p| (p.line, p.column)).collect();
        assert_eq!(found, [(Some(4), Some(3)), (Some(3), Some(3)), (Some(5), Some(3))]);
    }

    #[test]
    fn a_limit_of_the_wrong_type_is_never_no_limit() {
        for text in [
            r#"{"mem_hard_limit": true}"#,
            r#"{"cpu_hard_limit": "1"}"#,
            r#"{"cpu_hard_limit": 0}"#,
            r#"{"mem_hard_limit": "1m"}"#,
            "[]",
            "3",
        ] {
            assert!(!problems(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn a_wrong_parameter_is_told_where_it_stands() {
        let text = "{\n \"parameters\": [\n  {\"name\": \"A\", \"choices\": [\"x, [\", \"y\"]},\n  {\"name\": \"B\", \"type\": \"date\"},\n {}]\n}";
        let found: Vec<_> = problems(text).into_iter().map(|p| (p.line, p.column)).collect();
        assert_eq!(found, [(Some(4), Some(3)), (Some(5), Some(2))]);
        let text = r#"{"parameters": [{"name": "A", "type": "integer", "default": 3}]}"#;
        assert_eq!(parse_settings("pipeline.json", text).expect("valid").parameters[0].default.as_deref(), Some("3"));
    }

    #[test]
    fn what_is_not_encrypted_is_refused_without_being_repeated() {
        let text = "{\n \"encrypted_env\": {\"TOKEN\": \"hunter2\"}\n}";
        let problem = &problems(text)[0];
        assert_eq!(problem.line, Some(2));
        assert!(problem.message.contains("TOKEN") && !problem.message.contains("hunter2"), "{}", problem.message);
        assert!(!problems(r#"{"encrypted_env": "hunter2"}"#)[0].message.contains("hunter2"));
        let text = format!(r#"{{"encrypted_env": {{"TOKEN": "gAAAA{}"}}, "secrets": ["A"]}}"#, "x".repeat(95));
        let settings = parse_settings("pipeline.json", &text).expect("valid");
        assert_eq!((settings.encrypted_env.len(), settings.secrets), (1, Some(vec!["A".to_owned()])));
        assert!(!problems(r#"{"secrets": ["A-B"]}"#).is_empty());
    }

    #[test]
    fn a_schedule_that_cannot_be_meant_is_a_problem_where_it_stands() {
        let problem = &problems("{\n \"schedule_cron\": \"0 0 2 * * *\"\n}")[0];
        assert_eq!((problem.line, problem.column), (Some(2), Some(2)));
        assert!(problem.message.contains("has 6 fields"), "{}", problem.message);
        assert!(parse_settings("pipeline.json", r#"{"schedule_cron": "@daily"}"#).is_ok());
    }

    #[test]
    fn what_names_the_packages() {
        for kind in Dependencies::ALL {
            let text = format!(r#"{{"dependencies": "{}"}}"#, kind.as_str());
            assert_eq!(parse_settings("pipeline.json", &text).expect("valid").dependencies, Some(kind));
        }
        for wrong in [r#"{"dependencies": "poetry.lock"}"#, r#"{"dependencies": ["requests"]}"#] {
            assert_eq!(problems(wrong).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn waits_between_attempts() {
        let text = r#"{"retry_strategy": {"type": "exponential_backoff", "initial_delay": 2, "max_delay": 10, "multiplier": 3}}"#;
        let strategy = parse_settings("pipeline.json", text).expect("valid").retry_strategy.expect("set");
        let waits: Vec<_> = (2..6).map(|attempt| strategy.delay_before(attempt)).collect();
        assert_eq!(waits, [2.0, 6.0, 10.0, 10.0]);
        let custom = RetryStrategy::CustomSchedule { delays: vec![1.0, 5.0] };
        assert_eq!((custom.delay_before(2), custom.delay_before(3), custom.delay_before(9)), (1.0, 5.0, 5.0));
    }

    #[test]
    fn names_that_could_leave_the_folder_are_refused() {
        for name in ["", ".git", "..", "a/b", "a\\b", "a\nb", &"x".repeat(201)] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
        for name in ["etl", "Größe mit Leerzeichen", "a.b-c_d"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
    }
}
