//! What a pipeline may be started with: `parameters` in `pipeline.json`, and whether given values fit.

use std::collections::{BTreeMap, BTreeSet};

use fastflow_shared::{FieldProblem, ParameterKind, PipelineParameter};
use serde_json::Value;

use super::env;

/// Longest text of a description and the like.
const MAX_TEXT: usize = 2000;

/// Most parameters of a pipeline.
const MAX_PARAMETERS: usize = 100;

/// Fields of a definition; another one is a typing mistake.
const FIELDS: [&str; 8] = ["name", "type", "default", "choices", "required", "description", "min", "max"];

/// A mistake in the definitions: the parameter's index, if it is in one, and what is wrong.
pub type Mistake = (Option<usize>, String);

/// Reads the definitions. What is wrong with one does not hide what is wrong with another.
///
/// # Errors
/// Every mistake.
pub fn parse(value: &Value) -> Result<Vec<PipelineParameter>, Vec<Mistake>> {
    let Value::Array(entries) = value else {
        return Err(vec![(
            None,
            "expected a list of parameters: [{\"name\": \"DAY\", \"type\": \"string\"}, …]".into(),
        )]);
    };
    if entries.len() > MAX_PARAMETERS {
        return Err(vec![(None, format!("{} parameters, and at most {MAX_PARAMETERS} are allowed", entries.len()))]);
    }
    let (mut parameters, mut mistakes, mut names) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (index, entry) in entries.iter().enumerate() {
        match definition(entry) {
            Ok(parameter) if !names.insert(parameter.name.clone()) => {
                mistakes.push((Some(index), format!("`{}` is defined twice", parameter.name)));
            }
            Ok(parameter) => parameters.push(parameter),
            Err(message) => mistakes.push((Some(index), message)),
        }
    }
    if mistakes.is_empty() { Ok(parameters) } else { Err(mistakes) }
}

fn definition(entry: &Value) -> Result<PipelineParameter, String> {
    let Value::Object(fields) = entry else { return Err("a parameter is an object with at least a `name`".into()) };
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        return Err(format!("`{unknown}` is no field of a parameter; there are {}", FIELDS.join(", ")));
    }
    let field = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let name = field("name").and_then(Value::as_str).ok_or("`name` is missing: a text like \"DAY\"")?;
    env::check(name, "").map_err(|error| error.to_string())?;
    let of = |what: &str| format!("`{name}`: {what}");
    let choices = match field("choices") {
        None => Vec::new(),
        Some(Value::Array(choices)) if !choices.is_empty() => choices
            .iter()
            .map(|choice| scalar(choice).ok_or_else(|| of("`choices` holds texts, numbers or true and false")))
            .collect::<Result<Vec<_>, _>>()?,
        Some(_) => return Err(of("`choices` is a list with at least one value")),
    };
    let kind = match field("type").map(|kind| kind.as_str().unwrap_or_default()) {
        None if choices.is_empty() => ParameterKind::String,
        None => ParameterKind::Choice,
        Some(kind) => {
            ParameterKind::parse(kind).ok_or_else(|| of("`type` is one of string, integer, number, boolean, choice"))?
        }
    };
    if kind == ParameterKind::Choice && choices.is_empty() {
        return Err(of("a `choice` needs `choices`"));
    }
    let bound = |which: &str| match field(which) {
        None => Ok(None),
        Some(_) if !matches!(kind, ParameterKind::Integer | ParameterKind::Number) => {
            Err(of(&format!("`{which}` is for integers and numbers")))
        }
        Some(value) => value.as_f64().map(Some).ok_or_else(|| of(&format!("`{which}` is a number"))),
    };
    let (min, max) = (bound("min")?, bound("max")?);
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        return Err(of("`min` is above `max`"));
    }
    let required = match field("required") {
        None => false,
        Some(value) => value.as_bool().ok_or_else(|| of("`required` is true or false"))?,
    };
    let description = match field("description") {
        None => None,
        Some(Value::String(text)) if text.len() <= MAX_TEXT => Some(text.clone()),
        Some(_) => return Err(of(&format!("`description` is a text of at most {MAX_TEXT} bytes"))),
    };
    let mut parameter =
        PipelineParameter { name: name.to_owned(), kind, default: None, choices, required, description, min, max };
    for choice in &parameter.choices {
        let plain = PipelineParameter { choices: Vec::new(), ..parameter.clone() };
        fit(&plain, choice).map_err(|why| of(&format!("the choice {choice:?} {why}")))?;
    }
    if let Some(value) = field("default") {
        let text = scalar(value).ok_or_else(|| of("`default` is a text, a number or true or false"))?;
        let fitted = fit(&parameter, &text).map_err(|why| of(&format!("`default` {why}")))?;
        if required {
            return Err(of("a `required` parameter has no `default`: nobody would have to give it"));
        }
        parameter.default = Some(fitted);
    }
    Ok(parameter)
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// Checks given values and adds the defaults. A pipeline without definitions takes any value.
///
/// # Errors
/// Every value that is wrong, unknown or missing, each with its JSON pointer into the request.
pub fn apply(
    definitions: &[PipelineParameter],
    given: &BTreeMap<String, String>,
    hidden: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Vec<FieldProblem>> {
    if definitions.is_empty() {
        return Ok(given.clone());
    }
    let (mut values, mut problems) = (BTreeMap::new(), Vec::new());
    let mut problem = |place: &str, name: &str, message: String| {
        problems.push(FieldProblem { field: format!("/{place}/{}", pointer(name)), message });
    };
    for name in given.keys().filter(|name| definitions.iter().all(|definition| definition.name != **name)) {
        let known: Vec<&str> = definitions.iter().map(|definition| definition.name.as_str()).collect();
        problem("parameters", name, format!("`{name}` is no parameter of this pipeline; it has {}", known.join(", ")));
    }
    for definition in definitions {
        let name = &definition.name;
        // Given as a value that is not shown: it is checked like any other, and wins by itself.
        if let Some(value) = hidden.get(name) {
            if let Err(why) = fit(definition, value) {
                problem("env_vars", name, format!("`{name}` {why}"));
            }
            continue;
        }
        match given.get(name) {
            Some(value) => match fit(definition, value) {
                Ok(value) => drop(values.insert(name.clone(), value)),
                Err(why) => problem("parameters", name, format!("`{name}` {why}")),
            },
            None if definition.required => {
                problem("parameters", name, format!("`{name}` is required: {}", expected(definition)));
            }
            None => values.extend(definition.default.clone().map(|value| (name.clone(), value))),
        }
    }
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

/// A name as a part of a JSON pointer (RFC 6901).
#[must_use]
pub fn pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A value as the script gets it, or what is wrong with it. The value itself is not in the sentence: it may be secret.
fn fit(definition: &PipelineParameter, value: &str) -> Result<String, String> {
    let wrong = || format!("does not fit: {}", expected(definition));
    let trimmed = value.trim();
    let fitted = match definition.kind {
        ParameterKind::String | ParameterKind::Choice => value.to_owned(),
        ParameterKind::Boolean => match trimmed.to_ascii_lowercase().as_str() {
            "true" => "true".to_owned(),
            "false" => "false".to_owned(),
            _ => return Err(wrong()),
        },
        ParameterKind::Integer => trimmed.parse::<i64>().map_err(|_| wrong())?.to_string(),
        ParameterKind::Number => {
            trimmed.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(wrong)?;
            trimmed.to_owned()
        }
    };
    if let (ParameterKind::Integer | ParameterKind::Number, Ok(number)) = (definition.kind, fitted.parse::<f64>()) {
        let below = definition.min.is_some_and(|min| number < min);
        if below || definition.max.is_some_and(|max| number > max) {
            return Err(wrong());
        }
    }
    if !definition.choices.is_empty() && !definition.choices.contains(&fitted) {
        return Err(wrong());
    }
    Ok(fitted)
}

/// What is allowed, in words.
fn expected(definition: &PipelineParameter) -> String {
    if !definition.choices.is_empty() {
        return format!("it is one of {}", definition.choices.join(", "));
    }
    let kind = match definition.kind {
        ParameterKind::String | ParameterKind::Choice => "it is a text",
        ParameterKind::Integer => "it is a whole number",
        ParameterKind::Number => "it is a number, with a point if it is not whole",
        ParameterKind::Boolean => "it is true or false",
    };
    match (definition.min, definition.max) {
        (None, None) => kind.to_owned(),
        (Some(min), None) => format!("{kind}, at least {min}"),
        (None, Some(max)) => format!("{kind}, at most {max}"),
        (Some(min), Some(max)) => format!("{kind} from {min} to {max}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definitions() -> Vec<PipelineParameter> {
        parse(&json!([
            {"name": "DAY", "required": true, "description": "Which day"},
            {"name": "LIMIT", "type": "integer", "default": 10, "min": 1, "max": 100},
            {"name": "RATE", "type": "number", "default": 0.5},
            {"name": "DRY", "type": "boolean", "default": false},
            {"name": "MODE", "choices": ["fast", "full"], "default": "fast"},
            {"name": "FREE"}
        ]))
        .expect("in order")
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn defaults_are_added_and_values_are_written_in_one_way() {
        let values = apply(&definitions(), &map(&[("DAY", "today"), ("LIMIT", " 007 "), ("DRY", "TRUE")]), &map(&[]));
        let expected = map(&[("DAY", "today"), ("LIMIT", "7"), ("RATE", "0.5"), ("DRY", "true"), ("MODE", "fast")]);
        assert_eq!(values, Ok(expected));
    }

    #[test]
    fn every_mistake_has_its_pointer() {
        let given = map(&[("LIMIT", "101"), ("RATE", "much"), ("DRY", "1"), ("MODE", "slow"), ("A/~B", "x")]);
        let problems = apply(&definitions(), &given, &map(&[])).expect_err("wrong");
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
        let expected = [
            "/parameters/A~1~0B",
            "/parameters/DAY",
            "/parameters/LIMIT",
            "/parameters/RATE",
            "/parameters/DRY",
            "/parameters/MODE",
        ];
        assert_eq!(fields, expected);
        assert!(problems[2].message.contains("from 1 to 100"), "{problems:?}");
        assert!(problems[5].message.contains("fast, full"), "{problems:?}");
    }

    #[test]
    fn hidden_values_count_and_are_checked_without_being_told() {
        let hidden = map(&[("DAY", "secret day"), ("LIMIT", "hunter2")]);
        let problems = apply(&definitions(), &map(&[]), &hidden).expect_err("wrong");
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].field, "/env_vars/LIMIT");
        assert!(!problems[0].message.contains("hunter2"));
    }

    #[test]
    fn without_definitions_any_value_goes() {
        assert_eq!(apply(&[], &map(&[("X", "y")]), &map(&[])), Ok(map(&[("X", "y")])));
    }

    #[test]
    fn definitions_that_cannot_be_meant_are_refused_each() {
        for (wrong, told) in [
            (json!({}), "list"),
            (json!(["DAY"]), "object"),
            (json!([{}]), "`name` is missing"),
            (json!([{"name": "A-B"}]), "A-B"),
            (json!([{"name": "FASTFLOW_X"}]), "reserved"),
            (json!([{"name": "A", "typ": "string"}]), "`typ` is no field"),
            (json!([{"name": "A", "type": "date"}]), "`type` is one of"),
            (json!([{"name": "A", "type": "choice"}]), "needs `choices`"),
            (json!([{"name": "A", "type": "integer", "default": "x"}]), "`default` does not fit"),
            (json!([{"name": "A", "choices": ["a"], "default": "b"}]), "one of a"),
            (json!([{"name": "A", "type": "integer", "choices": [1.5]}]), "1.5"),
            (json!([{"name": "A", "required": true, "default": "b"}]), "nobody would"),
            (json!([{"name": "A", "min": 1}]), "`min` is for"),
            (json!([{"name": "A", "type": "number", "min": 2, "max": 1}]), "above"),
            (json!([{"name": "A"}, {"name": "A"}]), "twice"),
        ] {
            let mistakes = parse(&wrong).expect_err("refused");
            assert!(mistakes[0].1.contains(told), "{wrong}: {mistakes:?}");
        }
        let two = parse(&json!([{"name": "1"}, {"name": "A"}, {"name": "B", "type": 3}])).expect_err("refused");
        assert_eq!(two.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [Some(0), Some(2)]);
    }
}
