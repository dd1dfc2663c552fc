//! Native dialogs: the browser keeps the focus inside, closes on Escape and gives the focus back.

use wasm_bindgen::JsCast;
use web_sys::HtmlDialogElement;
use yew::prelude::*;

use super::button::{Button, Look};
use super::icon::Icon;
use crate::browser;
use crate::text::use_text;

/// Props of [`Dialog`].
#[derive(Properties, PartialEq)]
pub struct DialogProps {
    /// Its heading.
    pub title: AttrValue,
    /// Whether the heading is only for screen readers.
    #[prop_or_default]
    pub bare: bool,
    /// More classes.
    #[prop_or_default]
    pub class: Classes,
    /// Hook for browser tests.
    #[prop_or_default]
    pub testid: Option<AttrValue>,
    /// Told when it is to be closed.
    pub onclose: Callback<()>,
    /// What is in it.
    pub children: Html,
}

/// A modal dialog; it is open as long as it is drawn.
#[component]
pub fn Dialog(props: &DialogProps) -> Html {
    let t = use_text();
    let node = use_node_ref();
    let shown = node.clone();
    use_effect_with((), move |()| {
        let before = browser::focused();
        let dialog = shown.cast::<HtmlDialogElement>();
        if let Some(dialog) = dialog.as_ref().filter(|dialog| !dialog.open()) {
            let _ = dialog.show_modal();
        }
        move || {
            dialog.inspect(HtmlDialogElement::close);
            before.map(|element| element.focus());
        }
    });
    let close = props.onclose.clone();
    let oncancel = Callback::from(move |event: Event| {
        event.prevent_default();
        close.emit(());
    });
    let close = props.onclose.clone();
    let onclick = Callback::from(move |event: MouseEvent| {
        // A click on the dialog itself and not on what is in it is a click on the backdrop.
        let on_backdrop = event.target().is_some_and(|target| target.dyn_ref::<HtmlDialogElement>().is_some());
        if on_backdrop {
            close.emit(());
        }
    });
    html! {
        <dialog ref={node} class={classes!("dialog", props.class.clone())} {oncancel} onmousedown={onclick}
            aria-label={props.title.clone()} data-testid={props.testid.clone()}>
            <div class="dialog-in">
                if !props.bare {
                    <header class="dialog-head">
                        <h2>{&props.title}</h2>
                        <Button text={t.common.close} icon={Icon::Close} icon_only=true look={Look::Ghost}
                            onclick={props.onclose.clone()} />
                    </header>
                }
                {props.children.clone()}
            </div>
        </dialog>
    }
}
