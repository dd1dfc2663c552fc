//! Floor 0: what the product means, as pure functions and data. No I/O, no async, no clock of its own.

pub mod clock;
pub mod env;
pub mod error_line;
pub mod forwarded;
pub mod origin;
pub mod outcome;
pub mod password;
pub mod pipeline;
pub mod repository;
pub mod run;
pub mod schema;
pub mod script;
pub mod size;
pub mod trigger;
