//! Floor 0: what the product means, as pure functions and data. No I/O, no async, no clock of its own.

pub mod budget;
pub mod calendar;
pub mod clock;
pub mod cron;
pub mod env;
pub mod error_line;
pub mod firing;
pub mod forwarded;
pub mod mask;
pub mod origin;
pub mod outcome;
pub mod parameters;
pub mod password;
pub mod pipeline;
pub mod repository;
pub mod retention;
pub mod run;
pub mod schedules;
pub mod schema;
pub mod script;
pub mod simulate;
pub mod size;
pub mod trigger;
pub mod trigger_words;
pub mod tuning;
pub mod zone;
