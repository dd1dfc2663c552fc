//! Asks again every so often, for what has no event of its own.

use gloo_timers::callback::Interval;
use yew::prelude::*;

use crate::browser;

/// Calls `again` every so many milliseconds while somebody can see the page; with `None` not at all.
#[hook]
pub fn use_again(every: Option<u32>, again: Callback<()>) {
    use_effect_with((every, again), |(every, again)| {
        let again = again.clone();
        let look = move || {
            if !browser::hidden() {
                again.emit(());
            }
        };
        let timer = every.map(|millis| Interval::new(millis, look));
        move || drop(timer)
    });
}
