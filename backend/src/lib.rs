//! Fast-Flow's server: the rooms of the house, see `docs/architecture.md`.

pub mod journal;
