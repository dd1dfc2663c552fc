//! All pipelines: what there is, how it is, and what to do with many of them.

use std::rc::Rc;

use fastflow_shared::Pipeline;
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_live, use_load, use_tab};
use crate::logic::fault::Fault;
use crate::text::use_text;
use crate::ui::icon::Icon;
use crate::ui::view::{Empty, view};

use super::dash_now::Sync;
use super::pipeline_list::PipelineList;

/// All pipelines, each to be handed on without a copy.
///
/// # Errors
/// As the server says.
pub async fn all() -> Result<Vec<Rc<Pipeline>>, Fault> {
    Ok(api::pipelines().await?.into_iter().map(Rc::new).collect())
}

/// The page.
#[component]
pub fn Pipelines() -> Html {
    let t = use_text();
    use_tab(t.nav.pipelines.to_owned(), TabState::Plain);
    let pipelines = use_load((), |()| api::Ask::of(all()));
    use_live((), |_| true, pipelines.reload.clone());
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
