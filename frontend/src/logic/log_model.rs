//! What the log viewer holds: a ring of rows in memory, of which it draws a window.
//!
//! The server's offset is the only position: a piece that was already taken is refused, so a reconnect cannot double
//! a line, and a gap that the server announces becomes a row of its own, so it cannot pass unseen.

use std::collections::VecDeque;
use std::rc::Rc;

use chrono::{DateTime, Utc};
use fastflow_shared::{LogLine, LogPage, LogSkipped, LogSource};

use super::ansi::{self, Span, Style};

/// Rows kept in memory.
pub const CAPACITY: usize = 5_000;
/// Rows drawn at once.
pub const WINDOW: usize = 500;
/// Bytes of one line that are shown; a longer line is whole in the download.
pub const LINE_CAP: usize = 64 * 1024;
/// Number of the first row of a page, so that earlier ones can come before it.
const MIDDLE: u64 = 1 << 32;
/// How lines that Fast-Flow itself writes into a log begin.
pub const OWN_MARK: &str = "[fastflow] ";

/// What a row shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A line of the script.
    Line {
        /// Its styled pieces.
        spans: Vec<Span>,
        /// Bytes of it that are not shown.
        cut: usize,
    },
    /// A remark of Fast-Flow itself.
    Mark(String),
    /// Lines that were not sent.
    Skipped(LogSkipped),
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Counts rows since the viewer was opened; never reused, so it is the key.
    pub seq: u64,
    /// Byte offset of the line in the stored log.
    pub offset: i64,
    /// Line number, when it is known.
    pub number: Option<i64>,
    /// When it was received.
    pub time: Option<DateTime<Utc>>,
    /// Which output it came from.
    pub source: LogSource,
    /// What it shows.
    pub kind: Kind,
    /// Its text without escape sequences, for search and copy.
    pub plain: String,
}

/// A line of which more pieces may come.
#[derive(Debug, Clone)]
struct Open {
    seq: u64,
    raw: String,
    cut: usize,
}

/// The rows of one log.
#[derive(Debug)]
pub struct LogModel {
    rows: VecDeque<Rc<Row>>,
    next_seq: u64,
    next_offset: i64,
    next_number: Option<i64>,
    /// Where the stored log ended when its last page was read.
    end: i64,
    /// How often rows came before the first.
    grown: u32,
    open: [Option<Open>; 2],
    style: [Style; 2],
}

impl LogModel {
    /// An empty log that begins at byte `offset`. Line numbers are known only from the very beginning.
    #[must_use]
    pub fn starting_at(offset: i64) -> Self {
        Self {
            rows: VecDeque::new(),
            next_seq: 0,
            next_offset: offset,
            next_number: (offset == 0).then_some(1),
            end: i64::MAX,
            grown: 0,
            open: [None, None],
            style: [Style::default(); 2],
        }
    }

    /// A part of a stored log, to which the parts before and after it can be added.
    #[must_use]
    pub fn of_page(page: LogPage) -> Self {
        let mut model = Self {
            next_seq: MIDDLE,
            next_number: Some(page.first_line),
            end: page.end,
            ..Self::starting_at(page.start)
        };
        model.lines(page.lines, page.next);
        model
    }

    /// Adds the page after the last row.
    pub fn later(&mut self, page: LogPage) {
        self.end = page.end;
        self.lines(page.lines, page.next);
    }

    /// Adds the page before the first row; rows at the end give way.
    pub fn earlier(&mut self, page: LogPage) {
        let mut first = self.rows.front().map_or(MIDDLE, |row| row.seq);
        for row in Self::of_page(page).rows.into_iter().rev() {
            first -= 1;
            self.rows.push_front(Rc::new(Row { seq: first, ..(*row).clone() }));
        }
        self.grown += 1;
        while self.rows.len() > CAPACITY
            && let Some(row) = self.rows.pop_back()
        {
            self.open = [None, None];
            (self.next_offset, self.next_number, self.next_seq) = (row.offset, row.number, row.seq);
        }
    }

    /// Offset of the first row.
    #[must_use]
    pub fn start(&self) -> i64 {
        self.rows.front().map_or(0, |row| row.offset)
    }

    /// Whether the stored log goes on behind the last row, as far as pages tell.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.end != i64::MAX && self.next_offset < self.end
    }

    /// How often rows came before the first.
    #[must_use]
    pub fn grown(&self) -> u32 {
        self.grown
    }

    /// A log of which only the last lines are asked for: neither offset nor line number is known yet.
    #[must_use]
    pub fn tail() -> Self {
        Self { next_offset: -1, next_number: None, ..Self::starting_at(-1) }
    }

    /// Offset to continue at; absent before anything came of a tail.
    #[must_use]
    pub fn resume_at(&self) -> Option<i64> {
        (self.next_offset >= 0).then_some(self.next_offset)
    }

    /// The rows, oldest first.
    #[must_use]
    pub fn rows(&self) -> &VecDeque<Rc<Row>> {
        &self.rows
    }

    /// Takes lines of the stream; what was already taken is ignored.
    pub fn lines(&mut self, lines: Vec<LogLine>, next: i64) {
        for line in lines {
            if line.offset >= self.next_offset {
                if self.next_offset < 0 && line.offset == 0 {
                    self.next_number = Some(1);
                }
                self.next_offset = line.offset + 1;
                self.line(&line);
            }
        }
        self.next_offset = self.next_offset.max(next);
    }

    /// Takes the announcement of a gap.
    pub fn skipped(&mut self, gap: LogSkipped) {
        if gap.to <= self.next_offset {
            return;
        }
        self.open = [None, None];
        self.style = [Style::default(); 2];
        self.next_offset = gap.to;
        self.next_number = self.next_number.map(|number| number + gap.lines);
        let seq = self.seq();
        self.push(Row {
            seq,
            offset: gap.from,
            number: None,
            time: None,
            source: LogSource::Stdout,
            kind: Kind::Skipped(gap),
            plain: String::new(),
        });
    }

    fn line(&mut self, line: &LogLine) {
        let slot = usize::from(line.source == LogSource::Stderr);
        if let Some(mut open) = self.open[slot].take() {
            append(&mut open, &line.text);
            self.redraw(slot, &open);
            if line.complete {
                self.close(slot, &open);
            } else {
                self.open[slot] = Some(open);
            }
            return;
        }
        let number = self.next_number;
        self.next_number = number.map(|number| number + 1);
        let seq = self.seq();
        let mut open = Open { seq, raw: String::new(), cut: 0 };
        append(&mut open, &line.text);
        let own = line.text.strip_prefix(OWN_MARK).filter(|_| line.complete).map(str::to_owned);
        let (kind, plain) = own.map_or_else(|| self.draw(slot, &open), |text| (Kind::Mark(text.clone()), text));
        self.push(Row { seq, offset: line.offset, number, time: Some(line.time), source: line.source, kind, plain });
        if line.complete {
            self.close(slot, &open);
        } else {
            self.open[slot] = Some(open);
        }
    }

    fn close(&mut self, slot: usize, open: &Open) {
        self.style[slot] = ansi::parse(&open.raw, self.style[slot]).1;
    }

    fn draw(&self, slot: usize, open: &Open) -> (Kind, String) {
        let spans = ansi::parse(&open.raw, self.style[slot]).0;
        let plain = spans.iter().map(|span| span.text.as_str()).collect();
        (Kind::Line { spans, cut: open.cut }, plain)
    }

    fn redraw(&mut self, slot: usize, open: &Open) {
        let (kind, plain) = self.draw(slot, open);
        let first = self.rows.front().map_or(0, |row| row.seq);
        let index = open.seq.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        if let Some(row) = index.and_then(|index| self.rows.get_mut(index)) {
            *row = Rc::new(Row { kind, plain, ..(**row).clone() });
        }
    }

    fn seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }

    fn push(&mut self, row: Row) {
        self.rows.push_back(Rc::new(row));
        if self.rows.len() > CAPACITY {
            self.rows.pop_front();
        }
    }
}

fn append(open: &mut Open, text: &str) {
    let room = LINE_CAP.saturating_sub(open.raw.len());
    if text.len() <= room {
        open.raw.push_str(text);
        return;
    }
    let mut end = room;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    open.raw.push_str(&text[..end]);
    open.cut += text.len() - end;
}

/// Which rows to draw: the last ones while following, else [`WINDOW`] rows from `top`.
#[must_use]
pub fn window(len: usize, top: Option<usize>) -> std::ops::Range<usize> {
    let last = len.saturating_sub(WINDOW);
    let start = top.map_or(last, |top| top.min(last));
    start..len.min(start + WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(offset: i64, text: &str, complete: bool, source: LogSource) -> LogLine {
        LogLine { offset, time: DateTime::UNIX_EPOCH, source, complete, text: text.to_owned() }
    }

    fn out(offset: i64, text: &str) -> LogLine {
        line(offset, text, true, LogSource::Stdout)
    }

    fn texts(model: &LogModel) -> Vec<&str> {
        model.rows().iter().map(|row| row.plain.as_str()).collect()
    }

    #[test]
    fn a_resumed_stream_neither_doubles_nor_loses() {
        let mut model = LogModel::starting_at(0);
        model.lines(vec![out(0, "a"), out(10, "b")], 20);
        assert_eq!(model.resume_at(), Some(20));
        model.lines(vec![out(0, "a"), out(10, "b"), out(20, "c")], 30);
        assert_eq!(texts(&model), ["a", "b", "c"]);
        assert_eq!(model.rows()[2].number, Some(3));
    }

    #[test]
    fn pieces_of_a_long_line_become_one_row_per_output() {
        let mut model = LogModel::starting_at(0);
        model.lines(
            vec![
                line(0, "aa", false, LogSource::Stdout),
                line(10, "ee", true, LogSource::Stderr),
                line(20, "bb", false, LogSource::Stdout),
                line(30, "cc", true, LogSource::Stdout),
                out(40, "next"),
            ],
            50,
        );
        assert_eq!(texts(&model), ["aabbcc", "ee", "next"]);
        assert_eq!(model.rows()[2].number, Some(3));
    }

    #[test]
    fn a_huge_line_is_cut_and_says_so() {
        let mut model = LogModel::starting_at(0);
        let piece = "ü".repeat(10_000);
        for i in 0..10 {
            model.lines(vec![line(i * 100, &piece, i == 9, LogSource::Stdout)], i * 100 + 100);
        }
        let row = &model.rows()[0];
        assert!(row.plain.len() <= LINE_CAP);
        assert!(matches!(&row.kind, Kind::Line { cut, .. } if *cut + row.plain.len() == 200_000));
    }

    #[test]
    fn a_gap_is_a_row_and_line_numbers_go_on_after_it() {
        let mut model = LogModel::starting_at(0);
        model.lines(vec![out(0, "a")], 10);
        let gap = LogSkipped { from: 10, to: 1_000, lines: 99 };
        model.skipped(gap);
        model.skipped(gap);
        model.lines(vec![out(1_000, "z")], 1_010);
        assert_eq!(model.rows().len(), 3);
        assert_eq!(model.rows()[1].kind, Kind::Skipped(gap));
        assert_eq!(model.rows()[2].number, Some(101));
    }

    #[test]
    fn the_ring_forgets_its_oldest_row() {
        let mut model = LogModel::starting_at(0);
        for i in 0..(CAPACITY as i64 + 10) {
            model.lines(vec![out(i * 10, "x")], i * 10 + 10);
        }
        assert_eq!(model.rows().len(), CAPACITY);
        assert_eq!(model.rows()[0].number, Some(11));
    }

    #[test]
    fn a_tail_learns_its_place_from_the_first_line() {
        let mut model = LogModel::tail();
        assert_eq!(model.resume_at(), None);
        model.lines(vec![out(500, "a")], 510);
        assert_eq!(model.resume_at(), Some(510));
        assert_eq!(model.rows()[0].number, None);
        let mut whole = LogModel::tail();
        whole.lines(vec![out(0, "a")], 10);
        assert_eq!(whole.rows()[0].number, Some(1));
    }

    #[test]
    fn our_own_marks_are_told_apart() {
        let mut model = LogModel::starting_at(0);
        model.lines(vec![out(0, "[fastflow] preparing"), out(30, "x [fastflow] y")], 60);
        assert_eq!(model.rows()[0].kind, Kind::Mark("preparing".into()));
        assert!(matches!(model.rows()[1].kind, Kind::Line { .. }));
    }

    #[test]
    fn a_colour_goes_on_within_its_output_only() {
        let mut model = LogModel::starting_at(0);
        model.lines(vec![out(0, "\u{1b}[31mred"), line(10, "err", true, LogSource::Stderr), out(20, "still")], 30);
        let style = |i: usize| match &model.rows()[i].kind {
            Kind::Line { spans, .. } => spans[0].style.fg,
            _ => None,
        };
        assert_eq!((style(1), style(2)), (None, Some(1)));
    }

    fn page(from: i64, to: i64) -> LogPage {
        let lines = (from..to).map(|n| out(n * 10, &n.to_string())).collect();
        LogPage { lines, first_line: from + 1, start: from * 10, next: to * 10, end: 100_000, finished: true }
    }

    #[test]
    fn pages_are_added_at_both_ends() {
        let mut model = LogModel::of_page(page(500, 502));
        model.earlier(page(498, 500));
        model.later(page(502, 503));
        assert_eq!(texts(&model), ["498", "499", "500", "501", "502"]);
        let numbers: Vec<_> = model.rows().iter().filter_map(|row| row.number).collect();
        assert_eq!(numbers, [499, 500, 501, 502, 503]);
        let seqs: Vec<u64> = model.rows().iter().map(|row| row.seq - model.rows()[0].seq).collect();
        assert_eq!(seqs, [0, 1, 2, 3, 4]);
        assert_eq!((model.start(), model.resume_at(), model.goes_on()), (4_980, Some(5_030), true));
    }

    #[test]
    fn earlier_rows_push_later_ones_out_and_those_can_come_back() {
        let mut model = LogModel::of_page(page(5_000, 9_999));
        model.earlier(page(4_000, 5_000));
        assert_eq!(model.rows().len(), CAPACITY);
        assert_eq!(model.resume_at(), Some(90_000));
        model.later(page(9_000, 9_001));
        assert_eq!(model.rows().back().map(|row| (row.plain.clone(), row.number)), Some(("9000".into(), Some(9_001))));
    }

    #[test]
    fn the_window_is_bounded() {
        assert_eq!(window(10, None), 0..10);
        assert_eq!(window(2_000, None), 1_500..2_000);
        assert_eq!(window(2_000, Some(300)), 300..800);
        assert_eq!(window(2_000, Some(1_900)), 1_500..2_000);
        assert_eq!(window(0, Some(5)), 0..0);
    }
}
