//! Users, for admins: roles, locks, passwords.

use fastflow_shared::{NewUser, Role, UserAccount, UserChange, UserWithPassword};
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_action, use_form_action, use_load, use_tab};
use crate::providers::dialogs::use_ask;
use crate::providers::toasts::use_toaster;
use crate::text::{Texts, use_text};
use crate::ui::button::{Button, Look};
use crate::ui::confirm::Question;
use crate::ui::dialog::Dialog;
use crate::ui::field::{Choice, Field, typed};
use crate::ui::icon::Icon;
use crate::ui::once::Once;
use crate::ui::switch::Switch;
use crate::ui::time::Ago;
use crate::ui::view::{FaultNotice, view};

/// The roles up to `most`, as options.
pub fn roles(t: &'static Texts, most: Role) -> Vec<(AttrValue, AttrValue)> {
    let known = Role::ALL.into_iter().filter(|role| *role <= most);
    known.map(|role| (role.as_str().into(), t.role(role).into())).collect()
}

/// The page.
#[component]
pub fn Users() -> Html {
    let t = use_text();
    use_tab(t.people.users.to_owned(), TabState::Plain);
    let users = use_load((), |()| api::users());
    let adding = use_state_eq(|| false);
    let told = use_state_eq(|| None::<(AttrValue, AttrValue)>);
    let ask = use_ask();
    let reload = users.reload.clone();
    let done = Callback::from(move |()| reload.emit(()));
    let (toaster, list, changed) = (use_toaster(), users.load.data().cloned(), done.clone());
    let changed = Callback::from(move |new: UserAccount| {
        let Some(was) = list.iter().flat_map(|list| list.iter()).find(|was| was.id == new.id) else {
            return changed.emit(());
        };
        let back = UserChange {
            role: (was.role != new.role).then_some(was.role),
            disabled: (was.disabled != new.disabled).then_some(was.disabled),
        };
        let said = (t.people.changed, new.username);
        toaster.good_undo(t, said, api::change_user(new.id, back).coming(), &changed);
    });
    let change = use_action(|(id, change)| api::change_user(id, change), changed);
    let delete = use_action(api::delete_user, done.clone());
    let show = {
        let (told, done, adding) = (told.setter(), done, adding.setter());
        Callback::from(move |made: UserWithPassword| {
            adding.set(false);
            told.set(made.password.map(|password| (made.user.username.into(), password.into())));
            done.emit(());
        })
    };
    let reset = use_action(api::reset_password, show.clone());
    let (open, close, forget) = (adding.setter(), adding.setter(), told.setter());
    let row = |user: &UserAccount| {
        let name = user.username.clone();
        let question = |title: String, lead: &'static str, yes: &'static str, go: &Callback<String>, typed: bool| {
            let name = typed.then(|| name.clone().into());
            let question =
                Question { title: title.into(), lead: lead.into(), yes: yes.into(), name, ..Question::default() };
            question.before(&ask, go, &user.id)
        };
        let (id, go) = (user.id.clone(), change.go.clone());
        let onrole = Callback::from(move |role: String| {
            go.emit((id.clone(), UserChange { role: Role::parse(&role), disabled: None }));
        });
        let (id, go) = (user.id.clone(), change.go.clone());
        let onswitch = Callback::from(move |on: bool| {
            go.emit((id.clone(), UserChange { role: None, disabled: Some(!on) }));
        });
        html! {
            <tr key={user.id.clone()} data-testid="user" data-name={name.clone()}>
                <td><strong>{&name}</strong></td>
                <td><Choice label={t.people.role} options={roles(t, Role::Admin)} value={user.role.as_str()} testid="user-role" onchange={onrole} /></td>
                <td><Switch on={!user.disabled} label={t.people.may_log_in(&name)} testid="user-switch" onchange={onswitch} /></td>
                <td class="faint">{user.last_login_at.map_or_else(|| html! { {t.people.never} }, |at| html! { <Ago {at} /> })}</td>
                <td class="right row-actions">
                    <Button text={t.people.reset} icon={Icon::Key} icon_only=true small=true look={Look::Ghost} testid="user-reset"
                        onclick={question(t.people.reset_title(&name), t.people.reset_lead, t.people.reset, &reset.go, false)} />
                    <Button text={t.vault.delete} icon={Icon::Trash} icon_only=true small=true look={Look::Ghost} testid="user-delete"
                        onclick={question(t.vault.delete_title(&name), t.people.delete_lead, t.vault.delete, &delete.go, true)} />
                </td>
            </tr>
        }
    };
    html! {
        <div class="page">
            <header class="page-head">
                <div><h1>{t.people.users}</h1><p class="page-lead">{t.people.users_lead}</p></div>
                <Button text={t.people.new_user} icon={Icon::Plus} look={Look::Primary} testid="user-new" onclick={Callback::from(move |()| open.set(true))} />
            </header>
            {view(&users.load, 3, &users.reload, |list| html! {
                <div class="card card-flush table-scroll">
                    <table class="table stacked" data-testid="users">
                        <thead><tr>
                            <th scope="col">{t.login.username}</th><th scope="col">{t.people.role}</th><th scope="col">{t.people.enabled}</th>
                            <th scope="col">{t.people.last_login}</th><th scope="col" class="right"><span class="sr">{t.common.actions}</span></th>
                        </tr></thead>
                        <tbody>{for list.iter().map(row)}</tbody>
                    </table>
                </div>
            })}
            if *adding {
                <NewUserForm onclose={Callback::from(move |()| close.set(false))} onmade={show} />
            }
            if let Some((name, password)) = &*told {
                <Once title={t.people.password_of(name)} lead={t.people.once} text={password.clone()} onclose={Callback::from(move |()| forget.set(None))} />
            }
        </div>
    }
}

/// Props of [`NewUserForm`].
#[derive(Properties, PartialEq)]
struct NewUserProps {
    onclose: Callback<()>,
    onmade: Callback<UserWithPassword>,
}

#[component]
fn NewUserForm(props: &NewUserProps) -> Html {
    let t = use_text();
    let name = use_state_eq(String::new);
    let role = use_state_eq(|| Role::Viewer);
    let action = use_form_action(api::add_user, props.onmade.clone());
    let onsubmit = {
        let (go, username, role) = (action.go.clone(), (*name).clone(), *role);
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            go.emit(NewUser { username: username.clone(), role, password: None });
        })
    };
    let (set_name, set_role) = (name.setter(), role.setter());
    html! {
        <Dialog title={t.people.new_user} onclose={props.onclose.clone()} testid="user-form">
            <form {onsubmit} class="stack">
                <Field id="user-name" label={t.login.username} hint={t.people.name_hint}>
                    <input id="user-name" class="input" autocomplete="off" autocapitalize="none" spellcheck="false" required=true autofocus=true
                        value={(*name).clone()} oninput={move |e: InputEvent| set_name.set(typed(&e))} data-testid="user-name" />
                </Field>
                <Field id="user-role" label={t.people.role} hint={t.people.role_hint}>
                    <Choice label={t.people.role} options={roles(t, Role::Admin)} value={role.as_str()}
                        onchange={Callback::from(move |name: String| set_role.set(Role::parse(&name).unwrap_or(Role::Viewer)))} />
                </Field>
                if let Some(fault) = &action.fault {
                    <FaultNotice fault={fault.clone()} />
                }
                <footer class="dialog-foot">
                    <Button text={t.common.cancel} onclick={props.onclose.clone()} />
                    <Button text={t.common.save} look={Look::Primary} submit=true busy={action.busy} disabled={name.trim().is_empty()} testid="user-save" />
                </footer>
            </form>
        </Dialog>
    }
}
