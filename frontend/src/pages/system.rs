//! The server itself: whether it can work, where its code comes from, and what it does by itself.

use fastflow_shared::{Check, Chore, Role};
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_again, use_live, use_load, use_tab};
use crate::logic::format::short_commit;
use crate::logic::outcome::Tone;
use crate::providers::session::use_session;
use crate::route::Route;
use crate::router::Link;
use crate::text::{Texts, use_text};
use crate::ui::icon::{Icon, glyph};
use crate::ui::time::Ago;
use crate::ui::view::{Empty, view};

/// Milliseconds between two looks: chores and checks have no event of their own.
const EVERY: u32 = 10_000;

fn check_name(t: &Texts, check: &Check) -> String {
    match check.name.as_str() {
        "database" => t.system.database.to_owned(),
        "docker" => t.system.docker.to_owned(),
        "disk" => t.system.disk.to_owned(),
        "logs" => t.keep.logs.to_owned(),
        "environments" => t.keep.environments.to_owned(),
        other => other.to_owned(),
    }
}

/// The page.
#[component]
pub fn System() -> Html {
    let t = use_text();
    use_tab(t.system.title.to_owned(), TabState::Plain);
    let admin = use_session().user().is_some_and(|user| user.role == Role::Admin);
    let ready = use_load((), |()| api::readiness());
    let chores = use_load((), |()| api::chores());
    let overview = use_load((), |()| api::overview());
    let sync = use_load((), |()| api::sync_status());
    let all = [ready.reload.clone(), chores.reload.clone(), overview.reload.clone()];
    use_live((), |event| event.kind == "docker", ready.reload.clone());
    use_live((), |event| event.kind == "sync", sync.reload.clone());
    let again = use_callback((), move |(), ()| all.iter().for_each(|reload| reload.emit(())));
    use_again(Some(EVERY), again);
    html! {
        <div class="page">
            <header class="page-head">
                <h1>{t.system.title}</h1>
                <div class="row-actions">
                    <Link to={Route::Storage} classes="btn">{glyph(Icon::Package)}<span>{t.keep.storage}</span></Link>
                    if admin { <Link to={Route::Settings} classes="btn">{glyph(Icon::Pencil)}<span>{t.keep.settings}</span></Link> }
                </div>
            </header>
            {view(&ready.load, 2, &ready.reload, |ready| html! {
                <section class="card panel" data-testid="readiness" data-ready={ready.ready.to_string()}>
                    <h2 class={classes!("verdict", if ready.ready { Tone::Good.class() } else { Tone::Bad.class() })}>
                        <span class="disc">{glyph(if ready.ready { Icon::Check } else { Icon::Cross })}</span>
                        {if ready.ready { t.system.ready } else { t.system.not_ready }}
                    </h2>
                    <ul class="checks">
                        {for ready.checks.iter().map(|check| {
                            let tone = if check.ok { Tone::Good } else { Tone::Bad };
                            html! {
                                <li class={tone.class()}>
                                    <span class="disc">{glyph(if check.ok { Icon::Check } else { Icon::Cross })}</span>
                                    <strong>{check_name(t, check)}</strong><span class="faint">{&check.detail}</span>
                                </li>
                            }
                        })}
                    </ul>
                </section>
            })}
            <div class="split-grid even">
                <section class="card panel">
                    <h2>{t.system.about}</h2>
                    <p class="faint small">{t.system.about_text}</p>
                    {view(&overview.load, 3, &overview.reload, |numbers| html! {
                        <dl class="facts num">
                            <div><dt>{t.system.version}</dt><dd>{&numbers.version}</dd></div>
                            <div><dt>{t.system.docker}</dt><dd>{&numbers.docker}</dd></div>
                            <div><dt>{t.system.slots}</dt><dd>{numbers.running}{" / "}{numbers.max_concurrent_runs}</dd></div>
                            <div><dt>{t.system.queue}</dt><dd>{numbers.queued}{" / "}{numbers.max_queued_runs}</dd></div>
                            <div data-testid="warm-pool"><dt>{t.pipes.warm_pool}</dt><dd title={numbers.warm_problem.clone()}>{numbers.warm_ready}{" / "}{numbers.warm_wanted}</dd></div>
                            if let Some(problem) = &numbers.warm_problem {
                                <div class="tone-warn"><dt></dt><dd>{problem}</dd></div>
                            }
                            <div><dt>{t.system.api}</dt><dd><a class="link" href="/docs" target="_blank" rel="noopener">{"/docs"}</a></dd></div>
                        </dl>
                    })}
                </section>
                <section class="card panel">
                    <h2><Link to={Route::Sync} classes="link">{t.system.code}</Link></h2>
                    {view(&sync.load, 3, &sync.reload, |sync| html! {
                        <>
                            if let Some(error) = &sync.last_error {
                                <div class="notice tone-bad" role="alert">{glyph(Icon::Alert)}<span>{error}</span></div>
                            }
                            <dl class="facts">
                                <div><dt>{t.system.source}</dt><dd>{if sync.source == "folder" { t.dash.folder.to_owned() } else { sync.source.clone() }}</dd></div>
                                if let Some(branch) = &sync.branch {
                                    <div><dt>{t.system.branch}</dt><dd class="mono">{branch}</dd></div>
                                }
                                if let Some(commit) = &sync.commit {
                                    <div><dt>{t.system.commit}</dt><dd title={sync.commit_subject.clone()}><code>{short_commit(commit)}</code></dd></div>
                                }
                                <div><dt>{t.dash.synced}</dt><dd>{sync.last_sync_at.map_or_else(|| html! { {t.system.never} }, |at| html! { <Ago {at} /> })}</dd></div>
                                <div><dt>{t.system.pipelines}</dt><dd class="num">{sync.pipelines}</dd></div>
                                if !sync.invalid.is_empty() {
                                    <div><dt>{t.system.invalid}</dt><dd>{sync.invalid.join(", ")}</dd></div>
                                }
                            </dl>
                        </>
                    })}
                </section>
            </div>
            <section>
                <header class="list-head"><h2>{t.system.chores}</h2></header>
                {view(&chores.load, 4, &chores.reload, |list| if list.is_empty() {
                    html! { <Empty icon={Icon::Repeat} title={t.system.no_chores} /> }
                } else {
                    html! {
                        <div class="card card-flush table-scroll">
                            <table class="table stacked" data-testid="chores">
                                <thead><tr>
                                    <th scope="col">{t.system.chore}</th><th scope="col">{t.system.result}</th><th scope="col">{t.system.last}</th>
                                    <th scope="col" class="right">{t.system.took}</th><th scope="col" class="right">{t.system.every}</th><th scope="col" class="right">{t.system.next}</th>
                                </tr></thead>
                                <tbody>{for list.iter().map(|chore| html! { <ChoreRow key={chore.name.clone()} chore={chore.clone()} /> })}</tbody>
                            </table>
                        </div>
                    }
                })}
            </section>
        </div>
    }
}

/// Props of [`ChoreRow`].
#[derive(Properties, PartialEq)]
struct ChoreRowProps {
    chore: Chore,
}

#[component]
fn ChoreRow(props: &ChoreRowProps) -> Html {
    let t = use_text();
    let chore = &props.chore;
    html! {
        <tr>
            <td><strong>{&chore.name}</strong><p class="faint small">{&chore.description}</p></td>
            <td>{match (&chore.last_error, &chore.last_result) {
                (Some(error), _) => html! { <span class="field-wrong">{glyph(Icon::Alert)}{" "}{error}</span> },
                (None, Some(result)) => html! { {result} },
                (None, None) => html! { <span class="faint">{t.system.never}</span> },
            }}</td>
            <td class="nowrap">{chore.last_run_at.map(|at| html! { <Ago {at} /> })}</td>
            <td class="right num nowrap">{chore.last_duration_seconds.map(|seconds| t.duration(seconds))}</td>
            <td class="right num nowrap faint">{t.span(chore.interval_seconds)}</td>
            <td class="right nowrap faint">{chore.next_run_at.map(|at| html! { <Ago {at} /> })}</td>
        </tr>
    }
}
