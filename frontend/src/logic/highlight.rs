//! Colours for source: comments, strings, numbers and the words of the language. A glance and no parser: what it gets wrong
//! is a colour.

/// What a piece of source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything else.
    Plain,
    /// A remark.
    Comment,
    /// A text.
    Text,
    /// A number.
    Number,
    /// A word of the language.
    Word,
}

/// A language, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Python.
    Python,
    /// JSON.
    Json,
    /// `#` begins a comment: requirements, TOML, YAML, shell.
    Hash,
    /// No colours.
    None,
}

const PYTHON: &str = " False None True and as assert async await break class continue def del elif else except finally for from \
    global if import in is lambda nonlocal not or pass raise return try while with yield match case ";
const JSON: &str = " true false null ";

impl Language {
    /// By a file's name.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        match name.rsplit('.').next().unwrap_or_default() {
            "py" | "pyi" => Self::Python,
            "json" => Self::Json,
            "toml" | "yml" | "yaml" | "sh" | "cfg" | "ini" => Self::Hash,
            _ if name.starts_with("requirements") => Self::Hash,
            _ => Self::None,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Python => PYTHON,
            Self::Json => JSON,
            Self::Hash | Self::None => "",
        }
    }
}

/// A piece of a line.
pub type Piece = (Kind, String);

/// Reads line after line; a text over several lines is all it remembers.
pub struct Reader {
    language: Language,
    open: Option<&'static str>,
}

impl Reader {
    /// At the beginning of a file.
    #[must_use]
    pub const fn new(language: Language) -> Self {
        Self { language, open: None }
    }

    /// The pieces of the next line.
    pub fn line(&mut self, line: &str) -> Vec<Piece> {
        let mut out: Vec<Piece> = Vec::new();
        let mut rest = line;
        if self.language == Language::None {
            return vec![(Kind::Plain, line.to_owned())];
        }
        if let Some(quote) = self.open {
            rest = self.triple(rest, 0, quote, &mut out);
        }
        while let Some(first) = rest.chars().next() {
            let (kind, len) = match first {
                '#' if self.language != Language::Json => (Kind::Comment, rest.len()),
                '"' | '\'' => {
                    let triple = [r#"""""#, "'''"].into_iter().find(|quote| rest.starts_with(quote));
                    if let (Some(quote), Language::Python) = (triple, self.language) {
                        rest = self.triple(rest, quote.len(), quote, &mut out);
                        continue;
                    }
                    (Kind::Text, text_len(rest, first))
                }
                '0'..='9' => (Kind::Number, span(rest, |c| c.is_ascii_alphanumeric() || c == '.' || c == '_')),
                c if !c.is_ascii() || c.is_ascii_alphabetic() || c == '_' => {
                    // Beyond ASCII all counts as a letter: the tables of what is one weigh more than this file.
                    let len = span(rest, |c| !c.is_ascii() || c.is_ascii_alphanumeric() || c == '_');
                    let known = self.language.words().split(' ').any(|word| !word.is_empty() && word == &rest[..len]);
                    (if known { Kind::Word } else { Kind::Plain }, len)
                }
                c => (Kind::Plain, c.len_utf8()),
            };
            push(&mut out, kind, &rest[..len]);
            rest = &rest[len..];
        }
        out
    }

    /// Takes a text in three quotes as far as this line goes, from `from` on; returns what follows.
    fn triple<'l>(&mut self, rest: &'l str, from: usize, quote: &'static str, out: &mut Vec<Piece>) -> &'l str {
        let end = rest[from..].find(quote).map(|at| from + at + quote.len());
        self.open = end.is_none().then_some(quote);
        let end = end.unwrap_or(rest.len());
        push(out, Kind::Text, &rest[..end]);
        &rest[end..]
    }
}

fn push(out: &mut Vec<Piece>, kind: Kind, text: &str) {
    match out.last_mut() {
        Some((last, before)) if *last == kind => before.push_str(text),
        _ => out.push((kind, text.to_owned())),
    }
}

fn span(text: &str, belongs: impl Fn(char) -> bool) -> usize {
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

/// Bytes of the text that begins here, with its quotes.
fn text_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(language: Language, lines: &[&str]) -> Vec<Vec<(Kind, String)>> {
        let mut reader = Reader::new(language);
        lines.iter().map(|line| reader.line(line)).collect()
    }

    #[test]
    fn a_line_is_never_changed_by_its_colours() {
        let lines = [
            "def f(x): # no",
            r#"  s = "a\"b" + 'c' + f"{x}""#,
            "\"\"\"open",
            "still # text",
            "end\"\"\" + 12_000.5e3",
            "ü = \"offen",
        ];
        for language in [Language::Python, Language::Json, Language::Hash, Language::None] {
            for (line, pieces) in lines.iter().zip(kinds(language, &lines)) {
                assert_eq!(pieces.into_iter().map(|(_, text)| text).collect::<String>(), **line);
            }
        }
    }

    #[test]
    fn python_has_words_texts_numbers_and_remarks() {
        let found = kinds(Language::Python, &["def f(): return 'a#b', 12 # end", "'''x", "y'''z"]);
        let of = |kind: Kind, line: usize| -> Vec<&str> {
            found[line].iter().filter(|(k, _)| *k == kind).map(|(_, text)| text.as_str()).collect()
        };
        assert_eq!(of(Kind::Word, 0), ["def", "return"]);
        assert_eq!(of(Kind::Text, 0), ["'a#b'"]);
        assert_eq!(of(Kind::Number, 0), ["12"]);
        assert_eq!(of(Kind::Comment, 0), ["# end"]);
        assert_eq!((of(Kind::Text, 1), of(Kind::Text, 2)), (vec!["'''x"], vec!["y'''"]));
    }

    #[test]
    fn languages_go_by_name() {
        assert_eq!(Language::of("lib/a.py"), Language::Python);
        assert_eq!(Language::of("pipeline.json"), Language::Json);
        assert_eq!(Language::of("requirements.txt"), Language::Hash);
        assert_eq!(Language::of("README"), Language::None);
    }
}
