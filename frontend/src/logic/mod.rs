//! Pure logic: no browser, no network, no clock of its own. All of it is tested on the host.

pub mod ansi;
pub mod chart;
pub mod fault;
pub mod fold;
pub mod format;
pub mod fuzzy;
pub mod highlight;
pub mod load;
pub mod log_model;
pub mod log_search;
pub mod outcome;
pub mod place;
pub mod plain;
pub mod query;
pub mod time;
pub mod year;
