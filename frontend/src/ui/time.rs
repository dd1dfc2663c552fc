//! Times and durations that keep themselves right.

use chrono::{DateTime, Utc};
use yew::prelude::*;

use crate::logic::time::{clock, distance, seconds_between};
use crate::text::use_text;
use crate::ui::clock::use_now;

/// Props of [`Ago`].
#[derive(Properties, PartialEq)]
pub struct AgoProps {
    /// The time.
    pub at: DateTime<Utc>,
}

/// A relative time with the exact one on hover.
#[component]
pub fn Ago(props: &AgoProps) -> Html {
    let t = use_text();
    let now = use_now(15_000);
    html! {
        <time datetime={props.at.to_rfc3339()} title={t.exact(props.at)}>{t.distance(distance(props.at, now))}</time>
    }
}

/// Props of [`Took`].
#[derive(Properties, PartialEq)]
pub struct TookProps {
    /// From.
    pub from: Option<DateTime<Utc>>,
    /// To; a clock runs while there is no end.
    pub to: Option<DateTime<Utc>>,
    /// Whether a clock may run.
    #[prop_or(true)]
    pub ticking: bool,
}

/// How long something took, or takes.
#[component]
pub fn Took(props: &TookProps) -> Html {
    let t = use_text();
    let runs = props.ticking && props.from.is_some() && props.to.is_none();
    let now = use_now(if runs { 1_000 } else { 0 });
    match (props.from, props.to) {
        (Some(from), Some(to)) => html! { <span class="num">{t.duration(seconds_between(from, to))}</span> },
        (Some(from), None) if runs => html! { <span class="num">{clock(seconds_between(from, now))}</span> },
        _ => html! { <span class="faint">{"–"}</span> },
    }
}
