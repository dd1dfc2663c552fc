//! How long the last runs of a pipeline took and how much memory they needed, with its limits drawn in.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use fastflow_shared::{Pipeline, Run};
use yew::prelude::*;

use crate::api;
use crate::hooks::{use_live, use_load};
use crate::logic::fault::Fault;
use crate::logic::query::RunFilter;
use crate::logic::time::seconds_between;
use crate::text::use_text;
use crate::ui::chart::{Chart, Point};
use crate::ui::view::view;

/// Runs that are drawn.
const RUNS: usize = 100;
/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

async fn ended(name: String) -> Result<Vec<Run>, Fault> {
    let filter = RunFilter { pipeline: Some(name), ..RunFilter::default() };
    let mut runs = api::runs(filter, None, RUNS).await?.items;
    runs.retain(|run| run.started_at.is_some() && run.finished_at.is_some());
    runs.reverse();
    Ok(runs)
}

/// Props of [`Trends`].
#[derive(Properties, PartialEq)]
pub struct TrendsProps {
    /// The pipeline.
    pub pipeline: Rc<Pipeline>,
}

/// The charts.
#[component]
pub fn Trends(props: &TrendsProps) -> Html {
    let t = use_text();
    let pipeline = &props.pipeline;
    let runs = use_load(pipeline.name.clone(), |name| api::Ask::of(ended(name)));
    let name = pipeline.name.clone();
    use_live(
        name.clone(),
        move |event| event.kind == "run" && event.pipeline_name.as_ref() == Some(&name),
        runs.reload.clone(),
    );
    let time = Callback::from(move |seconds: f64| t.duration(seconds));
    let size = Callback::from(move |mib: f64| t.bytes(mib * MIB));
    let mib = |bytes: i64| bytes as f64 / MIB;
    view(&runs.load, 4, &runs.reload, |list| {
        let points = |value: fn(&Run, DateTime<Utc>, DateTime<Utc>) -> Option<f64>| -> Vec<Point> {
            let point = |run: &Run| {
                let (from, to) = (run.started_at?, run.finished_at?);
                Some(Point { at: from, value: value(run, from, to)?, high: run.soft_limit_exceeded })
            };
            list.iter().filter_map(point).collect()
        };
        let durations = points(|_, from, to| Some(seconds_between(from, to)));
        let peaks = points(|run, _, _| run.ram_peak_mb);
        html! {
            <>
                if durations.len() > 1 {
                    <Chart title={t.pipeline.durations} points={durations} hard={pipeline.timeout.filter(|s| *s > 0).map(|s| s as f64)}
                        summary={format!("⌀ {}", pipeline.stats.mean_duration_seconds.map(|s| t.duration(s)).unwrap_or_default())} format={time} testid="chart-durations" />
                }
                if peaks.len() > 1 {
                    <Chart title={t.pipeline.peaks} points={peaks} soft={pipeline.mem_soft_limit.map(mib)} hard={pipeline.mem_hard_limit.map(mib)}
                        format={size} testid="chart-peaks" />
                }
            </>
        }
    })
}
