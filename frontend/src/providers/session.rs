//! Who is signed in. A page is drawn only when that is known; who is not signed in comes back to it after the login.

use fastflow_shared::User;
use gloo_timers::callback::Timeout;
use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use super::settings::ProviderProps;
use crate::api;
use crate::logic::fault::Fault;
use crate::logic::query;
use crate::route::Route;
use crate::router::{use_location, use_navigator};
use crate::ui::view::{FaultPanel, Splash};

/// Milliseconds between two questions to a server that does not answer.
const RETRY: u32 = 5_000;

/// What is known of the session.
#[derive(Debug, Clone, PartialEq)]
pub enum Session {
    /// Not asked yet.
    Unknown,
    /// Nobody; with whether somebody was.
    Nobody(bool),
    /// Somebody.
    User(User),
    /// The server could not be asked.
    Unreachable(Fault),
}

/// The session and ways to change it.
#[derive(Clone, PartialEq)]
pub struct SessionHandle {
    /// As it is.
    pub now: Session,
    /// Replaces it.
    pub set: Callback<Session>,
}

impl SessionHandle {
    /// The user.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        match &self.now {
            Session::User(user) => Some(user),
            _ => None,
        }
    }
}

/// Provides the session.
#[component]
pub fn SessionProvider(props: &ProviderProps) -> Html {
    let state = use_state(|| Session::Unknown);
    let setter = state.setter();
    let signed_in = use_mut_ref(|| false);
    let known = signed_in.clone();
    let set = use_callback((), move |session: Session, ()| {
        let signed_in = matches!(session, Session::User(_));
        if !signed_in {
            api::forget();
        }
        *known.borrow_mut() = signed_in;
        setter.set(session);
    });
    let tries = use_state(|| 0_u32);
    let asked = set.clone();
    use_effect_with(*tries, move |_| {
        let lost = asked.clone();
        api::on_signed_out(Callback::from(move |()| {
            // After a logout, a late answer must not read as a session that has run out.
            if *signed_in.borrow() {
                lost.emit(Session::Nobody(true));
            }
        }));
        spawn_local(async move {
            asked.emit(match api::me().await {
                Ok(user) => Session::User(user),
                Err(fault) if fault.status == 401 => Session::Nobody(false),
                Err(fault) => Session::Unreachable(fault),
            });
        });
    });
    let retry = {
        let (tries, set) = (tries.clone(), set.clone());
        Callback::from(move |()| {
            set.emit(Session::Unknown);
            tries.set(*tries.clone() + 1);
        })
    };
    // A server that was away is noticed without a click.
    let (away, again) = (matches!(*state, Session::Unreachable(_)), tries.clone());
    use_effect_with((away, *tries), move |(away, _)| {
        let timer = away.then(|| Timeout::new(RETRY, move || again.set(*again + 1)));
        move || drop(timer)
    });
    let body = match &*state {
        Session::Unknown => html! { <Splash /> },
        Session::Unreachable(fault) => {
            html! { <main class="alone"><FaultPanel fault={fault.clone()} onretry={retry} /></main> }
        }
        Session::Nobody(_) | Session::User(_) => props.children.clone(),
    };
    html! {
        <ContextProvider<SessionHandle> context={SessionHandle { now: (*state).clone(), set }}>
            {body}
        </ContextProvider<SessionHandle>>
    }
}

/// The session.
#[hook]
pub fn use_session() -> SessionHandle {
    use_context().unwrap_or_else(|| SessionHandle { now: Session::Unknown, set: Callback::noop() })
}

/// Leads to the login page, which leads back.
#[component]
pub fn ToLogin() -> Html {
    let navigator = use_navigator();
    let location = use_location();
    use_effect_with((), move |()| {
        if let (Some(navigator), Some(location)) = (navigator, location) {
            let here = format!("{}{}", location.path(), location.query_str());
            let query = query::build(&[("next", if here == "/" { String::new() } else { here })]);
            navigator.replace_with_query(&Route::Login, &query);
        }
    });
    html! { <Splash /> }
}
