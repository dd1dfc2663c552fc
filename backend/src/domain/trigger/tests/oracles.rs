//! Thousands of random expressions against two other programs: croner, and Python's croniter. Where they follow another
//! policy, the difference is excluded by name, never by result.

use std::io::Write as _;
use std::process::{Command, Stdio};

use chrono::TimeZone;
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::properties::{ZONES, expression, start};
use super::*;

const EXPRESSIONS: usize = 3000;

struct Case {
    expression: String,
    zone: &'static str,
    from: i64,
}

/// The same expressions each time, so that a failure is nobody's bad luck.
fn cases() -> Vec<Case> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut cases = Vec::new();
    while cases.len() < EXPRESSIONS {
        let mut draw =
            |strategy: proptest::strategy::BoxedStrategy<_>| strategy.new_tree(&mut runner).map(|tree| tree.current());
        let expression: String = draw(expression().boxed()).expect("an expression");
        let zone = if cases.len() % 3 == 0 { "UTC" } else { ZONES[cases.len() % ZONES.len()] };
        let from: i64 = start(zone).new_tree(&mut runner).expect("a start").current();
        let expression_is_good = Timetable::parse("cron", &expression, zone, None, None).is_ok();
        if expression_is_good {
            cases.push(Case { expression, zone, from });
        }
    }
    cases
}

/// Vixie cron and we take `*/2` in a day field for one that begins with `*`; both others do not.
fn day_rule_differs(expression: &str) -> bool {
    let fields: Vec<_> = expression.split(' ').collect();
    let stepped = |field: &str| field.starts_with('*') && field != "*";
    // Also where `*` is one item of a list, which neither of them takes for a star.
    (stepped(fields[2]) && fields[4] != "*") || (stepped(fields[4]) && fields[2] != "*")
}

fn ours(case: &Case, count: usize) -> Vec<i64> {
    cron(&case.expression, case.zone).upcoming(Millis(case.from * 1000), count).map(|at| at.0 / 1000).collect()
}

#[test]
fn as_croner_says() {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let (mut compared, mut excluded) = (0, 0);
    for case in cases() {
        let table = cron(&case.expression, case.zone);
        let Trigger::Cron(read, zone) = &table.trigger else { unreachable!() };
        let mine = ours(&case, 6);
        let last = mine.last().copied().unwrap_or(case.from);
        // croner treats several fixed times (`0,30 2 * * *`) like steps; one alone like we do.
        let several =
            !read.is_elastic() && !case.expression.split(' ').take(2).all(|field| field.parse::<u32>().is_ok());
        // `a/n`, `*,5` and the like: croner asks whether all of the field is a step.
        let mixed = read.is_elastic()
            && case
                .expression
                .split(' ')
                .take(2)
                .any(|field| field.contains(['*', '/']) && field != "*" && !field.starts_with("*/"));
        let meets_change = zone.change(case.from - 7_200, last + 86_400).is_some();
        if day_rule_differs(&case.expression) || (meets_change && (several || mixed || case.zone == "Pacific/Apia")) {
            excluded += 1;
            continue;
        }
        let theirs = parser.parse(&case.expression).unwrap_or_else(|error| panic!("{}: {error}", case.expression));
        let tz: Tz = case.zone.parse().expect("a zone");
        let begin = tz.timestamp_opt(case.from, 0).single().expect("an instant");
        // croner gives up after some years; what it found must be what we found.
        let found: Vec<i64> = theirs.iter_after(begin).take(mine.len()).map(|time| time.timestamp()).collect();
        assert_eq!(found, mine[..found.len()], "{} in {} from {}", case.expression, case.zone, case.from);
        compared += 1;
    }
    println!("{compared} compared, {excluded} excluded");
    assert!(compared > EXPRESSIONS / 2, "only {compared} of {EXPRESSIONS} were compared");
}

/// croniter takes `5-5` for every value there is.
fn ranges_of_one_value(expression: &str) -> bool {
    let one = |item: &str| {
        let range = item.split_once('/').map_or(item, |(range, _)| range);
        range.split_once('-').is_some_and(|(from, to)| from == to)
    };
    expression.split([' ', ',']).any(one)
}

/// Reads `expression TAB zone TAB from TAB count` per line and writes the instants.
const CRONITER: &str = r#"
import sys, datetime
from croniter import croniter
for line in sys.stdin:
    expression, start, count = line.rstrip("\n").split("\t")
    clock = croniter(expression, datetime.datetime.fromtimestamp(int(start), datetime.timezone.utc), max_years_between_matches=50)
    print(" ".join(str(int(clock.get_next(float))) for _ in range(int(count))), flush=True)
"#;

#[test]
fn as_croniter_says() {
    let python = std::env::var("FASTFLOW_TEST_PYTHON")
        .unwrap_or_else(|_| panic!("FASTFLOW_TEST_PYTHON is not set: run the tests by `make test`, which sets it up"));
    // In UTC: croniter has another policy for every change of an offset, and that is what croner is asked about.
    let differs = |case: &Case| day_rule_differs(&case.expression) || ranges_of_one_value(&case.expression);
    let cases: Vec<_> = cases().into_iter().filter(|case| !differs(case)).collect();
    let mut child = Command::new(python)
        .args(["-c", CRONITER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("a pipe");
    let lines: String = cases.iter().map(|case| format!("{}\t{}\t5\n", case.expression, case.from)).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("Python ends");
    writer.join().expect("no panic").expect("written");
    assert!(output.status.success(), "is croniter there? `scripts/test-services` installs it");
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), cases.len());
    for (line, case) in text.lines().zip(&cases) {
        let theirs: Vec<i64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
        let mine = ours(&Case { zone: "UTC", expression: case.expression.clone(), from: case.from }, 5);
        assert_eq!(theirs, mine, "{} from {}", case.expression, case.from);
    }
    assert!(cases.len() > EXPRESSIONS / 2);
}
