//! The few things that only a browser has: storage, the document, the clipboard. Every one may be missing or refused.

use chrono::{DateTime, Utc};
use wasm_bindgen::JsCast;
use web_sys::{Document, HtmlElement, Window};

/// The window.
#[must_use]
pub fn window() -> Option<Window> {
    web_sys::window()
}

/// The document.
#[must_use]
pub fn document() -> Option<Document> {
    window()?.document()
}

/// A stored preference.
#[must_use]
pub fn stored(key: &str) -> Option<String> {
    window()?.local_storage().ok()??.get_item(key).ok()?
}

/// Stores a preference; a browser that refuses just forgets it.
pub fn store(key: &str, value: &str) {
    if let Some(storage) = window().and_then(|window| window.local_storage().ok()?) {
        let _ = storage.set_item(key, value);
    }
}

/// Sets an attribute of `<html>`.
pub fn set_root(attribute: &str, value: &str) {
    if let Some(root) = document().and_then(|document| document.document_element()) {
        let _ = root.set_attribute(attribute, value);
    }
}

/// An attribute of `<html>`.
#[must_use]
pub fn root(attribute: &str) -> Option<String> {
    document()?.document_element()?.get_attribute(attribute)
}

/// A file beside the page, or the status of the answer without one: 0 when the server did not answer.
pub async fn file(name: &str) -> Result<String, u16> {
    let answer = gloo_net::http::Request::get(name).send().await.map_err(|_| 0_u16)?;
    if !answer.ok() {
        return Err(answer.status());
    }
    answer.text().await.map_err(|_| 0)
}

/// Writes a text into a page on which nothing else is drawn.
pub fn set_body(text: &str) {
    if let Some(body) = document().and_then(|document| document.body()) {
        body.set_text_content(Some(text));
    }
}

/// Loads the page anew.
pub fn reload() {
    if let Some(window) = window() {
        let _ = window.location().reload();
    }
}

/// The language that the browser prefers.
#[must_use]
pub fn preferred_language() -> String {
    window().and_then(|window| window.navigator().language()).unwrap_or_default()
}

/// Whether the page is in the background.
#[must_use]
pub fn hidden() -> bool {
    document().is_some_and(|document| document.visibility_state() == web_sys::VisibilityState::Hidden)
}

/// Puts text on the clipboard; says whether there is one.
pub async fn copy(text: String) -> bool {
    let Some(window) = window() else { return false };
    let clipboard = window.navigator().clipboard();
    // Without HTTPS (and not on localhost) the browser has no clipboard.
    if clipboard.is_undefined() {
        return false;
    }
    wasm_bindgen_futures::JsFuture::from(clipboard.write_text(&text)).await.is_ok()
}

/// Where this page was loaded from, e.g. `https://flow.example.org`.
#[must_use]
pub fn origin() -> String {
    window().and_then(|window| window.location().origin().ok()).unwrap_or_default()
}

/// The element that has the focus.
#[must_use]
pub fn focused() -> Option<HtmlElement> {
    document()?.active_element()?.dyn_into().ok()
}

/// Gives the focus to the element of that id.
pub fn focus(id: &str) -> bool {
    let element = document().and_then(|document| document.get_element_by_id(id));
    element.and_then(|element| element.dyn_into::<HtmlElement>().ok()).is_some_and(|element| element.focus().is_ok())
}

/// Title of the tab.
pub fn set_title(title: &str) {
    if let Some(document) = document() {
        document.set_title(title);
    }
}

/// Icon of the tab: the file of that name beside the page.
pub fn set_icon(file: &str) {
    let link = document().and_then(|document| document.get_element_by_id("favicon"));
    if let Some(link) = link.and_then(|link| link.dyn_into::<web_sys::HtmlLinkElement>().ok()) {
        link.set_href(file);
    }
}

/// Name of the browser's time zone, e.g. `Europe/Berlin`; empty when it does not say.
#[must_use]
pub fn timezone() -> String {
    let format = js_sys::Intl::DateTimeFormat::new(&js_sys::Array::new(), &js_sys::Object::new());
    js_sys::Reflect::get(&format.resolved_options(), &"timeZone".into())
        .ok()
        .and_then(|name| name.as_string())
        .unwrap_or_default()
}

/// Asks whether notifications may be shown; says whether they may.
pub async fn may_notify() -> bool {
    let Ok(asked) = web_sys::Notification::request_permission() else { return false };
    let answer = wasm_bindgen_futures::JsFuture::from(asked).await.ok().and_then(|answer| answer.as_string());
    answer.as_deref() == Some("granted")
}

/// Shows a notification of the system, if that was allowed.
pub fn notify(title: &str) {
    let _ = web_sys::Notification::new(title);
}

/// The instant of a local time as its field has it, like `2026-11-21T18:34`.
#[must_use]
pub fn instant(local: &str) -> Option<DateTime<Utc>> {
    let time = js_sys::Date::new(&local.into()).get_time();
    if time.is_nan() { None } else { DateTime::from_timestamp_millis(time as i64) }
}
