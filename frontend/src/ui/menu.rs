//! A small menu under a button. It closes when the focus leaves it, on Escape, and on a choice.

use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, Node};
use yew::prelude::*;

use super::icon::{Icon, glyph, glyph_with};

/// Props of [`Menu`].
#[derive(Properties, PartialEq)]
pub struct MenuProps {
    /// Label of its button.
    pub label: AttrValue,
    /// What the button shows.
    pub button: Html,
    /// Classes of the button.
    #[prop_or_default]
    pub class: Classes,
    /// Whether it opens upwards.
    #[prop_or_default]
    pub up: bool,
    /// Whether a choice leaves it open.
    #[prop_or_default]
    pub stays: bool,
    /// Hook for browser tests.
    #[prop_or_default]
    pub testid: Option<AttrValue>,
    /// Its entries.
    pub children: Html,
}

/// A menu.
#[component]
pub fn Menu(props: &MenuProps) -> Html {
    let open = use_state_eq(|| false);
    let root = use_node_ref();
    let button = use_node_ref();
    let toggle = {
        let (set, on) = (open.setter(), *open);
        Callback::from(move |_: MouseEvent| set.set(!on))
    };
    let onfocusout = {
        let (set, root) = (open.setter(), root.clone());
        Callback::from(move |event: FocusEvent| {
            let to = event.related_target().and_then(|target| target.dyn_into::<Node>().ok());
            let stays = root.cast::<Node>().is_some_and(|root| root.contains(to.as_ref()));
            // Without a target the focus went nowhere, as after a click on bare ground: close as well.
            if !stays {
                set.set(false);
            }
        })
    };
    let onkeydown = {
        let (set, button, on) = (open.setter(), button.clone(), *open);
        Callback::from(move |event: KeyboardEvent| {
            if on && event.key() == "Escape" {
                event.stop_propagation();
                set.set(false);
                button.cast::<HtmlElement>().map(|button| button.focus());
            }
        })
    };
    let onchoice = {
        let (set, stays) = (open.setter(), props.stays);
        Callback::from(move |_: MouseEvent| {
            if !stays {
                set.set(false);
            }
        })
    };
    html! {
        <div ref={root} class="menu" {onfocusout} {onkeydown}>
            <button ref={button} type="button" class={props.class.clone()} aria-label={props.label.clone()} title={props.label.clone()}
                aria-haspopup="true" aria-expanded={if *open { "true" } else { "false" }} onclick={toggle}
                data-testid={props.testid.clone()}>
                {props.button.clone()}
            </button>
            if *open {
                // Focusable, so that a click on its ground does not count as leaving it.
                <div class={classes!("menu-sheet", props.up.then_some("menu-up"))} tabindex="-1" onclick={onchoice}>
                    {props.children.clone()}
                </div>
            }
        </div>
    }
}

/// Props of [`MenuButton`].
#[derive(Properties, PartialEq)]
pub struct MenuButtonProps {
    /// What it says.
    pub text: AttrValue,
    /// What it shows.
    #[prop_or_default]
    pub icon: Option<Icon>,
    /// Whether it is the chosen one.
    #[prop_or_default]
    pub chosen: bool,
    /// Hook for browser tests.
    #[prop_or_default]
    pub testid: Option<AttrValue>,
    /// Told of a click.
    pub onclick: Callback<()>,
}

/// An entry of a menu.
#[component]
pub fn MenuButton(props: &MenuButtonProps) -> Html {
    html! {
        <button type="button" class="menu-item" aria-current={props.chosen.then_some("true")} data-testid={props.testid.clone()}
            onclick={props.onclick.reform(|_| ())}>
            if let Some(icon) = props.icon {
                {glyph(icon)}
            }
            <span>{&props.text}</span>
            if props.chosen {
                {glyph_with(Icon::Check, "menu-check")}
            }
        </button>
    }
}
