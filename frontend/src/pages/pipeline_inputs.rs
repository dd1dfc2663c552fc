//! What comes to a pipeline from elsewhere: the schedules that start it, and what a run of it receives, by name.

use fastflow_shared::{Role, VaultEntry};
use yew::prelude::*;

use crate::api;
use crate::hooks::{use_live, use_load};
use crate::logic::outcome::Tone;
use crate::providers::session::use_session;
use crate::route::Route;
use crate::router::Link;
use crate::text::use_text;
use crate::ui::badge::tag;
use crate::ui::time::Ago;
use crate::ui::view::view;

use super::pipeline_tabs::TabProps;

/// The schedules of a pipeline.
#[component]
pub fn Schedules(props: &TabProps) -> Html {
    let t = use_text();
    let jobs = use_load(props.pipeline.name.clone(), api::jobs_of);
    use_live((), |event| ["sync", "job"].contains(&event.kind.as_str()), jobs.reload.clone());
    html! {
        <section class="card panel" data-testid="pipeline-schedules">
            <h2><Link to={Route::Jobs} classes="link">{t.jobs.title}</Link></h2>
            {view(&jobs.load, 2, &jobs.reload, |list| if list.is_empty() {
                html! { <p class="faint small">{t.jobs.empty}</p> }
            } else {
                html! {
                    <dl class="facts">
                        {for list.iter().map(|job| html! {
                            <div><dt>{t.say(&job.sentence)}</dt><dd class="nowrap">{
                                if job.paused { html! { {t.pipes.off} } } else { job.next_run_at.map_or_else(Html::default, |at| html! { <Ago {at} /> }) }
                            }</dd></div>
                        })}
                    </dl>
                }
            })}
        </section>
    }
}

/// What a run receives, by name: what it may be started with, and for those who may know, the vault's entries.
#[component]
pub fn Inputs(props: &TabProps) -> Html {
    let t = use_text();
    let knows = use_session().user().is_some_and(|user| user.role >= Role::Operator);
    let given = props.pipeline.parameters.iter().map(|parameter| (&parameter.name, t.run.source_start, Tone::Good));
    let given = given.chain(props.pipeline.encrypted_env.iter().map(|name| (name, "encrypted_env", Tone::Warn)));
    html! {
        <section class="card panel" data-testid="pipeline-inputs">
            <h2>{t.vault.title}</h2>
            <ul class="names">{for given.map(|(name, word, tone)| html! { <li><code>{name}</code>{tag(word, tone)}</li> })}</ul>
            if knows {
                <FromVault pipeline={props.pipeline.clone()} />
            }
        </section>
    }
}

#[component]
fn FromVault(props: &TabProps) -> Html {
    let t = use_text();
    let (name, asked) = (&props.pipeline.name, &props.pipeline.secrets);
    let entries = use_load((), |()| api::vault());
    view(&entries.load, 2, &entries.reload, |list| {
        // Both must agree: the entry, which may go to some pipelines only, and the pipeline, which may ask for some only.
        let comes = |entry: &&VaultEntry| {
            let wanted = !entry.is_secret || asked.as_ref().is_none_or(|asked| asked.contains(&entry.key));
            wanted && (entry.pipelines.is_empty() || entry.pipelines.contains(name))
        };
        // Without them no run starts.
        let missing = |key: &&String| !list.iter().any(|entry| entry.is_secret && entry.key == **key && comes(&entry));
        html! {
            <ul class="names">
                {for list.iter().filter(comes).map(|entry| {
                    let (word, tone) = if entry.is_secret { (t.vault.secret, Tone::Warn) } else { (t.vault.parameter, Tone::Motion) };
                    html! { <li><Link to={Route::Vault} classes="quiet-link"><code>{&entry.key}</code></Link>{tag(word, tone)}</li> }
                })}
                {for asked.iter().flatten().filter(missing).map(|key| html! {
                    <li data-testid="secret-missing"><code>{key}</code>{tag(t.pipes.missing, Tone::Bad)}</li>
                })}
            </ul>
        }
    })
}
