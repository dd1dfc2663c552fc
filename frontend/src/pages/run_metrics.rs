//! CPU and memory of a run.
//!
//! While it runs they are read again every few seconds instead of streamed: a browser grants a server six connections
//! for all tabs together, and the log and the page's events already take two of each tab's.

use std::rc::Rc;

use fastflow_shared::Run;
use gloo_timers::callback::Interval;
use yew::prelude::*;

use crate::api;
use crate::browser;
use crate::hooks::use_load;
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
}

/// The charts.
#[component]
pub fn RunMetrics(props: &RunMetricsProps) -> Html {
    let t = use_text();
    let run = &props.run;
    let metrics = use_load(run.id.clone(), api::metrics);
    let running = run.started_at.is_some() && !run.status.is_final();
    let reload = metrics.reload.clone();
    use_effect_with((run.id.clone(), running), move |(_, running)| {
        // Once more at the end, for the last samples.
        reload.emit(());
        let look = move || {
            if !browser::hidden() {
                reload.emit(());
            }
        };
        let timer = running.then(|| Interval::new(EVERY, look));
        move || drop(timer)
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
            <h2>{t.run.resources}</h2>
            {view(&metrics.load, 3, &metrics.reload, |batch| if batch.samples.is_empty() {
                html! { <p class="faint small">{if running || run.started_at.is_none() { t.run.samples_soon } else { t.run.no_samples }}</p> }
            } else {
                let points = |value: fn(&fastflow_shared::MetricsSample) -> f64| -> Vec<Point> {
                    batch.samples.iter().map(|s| Point { at: s.timestamp, value: value(s), high: s.soft_limit_exceeded }).collect()
                };
                let hundred = |cores: f64| cores * 100.0;
                let mib = |bytes: i64| bytes as f64 / MIB;
                let memory_limit = run.memory_limit.map(mib).or_else(|| batch.samples.last().and_then(|s| s.ram_limit_mb));
                html! {
                    <>
                        <Chart title={t.run.cpu} points={points(|s| s.cpu_percent)} soft={run.cpu_soft_limit.map(hundred)} hard={run.cpu_limit.map(hundred)}
                            summary={summary(run.cpu_peak_percent, run.cpu_average_percent, &percent)} format={percent.clone()} testid="chart-cpu" />
                        <Chart title={t.run.memory} points={points(|s| s.ram_mb)} soft={run.memory_soft_limit.map(mib)} hard={memory_limit}
                            summary={summary(run.ram_peak_mb, run.ram_average_mb, &size)} format={size.clone()} testid="chart-memory" />
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
