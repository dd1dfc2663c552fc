//! Tables: for the terminal, and for `docs/performance.md`.

use std::fs;
use std::time::Duration;

use fastflow_tests::place;

use crate::{picture, usage};

/// What was found, part by part.
#[derive(Default)]
pub struct Report {
    tables: Vec<Table>,
    /// Where the time of a start goes: what, cold and warm in ms.
    pub phases: Vec<picture::Phase>,
}

/// A table with a heading for each column.
pub struct Table {
    /// Its place in the document: `<!-- bench:name -->`.
    name: &'static str,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
    note: String,
}

impl Table {
    pub fn new(name: &'static str, head: &[&str]) -> Self {
        Self { name, head: head.iter().map(|text| (*text).to_owned()).collect(), rows: Vec::new(), note: String::new() }
    }

    pub fn row(&mut self, cells: &[&str]) {
        self.rows.push(cells.iter().map(|text| (*text).to_owned()).collect());
    }

    /// What was counted, for the line below.
    pub fn note(mut self, note: String) -> Self {
        self.note = note;
        self
    }

    fn lines(&self) -> Vec<String> {
        let all = || std::iter::once(&self.head).chain(&self.rows);
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| all().map(|row| row[column].chars().count()).max().unwrap_or_default())
            .collect();
        let line = |row: &[String]| {
            let cell = |(column, text): (usize, &String)| {
                let fill = " ".repeat(widths[column] - text.chars().count());
                if column == 0 { format!("{text}{fill}") } else { format!("{fill}{text}") }
            };
            format!("| {} |", row.iter().enumerate().map(cell).collect::<Vec<_>>().join(" | "))
        };
        let rule = widths.iter().enumerate().map(|(column, width)| {
            let dashes = "-".repeat(width + usize::from(column == 0));
            if column == 0 { format!("|{dashes}-") } else { format!("|{dashes}-:") }
        });
        let mut lines = vec![line(&self.head), format!("{}|", rule.collect::<String>())];
        lines.extend(self.rows.iter().map(|row| line(row)));
        lines
    }
}

impl Report {
    /// Prints a table and keeps it.
    pub fn add(&mut self, table: Table) {
        for line in table.lines() {
            println!("   {line}");
        }
        if !table.note.is_empty() {
            println!("   {}", table.note);
        }
        self.tables.push(table);
    }

    /// Puts the tables between their marks in the document, and draws the picture.
    pub fn write(&self) {
        let path = place::repository().join("docs/performance.md");
        let mut text = fs::read_to_string(&path).expect("docs/performance.md");
        for table in &self.tables {
            let (open, close) = (format!("<!-- bench:{} -->", table.name), format!("<!-- /bench:{} -->", table.name));
            let (Some(from), Some(to)) = (text.find(&open), text.find(&close)) else {
                eprintln!("bench: docs/performance.md has no place for {}", table.name);
                continue;
            };
            let note = if table.note.is_empty() { String::new() } else { format!("\n{}\n", table.note) };
            let new = format!("\n{}\n{note}", table.lines().join("\n"));
            text.replace_range(from + open.len()..to, &new);
        }
        let (open, close) = ("<!-- bench:machine -->", "<!-- /bench:machine -->");
        if let (Some(from), Some(to)) = (text.find(open), text.find(close)) {
            text.replace_range(from + open.len()..to, &usage::machine());
        }
        let (open, close) = ("<!-- bench:picture -->", "<!-- /bench:picture -->");
        if let (Some(from), Some(to), false) = (text.find(open), text.find(close), self.phases.is_empty()) {
            let picture = "\n![Where the time of a cold and of a warm start goes, step by step](images/start.svg)\n";
            text.replace_range(from + open.len()..to, picture);
        }
        fs::write(&path, text).expect("docs/performance.md can be written");
        if !self.phases.is_empty() {
            let file = place::repository().join("docs/images/start.svg");
            fs::write(file, picture::draw(&self.phases)).expect("the picture can be written");
        }
    }
}

/// How long the same thing took, again and again.
#[derive(Default, Clone)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn push(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn into_times(self) -> Vec<Duration> {
        self.0
    }

    fn sorted(&self) -> Vec<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted
    }

    /// The time that `share` of 100 do not exceed, by nearest rank.
    pub fn percentile(&self, share: usize) -> Duration {
        let sorted = self.sorted();
        sorted[((sorted.len() * share).div_ceil(100)).max(1) - 1]
    }

    pub fn median(&self) -> Duration {
        self.percentile(50)
    }

    pub fn p95(&self) -> Duration {
        self.percentile(95)
    }
}

impl FromIterator<Duration> for Times {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        Self(times.into_iter().collect())
    }
}

/// `median / p95` in ms.
pub fn both(times: &Times) -> String {
    format!("{} / {}", millis(times.median()), millis(times.p95()))
}

pub fn millis(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 20.0 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

pub fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

pub fn ratio(a: Duration, b: Duration) -> String {
    times(a.as_secs_f64() / b.as_secs_f64())
}

pub fn times(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.3}x") } else { format!("{ratio:.2}x") }
}

/// So many of them in this time, per second.
#[expect(clippy::cast_precision_loss, reason = "a rate to three digits")]
pub fn rate(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
