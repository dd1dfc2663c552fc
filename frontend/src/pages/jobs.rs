//! Schedules: what starts by the clock, what it did, and what it will do.

use std::rc::Rc;

use fastflow_shared::{Firing, FiringStatus, Job, Run, TriggerType};
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_action, use_live, use_load, use_tab};
use crate::logic::outcome::{Outcome, Tone};
use crate::providers::dialogs::use_ask;
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::{Link, use_navigator};
use crate::text::{Texts, use_text};
use crate::ui::badge::{badge, tag};
use crate::ui::button::{Button, Look};
use crate::ui::confirm::Question;
use crate::ui::dialog::Dialog;
use crate::ui::icon::Icon;
use crate::ui::switch::Switch;
use crate::ui::time::Ago;
use crate::ui::view::{Empty, view};

use super::job_calendar::JobCalendar;
use super::job_form::JobForm;

/// Which dialog is open.
#[derive(Debug, Clone, PartialEq)]
enum Open {
    New,
    Change(Rc<Job>),
    History(Rc<Job>),
}

/// The page.
#[component]
pub fn Jobs() -> Html {
    let t = use_text();
    use_tab(t.jobs.title.to_owned(), TabState::Plain);
    let jobs = use_load((), |()| api::jobs());
    use_live((), |event| ["sync", "run", "job"].contains(&event.kind.as_str()), jobs.reload.clone());
    let open = use_state_eq(|| None::<Open>);
    let set = open.setter();
    let onopen = Callback::from(move |what: Option<Open>| set.set(what));
    let onclose = onopen.reform(|()| None);
    let add = html! {
        <Button text={t.jobs.new} icon={Icon::Plus} look={Look::Primary} onclick={onopen.reform(|()| Some(Open::New))} testid="job-new" />
    };
    html! {
        <div class="page">
            <header class="page-head"><div><h1>{t.jobs.title}</h1><p class="page-lead">{t.jobs.lead}</p></div>{add.clone()}</header>
            {view(&jobs.load, 5, &jobs.reload, |list| if list.is_empty() {
                html! { <Empty icon={Icon::Clock} title={t.jobs.empty} hint={t.jobs.empty_hint}>{add}</Empty> }
            } else {
                html! {
                    <>
                        <div class="card card-flush table-scroll">
                            <table class="table stacked" data-testid="jobs">
                                <thead><tr>
                                    <th scope="col">{t.jobs.pipeline}</th><th scope="col">{t.jobs.when}</th><th scope="col">{t.jobs.next}</th>
                                    <th scope="col">{t.jobs.last}</th><th scope="col">{t.jobs.state}</th>
                                    <th scope="col" class="right"><span class="sr">{t.common.actions}</span></th>
                                </tr></thead>
                                <tbody>{for list.iter().map(|job| html! {
                                    <JobRow key={job.id.clone()} job={Rc::new(job.clone())} onopen={onopen.clone()} onchange={jobs.reload.clone()} />
                                })}</tbody>
                            </table>
                        </div>
                        <JobCalendar />
                    </>
                }
            })}
            {match (*open).clone() {
                None => html! {},
                Some(Open::History(job)) => html! { <History {job} {onclose} /> },
                Some(Open::New) => html! { <JobForm {onclose} onsaved={jobs.reload.clone()} /> },
                Some(Open::Change(job)) => html! { <JobForm {job} {onclose} onsaved={jobs.reload.clone()} /> },
            }}
        </div>
    }
}

/// Props of [`JobRow`].
#[derive(Properties, PartialEq)]
struct JobRowProps {
    job: Rc<Job>,
    onopen: Callback<Option<Open>>,
    onchange: Callback<()>,
}

#[component]
fn JobRow(props: &JobRowProps) -> Html {
    let t = use_text();
    let ask = use_ask();
    let navigator = use_navigator();
    let job = &props.job;
    let id = job.id.clone();
    let (toaster, change) = (use_toaster(), props.onchange.clone());
    let switched = Callback::from(move |job: Job| {
        let title = if job.paused { t.dash.switched_off } else { t.dash.switched_on };
        toaster.good_undo(t, (title, job.pipeline_name), api::switch_job(job.id, job.paused).coming(), &change);
    });
    let switch = use_action(|(id, on)| api::switch_job(id, on), switched);
    let delete = use_action(api::delete_job, props.onchange.clone());
    let started = Callback::from(move |run: Run| {
        navigator.as_ref().inspect(|navigator| navigator.push(&Route::Run { id: run.id }));
    });
    let run = use_action(api::run_job, started);
    let none = || html! { <span class="faint">{"–"}</span> };
    let open = |what: fn(Rc<Job>) -> Open| {
        let job = job.clone();
        props.onopen.reform(move |()| Some(what(job.clone())))
    };
    let name = job.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| job.pipeline_name.clone());
    let question = Question {
        title: t.jobs.delete_title.into(),
        lead: t.jobs.delete_lead.into(),
        yes: t.vault.delete.into(),
        name: Some(name.into()),
        ..Question::default()
    };
    let ondelete = question.before(&ask, &delete.go, &id);
    let of_code = job.source == "repository";
    let switched = id.clone();
    html! {
        <tr data-testid="job">
            <td><Link to={Route::Pipeline { name: job.pipeline_name.clone() }} classes="quiet-link strong">{&job.pipeline_name}</Link>
                if let Some(name) = &job.name {
                    <span class="faint">{" "}{name}</span>
                }
                <p class="faint small">{if of_code { t.jobs.from_repository } else { t.jobs.from_api }}</p>
                if let Some(problem) = &job.problem {
                    <p class="field-wrong">{problem}</p>
                }
            </td>
            <td>{t.say(&job.sentence)}
                if job.trigger_type == TriggerType::Cron {
                    <p><code class="faint">{&job.trigger_value}</code></p>
                }
            </td>
            <td>{job.next_run_at.map_or_else(none, |at| html! { <Ago {at} /> })}</td>
            <td>{match (job.last_run_at, &job.last_run_id) {
                (Some(at), Some(id)) => html! { <Link to={Route::Run { id: id.clone() }} classes="link"><Ago {at} /></Link> },
                (Some(at), None) => html! { <Ago {at} /> },
                _ => none(),
            }}</td>
            <td><Switch on={!job.paused} label={t.jobs.state} testid="job-switch" onchange={switch.go.reform(move |on| (switched.clone(), on))} /></td>
            <td class="right row-actions">
                <Button text={t.dash.run} icon={Icon::Play} icon_only=true small=true look={Look::Ghost} busy={run.busy} testid="job-run" onclick={run.go.reform(move |()| id.clone())} />
                <Button text={t.jobs.history} icon={Icon::List} icon_only=true small=true look={Look::Ghost} testid="job-history" onclick={open(Open::History)} />
                if !of_code {
                    <Button text={t.vault.edit} icon={Icon::Pencil} icon_only=true small=true look={Look::Ghost} testid="job-edit" onclick={open(Open::Change)} />
                }
                if !of_code || job.problem.is_some() {
                    <Button text={t.vault.delete} icon={Icon::Trash} icon_only=true small=true look={Look::Ghost} testid="job-delete" onclick={ondelete} />
                }
            </td>
        </tr>
    }
}

/// Word and colour of what became of a due time.
pub fn firing_word(t: &'static Texts, firing: &Firing) -> (&'static str, Tone) {
    match firing.status {
        FiringStatus::Planned => (t.jobs.planned, Tone::Quiet),
        FiringStatus::Started => (t.jobs.started, Tone::Good),
        FiringStatus::ByHand => (t.run.by_hand, Tone::Good),
        FiringStatus::Waiting => (t.jobs.waits, Tone::Wait),
        FiringStatus::LeftOut => (t.jobs.left_out, Tone::Warn),
        FiringStatus::Failed => (t.jobs.failed, Tone::Bad),
    }
}

/// Props of [`History`].
#[derive(Properties, PartialEq)]
struct HistoryProps {
    job: Rc<Job>,
    onclose: Callback<()>,
}

/// What became of a job's due times.
#[component]
fn History(props: &HistoryProps) -> Html {
    let t = use_text();
    let page = use_load(props.job.id.clone(), api::job_firings);
    html! {
        <Dialog title={t.jobs.history} onclose={props.onclose.clone()} class="dialog-wide" testid="job-firings">
            <p class="dialog-lead">{t.say(&props.job.sentence)}</p>
            {view(&page.load, 5, &page.reload, |page| html! {
                <table class="table stacked"><tbody>
                    {for page.items.iter().map(|firing| {
                        let (word, tone) = firing_word(t, firing);
                        html! {
                            <tr key={firing.due_at.timestamp_millis()}>
                                <td class="num">{t.exact(firing.due_at)}</td>
                                <td>{tag(word, tone)}
                                    if firing.due_times > 1 {
                                        <span class="faint num">{format!(" ×{}", firing.due_times)}</span>
                                    }
                                </td>
                                <td>
                                    if let Some(run) = &firing.run {
                                        <Link to={Route::Run { id: run.id.clone() }} classes="link">{badge(Outcome::of_summary(run), t)}</Link>
                                    } else if let Some(reason) = &firing.reason {
                                        <span class="faint">{reason}</span>
                                    }
                                </td>
                            </tr>
                        }
                    })}
                </tbody></table>
            })}
        </Dialog>
    }
}
