//! Secrets and parameters. A secret's value goes in and comes out one at a time, for an admin who asks for it.

use std::rc::Rc;

use fastflow_shared::{RevealedSecret, Role, VaultEntry};
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_action, use_load, use_tab};
use crate::providers::dialogs::use_ask;
use crate::providers::session::use_session;
use crate::providers::toasts::use_toaster;
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::confirm::Question;
use crate::ui::icon::{Icon, glyph};
use crate::ui::time::Ago;
use crate::ui::view::{Empty, view};

use super::vault_form::VaultForm;

/// What the form is open for.
#[derive(Debug, Clone, PartialEq)]
enum Open {
    New,
    Change(VaultEntry),
}

/// The page.
#[component]
pub fn VaultPage() -> Html {
    let t = use_text();
    use_tab(t.vault.title.to_owned(), TabState::Plain);
    let entries = use_load((), |()| api::vault());
    let open = use_state_eq(|| None::<Open>);
    let add = {
        let set = open.setter();
        Callback::from(move |()| set.set(Some(Open::New)))
    };
    let onedit = {
        let set = open.setter();
        Callback::from(move |entry: VaultEntry| set.set(Some(Open::Change(entry))))
    };
    let onclose = {
        let set = open.setter();
        Callback::from(move |()| set.set(None))
    };
    html! {
        <div class="page">
            <header class="page-head">
                <div><h1>{t.vault.title}</h1><p class="page-lead">{t.vault.lead}</p></div>
                <Button text={t.vault.new} icon={Icon::Plus} look={Look::Primary} onclick={add.clone()} testid="vault-new" />
            </header>
            {view(&entries.load, 5, &entries.reload, |list| if list.is_empty() {
                html! { <Empty icon={Icon::Key} title={t.vault.empty} hint={t.vault.empty_hint}><Button text={t.vault.new} icon={Icon::Plus} onclick={add.clone()} /></Empty> }
            } else {
                html! { <List list={list.clone()} onedit={onedit.clone()} onchange={entries.reload.clone()} /> }
            })}
            if let Some(open) = &*open {
                <VaultForm entry={match open { Open::New => None, Open::Change(entry) => Some(entry.clone()) }} {onclose} onsaved={entries.reload.clone()} />
            }
        </div>
    }
}

/// Props of [`List`].
#[derive(Properties, PartialEq)]
struct ListProps {
    list: Rc<Vec<VaultEntry>>,
    onedit: Callback<VaultEntry>,
    onchange: Callback<()>,
}

#[component]
fn List(props: &ListProps) -> Html {
    let t = use_text();
    let toaster = use_toaster();
    let ask = use_ask();
    let change = props.onchange.clone();
    let done = Callback::from(move |()| {
        toaster.good(t.vault.deleted);
        change.emit(());
    });
    let delete = use_action(api::delete_entry, done);
    let revealed = use_state(|| None::<RevealedSecret>);
    let set = revealed.setter();
    let reveal = use_action(api::reveal_entry, Callback::from(move |secret| set.set(Some(secret))));
    let admin = use_session().user().is_some_and(|user| user.role == Role::Admin);
    html! {
        <div class="card card-flush table-scroll">
            <table class="table stacked" data-testid="vault">
                <thead><tr>
                    <th scope="col">{t.vault.key}</th><th scope="col">{t.vault.kind}</th><th scope="col">{t.vault.value}</th>
                    <th scope="col">{t.vault.updated}</th><th scope="col" class="right"><span class="sr">{t.common.actions}</span></th>
                </tr></thead>
                <tbody>
                    {for props.list.iter().map(|entry| {
                        let (edit, mine) = (props.onedit.clone(), entry.clone());
                        let question = Question {
                            title: t.vault.delete_title(&entry.key).into(),
                            lead: t.vault.delete_lead.into(),
                            yes: t.vault.delete.into(),
                            name: Some(entry.key.clone().into()),
                            ..Question::default()
                        };
                        let ondelete = question.before(&ask, &delete.go, &entry.key);
                        let question = Question {
                            title: t.vault.reveal_title(&entry.key).into(),
                            lead: t.vault.reveal_lead.into(),
                            yes: t.vault.reveal.into(),
                            ..Question::default()
                        };
                        let onreveal = question.before(&ask, &reveal.go, &entry.key);
                        let shown = revealed.as_ref().filter(|secret| secret.key == entry.key).map(|secret| secret.value.clone());
                        let value = entry.value.clone().or(shown);
                        html! {
                            <tr key={entry.key.clone()} data-testid="vault-entry" data-key={entry.key.clone()}>
                                <td>
                                    <code class="key">{&entry.key}</code>
                                    if !entry.pipelines.is_empty() { <p class="faint small">{entry.pipelines.join(", ")}</p> }
                                </td>
                                <td>{if entry.is_secret { t.vault.secret } else { t.vault.parameter }}</td>
                                <td class="vault-value">
                                    if let Some(value) = value {
                                        <code title={value.clone()}>{value}</code>
                                    } else {
                                        <span class="faint">{glyph(Icon::Lock)}{t.vault.hidden}</span>
                                    }
                                    if let Some(warning) = &entry.warning { <p class="field-wrong small">{warning}</p> }
                                </td>
                                <td class="faint"><Ago at={entry.updated_at} /></td>
                                <td class="right row-actions">
                                    if admin && entry.is_secret {
                                        <Button text={t.vault.reveal} icon={Icon::Eye} icon_only=true small=true look={Look::Ghost} testid="vault-reveal" onclick={onreveal} />
                                    }
                                    <Button text={t.vault.edit} icon={Icon::Pencil} icon_only=true small=true look={Look::Ghost} testid="vault-edit"
                                        onclick={Callback::from(move |()| edit.emit(mine.clone()))} />
                                    <Button text={t.vault.delete} icon={Icon::Trash} icon_only=true small=true look={Look::Ghost} testid="vault-delete" onclick={ondelete} />
                                </td>
                            </tr>
                        }
                    })}
                </tbody>
            </table>
        </div>
    }
}
