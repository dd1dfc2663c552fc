//! Fast-Flow's server. Rooms on floors: imports point downstairs only (`tests/floor_plan.rs` checks it).

pub mod api;
pub mod app;
pub mod audit;
pub mod auth;
pub mod catalog;
pub mod cluster;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod engine;
pub mod environments;
pub mod git;
pub mod github;
pub mod journal;
pub mod meters;
pub mod outbound;
pub mod runs;
pub mod schedule;
pub mod settings;
pub mod storage;
pub mod store;
pub mod sync;
pub mod upkeep;
pub mod vault;
