//! A pipeline's latest runs as a strip of coloured cells, oldest on the left.

use fastflow_shared::RunSummary;
use yew::prelude::*;

use crate::logic::outcome::Outcome;
use crate::logic::time::{distance, seconds_between};
use crate::route::Route;
use crate::router::Link;
use crate::text::{Texts, use_text};
use crate::ui::clock::use_now;

/// Cells of a strip.
const CELLS: usize = 20;

/// Props of [`Strip`].
#[derive(Properties, PartialEq)]
pub struct StripProps {
    /// The runs, newest first.
    pub runs: Vec<RunSummary>,
}

fn describe(t: &Texts, run: &RunSummary, now: chrono::DateTime<chrono::Utc>) -> String {
    let mut text = t.outcome(Outcome::of_summary(run)).to_owned();
    let when = t.distance(distance(run.started_at.unwrap_or(run.created_at), now));
    text.push_str(&format!(" · {when}"));
    if let (Some(from), Some(to)) = (run.started_at, run.finished_at) {
        text.push_str(&format!(" · {}", t.duration(seconds_between(from, to))));
    }
    text
}

/// The strip. Each cell is a link to its run; its text says what its colour says.
#[component]
pub fn Strip(props: &StripProps) -> Html {
    let t = use_text();
    let now = use_now(60_000);
    let runs: Vec<_> = props.runs.iter().take(CELLS).rev().collect();
    html! {
        <ol class="strip" aria-label={t.dash.latest}>
            {for (runs.len()..CELLS).map(|_| html! { <li class="cell cell-none" aria-hidden="true"></li> })}
            {for runs.into_iter().map(|run| {
                let outcome = Outcome::of_summary(run);
                let text = describe(t, run, now);
                html! {
                    <li key={run.id.clone()} class={classes!("cell", outcome.tone().class())} title={text.clone()}>
                        <Link to={Route::Run { id: run.id.clone() }}><span class="sr">{text}</span></Link>
                    </li>
                }
            })}
        </ol>
    }
}
