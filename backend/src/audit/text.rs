//! Text from outside, made harmless.

/// The text without anything that breaks a line, is not seen, or changes how its neighbours are drawn: such characters are
/// written as `\u{…}`. Cut after `most` characters.
pub fn plain(text: &str, most: usize) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for (count, c) in text.chars().enumerate() {
        if count == most {
            out.push('…');
            break;
        }
        if c.is_control() || is_unseen(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Line and paragraph separators, marks of width zero, and all that turn the direction of writing.
const fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// One cell of a CSV file (RFC 4180). A spreadsheet takes a cell that begins with one of these signs for a formula and
/// executes it: an apostrophe makes it text (OWASP, CSV injection).
pub fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let quoted = formula || text.contains([',', '"', '\r', '\n', ';', '\t']);
    if !quoted {
        return text.to_owned();
    }
    format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_seen_is_what_is_there() {
        for (text, expected) in [
            ("plain Text, ä€😀", "plain Text, ä€😀"),
            ("a\nb\r\u{1b}[31m", "a\\u{a}b\\u{d}\\u{1b}[31m"),
            ("user\u{202e}nimda", "user\\u{202e}nimda"),
            ("ad\u{200b}min\u{2028}", "ad\\u{200b}min\\u{2028}"),
            ("0123456789abc", "0123456789…"),
        ] {
            assert_eq!(plain(text, if text.len() == 13 { 10 } else { 99 }), expected);
        }
    }

    #[test]
    fn no_cell_is_a_formula() {
        for (text, expected) in [
            ("ute", "ute"),
            ("", ""),
            ("a b", "a b"),
            ("=1+1", "\"'=1+1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("-1", "\"'-1\""),
            ("+49", "\"'+49\""),
            ("a=1", "a=1"),
            ("say \"x\", y", "\"say \"\"x\"\", y\""),
        ] {
            assert_eq!(cell(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_entry_is_one_line_whatever_it_holds(text in "(?s).{0,80}") {
            let plain = plain(&text, 60);
            let whole = plain.chars().all(|c| !c.is_control() && !is_unseen(c));
            prop_assert!(whole);
            let cell = cell(&plain);
            prop_assert!(!cell.starts_with(['=', '+', '-', '@']) && !cell.starts_with("\"="));
            prop_assert!(cell.matches('"').count().is_multiple_of(2));
        }
    }
}
