//! The first page: what is going on, and every pipeline with its health at a glance.

use std::rc::Rc;

use fastflow_shared::Pipeline;
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_action, use_live, use_load, use_tab};
use crate::logic::fold::lower;
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::field::typed;
use crate::ui::icon::{Icon, glyph};
use crate::ui::view::{Empty, view};

use super::dash_now::{Now, Sync};
use super::dash_past::{Failures, Year};
use super::pipeline_row::PipelineRow;

/// Up to this many pipelines a filter is only in the way.
const FEW: usize = 4;

async fn all() -> Result<Vec<Rc<Pipeline>>, crate::logic::fault::Fault> {
    Ok(api::pipelines().await?.into_iter().map(Rc::new).collect())
}

/// The dashboard.
#[component]
pub fn Dashboard() -> Html {
    let t = use_text();
    use_tab(t.dash.title.to_owned(), TabState::Plain);
    let pipelines = use_load((), |()| api::Ask::of(all()));
    use_live((), |_| true, pipelines.reload.clone());
    html! {
        <div class="page">
            <header class="page-head">
                <h1>{t.dash.title}</h1>
                <Sync />
            </header>
            <Now />
            <Failures />
            <section aria-labelledby="pipelines-title">
                {view(&pipelines.load, 6, &pipelines.reload, |list| if list.is_empty() {
                    html! { <FirstVisit ondone={pipelines.reload.clone()} /> }
                } else {
                    html! { <List list={list.clone()} onchange={pipelines.reload.clone()} /> }
                })}
            </section>
            <Year />
        </div>
    }
}

/// Props of [`List`].
#[derive(Properties, PartialEq)]
struct ListProps {
    list: Rc<Vec<Rc<Pipeline>>>,
    onchange: Callback<()>,
}

#[component]
fn List(props: &ListProps) -> Html {
    let t = use_text();
    let needle = use_state_eq(String::new);
    let tag = use_state_eq(|| None::<String>);
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
        found && tag.as_ref().is_none_or(|tag| pipeline.tags.contains(tag))
    };
    let shown: Vec<&Rc<Pipeline>> = props.list.iter().filter(|pipeline| fits(pipeline)).collect();
    let set = needle.setter();
    let chip = |value: Option<String>, text: String| {
        let (set, on, mine) = (tag.setter(), *tag == value, value);
        html! {
            <button type="button" class="chip" aria-pressed={if on { "true" } else { "false" }}
                onclick={Callback::from(move |_: MouseEvent| set.set(mine.clone()))}>{text}</button>
        }
    };
    html! {
        <>
            <header class="list-head">
                <h2 id="pipelines-title">{t.dash.pipelines}<span class="count num">{props.list.len()}</span></h2>
                if !tags.is_empty() {
                    <div class="chips" role="group" aria-label={t.pipeline.tags}>
                        {chip(None, t.dash.all_tags.to_owned())}
                        {for tags.into_iter().map(|tag| chip(Some(tag.clone()), tag.clone()))}
                    </div>
                }
                if props.list.len() > FEW {
                    <div class="filter">
                        {glyph(Icon::Search)}
                        <input id="filter" type="search" class="bare" placeholder={t.dash.filter} aria-label={t.dash.filter} value={(*needle).clone()}
                            oninput={move |event: InputEvent| set.set(typed(&event))} autocomplete="off" data-testid="filter" />
                        <kbd>{"/"}</kbd>
                    </div>
                }
            </header>
            if shown.is_empty() {
                <Empty icon={Icon::Search} title={t.dash.no_match} />
            } else {
                <ul class="card prows" data-testid="pipelines">
                    {for shown.into_iter().map(|pipeline| html! {
                        <PipelineRow key={pipeline.name.clone()} pipeline={pipeline.clone()} onchange={props.onchange.clone()} />
                    })}
                </ul>
            }
        </>
    }
}

/// Props of [`FirstVisit`].
#[derive(Properties, PartialEq)]
struct FirstVisitProps {
    ondone: Callback<()>,
}

/// What to do when there is nothing yet.
#[component]
fn FirstVisit(props: &FirstVisitProps) -> Html {
    let t = use_text();
    let done = props.ondone.reform(|_| ());
    let sync = use_action(|()| api::sync(), done);
    html! {
        <div class="first" data-testid="first-visit">
            <div>
                <h2 id="pipelines-title">{t.dash.empty_title}</h2>
                <p>{t.dash.empty_lead}</p>
                <ol>
                    <li>{t.dash.empty_step1}</li>
                    <li>{t.dash.empty_step2}</li>
                    <li>{t.dash.empty_step3}</li>
                </ol>
                <Button text={if sync.busy { t.dash.syncing } else { t.dash.sync }} icon={Icon::Refresh} look={Look::Primary} busy={sync.busy} onclick={sync.go} />
            </div>
            <pre aria-hidden="true"><b>{"pipelines/"}</b>{"\n└── "}<b>{"hello/"}</b>{"\n    ├── main.py\n    ├── requirements.txt\n    └── pipeline.json\n\n"}<i>{"# main.py"}</i>{"\nprint(\"Hello from a fresh container\")"}</pre>
        </div>
    }
}
