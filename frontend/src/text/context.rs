//! The language as a context, so that a component asks for its texts instead of being handed them.

use yew::prelude::*;

use super::{Language, Texts};

/// The texts of the chosen language.
#[hook]
pub fn use_text() -> &'static Texts {
    use_context::<Language>().unwrap_or(Language::English).texts()
}
