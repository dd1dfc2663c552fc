//! The address bar: which page is shown, going to another one, and links.
//!
//! Written for this application and not taken from `yew-router`: of that, a dozen addresses use a twentieth, and with its
//! query serializers it weighed twelve kilobytes.

use wasm_bindgen::JsCast;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;
use web_sys::{Element, Event, MouseEvent};
use yew::prelude::*;

use crate::browser;
use crate::providers::settings::ProviderProps;
use crate::route::Route;

/// Where the browser is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    path: String,
    query: String,
}

impl Location {
    fn now() -> Self {
        let Some(location) = browser::window().map(|window| window.location()) else { return Self::default() };
        Self { path: location.pathname().unwrap_or_default(), query: location.search().unwrap_or_default() }
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The query with its question mark; empty when there is none.
    #[must_use]
    pub fn query_str(&self) -> &str {
        &self.query
    }
}

/// A change of the address.
struct Step {
    url: String,
    /// Whether the back button leads to where we are now.
    keep: bool,
}

/// Goes to pages.
#[derive(Clone, PartialEq)]
pub struct Navigator(Callback<Step>);

impl Navigator {
    /// Goes to a page.
    pub fn push(&self, route: &Route) {
        self.push_with_query(route, "");
    }

    /// Goes to a page with a query.
    pub fn push_with_query(&self, route: &Route, query: &str) {
        self.0.emit(Step { url: route.url(query), keep: true });
    }

    /// Goes to a page instead of this one.
    pub fn replace(&self, route: &Route) {
        self.replace_with_query(route, "");
    }

    /// The same with a query.
    pub fn replace_with_query(&self, route: &Route, query: &str) {
        self.0.emit(Step { url: route.url(query), keep: false });
    }
}

fn go(step: &Step) {
    let Some(window) = browser::window() else { return };
    let before = Location::now().path;
    let Ok(history) = window.history() else { return };
    let url = Some(step.url.as_str());
    let done = if step.keep {
        history.push_state_with_url(&JsValue::NULL, "", url)
    } else {
        history.replace_state_with_url(&JsValue::NULL, "", url)
    };
    // Another page begins at its top, for the eyes and for the keyboard.
    if done.is_ok() && before != Location::now().path {
        window.scroll_to_with_x_and_y(0.0, 0.0);
        browser::focus("main");
    }
}

/// The address that a plain click on one of our own links leads to.
fn followed(event: &MouseEvent) -> Option<String> {
    let modified = event.meta_key() || event.ctrl_key() || event.shift_key() || event.alt_key();
    if modified || event.button() != 0 || event.default_prevented() {
        return None;
    }
    let link = event.target()?.dyn_into::<Element>().ok()?.closest("a[data-page]").ok()??;
    link.get_attribute("href")
}

/// Provides the address to all pages.
#[component]
pub fn Router(props: &ProviderProps) -> Html {
    let location = use_state_eq(Location::now);
    let setter = location.setter();
    let navigator = use_callback((), move |step: Step, ()| {
        go(&step);
        setter.set(Location::now());
    });
    let setter = location.setter();
    let onclick = navigator.clone();
    use_effect_with((), move |()| {
        let back = Closure::<dyn FnMut(Event)>::new(move |_| setter.set(Location::now()));
        let click = Closure::<dyn FnMut(MouseEvent)>::new(move |event: MouseEvent| {
            if let Some(url) = followed(&event) {
                event.prevent_default();
                onclick.emit(Step { url, keep: true });
            }
        });
        let window = browser::window();
        if let Some(window) = &window {
            let _ = window.add_event_listener_with_callback("popstate", back.as_ref().unchecked_ref());
            let _ = window.add_event_listener_with_callback("click", click.as_ref().unchecked_ref());
        }
        move || {
            if let Some(window) = window {
                let _ = window.remove_event_listener_with_callback("popstate", back.as_ref().unchecked_ref());
                let _ = window.remove_event_listener_with_callback("click", click.as_ref().unchecked_ref());
            }
        }
    });
    html! {
        <ContextProvider<Navigator> context={Navigator(navigator)}>
            <ContextProvider<Location> context={(*location).clone()}>{props.children.clone()}</ContextProvider<Location>>
        </ContextProvider<Navigator>>
    }
}

/// Goes to pages.
#[hook]
pub fn use_navigator() -> Option<Navigator> {
    use_context()
}

/// Where the browser is.
#[hook]
pub fn use_location() -> Option<Location> {
    use_context()
}

/// The page that is shown.
#[hook]
pub fn use_route() -> Route {
    use_location().map_or(Route::Lost, |location| Route::recognize(location.path()))
}

/// Props of [`Link`].
#[derive(Properties, PartialEq)]
pub struct LinkProps {
    /// Where it leads.
    pub to: Route,
    /// The query there, without a question mark.
    #[prop_or_default]
    pub query: AttrValue,
    /// Classes.
    #[prop_or_default]
    pub classes: Classes,
    /// Whether it leads to what is shown now, as `aria-current` says it.
    #[prop_or_default]
    pub current: bool,
    /// Hook for browser tests.
    #[prop_or_default]
    pub testid: Option<AttrValue>,
    /// What it says.
    #[prop_or_default]
    pub children: Html,
}

/// A link to a page: a real one, that can be opened in another tab; [`Router`] takes the plain click.
#[component]
pub fn Link(props: &LinkProps) -> Html {
    html! {
        <a href={props.to.url(&props.query)} class={props.classes.clone()} data-page="" data-testid={props.testid.clone()}
            aria-current={props.current.then_some("page")}>{props.children.clone()}</a>
    }
}
