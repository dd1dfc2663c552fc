//! All pipelines: what there is, how it is, and what to do with many of them.

use yew::prelude::*;

use crate::hooks::{TabState, use_pipelines, use_tab};
use crate::text::use_text;
use crate::ui::icon::Icon;
use crate::ui::view::{Empty, view};

use super::dash_now::Sync;
use super::pipeline_list::PipelineList;

/// The page.
#[component]
pub fn Pipelines() -> Html {
    let t = use_text();
    use_tab(t.nav.pipelines.to_owned(), TabState::Plain);
    let pipelines = use_pipelines();
    html! {
        <div class="page" data-testid="pipelines-page">
            <header class="page-head">
                <h1>{t.nav.pipelines}</h1>
                <Sync />
            </header>
            <section aria-labelledby="pipelines-title">
                {view(&pipelines.load, 8, &pipelines.reload, |list| if list.is_empty() {
                    html! { <Empty icon={Icon::Package} title={t.dash.empty_title} hint={t.dash.empty_lead} /> }
                } else {
                    html! { <PipelineList list={list.clone()} bulk=true onchange={pipelines.reload.clone()} /> }
                })}
            </section>
        </div>
    }
}
