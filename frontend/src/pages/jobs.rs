//! Schedules, as a list to read.

use fastflow_shared::Job;
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_live, use_load, use_tab};
use crate::logic::outcome::Tone;
use crate::route::Route;
use crate::router::Link;
use crate::text::{Texts, use_text};
use crate::ui::badge::tag;
use crate::ui::icon::Icon;
use crate::ui::time::Ago;
use crate::ui::view::{Empty, view};

fn when(t: &Texts, job: &Job) -> Html {
    let seconds =
        (job.trigger_type == "interval").then(|| job.trigger_value.parse::<i32>().ok().map(f64::from)).flatten();
    match seconds {
        Some(seconds) => html! { <>{t.jobs.every}{" "}<span class="num">{t.span(seconds)}</span></> },
        None => html! { <code>{&job.trigger_value}</code> },
    }
}

/// The page.
#[component]
pub fn Jobs() -> Html {
    let t = use_text();
    use_tab(t.jobs.title.to_owned(), TabState::Plain);
    let jobs = use_load((), |()| api::jobs());
    use_live((), |event| event.kind == "sync" || event.kind == "run", jobs.reload.clone());
    html! {
        <div class="page">
            <header class="page-head"><div><h1>{t.jobs.title}</h1><p class="page-lead">{t.jobs.lead}</p></div></header>
            {view(&jobs.load, 5, &jobs.reload, |list| if list.is_empty() {
                html! { <Empty icon={Icon::Clock} title={t.jobs.empty} hint={t.jobs.empty_hint} /> }
            } else {
                html! {
                    <div class="card card-flush table-scroll">
                        <table class="table stacked" data-testid="jobs">
                            <thead><tr>
                                <th scope="col">{t.jobs.pipeline}</th><th scope="col">{t.jobs.when}</th><th scope="col">{t.jobs.next}</th>
                                <th scope="col">{t.jobs.last}</th><th scope="col">{t.jobs.source}</th><th scope="col">{t.jobs.state}</th>
                            </tr></thead>
                            <tbody>{for list.iter().map(|job| html! { <JobRow key={job.id.clone()} job={job.clone()} /> })}</tbody>
                        </table>
                    </div>
                }
            })}
        </div>
    }
}

/// Props of [`JobRow`].
#[derive(Properties, PartialEq)]
struct JobRowProps {
    job: Job,
}

#[component]
fn JobRow(props: &JobRowProps) -> Html {
    let t = use_text();
    let job = &props.job;
    let none = || html! { <span class="faint">{"–"}</span> };
    html! {
        <tr data-testid="job">
            <td><Link to={Route::Pipeline { name: job.pipeline_name.clone() }} classes="quiet-link strong">{&job.pipeline_name}</Link>
                if let Some(problem) = &job.problem {
                    <p class="field-wrong">{problem}</p>
                }
            </td>
            <td>{when(t, job)}</td>
            <td>{job.next_run_at.map_or_else(none, |at| html! { <Ago {at} /> })}</td>
            <td>{match (job.last_run_at, &job.last_run_id) {
                (Some(at), Some(id)) => html! { <Link to={Route::Run { id: id.clone() }} classes="link"><Ago {at} /></Link> },
                (Some(at), None) => html! { <Ago {at} /> },
                _ => none(),
            }}</td>
            <td class="faint">{if job.source == "repository" { t.jobs.from_repository } else { t.jobs.from_api }}</td>
            <td>{tag(if job.enabled { t.jobs.on } else { t.jobs.off }, if job.enabled { Tone::Good } else { Tone::Quiet })}</td>
        </tr>
    }
}
