//! Form fields: a label, a control, a hint, and what is wrong with it.

use wasm_bindgen::JsCast;
use web_sys::{HtmlInputElement, HtmlSelectElement, HtmlTextAreaElement};
use yew::prelude::*;

/// Text of an input or a text area after an event.
#[must_use]
pub fn typed(event: &InputEvent) -> String {
    let Some(target) = event.target() else { return String::new() };
    if let Some(input) = target.dyn_ref::<HtmlInputElement>() {
        return input.value();
    }
    target.dyn_ref::<HtmlTextAreaElement>().map(HtmlTextAreaElement::value).unwrap_or_default()
}

/// Value of a select after an event.
#[must_use]
pub fn chosen(event: &Event) -> String {
    let select = event.target().and_then(|target| target.dyn_into::<HtmlSelectElement>().ok());
    select.map(|select| select.value()).unwrap_or_default()
}

/// Text of an input when its change is over.
#[must_use]
pub fn entered(event: &Event) -> String {
    let input = event.target().and_then(|target| target.dyn_into::<HtmlInputElement>().ok());
    input.map(|input| input.value()).unwrap_or_default()
}

/// Props of [`Field`].
#[derive(Properties, PartialEq)]
pub struct FieldProps {
    /// Id of the control, for its label.
    pub id: AttrValue,
    /// Its label.
    pub label: AttrValue,
    /// What to know before filling it in.
    #[prop_or_default]
    pub hint: Option<AttrValue>,
    /// What is wrong with it.
    #[prop_or_default]
    pub wrong: Option<AttrValue>,
    /// The control.
    pub children: Html,
}

/// A control with its label.
#[component]
pub fn Field(props: &FieldProps) -> Html {
    html! {
        <div class="field">
            <label for={props.id.clone()}>{&props.label}</label>
            {props.children.clone()}
            if let Some(wrong) = &props.wrong {
                <p class="field-wrong" role="alert">{wrong}</p>
            } else if let Some(hint) = &props.hint {
                <p class="field-hint">{hint}</p>
            }
        </div>
    }
}

/// Props of [`Choice`].
#[derive(Properties, PartialEq)]
pub struct ChoiceProps {
    /// What it chooses.
    pub label: AttrValue,
    /// Value and text of each option.
    pub options: Vec<(AttrValue, AttrValue)>,
    /// The chosen one.
    pub value: AttrValue,
    /// Hook for browser tests.
    #[prop_or_default]
    pub testid: Option<AttrValue>,
    /// Told of a choice.
    pub onchange: Callback<String>,
}

/// A select without a visible label: its first option says what it chooses.
#[component]
pub fn Choice(props: &ChoiceProps) -> Html {
    let narrow = !props.value.is_empty();
    html! {
        <select class={classes!("select", narrow.then_some("is-set"))} aria-label={props.label.clone()}
            data-testid={props.testid.clone()} onchange={props.onchange.reform(|event: Event| chosen(&event))}>
            {for props.options.iter().map(|(value, text)| html! {
                <option value={value.clone()} selected={*value == props.value}>{text}</option>
            })}
        </select>
    }
}
