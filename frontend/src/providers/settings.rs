//! What a person likes: language, theme, how logs look. Kept in this browser.

use wasm_bindgen_futures::spawn_local;
use yew::prelude::*;

use crate::browser;
use crate::text::Language;

/// Light, dark, or as the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// As the system says.
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

impl Theme {
    /// Every theme, in the order a switch goes through them.
    pub const ALL: [Self; 3] = [Self::System, Self::Light, Self::Dark];

    /// Its name in the document and in storage.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::System => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::System,
        }
    }
}

/// The preferences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Language.
    pub language: Language,
    /// Theme.
    pub theme: Theme,
    /// Whether log lines show their time.
    pub log_stamps: bool,
    /// Whether long log lines are wrapped.
    pub log_wrap: bool,
}

/// Makes sure that the texts of a language are there; fails with the status of the answer that has none.
///
/// # Errors
/// When the server does not answer (0) or does not have the file: it is of another version than this page.
pub async fn learn(language: Language) -> Result<(), u16> {
    if language.known().is_none() {
        let name = browser::root(&format!("data-texts-{}", language.tag())).unwrap_or_default();
        language.learn(browser::file(&name).await?);
    }
    Ok(())
}

impl Settings {
    /// As this browser has stored them.
    #[must_use]
    pub fn read() -> Self {
        let stored = |key: &str| browser::stored(&format!("fastflow.{key}"));
        let theme = stored("theme").unwrap_or_default();
        Self {
            language: Language::from_tag(&stored("language").unwrap_or_else(browser::preferred_language)),
            theme: Theme::ALL.into_iter().find(|t| t.name() == theme).unwrap_or(Theme::System),
            log_stamps: stored("log_stamps").as_deref() == Some("true"),
            log_wrap: stored("log_wrap").as_deref() != Some("false"),
        }
    }

    fn apply(self) {
        browser::set_root("lang", self.language.tag());
        browser::set_root("data-theme", self.theme.name());
    }

    fn write(self) {
        let store = |key: &str, value: &str| browser::store(&format!("fastflow.{key}"), value);
        store("language", self.language.tag());
        store("theme", self.theme.name());
        store("log_stamps", &self.log_stamps.to_string());
        store("log_wrap", &self.log_wrap.to_string());
    }
}

/// The preferences and a way to change them.
#[derive(Clone, PartialEq)]
pub struct SettingsHandle {
    /// As they are.
    pub now: Settings,
    /// Replaces them.
    pub set: Callback<Settings>,
}

/// Props of a provider.
#[derive(Properties, PartialEq)]
pub struct ProviderProps {
    /// What it serves.
    pub children: Html,
}

/// Provides the preferences, and the language as a context of its own for [`crate::text::use_text`].
#[component]
pub fn SettingsProvider(props: &ProviderProps) -> Html {
    let state = use_state(|| {
        let settings = Settings::read();
        settings.apply();
        settings
    });
    let setter = state.setter();
    let set = use_callback((), move |settings: Settings, ()| {
        let setter = setter.clone();
        spawn_local(async move {
            match learn(settings.language).await {
                // Without an answer it stays as it is, and can be tried again.
                Err(0) => return,
                // The page of the server that is there now has texts that fit.
                Err(_) => browser::reload(),
                Ok(()) => {}
            }
            settings.apply();
            settings.write();
            setter.set(settings);
        });
    });
    let handle = SettingsHandle { now: *state, set };
    html! {
        <ContextProvider<SettingsHandle> context={handle}>
            <ContextProvider<Language> context={state.language}>
                {props.children.clone()}
            </ContextProvider<Language>>
        </ContextProvider<SettingsHandle>>
    }
}

/// The preferences.
#[hook]
pub fn use_settings() -> SettingsHandle {
    let fallback = use_memo((), |()| SettingsHandle { now: Settings::read(), set: Callback::noop() });
    use_context().unwrap_or_else(|| (*fallback).clone())
}
