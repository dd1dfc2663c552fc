//! The first page: what is going on, and every pipeline with its health at a glance.

use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_action, use_pipelines, use_tab};
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::icon::Icon;
use crate::ui::view::view;

use super::dash_now::{Now, Sync};
use super::dash_past::{Failures, Year};
use super::pipeline_list::PipelineList;

/// The dashboard.
#[component]
pub fn Dashboard() -> Html {
    let t = use_text();
    use_tab(t.dash.title.to_owned(), TabState::Plain);
    let pipelines = use_pipelines();
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
                    html! { <PipelineList list={list.clone()} onchange={pipelines.reload.clone()} /> }
                })}
            </section>
            <Year />
        </div>
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
                <Button text={if sync.busy { t.dash.syncing } else { t.dash.sync }} icon={Icon::Refresh} look={Look::Primary} busy={sync.busy} onclick={sync.go} testid="sync" />
            </div>
            <pre aria-hidden="true"><b>{"pipelines/"}</b>{"\n└── "}<b>{"hello/"}</b>{"\n    ├── main.py\n    ├── requirements.txt\n    └── pipeline.json\n\n"}<i>{"# main.py"}</i>{"\nprint(\"Hello from a fresh container\")"}</pre>
        </div>
    }
}
