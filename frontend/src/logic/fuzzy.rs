//! How well a typed fragment fits a title, for the command palette.

use super::fold::small;

/// A score (higher is better), or nothing when the letters do not occur in order.
#[must_use]
pub fn score(needle: &str, title: &str) -> Option<i32> {
    let title: Vec<char> = title.chars().map(small).collect();
    let mut total = 0;
    let mut from = 0;
    let mut last = None;
    for c in needle.chars().map(small).filter(|c| *c != ' ') {
        let at = from + title[from..].iter().position(|t| *t == c)?;
        let starts_word = at == 0 || matches!(title[at - 1], ' ' | '-' | '_' | '.' | '/');
        total += if last.is_some_and(|last: usize| last + 1 == at) { 6 } else { 0 };
        total += if starts_word { 8 } else { 0 };
        total -= i32::try_from(at - from).unwrap_or(i32::MAX).min(6);
        last = Some(at);
        from = at + 1;
    }
    Some(total - i32::try_from(title.len()).unwrap_or(i32::MAX).min(80) / 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_and_neighbours_win() {
        assert!(score("run", "Runs") > score("run", "Return unit"));
        assert!(score("dl", "daily-load") > score("dl", "dandelion"));
        assert_eq!(score("xyz", "runs"), None);
        assert!(score("", "anything").is_some());
    }
}
