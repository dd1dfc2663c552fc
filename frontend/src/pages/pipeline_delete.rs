//! Deleting a pipeline: what goes with it is said before, and its name is to be typed.

use fastflow_shared::Role;
use yew::prelude::*;

use crate::api;
use crate::hooks::{use_action, use_load};
use crate::logic::load::Load;
use crate::providers::dialogs::use_ask;
use crate::providers::session::use_session;
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::use_navigator;
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::confirm::Question;

use super::pipeline_tabs::TabProps;

/// The card; only admins see it.
#[component]
pub fn Delete(props: &TabProps) -> Html {
    let admin = use_session().user().is_some_and(|user| user.role == Role::Admin);
    if admin {
        html! { <Card pipeline={props.pipeline.clone()} /> }
    } else {
        html! {}
    }
}

#[component]
fn Card(props: &TabProps) -> Html {
    let t = use_text();
    let (ask, toaster, navigator) = (use_ask(), use_toaster(), use_navigator());
    let pipeline = &props.pipeline;
    let jobs = use_load(pipeline.name.clone(), api::jobs_of);
    let status = use_load((), |()| api::sync_status());
    let done = Callback::from(move |()| {
        toaster.good(t.pipeline.deleted);
        navigator.as_ref().inspect(|navigator| navigator.push(&Route::Dashboard));
    });
    let delete = use_action(api::delete_pipeline, done);
    let (Load::Ready(jobs), Load::Ready(status)) = (&jobs.load, &status.load) else { return html! {} };
    let own: Vec<String> =
        jobs.iter().map(|job| job.name.clone().unwrap_or_else(|| t.say(&job.sentence).to_string())).collect();
    let lead = t.goes(pipeline.running + pipeline.queued, &own);
    let question = Question {
        title: t.vault.delete_title(&pipeline.name).into(),
        lead: lead.into(),
        yes: t.pipeline.delete.into(),
        name: Some(pipeline.name.clone().into()),
        ..Question::default()
    };
    let onclick = question.before(&ask, &delete.go, &pipeline.name);
    html! {
        <section class="card panel" data-testid="delete-card">
            <h2>{t.pipeline.delete}</h2>
            if status.source == "git" {
                <p class="faint small">{t.pipeline.delete_in_repository}</p>
            } else {
                <p class="faint small">{t.pipeline.delete_hint}</p>
                <p><Button text={t.pipeline.delete} look={Look::Danger} busy={delete.busy} {onclick} testid="delete-pipeline" /></p>
            }
        </section>
    }
}
