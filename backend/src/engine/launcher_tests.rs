//! The launcher's script against real shells: what arrives in the program is what stood in the job, byte for byte.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

use proptest::prelude::*;

use super::*;

const PATH: &str = "/usr/bin:/bin";

fn job(argv: &[&str], env: &[(&str, &str)]) -> Job {
    Job {
        argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        cwd: "/".to_owned(),
    }
}

/// Feeds a launcher as the engine does.
fn feed(bytes: &[u8]) -> Output {
    let mut shell = Command::new(COMMAND)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a POSIX shell");
    let mut stdin = shell.stdin.take().expect("piped");
    let script = [PRELUDE.as_bytes(), bytes].concat();
    // A shell that has become its program no longer reads: a broken pipe is no failure of the test.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&script)));
    let output = shell.wait_with_output().expect("the shell ends");
    writer.join().expect("the writer ends");
    output
}

fn launch(job: &Job) -> Output {
    feed(&script(job).expect("a valid job"))
}

fn code(output: &Output) -> i64 {
    i64::from(output.status.code().unwrap_or(-output.status.signal().unwrap_or(0)))
}

/// What a program sees of `env`, without the PATH that the shell had anyway.
fn seen(env: &[(&str, &str)]) -> BTreeMap<String, String> {
    let output = launch(&job(&["/usr/bin/env", "-0"], env));
    assert_eq!(code(&output), 0, "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8 in, UTF-8 out");
    let pairs = text.split_terminator('\0').map(|pair| pair.split_once('=').expect("NAME=value"));
    let mut seen: BTreeMap<_, _> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if !env.iter().any(|(name, _)| *name == "PATH") {
        assert_eq!(seen.remove("PATH").as_deref(), Some(PATH));
    }
    seen
}

fn expected(env: &[(&str, &str)]) -> BTreeMap<String, String> {
    env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn environments_arrive_exactly(
        env in proptest::collection::btree_map("[A-Za-z_][A-Za-z0-9_]{0,12}", any_text(), 0..8)
    ) {
        // PATH is set by a test of its own; a number goes into OPTIND, or the job is refused.
        let env: Vec<(&str, &str)> = env.iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .filter(|(name, _)| !matches!(*name, "PATH" | "OPTIND"))
            .collect();
        prop_assert_eq!(seen(&env), expected(&env));
    }

    #[test]
    fn arguments_arrive_exactly(arguments in proptest::collection::vec(any_text(), 1..6)) {
        let mut argv = vec!["/usr/bin/printf", "%s\\0"];
        argv.extend(arguments.iter().map(String::as_str));
        let output = launch(&job(&argv, &[]));
        prop_assert_eq!(code(&output), 0);
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        prop_assert_eq!(text.split_terminator('\0').collect::<Vec<_>>(), arguments);
    }

    #[test]
    fn no_part_of_a_job_is_ever_run(cut in 0.0..1.0) {
        let whole = script(&job(&["/bin/echo", "ran"], &[("A", "it's\na value"), ("B", "2")])).expect("valid");
        let at = (cut * (whole.len() - 1) as f64) as usize;
        // All but the last newline is the whole job, to a shell.
        let output = feed(&whole[..at.min(whole.len() - 2)]);
        prop_assert_eq!(code(&output), NO_JOB_EXIT_CODE);
        prop_assert!(output.stdout.is_empty());
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        prop_assert!(complaint.contains("without starting its job"), "{}", complaint);
    }
}

/// Text with everything that shells make a fuss about, and everything else but NUL.
fn any_text() -> impl Strategy<Value = String> {
    let nasty = prop_oneof![
        Just("'".to_owned()),
        Just("\\".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("$HOME `id` $(id) \"!\" * ? ~ # ; & | < > { } ( )".to_owned()),
        Just("\u{81}\u{82}\u{88}".to_owned()),
        Just("</dev/null\n}\nexit 0\n".to_owned()),
        "[^\u{0}]{0,20}".prop_map(String::from),
    ];
    proptest::collection::vec(nasty, 0..6).prop_map(|parts| parts.concat())
}

#[test]
fn names_that_shells_use_themselves_arrive_too() {
    let names = [
        "IFS", "PWD", "OLDPWD", "PPID", "ENV", "LINENO", "PS1", "PS2", "PS4", "HOME", "CDPATH", "MAIL", "OPTARG",
        "UID", "RANDOM", "SHLVL", "_", "LC_ALL", "TERM", "FUNCNAME", "BASH_ENV", "TMOUT",
    ];
    for name in names {
        for value in ["a b", "", "'", "/nonexistent", "1"] {
            assert_eq!(seen(&[(name, value)]), expected(&[(name, value)]), "{name}={value}");
        }
    }
    assert_eq!(seen(&[("OPTIND", "7")]), expected(&[("OPTIND", "7")]));
    assert_eq!(seen(&[("PATH", "/nowhere")]), expected(&[("PATH", "/nowhere")]));
}

#[test]
fn a_program_without_a_slash_is_found_in_the_job_s_path() {
    let found = launch(&job(&["env"], &[("PATH", "/nowhere:/usr/bin")]));
    assert_eq!(code(&found), 0);
    let lost = launch(&job(&["env"], &[("PATH", "/nowhere")]));
    assert_eq!(code(&lost), 127);
}

#[test]
fn the_later_of_two_values_wins() {
    assert_eq!(seen(&[("A", "1"), ("A", "2")]), expected(&[("A", "2")]));
}

#[test]
fn the_program_s_input_is_empty() {
    assert_eq!(code(&launch(&job(&["/bin/sh", "-c", "test \"$(readlink /proc/self/fd/0)\" = /dev/null"], &[]))), 0);
}

#[test]
fn the_program_inherits_no_open_file_of_the_launcher() {
    let list = ["/bin/sh", "-c", "ls /proc/$$/fd"];
    let launched = launch(&job(&list, &[]));
    // Whatever this test process leaks itself, a program started without a launcher has as well.
    let plain = Command::new(list[0]).args(&list[1..]).stdin(Stdio::null()).output().expect("a shell");
    assert_eq!(String::from_utf8_lossy(&launched.stdout), String::from_utf8_lossy(&plain.stdout));
}

#[test]
fn the_program_starts_in_its_folder() {
    let folder = tempfile::Builder::new().prefix("it's a 'folder'\n").tempdir().expect("folder");
    let cwd = folder.path().to_str().expect("UTF-8").to_owned();
    let output = launch(&Job { cwd: cwd.clone(), ..job(&["/usr/bin/env", "pwd", "-P"], &[]) });
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{cwd}\n"));
}

#[test]
fn exit_codes_are_the_program_s_or_say_why_there_was_none() {
    assert_eq!(code(&launch(&job(&["/bin/sh", "-c", "exit 3"], &[]))), 3);
    assert_eq!(code(&launch(&job(&["/nonexistent"], &[]))), 127);
    assert_eq!(code(&launch(&job(&["no-such-program-anywhere"], &[]))), 127);
    assert_eq!(code(&launch(&job(&["/etc/passwd"], &[]))), 126);
    assert_eq!(code(&launch(&Job { cwd: "/nonexistent".into(), ..job(&["/bin/true"], &[]) })), NO_JOB_EXIT_CODE);
    assert_eq!(code(&feed(b"")), NO_JOB_EXIT_CODE, "the server died before it sent the job");
}

#[test]
fn values_up_to_what_the_kernel_takes_arrive() {
    let longest = "x".repeat(MAX_STRING - "A=".len() - 1);
    assert_eq!(seen(&[("A", &longest)]), expected(&[("A", &longest)]));
    let many: Vec<(String, String)> = (0..15).map(|n| (format!("V{n}"), "'".repeat(MAX_STRING - 8))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(seen(&many), expected(&many));
}

#[test]
fn what_cannot_be_handed_over_is_refused_in_words() {
    let refused = |argv: &[&str], env: &[(&str, &str)]| script(&job(argv, env)).expect_err("must be refused");
    let run: &[&str] = &["/bin/true"];
    assert_eq!(refused(&[], &[]), JobError::NoProgram);
    assert_eq!(refused(&["-x"], &[]), JobError::NoProgram);
    for name in ["", "1A", "A-B", "A.B", "Ä", "A=B", "A B", "A\n"] {
        assert_eq!(refused(run, &[(name, "")]), JobError::BadName(name.to_owned()));
    }
    for value in ["", "x", "-1", "1 2", "9999999999"] {
        assert_eq!(refused(run, &[("OPTIND", value)]), JobError::NotANumber("OPTIND".to_owned()));
    }
    assert_eq!(refused(run, &[("A", "a\0b")]), JobError::Nul("the environment variable A".to_owned()));
    assert_eq!(refused(&["/bin/true", "\0"], &[]), JobError::Nul("argument 1".to_owned()));
    let large = "s3cret".repeat(200_000);
    let error = refused(run, &[("A", &large)]).to_string();
    assert!(error.contains("the environment variable A is 1200003 bytes"), "{error}");
    assert!(!error.contains("s3cret"), "no value in a message");
    let many: Vec<(String, String)> = (0..25).map(|n| (format!("V{n}"), "x".repeat(100_000))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(refused(run, &many), JobError::TooMuch(25 * (100_000 + 2 + 2) + 15 + "/bin/true".len() + 1 + 26 * 8));
    let relative = script(&Job { cwd: "app".into(), ..job(run, &[]) });
    assert_eq!(relative, Err(JobError::RelativeFolder("app".into())));
}

#[test]
fn a_job_s_debug_text_holds_no_value() {
    let text = format!("{:?}", job(&["/bin/true"], &[("TOKEN", "s3cret")]));
    assert!(text.contains("TOKEN") && !text.contains("s3cret"), "{text}");
}
