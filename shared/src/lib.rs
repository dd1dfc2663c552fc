//! What the server and the browser say to each other: DTOs and routes, each written once.
//!
//! Every type is plain data with serde; the feature `openapi` adds its schema for the server's document.
//! Names in Rust, in JSON and in the OpenAPI document are the same, so nothing can drift: no field is renamed.

mod audit;
mod auth;
mod environment;
pub mod json;
mod log;
mod metrics;
mod page;
mod people;
mod pipeline;
mod problem;
pub mod routes;
mod run;
mod schedule;
mod secret;
mod setting;
mod source;
mod storage;
mod sync;
mod system;

pub use audit::*;
pub use auth::*;
pub use environment::*;
pub use log::*;
pub use metrics::*;
pub use page::*;
pub use people::*;
pub use pipeline::*;
pub use problem::*;
pub use run::*;
pub use schedule::*;
pub use secret::*;
pub use setting::*;
pub use source::*;
pub use storage::*;
pub use sync::*;
pub use system::*;
