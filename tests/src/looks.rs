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

/// A person as the product meets them: what they read, in which light, on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// Language of their browser.
    pub language: &'static str,
    /// Theme of their system.
    pub theme: Theme,
    /// Width of their window.
    pub width: u32,
}

impl Variant {
    /// All eight: two languages, two themes, two widths.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let languages = ["en-US", "de-DE"].into_iter();
        let themes = languages.flat_map(|language| Theme::ALL.map(|theme| (language, theme)));
        themes.flat_map(|(language, theme)| WIDTHS.map(|width| Self { language, theme, width })).collect()
    }

    /// Whether the window is a phone's.
    #[must_use]
    pub const fn is_phone(self) -> bool {
        self.width < 500
    }

    /// The one of two texts that is in their language.
    #[must_use]
    pub fn says(self, english: &'static str, german: &'static str) -> &'static str {
        if self.language.starts_with("de") { german } else { english }
    }

    /// Like `de-dark-390`, for names of files.
    #[must_use]
    pub fn name(self) -> String {
        format!("{}-{}-{}", self.says("en", "de"), self.theme.name(), self.width)
    }
}

/// Whether nothing is on its way any more: no skeleton, no animation, every font there.
const AT_REST: &str = "if (document.querySelector('.skeleton, .splash') || document.fonts.status !== 'loaded') return false;\
    document.getAnimations().forEach(one => { try { one.finish() } catch { one.cancel() } });\
    if (document.getAnimations().some(one => one instanceof CSSTransition)) return false;\
    return document.readyState === 'complete' && document.querySelector('h1') !== null";

/// What can be seen of a page's language, theme and width.
const SUITS: &str = "const nav = document.querySelector('.side-nav')?.getBoundingClientRect();\
    const paper = getComputedStyle(document.documentElement).backgroundColor.match(/[\\d.]+/g).slice(0, 3).map(Number);\
    return { language: document.documentElement.lang, paper: paper.reduce((a, b) => a + b) / 3,\
    over: document.documentElement.scrollWidth - innerWidth, below: nav ? nav.top > innerHeight / 2 : null }";

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

    /// Becomes another person's browser, for all pages from now on: language, theme, width.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn become_one_of(&self, variant: Variant) {
        let agent = self.run("return navigator.userAgent").await;
        let speaks = json!({ "userAgent": agent, "acceptLanguage": variant.language });
        self.tools("Emulation.setUserAgentOverride", speaks).await;
        self.wear(variant.width, variant.theme).await;
    }

    /// Whether the page that is shown is what such a person must see: their language, their theme, nothing beyond their
    /// window's edge, and the navigation where they look for it.
    ///
    /// # Panics
    /// When it is not.
    pub async fn suits(&self, variant: Variant, page: &str) {
        let found = self.run(SUITS).await;
        let place = format!("{page} as {}", variant.name());
        assert_eq!(found["language"], variant.says("en", "de"), "{place}: the page's language");
        let light = found["paper"].as_f64().expect("a colour");
        assert_eq!(light > 127.0, variant.theme == Theme::Light, "{place}: the page's background is {light} of 255");
        assert!(found["over"].as_i64().is_some_and(|over| over <= 0), "{place}: scrolls sideways: {found}");
        if let Some(below) = found["below"].as_bool() {
            assert_eq!(below, variant.is_phone(), "{place}: the navigation is at the side on a desk, below on a phone");
        }
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
