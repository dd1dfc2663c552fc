//! A list of pipelines with search, tags and states; on the page of pipelines also with something to do with many at once.
//! What is looked for is in the address.

use std::rc::Rc;

use fastflow_shared::{EnvironmentState, Job, Pipeline, RunStatus, StartRun};
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use crate::api;
use crate::hooks::use_load;
use crate::logic::fault::Fault;
use crate::logic::fold::lower;
use crate::logic::query;
use crate::providers::dialogs::use_ask;
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::{use_location, use_navigator};
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::confirm::Question;
use crate::ui::field::{Choice, typed};
use crate::ui::icon::{Icon, glyph};
use crate::ui::view::Empty;

use super::pipeline_row::PipelineRow;

/// Up to this many pipelines a filter is only in the way.
const FEW: usize = 4;
/// Rows that are drawn at first and added at a time: five hundred would take half a second, and nobody reads them.
const ROWS: usize = 60;

/// What is looked for.
const KEYS: [&str; 3] = ["q", "tag", "state"];

fn in_state(pipeline: &Pipeline, state: &str) -> bool {
    match state {
        "active" => pipeline.running + pipeline.queued > 0,
        "failed" => pipeline.latest_runs.first().is_some_and(|run| run.status == RunStatus::Failed),
        "off" => !pipeline.enabled,
        "broken" => !pipeline.valid || pipeline.environment_state == EnvironmentState::Failed,
        _ => true,
    }
}

/// What is done with many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bulk {
    Run,
    Switch(bool),
}

/// Does it with each, one after the other: the server admits them in this order. Says who took it, and why the last of the
/// others did not.
async fn each(names: Vec<String>, bulk: Bulk) -> (Vec<String>, Option<Fault>) {
    let (mut good, mut fault) = (Vec::new(), None);
    for name in names {
        let coming = match bulk {
            Bulk::Run => api::start_run(name.clone(), StartRun::default()).coming(),
            Bulk::Switch(on) => api::switch_pipeline(name.clone(), on).coming(),
        };
        match coming.await {
            Ok(_) => good.push(name),
            Err(error) => fault = Some(error),
        }
    }
    (good, fault)
}

/// Props of [`PipelineList`].
#[derive(Properties, PartialEq)]
pub struct PipelineListProps {
    /// All of them.
    pub list: Rc<Vec<Rc<Pipeline>>>,
    /// Whether rows can be chosen.
    #[prop_or_default]
    pub bulk: bool,
    /// Told when something has changed.
    pub onchange: Callback<()>,
}

/// The list.
#[component]
pub fn PipelineList(props: &PipelineListProps) -> Html {
    let t = use_text();
    let ask = use_ask();
    let toaster = use_toaster();
    let navigator = use_navigator();
    let location = use_location().unwrap_or_default();
    let jobs = use_load(props.list.len(), |_| api::jobs());
    let rows = use_state_eq(|| ROWS);
    let chosen = use_state_eq(Vec::<String>::new);
    let busy = use_state_eq(|| false);
    let pairs: Vec<(&'static str, String)> =
        KEYS.iter().map(|key| (*key, query::get(location.query_str(), key).unwrap_or_default())).collect();
    let here = if props.bulk { Route::Pipelines } else { Route::Dashboard };
    let set = |key: &'static str| {
        let (navigator, pairs, here, rows) = (navigator.clone(), pairs.clone(), here.clone(), rows.setter());
        Callback::from(move |value: String| {
            let mut pairs = pairs.clone();
            pairs.iter_mut().filter(|(name, _)| *name == key).for_each(|(_, old)| old.clone_from(&value));
            rows.set(ROWS);
            navigator.as_ref().inspect(|navigator| navigator.replace_with_query(&here, &query::build(&pairs)));
        })
    };
    let [needle, tag, state] = [0, 1, 2].map(|at| pairs.get(at).map(|(_, value)| value.clone()).unwrap_or_default());
    let mut tags: Vec<&String> = Vec::new();
    for tag in props.list.iter().flat_map(|pipeline| &pipeline.tags) {
        if let Err(at) = tags.binary_search(&tag) {
            tags.insert(at, tag);
        }
    }
    let wanted = lower(&needle);
    let fits = |pipeline: &Pipeline| {
        let text = pipeline.description.as_deref().unwrap_or_default();
        let found = lower(&pipeline.name).contains(&wanted) || lower(text).contains(&wanted);
        found && (tag.is_empty() || pipeline.tags.contains(&tag)) && in_state(pipeline, &state)
    };
    let shown: Vec<&Rc<Pipeline>> = props.list.iter().filter(|pipeline| fits(pipeline)).collect();
    let next_of = |name: &str| {
        let due = |job: &&Job| job.pipeline_name == name && job.enabled && !job.paused;
        jobs.load.data().and_then(|list| list.iter().filter(due).filter_map(|job| job.next_run_at).min())
    };
    let chip = |value: String, text: String| {
        let (on, set) = (tag == value, set("tag"));
        html! {
            <button type="button" class="chip" aria-pressed={if on { "true" } else { "false" }}
                onclick={Callback::from(move |_: MouseEvent| set.emit(value.clone()))}>{text}</button>
        }
    };
    let search = set("q");
    let option = |value: &'static str, text: &'static str| (AttrValue::Static(value), AttrValue::Static(text));
    let states = vec![
        option("", t.pipes.any_state),
        option("active", t.pipes.active),
        option("failed", t.pipes.failing),
        option("off", t.pipes.off),
        option("broken", t.pipes.broken),
    ];
    let all: Vec<String> = shown.iter().map(|pipeline| pipeline.name.clone()).collect();
    let every = !all.is_empty() && all.iter().all(|name| chosen.contains(name));
    let choose_all = {
        let (set, all) = (chosen.setter(), if every { Vec::new() } else { all });
        Callback::from(move |_: Event| set.set(all.clone()))
    };
    let order = |bulk: Bulk| {
        let (names, busy, forget) = ((*chosen).clone(), busy.setter(), chosen.setter());
        let (toaster, change, list) = (toaster.clone(), props.onchange.clone(), props.list.clone());
        Callback::from(move |()| {
            let (names, busy, forget) = (names.clone(), busy.clone(), forget.clone());
            let (toaster, change, list) = (toaster.clone(), change.clone(), list.clone());
            busy.set(true);
            spawn_local(async move {
                let whole = names.len();
                let (mut good, fault) = each(names, bulk).await;
                if let Bulk::Switch(on) = bulk {
                    let title = if on { t.dash.switched_on } else { t.dash.switched_off };
                    let said = (title, t.pipes.switched(good.len(), whole));
                    // What was so before stays so.
                    good.retain(|name| list.iter().any(|one| one.name == *name && one.enabled_by_operator != on));
                    let back =
                        async move { each(good, Bulk::Switch(!on)).await.1.map_or_else(|| Ok(Box::new(()) as _), Err) };
                    toaster.good_undo(t, said, Box::pin(back), &change);
                } else {
                    toaster.good(t.pipes.started(good.len(), whole));
                    change.emit(());
                }
                fault.inspect(|fault| toaster.fault(fault, t));
                busy.set(false);
                forget.set(Vec::new());
            });
        })
    };
    let run = {
        let (then, title) = (order(Bulk::Run), t.pipes.run_title(chosen.len()));
        Callback::from(move |()| {
            ask.emit(Question {
                title: title.clone().into(),
                lead: t.pipes.run_lead.into(),
                yes: t.dash.run.into(),
                no: None,
                name: None,
                then: then.clone(),
            });
        })
    };
    let row = |pipeline: &Rc<Pipeline>| {
        let on = chosen.contains(&pipeline.name);
        let onchoose = props.bulk.then(|| {
            let (set, next, name) = (chosen.setter(), (*chosen).clone(), pipeline.name.clone());
            Callback::from(move |_: Event| {
                if let Some(at) = next.iter().position(|other| *other == name) {
                    let mut next = next.clone();
                    next.remove(at);
                    set.set(next);
                } else {
                    let mut next = next.clone();
                    next.push(name.clone());
                    set.set(next);
                }
            })
        });
        html! {
            <PipelineRow key={pipeline.name.clone()} pipeline={pipeline.clone()} next={next_of(&pipeline.name)} {on} {onchoose} onchange={props.onchange.clone()} />
        }
    };
    let more = {
        let (set, now) = (rows.setter(), *rows);
        Callback::from(move |()| set.set(now + ROWS))
    };
    let forget = chosen.setter();
    html! {
        <>
            <header class="list-head">
                if props.bulk {
                    <input type="checkbox" class="check" checked={every} onchange={choose_all} aria-label={t.pipes.choose_all} title={t.pipes.choose_all} data-testid="choose-all" />
                }
                <h2 id="pipelines-title">{t.dash.pipelines}<span class="count num">{shown.len()}</span></h2>
                if !tags.is_empty() {
                    <div class="chips" role="group" aria-label={t.pipeline.tags}>
                        {chip(String::new(), t.dash.all_tags.to_owned())}
                        {for tags.into_iter().map(|tag| chip(tag.clone(), tag.clone()))}
                    </div>
                }
                if props.list.len() > FEW || props.bulk {
                    <div class="filter">
                        {glyph(Icon::Search)}
                        <input id="filter" type="search" class="bare" placeholder={t.dash.filter} aria-label={t.dash.filter} value={needle.clone()}
                            oninput={move |event: InputEvent| search.emit(typed(&event))} autocomplete="off" data-testid="filter" />
                        <kbd>{"/"}</kbd>
                    </div>
                    <Choice label={t.runs.status} options={states} value={state.clone()} testid="filter-state" onchange={set("state")} />
                }
            </header>
            if !chosen.is_empty() {
                <div class="card bulk" role="region" aria-label={t.common.actions} data-testid="bulk">
                    <strong class="num" role="status">{t.pipes.selected(chosen.len())}</strong>
                    <Button text={t.dash.run} icon={Icon::Play} small=true busy={*busy} onclick={run} testid="bulk-run" />
                    <Button text={t.dash.switch_on} small=true busy={*busy} onclick={order(Bulk::Switch(true))} testid="bulk-on" />
                    <Button text={t.dash.switch_off} small=true busy={*busy} onclick={order(Bulk::Switch(false))} testid="bulk-off" />
                    <Button text={t.pipes.forget} look={Look::Ghost} small=true onclick={Callback::from(move |()| forget.set(Vec::new()))} />
                </div>
            }
            if shown.is_empty() {
                <Empty icon={Icon::Search} title={t.dash.no_match} />
            } else {
                <ul class="card prows" data-testid="pipelines">
                    {for shown.iter().take(*rows).map(|pipeline| row(pipeline))}
                </ul>
            }
            if shown.len() > *rows {
                <footer class="list-foot"><Button text={t.pipes.more(shown.len() - *rows)} onclick={more} testid="more-pipelines" /></footer>
            }
        </>
    }
}
