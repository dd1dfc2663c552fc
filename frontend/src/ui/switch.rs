//! A switch: on or off, at once.

use yew::prelude::*;

/// Props of [`Switch`].
#[derive(Properties, PartialEq)]
pub struct SwitchProps {
    /// Whether it is on.
    pub on: bool,
    /// What it switches.
    pub label: AttrValue,
    /// Cannot be used now.
    #[prop_or_default]
    pub disabled: bool,
    /// Says more on hover.
    #[prop_or_default]
    pub title: Option<AttrValue>,
    /// Hook for browser tests.
    #[prop_or_default]
    pub testid: Option<AttrValue>,
    /// Told of the new position.
    pub onchange: Callback<bool>,
}

/// A switch.
#[component]
pub fn Switch(props: &SwitchProps) -> Html {
    let (on, change) = (props.on, props.onchange.clone());
    html! {
        <button type="button" role="switch" class="switch" aria-checked={if on { "true" } else { "false" }}
            aria-label={props.label.clone()} title={props.title.clone()} disabled={props.disabled}
            data-testid={props.testid.clone()} onclick={Callback::from(move |_: MouseEvent| change.emit(!on))}>
            <span class="switch-knob"></span>
        </button>
    }
}
