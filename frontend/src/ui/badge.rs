//! A run's state as a dot, as a badge, and as the icon of its page. Never by colour alone.

use yew::prelude::*;

use super::icon::{Icon, glyph};
use crate::logic::format::short_commit;
use crate::logic::outcome::{Outcome, Tone};
use crate::text::Texts;

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
pub fn disc(outcome: Outcome) -> Html {
    let tone = outcome.tone();
    if tone == Tone::Motion {
        return html! {
            <svg class={classes!("disc", "disc-motion", tone.class())} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
                <circle class="disc-track" cx="10" cy="10" r="7.5" />
                <path class="disc-arc" d="M10 2.5A7.5 7.5 0 0 1 17.5 10" />
                <circle class="disc-core" cx="10" cy="10" r="3" />
            </svg>
        };
    }
    html! { <span class={classes!("disc", tone.class())}>{glyph(icon(outcome))}</span> }
}

/// The disc and the word.
pub fn badge(outcome: Outcome, t: &'static Texts) -> Html {
    html! {
        <span class={classes!("badge", outcome.tone().class())} data-testid="status">
            {disc(outcome)}
            <span>{t.outcome(outcome)}</span>
        </span>
    }
}

/// A small word in a box.
pub fn tag(text: impl Into<AttrValue>, tone: Tone) -> Html {
    html! { <span class={classes!("tag", tone.class())}>{text.into()}</span> }
}

/// A commit, as a link where its host has a page for it.
pub fn commit_link(commit: &str, page: Option<&String>) -> Html {
    let code = html! { <code>{short_commit(commit)}</code> };
    match page {
        Some(page) => {
            html! { <a class="link" href={page.clone()} target="_blank" rel="noopener noreferrer" data-testid="commit">{code}</a> }
        }
        None => code,
    }
}
