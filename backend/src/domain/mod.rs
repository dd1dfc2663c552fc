//! Floor 0: what the product means, as pure functions and data. No I/O, no async, no clock of its own.

pub mod calendar;
pub mod clock;
pub mod env;
pub mod error_line;
pub mod outcome;
pub mod pipeline;
pub mod repository;
pub mod run;
pub mod script;
pub mod size;
pub mod trigger;
