//! A JSON Schema (draft 2020-12) of `pipeline.json`, for editors: completion, documentation and a first check while typing.
//!
//! It takes what the parser takes ([`parse_settings`](super::pipeline::parse_settings)); a story compares the two with many
//! samples. What a schema cannot say, and the parser does: whether a cron expression, a time zone or an instant makes sense,
//! whether a size with a unit is above Docker's minimum, how many bytes a value has, whether a default fits its own
//! definition, and whether two definitions or schedules have one name.

use serde_json::{Map, Value, json};

use super::pipeline::Dependencies;
use super::size::MIN_MEMORY;

/// Longest wait between two attempts in seconds: 30 days.
const MAX_DELAY: u32 = 2_592_000;

/// A variable that a pipeline may set.
const VARIABLE: &str = "^(?!FASTFLOW_)[A-Za-z_][A-Za-z0-9_]*$";

/// The schema.
#[must_use]
pub fn pipeline_schema() -> Value {
    let seconds = |words: &str, default: f64| json!({ "description": words, "type": "number", "minimum": 0, "maximum": MAX_DELAY, "default": default });
    let kinds: Vec<&str> = Dependencies::ALL.into_iter().map(Dependencies::as_str).collect();
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Fast-Flow: settings of a pipeline (pipeline.json)",
        "type": "object",
        "properties": {
            "description": text("Shown in the list of pipelines.", json!({ "type": "string" })),
            "tags": text("For grouping in the list.", json!({ "type": "array", "items": { "type": "string" } })),
            "enabled": text("Whether it may be started. Operators have a switch of their own.", json!({ "type": "boolean" })),
            "timeout": text(
                "Seconds after which a run is killed, counted from its container's start; 0 is never.",
                json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
            ),
            "retry_attempts": text(
                "Further attempts after a failed one.",
                json!({ "type": "integer", "minimum": 0, "maximum": 100 })
            ),
            "retry_strategy": text("How long to wait between attempts.", json!({
                "type": "object",
                "required": ["type"],
                "oneOf": [
                    {
                        "title": "the same wait each time",
                        "properties": {
                            "type": { "const": "fixed_delay" },
                            "delay": seconds("Seconds.", 60.0),
                        }
                    },
                    {
                        "title": "a wait that grows",
                        "properties": {
                            "type": { "const": "exponential_backoff" },
                            "initial_delay": seconds("Seconds before the second attempt.", 60.0),
                            "max_delay": seconds("Longest wait in seconds.", 3600.0),
                            "multiplier": {
                                "description": "Factor between two waits.",
                                "type": "number", "minimum": 1, "maximum": 100, "default": 2
                            },
                        }
                    },
                    {
                        "title": "a list of waits",
                        "required": ["delays"],
                        "properties": {
                            "type": { "const": "custom_schedule" },
                            "delays": {
                                "description": "Seconds; the last one repeats.",
                                "type": "array", "minItems": 1,
                                "items": { "type": "number", "minimum": 0, "maximum": MAX_DELAY }
                            },
                        }
                    },
                ],
            })),
            "cpu_hard_limit": cores("CPU limit in cores, like 1.5."),
            "cpu_soft_limit": cores("CPU in cores above which metrics are marked."),
            "mem_hard_limit": size("Memory limit, at least 6m; there is no swap.", MIN_MEMORY),
            "mem_soft_limit": size("Memory above which metrics are marked.", 1),
            "default_env": text(
                "Environment variables. Numbers, booleans and structures become their JSON text, null an empty one.",
                json!({
                    "type": "object",
                    "propertyNames": { "pattern": VARIABLE },
                })
            ),
            "dependencies": text(
                "What names the packages. Absent: requirements.txt when there is one, else the block in main.py.",
                json!({ "enum": kinds })
            ),
            "python_version": text(
                "Version of Python, when it is not that of the worker image.",
                json!({ "type": "string", "pattern": "^[0-9.]+$", "examples": ["3.12"] })
            ),
            "encrypted_env": text(
                "Environment variables whose values were encrypted for this server (POST /api/secrets/encrypt).",
                json!({
                    "type": "object",
                    "propertyNames": { "pattern": VARIABLE },
                    "additionalProperties": { "type": "string", "pattern": r"^\s*gAAAA[A-Za-z0-9_=-]{95,}\s*$" },
                })
            ),
            "secrets": text(
                "Names of the secrets that it receives; [] is none. Absent: all that are not kept for other pipelines.",
                json!({ "type": "array", "items": { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" } })
            ),
            "parameters": text("What it may be started with. Absent: anything.", parameters()),
        },
    });
    if let Some(fields) = schema["properties"].as_object_mut() {
        fields.extend(trigger_fields("schedule_"));
        fields.extend(policy_fields("schedule_"));
        fields.insert("schedules".to_owned(), text("More schedules, each with an id and one trigger.", schedules()));
    }
    schema
}

fn parameters() -> Value {
    let scalar = json!(["string", "number", "boolean"]);
    json!({
        "type": "array",
        "maxItems": 100,
        "items": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": false,
            "properties": {
                "name": { "description": "Of the environment variable.", "type": "string", "pattern": VARIABLE },
                "type": text("string, if there are no choices.", json!({ "enum": ["string", "integer", "number", "boolean", "choice"] })),
                "default": { "description": "Taken when nothing is given.", "type": ["string", "number", "boolean", "null"] },
                "choices": text("All that it may be.", json!({ "type": "array", "minItems": 1, "items": { "type": scalar } })),
                "required": text("Whether it must be given.", json!({ "type": "boolean" })),
                "description": text("Shown beside it.", json!({ "type": "string" })),
                "min": text("Least number.", json!({ "type": "number" })),
                "max": text("Greatest number.", json!({ "type": "number" })),
            },
            "if": { "properties": { "type": { "const": "choice" } }, "required": ["type"] },
            "then": { "properties": { "choices": { "type": "array" } }, "required": ["choices"] },
        },
    })
}

/// The three triggers.
fn trigger_fields(prefix: &str) -> Map<String, Value> {
    let cron = text(
        "When to start: minute, hour, day of month, month, day of week.",
        json!({ "type": "string", "examples": ["30 6 * * 1-5", "@daily"] }),
    );
    let interval = text("Starts every so many seconds.", above_zero());
    Map::from_iter([
        (format!("{prefix}cron"), cron),
        (format!("{prefix}interval_seconds"), interval),
        ("run_once_at".to_owned(), instant("Starts once, at this instant.")),
    ])
}

/// Zone, span and policies.
fn policy_fields(prefix: &str) -> Map<String, Value> {
    let one_of = |words: &str, names: &[&str]| text(words, json!({ "enum": names }));
    [
        (
            "timezone",
            text("IANA zone of the cron expression.", json!({ "type": "string", "examples": ["Europe/Berlin"] })),
        ),
        ("start", instant("It does not fire before this.")),
        ("end", instant("It does not fire after this.")),
        ("catch_up", one_of("What becomes of due times that were missed.", &["skip", "latest", "all"])),
        ("catch_up_limit", text("Most runs that `all` catches up with.", above_zero())),
        ("catch_up_max_age_seconds", text("Older due times are not caught up with.", above_zero())),
        ("overlap", one_of("While runs of it still work.", &["allow", "skip", "queue", "cancel_previous"])),
        ("max_instances", text("Most runs of it at once.", above_zero())),
    ]
    .into_iter()
    .map(|(name, schema)| (format!("{prefix}{name}"), schema))
    .collect()
}

fn schedules() -> Value {
    let mut fields = Map::new();
    for prefix in ["", "schedule_"] {
        fields.extend(trigger_fields(prefix));
        fields.extend(policy_fields(prefix));
    }
    fields.insert(
        "id".to_owned(),
        json!({
            "description": "Names it within its pipeline.",
            "type": "string", "pattern": "^[A-Za-z0-9._-]{1,100}$", "not": { "enum": ["cron", "interval", "once"] }
        }),
    );
    fields.insert("enabled".to_owned(), text("Whether it fires.", json!({ "type": "boolean" })));
    let env = json!({ "type": "object", "propertyNames": { "pattern": VARIABLE } });
    fields.insert("env".to_owned(), text("Values for its runs.", env));
    let trigger = |name: &str| json!({ "required": [name] });
    let triggers =
        ["cron", "schedule_cron", "interval_seconds", "schedule_interval_seconds", "run_once_at"].map(trigger);
    json!({
        "type": "array",
        "maxItems": 100,
        "items": { "type": "object", "required": ["id"], "properties": fields, "anyOf": triggers },
    })
}

fn above_zero() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX })
}

fn instant(words: &str) -> Value {
    let examples = ["2026-03-29T02:30:00Z", "2026-03-29"];
    text(words, json!({ "type": "string", "pattern": r"^\s*[0-9]{4}-[0-9]{2}-[0-9]{2}", "examples": examples }))
}

/// A field with its meaning. `null` is as good as absent everywhere.
#[expect(clippy::needless_pass_by_value, reason = "it is made for this call, and moves into the field")]
fn text(words: &str, schema: Value) -> Value {
    json!({ "description": words, "anyOf": [schema, { "type": "null" }] })
}

fn cores(words: &str) -> Value {
    text(words, json!({ "type": "number", "minimum": 0.01, "maximum": 4096 }))
}

fn size(words: &str, minimum: u64) -> Value {
    let number = r"([0-9]+\.?[0-9]*|\.[0-9]+)";
    // Zero of any unit is no size.
    let pattern = format!(r"^\s*(?![0.]+\s*[A-Za-z]*\s*$){number}\s*([bB]|[kKmMgGtT]([iI]?[bB])?)?\s*$");
    text(
        words,
        json!({
            "anyOf": [
                { "type": "number", "minimum": minimum, "maximum": 9.0e15 },
                { "type": "string", "pattern": pattern, "examples": ["512m", "1.5g"] },
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::pipeline::parse_settings;
    use super::*;

    fn properties() -> BTreeSet<String> {
        let schema = pipeline_schema();
        schema["properties"].as_object().expect("an object").keys().cloned().collect()
    }

    #[test]
    fn every_field_of_the_schema_is_one_of_the_parser() {
        for name in properties() {
            // Nobody can mean that, and an unknown field is ignored.
            let text = format!("{{\"{name}\": [[[]]]}}");
            assert!(parse_settings("pipeline.json", &text).is_err(), "{name} is unknown to the parser");
        }
    }

    #[test]
    fn every_field_of_the_documentation_is_in_the_schema() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pipelines.md");
        let page = std::fs::read_to_string(path).expect("the page");
        let section = page.split("\n## ").find(|section| section.starts_with("pipeline.json")).expect("the section");
        let cells = section.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
        let told: BTreeSet<String> =
            cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
        assert!(told.len() > 10, "{told:?}");
        assert_eq!(told, properties());
    }
}
