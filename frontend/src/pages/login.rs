//! Signing in. It leads back to where somebody wanted to go.

use fastflow_shared::Login;
use yew::prelude::*;

use crate::api;
use crate::browser;
use crate::hooks::{TabState, use_form_action, use_tab};
use crate::logic::query;
use crate::providers::session::{Session, use_session};
use crate::route::Route;
use crate::router::{use_location, use_navigator};
use crate::text::use_text;
use crate::ui::button::{Button, Look};
use crate::ui::field::{Field, typed};
use crate::ui::icon::{Icon, glyph};
use crate::ui::mark::mark;
use crate::ui::view::FaultNotice;

use super::shell::Preferences;

/// The login page.
#[component]
pub fn LoginPage() -> Html {
    let t = use_text();
    let session = use_session();
    let navigator = use_navigator();
    let location = use_location();
    let name = use_state_eq(String::new);
    let password = use_state_eq(String::new);
    let shown = use_state_eq(|| false);
    use_tab(t.login.title.to_owned(), TabState::Plain);
    use_effect_with((), |()| {
        browser::focus("username");
    });

    let next = query::safe_next(location.as_ref().map_or("", |location| location.query_str()));
    let signed_in = session.user().is_some();
    use_effect_with(signed_in, move |signed_in| {
        if let Some(navigator) = navigator.filter(|_| *signed_in) {
            let (path, query) = next.split_once('?').unwrap_or((&next, ""));
            let route = Route::recognize(path);
            navigator.replace_with_query(&route, query);
        }
    });

    let set = session.set.clone();
    let action = use_form_action(api::login, Callback::from(move |user| set.emit(Session::User(user))));
    let onsubmit = {
        let (go, name, password) = (action.go.clone(), name.clone(), password.clone());
        Callback::from(move |event: SubmitEvent| {
            event.prevent_default();
            go.emit(Login { username: name.trim().to_owned(), password: (*password).clone() });
        })
    };
    let (set_name, set_password, set_shown, is_shown) = (name.setter(), password.setter(), shown.setter(), *shown);
    html! {
        <main class="login" id="main">
            <div class="login-in">
                <h1 class="sr">{t.login.title}</h1>
                {mark(true)}
                <p class="login-lead">{t.login.lead}</p>
                if session.now == Session::Nobody(true) {
                    <div class="notice tone-wait" role="status">{glyph(Icon::Clock)}<span>{t.login.expired}</span></div>
                }
                <form {onsubmit} class="stack" data-testid="login-form">
                    <Field id="username" label={t.login.username}>
                        <input id="username" name="username" class="input" autocomplete="username" autocapitalize="none" spellcheck="false"
                            required=true value={(*name).clone()} oninput={move |e: InputEvent| set_name.set(typed(&e))} data-testid="username" />
                    </Field>
                    <Field id="password" label={t.login.password}>
                        <div class="input-with">
                            <input id="password" name="password" class="input" autocomplete="current-password" required=true
                                type={if *shown { "text" } else { "password" }} value={(*password).clone()}
                                oninput={move |e: InputEvent| set_password.set(typed(&e))} data-testid="password" />
                            <Button text={if *shown { t.login.hide } else { t.login.show }} icon={if *shown { Icon::EyeOff } else { Icon::Eye }}
                                icon_only=true look={Look::Ghost} small=true onclick={Callback::from(move |()| set_shown.set(!is_shown))} />
                        </div>
                    </Field>
                    if let Some(fault) = &action.fault {
                        <FaultNotice fault={fault.clone()} testid="login-error" />
                    }
                    <Button text={if action.busy { t.login.submitting } else { t.login.submit }} look={Look::Primary} submit=true
                        busy={action.busy} class="btn-wide" testid="login-submit" />
                </form>
                <p class="faint small">{t.login.first_hint}</p>
            </div>
            <div class="login-foot"><Preferences /></div>
        </main>
    }
}
