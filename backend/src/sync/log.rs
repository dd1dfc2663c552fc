//! The log of one sync: in memory while somebody may watch it, in the database afterwards.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat, Utc};
use fastflow_shared::{SyncLogLine, SyncResult};
use tokio::sync::watch;

/// Most lines that are kept; a mark says that there were more.
const MAX_LINES: usize = 5_000;

/// Longest line, in characters.
const MAX_LINE: usize = 2_000;

/// A log that grows.
#[derive(Debug)]
pub struct SyncLog {
    /// The sync that it belongs to.
    pub sync_id: String,
    lines: Mutex<Vec<SyncLogLine>>,
    /// How long it is, and how the sync ended.
    state: watch::Sender<(usize, Option<SyncResult>)>,
}

/// What a viewer gets.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Lines, and the number of the next one.
    Lines(Vec<SyncLogLine>, usize),
    /// All was told.
    End(SyncResult),
}

impl SyncLog {
    /// Empty.
    #[must_use]
    pub fn new(sync_id: String) -> Self {
        Self { sync_id, lines: Mutex::default(), state: watch::channel((0, None)).0 }
    }

    /// That of a sync of the past.
    #[must_use]
    pub fn of_text(sync_id: String, text: &str, result: SyncResult) -> Self {
        let log = Self::new(sync_id);
        for line in text.lines() {
            let (time, text) = line.split_once(' ').unwrap_or(("", line));
            let time = DateTime::parse_from_rfc3339(time).map(|time| time.with_timezone(&Utc)).unwrap_or_default();
            log.push(time, text);
        }
        log.end(result);
        log
    }

    /// Adds what was said; each line of it for itself.
    pub fn push(&self, time: DateTime<Utc>, text: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for text in text.lines().map(str::trim_end).filter(|text| !text.is_empty()) {
            if lines.len() > MAX_LINES {
                return;
            }
            let text = if lines.len() == MAX_LINES {
                "[fastflow] more lines than are kept".to_owned()
            } else {
                text.chars().filter(|c| !c.is_control()).take(MAX_LINE).collect()
            };
            lines.push(SyncLogLine { time, text });
        }
        let length = lines.len();
        self.state.send_modify(|state| state.0 = length);
    }

    /// Nothing more will come.
    pub fn end(&self, result: SyncResult) {
        self.state.send_modify(|state| state.1 = Some(result));
    }

    /// All of it, a line each.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .iter()
            .map(|line| format!("{} {}\n", line.time.to_rfc3339_opts(SecondsFormat::Millis, true), line.text))
            .collect()
    }

    /// What stands from line `from` on, waiting for it.
    pub async fn news(&self, from: usize) -> News {
        let mut state = self.state.subscribe();
        // The sender lives as long as we do.
        let seen = state.wait_for(|(length, ended)| *length > from || ended.is_some()).await.map(|state| *state);
        let lines = {
            let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.get(from..).unwrap_or_default().to_vec()
        };
        match (lines.is_empty(), seen) {
            (false, _) => {
                let next = from + lines.len();
                News::Lines(lines, next)
            }
            (true, Ok((_, Some(result)))) => News::End(result),
            (true, _) => News::End(SyncResult::Failed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_viewer_gets_every_line_once_and_the_end() {
        let log = SyncLog::new("s".to_owned());
        log.push(DateTime::default(), "one\n\ntwo\u{7}");
        let News::Lines(lines, next) = log.news(0).await else { panic!("lines") };
        assert_eq!(lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        let (news, ()) = tokio::join!(log.news(next), async {
            tokio::task::yield_now().await;
            log.push(DateTime::default(), "three");
            log.end(SyncResult::Switched);
        });
        assert!(matches!(news, News::Lines(lines, 3) if lines[0].text == "three"));
        assert_eq!(log.news(3).await, News::End(SyncResult::Switched));
        let again = SyncLog::of_text("s".to_owned(), &log.text(), SyncResult::Switched);
        assert_eq!(again.text(), log.text());
    }

    #[test]
    fn a_flood_ends_in_a_mark() {
        let log = SyncLog::new("s".to_owned());
        for _ in 0..MAX_LINES + 100 {
            log.push(DateTime::default(), "x");
        }
        let text = log.text();
        assert_eq!(text.lines().count(), MAX_LINES + 1);
        assert!(text.ends_with("more lines than are kept\n"));
    }
}
