//! Marks what is searched for in a row, without regard to case. Finding it in the whole log is the server's work.

use std::ops::Range;

use super::ansi::Span;
use super::fold::small;

/// Byte ranges of `needle` in `text`.
#[must_use]
pub fn ranges(text: &str, needle: &str) -> Vec<Range<usize>> {
    if needle.is_empty() {
        return Vec::new();
    }
    let needle: Vec<char> = needle.chars().map(small).collect();
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let mut out = Vec::new();
    let mut i = 0;
    while i + needle.len() <= chars.len() {
        if needle.iter().zip(&chars[i..]).all(|(n, (_, c))| *n == small(*c)) {
            let end = chars.get(i + needle.len()).map_or(text.len(), |(at, _)| *at);
            out.push(chars[i].0..end);
            i += needle.len();
        } else {
            i += 1;
        }
    }
    out
}

/// Styled pieces cut at the edges of the hits; each says whether it is part of one.
#[must_use]
pub fn cut<'a>(spans: &'a [Span], hits: &[Range<usize>]) -> Vec<(&'a Span, &'a str, bool)> {
    let mut out = Vec::with_capacity(spans.len() + hits.len() * 2);
    let mut base = 0;
    for span in spans {
        let end = base + span.text.len();
        let mut at = base;
        for hit in hits.iter().filter(|hit| hit.start < end && hit.end > base) {
            let (from, to) = (hit.start.max(base), hit.end.min(end));
            if at < from {
                out.push((span, &span.text[at - base..from - base], false));
            }
            out.push((span, &span.text[from - base..to - base], true));
            at = to;
        }
        if at < end {
            out.push((span, &span.text[at - base..], false));
        }
        base = end;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_without_case() {
        assert_eq!(ranges("Fehler: FEHLER", "fehler"), [0..6, 8..14]);
        assert_eq!(ranges("aaa", "aa"), vec![0..2; 1]);
        assert_eq!(ranges("größe Ü", "ü"), vec![8..10; 1]);
        assert!(ranges("abc", "").is_empty());
        assert!(ranges("a", "abc").is_empty());
    }

    #[test]
    fn hits_cross_colours() {
        let spans = super::super::ansi::parse("ab\u{1b}[31mcd\u{1b}[0mef", Default::default()).0;
        let pieces: Vec<(&str, bool)> = cut(&spans, &[1..3, 5..6]).into_iter().map(|(_, t, hit)| (t, hit)).collect();
        assert_eq!(pieces, [("a", false), ("b", true), ("c", true), ("d", false), ("e", false), ("f", true)]);
        assert_eq!(cut(&spans, &[]).len(), 3);
    }
}
