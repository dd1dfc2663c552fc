//! The server, as functions: one per call, typed by the shared DTOs. Nothing else in this crate opens a connection.

mod calls;
mod client;
mod kept;
pub mod stream;

pub use calls::*;
pub use client::{Ask, Coming, on_signed_out};
pub use kept::{forget, keep, kept};
