//! A small line chart with limits, a reading under the pointer, and the same figures as a table behind it.

use chrono::{DateTime, Utc};
use web_sys::Element;
use yew::prelude::*;

use crate::logic::chart::{HEIGHT, WIDTH, area, line, nearest, nice_top, x, y};
use crate::logic::format::fixed;
use crate::text::use_text;

/// A limit is drawn only when it is at most this many times the highest value: else the line would lie flat.
const LIMIT_REACH: f64 = 4.0;
/// Rows of the table.
const TABLE_ROWS: usize = 60;

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// When.
    pub at: DateTime<Utc>,
    /// How much.
    pub value: f64,
    /// Whether it is above a soft limit.
    pub high: bool,
}

/// Props of [`Chart`].
#[derive(Properties, PartialEq)]
pub struct ChartProps {
    /// What is measured.
    pub title: AttrValue,
    /// The values, oldest first.
    pub points: Vec<Point>,
    /// Soft limit.
    #[prop_or_default]
    pub soft: Option<f64>,
    /// Hard limit.
    #[prop_or_default]
    pub hard: Option<f64>,
    /// Peak and average in words.
    #[prop_or_default]
    pub summary: AttrValue,
    /// A moment to be marked.
    #[prop_or_default]
    pub pointed: Option<DateTime<Utc>>,
    /// Told of a moment that was clicked.
    #[prop_or_default]
    pub onpick: Callback<DateTime<Utc>>,
    /// Writes a value.
    pub format: Callback<f64, String>,
    /// Hook for browser tests.
    #[prop_or_default]
    pub testid: Option<AttrValue>,
}

/// The chart.
#[component]
pub fn Chart(props: &ChartProps) -> Html {
    let t = use_text();
    let reading = use_state_eq(|| None::<f64>);
    let highest = props.points.iter().map(|point| point.value).fold(0.0, f64::max);
    let drawn = |limit: Option<f64>| limit.filter(|limit| *limit <= highest * LIMIT_REACH);
    let (soft, hard) = (drawn(props.soft), drawn(props.hard));
    let top = nice_top([Some(highest), soft, hard].into_iter().flatten().fold(0.0, f64::max) * 1.02);
    let millis = |point: &Point| point.at.timestamp_millis() as f64;
    let first = props.points.first().map_or(0.0, millis);
    let last = props.points.last().map_or(0.0, millis);
    let mut at: Vec<(f64, f64)> =
        props.points.iter().map(|point| (x(millis(point), first, last), y(point.value, top))).collect();
    // A single sample is a level, not an invisible dot.
    if let [(_, y)] = at[..] {
        at.insert(0, (0.0, y));
    }
    let pointed =
        props.pointed.map(|at| at.timestamp_millis() as f64).filter(|at| *at >= first && *at <= last && last > first);
    let chosen =
        (*reading).or(pointed.map(|at| (at - first) / (last - first))).and_then(|fraction| nearest(&at, fraction));
    let newest = props.points.len().checked_sub(1);
    let shown = chosen.map(|index| index.min(newest.unwrap_or(0))).or(newest).map(|index| props.points[index]);

    let set = reading.setter();
    let node = use_node_ref();
    let area_of = node.clone();
    let onpointermove = Callback::from(move |event: PointerEvent| set.set(fraction(&area_of, &event)));
    // By the click's own place: a finger has not moved before.
    let (area_of, pick) = (node.clone(), props.onpick.clone());
    let onclick = Callback::from(move |event: MouseEvent| {
        let at = fraction(&area_of, &event).map(|part| (first + part * (last - first)) as i64);
        at.and_then(DateTime::from_timestamp_millis).into_iter().for_each(|at| pick.emit(at));
    });
    let set = reading.setter();
    let onpointerleave = Callback::from(move |_: PointerEvent| set.set(None));
    let limit = |value: Option<f64>, class: &'static str| {
        value.map(|value| {
            let y = fixed(y(value, top), 1);
            html! { <line class={class} x1="0" x2={fixed(WIDTH, 0)} y1={y.clone()} y2={y} /> }
        })
    };
    let key = |value: Option<f64>, name: &'static str, class: &'static str| {
        value.map(|value| {
            html! { <span class={classes!("chart-key", class)}><i></i>{name}{" "}<b>{props.format.emit(value)}</b></span> }
        })
    };
    html! {
        <figure class="chart" data-testid={props.testid.clone()}>
            <figcaption>
                <span class="chart-title">{&props.title}</span>
                if let Some(point) = shown {
                    <span class={classes!("chart-now", "num", point.high.then_some("is-high"))}>{props.format.emit(point.value)}</span>
                    if chosen.is_some() {
                        <span class="faint num">{t.stamp(point.at)}</span>
                    }
                }
                <span class="chart-sum num">{&props.summary}</span>
            </figcaption>
            <div ref={node} class="chart-area" {onpointermove} {onpointerleave} {onclick}>
                <svg viewBox={format!("0 0 {} {}", fixed(WIDTH, 0), fixed(HEIGHT, 0))} preserveAspectRatio="none" aria-hidden="true" focusable="false">
                    <line class="chart-grid" x1="0" x2={fixed(WIDTH, 0)} y1={fixed(HEIGHT / 2.0, 0)} y2={fixed(HEIGHT / 2.0, 0)} />
                    <path class="chart-fill" d={area(&at)} />
                    <path class="chart-line" d={line(&at)} />
                    {for limit(soft, "chart-soft")}
                    {for limit(hard, "chart-hard")}
                    if let Some((x, _)) = chosen.map(|index| at[index]) {
                        <line class="chart-cursor" x1={fixed(x, 1)} x2={fixed(x, 1)} y1="0" y2={fixed(HEIGHT, 0)} />
                    }
                </svg>
                <span class="chart-top num">{props.format.emit(top)}</span>
                <span class="chart-zero num">{"0"}</span>
            </div>
            <div class="chart-keys">
                {for key(props.soft, t.run.soft_limit, "key-soft")}
                {for key(props.hard, t.run.hard_limit, "key-hard")}
            </div>
            <details class="chart-table">
                <summary>{t.run.table}</summary>
                <table class="table table-tight">
                    <thead><tr><th scope="col">{t.run.time}</th><th scope="col" class="right">{&props.title}</th></tr></thead>
                    <tbody>
                        {for thinned(&props.points).map(|point| html! {
                            <tr><td class="num">{t.stamp(point.at)}</td><td class="num right">{props.format.emit(point.value)}</td></tr>
                        })}
                    </tbody>
                </table>
            </details>
        </figure>
    }
}

/// How far along the chart something happened: 0 at its left edge, 1 at its right. An event's own `current_target` is no help: Yew
/// listens at the root of the page.
fn fraction(area: &NodeRef, event: &MouseEvent) -> Option<f64> {
    let area = area.cast::<Element>()?.get_bounding_client_rect();
    (area.width() > 0.0).then(|| (f64::from(event.client_x()) - area.left()) / area.width())
}

fn thinned(points: &[Point]) -> impl Iterator<Item = &Point> {
    points.iter().step_by(points.len().div_ceil(TABLE_ROWS).max(1))
}
