//! Fast-Flow's server. Rooms on floors: imports point downstairs only (`tests/floor_plan.rs` checks it).

pub mod catalog;
pub mod domain;
pub mod engine;
pub mod environments;
pub mod git;
