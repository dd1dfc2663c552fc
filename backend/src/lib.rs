//! Fast-Flow's server. Rooms on floors: imports point downstairs only (`tests/floor_plan.rs` checks it).

pub mod app;
pub mod auth;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod store;
pub mod vault;
