//! Asks before something is destroyed; what is gone for good wants its name typed.

use yew::prelude::*;

use super::button::{Button, Look};
use super::dialog::Dialog;
use super::field::{Field, typed};
use crate::text::use_text;

/// What to ask.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Question {
    /// The question.
    pub title: AttrValue,
    /// What will happen.
    pub lead: AttrValue,
    /// What the button that does it says.
    pub yes: AttrValue,
    /// What the other one says, when “Cancel” would be ambiguous.
    pub no: Option<AttrValue>,
    /// A name to be typed first.
    pub name: Option<AttrValue>,
    /// Told of a yes.
    pub then: Callback<()>,
}

impl Question {
    /// A click that asks this first; a yes tells `go` the `id`.
    pub fn before(self, ask: &Callback<Self>, go: &Callback<String>, id: &str) -> Callback<()> {
        let id = id.to_owned();
        let question = Self { then: go.reform(move |()| id.clone()), ..self };
        ask.reform(move |()| question.clone())
    }
}

/// Props of [`Confirm`].
#[derive(Properties, PartialEq)]
pub struct ConfirmProps {
    /// What to ask.
    pub question: Question,
    /// Told when it is over.
    pub onclose: Callback<()>,
}

/// The dialog.
#[component]
pub fn Confirm(props: &ConfirmProps) -> Html {
    let t = use_text();
    let name = use_state_eq(String::new);
    let question = &props.question;
    let agreed = question.name.as_ref().is_none_or(|wanted| wanted.as_str() == name.trim());
    let (then, close) = (question.then.clone(), props.onclose.clone());
    let onsubmit = Callback::from(move |event: SubmitEvent| {
        event.prevent_default();
        if agreed {
            close.emit(());
            then.emit(());
        }
    });
    let set = name.setter();
    let no = question.no.clone().unwrap_or(AttrValue::Static(t.common.cancel));
    html! {
        <Dialog title={question.title.clone()} onclose={props.onclose.clone()} testid="confirm">
            <form {onsubmit}>
                <p class="dialog-lead">{&question.lead}</p>
                if let Some(wanted) = &question.name {
                    <Field id="confirm-name" label={t.common.confirm_type(wanted)}>
                        <input id="confirm-name" class="input mono" value={(*name).clone()} autofocus=true autocomplete="off"
                            oninput={move |event: InputEvent| set.set(typed(&event))} data-testid="confirm-name" />
                    </Field>
                }
                <footer class="dialog-foot">
                    <Button text={no} onclick={props.onclose.clone()} />
                    <Button text={question.yes.clone()} look={Look::Danger} submit=true disabled={!agreed} testid="confirm-yes" />
                </footer>
            </form>
        </Dialog>
    }
}
