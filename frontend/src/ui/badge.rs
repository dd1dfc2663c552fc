//! A run's state as a dot, as a badge, and as the icon of its page. Never by colour alone.

use yew::prelude::*;

use super::icon::{Glyph, Icon};
use crate::logic::outcome::{Outcome, Tone};
use crate::text::use_text;

/// Props of the badges.
#[derive(Properties, PartialEq)]
pub struct OutcomeProps {
    /// What to show.
    pub outcome: Outcome,
}

/// Icon of an outcome.
#[must_use]
pub const fn icon(outcome: Outcome) -> Icon {
    match (outcome, outcome.tone()) {
        (Outcome::Waiting | Outcome::Queued, _) => Icon::Clock,
        (Outcome::Preparing, _) => Icon::Package,
        (Outcome::Stopping, _) => Icon::Stop,
        (_, Tone::Good) => Icon::Check,
        (_, Tone::Bad) => Icon::Cross,
        (_, Tone::Motion) => Icon::Play,
        (_, Tone::Warn | Tone::Wait) => Icon::Alert,
        (_, Tone::Quiet) => Icon::Ban,
    }
}

/// The disc with the icon; it turns while something moves.
#[component]
pub fn Disc(props: &OutcomeProps) -> Html {
    let tone = props.outcome.tone();
    if tone == Tone::Motion {
        return html! {
            <svg class={classes!("disc", "disc-motion", tone.class())} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
                <circle class="disc-track" cx="10" cy="10" r="7.500" />
                <path class="disc-arc" d="M10 2.500A7.500 7.500 0 0 1 17.500 10" />
                <circle class="disc-core" cx="10" cy="10" r="3" />
            </svg>
        };
    }
    html! {
        <span class={classes!("disc", tone.class())}><Glyph icon={icon(props.outcome)} /></span>
    }
}

/// The disc and the word.
#[component]
pub fn Badge(props: &OutcomeProps) -> Html {
    let t = use_text();
    html! {
        <span class={classes!("badge", props.outcome.tone().class())} data-testid="status">
            <Disc outcome={props.outcome} />
            <span>{t.outcome(props.outcome)}</span>
        </span>
    }
}

/// Props of [`Tag`].
#[derive(Properties, PartialEq)]
pub struct TagProps {
    /// Its text.
    pub text: AttrValue,
    /// Its colour.
    #[prop_or(Tone::Quiet)]
    pub tone: Tone,
    /// Says more on hover.
    #[prop_or_default]
    pub title: Option<AttrValue>,
}

/// A small word in a box.
#[component]
pub fn Tag(props: &TagProps) -> Html {
    html! { <span class={classes!("tag", props.tone.class())} title={props.title.clone()}>{&props.text}</span> }
}
