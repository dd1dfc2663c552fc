//! One pipeline: how it is doing, what it is set to, its runs.

use std::rc::Rc;

use fastflow_shared::Pipeline;
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_action, use_live, use_load, use_tab};
use crate::logic::load::Load;
use crate::logic::query::{self, RunFilter};
use crate::providers::dialogs::{StartForm, use_start_form};
use crate::route::Route;
use crate::router::{Link, use_location, use_navigator};
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::crumbs::Crumbs;
use crate::ui::icon::{Icon, glyph};
use crate::ui::view::view;

use super::lost::Lost;
use super::pipeline_row::PipelineSwitchButton;
use super::pipeline_source::Source;
use super::pipeline_tabs::{Overview, Problems, Settings};
use super::runs::RunList;

/// Props of [`PipelinePage`].
#[derive(Properties, PartialEq)]
pub struct PipelineProps {
    /// Its name.
    pub name: String,
}

/// The page.
#[component]
pub fn PipelinePage(props: &PipelineProps) -> Html {
    let t = use_text();
    use_tab(props.name.clone(), TabState::Plain);
    let pipeline = use_load(props.name.clone(), api::pipeline);
    let name = props.name.clone();
    use_live(
        name.clone(),
        move |event| event.pipeline_name.as_ref() == Some(&name) || event.id == name || event.kind == "sync",
        pipeline.reload.clone(),
    );
    if let Load::Failed(fault, None) = &pipeline.load
        && fault.status == 404
    {
        return html! { <Lost lead={t.lost.pipeline_lead} /> };
    }
    view(&pipeline.load, 8, &pipeline.reload, |data| {
        html! { <Body pipeline={data.clone()} onchange={pipeline.reload.clone()} /> }
    })
}

/// Props of [`Body`].
#[derive(Properties, PartialEq)]
struct BodyProps {
    pipeline: Rc<Pipeline>,
    onchange: Callback<()>,
}

#[component]
fn Body(props: &BodyProps) -> Html {
    let t = use_text();
    let pipeline = &props.pipeline;
    let navigator = use_navigator();
    let form = use_start_form();
    let query = use_location().map(|location| location.query_str().to_owned()).unwrap_or_default();
    let tab = query::get(&query, "tab").unwrap_or_default();
    let name = pipeline.name.clone();
    let started = Callback::from(move |run: fastflow_shared::Run| {
        navigator.as_ref().inspect(|navigator| navigator.push(&Route::Run { id: run.id }));
    });
    let start = use_action(|name| api::start_run(name, fastflow_shared::StartRun::default()), started);
    let with = {
        let data = StartForm::from(&**pipeline);
        Callback::from(move |()| form.emit(data.clone()))
    };
    // What must be given is asked for.
    let asks = pipeline.parameters.iter().any(|parameter| parameter.required);
    let run = if asks { with.clone() } else { start.go.reform(move |()| name.clone()) };
    let startable = pipeline.enabled && pipeline.valid;
    let tabs = [
        ("", t.pipeline.overview, true),
        ("runs", t.pipeline.runs, true),
        ("source", t.pipes.source, true),
        ("settings", t.pipeline.settings, true),
    ];
    let filter = RunFilter { pipeline: Some(pipeline.name.clone()), ..RunFilter::default() };
    html! {
        <div class="page" data-testid="pipeline-page">
            <Crumbs above={vec![(AttrValue::Static(t.nav.pipelines), Route::Pipelines)]} here={pipeline.name.clone()} />
            <header class="page-head">
                <div>
                    <h1>{&pipeline.name}</h1>
                    if let Some(description) = &pipeline.description {
                        <p class="page-lead">{description}</p>
                    }
                </div>
                <div class="prow-do">
                    <PipelineSwitchButton pipeline={pipeline.clone()} onchange={props.onchange.clone()} />
                    <div class="split">
                        <Button text={t.dash.run} icon={Icon::Play} look={Look::Primary} busy={start.busy} disabled={!startable} onclick={run} testid="run" />
                        <Button text={t.dash.run_with} icon={Icon::ChevronDown} icon_only=true look={Look::Primary} disabled={!startable} onclick={with} testid="run-with" />
                    </div>
                </div>
            </header>
            if !pipeline.enabled_in_repository {
                <div class="notice tone-warn">{glyph(Icon::Alert)}<span>{t.pipeline.repository_switch}</span></div>
            }
            if !pipeline.problems.is_empty() {
                <Problems pipeline={pipeline.clone()} />
            }
            <nav class="tabs" aria-label={pipeline.name.clone()}>
                {for tabs.into_iter().filter(|(_, _, shown)| *shown).map(|(key, text, _)| html! {
                    <Link to={Route::Pipeline { name: pipeline.name.clone() }} query={query::build(&[("tab", key.to_owned())])} current={tab == key}
                        testid={format!("tab-{key}")}>{text}</Link>
                })}
            </nav>
            {match tab.as_str() {
                "runs" => html! { <RunList {filter} with_pipeline=false /> },
                "source" => html! {
                    <Source pipeline={pipeline.name.clone()} commit={pipeline.commit.clone()} file={query::get(&query, "file")} />
                },
                "settings" => html! { <Settings pipeline={pipeline.clone()} /> },
                _ => html! { <Overview pipeline={pipeline.clone()} onchange={props.onchange.clone()} /> },
            }}
        </div>
    }
}
