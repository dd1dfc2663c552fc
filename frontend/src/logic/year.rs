//! The squares of a year's calendar: a column for each week, a row for each day of it.

use chrono::{Datelike, Days, NaiveDate};
use fastflow_shared::RunDay;

/// One square.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Square {
    /// Column.
    pub week: u32,
    /// Row; Monday is 0.
    pub weekday: u32,
    /// The day.
    pub date: NaiveDate,
    /// What became of its runs: succeeded, failed.
    pub runs: (i64, i64),
    /// How full it is, 0 to 4.
    pub level: i64,
}

/// The squares of the 52 whole weeks before the one of `today`, and of that one up to today.
#[must_use]
pub fn squares(days: &[RunDay], today: NaiveDate) -> Vec<Square> {
    let back = 52 * 7 + u64::from(today.weekday().num_days_from_monday());
    let Some(first) = today.checked_sub_days(Days::new(back)) else { return Vec::new() };
    let most = days.iter().map(|day| day.succeeded + day.failed).max().unwrap_or(0).max(1);
    let mut known = days.iter().peekable();
    let dates = (0..=back).filter_map(|n| Some((u32::try_from(n).ok()?, first.checked_add_days(Days::new(n))?)));
    let mut out = Vec::with_capacity(400);
    for (n, date) in dates {
        let name = date.to_string();
        // Both lists go forward; a day before the first square is passed over.
        while known.peek().is_some_and(|day| day.date < name) {
            known.next();
        }
        let runs = known.next_if(|day| day.date == name).map_or((0, 0), |day| (day.succeeded, day.failed));
        let all = runs.0 + runs.1;
        let level = if all == 0 { 0 } else { 1 + 3 * (all - 1) / most };
        out.push(Square { week: n / 7, weekday: n % 7, date, runs, level });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_ends_today_and_begins_on_a_monday() {
        let day = |date: &str, succeeded, failed| RunDay { date: date.to_owned(), succeeded, failed, active: 0 };
        let days = [day("2020-01-01", 9, 9), day("2026-11-20", 40, 0), day("2026-11-21", 0, 1)];
        let today = NaiveDate::from_ymd_opt(2026, 11, 21).expect("a date");
        let all = squares(&days, today);
        assert_eq!((all.len(), all[0].week, all[0].weekday, all[0].date.weekday()), (370, 0, 0, chrono::Weekday::Mon));
        let last = &all[all.len() - 1];
        assert_eq!((last.date, last.week, last.weekday, last.runs, last.level), (today, 52, 5, (0, 1), 1));
        assert_eq!((all[all.len() - 2].runs, all[all.len() - 2].level), ((40, 0), 3));
        assert_eq!(all.iter().filter(|square| square.level > 0).count(), 2);
    }
}
