//! What pages do with the server: load, keep fresh, act, follow a log.

mod use_action;
mod use_again;
mod use_live;
mod use_load;
mod use_log;
mod use_log_search;
mod use_page;
mod use_pipelines;

pub use use_action::{Action, use_action, use_form_action};
pub use use_again::use_again;
pub use use_live::use_live;
pub use use_load::{Loaded, use_load};
pub use use_log::{OnSamples, Part, use_log};
pub use use_log_search::use_log_search;
pub use use_page::{TabState, use_tab};
pub use use_pipelines::use_pipelines;
