//! One pipeline on the dashboard.

use std::rc::Rc;

use chrono::{DateTime, Utc};
use fastflow_shared::{EnvironmentState, Pipeline};
use yew::prelude::*;

use crate::api;
use crate::hooks::use_action;
use crate::logic::outcome::Tone;
use crate::providers::dialogs::{StartForm, use_start_form};
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::Link;
use crate::text::{Texts, use_text};
use crate::ui::badge::tag;
use crate::ui::button::Button;
use crate::ui::icon::{Icon, glyph};
use crate::ui::strip::Strip;
use crate::ui::switch::Switch;
use crate::ui::time::Ago;

use super::start::use_start;

/// Limits in a few words: `2 CPU · 512 MiB · 5m 00s`.
#[must_use]
pub fn limits(t: &Texts, cpu: Option<f64>, memory: Option<i64>, timeout: Option<i64>) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(cpu.map(|cores| format!("{} CPU", t.decimal(cores))));
    out.extend(memory.map(|bytes| t.bytes(bytes as f64)));
    out.extend(timeout.filter(|seconds| *seconds > 0).map(|seconds| t.span(seconds as f64)));
    out
}

/// Colour of an environment's state.
#[must_use]
pub const fn environment_tone(state: EnvironmentState) -> Tone {
    match state {
        EnvironmentState::Unknown => Tone::Quiet,
        EnvironmentState::Building => Tone::Motion,
        EnvironmentState::Ready => Tone::Good,
        EnvironmentState::Failed => Tone::Bad,
    }
}

/// Props of [`PipelineRow`].
#[derive(Properties, PartialEq)]
pub struct PipelineRowProps {
    /// The pipeline.
    pub pipeline: Rc<Pipeline>,
    /// When its next schedule is due.
    #[prop_or_default]
    pub next: Option<DateTime<Utc>>,
    /// Whether it is chosen.
    #[prop_or_default]
    pub on: bool,
    /// Told when it is chosen or no longer so; absent where nothing can be chosen.
    #[prop_or_default]
    pub onchoose: Option<Callback<Event>>,
    /// Told when it has been changed.
    pub onchange: Callback<()>,
}

/// The row.
#[component]
pub fn PipelineRow(props: &PipelineRowProps) -> Html {
    let t = use_text();
    let pipeline = &props.pipeline;
    let start = use_start();
    let form = use_start_form();
    let name = pipeline.name.clone();
    let with = {
        let form_data = StartForm::from(&**pipeline);
        Callback::from(move |()| form.emit(form_data.clone()))
    };
    // What must be given is asked for.
    let asks = pipeline.parameters.iter().any(|parameter| parameter.required);
    let run = if asks { with.clone() } else { start.go.reform(move |()| name.clone()) };
    let startable = pipeline.enabled && pipeline.valid;
    let to = Route::Pipeline { name: pipeline.name.clone() };
    let limits = limits(t, pipeline.cpu_hard_limit, pipeline.mem_hard_limit, pipeline.timeout);
    html! {
        <li class={classes!("prow", (!pipeline.enabled).then_some("is-off"))} data-testid="pipeline" data-name={pipeline.name.clone()}>
            <div class="prow-main">
                <h3>
                    if let Some(onchoose) = &props.onchoose {
                        <input type="checkbox" class="check" checked={props.on} onchange={onchoose.clone()} aria-label={t.pipes.choose(&pipeline.name)} data-testid="choose" />
                    }
                    <Link to={to.clone()} classes="prow-name">{&pipeline.name}</Link>
                    if pipeline.running > 0 || pipeline.queued > 0 {
                        {tag(t.active(pipeline.running, pipeline.queued), Tone::Motion)}
                    }
                    if !pipeline.valid {
                        <Link {to}><span title={pipeline.problems.first().map(|problem| AttrValue::from(problem.message.clone()))}>{tag(t.dash.invalid, Tone::Bad)}</span></Link>
                    }
                </h3>
                if let Some(description) = &pipeline.description {
                    <p class="prow-text">{description}</p>
                }
                <p class="prow-facts">
                    <span class={classes!("fact", environment_tone(pipeline.environment_state).class())}
                        title={pipeline.environment_error.clone()}><i></i>{t.pipeline.environment}{": "}{t.environment(pipeline.environment_state)}</span>
                    if let Some(at) = props.next {
                        <span class="fact" data-testid="next-fire">{glyph(Icon::Clock)}{t.pipes.next_fire}{" "}<Ago {at} /></span>
                    }
                    if !limits.is_empty() {
                        <span class="fact">{glyph(Icon::Cpu)}{limits.join(" · ")}</span>
                    }
                    {for pipeline.tags.iter().map(|name| tag(name.clone(), Tone::Quiet))}
                </p>
            </div>
            <div class="prow-history">
                if pipeline.latest_runs.is_empty() {
                    <span class="faint">{t.dash.never_ran}</span>
                } else {
                    <Strip runs={pipeline.latest_runs.clone()} />
                    <p class="prow-stats num">
                        <span title={t.dash.success_rate}>{pipeline.stats.success_rate.map(|rate| t.percent(rate))}</span>
                        <span class="faint" title={t.dash.mean}>{pipeline.stats.mean_duration_seconds.map(|mean| format!("⌀ {}", t.duration(mean)))}</span>
                    </p>
                }
            </div>
            <div class="prow-do">
                <PipelineSwitchButton pipeline={pipeline.clone()} onchange={props.onchange.clone()} />
                <div class="split">
                    <Button text={t.dash.run} icon={Icon::Play} busy={start.busy} disabled={!startable} onclick={run} testid="run" />
                    <Button text={t.dash.run_with} icon={Icon::ChevronDown} icon_only=true disabled={!startable} onclick={with} testid="run-with" />
                </div>
            </div>
        </li>
    }
}

/// The switch of a pipeline. What the repository switches off, nobody switches on here.
#[component]
pub fn PipelineSwitchButton(props: &PipelineRowProps) -> Html {
    let t = use_text();
    let toaster = use_toaster();
    let change = props.onchange.clone();
    let done = Callback::from(move |pipeline: Pipeline| {
        let title = if pipeline.enabled_by_operator { t.dash.switched_on } else { t.dash.switched_off };
        let back = api::switch_pipeline(pipeline.name.clone(), !pipeline.enabled_by_operator);
        toaster.good_undo(t, (title, pipeline.name), back.coming(), &change);
    });
    let action = use_action(|(name, on)| api::switch_pipeline(name, on), done);
    let pipeline = &props.pipeline;
    let name = pipeline.name.clone();
    let title = match (pipeline.enabled_in_repository, pipeline.enabled_by_operator) {
        (false, _) => t.dash.in_repository_off,
        (true, true) => t.dash.switch_off,
        (true, false) => t.dash.switch_on,
    };
    html! {
        <Switch on={pipeline.enabled} label={t.dash.switch_label(&pipeline.name)} {title} testid="switch"
            disabled={!pipeline.enabled_in_repository || action.busy} onchange={action.go.reform(move |on| (name.clone(), on))} />
    }
}
