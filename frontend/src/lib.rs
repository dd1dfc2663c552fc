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

use gloo_timers::future::TimeoutFuture;
use providers::settings::{Settings, learn};

/// What a page says that has no texts yet, in every language there is.
const NO_TEXTS: &str = "The server does not answer; trying again. – Der Server antwortet nicht; neuer Versuch läuft.";

/// Draws the application into the page, as soon as its texts are there.
pub fn start() {
    wasm_bindgen_futures::spawn_local(async {
        while learn(Settings::read().language).await.is_err() {
            browser::set_body(NO_TEXTS);
            TimeoutFuture::new(3_000).await;
        }
        yew::Renderer::<app::App>::new().render();
    });
}
