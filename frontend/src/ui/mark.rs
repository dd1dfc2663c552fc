//! The product's mark: three streams that lean into their run.

use yew::prelude::*;

/// The mark, with or without the name.
pub fn mark(named: bool) -> Html {
    html! {
        <span class="mark">
            <svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">
                <path class="mark-ink" d="M8.2 4H22l-1.4 4H6.8z" />
                <path class="mark-flow" d="M4.7 10h11.3l-1.4 4H3.3z" />
                <path class="mark-ink" d="M3.4 16h6.8l-1.4 4H2z" />
            </svg>
            if named {
                <span class="mark-name">{"Fast-Flow"}</span>
            }
        </span>
    }
}
