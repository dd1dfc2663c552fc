//! The metrics file and its down-sampling.

use std::time::Duration;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::{Place, at, run};
use crate::journal::{FileKind, MetricsEvent, Point, Sample, Spread, downsample};

const BEAT: Duration = Duration::from_secs(15);

fn sample(second: u64) -> Sample {
    Sample {
        timestamp: at(second),
        cpu_percent: (second % 100) as f64,
        ram_mb: second as f64,
        ram_limit_mb: Some(512.0),
        cpu_limit: None,
        soft_limit_exceeded: second == 77,
        throttled: false,
    }
}

#[tokio::test(start_paused = true)]
async fn samples_are_written_followed_and_resumed() {
    let place = Place::new();
    let run = run();
    let mut writer = place.metrics_writer(run).await.expect("a writer");
    let mut follow = place.follow_metrics(run, 0, BEAT).await.expect("a reader");
    assert!(matches!(follow.next().await, Some(Ok(MetricsEvent::Heartbeat))));
    writer.append(&sample(1)).await.expect("stored");
    let Some(Ok(MetricsEvent::Samples(samples, next))) = follow.next().await else { panic!("a sample") };
    let json = r#"{"timestamp":"2026-01-01T00:00:01.123456789Z","cpu_percent":1.0,"ram_mb":1.0,"ram_limit_mb":512.0,"cpu_limit":null,"soft_limit_exceeded":false,"throttled":false}"#;
    assert_eq!((samples.len(), &samples[0].json[..]), (1, json.as_bytes()));
    drop(writer);
    assert!(matches!(follow.next().await, Some(Ok(MetricsEvent::End { finished: false, .. }))));
    assert!(follow.next().await.is_none());

    // A crash in the middle of a line.
    let path = place.log_path(run).with_file_name(format!("{run}_metrics.jsonl"));
    let mut stored = std::fs::read(&path).expect("a file");
    stored.extend_from_slice(b"{\"timestamp\":\"20");
    std::fs::write(&path, stored).expect("written");
    let mut writer = place.metrics_writer(run).await.expect("a writer");
    writer.append(&sample(2)).await.expect("stored");
    let mut follow = place.follow_metrics(run, next, BEAT).await.expect("a reader");
    let Some(Ok(MetricsEvent::Samples(samples, end))) = follow.next().await else { panic!("a sample") };
    assert!(samples.len() == 1 && samples[0].offset == next);
    writer.finish();
    assert!(matches!(follow.next().await, Some(Ok(MetricsEvent::End { next, finished: true })) if next == end));
    let page = place.read_metrics(run, 0).await.expect("readable");
    assert_eq!((page.samples.len(), page.next, page.finished), (2, page.end, true));
    let (range, _) = place.raw(run, FileKind::Metrics, 0..u64::MAX).await.expect("raw");
    assert_eq!(range.end, end);
}

#[tokio::test]
async fn a_days_metrics_become_a_chart() {
    let place = Place::new();
    let run = run();
    let lines: Vec<String> =
        (0..5000).map(|second| serde_json::to_string(&sample(second)).expect("JSON") + "\n").collect();
    let path = place.log_path(run).with_file_name(format!("{run}_metrics.jsonl"));
    std::fs::write(path, lines.concat()).expect("written");
    let points = place.metrics_points(run, 100).await.expect("points");
    let samples: Vec<_> = (0..5000).map(sample).map(rounded).collect();
    assert_eq!(points, downsample(&samples, 100));
    assert_eq!(points.len(), 100);
    assert_eq!(place.metrics_points(run, 5000).await.expect("points").len(), 5000);
    assert_eq!(place.metrics_points(run, 0).await.expect("points"), []);
}

/// What the file keeps of a sample: all of it.
fn rounded(sample: Sample) -> Sample {
    serde_json::from_str(&serde_json::to_string(&sample).expect("JSON")).expect("a sample")
}

#[test]
fn a_few_samples_are_points() {
    let points = downsample(&[sample(1), sample(2)], 2);
    assert_eq!(points.len(), 2);
    assert_eq!(points[1].ram_mb, Spread { min: 2.0, max: 2.0, avg: 2.0 });
    assert!(downsample(&[], 5).is_empty());
    assert!(downsample(&[sample(1)], 0).is_empty());
}

#[test]
fn a_gap_stays_a_gap() {
    let seconds = (0..100).chain(900..1000);
    let points = downsample(&seconds.map(sample).collect::<Vec<_>>(), 10);
    assert_eq!(points.len(), 2);
    assert_eq!(points[0].samples, 100);
    assert_eq!((points[0].cpu_percent.max, points[0].soft_limit_exceeded), (99.0, true));
    assert!((points[1].timestamp - at(949)).abs() <= TimeDelta::milliseconds(500));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_but_detail(times in proptest::collection::vec(0_u64..100_000, 0..300), limit in 0_usize..50) {
        let mut times = times;
        times.sort_unstable();
        let samples: Vec<_> = times.iter().copied().map(sample).collect();
        let points = downsample(&samples, limit);
        prop_assert!(points.len() <= limit);
        prop_assert!(points.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp));
        if limit > 0 {
            prop_assert_eq!(points.iter().map(|point| point.samples).sum::<u64>(), samples.len() as u64);
            let peak = |points: &[Point]| points.iter().map(|point| point.ram_mb.max).fold(0.0, f64::max);
            prop_assert_eq!(peak(&points), samples.iter().map(|sample| sample.ram_mb).fold(0.0, f64::max));
        }
        for point in points {
            prop_assert!(point.cpu_percent.min <= point.cpu_percent.avg + 1e-9);
            prop_assert!(point.cpu_percent.avg <= point.cpu_percent.max + 1e-9);
        }
    }
}
