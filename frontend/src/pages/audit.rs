//! The audit log, for admins. What is shown is in the address, so that a link and the back button keep it.

use std::rc::Rc;

use fastflow_shared::{AuditEntry, AuditPage, AuditResult, routes};
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_load, use_tab};
use crate::logic::outcome::Tone;
use crate::logic::query;
use crate::providers::toasts::use_toaster;
use crate::route::Route;
use crate::router::{use_location, use_navigator};
use crate::text::{Texts, use_text};
use crate::ui::badge::tag;
use crate::ui::button::Button;
use crate::ui::field::Choice;
use crate::ui::icon::{Icon, glyph};
use crate::ui::time::Ago;
use crate::ui::view::{Empty, view};

/// Areas of actions that can be chosen.
const AREAS: [&str; 9] = ["auth", "session", "token", "user", "pipeline", "run", "secret", "sync", "audit"];

/// What can be filtered by, in the address and for the server alike.
const KEYS: [&str; 5] = ["actor", "action", "result", "from", "to"];

fn result(t: &Texts, result: AuditResult) -> (&'static str, Tone) {
    match result {
        AuditResult::Ok => (t.people.ok, Tone::Good),
        AuditResult::Denied => (t.people.denied, Tone::Bad),
        AuditResult::Failed => (t.status.failed, Tone::Warn),
    }
}

/// The page.
#[component]
pub fn Audit() -> Html {
    let t = use_text();
    use_tab(t.people.audit.to_owned(), TabState::Plain);
    let toaster = use_toaster();
    let navigator = use_navigator();
    let text = use_location().map(|location| location.query_str().to_owned()).unwrap_or_default();
    let pairs: Vec<(&'static str, String)> =
        KEYS.iter().map(|key| (*key, query::get(&text, key).unwrap_or_default())).collect();
    let list = use_load(pairs.clone(), |pairs| api::audit(pairs, String::new()));
    let set = |key: &'static str| {
        let (navigator, pairs) = (navigator.clone(), pairs.clone());
        Callback::from(move |value: String| {
            let mut pairs = pairs.clone();
            pairs.iter_mut().filter(|(name, _)| *name == key).for_each(|(_, old)| old.clone_from(&value));
            if let Some(navigator) = &navigator {
                navigator.replace_with_query(&Route::Audit, &query::build(&pairs));
            }
        })
    };
    let value =
        |key: &str| pairs.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone()).unwrap_or_default();
    let onmore = {
        let (load, put, pairs, toaster) = (list.load.clone(), list.put.clone(), pairs.clone(), toaster);
        Callback::from(move |()| {
            let Some(page) = load.data().cloned() else { return };
            let (put, pairs, toaster) = (put.clone(), pairs.clone(), toaster.clone());
            spawn_local(async move {
                match api::audit(pairs, page.next_cursor.clone().unwrap_or_default()).await {
                    Ok(next) => {
                        let items = page.items.iter().cloned().chain(next.items).collect();
                        put.emit(Rc::new(AuditPage { items, next_cursor: next.next_cursor }));
                    }
                    Err(fault) => toaster.fault(&fault, t),
                }
            });
        })
    };
    let mut actions = vec![(AttrValue::Static(""), AttrValue::Static(t.people.any_action))];
    actions.extend(AREAS.map(|area| (format!("{area}.").into(), area.into())));
    let mut results = vec![(AttrValue::Static(""), AttrValue::Static(t.people.any_result))];
    results.extend(AuditResult::ALL.map(|kind| (kind.as_str().into(), result(t, kind).0.into())));
    let field = |key: &'static str, kind: &'static str, label: &'static str| {
        let set = set(key);
        html! {
            <input class="input" type={kind} placeholder={label} aria-label={label} title={label} value={value(key)} data-testid={format!("audit-{key}")}
                onchange={Callback::from(move |event: Event| set.emit(crate::ui::field::entered(&event)))} />
        }
    };
    let export = |format: &str, text: &'static str| {
        let mut all = pairs.clone();
        all.push(("format", format.to_owned()));
        html! { <a class="btn" href={query::url(routes::AUDIT_EXPORT, &api::audit_times(all))} download="">{glyph(Icon::Download)}<span>{text}</span></a> }
    };
    html! {
        <div class="page">
            <header class="page-head">
                <div><h1>{t.people.audit}</h1><p class="page-lead">{t.people.audit_lead}</p></div>
                <div class="row-actions">{export("csv", "CSV")}{export("jsonl", "JSONL")}</div>
            </header>
            <div class="filters" role="search">
                {field("actor", "search", t.people.who)}
                <Choice label={t.people.what} options={actions} value={value("action")} testid="audit-action" onchange={set("action")} />
                <Choice label={t.people.result} options={results} value={value("result")} testid="audit-result" onchange={set("result")} />
                {field("from", "date", t.people.from)}
                {field("to", "date", t.people.to)}
            </div>
            {view(&list.load, 10, &list.reload, |page| if page.items.is_empty() {
                html! { <Empty icon={Icon::List} title={t.people.no_entries} /> }
            } else {
                html! {
                    <>
                        <div class="card card-flush table-scroll">
                            <table class="table stacked" data-testid="audit">
                                <thead><tr>
                                    <th scope="col">{t.people.when}</th><th scope="col">{t.people.who}</th><th scope="col">{t.people.what}</th>
                                    <th scope="col">{t.people.result}</th><th scope="col">{t.people.address}</th>
                                </tr></thead>
                                <tbody>{for page.items.iter().map(|entry| row(t, entry))}</tbody>
                            </table>
                        </div>
                        if page.next_cursor.is_some() {
                            <footer class="list-foot"><Button text={t.common.load_more} onclick={onmore} testid="load-more" /></footer>
                        }
                    </>
                }
            })}
        </div>
    }
}

fn row(t: &'static Texts, entry: &AuditEntry) -> Html {
    let (word, tone) = result(t, entry.result);
    let detail: Vec<_> = entry.detail.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    html! {
        <tr key={entry.id.clone()} data-testid="audit-entry" data-action={entry.action.clone()}>
            <td class="faint"><Ago at={entry.time} /></td>
            <td><strong>{&entry.actor}</strong>{" "}<span class="faint">{&entry.via}</span></td>
            <td><code>{&entry.action}</code>{" "}{entry.target.clone()}<br /><span class="faint">{detail.join(", ")}</span></td>
            <td>{tag(word, tone)}{" "}<span class="faint">{entry.code.clone()}</span></td>
            <td class="mono faint" title={entry.user_agent.clone()}>{entry.ip.clone()}</td>
        </tr>
    }
}
