//! All runs. What is shown is in the address; more rows come by keyset; changes appear without a flicker.

use std::rc::Rc;

use fastflow_shared::{ErrorType, Run, RunStatus, Trigger};
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_live, use_load, use_tab};
use crate::logic::fault::Fault;
use crate::logic::query::{RunFilter, RunOrder, build};
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::{use_location, use_navigator};
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::field::{Choice, entered};
use crate::ui::icon::Icon;
use crate::ui::view::{Empty, view};

use super::run_table::RunTable;

/// Rows and where they go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    items: Vec<Rc<Run>>,
    next: Option<String>,
}

/// Reads as many rows as are shown already, at least one page.
async fn rows((filter, count): (RunFilter, usize)) -> Result<Rows, Fault> {
    // The server's pages are bounded, so a long list is read again in several.
    let mut out = Rows { items: Vec::new(), next: None };
    loop {
        let page = api::runs(filter.clone(), out.next.take(), api::PAGE).await?;
        out.items.extend(page.items.into_iter().map(Rc::new));
        out.next = page.next_cursor;
        if out.items.len() >= count || out.next.is_none() {
            return Ok(out);
        }
    }
}

/// The page.
#[component]
pub fn Runs() -> Html {
    let t = use_text();
    use_tab(t.runs.title.to_owned(), TabState::Plain);
    let navigator = use_navigator();
    let query = use_location().map(|location| location.query_str().to_owned()).unwrap_or_default();
    let filter = RunFilter::parse(&query);
    let names = use_load((), |()| api::plain_pipelines());
    let change = Callback::from(move |filter: RunFilter| {
        if let Some(navigator) = &navigator {
            navigator.push_with_query(&Route::Runs, &build(&filter.pairs()));
        }
    });
    let with = |edit: fn(&mut RunFilter, String)| {
        let (filter, change) = (filter.clone(), change.clone());
        Callback::from(move |value: String| {
            let mut next = filter.clone();
            edit(&mut next, value);
            change.emit(next);
        })
    };
    let option = |value: &str, text: &str| (AttrValue::from(value.to_owned()), AttrValue::from(text.to_owned()));
    let mut pipelines = vec![option("", t.runs.any_pipeline)];
    let known: Vec<String> =
        names.load.data().map(|list| list.iter().map(|pipeline| pipeline.name.clone()).collect()).unwrap_or_default();
    // A pipeline that is gone can still be filtered for: its runs stay.
    let gone = filter.pipeline.clone().filter(|name| !known.contains(name));
    pipelines.extend(known.iter().chain(&gone).map(|name| option(name, name)));
    let mut states = vec![option("", t.runs.any_status)];
    states.extend(RunStatus::ALL.map(|status| {
        let text = if status == RunStatus::Pending {
            t.status.pending
        } else {
            t.outcome(crate::logic::outcome::Outcome::plain(status, None))
        };
        option(status.as_str(), text)
    }));
    let mut triggers = vec![option("", t.runs.any_trigger)];
    triggers.extend(Trigger::ALL.map(|trigger| option(trigger.as_str(), t.trigger(trigger))));
    let mut causes = vec![option("", t.runs.any_cause)];
    causes.extend(ErrorType::ALL.map(|cause| {
        option(cause.as_str(), if cause == ErrorType::ExitCode { t.run.exit_code } else { t.cause(cause) })
    }));
    let orders = RunOrder::ALL.map(|order| option(order.as_str(), t.order(order))).to_vec();
    let onorder = with(|filter, value| filter.order = RunOrder::parse(&value));
    let status: Vec<&str> = filter.status.iter().map(|status| status.as_str()).collect();
    let clear = change.reform(|()| RunFilter::default());
    html! {
        <div class="page">
            <header class="page-head"><h1>{t.runs.title}</h1></header>
            <div class="filters" role="search">
                <Choice label={t.runs.pipeline} options={pipelines} value={filter.pipeline.clone().unwrap_or_default()} testid="filter-pipeline"
                    onchange={with(|filter, value| filter.pipeline = (!value.is_empty()).then_some(value))} />
                <Choice label={t.runs.status} options={states} value={status.join(",")} testid="filter-status"
                    onchange={with(|filter, value| filter.status = RunStatus::parse(&value).into_iter().collect())} />
                <Choice label={t.runs.cause} options={causes} value={filter.cause.map_or("", ErrorType::as_str)} testid="filter-cause"
                    onchange={with(|filter, value| filter.cause = ErrorType::parse(&value))} />
                <Choice label={t.runs.trigger} options={triggers} value={filter.trigger.map_or("", Trigger::as_str)} testid="filter-trigger"
                    onchange={with(|filter, value| filter.trigger = Trigger::parse(&value))} />
                <Choice label={t.runs.order} options={orders} value={filter.order.as_str()} testid="filter-order"
                    onchange={onorder.clone()} />
                {day("from", t.pipes.from, &filter.from, &with(|filter, value| filter.from = value))}
                {day("to", t.pipes.to, &filter.to, &with(|filter, value| filter.to = value))}
                if filter.is_narrow() {
                    <Button text={t.runs.clear} icon={Icon::Close} look={Look::Ghost} small=true onclick={clear.clone()} />
                }
            </div>
            <RunList filter={filter} onclear={clear} {onorder} />
        </div>
    }
}

fn day(name: &'static str, label: &'static str, value: &str, onday: &Callback<String>) -> Html {
    html! {
        <label class="day"><span>{label}</span>
            <input class="input" type="date" value={value.to_owned()} data-testid={format!("filter-{name}")}
                onchange={onday.reform(|event: Event| entered(&event))} />
        </label>
    }
}

/// Props of [`RunList`].
#[derive(Properties, PartialEq)]
pub struct RunListProps {
    /// What is shown.
    pub filter: RunFilter,
    /// Whether the pipeline is named.
    #[prop_or(true)]
    pub with_pipeline: bool,
    /// Clears the filters.
    #[prop_or_default]
    pub onclear: Callback<()>,
    /// Asks for another order, by its name; without it the heads of the columns are no buttons.
    #[prop_or_default]
    pub onorder: Option<Callback<String>>,
}

/// A live list of runs.
#[component]
pub fn RunList(props: &RunListProps) -> Html {
    let t = use_text();
    let toaster = use_toaster();
    let list = use_load((props.filter.clone(), api::PAGE), |key| api::Ask::of(rows(key)));
    let more_busy = use_state_eq(|| false);
    let refresh = {
        // Reads again what is shown now, so that rows which were loaded by hand stay.
        let (load, put, first) = (list.load.clone(), list.put.clone(), list.reload.clone());
        let filter = props.filter.clone();
        Callback::from(move |()| {
            let shown = load.data().map_or(0, |rows| rows.items.len());
            if shown <= api::PAGE {
                first.emit(());
                return;
            }
            let (put, filter) = (put.clone(), filter.clone());
            spawn_local(async move {
                if let Ok(rows) = rows((filter, shown)).await {
                    put.emit(Rc::new(rows));
                }
            });
        })
    };
    let pipeline = props.filter.pipeline.clone();
    use_live(
        pipeline.clone(),
        move |event| {
            let mine = pipeline.is_none() || event.pipeline_name.is_none() || event.pipeline_name == pipeline;
            event.kind == "run" && mine
        },
        refresh,
    );
    let onmore = {
        let (load, put, filter, busy) = (list.load.clone(), list.put.clone(), props.filter.clone(), more_busy.setter());
        Callback::from(move |()| {
            let Some(rows) = load.data().cloned() else { return };
            let (put, filter, busy, toaster) = (put.clone(), filter.clone(), busy.clone(), toaster.clone());
            busy.set(true);
            spawn_local(async move {
                match api::runs(filter, rows.next.clone(), api::PAGE).await {
                    Ok(page) => {
                        let mut items = rows.items.clone();
                        items.extend(page.items.into_iter().map(Rc::new));
                        put.emit(Rc::new(Rows { items, next: page.next_cursor }));
                    }
                    Err(fault) => toaster.fault(&fault, t),
                }
                busy.set(false);
            });
        })
    };
    view(&list.load, 10, &list.reload, |rows| {
        if rows.items.is_empty() && props.filter.is_narrow() && props.with_pipeline {
            return html! {
                <Empty icon={Icon::Search} title={t.runs.empty_filtered}><Button text={t.runs.clear} onclick={props.onclear.clone()} /></Empty>
            };
        }
        if rows.items.is_empty() {
            let hint = if props.with_pipeline { t.runs.empty_hint } else { t.pipeline.no_runs };
            return html! { <Empty icon={Icon::List} title={t.runs.empty} {hint} /> };
        }
        html! {
            <>
                <div class="card card-flush"><RunTable runs={rows.items.clone()} with_pipeline={props.with_pipeline} order={props.filter.order} onorder={props.onorder.clone()} /></div>
                <footer class="list-foot">
                    if rows.next.is_some() {
                        <Button text={t.common.load_more} busy={*more_busy} onclick={onmore} testid="load-more" />
                    } else if rows.items.len() > api::PAGE {
                        <span class="faint">{t.runs.end}</span>
                    }
                </footer>
            </>
        }
    })
}
