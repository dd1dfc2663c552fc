//! Floor 8: the process. What the command line offers, how messages are written, and how the rooms are wired together.

mod backup;
mod chores;
pub mod cli;
mod doctor;
mod health;
mod measure;
mod people;
mod serve;
mod telemetry;
mod validate;

pub use serve::{ServeError, rotate, serve};
