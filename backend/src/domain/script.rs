//! What a script or a project says of the packages that it needs: the block of PEP 723 in `main.py`, and the little that is
//! read of a `pyproject.toml`.

use fastflow_shared::PipelineProblem;
use toml_edit::{Document, Item, TomlError};

/// First line of the block.
const OPEN: &str = "# /// script";

/// Last line of the block.
const CLOSE: &str = "# ///";

/// What a script says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScriptMetadata {
    /// Requirements, as a `requirements.txt` has them.
    pub dependencies: Vec<String>,
    /// The versions of Python that it works with, like `>=3.11`.
    pub requires_python: Option<String>,
}

/// Reads the metadata of the script `file`; `None` when it has none.
///
/// # Errors
/// What is wrong with the block, with line and column.
pub fn script_metadata(file: &str, text: &str) -> Result<Option<ScriptMetadata>, PipelineProblem> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let mut opened = lines.iter().enumerate().filter(|(_, line)| **line == OPEN).map(|(index, _)| index);
    let Some(first) = opened.next() else { return Ok(None) };
    let at = |line: usize, column: usize, message: String| PipelineProblem {
        file: file.to_owned(),
        line: i32::try_from(line + 1).ok(),
        column: i32::try_from(column + 1).ok(),
        message,
    };
    let block: Vec<&str> =
        lines[first + 1..].iter().copied().take_while(|line| *line == "#" || line.starts_with("# ")).collect();
    // The last closing line counts: the content may hold such a line itself.
    let Some(length) = block.iter().rposition(|line| *line == CLOSE) else {
        return Err(at(first, 0, format!("the block `{OPEN}` is not closed by a line `{CLOSE}`")));
    };
    if let Some(second) = opened.find(|index| *index > first + length) {
        return Err(at(second, 0, format!("a second block `{OPEN}`: one script has one")));
    }
    let content: Vec<&str> = block[..length].iter().map(|line| line.get(2..).unwrap_or_default()).collect();
    let content = content.join("\n");
    // Each line of the content stands two characters further right in the script.
    let place = |offset: usize| {
        let (line, column) = line_and_column(&content, offset);
        (first + 1 + line, column + 2)
    };
    let told = |offset: usize, message: String| {
        let (line, column) = place(offset);
        at(line, column, message)
    };
    let document = Document::parse(content.as_str())
        .map_err(|error| told(start_of(&error), format!("not valid TOML: {}", one_line(error.message()))))?;
    let mut metadata = ScriptMetadata::default();
    let offset = |item: &Item| item.span().map_or(0, |span| span.start);
    if let Some(item) = document.get("dependencies") {
        let wrong = || told(offset(item), "`dependencies`: expected a list of texts like \"requests>=2\"".to_owned());
        for value in item.as_array().ok_or_else(wrong)? {
            let text = value.as_str().map(str::trim).filter(|text| is_requirement(text));
            let span = value.span().unwrap_or_else(|| offset(item)..offset(item));
            let shown = content.get(span.clone()).unwrap_or_default().trim();
            let text = text.ok_or_else(|| {
                told(span.start, format!("`dependencies`: {shown} is no requirement like \"requests>=2\""))
            })?;
            metadata.dependencies.push(text.to_owned());
        }
    }
    if let Some(item) = document.get("requires-python") {
        let text = item.as_str().map(str::trim).filter(|text| is_python_range(text));
        let wrong = || told(offset(item), "`requires-python`: expected versions like \">=3.11\"".to_owned());
        metadata.requires_python = Some(text.ok_or_else(wrong)?.to_owned());
    }
    Ok(Some(metadata))
}

/// The versions of Python that a `pyproject.toml` asks for, if it says so.
///
/// # Errors
/// What is wrong with the file, with line and column.
pub fn project_python(file: &str, text: &str) -> Result<Option<String>, PipelineProblem> {
    let problem = |offset: usize, message: String| {
        let (line, column) = line_and_column(text, offset);
        PipelineProblem {
            file: file.to_owned(),
            line: i32::try_from(line + 1).ok(),
            column: i32::try_from(column + 1).ok(),
            message,
        }
    };
    let document = Document::parse(text)
        .map_err(|error| problem(start_of(&error), format!("not valid TOML: {}", one_line(error.message()))))?;
    let Some(item) = document.get("project").and_then(|project| project.get("requires-python")) else {
        return Ok(None);
    };
    match item.as_str().map(str::trim).filter(|text| is_python_range(text)) {
        Some(range) => Ok(Some(range.to_owned())),
        None => {
            let offset = item.span().map_or(0, |span| span.start);
            Err(problem(offset, "`requires-python`: expected versions like \">=3.11\"".to_owned()))
        }
    }
}

fn start_of(error: &TomlError) -> usize {
    error.span().map_or(0, |span| span.start)
}

fn one_line(message: &str) -> String {
    message.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Line and column of a byte, both from 0, the column in characters.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count();
    (before.matches('\n').count(), column)
}

/// A requirement begins with the name of a package. What begins otherwise is an option, which has no place here.
fn is_requirement(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && !text.contains(['\n', '\r'])
}

fn is_python_range(text: &str) -> bool {
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ',' | '<' | '>' | '=' | '!' | '~' | '*' | ' ');
    text.contains(|c: char| c.is_ascii_digit()) && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<ScriptMetadata>, PipelineProblem> {
        script_metadata("main.py", text)
    }

    #[test]
    fn the_example_of_the_specification() {
        let text = "#!/usr/bin/env python\n# /// script\n# requires-python = \">=3.11\"\n# dependencies = [\n#   \"requests<3\",\n#   \
                    \"rich\",\n# ]\n# ///\n\nimport requests\n";
        let found = read(text).expect("valid").expect("there");
        assert_eq!(found.dependencies, ["requests<3", "rich"]);
        assert_eq!(found.requires_python.as_deref(), Some(">=3.11"));
        assert_eq!(read(&text.replace('\n', "\r\n")), Ok(Some(found)), "lines of Windows");
    }

    #[test]
    fn what_is_no_block() {
        for text in
            ["", "import x\n", "# /// other\n# a = 1\n# ///\n", "x = '''\n # /// script\n'''\n", "#/// script\n#///\n"]
        {
            assert_eq!(read(text), Ok(None), "{text}");
        }
        assert_eq!(read("# /// script\n# ///\n"), Ok(Some(ScriptMetadata::default())), "an empty one");
        let other = "# /// script\n# [tool.uv]\n# exclude-newer = \"2026-01-01T00:00:00Z\"\n#\n# # a comment\n# ///\n";
        assert_eq!(read(other), Ok(Some(ScriptMetadata::default())), "tools' own tables are theirs");
        let inner = "# /// script\n# dependencies = [\"a\"]\n# ///\n# dependencies_of_nobody = 1\n# ///\n";
        assert!(read(inner).is_err(), "the last closing line counts");
    }

    #[test]
    fn each_mistake_is_told_where_it_stands() {
        for (text, line, column, words) in [
            ("x = 1\n# /// script\n# dependencies = []\n", 2, 1, "not closed"),
            ("# /// script\n# dependencies = [\n# ///\n", 2, 19, "TOML"),
            ("# /// script\n# dependencies = \"a\"\n# ///\n", 2, 18, "a list"),
            ("# /// script\n# dependencies = [\"a\",\n#   3]\n# ///\n", 3, 5, "`dependencies`: 3"),
            ("# /// script\n# dependencies = [\"--index-url x\"]\n# ///\n", 2, 19, "no requirement"),
            ("# /// script\n# requires-python = 3.11\n# ///\n", 2, 21, ">=3.11"),
            ("# /// script\n# ///\n\n# /// script\n# ///\n", 4, 1, "second"),
        ] {
            let problem = read(text).expect_err(text);
            assert_eq!((problem.line, problem.column), (Some(line), Some(column)), "{text}: {}", problem.message);
            assert!(problem.message.contains(words), "{}", problem.message);
        }
    }

    #[test]
    fn a_projects_python() {
        let read = |text: &str| project_python("pyproject.toml", text);
        assert_eq!(read("[project]\nrequires-python = '>=3.10'\n"), Ok(Some(">=3.10".to_owned())));
        assert_eq!(read("[build-system]\nrequires = []\n"), Ok(None));
        let problem = read("[project]\nrequires-python = [\n").expect_err("broken");
        assert_eq!((problem.file.as_str(), problem.line.is_some()), ("pyproject.toml", true));
    }
}
