//! Where the code comes from: the commit that is live, what the latest sync did to each pipeline, and its log.

use chrono::{DateTime, Utc};
use fastflow_shared::{EnvironmentState, Role, SyncChange, SyncLogLines, SyncStatus, SyncedPipeline, events, routes};
use yew::prelude::*;

use crate::api::{
    self,
    stream::{Plan, Stream, payload},
};
use crate::hooks::{TabState, use_action, use_live, use_load, use_tab};
use crate::logic::outcome::Tone;
use crate::providers::session::use_session;
use crate::route::Route;
use crate::router::Link;
use crate::text::use_text;
use crate::ui::badge::{commit_link, tag};
use crate::ui::button::{Button, Look};
use crate::ui::icon::{Icon, glyph};
use crate::ui::time::Ago;
use crate::ui::view::view;

use super::sync_form::SyncForm;

/// The page.
#[component]
pub fn SyncPage() -> Html {
    let t = use_text();
    use_tab(t.code.title.to_owned(), TabState::Plain);
    let status = use_load((), |()| api::sync_status());
    use_live((), |event| event.kind == "sync" || event.kind == "pipeline", status.reload.clone());
    let open = use_state_eq(|| false);
    let (show, hide) = (open.setter(), open.setter());
    let put = status.put.clone();
    let sync = use_action(|()| api::sync_begin(), Callback::from(move |status: SyncStatus| put.emit(status.into())));
    let running = status.load.data().is_some_and(|status| status.running);
    let admin = use_session().user().is_some_and(|user| user.role == Role::Admin);
    html! {
        <div class="page">
            <header class="page-head">
                <div><h1>{t.code.title}</h1><p class="page-lead">{t.code.lead}</p></div>
                <div class="row-actions">
                    if admin {
                        <Button text={t.code.settings} icon={Icon::Pencil} onclick={Callback::from(move |()| show.set(true))} testid="sync-settings" />
                    }
                    <Button text={t.code.now} icon={Icon::Refresh} look={Look::Primary} busy={sync.busy || running} onclick={sync.go} testid="sync-now" />
                </div>
            </header>
            {view(&status.load, 6, &status.reload, |status| html! { <Status status={(**status).clone()} /> })}
            <Log {running} last={status.load.data().and_then(|status| status.last_sync_at)} />
            if *open {
                <SyncForm onclose={Callback::from(move |()| hide.set(false))} />
            }
        </div>
    }
}

/// Props of [`Status`].
#[derive(Properties, PartialEq)]
struct StatusProps {
    status: SyncStatus,
}

#[component]
fn Status(props: &StatusProps) -> Html {
    let t = use_text();
    let status = &props.status;
    html! {
        <>
            <section class="card panel" data-testid="sync-status" data-commit={status.commit.clone()}>
                if let Some(error) = &status.last_error {
                    <div class="notice tone-bad" role="alert">{glyph(Icon::Alert)}<span>{error}</span></div>
                }
                <dl class="facts">
                    <div><dt>{t.code.repository}</dt><dd class="mono">{status.repository.clone().unwrap_or_else(|| t.dash.folder.to_owned())}</dd></div>
                    if let Some(branch) = &status.branch {
                        <div><dt>{t.system.branch}</dt><dd>
                            <span class="mono">{branch}</span>
                            if let (Some(ahead), Some(behind)) = (status.ahead, status.behind) {
                                <span class="faint num">{" · "}{t.code.distance(ahead, behind)}</span>
                            }
                        </dd></div>
                    }
                    if let Some(commit) = &status.commit {
                        <div><dt>{t.system.commit}</dt><dd>
                            {commit_link(commit, status.commit_url.as_ref())}{" "}{status.commit_subject.clone()}{" "}
                            <span class="faint">{t.code.by}{" "}{status.commit_author.clone()}</span>
                        </dd></div>
                    }
                    <div><dt>{t.dash.synced}</dt><dd>{status.last_sync_at.map_or_else(|| html! { {t.system.never} }, |at| html! { <Ago {at} /> })}</dd></div>
                </dl>
            </section>
            if !status.details.is_empty() {
                <div class="card card-flush table-scroll">
                    <table class="table stacked" data-testid="sync-pipelines"><tbody>
                        {for status.details.iter().map(|pipeline| html! { <Row key={pipeline.name.clone()} pipeline={pipeline.clone()} /> })}
                    </tbody></table>
                </div>
            }
        </>
    }
}

/// Props of [`Row`].
#[derive(Properties, PartialEq)]
struct RowProps {
    pipeline: SyncedPipeline,
}

#[component]
fn Row(props: &RowProps) -> Html {
    let t = use_text();
    let pipeline = &props.pipeline;
    let (change, tone) = match pipeline.change {
        SyncChange::Unchanged => (t.code.unchanged, Tone::Quiet),
        SyncChange::Added => (t.code.added, Tone::Good),
        SyncChange::Changed => (t.code.changed, Tone::Motion),
        SyncChange::Removed => (t.code.removed, Tone::Warn),
    };
    let environment = match pipeline.environment_state {
        _ if pipeline.change == SyncChange::Removed => None,
        _ if !pipeline.valid => Some((t.code.broken, Tone::Bad)),
        EnvironmentState::Ready => Some((t.pipeline.env_ready, Tone::Good)),
        EnvironmentState::Failed => Some((t.pipeline.env_failed, Tone::Bad)),
        state => Some((t.environment(state), Tone::Quiet)),
    };
    html! {
        <tr data-testid="sync-pipeline" data-name={pipeline.name.clone()}>
            <td>
                <Link to={Route::Pipeline { name: pipeline.name.clone() }} classes="link">{&pipeline.name}</Link>
                if let Some(why) = pipeline.problem.as_ref().or(pipeline.environment_error.as_ref()) {
                    <p class="field-wrong">{why}</p>
                }
            </td>
            <td class="right nowrap">{tag(change, tone)}{" "}{environment.map(|(text, tone)| tag(text, tone))}</td>
        </tr>
    }
}

/// Props of [`Log`].
#[derive(Properties, PartialEq)]
struct LogProps {
    running: bool,
    last: Option<DateTime<Utc>>,
}

/// The log; a sync that begins has a new one, and so has one that was over before anybody saw it run.
#[component]
fn Log(props: &LogProps) -> Html {
    let t = use_text();
    let text = use_mut_ref(String::new);
    let redraw = use_force_update();
    let cell = text.clone();
    use_effect_with((props.running, props.last), move |_| {
        let fresh = cell.clone();
        let stream = Stream::open(Plan {
            url: Box::new(move || {
                // Each connection tells it from its beginning.
                fresh.borrow_mut().clear();
                routes::SYNC_LOG_STREAM.to_owned()
            }),
            events: &[events::LINES, events::END, events::RECONNECT],
            last: Some(events::END),
            on_event: Box::new(move |_, data| {
                let event: Option<SyncLogLines> = payload(&data);
                for line in event.into_iter().flat_map(|event| event.lines) {
                    let mut text = cell.borrow_mut();
                    text.push_str(&line.text);
                    text.push('\n');
                }
                redraw.force_update();
            }),
            on_link: Box::new(|_| {}),
        });
        move || drop(stream)
    });
    let text = text.borrow();
    html! {
        <section>
            <header class="list-head"><h2>{t.code.log}</h2></header>
            <pre class="error-text" data-testid="sync-log" tabindex="0">{if text.is_empty() { t.code.none } else { text.as_str() }}</pre>
        </section>
    }
}
