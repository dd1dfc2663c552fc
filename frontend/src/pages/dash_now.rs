//! The head of the dashboard: what runs and waits now, and how fresh the code is.

use fastflow_shared::{Overview, Run, RunStatus, SyncStatus};
use yew::prelude::*;

use crate::api;
use crate::hooks::{use_action, use_live, use_load};
use crate::logic::format::{short_commit, short_id};
use crate::logic::outcome::Outcome;
use crate::logic::query::RunFilter;
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::Link;
use crate::text::use_text;
use crate::ui::badge::disc;
use crate::ui::button::Button;
use crate::ui::icon::{Icon, glyph};
use crate::ui::time::{Ago, Took};
use crate::ui::view::view;

/// Most active runs that are listed.
const MOST: usize = 20;

async fn active() -> Result<Vec<Run>, crate::logic::fault::Fault> {
    let filter = RunFilter { status: vec![RunStatus::Running, RunStatus::Pending], ..RunFilter::default() };
    // What runs first, then the queue in its order.
    let place = |run: &Run| (run.started_at.is_none(), run.queue_position.unwrap_or(0), run.started_at);
    let mut sorted: Vec<Run> = Vec::new();
    for run in api::runs(filter, None, MOST).await?.items {
        let mine = place(&run);
        sorted.insert(sorted.partition_point(|other| place(other) <= mine), run);
    }
    Ok(sorted)
}

/// What runs and waits.
#[component]
pub fn Now() -> Html {
    let t = use_text();
    let runs = use_load((), |()| api::Ask::of(active()));
    let overview = use_load((), |()| api::overview());
    let both = runs.reload.clone();
    let also = overview.reload.clone();
    let reload = Callback::from(move |()| {
        both.emit(());
        also.emit(());
    });
    use_live((), |event| event.kind == "run" || event.kind == "docker", reload);
    let numbers = overview.load.data().cloned();
    html! {
        <section class="card now" aria-labelledby="now-title" data-testid="now">
            <header class="card-head">
                <h2 id="now-title">{t.dash.now}</h2>
                if let Some(numbers) = &numbers {
                    <Slots overview={(**numbers).clone()} />
                }
            </header>
            if let Some(numbers) = numbers.filter(|numbers| !numbers.docker_ok) {
                <div class="notice tone-bad" role="alert" title={numbers.docker.clone()} data-testid="docker-down">
                    {glyph(Icon::Alert)}<span>{t.dash.docker_down}</span>
                </div>
            }
            {view(&runs.load, 2, &runs.reload, |runs| if runs.is_empty() {
                html! { <p class="now-idle"><strong>{t.dash.idle}</strong>{" "}{t.dash.idle_hint}</p> }
            } else {
                html! { <ul class="now-list">{for runs.iter().map(|run| html! { <Active key={run.id.clone()} run={run.clone()} /> })}</ul> }
            })}
        </section>
    }
}

/// Props of [`Slots`].
#[derive(Properties, PartialEq)]
struct SlotsProps {
    overview: Overview,
}

#[component]
fn Slots(props: &SlotsProps) -> Html {
    let t = use_text();
    let numbers = &props.overview;
    let text = t.dash.of_slots(numbers.running, numbers.max_concurrent_runs);
    // Beyond a dozen, cells would be a blur: the sentence alone is clearer.
    let cells = numbers.max_concurrent_runs.clamp(0, 12);
    html! {
        <p class="slots num">
            if cells == numbers.max_concurrent_runs {
                <span class="slot-cells" aria-hidden="true">
                    {for (0..cells).map(|i| html! { <i class={classes!((i < numbers.running).then_some("is-used"))}></i> })}
                </span>
            }
            <span>{text}</span>
            if numbers.queued > 0 {
                <span class="tag tone-wait">{numbers.queued}{" "}{t.dash.queued}</span>
            }
        </p>
    }
}

/// Props of [`Active`].
#[derive(Properties, PartialEq)]
struct ActiveProps {
    run: Run,
}

#[component]
fn Active(props: &ActiveProps) -> Html {
    let t = use_text();
    let run = &props.run;
    let outcome = Outcome::of(run);
    let waits = run.started_at.is_none();
    html! {
        <li>
            <Link to={Route::Run { id: run.id.clone() }} classes="now-row">
                {disc(outcome)}
                <span class="now-name">{&run.pipeline_name}<span class="faint mono">{short_id(&run.id)}</span></span>
                <span class="now-what">
                    {run.queue_position.map_or_else(|| t.outcome(outcome).to_owned(), |n| t.run.queue_position(n))}
                </span>
                <span class="now-time"><Took from={Some(if waits { run.created_at } else { run.started_at.unwrap_or(run.created_at) })} to={run.finished_at} /></span>
            </Link>
        </li>
    }
}

/// How fresh the code is, and the button that looks again.
#[component]
pub fn Sync() -> Html {
    let t = use_text();
    let toaster = use_toaster();
    let status = use_load((), |()| api::sync_status());
    use_live((), |event| event.kind == "sync", status.reload.clone());
    let put = status.put.clone();
    let done = Callback::from(move |status: SyncStatus| {
        let counts = t.dash.sync_result(status.added.len(), status.changed.len(), status.removed.len());
        if status.last_error.is_none() {
            toaster.good_with(t.dash.synced, counts, None);
        }
        put.emit(status.into());
    });
    let sync = use_action(|()| api::sync(), done);
    let data = status.load.data();
    html! {
        <div class="sync" data-testid="sync-state">
            if let Some(status) = data {
                <Link to={Route::Sync} classes="sync-link">
                if let Some(error) = &status.last_error {
                    <span class="sync-bad" title={error.clone()}>{glyph(Icon::Alert)}{t.dash.sync_failed}</span>
                } else if let Some(at) = status.last_sync_at {
                    <span class="sync-what">
                        if let Some(commit) = &status.commit {
                            <span class="mono" title={status.commit_subject.clone()}>{short_commit(commit)}</span>
                        } else {
                            <span>{t.dash.folder}</span>
                        }
                        <span class="faint"><Ago {at} /></span>
                    </span>
                } else {
                    <span class="faint">{t.dash.never_synced}</span>
                }
                </Link>
            }
            <Button text={if sync.busy { t.dash.syncing } else { t.dash.sync }} icon={Icon::Refresh} busy={sync.busy} onclick={sync.go} testid="sync" />
        </div>
    }
}
