//! Everything else that is known of a run.

use std::rc::Rc;

use fastflow_shared::{Run, RunStatus};
use yew::prelude::*;

use crate::api;
use crate::hooks::{use_again, use_load};
use crate::logic::outcome::Tone;
use crate::logic::time::clock;
use crate::text::{Texts, use_text};
use crate::ui::badge::tag;
use crate::ui::icon::{Icon, glyph};

/// Milliseconds between two looks at a run's health.
const HEALTH_EVERY: u32 = 15_000;

/// Props of [`RunSide`].
#[derive(Properties, PartialEq)]
pub struct RunSideProps {
    /// The run.
    pub run: Rc<Run>,
}

fn source(t: &Texts, source: &str) -> (&'static str, Tone) {
    match source {
        "secret" => (t.run.source_secret, Tone::Warn),
        "encrypted_env" => ("encrypted_env", Tone::Warn),
        "parameter" => (t.run.source_parameter, Tone::Motion),
        "start" => (t.run.source_start, Tone::Good),
        _ => (t.run.source_default, Tone::Quiet),
    }
}

fn with_soft(hard: Option<String>, soft: Option<String>, t: &Texts) -> String {
    let hard = hard.unwrap_or_else(|| t.run.no_limit.to_owned());
    soft.map_or_else(|| hard.clone(), |soft| format!("{hard} ({} {soft})", t.pipeline.soft))
}

/// Seconds without output that are worth a word.
const SILENT: f64 = 60.0;

/// What the watchdog says, when it is worth a word.
#[component]
fn Health(props: &RunSideProps) -> Html {
    let t = use_text();
    let id = props.run.id.clone();
    let health = use_load(id, api::run_health);
    use_again(Some(HEALTH_EVERY), health.reload.clone());
    let Some(health) = health.load.data() else { return html! {} };
    let silent = health.silent_seconds.filter(|seconds| *seconds >= SILENT || health.verdict == "silent");
    let unwell = matches!(health.verdict.as_str(), "unhealthy" | "vanished");
    html! {
        <>
            if let Some(seconds) = silent {
                <p class="hint-line tone-warn" role="status">{glyph(Icon::Clock)}{t.run.silent}{" "}{clock(seconds)}</p>
            }
            if unwell {
                <p class="hint-line tone-bad" role="status">{glyph(Icon::Alert)}{t.status.unhealthy}
                    {health.container_health.as_ref().map(|text| format!(": {text}"))}</p>
            }
        </>
    }
}

/// The panels beside the log.
#[component]
pub fn RunSide(props: &RunSideProps) -> Html {
    let t = use_text();
    let run = &props.run;
    let cores = |value: Option<f64>| value.map(|cores| format!("{} {}", t.decimal(cores), t.run.cores));
    let size = |value: Option<i64>| value.map(|bytes| t.bytes(bytes as f64));
    let setup = match run.setup_duration {
        Some(seconds) if seconds < 0.001 => Some(t.run.cached_environment.to_owned()),
        other => other.map(|seconds| t.duration(seconds)),
    };
    let facts: [(&str, Option<String>, bool); 9] = [
        (t.run.cpu, Some(with_soft(cores(run.cpu_limit), cores(run.cpu_soft_limit), t)), false),
        (t.run.memory, Some(with_soft(size(run.memory_limit), size(run.memory_soft_limit), t)), false),
        (
            t.run.timeout,
            Some(
                run.timeout_seconds.filter(|s| *s > 0).map_or_else(|| t.run.no_limit.to_owned(), |s| t.span(s as f64)),
            ),
            false,
        ),
        (t.run.setup, setup, false),
        (t.run.environment, run.environment.clone(), true),
        (t.run.uv, run.uv_version.clone(), true),
        (t.run.image, run.image.clone(), true),
        (t.run.log_size, size(run.log_bytes), false),
        (t.run.created, Some(t.exact(run.created_at)), false),
    ];
    html! {
        <>
            if run.status == RunStatus::Running {
                <Health run={run.clone()} />
            }
            <section class="card panel">
                <h2>{t.run.parameters}</h2>
                if run.parameters.is_empty() {
                    <p class="faint small">{t.run.no_parameters}</p>
                } else {
                    <dl class="pairs-list mono">
                        {for run.parameters.iter().map(|(key, value)| html! { <div><dt>{key}</dt><dd>{value}</dd></div> })}
                    </dl>
                }
            </section>
            if !run.env_names.is_empty() {
                <section class="card panel">
                    <h2>{t.run.variables}</h2>
                    <p class="faint small">{t.run.variables_hint}</p>
                    <ul class="names">
                        {for run.env_names.iter().map(|name| {
                            let (text, tone) = source(t, &name.source);
                            html! { <li><code title={name.value.clone()}>{&name.name}{name.value.as_ref().map(|value| format!("={value}"))}</code>{tag(text, tone)}</li> }
                        })}
                    </ul>
                </section>
            }
            <section class="card panel">
                <h2>{t.run.details}</h2>
                <dl class="facts">
                    {for facts.into_iter().filter_map(|(name, value, mono)| value.map(|value| html! {
                        <div><dt>{name}</dt><dd class={classes!(mono.then_some("mono"), "num")} title={value.clone()}>{value}</dd></div>
                    }))}
                </dl>
            </section>
        </>
    }
}
