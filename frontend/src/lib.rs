//! The browser side of Fast-Flow.
//!
//! Imports point one way: `pages → hooks → api → shared`. `ui` draws what it is given and knows no API, `logic` is pure
//! and tested on the host, `text` holds every sentence in both languages, `providers` hold what all pages share.

mod api;
mod app;
mod browser;
mod hooks;
mod logic;
mod pages;
mod providers;
mod route;
mod router;
mod text;
mod ui;

/// Draws the application into the page.
pub fn start() {
    yew::Renderer::<app::App>::new().render();
}
