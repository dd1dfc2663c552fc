//! What a fake container does: a few instructions in one environment variable of its job.
//!
//! | instruction | effect |
//! |---|---|
//! | `out TEXT`, `err TEXT` | prints a line |
//! | `hex out 6869`, `hex err ff` | prints bytes, without a newline |
//! | `fill out x 40000` | prints a character so many times, without a newline |
//! | `lines 100`, `lines 100 5ms` | prints `1`, `2`, … to stdout, with a pause after each |
//! | `env NAME` | prints `NAME=value`, or `NAME unset` |
//! | `file /data/a TEXT`, `file $NAME/a TEXT` | writes a file into a folder that is mounted to be written, on the real disk |
//! | `show /app/a /app/b` | prints what is in files of folders that are mounted, from the real disk, as one line |
//! | `sleep 2s` | does nothing; `ms`, `s`, `m`, `h` |
//! | `term ignore`, `term exit 4`, `term default` | what SIGTERM does from now on |
//! | `health healthy`, `health unhealthy`, `health starting` | the health check's verdict |
//! | `memory 1048576`, `cpu 150` | what the statistics show: bytes, percent of one core |
//! | `exit 3` | ends |
//! | `oom` | is killed for want of memory |
//! | `hang` | runs until it is signalled |
//!
//! They stand one per line, or divided by `;`. After the last one the program exits with 0.

use std::time::Duration;

use bytes::Bytes;

use super::super::{Health, Source};

/// The environment variable of the job that holds the instructions.
pub const VARIABLE: &str = "FAKE_PROGRAM";

/// What a preparation container is told to do: the files that its real script would leave behind.
pub const PREPARATION: &str = "file $WORK/uv uv 0.9.1; file $WORK/python 3.12.1; file $TARGET/bin/python x";

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Print(Source, Bytes),
    Lines(u64, Duration),
    Env(String),
    File(String, String),
    Show(Vec<String>),
    Sleep(Duration),
    OnTerm(Reaction),
    Health(Health),
    Memory(u64),
    Cpu(u64),
    Exit(i64),
    Oom,
    Hang,
}

/// What a program does on SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    Die,
    Ignore,
    Exit(i64),
}

/// Reads a program; an error names the instruction that makes no sense.
pub(super) fn parse(text: &str) -> Result<Vec<Step>, String> {
    let lines = text.split(['\n', ';']).map(str::trim_start).filter(|line| !line.trim().is_empty());
    lines.map(|line| step(line).ok_or_else(|| format!("the fake engine does not understand {line:?}"))).collect()
}

fn step(line: &str) -> Option<Step> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let first = rest.split_whitespace().next();
    let second = rest.split_whitespace().nth(1);
    Some(match word {
        "out" => Step::Print(Source::Stdout, format!("{rest}\n").into()),
        "err" => Step::Print(Source::Stderr, format!("{rest}\n").into()),
        "hex" => Step::Print(source(first?)?, hex::decode(second?).ok()?.into()),
        "fill" => {
            let count = rest.split_whitespace().nth(2)?.parse().ok()?;
            Step::Print(source(first?)?, second?.repeat(count).into())
        }
        "lines" => Step::Lines(first?.parse().ok()?, second.map_or(Some(Duration::ZERO), duration)?),
        "env" => Step::Env(first?.to_owned()),
        "file" => {
            let (path, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let named = path.starts_with('/') || path.strip_prefix('$').is_some_and(|path| path.contains('/'));
            named.then(|| Step::File(path.to_owned(), text.to_owned()))?
        }
        "show" => Step::Show(
            Some(rest.split_whitespace().map(str::to_owned).collect()).filter(|all: &Vec<_>| !all.is_empty())?,
        ),
        "sleep" => Step::Sleep(duration(first?)?),
        "term" => Step::OnTerm(match first? {
            "default" => Reaction::Die,
            "ignore" => Reaction::Ignore,
            "exit" => Reaction::Exit(second?.parse().ok()?),
            _ => return None,
        }),
        "health" => Step::Health(match first? {
            "healthy" => Health::Healthy,
            "unhealthy" => Health::Unhealthy,
            "starting" => Health::Starting,
            _ => return None,
        }),
        "memory" => Step::Memory(first?.parse().ok()?),
        "cpu" => Step::Cpu(first?.parse().ok()?),
        "exit" => Step::Exit(first?.parse().ok()?),
        "oom" => Step::Oom,
        "hang" => Step::Hang,
        _ => return None,
    })
}

fn source(text: &str) -> Option<Source> {
    match text {
        "out" => Some(Source::Stdout),
        "err" => Some(Source::Stderr),
        _ => None,
    }
}

fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let count: u64 = text[..digits].parse().ok()?;
    Some(match &text[digits..] {
        "ms" => Duration::from_millis(count),
        "s" => Duration::from_secs(count),
        "m" => Duration::from_secs(count * 60),
        "h" => Duration::from_secs(count * 3600),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_read() {
        let steps =
            parse("out  two words ;err x\n\nhex out ff00; lines 3 5ms; sleep 2s; term exit 4; file $A/b c d; exit 3")
                .expect("valid");
        assert_eq!(
            steps,
            [
                Step::Print(Source::Stdout, Bytes::from_static(b" two words \n")),
                Step::Print(Source::Stderr, Bytes::from_static(b"x\n")),
                Step::Print(Source::Stdout, Bytes::from_static(b"\xff\0")),
                Step::Lines(3, Duration::from_millis(5)),
                Step::Sleep(Duration::from_secs(2)),
                Step::OnTerm(Reaction::Exit(4)),
                Step::File("$A/b".to_owned(), "c d".to_owned()),
                Step::Exit(3),
            ]
        );
    }

    #[test]
    fn nonsense_is_named() {
        for nonsense in ["jump", "show", "exit", "exit x", "file a b", "sleep 5", "hex out f", "term what"] {
            assert!(parse(&format!("out ok;{nonsense}")).expect_err("nonsense").contains(nonsense), "{nonsense}");
        }
    }
}
