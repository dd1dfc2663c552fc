//! One's own account: password, sessions, API tokens.

use fastflow_shared::{ApiToken, ApiTokenCreated, NewApiToken, PasswordChange, Role, SessionInfo};
use yew::prelude::*;

use crate::api;
use crate::hooks::{TabState, use_action, use_form_action, use_load, use_tab};
use crate::logic::outcome::Tone;
use crate::providers::dialogs::use_ask;
use crate::providers::session::use_session;
use crate::providers::toasts::use_toaster;
use crate::text::use_text;
use crate::ui::badge::tag;
use crate::ui::button::{Button, Look};
use crate::ui::confirm::Question;
use crate::ui::field::{Choice, Field, typed};
use crate::ui::icon::Icon;
use crate::ui::once::Once;
use crate::ui::time::Ago;
use crate::ui::view::{FaultNotice, view};

use super::users::roles;

/// The page.
#[component]
pub fn Account() -> Html {
    let t = use_text();
    use_tab(t.people.account.to_owned(), TabState::Plain);
    html! {
        <div class="page" data-testid="account-page">
            <header class="page-head"><h1>{t.people.account}</h1></header>
            <PasswordForm />
            <Sessions />
            <Tokens />
        </div>
    }
}

#[component]
fn PasswordForm() -> Html {
    let t = use_text();
    let toaster = use_toaster();
    let current = use_state_eq(String::new);
    let new = use_state_eq(String::new);
    let (clear_current, clear_new) = (current.setter(), new.setter());
    let done = Callback::from(move |()| {
        clear_current.set(String::new());
        clear_new.set(String::new());
        toaster.good(t.people.password_changed);
    });
    let action = use_form_action(api::change_password, done);
    let onsubmit = {
        let (go, current, new) = (action.go.clone(), (*current).clone(), (*new).clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            go.emit(PasswordChange { current_password: current.clone(), new_password: new.clone() });
        })
    };
    let (set_current, set_new) = (current.setter(), new.setter());
    html! {
        <section class="card panel">
            <h2>{t.login.password}</h2>
            <form {onsubmit} class="stack narrow">
                <Field id="current-password" label={t.people.current_password}>
                    <input id="current-password" type="password" class="input" autocomplete="current-password" required=true
                        value={(*current).clone()} oninput={move |e: InputEvent| set_current.set(typed(&e))} data-testid="current-password" />
                </Field>
                <Field id="new-password" label={t.people.new_password} hint={t.people.password_hint}>
                    <input id="new-password" type="password" class="input" autocomplete="new-password" required=true
                        value={(*new).clone()} oninput={move |e: InputEvent| set_new.set(typed(&e))} data-testid="new-password" />
                </Field>
                if let Some(fault) = &action.fault {
                    <FaultNotice fault={fault.clone()} />
                }
                <div><Button text={t.people.change_password} submit=true busy={action.busy} testid="change-password" /></div>
            </form>
        </section>
    }
}

#[component]
fn Sessions() -> Html {
    let t = use_text();
    let sessions = use_load((), |()| api::sessions());
    let end = use_action(api::end_session, sessions.reload.clone());
    let others = use_action(|()| api::end_other_sessions(), sessions.reload.clone());
    let row = |session: &SessionInfo| {
        let (go, id) = (end.go.clone(), session.id.clone());
        html! {
            <tr key={session.id.clone()} data-testid="session">
                <td class="clip" title={session.user_agent.clone()}>{session.user_agent.clone().unwrap_or_else(|| "–".to_owned())}</td>
                <td class="mono">{session.ip.clone()}</td>
                <td class="faint"><Ago at={session.last_used_at} /></td>
                <td class="right row-actions">
                    if session.current {
                        {tag(t.people.this_one, Tone::Good)}
                    } else {
                        <Button text={t.people.end} small=true testid="session-end" onclick={Callback::from(move |()| go.emit(id.clone()))} />
                    }
                </td>
            </tr>
        }
    };
    html! {
        <section class="card card-flush">
            <header class="card-head">
                <h2>{t.people.sessions}</h2>
                <Button text={t.people.end_others} small=true busy={others.busy} testid="end-others" onclick={others.go} />
            </header>
            {view(&sessions.load, 2, &sessions.reload, |list| html! {
                <table class="table stacked">
                    <thead><tr>
                        <th scope="col">{t.people.client}</th><th scope="col">{t.people.address}</th><th scope="col">{t.people.last_used}</th>
                        <th scope="col" class="right"><span class="sr">{t.common.actions}</span></th>
                    </tr></thead>
                    <tbody>{for list.iter().map(row)}</tbody>
                </table>
            })}
        </section>
    }
}

#[component]
fn Tokens() -> Html {
    let t = use_text();
    let own = use_session().user().map_or(Role::Viewer, |user| user.role);
    let ask = use_ask();
    let tokens = use_load((), |()| api::tokens());
    let name = use_state_eq(String::new);
    let role = use_state_eq(|| Role::Viewer);
    let days = use_state_eq(|| "90".to_owned());
    let told = use_state_eq(|| None::<AttrValue>);
    let made = {
        let (told, reload, name) = (told.setter(), tokens.reload.clone(), name.setter());
        Callback::from(move |made: ApiTokenCreated| {
            told.set(Some(made.secret.into()));
            name.set(String::new());
            reload.emit(());
        })
    };
    let create = use_form_action(api::add_token, made);
    let delete = use_action(api::delete_token, tokens.reload.clone());
    let onsubmit = {
        let (go, name, role, days) = (create.go.clone(), (*name).clone(), *role, days.parse().ok());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            go.emit(NewApiToken { name: name.clone(), role, expires_in_days: days });
        })
    };
    let row = |token: &ApiToken| {
        let question = Question {
            title: t.vault.delete_title(&token.name).into(),
            lead: t.people.token_lead.into(),
            yes: t.vault.delete.into(),
            name: Some(token.name.clone().into()),
            ..Question::default()
        };
        let ondelete = question.before(&ask, &delete.go, &token.id);
        html! {
            <tr key={token.id.clone()} data-testid="token">
                <td><strong>{&token.name}</strong>{" "}<code class="faint">{&token.hint}{"…"}</code></td>
                <td>{t.role(token.role)}</td>
                <td class="faint">{t.people.ends}{" "}{token.expires_at.map_or_else(|| html! { {t.people.never} }, |at| html! { <Ago {at} /> })}</td>
                <td class="faint">{t.people.last_used}{" "}{token.last_used_at.map_or_else(|| html! { {t.people.never} }, |at| html! { <Ago {at} /> })}</td>
                <td class="right row-actions"><Button text={t.vault.delete} icon={Icon::Trash} icon_only=true small=true look={Look::Ghost}
                    testid="token-delete" onclick={ondelete} /></td>
            </tr>
        }
    };
    let (set_name, set_role, set_days, forget) = (name.setter(), role.setter(), days.setter(), told.setter());
    let spans = ["7", "30", "90", "365"].map(|days| (days.into(), format!("{days} {}", t.people.days).into()));
    html! {
        <section class="card card-flush">
            <header class="card-head"><h2>{t.people.tokens}</h2></header>
            <form {onsubmit} class="panel filters">
                <input class="input" placeholder={t.people.token_name} aria-label={t.people.token_name} autocomplete="off" required=true maxlength="80"
                    value={(*name).clone()} oninput={move |e: InputEvent| set_name.set(typed(&e))} data-testid="token-name" />
                <Choice label={t.people.role} options={roles(t, own)} value={role.as_str()}
                    onchange={Callback::from(move |name: String| set_role.set(Role::parse(&name).unwrap_or(Role::Viewer)))} />
                <Choice label={t.people.ends} options={spans.to_vec()} value={(*days).clone()} onchange={Callback::from(move |text: String| set_days.set(text))} />
                <Button text={t.people.new_token} icon={Icon::Plus} submit=true busy={create.busy} testid="token-create" />
                if let Some(fault) = &create.fault {
                    <FaultNotice fault={fault.clone()} />
                }
            </form>
            {view(&tokens.load, 2, &tokens.reload, |list| if list.is_empty() {
                html! { <p class="panel faint">{t.people.no_tokens}</p> }
            } else {
                html! { <table class="table stacked"><tbody>{for list.iter().map(row)}</tbody></table> }
            })}
            if let Some(secret) = &*told {
                <Once title={t.people.new_token} lead={t.people.once} text={secret.clone()} onclose={Callback::from(move |()| forget.set(None))} />
            }
        </section>
    }
}
