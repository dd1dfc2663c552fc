//! How a page is looked at: its width, its theme, its language, its clock, and whether it has come to rest.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::browser::Browser;
use crate::wait::{PATIENCE, until};

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Light, Self::Dark];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// A desk and a phone, in CSS pixels.
pub const WIDTHS: [u32; 2] = [1440, 390];

/// Whether nothing is on its way any more: no skeleton, no animation, every font there.
const AT_REST: &str = "if (document.querySelector('.skeleton, .splash') || document.fonts.status !== 'loaded') return false;\
    document.getAnimations().forEach(one => { try { one.finish() } catch { one.cancel() } });\
    if (document.getAnimations().some(one => one instanceof CSSTransition)) return false;\
    return document.readyState === 'complete' && document.querySelector('h1') !== null";

/// The browser's clock stands still at `AT`, for pages say how long ago something was.
const CLOCK: &str = "{ const At = AT, Real = Date; const Fixed = class extends Real {\
    constructor(...all) { if (all.length) super(...all); else super(At); } static now() { return At; } };\
    window.Date = Fixed; }";

impl Browser {
    /// Takes on a width and a theme, as if the window and the system had them; also on a page that is shown already. Nothing
    /// moves that need not.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn wear(&self, width: u32, theme: Theme) {
        let height = height(width);
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.tools("Emulation.setDeviceMetricsOverride", size).await;
        let features = json!([{ "name": "prefers-color-scheme", "value": theme.name() },
            { "name": "prefers-reduced-motion", "value": "reduce" }]);
        self.tools("Emulation.setEmulatedMedia", json!({ "features": features })).await;
        let worn = format!("return matchMedia('(prefers-color-scheme: {})').matches", theme.name());
        until("the page to have taken on its look", PATIENCE, async || (self.run(&worn).await == true).then_some(()))
            .await;
    }

    /// Lets the clocks of all pages from now on stand still, in UTC.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn freeze(&self, at: DateTime<Utc>) {
        self.before_each_page(&CLOCK.replace("AT,", &format!("{},", at.timestamp_millis()))).await;
        self.tools("Emulation.setTimezoneOverride", json!({ "timezoneId": "UTC" })).await;
    }

    /// Waits until a page has nothing on its way any more.
    pub async fn rest(&self) {
        until("the page to come to rest", PATIENCE, async || (self.run(AT_REST).await == true).then_some(())).await;
    }

    /// Waits until no element has this selector any more.
    ///
    /// # Panics
    /// When one stays.
    pub async fn gone(&self, css: &str) {
        let count = format!("return document.querySelectorAll({}).length", json!(css));
        until(&format!("{css} to be gone"), PATIENCE, async || (self.run(&count).await == 0).then_some(())).await;
    }

    /// Brings an element to the middle of the window, as a thumb does, and clicks on it: on a phone bars lie over both edges.
    ///
    /// # Panics
    /// When there is none.
    pub async fn tap(&self, css: &str) {
        self.find_css(css).await;
        self.run(&format!("document.querySelector({})?.scrollIntoView({{ block: 'center' }})", json!(css))).await;
        self.click(css).await;
    }

    /// How far the page is wider than the window.
    pub async fn overhang(&self) -> i64 {
        let over = self.run("return document.documentElement.scrollWidth - window.innerWidth").await;
        over.as_i64().unwrap_or(i64::MAX)
    }

    /// Presses keys, wherever the focus is.
    ///
    /// # Panics
    /// When the browser is gone.
    pub async fn press(&self, keys: &str) {
        let place = self.page.active_element().await.expect("something has the focus, if only the page");
        place.send_keys(keys).await.expect("keys are pressed");
    }
}

/// Height of a window that is so wide.
#[must_use]
pub const fn height(width: u32) -> u32 {
    if width < 500 { 844 } else { 900 }
}
