//! A run's phases as one bar: how long it waited, was prepared, and ran.

use chrono::{DateTime, Utc};
use yew::prelude::*;

use crate::logic::format::fixed;
use crate::logic::outcome::Tone;
use crate::logic::time::{clock, seconds_between};
use crate::text::use_text;
use crate::ui::clock::use_now;

/// Props of [`Timeline`].
#[derive(Properties, PartialEq)]
pub struct TimelineProps {
    /// When the run was accepted.
    pub created: DateTime<Utc>,
    /// When its container started.
    pub started: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished: Option<DateTime<Utc>>,
    /// Seconds of preparation within the time before the start.
    pub setup: Option<f64>,
    /// Whether its container had been started ahead; unknown before it has started.
    pub warm: Option<bool>,
    /// Whether it is being prepared now.
    pub preparing: bool,
    /// Colour of the last part.
    pub tone: Tone,
}

/// The bar with a legend.
#[component]
pub fn Timeline(props: &TimelineProps) -> Html {
    let t = use_text();
    let now = use_now(if props.finished.is_none() { 1_000 } else { 0 });
    let end = props.finished.unwrap_or(now);
    let before = seconds_between(props.created, props.started.unwrap_or(end)).max(0.0);
    let setup = props.setup.unwrap_or(0.0).clamp(0.0, before);
    let ran = props.started.map_or(0.0, |started| seconds_between(started, end).max(0.0));
    let whole = (before + ran).max(0.001);
    let live = props.finished.is_none();
    let say = |seconds: f64, moving: bool| if live && moving { clock(seconds) } else { t.duration(seconds) };
    let parts = [
        (t.run.waited, before - setup, Tone::Wait, props.started.is_none() && !props.preparing),
        (t.run.prepared, setup, Tone::Warn, props.preparing),
        (t.run.ran, ran, props.tone, props.started.is_some()),
    ];
    // Nothing is said of a phase that did not happen.
    let parts: Vec<_> = parts.into_iter().filter(|(_, seconds, _, moving)| *moving || *seconds >= 0.001).collect();
    let mut x = 0.0;
    html! {
        <figure class="timeline" aria-label={t.run.timeline} data-testid="timeline">
            <svg viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">
                {for parts.iter().map(|(_, seconds, tone, _)| {
                    let width = seconds / whole * 1_000.0;
                    let from = x;
                    x += width;
                    html! {
                        <rect class={classes!("timeline-part", tone.class())} x={fixed(from, 1)} y="0"
                            width={fixed(width.max(0.0), 1)} height="8" />
                    }
                })}
            </svg>
            <figcaption>
                if let Some(warm) = props.warm {
                    <span class="timeline-key tone-quiet" data-testid="warmth"><i></i>{if warm { t.pipes.warm } else { t.pipes.cold }}</span>
                }
                {for parts.iter().map(|(name, seconds, tone, moving)| html! {
                    <span class={classes!("timeline-key", tone.class())}>
                        <i></i>{*name}{" "}<b class="num">{say(*seconds, *moving)}</b>
                    </span>
                })}
            </figcaption>
        </figure>
    }
}
