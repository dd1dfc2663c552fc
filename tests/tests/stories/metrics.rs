//! CPU and memory of a run, while it works and afterwards.

use std::time::Duration;

use fastflow_shared::{MetricsBatch, MetricsSample, StreamEnd, events, routes};
use fastflow_tests::{Options, Server};
use serde_json::json;

/// Holds 60 MB and keeps one core busy for six seconds.
const WORKS: &str = r"
import time
held = bytearray(60_000_000)
end = time.time() + 6
while time.time() < end:
    pass
print('done')
";

#[tokio::test]
async fn metrics_are_sampled_streamed_and_kept() {
    let server = Server::start(Options::new()).await;
    let client = server.client();
    let limits = json!({ "cpu_hard_limit": 0.5, "mem_hard_limit": "128m", "mem_soft_limit": "40m" });
    server.pipeline("works", WORKS).json(&limits);
    let run = client.start("works").await;
    let mut stream = client.stream(&routes::run_metrics_stream(&run.id), None).await;
    let mut streamed = Vec::<MetricsSample>::new();
    let mut reconnected = false;
    loop {
        let event = stream.event(Duration::from_secs(40)).await.expect("the stream goes on");
        match event.name.as_str() {
            events::METRICS => {
                streamed.extend(event.json::<MetricsBatch>().samples);
                if streamed.len() >= 3 && !reconnected {
                    reconnected = true;
                    let path = routes::run_metrics_stream(&run.id);
                    stream = client.stream(&path, event.id.as_deref()).await;
                }
            }
            events::END => {
                assert!(event.json::<StreamEnd>().status.is_final());
                break;
            }
            other => panic!("{other}"),
        }
    }
    assert!(reconnected && streamed.len() >= 4, "about one a second: {}", streamed.len());
    assert!(streamed.is_sorted_by(|a, b| a.timestamp < b.timestamp), "in order, none twice");
    let run = client.end_of(&run.id).await;
    let kept: MetricsBatch = client.fetch(&routes::run_metrics(&run.id)).await;
    assert_eq!(kept.samples.len(), streamed.len());
    for sample in &streamed {
        assert_eq!((sample.ram_limit_mb, sample.cpu_limit), (Some(128.0), Some(0.5)));
        assert!(sample.cpu_percent < 75.0, "half a core is 50 %: {sample:?}");
    }
    let busy = streamed.iter().filter(|sample| sample.cpu_percent > 30.0).count();
    assert!(busy >= 2, "{streamed:?}");
    let (peak, average) = (run.ram_peak_mb.expect("a peak"), run.ram_average_mb.expect("an average"));
    assert!((57.0..128.0).contains(&peak) && average <= peak, "{peak} {average}");
    assert!(run.cpu_peak_percent.is_some_and(|peak| (30.0..75.0).contains(&peak)), "{:?}", run.cpu_peak_percent);
    assert!(run.soft_limit_exceeded && streamed.iter().any(|sample| sample.soft_limit_exceeded));
    let few: MetricsBatch = client.fetch(&format!("{}?points=2", routes::run_metrics(&run.id))).await;
    assert!(few.samples.len() <= 4 && !few.samples.is_empty(), "{}", few.samples.len());
}
