//! What the page of a pipeline shows under its tabs.

use std::rc::Rc;

use fastflow_shared::{Pipeline, PipelineStats};
use yew::prelude::*;

use crate::api;
use crate::hooks::use_action;
use crate::logic::outcome::Outcome;
use crate::providers::dialogs::use_ask;
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::Link;
use crate::text::use_text;
use crate::ui::badge::badge;
use crate::ui::button::{Button, Look};
use crate::ui::confirm::Question;
use crate::ui::icon::{Icon, glyph};
use crate::ui::strip::Strip;
use crate::ui::time::{Ago, Took};

use super::pipeline_charts::Trends;
use super::pipeline_delete::Delete;
use super::pipeline_environment::Environment;
use super::pipeline_inputs::{Inputs, Schedules};

/// Runs listed on the overview.
const LATEST: usize = 8;

/// Props of the panels.
#[derive(Properties, PartialEq)]
pub struct TabProps {
    /// The pipeline.
    pub pipeline: Rc<Pipeline>,
    /// Told when it has been changed.
    #[prop_or_default]
    pub onchange: Callback<()>,
}

/// What is wrong with a pipeline's files, with the place.
#[component]
pub fn Problems(props: &TabProps) -> Html {
    let t = use_text();
    html! {
        <section class="card panel problems" data-testid="problems">
            <h2>{glyph(Icon::Alert)}{t.pipeline.problems}</h2>
            <p class="small">{t.pipeline.problem_lead}</p>
            <ul>
                {for props.pipeline.problems.iter().map(|problem| {
                    let place = match (problem.line, problem.column) {
                        (Some(line), Some(column)) => t.pipeline.at_column(&problem.file, line, column),
                        (Some(line), None) => t.pipeline.at(&problem.file, line),
                        _ => problem.file.clone(),
                    };
                    html! { <li><code>{place}</code><p>{&problem.message}</p></li> }
                })}
            </ul>
        </section>
    }
}

/// Health and latest runs.
#[component]
pub fn Overview(props: &TabProps) -> Html {
    let t = use_text();
    let pipeline = &props.pipeline;
    html! {
        <div class="split-grid">
            <div class="stack">
                <Stats pipeline={pipeline.clone()} onchange={props.onchange.clone()} />
                <section class="card">
                    <header class="card-head"><h2>{t.dash.latest}</h2></header>
                    if pipeline.latest_runs.is_empty() {
                        <p class="now-idle">{t.pipeline.no_runs}</p>
                    } else {
                        <div class="panel"><Strip runs={pipeline.latest_runs.clone()} /><Trends pipeline={pipeline.clone()} /></div>
                        <ul class="now-list">
                            {for pipeline.latest_runs.iter().take(LATEST).map(|run| html! {
                                <li key={run.id.clone()}>
                                    <Link to={Route::Run { id: run.id.clone() }} classes="latest-row">
                                        {badge(Outcome::of_summary(run), t)}
                                        <span class="right"><Took from={run.started_at} to={run.finished_at} /></span>
                                        <span class="right faint"><Ago at={run.started_at.unwrap_or(run.created_at)} /></span>
                                    </Link>
                                </li>
                            })}
                        </ul>
                    }
                </section>
            </div>
            <div class="stack">
                <Schedules pipeline={pipeline.clone()} />
                <Environment pipeline={pipeline.clone()} />
            </div>
        </div>
    }
}

#[component]
fn Stats(props: &TabProps) -> Html {
    let t = use_text();
    let toaster = use_toaster();
    let ask = use_ask();
    let change = props.onchange.clone();
    let done = Callback::from(move |_: PipelineStats| {
        toaster.good(t.pipeline.reset_done);
        change.emit(());
    });
    let reset = use_action(api::reset_stats, done);
    let pipeline = &props.pipeline;
    let stats = &pipeline.stats;
    let question = Question {
        title: t.pipeline.reset_title.into(),
        lead: t.pipeline.reset_lead.into(),
        yes: t.pipeline.reset.into(),
        name: Some(pipeline.name.clone().into()),
        ..Question::default()
    };
    let onreset = question.before(&ask, &reset.go, &pipeline.name);
    let time = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |seconds| t.duration(seconds));
    let figures = [
        (t.pipeline.rate, stats.success_rate.map_or_else(|| "–".to_owned(), |rate| t.percent(rate))),
        (t.pipeline.total, t.number(stats.total_runs)),
        (t.pipeline.failed, t.number(stats.failed_runs)),
        (t.pipeline.mean, time(stats.mean_duration_seconds)),
        (t.pipeline.p95, time(stats.p95_duration_seconds)),
    ];
    html! {
        <section class="card panel" data-testid="stats">
            <header class="panel-head">
                <h2>{t.pipeline.stats}
                    if let Some(at) = stats.reset_at {
                        <span class="faint">{" · "}{t.pipeline.since}{" "}<Ago {at} /></span>
                    }
                </h2>
                <Button text={t.pipeline.reset} small=true look={Look::Ghost} busy={reset.busy} disabled={stats.total_runs == 0} onclick={onreset} testid="reset-stats" />
            </header>
            <dl class="figures">
                {for figures.into_iter().map(|(name, value)| html! { <div><dt>{name}</dt><dd class="num">{value}</dd></div> })}
            </dl>
        </section>
    }
}

/// What `pipeline.json` says.
#[component]
pub fn Settings(props: &TabProps) -> Html {
    let t = use_text();
    let pipeline = &props.pipeline;
    let default = || t.pipeline.global_default.to_owned();
    let cores = |value: f64| format!("{} {}", t.decimal(value), t.run.cores);
    let size = |value: i64| t.bytes(value as f64);
    let soft = |value: Option<String>| value.map(|value| format!("{} {value}", t.pipeline.soft));
    let rows = [
        (t.pipeline.cpu, pipeline.cpu_hard_limit.map_or_else(default, cores), soft(pipeline.cpu_soft_limit.map(cores))),
        (
            t.pipeline.memory,
            pipeline.mem_hard_limit.map_or_else(default, size),
            soft(pipeline.mem_soft_limit.map(size)),
        ),
        (
            t.pipeline.timeout,
            pipeline
                .timeout
                .map_or_else(default, |s| if s == 0 { t.pipeline.none.to_owned() } else { t.span(s as f64) }),
            None,
        ),
        (t.pipeline.retries, pipeline.retry_attempts.map_or_else(default, |n| n.to_string()), None),
        (
            t.pipeline.tags,
            if pipeline.tags.is_empty() { t.pipeline.none.to_owned() } else { pipeline.tags.join(", ") },
            None,
        ),
    ];
    html! {
        <div class="split-grid">
            <section class="card panel">
                <h2>{"pipeline.json"}</h2>
                <p class="faint small">{t.pipeline.from_file}</p>
                <dl class="facts">
                    {for rows.into_iter().map(|(name, value, more)| html! {
                        <div><dt>{name}</dt><dd class="num">{value}<span class="faint">{more.map(|more| format!("  ({more})"))}</span></dd></div>
                    })}
                </dl>
            </section>
            <section class="card panel">
                <h2>{t.pipeline.variables}</h2>
                if pipeline.default_env.is_empty() {
                    <p class="faint small">{t.pipeline.no_variables}</p>
                } else {
                    <dl class="pairs-list mono">
                        {for pipeline.default_env.iter().map(|(key, value)| html! { <div><dt>{key}</dt><dd>{value}</dd></div> })}
                    </dl>
                }
            </section>
            <Inputs pipeline={pipeline.clone()} />
            <Delete pipeline={pipeline.clone()} />
        </div>
    }
}
