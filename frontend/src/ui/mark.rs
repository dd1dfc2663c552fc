//! The product's mark: three streams that lean into their run.

use yew::prelude::*;

/// Props of [`Mark`].
#[derive(Properties, PartialEq)]
pub struct MarkProps {
    /// Whether the name stands beside it.
    #[prop_or(true)]
    pub named: bool,
}

/// The mark, with the name.
#[component]
pub fn Mark(props: &MarkProps) -> Html {
    html! {
        <span class="mark">
            <svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">
                <path class="mark-ink" d="M8.200 4H22l-1.400 4H6.800z" />
                <path class="mark-flow" d="M4.700 10h11.300l-1.400 4H3.300z" />
                <path class="mark-ink" d="M3.400 16h6.800l-1.400 4H2z" />
            </svg>
            if props.named {
                <span class="mark-name">{"Fast-Flow"}</span>
            }
        </span>
    }
}
