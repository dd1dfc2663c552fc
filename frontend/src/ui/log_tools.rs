//! The bar above a log: search, switches, copy, download.

use yew::prelude::*;

use super::button::{Button, Look};
use super::field::typed;
use super::icon::{Icon, glyph};
use super::menu::Menu;
use crate::text::use_text;

/// Id of the search field, for the shortcut that goes there.
pub const SEARCH_ID: &str = "log-search";

/// Props of [`LogTools`].
#[derive(Properties, PartialEq)]
pub struct LogToolsProps {
    /// What is searched for.
    pub needle: AttrValue,
    /// The current hit's number, and how many there are.
    pub hits: (usize, usize),
    /// What the search says: that it looks, found nothing, or how far it is.
    pub says: AttrValue,
    /// Told of a line or a time to go to.
    pub ongo: Callback<String>,
    /// Whether that could not be understood.
    pub lost: bool,
    /// Told of what is typed.
    pub onsearch: Callback<String>,
    /// Told to go on (or back).
    pub onstep: Callback<bool>,
    /// Whether times are shown.
    pub stamps: bool,
    /// Told to change that.
    pub onstamps: Callback<()>,
    /// Whether lines are wrapped.
    pub wrap: bool,
    /// Told to change that.
    pub onwrap: Callback<()>,
    /// Told to copy.
    pub oncopy: Callback<()>,
    /// Address of the plain download.
    pub download: AttrValue,
    /// Address of the download with times.
    pub download_stamped: AttrValue,
    /// State of the connection and the way to or from the full page.
    pub children: Html,
}

/// The bar.
#[component]
pub fn LogTools(props: &LogToolsProps) -> Html {
    let t = use_text();
    let step = props.onstep.clone();
    let search = props.onsearch.clone();
    let onkeydown = Callback::from(move |event: KeyboardEvent| match event.key().as_str() {
        "Enter" => {
            event.prevent_default();
            step.emit(!event.shift_key());
        }
        "Escape" => search.emit(String::new()),
        _ => {}
    });
    let all = props.hits.1;
    let place = use_state_eq(String::new);
    let (set_place, go, wanted) = (place.setter(), props.ongo.clone(), (*place).clone());
    let onplace = Callback::from(move |event: SubmitEvent| {
        event.prevent_default();
        go.emit(wanted.clone());
    });
    let searching = !props.needle.is_empty();
    let (next, previous) = (props.onstep.clone(), props.onstep.clone());
    html! {
        <div class="log-tools" role="toolbar" aria-label={t.log.options}>
            <div class="log-search" role="search">
                {glyph(Icon::Search)}
                <input id={SEARCH_ID} type="search" class="bare" placeholder={t.log.search} aria-label={t.log.search}
                    value={props.needle.clone()} oninput={props.onsearch.reform(|event: InputEvent| typed(&event))} {onkeydown}
                    autocomplete="off" spellcheck="false" data-testid="log-search" />
                if searching {
                    <span class="log-hits num" role="status" data-testid="log-hits">
                        {&props.says}
                    </span>
                    <Button text={t.log.previous} icon={Icon::ChevronUp} icon_only=true small=true look={Look::Ghost} disabled={all == 0}
                        onclick={Callback::from(move |()| previous.emit(false))} />
                    <Button text={t.log.next} icon={Icon::ChevronDown} icon_only=true small=true look={Look::Ghost} disabled={all == 0}
                        onclick={Callback::from(move |()| next.emit(true))} />
                }
            </div>
            <div class="log-switches">
                <form class="log-go" onsubmit={onplace}>
                    <input class="input" aria-label={t.log.go_hint} placeholder={t.log.go} title={t.log.go_hint} value={(*place).clone()} autocomplete="off" spellcheck="false"
                        aria-invalid={props.lost.then_some("true")} oninput={move |event: InputEvent| set_place.set(typed(&event))} data-testid="log-go" />
                </form>
                <Button text={t.log.stamps} icon={Icon::Clock} icon_only=true small=true look={Look::Ghost} pressed={props.stamps}
                    testid="log-stamps" onclick={props.onstamps.clone()} />
                <Button text={t.log.wrap} icon={Icon::Wrap} icon_only=true small=true look={Look::Ghost} pressed={props.wrap}
                    testid="log-wrap" onclick={props.onwrap.clone()} />
                <Button text={t.log.copy} icon={Icon::Copy} icon_only=true small=true look={Look::Ghost}
                    testid="log-copy" onclick={props.oncopy.clone()} />
                <Menu label={t.log.download} class="btn btn-ghost btn-small btn-icon" testid="log-download"
                    button={html! { {glyph(Icon::Download)} }}>
                    <a class="menu-item" href={props.download.clone()} download="" data-testid="log-download-plain">{t.log.download_plain}</a>
                    <a class="menu-item" href={props.download_stamped.clone()} download="">{t.log.download_stamped}</a>
                </Menu>
                {props.children.clone()}
            </div>
        </div>
    }
}
