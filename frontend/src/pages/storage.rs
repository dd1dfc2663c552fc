//! What is kept on the disk: how much of what, what goes next, and backups.

use fastflow_shared::{Backup, Cleanup, Role, Storage, StorageItem, StoragePart, routes};
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_action, use_again, use_load, use_tab};
use crate::logic::format::fixed;
use crate::logic::outcome::Tone;
use crate::providers::dialogs::use_ask;
use crate::providers::session::use_session;
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::Link;
use crate::text::{Texts, use_text};
use crate::ui::button::{Button, Look};
use crate::ui::confirm::Question;
use crate::ui::icon::{Icon, glyph};
use crate::ui::time::Ago;
use crate::ui::view::{Empty, view};

/// Milliseconds between two looks: the chore that measures has no event of its own.
const EVERY: u32 = 10_000;

/// The same until it has been measured for the first time.
const SOON: u32 = 1_000;

fn kind(t: &Texts, name: &str) -> &'static str {
    let k = &t.keep;
    match name {
        "logs" => k.logs,
        "environments" => k.environments,
        "cache" => k.uv_cache,
        "code" => k.code,
        "commits" => k.commits,
        "backups" => k.backups,
        "database" => k.database,
        _ => k.work,
    }
}

fn reason(t: &Texts, name: &str) -> &'static str {
    let k = &t.keep;
    match name {
        "count" => k.count,
        "age" => k.age,
        "budget" => k.over,
        "cache_budget" => k.over_cache,
        _ => k.first,
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn size(t: &Texts, bytes: i64) -> String {
    t.bytes(bytes as f64)
}

/// A bar that is full to this part.
#[expect(clippy::cast_precision_loss, reason = "a bar has no more than a thousand points")]
fn bar(bytes: i64, of: i64, tone: Tone) -> Html {
    let width = (bytes as f64 / of.max(1) as f64 * 1000.0).clamp(0.0, 1000.0);
    html! {
        <svg class={classes!("gauge", tone.class())} viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true" focusable="false">
            <rect class="gauge-rest" width="1000" height="8" /><rect class="gauge-part" width={fixed(width, 1)} height="8" />
        </svg>
    }
}

/// The page.
#[component]
pub fn StoragePage() -> Html {
    let t = use_text();
    use_tab(t.keep.storage.to_owned(), TabState::Plain);
    let admin = use_session().user().is_some_and(|user| user.role == Role::Admin);
    let storage = use_load((), |()| api::storage());
    let measured = storage.load.data().is_some_and(|found| found.measured_at.is_some());
    use_again(Some(if measured { EVERY } else { SOON }), storage.reload.clone());
    html! {
        <div class="page">
            <header class="page-head">
                <div><h1>{t.keep.storage}</h1><p class="page-lead">{t.keep.storage_lead}</p></div>
                if admin { <Actions onchange={storage.reload.clone()} /> }
            </header>
            {view(&storage.load, 8, &storage.reload, |found| html! { <Found storage={(**found).clone()} /> })}
            if admin { <Backups /> }
        </div>
    }
}

/// Props of [`Actions`].
#[derive(Properties, PartialEq)]
struct ActionsProps {
    onchange: Callback<()>,
}

/// What an admin can do about it.
#[component]
fn Actions(props: &ActionsProps) -> Html {
    let t = use_text();
    let toaster = use_toaster();
    let ask = use_ask();
    let (told, change) = (toaster, props.onchange.clone());
    let done = Callback::from(move |cleanup: Cleanup| {
        told.good(t.keep.cleaned(&t.number(cleanup.runs)));
        change.emit(());
    });
    let clean = use_action(|()| api::clean_up(), done);
    let go = clean.go.clone();
    let look = use_action(
        |()| api::cleanup(),
        Callback::from(move |cleanup: Cleanup| {
            ask.emit(Question {
                title: t.keep.clean_title(&t.number(cleanup.runs)).into(),
                lead: t.keep.clean_lead.into(),
                yes: t.keep.clean.into(),
                no: None,
                name: None,
                then: go.clone(),
            });
        }),
    );
    html! {
        <div class="row-actions">
            <Link to={Route::Settings} classes="btn">{glyph(Icon::Pencil)}<span>{t.keep.settings}</span></Link>
            <Button text={t.keep.clean} icon={Icon::Trash} busy={look.busy || clean.busy} onclick={look.go.clone()} testid="clean-up" />
        </div>
    }
}

/// Props of [`Found`].
#[derive(Properties, PartialEq)]
struct FoundProps {
    storage: Storage,
}

#[component]
fn Found(props: &FoundProps) -> Html {
    let t = use_text();
    let (k, s) = (&t.keep, &props.storage);
    let tone = |used: i64, most: Option<i64>| match most {
        Some(most) if used > most => Tone::Bad,
        Some(most) if used > most / 10 * 9 => Tone::Warn,
        _ => Tone::Motion,
    };
    let limit = |most: Option<i64>| most.map_or_else(|| k.none.to_owned(), |most| size(t, most));
    let gauge = |name: &'static str, used: i64, most: Option<i64>| {
        html! {
            <div class="gauge-row">
                <p><strong>{name}</strong><span class="num">{size(t, used)}<span class="faint">{" · "}{k.budget}{": "}{limit(most)}</span></span></p>
                {bar(used, most.unwrap_or(used), tone(used, most))}
            </div>
        }
    };
    let largest = s.parts.first().map_or(1, |part| part.bytes);
    let part = |part: &StoragePart| {
        html! {
            <tr key={part.kind.clone()} data-testid="storage-part" data-kind={part.kind.clone()}>
                <td><strong>{kind(t, &part.kind)}</strong>{bar(part.bytes, largest, Tone::Quiet)}</td>
                <td class="right num nowrap">{size(t, part.bytes)}</td>
                <td class="right num nowrap faint">{if part.spare_bytes > 0 { format!("{} {}", k.spare, size(t, part.spare_bytes)) } else { "–".to_owned() }}</td>
                <td class="right num faint">{t.number(part.count)}</td>
            </tr>
        }
    };
    html! {
        <>
            if let Some(why) = &s.starts_refused {
                <div class="notice tone-bad" role="alert" data-testid="starts-refused">{glyph(Icon::Alert)}<span>{why}</span></div>
            }
            <section class="card panel">
                if let Some(bytes) = s.bytes {
                    {gauge(k.used, bytes, s.budget_bytes)}
                    {gauge(k.cache, s.cache_bytes.unwrap_or_default(), s.cache_budget_bytes)}
                } else {
                    <p class="faint">{k.soon}</p>
                }
                <dl class="facts num">
                    <div><dt>{k.free}</dt><dd>{s.free_bytes.map(|bytes| size(t, bytes))}</dd></div>
                    <div><dt>{k.floor}</dt><dd>{size(t, s.min_free_bytes)}</dd></div>
                    if let Some(at) = s.measured_at {
                        <div><dt>{k.measured}</dt><dd><Ago {at} /></dd></div>
                    }
                    if let Some(at) = s.next_at {
                        <div><dt>{t.system.next}</dt><dd><Ago {at} /></dd></div>
                    }
                </dl>
            </section>
            if !s.parts.is_empty() {
                <div class="card card-flush table-scroll">
                    <table class="table stacked" data-testid="storage-parts">
                        <thead><tr>
                            <th scope="col">{k.part}</th><th scope="col" class="right">{k.size}</th>
                            <th scope="col" class="right">{k.spare}</th><th scope="col" class="right">{k.things}</th>
                        </tr></thead>
                        <tbody>{for s.parts.iter().map(part)}</tbody>
                    </table>
                </div>
                <section>
                    <header class="list-head"><h2>{k.next}</h2><p class="faint small">{k.next_lead}</p></header>
                    if s.next.is_empty() {
                        <p class="faint">{k.nothing}</p>
                    } else {
                        <div class="card card-flush table-scroll">
                            <table class="table stacked" data-testid="storage-next">
                                <thead><tr>
                                    <th scope="col">{k.part}</th><th scope="col" class="right">{k.size}</th><th scope="col">{k.last_used}</th>
                                    <th scope="col">{k.why}</th><th scope="col">{k.when}</th>
                                </tr></thead>
                                <tbody>{for s.next.iter().map(|item| next(t, item))}</tbody>
                            </table>
                        </div>
                    }
                </section>
            }
        </>
    }
}

fn next(t: &'static Texts, item: &StorageItem) -> Html {
    let name = match &item.pipeline_name {
        Some(pipeline) => {
            html! { <Link to={Route::Run { id: item.name.clone() }} classes="link">{pipeline.clone()}</Link> }
        }
        None => html! { <code class="clip" title={item.name.clone()}>{&item.name}</code> },
    };
    html! {
        <tr key={item.name.clone()}>
            <td>{name}{" "}<span class="faint">{kind(t, &item.kind)}</span></td>
            <td class="right num nowrap">{size(t, item.bytes)}</td>
            <td class="faint nowrap"><Ago at={item.last_used_at} /></td>
            <td class="faint">{reason(t, &item.reason)}</td>
            <td class="faint nowrap">{item.at.map_or_else(|| html! { {t.keep.if_needed} }, |at| html! { <Ago {at} /> })}</td>
        </tr>
    }
}

#[component]
fn Backups() -> Html {
    let t = use_text();
    let toaster = use_toaster();
    let backups = use_load((), |()| api::backups());
    let reload = backups.reload.clone();
    let make = use_action(
        |()| api::back_up(),
        Callback::from(move |_: Backup| {
            toaster.good(t.keep.backed_up);
            reload.emit(());
        }),
    );
    let row = |backup: &Backup| {
        html! {
            <tr key={backup.name.clone()} data-testid="backup">
                <td><code>{&backup.name}</code></td>
                <td class="right num nowrap">{size(t, backup.bytes)}</td>
                <td class="faint nowrap"><Ago at={backup.created_at} /></td>
                <td class="right row-actions">
                    <a class="btn btn-small" href={routes::backup_file(&backup.name)} download="" title={t.log.download}>
                        {glyph(Icon::Download)}<span class="sr">{t.log.download}</span>
                    </a>
                </td>
            </tr>
        }
    };
    html! {
        <section>
            <header class="list-head">
                <h2>{t.keep.backups}</h2><p class="faint small">{t.keep.backups_lead}</p>
                <Button text={t.keep.back_up} icon={Icon::Download} small=true look={Look::Plain} busy={make.busy} onclick={make.go.clone()} testid="back-up" />
            </header>
            {view(&backups.load, 3, &backups.reload, |list| if list.is_empty() {
                html! { <Empty icon={Icon::Package} title={t.keep.no_backups} /> }
            } else {
                html! {
                    <div class="card card-flush table-scroll">
                        <table class="table stacked" data-testid="backups">
                            <thead><tr>
                                <th scope="col">{t.keep.part}</th><th scope="col" class="right">{t.keep.size}</th>
                                <th scope="col">{t.keep.made}</th><th scope="col" class="right"><span class="sr">{t.common.actions}</span></th>
                            </tr></thead>
                            <tbody>{for list.iter().map(row)}</tbody>
                        </table>
                    </div>
                }
            })}
        </section>
    }
}
