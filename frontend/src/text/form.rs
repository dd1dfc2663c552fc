//! Texts with gaps: `{runs} {runs:run|runs} deleted`.
//!
//! A gap is a value by its name, or one of two words: the first for 1, the second for any other value. In a language's file
//! the names have become numbers.

use std::fmt::{Display, Write as _};

/// A text with gaps. Not a `&str`, so that nobody shows it as it is.
pub struct Form(pub &'static str);

/// Fills the gaps. One that has no value stays empty.
#[must_use]
pub fn fill(form: &Form, values: &[&dyn Display]) -> String {
    let mut out = String::new();
    let mut rest = form.0;
    while let Some((before, (gap, after))) = rest.split_once('{').and_then(|(a, b)| Some((a, b.split_once('}')?))) {
        out.push_str(before);
        rest = after;
        let (number, words) = gap.split_once(':').unwrap_or((gap, ""));
        let Some(value) = number.parse().ok().and_then(|number: usize| values.get(number)) else { continue };
        match words.split_once('|') {
            Some((one, many)) => out.push_str(if value.to_string() == "1" { one } else { many }),
            // Writing to memory cannot fail.
            None => drop(write!(out, "{value}")),
        }
    }
    out + rest
}

/// The form with numbers in place of names.
///
/// # Panics
/// When a gap has none of these names, or a value is nowhere said.
#[cfg(not(target_family = "wasm"))]
#[must_use]
pub fn numbered(form: &Form, names: &[&str]) -> String {
    let mut parts = form.0.split('{');
    let mut out = parts.next().unwrap_or_default().to_owned();
    let mut said = vec![false; names.len()];
    for part in parts {
        let end = part.find([':', '}']).unwrap_or(part.len());
        let number = names.iter().position(|name| *name == &part[..end]);
        let number = number.unwrap_or_else(|| panic!("{:?} has a gap that is none of {names:?}", form.0));
        assert!(part.contains('}'), "{:?} has a gap without an end", form.0);
        said[number] |= part[end..].starts_with('}');
        out += &format!("{{{number}{}", &part[end..]);
    }
    assert!(said.iter().all(|said| *said), "{:?} does not say all of {names:?}", form.0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(form: &'static str, names: &[&str], values: &[&dyn Display]) -> String {
        fill(&Form(numbered(&Form(form), names).leak()), values)
    }

    #[test]
    fn gaps_are_filled() {
        assert_eq!(said("{a} of {b}", &["a", "b"], &[&1, &"two"]), "1 of two");
        assert_eq!(said("{b} of {a}, {b}!", &["a", "b"], &[&1, &2]), "2 of 1, 2!");
        assert_eq!(said("{name}", &["name"], &[&"{0}"]), "{0}");
    }

    #[test]
    fn a_word_follows_its_number() {
        let form = "{n} {n:run|runs} deleted";
        assert_eq!(said(form, &["n"], &[&1]), "1 run deleted");
        assert_eq!(said(form, &["n"], &[&0]), "0 runs deleted");
        assert_eq!(said(form, &["n"], &[&"1.234"]), "1.234 runs deleted");
    }

    #[test]
    fn a_broken_file_breaks_nothing() {
        for (form, text) in [("{7} left", " left"), ("{", "{"), ("{0", "{0"), ("", ""), ("}{x}", "}")] {
            assert_eq!(fill(&Form(form), &[&1]), text);
        }
    }

    #[test]
    #[should_panic(expected = "none of")]
    fn a_gap_without_a_value_is_refused() {
        let _ = numbered(&Form("{who} is here"), &["name"]);
    }

    #[test]
    #[should_panic(expected = "does not say")]
    fn a_value_without_a_gap_is_refused() {
        let _ = numbered(&Form("{n:one|many} here"), &["n"]);
    }
}
