//! The log viewer with a log of a gigabyte: how long somebody waits who goes to a line, to a time, or to a word in it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat, TimeDelta, TimeZone as _, Utc};
use fastflow_tests::Server;
use fastflow_tests::browser::Browser;
use serde_json::json;

use crate::report::{Table, Times, both, seconds};

/// Bytes of the log, about.
const BYTES: usize = 1_000_000_000;

/// Lines of it, a thousand of them a second.
const LINES: usize = 8_000_000;

/// Jumps of each kind.
const ASKED: usize = 20;

/// The run whose log it becomes: one of the many that are stored.
pub const RUN: &str = "01900000-0000-7000-8000-000001000000";

/// Its first line's time, within the present day of the browser's zone, so that a time of day means one moment.
fn begin() -> DateTime<Utc> {
    let noon = Local::now().date_naive().and_hms_opt(1, 0, 0).expect("a time of day");
    Local.from_local_datetime(&noon).earliest().expect("it is in every day").to_utc()
}

/// Writes the log beside the server and tells its row of it.
fn write(server: &Server) -> i64 {
    let folder = server.data_dir().join("logs");
    std::fs::create_dir_all(&folder).expect("the folder of logs");
    let mut file = std::fs::File::create(folder.join(format!("{RUN}.log"))).expect("a log");
    let (begin, mut block, mut size) = (begin(), String::new(), 0);
    for number in 1..=LINES {
        let at = (begin + TimeDelta::milliseconds(i64::try_from(number).expect("fits")))
            .to_rfc3339_opts(SecondsFormat::Nanos, true);
        let word = if number % 800_000 == 0 { "needle" } else { "straw" };
        // Writing into a String cannot fail.
        let _ = writeln!(block, "{at} stdout F line {number:08} of many, {word}, {}", ".".repeat(BYTES / LINES - 75));
        if block.len() > 1 << 20 {
            file.write_all(block.as_bytes()).expect("written");
            size += block.len();
            block.clear();
        }
    }
    file.write_all(block.as_bytes()).expect("written");
    i64::try_from(size + block.len()).expect("fits")
}

/// Types into a field, and says how long it takes from Enter to the frame in which a line shows the text.
async fn wait(browser: &Browser, field: &str, typed: &str, shown: &str) -> Duration {
    let fill = format!(
        "const field = document.querySelector({}); field.value = {}; \
         field.dispatchEvent(new InputEvent('input', {{ bubbles: true }}))",
        json!(field),
        json!(typed)
    );
    let measure = format!(
        "const done = arguments[0], begin = performance.now(); \
         document.querySelector({}).form?.requestSubmit(); \
         const look = () => {{ \
             if ([...document.querySelectorAll('.ln-target, .ln-now')].some(one => one.textContent.includes({}))) \
                 requestAnimationFrame(() => setTimeout(() => done(performance.now() - begin))); \
             else if (performance.now() - begin > 25000) done(null); else setTimeout(look); \
         }}; look();",
        json!(field),
        json!(shown)
    );
    browser.run(&fill).await;
    // The field has taken it.
    browser.run_async("requestAnimationFrame(() => setTimeout(arguments[0]))").await;
    let took = browser.run_async(&measure).await.as_f64();
    Duration::from_secs_f64(took.unwrap_or_else(|| panic!("{typed} in {field}: {shown} was not drawn")) / 1000.0)
}

pub async fn jumps(browser: &Browser, server: &Server) -> Table {
    let bytes = write(server);
    let begin = begin();
    let ended = begin + TimeDelta::milliseconds(i64::try_from(LINES).expect("fits"));
    server
        .sql_all(vec![format!(
            "UPDATE runs SET log_bytes = {bytes}, started_at = {}, finished_at = {} WHERE id = '{RUN}'",
            begin.timestamp_millis(),
            ended.timestamp_millis()
        )])
        .await;
    browser.goto(&format!("{}/runs/{RUN}/log", server.base())).await;
    browser.text_when("[data-testid='log-lines']", &format!("line {LINES:08}")).await;
    let go = "[data-testid='log-go']";
    let mut table = Table::new("web_log", &["in the browser", "median / p95"]).note(format!(
        "A log of {:.2} GB in {LINES} lines, {ASKED} jumps of each kind, each to another place; from Enter to the frame with the \
         line. The first jump makes the index of the file. A word is looked for on the server, from the beginning on.",
        bytes as f64 / 1e9
    ));
    let middle = LINES / 2;
    let first = wait(browser, go, &middle.to_string(), &format!("line {middle:08}")).await;
    table.row(&["go to a line, the very first time", &seconds(first)]);
    let (mut lines, mut moments) = (Times::default(), Times::default());
    for n in 0..ASKED {
        let line = (n * 7_919_311) % LINES + 1;
        lines.push(wait(browser, go, &line.to_string(), &format!("line {line:08}")).await);
        // The first line of a second.
        let second = (n * 3_571) % (LINES / 1_000) + 1;
        let at = begin + TimeDelta::seconds(i64::try_from(second).expect("fits"));
        let text = at.with_timezone(&Local).format("%H:%M:%S").to_string();
        moments.push(wait(browser, go, &text, &format!("line {:08}", second * 1_000)).await);
    }
    table.row(&["go to a line", &both(&lines)]);
    table.row(&["go to a time of day", &both(&moments)]);
    let search = "[data-testid='log-search']";
    table.row(&["find a word that occurs ten times", &seconds(wait(browser, search, "needle", "needle").await)]);
    table
}
