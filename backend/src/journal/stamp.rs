//! Timestamps as they stand in a log: RFC 3339, UTC, always nine fractional digits, so that a line's header has a fixed
//! width and can be read backwards, skipped, and searched without parsing.

use chrono::{DateTime, Datelike, NaiveDate, Utc};

/// `2026-01-02T03:04:05.123456789Z`.
pub(super) const STAMP: usize = 30;

/// Formats timestamps; the date and time of day are formatted once per second, the nanoseconds each time.
#[derive(Debug)]
pub(super) struct Stamper {
    /// The time that `text` shows.
    at: DateTime<Utc>,
    /// The last stamp made.
    text: [u8; STAMP],
}

impl Default for Stamper {
    fn default() -> Self {
        Self { at: DateTime::UNIX_EPOCH, text: *b"1970-01-01T00:00:00.000000000Z" }
    }
}

impl Stamper {
    /// The text of `at`. Years that RFC 3339 cannot write become the epoch.
    pub(super) fn set(&mut self, at: DateTime<Utc>) -> &[u8; STAMP] {
        if at == self.at {
            return &self.text;
        }
        let second = self.at.timestamp();
        self.at = at;
        let at = if (0..=9999).contains(&at.year()) { at } else { DateTime::UNIX_EPOCH };
        if at.timestamp() != second {
            let text = at.format("%Y-%m-%dT%H:%M:%S").to_string();
            self.text[..19].copy_from_slice(&text.as_bytes()[..19]);
        }
        // chrono shows a leap second as more than 999,999,999 ns; it is kept within its second.
        let mut rest = at.timestamp_subsec_nanos().min(999_999_999);
        for digit in self.text[20..29].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        &self.text
    }
}

/// Reads `YYYY-MM-DDTHH:MM:SS.nnnnnnnnn`, whatever follows; `None` when it is not that.
pub(super) fn parse(text: &[u8]) -> Option<DateTime<Utc>> {
    let text: &[u8; 29] = text.first_chunk()?;
    let fixed = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.')];
    if fixed.iter().any(|&(at, byte)| text[at] != byte) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        text[range]
            .iter()
            .try_fold(0_u32, |sum, &byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    };
    let date = NaiveDate::from_ymd_opt(number(0..4)? as i32, number(5..7)?, number(8..10)?)?;
    let time = date.and_hms_nano_opt(number(11..13)?, number(14..16)?, number(17..19)?, number(20..29)?)?;
    Some(time.and_utc())
}
