//! Buttons and links that look like them.

use yew::prelude::*;

use super::icon::{Icon, glyph};

/// How a button looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Look {
    /// With a border.
    #[default]
    Plain,
    /// The one thing to do.
    Primary,
    /// Without a border.
    Ghost,
    /// Destroys.
    Danger,
}

impl Look {
    const fn class(self) -> &'static str {
        match self {
            Self::Plain => "btn",
            Self::Primary => "btn btn-primary",
            Self::Ghost => "btn btn-ghost",
            Self::Danger => "btn btn-danger",
        }
    }
}

/// Props of [`Button`].
#[derive(Properties, PartialEq)]
pub struct ButtonProps {
    /// What it says; an icon alone needs it as well, for it is its label.
    pub text: AttrValue,
    /// What it shows.
    #[prop_or_default]
    pub icon: Option<Icon>,
    /// Whether only the icon is seen.
    #[prop_or_default]
    pub icon_only: bool,
    /// How it looks.
    #[prop_or_default]
    pub look: Look,
    /// Smaller.
    #[prop_or_default]
    pub small: bool,
    /// Whether what it ordered is on its way.
    #[prop_or_default]
    pub busy: bool,
    /// Cannot be used now.
    #[prop_or_default]
    pub disabled: bool,
    /// For a switch: whether it is on.
    #[prop_or_default]
    pub pressed: Option<bool>,
    /// Says more on hover.
    #[prop_or_default]
    pub title: Option<AttrValue>,
    /// Hook for browser tests.
    #[prop_or_default]
    pub testid: Option<AttrValue>,
    /// Whether it sends its form.
    #[prop_or_default]
    pub submit: bool,
    /// More classes.
    #[prop_or_default]
    pub class: Classes,
    /// Told of a click.
    #[prop_or_default]
    pub onclick: Callback<()>,
}

/// A button.
#[component]
pub fn Button(props: &ButtonProps) -> Html {
    let onclick = props.onclick.reform(|event: MouseEvent| event.stop_propagation());
    let title = props.title.clone().or_else(|| props.icon_only.then(|| props.text.clone()));
    let class = classes!(
        props.look.class(),
        props.small.then_some("btn-small"),
        props.icon_only.then_some("btn-icon"),
        props.busy.then_some("is-busy"),
        props.class.clone()
    );
    html! {
        <button
            type={if props.submit { "submit" } else { "button" }}
            {class} {title} disabled={props.disabled}
            aria-busy={props.busy.then_some("true")}
            aria-pressed={props.pressed.map(|on| if on { "true" } else { "false" })}
            aria-label={props.icon_only.then(|| props.text.clone())}
            data-testid={props.testid.clone()}
            onclick={if props.submit { Callback::noop() } else { onclick }}
        >
            if let Some(icon) = props.icon {
                {glyph(icon)}
            }
            if !props.icon_only {
                <span>{&props.text}</span>
            }
        </button>
    }
}
