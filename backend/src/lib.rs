//! Fast-Flow's server, room by room; see `docs/architecture.md` for the floor plan.

pub mod engine;
