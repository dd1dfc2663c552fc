//! A pipeline's sealed environment: what is in it, where it came from, and why there is none.

use fastflow_shared::{EnvironmentState, PipelineEnvironment};
use yew::prelude::*;

use crate::api;
use crate::hooks::use_load;
use crate::logic::format::short_commit;
use crate::logic::load::Load;
use crate::text::{Texts, use_text};
use crate::ui::time::Ago;
use crate::ui::view::FaultNotice;

use super::pipeline_row::environment_tone;
use super::pipeline_tabs::TabProps;

/// The card.
#[component]
pub fn Environment(props: &TabProps) -> Html {
    let t = use_text();
    let pipeline = &props.pipeline;
    // Asked again when the list says that it has changed.
    let key = (pipeline.name.clone(), pipeline.environment_state, pipeline.last_cache_warmup, pipeline.commit.clone());
    let loaded = use_load(key, |(name, ..)| api::environment(name));
    let known = match &loaded.load {
        Load::Ready(known) | Load::Failed(_, Some(known)) => Some(known.clone()),
        _ => None,
    };
    let state = known.as_ref().map_or(pipeline.environment_state, |known| known.state);
    let error = known.as_ref().and_then(|known| known.error.clone()).or_else(|| pipeline.environment_error.clone());
    html! {
        <section class="card panel" data-testid="environment">
            <h2>{t.pipeline.environment}</h2>
            <p><span class={classes!("fact", environment_tone(state).class())}><i></i>{t.environment(state)}</span></p>
            if state == EnvironmentState::Failed {
                if let Some(error) = error {
                    <pre class="error-text" data-testid="environment-error">{error}</pre>
                }
            }
            if let Load::Failed(fault, None) = &loaded.load {
                <FaultNotice fault={fault.clone()} />
            }
            <dl class="facts">
                if let Some(known) = &known {
                    {facts(t, known)}
                }
                if let Some(commit) = &pipeline.commit {
                    <div><dt>{t.pipeline.commit}</dt><dd class="mono">{short_commit(commit)}</dd></div>
                }
                <div><dt>{t.pipeline.discovered}</dt><dd><Ago at={pipeline.discovered_at} /></dd></div>
            </dl>
            if let Some(known) = known.filter(|known| !known.packages.is_empty()) {
                <details class="chart-table" data-testid="packages">
                    <summary>{t.pipeline.packages}{" ("}{known.packages.len()}{")"}</summary>
                    <dl class="pairs-list mono">
                        {for known.packages.iter().map(|package| html! {
                            <div>
                                <dt>{&package.name}</dt>
                                <dd>{package.version.as_deref().unwrap_or("–")}
                                    if package.built {
                                        <span class="faint">{" "}{t.pipeline.from_source}</span>
                                    }
                                </dd>
                            </div>
                        })}
                    </dl>
                </details>
            }
        </section>
    }
}

fn facts(t: &'static Texts, known: &PipelineEnvironment) -> Html {
    let plain = known.named_by.is_none() && known.state != EnvironmentState::Failed;
    let link_mode = known.link_mode.as_deref().map(|mode| match mode {
        "hardlink" => t.pipeline.linked,
        "copy" => t.pipeline.copied,
        _ => t.pipeline.none,
    });
    let took = known.build_seconds.map(|seconds| t.duration(seconds));
    let size = known.size_bytes.map(|bytes| t.bytes(bytes as f64));
    let texts = [
        (t.pipeline.named_by, known.named_by.clone().or_else(|| plain.then(|| t.pipeline.none.to_owned()))),
        ("Python", known.python_version.clone()),
        ("uv", known.uv_version.clone()),
        (t.pipeline.size, size),
        (t.pipeline.link_mode, link_mode.map(str::to_owned)),
        (t.pipeline.build_took, took),
    ];
    let times = [(t.pipeline.built, known.built_at), (t.people.last_used, known.last_used_at)];
    html! {
        <>
            {for texts.into_iter().filter_map(|(name, text)| text.map(|text| html! { <div><dt>{name}</dt><dd class="num">{text}</dd></div> }))}
            {for times.into_iter().filter_map(|(name, at)| at.map(|at| html! { <div><dt>{name}</dt><dd><Ago {at} /></dd></div> }))}
            if let Some(key) = &known.key {
                <div><dt>{t.pipeline.env_key}</dt><dd class="mono" title={key.clone()} data-testid="environment-key">{short_commit(key)}</dd></div>
            }
        </>
    }
}
