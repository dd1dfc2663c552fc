//! Runs as a table; on a phone each row becomes two lines.

use std::rc::Rc;

use fastflow_shared::Run;
use yew::prelude::*;

use crate::logic::format::short_id;
use crate::logic::outcome::{Outcome, Tone};
use crate::logic::query::RunOrder;
use crate::route::Route;
use crate::router::{Link, use_navigator};
use crate::text::use_text;
use crate::ui::badge::badge;
use crate::ui::time::{Ago, Took};

/// Props of [`RunTable`].
#[derive(Properties, PartialEq)]
pub struct RunTableProps {
    /// The runs.
    pub runs: Vec<Rc<Run>>,
    /// Whether the pipeline is named.
    #[prop_or(true)]
    pub with_pipeline: bool,
    /// Their order.
    #[prop_or_default]
    pub order: RunOrder,
    /// Asks for another one, by its name.
    #[prop_or_default]
    pub onorder: Option<Callback<String>>,
}

/// The table.
#[component]
pub fn RunTable(props: &RunTableProps) -> Html {
    let t = use_text();
    html! {
        <table class="table runs" data-testid="runs">
            <thead>
                <tr>
                    <th scope="col">{t.runs.status}</th>
                    if props.with_pipeline {
                        <th scope="col">{t.runs.pipeline}</th>
                    }
                    <th scope="col">{t.runs.trigger}</th>
                    {head(t.runs.duration, props, (RunOrder::Longest, RunOrder::Shortest))}
                    {head(t.runs.started, props, (RunOrder::Newest, RunOrder::Oldest))}
                </tr>
            </thead>
            <tbody>
                {for props.runs.iter().map(|run| html! {
                    <RunRow key={run.id.clone()} run={run.clone()} with_pipeline={props.with_pipeline} />
                })}
            </tbody>
        </table>
    }
}

/// The head of a column that can be ordered by: falling first, then rising.
fn head(name: &'static str, props: &RunTableProps, orders: (RunOrder, RunOrder)) -> Html {
    let Some(onorder) = &props.onorder else { return html! { <th scope="col" class="right">{name}</th> } };
    let now = if props.order == orders.0 {
        "descending"
    } else if props.order == orders.1 {
        "ascending"
    } else {
        "none"
    };
    let next = props.order.turned(orders).as_str();
    let onclick = onorder.reform(move |_: MouseEvent| next.to_owned());
    html! { <th scope="col" class="right" aria-sort={now}><button type="button" class="sort" {onclick}>{name}</button></th> }
}

/// Props of [`RunRow`].
#[derive(Properties, PartialEq)]
struct RunRowProps {
    run: Rc<Run>,
    with_pipeline: bool,
}

#[component]
fn RunRow(props: &RunRowProps) -> Html {
    let t = use_text();
    let run = &props.run;
    let navigator = use_navigator();
    let outcome = Outcome::of(run);
    let to = Route::Run { id: run.id.clone() };
    let target = to.clone();
    let onclick = Callback::from(move |event: MouseEvent| {
        use wasm_bindgen::JsCast;
        // The row is a comfort for the mouse; the link in it is what the keyboard and a new tab use.
        let element = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let on_link = element.is_some_and(|element| element.closest("a").ok().flatten().is_some());
        if !on_link && !event.ctrl_key() && !event.meta_key() {
            navigator.as_ref().inspect(|navigator| navigator.push(&target));
        }
    });
    let cause = match outcome.tone() {
        Tone::Bad => run.error_message.clone().or_else(|| run.exit_code.map(|code| t.run.exit(code))),
        Tone::Wait => run.queue_position.map(|n| t.run.queue_position(n)),
        _ => None,
    };
    html! {
        <tr class="run-row" {onclick} data-testid="run-row" data-status={run.status.as_str()}>
            <td class="run-state">
                <Link {to} classes="run-link">{badge(outcome, t)}</Link>
                if let Some(cause) = cause {
                    <span class="run-cause" title={cause.clone()}>{cause.clone()}</span>
                }
            </td>
            if props.with_pipeline {
                <td class="run-name">
                    <Link to={Route::Pipeline { name: run.pipeline_name.clone() }} classes="quiet-link">{&run.pipeline_name}</Link>
                    <span class="faint mono">{short_id(&run.id)}</span>
                </td>
            }
            <td class="run-trigger">{t.trigger(run.trigger)}
                if let Some(by) = &run.triggered_by {
                    <span class="faint">{" "}{by}</span>
                }
                if run.attempt > 1 {
                    <span class="tag tone-quiet">{t.run.attempt}{" "}{run.attempt}</span>
                }
            </td>
            <td class="right run-took"><Took from={run.started_at} to={run.finished_at} ticking={outcome != Outcome::Interrupted} /></td>
            <td class="right run-when"><Ago at={run.started_at.unwrap_or(run.created_at)} /></td>
        </tr>
    }
}
