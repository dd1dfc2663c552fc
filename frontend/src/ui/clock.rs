//! A clock that redraws what shows the time.

use chrono::{DateTime, Utc};
use gloo_timers::callback::Interval;
use yew::prelude::*;

/// The time now, drawn anew every `millis`; a clock of 0 stands still.
#[hook]
pub fn use_now(millis: u32) -> DateTime<Utc> {
    let redraw = use_force_update();
    use_effect_with(millis, move |millis| {
        let tick = (*millis > 0).then(|| Interval::new(*millis, move || redraw.force_update()));
        move || drop(tick)
    });
    Utc::now()
}
