//! The foot of the dashboard: what failed lately, and a year of runs.

use std::rc::Rc;

use chrono::{Datelike, Local, TimeDelta, Utc};
use fastflow_shared::{ErrorType, Run};
use yew::prelude::*;

use crate::api;
use crate::browser;
use crate::hooks::{use_live, use_load};
use crate::logic::fault::Fault;
use crate::logic::outcome::Outcome;
use crate::logic::place::rfc3339;
use crate::logic::year::{Square, squares};
use crate::route::Route;
use crate::router::Link;
use crate::text::{Texts, use_text};
use crate::ui::badge::disc;
use crate::ui::time::Ago;

/// Most failed runs that are listed.
const MOST: usize = 6;
/// Width of a square and the gap beside it.
const STEP: u32 = 13;
/// Rows of the table.
const TABLE_ROWS: usize = 60;

async fn failed() -> Result<Vec<Run>, Fault> {
    let mut runs = api::failed_since(rfc3339(Utc::now() - TimeDelta::hours(24)), MOST * 4).await?.items;
    // Somebody wanted a cancelled run to end.
    runs.retain(|run| run.error_type != Some(ErrorType::Cancelled));
    runs.truncate(MOST);
    Ok(runs)
}

/// What failed within a day; nothing is drawn when nothing did.
#[component]
pub fn Failures() -> Html {
    let t = use_text();
    let runs = use_load((), |()| api::Ask::of(failed()));
    use_live((), |event| event.kind == "run", runs.reload.clone());
    let list = runs.load.data().filter(|list| !list.is_empty());
    list.map_or_else(
        || html! {},
        |list| {
            html! {
                <section class="card now" aria-labelledby="failed-title" data-testid="failures">
                    <header class="card-head"><h2 id="failed-title">{t.dash.failures}</h2></header>
                    <ul class="now-list">{for list.iter().map(|run| html! {
                        <li key={run.id.clone()}>
                            <Link to={Route::Run { id: run.id.clone() }} classes="now-row fail-row">
                                {disc(Outcome::of(run))}
                                <span class="now-name">{&run.pipeline_name}<span class="fail-cause">{run.error_message.clone().unwrap_or_else(|| t.outcome(Outcome::of(run)).to_owned())}</span></span>
                                <span class="now-time"><Ago at={run.finished_at.unwrap_or(run.created_at)} /></span>
                            </Link>
                        </li>
                    })}</ul>
                </section>
            }
        },
    )
}

fn say(t: &Texts, square: &Square) -> String {
    let (good, bad) = square.runs;
    t.day(square.date, good + bad, bad)
}

/// A year of runs, a square for each day.
#[component]
pub fn Year() -> Html {
    let t = use_text();
    let days = use_load((), |()| api::run_days(browser::timezone()));
    use_live(
        (),
        |event| event.kind == "run" && event.status.is_some_and(fastflow_shared::RunStatus::is_final),
        days.reload.clone(),
    );
    let Some(list) = days.load.data().filter(|list| !list.is_empty()) else { return html! {} };
    let all: Rc<Vec<Square>> = Rc::new(squares(list, Local::now().date_naive()));
    let sum = all.iter().fold((0, 0), |sum, square| (sum.0 + square.runs.0 + square.runs.1, sum.1 + square.runs.1));
    let width = 53 * STEP;
    let height = 7 * STEP + 16;
    let title = t.dash.year(&t.number(sum.0), &t.number(sum.1));
    html! {
        <section class="card panel" aria-labelledby="year-title" data-testid="year">
            <h2 id="year-title">{&title}</h2>
            <div class="heat" tabindex="0" role="group" aria-labelledby="year-title">
                <svg viewBox={format!("0 0 {width} {height}")} width={width.to_string()} height={height.to_string()} aria-hidden="true" focusable="false">
                    {for all.iter().map(|square| {
                        let (x, y) = (square.week * STEP, square.weekday * STEP + 16);
                        let month = (square.date.day() <= 7 && square.weekday == 0).then(|| t.months[square.date.month0() as usize]);
                        let class = format!("heat-{}{}", square.level, if square.runs.1 > 0 { " heat-bad" } else { "" });
                        html! {
                            <>
                                if let Some(month) = month {
                                    <text class="heat-month" x={x.to_string()} y="10">{month}</text>
                                }
                                <rect {class} x={x.to_string()} y={y.to_string()} width="11" height="11" rx="2"><title>{say(t, square)}</title></rect>
                            </>
                        }
                    })}
                </svg>
            </div>
            <details class="chart-table">
                <summary>{t.run.table}</summary>
                <ul class="small num">{for all.iter().rev().filter(|square| square.level > 0).take(TABLE_ROWS).map(|square| html! { <li>{say(t, square)}</li> })}</ul>
            </details>
        </section>
    }
}
