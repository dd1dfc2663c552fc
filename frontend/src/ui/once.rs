//! A password or token that is shown once.

use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use super::button::{Button, Look};
use super::dialog::Dialog;
use super::icon::Icon;
use crate::browser;
use crate::text::use_text;

/// Props of [`Once`].
#[derive(Properties, PartialEq)]
pub struct OnceProps {
    /// Whose or what it is.
    pub title: AttrValue,
    /// That it is shown once.
    pub lead: AttrValue,
    /// The text itself.
    pub text: AttrValue,
    /// Told when it is over.
    pub onclose: Callback<()>,
}

/// The dialog.
#[component]
pub fn Once(props: &OnceProps) -> Html {
    let t = use_text();
    let copied = use_state_eq(|| false);
    let (text, set) = (props.text.to_string(), copied.setter());
    let oncopy = Callback::from(move |()| {
        let (text, set) = (text.clone(), set.clone());
        spawn_local(async move { set.set(browser::copy(text).await) });
    });
    html! {
        <Dialog title={props.title.clone()} onclose={props.onclose.clone()} testid="once">
            <p class="dialog-lead">{&props.lead}</p>
            <p><code class="once" data-testid="once-text">{&props.text}</code></p>
            <footer class="dialog-foot">
                <Button text={if *copied { t.common.copied } else { t.common.copy }} icon={Icon::Copy} onclick={oncopy} />
                <Button text={t.common.close} look={Look::Primary} testid="once-close" onclick={props.onclose.clone()} />
            </footer>
        </Dialog>
    }
}
