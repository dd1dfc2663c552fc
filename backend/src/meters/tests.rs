//! What promtool's `check metrics` looks at: HELP and TYPE before samples, names, units, labels, whole histograms.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::*;

fn moment() -> Moment {
    Moment {
        version: "1.2.3",
        database: "SQLite",
        running: 2,
        parked: 1,
        synced_at: Some(1.5),
        chores: vec![ChoreMoment { name: "sync".to_owned(), at: 3.0, ok: false, seconds: 0.25 }],
        disks: vec![DiskMoment { folder: "data", free: 5, size: 7 }],
        ..Moment::default()
    }
}

#[test]
fn the_text_keeps_the_rules_of_the_format() {
    run_ended("a \"b\"\\\nc", "success", Some(3.0));
    run_started(true, Duration::from_millis(12));
    run_admitted(0.0);
    environment_built(false, 2.0);
    due_time("started", Some(0.5));
    synced("unchanged", 1.0);
    docker_called("list", true, Duration::from_millis(3));
    database_called(true, Duration::from_millis(1));
    log_written(10);
    log_viewed(10);
    request_answered(204);
    let text = render(&moment());
    assert!(METERS.is_some());
    let mut kinds = BTreeMap::new();
    let mut helped = BTreeSet::new();
    let mut samples = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(help.len() > 5, "{line}");
            assert!(helped.insert(name.to_owned()), "{name} is told twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(helped.contains(name), "{name} has no HELP before its TYPE");
            assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none());
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(name.starts_with("fastflow_") || name.starts_with("process_"), "{name}");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(samples.insert(series.to_owned()), "{series} is there twice");
            let name = series.split('{').next().expect("a name");
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let known = kinds.contains_key(name) || base.is_some_and(|base| kinds[base] == "histogram");
            assert!(known, "{series} comes before its TYPE");
        }
    }
    // What docs/operate.md wants an alarm for is there.
    let operate = include_str!("../../../docs/operate.md");
    let named =
        operate.split(|c: char| !c.is_ascii_lowercase() && c != '_').filter(|word| word.starts_with("fastflow_"));
    let named: BTreeSet<&str> = named.map(|word| word.trim_end_matches("_bucket")).collect();
    assert!(named.len() > 5 && named.iter().all(|name| kinds.contains_key(*name)), "{named:?}");
    // A quote, a backslash and a line's end within a label.
    assert!(text.contains(r#"fastflow_runs_total{outcome="success",pipeline="a \"b\"\\\nc"} 1"#), "{text}");
    assert!(text.contains("fastflow_run_start_seconds_bucket{start=\"warm\",le=\"0.015\"} "), "{text}");
    assert!(text.contains("le=\"+Inf\""));
    assert!(text.contains("fastflow_chore_last_ok{chore=\"sync\"} 0\n"), "{text}");
    assert!(text.contains("fastflow_disk_free_bytes{folder=\"data\"} 5\n"));
    assert!(text.contains("fastflow_build_info{database=\"SQLite\",version=\"1.2.3\"} 1\n"));
}

#[test]
fn nobody_can_make_series_without_bound() {
    let mut known = HashSet::new();
    let labels: HashSet<String> = (0..1000).map(|index| bounded(&mut known, &format!("p{index}")).to_owned()).collect();
    assert_eq!(labels.len(), MAX_PIPELINES + 1);
    assert_eq!(bounded(&mut known, "p7"), "p7");
    assert_eq!(bounded(&mut known, "new"), OTHERS);
}
