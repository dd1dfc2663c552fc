//! Components that know no API: they draw what they are given.

pub mod badge;
pub mod button;
pub mod chart;
pub mod clock;
pub mod confirm;
pub mod crumbs;
pub mod dialog;
pub mod field;
pub mod icon;
pub mod log_row;
pub mod log_tools;
pub mod log_view;
pub mod mark;
pub mod menu;
pub mod once;
pub mod strip;
pub mod switch;
pub mod time;
pub mod timeline;
pub mod toast;
pub mod view;
