//! The frame: navigation at the side (below on a phone), the state of the connection, the account, and what opens over a page.

use fastflow_shared::Role;
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use crate::api::{self, stream::Link as Connection};
use crate::providers::dialogs::{StartForm, Starter};
use crate::providers::session::{Session, use_session};
use crate::providers::settings::{ProviderProps, Settings, Theme, use_settings};
use crate::route::Route;
use crate::router::{Link, use_route};
use crate::text::{Language, Texts, use_text};
use crate::ui::icon::{Icon, glyph};
use crate::ui::mark::mark;
use crate::ui::menu::{Menu, MenuButton};

use super::palette::{Overlay, Overlays};
use super::start::StartDialog;

/// Pages of the navigation, with the role that sees something there.
pub fn pages(t: &'static Texts) -> [(&'static str, Icon, Route, Role); 8] {
    [
        (t.nav.dashboard, Icon::Dashboard, Route::Dashboard, Role::Viewer),
        (t.nav.pipelines, Icon::Package, Route::Pipelines, Role::Viewer),
        (t.nav.runs, Icon::List, Route::Runs, Role::Viewer),
        (t.nav.schedules, Icon::Clock, Route::Jobs, Role::Viewer),
        (t.nav.vault_short, Icon::Key, Route::Vault, Role::Operator),
        (t.nav.system, Icon::Server, Route::System, Role::Viewer),
        (t.people.users, Icon::User, Route::Users, Role::Admin),
        (t.people.audit, Icon::Book, Route::Audit, Role::Admin),
    ]
}

fn belongs(page: &Route, here: &Route) -> bool {
    page == here
        || matches!(
            (page, here),
            (Route::Runs, Route::Run { .. } | Route::RunLog { .. })
                | (Route::Pipelines, Route::Pipeline { .. })
                | (Route::System, Route::Sync | Route::Storage | Route::Settings)
        )
}

/// The frame around a page.
#[component]
pub fn Shell(props: &ProviderProps) -> Html {
    let t = use_text();
    let here = use_route();
    let role = use_session().user().map_or(Role::Viewer, |user| user.role);
    let form = use_state(|| None::<StartForm>);
    let overlay = use_state_eq(|| None::<Overlay>);
    let setter = form.setter();
    let open = use_callback((), move |form: StartForm, ()| setter.set(Some(form)));
    let setter = form.setter();
    let onclose = use_callback((), move |(), ()| setter.set(None));
    let setter = overlay.setter();
    let onoverlay = use_callback((), move |overlay: Option<Overlay>, ()| setter.set(overlay));
    let search = onoverlay.reform(|_: MouseEvent| Some(Overlay::Palette));
    html! {
        <ContextProvider<Starter> context={Starter(open)}>
            <a class="skip" href="#main">{t.nav.skip}</a>
            // The style sheet hides what the role may not do; the server refuses it in any case.
            <div class="shell" data-role={role.as_str()}>
                <header class="side">
                    <Link to={Route::Dashboard} classes="side-mark">{mark(true)}</Link>
                    <button type="button" class="side-search" onclick={search} aria-label={t.nav.search} data-testid="open-palette">
                        {glyph(Icon::Search)}<span>{t.nav.search}</span><kbd>{"Ctrl K"}</kbd>
                    </button>
                    <nav class="side-nav" aria-label={t.nav.main}>
                        {for pages(t).into_iter().filter(|(.., needs)| role >= *needs).map(|(text, icon, to, _)| {
                            let now = belongs(&to, &here);
                            html! {
                                <Link {to} classes={classes!("side-link", now.then_some("is-here"))}>
                                    {glyph(icon)}<span>{text}</span>
                                </Link>
                            }
                        })}
                    </nav>
                    <div class="side-foot">
                        <LiveState />
                        <Account onhelp={onoverlay.reform(|()| Some(Overlay::Help))} />
                    </div>
                </header>
                <main id="main" class="main" tabindex="-1">{props.children.clone()}</main>
            </div>
            if let Some(form) = &*form {
                <StartDialog form={form.clone()} onclose={onclose.clone()} />
            }
            <Overlays open={*overlay} onchange={onoverlay} />
        </ContextProvider<Starter>>
    }
}

/// Whether the page is live.
#[component]
fn LiveState() -> Html {
    let t = use_text();
    let link = use_context::<Connection>().unwrap_or(Connection::Connecting);
    let lost = link == Connection::Reconnecting;
    html! {
        <div class={classes!("live", lost.then_some("is-lost"))} role="status" title={lost.then_some(t.nav.live_off_hint)}
            data-testid="live" data-state={if lost { "reconnecting" } else { "live" }}>
            <i></i><span>{if lost { t.nav.live_off } else { t.nav.live }}</span>
        </div>
    }
}

/// Props of [`Account`].
#[derive(Properties, PartialEq)]
struct AccountProps {
    onhelp: Callback<()>,
}

#[component]
fn Account(props: &AccountProps) -> Html {
    let t = use_text();
    let session = use_session();
    let name = session.user().map(|user| user.username.clone()).unwrap_or_default();
    let role = session.user().map(|user| t.role(user.role)).unwrap_or_default();
    let set = session.set;
    let sign_out = Callback::from(move |()| {
        let set = set.clone();
        spawn_local(async move {
            // Whether the server heard it or not: this browser forgets the user.
            let _ = api::logout().await;
            set.emit(Session::Nobody(false));
        });
    });
    html! {
        <Menu label={t.nav.menu} class="account" up=true stays=true testid="account" button={html! {
            <>
                <span class="avatar" aria-hidden="true">{name.chars().next().map(|c| c.to_ascii_uppercase())}</span>
                <span class="account-name">{name.clone()}</span>
            </>
        }}>
            <p class="menu-note">{t.nav.signed_in_as}{" "}<strong>{name}</strong>{" · "}{role}</p>
            <Preferences />
            <hr />
            <Link to={Route::Account} classes="menu-item">{glyph(Icon::User)}<span>{t.people.account}</span></Link>
            <MenuButton text={t.nav.help} icon={Icon::Keyboard} onclick={props.onhelp.clone()} />
            <a class="menu-item" href="/docs" target="_blank" rel="noopener">{glyph(Icon::Book)}<span>{t.nav.api_docs}</span></a>
            <MenuButton text={t.nav.sign_out} icon={Icon::SignOut} testid="sign-out" onclick={sign_out} />
        </Menu>
    }
}

/// Language and theme.
#[component]
pub fn Preferences() -> Html {
    let t = use_text();
    let settings = use_settings();
    let themes = [
        (Theme::System, t.nav.theme_system, Icon::Monitor),
        (Theme::Light, t.nav.theme_light, Icon::Sun),
        (Theme::Dark, t.nav.theme_dark, Icon::Moon),
    ];
    let languages = [(Language::English, "English"), (Language::German, "Deutsch")];
    html! {
        <div class="preferences">
            <div class="segments" role="group" aria-label={t.nav.theme}>
                {for themes.into_iter().map(|(theme, text, icon)| {
                    let (handle, on) = (settings.clone(), settings.now.theme == theme);
                    html! {
                        <button type="button" title={text} aria-label={text} aria-pressed={if on { "true" } else { "false" }}
                            data-testid={format!("theme-{}", theme.name())}
                            onclick={Callback::from(move |_: MouseEvent| handle.set.emit(Settings { theme, ..handle.now }))}>
                            {glyph(icon)}
                        </button>
                    }
                })}
            </div>
            <div class="segments" role="group" aria-label={t.nav.language}>
                {for languages.into_iter().map(|(language, text)| {
                    let (handle, on) = (settings.clone(), settings.now.language == language);
                    html! {
                        <button type="button" lang={language.tag()} aria-pressed={if on { "true" } else { "false" }}
                            data-testid={format!("language-{}", language.tag())}
                            onclick={Callback::from(move |_: MouseEvent| handle.set.emit(Settings { language, ..handle.now }))}>
                            {text}
                        </button>
                    }
                })}
            </div>
        </div>
    }
}
