//! The browser's tab: its title, and an icon that tells how a run is doing.

use yew::prelude::*;

use crate::browser;

/// What the tab's icon tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TabState {
    /// Nothing special.
    Plain,
    /// Something runs.
    Running,
    /// It failed.
    Failed,
    /// It succeeded.
    Good,
}

/// Names the tab while a page is shown.
#[hook]
pub fn use_tab(title: String, state: TabState) {
    use_effect_with((title, state), move |(title, state)| {
        browser::set_title(&format!("{title} · Fast-Flow"));
        browser::set_icon(match state {
            TabState::Plain => "/favicon.svg",
            TabState::Running => "/favicon-running.svg",
            TabState::Failed => "/favicon-failed.svg",
            TabState::Good => "/favicon-good.svg",
        });
    });
}
