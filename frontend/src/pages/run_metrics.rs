//! CPU and memory of a run.
//!
//! While it runs they come along with the log, on the same connection: a browser grants a server six for all tabs together.
//! Only while an earlier part of the log is read, and nothing is streamed, are they read again every few seconds.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use fastflow_shared::{MetricsSample, Run, routes};
use yew::prelude::*;

use crate::api;
use crate::hooks::{use_again, use_load};
use crate::logic::outcome::Tone;
use crate::text::use_text;
use crate::ui::chart::{Chart, Point};
use crate::ui::icon::{Icon, glyph};
use crate::ui::view::view;

/// Milliseconds between two readings.
const EVERY: u32 = 3_000;
/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// Props of [`RunMetrics`].
#[derive(Properties, PartialEq)]
pub struct RunMetricsProps {
    /// The run.
    pub run: Rc<Run>,
    /// What came since it was read.
    pub fresh: Rc<Vec<MetricsSample>>,
    /// Whether more comes.
    pub streams: bool,
    /// Moment of the log's line under the pointer.
    pub pointed: Option<DateTime<Utc>>,
    /// Told of a moment to go to.
    pub onpick: Callback<DateTime<Utc>>,
}

/// The charts.
#[component]
pub fn RunMetrics(props: &RunMetricsProps) -> Html {
    let t = use_text();
    let run = &props.run;
    let metrics = use_load(run.id.clone(), api::metrics);
    let running = run.started_at.is_some() && !run.status.is_final();
    let reload = metrics.reload.clone();
    use_again((running && !props.streams).then_some(EVERY), reload.clone());
    // Once more at the end, for the last samples.
    let was_running = use_mut_ref(|| running);
    use_effect_with(running, move |running| {
        if was_running.replace(*running) && !running {
            reload.emit(());
        }
    });
    let percent = Callback::from(move |value: f64| format!("{} %", t.decimal(value)));
    let size = Callback::from(move |mib: f64| t.bytes(mib * MIB));
    let summary = |peak: Option<f64>, average: Option<f64>, format: &Callback<f64, String>| {
        let mut parts = Vec::new();
        parts.extend(peak.map(|value| format!("{} {}", t.run.peak, format.emit(value))));
        parts.extend(average.map(|value| format!("{} {}", t.run.average, format.emit(value))));
        parts.join(" · ")
    };
    html! {
        <section class="card panel" data-testid="metrics">
            <header class="panel-head">
                <h2>{t.run.resources}</h2>
                if run.started_at.is_some() {
                    <a class="btn btn-small btn-icon btn-ghost" href={routes::run_metrics_file(&run.id)} download="" title={t.common.download}
                        aria-label={t.common.download} data-testid="metrics-download">{glyph(Icon::Download)}</a>
                }
            </header>
            {view(&metrics.load, 3, &metrics.reload, |batch| if batch.samples.is_empty() && props.fresh.is_empty() {
                html! { <p class="faint small">{if running || run.started_at.is_none() { t.run.samples_soon } else { t.run.no_samples }}</p> }
            } else {
                let last = batch.samples.last().map(|sample| sample.timestamp);
                let fresh = props.fresh.iter().filter(|sample| running && last.is_none_or(|last| sample.timestamp > last));
                let samples: Vec<&MetricsSample> = batch.samples.iter().chain(fresh).collect();
                let points = |value: fn(&MetricsSample) -> f64| -> Vec<Point> {
                    samples.iter().map(|s| Point { at: s.timestamp, value: value(s), high: s.soft_limit_exceeded }).collect()
                };
                let hundred = |cores: f64| cores * 100.0;
                let mib = |bytes: i64| bytes as f64 / MIB;
                let memory_limit = run.memory_limit.map(mib).or_else(|| samples.last().and_then(|s| s.ram_limit_mb));
                html! {
                    <>
                        <Chart title={t.run.cpu} points={points(|s| s.cpu_percent)} soft={run.cpu_soft_limit.map(hundred)} hard={run.cpu_limit.map(hundred)}
                            summary={summary(run.cpu_peak_percent, run.cpu_average_percent, &percent)} format={percent.clone()} pointed={props.pointed} onpick={props.onpick.clone()} testid="chart-cpu" />
                        <Chart title={t.run.memory} points={points(|s| s.ram_mb)} soft={run.memory_soft_limit.map(mib)} hard={memory_limit}
                            summary={summary(run.ram_peak_mb, run.ram_average_mb, &size)} format={size.clone()} pointed={props.pointed} onpick={props.onpick.clone()} testid="chart-memory" />
                    </>
                }
            })}
            if run.soft_limit_exceeded {
                <p class={classes!("hint-line", Tone::Warn.class())}>{glyph(Icon::Alert)}{t.run.soft_exceeded}</p>
            }
            if run.cpu_throttled {
                <p class={classes!("hint-line", Tone::Warn.class())}>{glyph(Icon::Alert)}{t.run.throttled}</p>
            }
        </section>
    }
}
