//! State that the whole application shares, one provider each. How they are nested, and why, is in `app`.

pub mod dialogs;
pub mod live;
pub mod session;
pub mod settings;
pub mod toasts;
