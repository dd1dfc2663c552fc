//! A run in one glance: what it is, how it stands and why, and what can be done.

use std::rc::Rc;

use fastflow_shared::{Phase, Run, WaitsFor};
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use crate::api;
use crate::browser;
use crate::hooks::use_action;
use crate::logic::outcome::{Outcome, Tone};
use crate::providers::dialogs::use_ask;
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::{Link, use_navigator};
use crate::text::{Texts, use_text};
use crate::ui::badge::{commit_link, disc};
use crate::ui::button::{Button, Look};
use crate::ui::confirm::Question;
use crate::ui::icon::{Icon, glyph};
use crate::ui::time::{Ago, Took};
use crate::ui::timeline::Timeline;

/// Props of [`RunHead`].
#[derive(Properties, PartialEq)]
pub struct RunHeadProps {
    /// The run.
    pub run: Rc<Run>,
    /// Takes what a write answered.
    pub put: Callback<Rc<Run>>,
}

/// The sentence under the state.
fn sentence(t: &Texts, run: &Run, outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Failed(_) => run.error_message.clone().or_else(|| run.exit_code.map(|code| t.run.exit(code))),
        Outcome::Success => Some(t.run.success_lead.to_owned()),
        Outcome::Interrupted => Some(t.run.interrupted_hint.to_owned()),
        Outcome::Stopping => Some(t.run.stopping_hint.to_owned()),
        Outcome::Queued => {
            run.queue_position.map(|n| if n == 1 { t.run.queue_next.to_owned() } else { t.run.queue_position(n) })
        }
        Outcome::Preparing | Outcome::Starting => run.waits_for.map(|what| {
            match what {
                WaitsFor::Installation => t.run.waits_installation,
                WaitsFor::SharedInstallation => t.run.waits_shared,
                WaitsFor::Docker => t.run.waits_docker,
            }
            .to_owned()
        }),
        _ => None,
    }
}

/// The head.
#[component]
pub fn RunHead(props: &RunHeadProps) -> Html {
    let t = use_text();
    let run = &props.run;
    let outcome = Outcome::of(run);
    let tone = outcome.tone();
    html! {
        <header class={classes!("run-head", tone.class())} data-testid="run-head" data-status={run.status.as_str()}>
            <div class="run-title">
                {disc(outcome)}
                <div>
                    <h1>{&run.pipeline_name}</h1>
                    <p class="run-verdict" role="status" aria-live="polite">
                        <strong data-testid="outcome">{t.outcome(outcome)}</strong>
                        if let Some(text) = sentence(t, run, outcome) {
                            <span data-testid="cause">{text}</span>
                        }
                        if let Some(code) = run.exit_code.filter(|code| *code != 0) {
                            <span class="tag tone-quiet num" data-testid="exit-code">{t.run.exit(code)}</span>
                        }
                    </p>
                </div>
                <Actions run={run.clone()} put={props.put.clone()} />
            </div>
            <Timeline warm={run.started_at.map(|_| run.warm_start)} created={run.created_at} started={run.started_at} finished={run.finished_at} setup={run.setup_duration}
                preparing={run.phase == Phase::Preparing} tone={if tone == Tone::Wait { Tone::Motion } else { tone }} />
            <dl class="run-facts">
                <div><dt>{t.runs.duration}</dt><dd data-testid="duration"><Took from={run.started_at} to={run.finished_at} ticking={outcome != Outcome::Interrupted} /></dd></div>
                <div><dt>{t.runs.started}</dt><dd>{run.started_at.map_or_else(|| html! { <span class="faint">{"–"}</span> }, |at| html! { <Ago {at} /> })}</dd></div>
                <div><dt>{t.runs.trigger}</dt><dd>{t.trigger(run.trigger)}
                    if let Some(by) = &run.triggered_by {
                        <span class="faint">{" "}{t.run.by(by)}</span>
                    }
                </dd></div>
                <div><dt>{t.run.attempt}</dt><dd class="num">{t.run.attempt_of(run.attempt, run.max_attempts.max(run.attempt))}
                    if let Some(id) = &run.retry_of {
                        <Link to={Route::Run { id: id.clone() }} classes="icon-link">{glyph(Icon::ChevronLeft)}<span class="sr">{t.run.previous}</span></Link>
                    }
                    if let Some(id) = &run.retried_by {
                        <Link to={Route::Run { id: id.clone() }} classes="icon-link">{glyph(Icon::ChevronRight)}<span class="sr">{t.run.next}</span></Link>
                    }
                </dd></div>
                if let Some(commit) = &run.commit {
                    <div class="wide"><dt>{t.run.commit}</dt><dd title={run.commit_author.clone()}>
                        {commit_link(commit, run.commit_url.as_ref())}
                        if let Some(subject) = &run.commit_subject {
                            {" "}{subject}
                        }
                    </dd></div>
                }
                if let Some(at) = run.not_before.filter(|_| outcome == Outcome::Waiting) {
                    <div><dt>{t.run.due}</dt><dd><Ago {at} /></dd></div>
                }
            </dl>
        </header>
    }
}

#[component]
fn Actions(props: &RunHeadProps) -> Html {
    let t = use_text();
    let toaster = use_toaster();
    let navigator = use_navigator();
    let ask = use_ask();
    let run = &props.run;
    let put = props.put.clone();
    let cancelled = Callback::from(move |run: Run| {
        toaster.good(t.run.cancelled_toast);
        put.emit(Rc::new(run));
    });
    let cancel = use_action(api::cancel_run, cancelled);
    let follow = Callback::from(move |run: Run| {
        navigator.as_ref().inspect(|navigator| navigator.push(&Route::Run { id: run.id }));
    });
    let again = use_action(api::run_again, follow.clone());
    let retry = use_action(api::retry_run, follow);
    let id = run.id.clone();
    let on_cancel = {
        let (go, id) = (cancel.go.clone(), id.clone());
        Callback::from(move |()| {
            let then = go.reform({
                let id = id.clone();
                move |()| id.clone()
            });
            ask.emit(Question {
                title: t.run.cancel_title.into(),
                lead: t.run.cancel_lead.into(),
                yes: t.run.cancel.into(),
                no: Some(t.run.cancel_keep.into()),
                name: None,
                then,
            });
        })
    };
    let told = use_state_eq(|| false);
    // Said once, when a run ends of which somebody wanted to hear.
    let news = format!("{} · {}", t.outcome(Outcome::of(run)), run.pipeline_name);
    use_effect_with(*told && run.status.is_final(), move |ended| {
        if *ended {
            browser::notify(&news);
        }
    });
    let on_tell = {
        let (told, toaster) = (told.clone(), use_toaster());
        Callback::from(move |()| {
            let (set, on, toaster) = (told.setter(), *told, toaster.clone());
            spawn_local(async move {
                let on = !on && browser::may_notify().await;
                if on {
                    toaster.good(t.run.notify_on);
                }
                set.set(on);
            });
        })
    };
    let failed = matches!(Outcome::of(run), Outcome::Failed(_));
    let (for_again, for_retry) = (id.clone(), id);
    html! {
        <div class="run-actions">
            if run.status.is_final() {
                if failed && run.retried_by.is_none() {
                    <Button text={t.run.retry} icon={Icon::Repeat} title={t.run.retry_hint} busy={retry.busy} testid="retry"
                        onclick={retry.go.reform(move |()| for_retry.clone())} />
                }
                <Button text={t.run.again} icon={Icon::Play} look={Look::Primary} title={t.run.again_hint} busy={again.busy} testid="rerun"
                    onclick={again.go.reform(move |()| for_again.clone())} />
            } else {
                <Button text={t.run.notify} icon={Icon::Bell} icon_only=true pressed={*told} onclick={on_tell} testid="notify" />
                <Button text={t.run.cancel} icon={Icon::Stop} busy={cancel.busy} disabled={run.cancel_requested} onclick={on_cancel} testid="cancel" />
            }
        </div>
    }
}
