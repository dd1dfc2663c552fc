//! The harness of the stories: a real server on data of its own, and the eyes of those who use it.
//!
//! | module | what it gives a story |
//! |---|---|
//! | `server`, `options` | a server that can be started, killed, stopped and started again on the same data |
//! | `pipelines` | pipelines written by the story, or taken from `examples/` |
//! | `client`, `sse`, `viewer` | HTTP as a program speaks it; event streams; somebody who watches a log |
//! | `docker`, `postgres`, `browser` | what stands around the server |
//! | `looks`, `showcase`, `compare` | how a page is looked at, a server that is worth it, and what it should look like |
//! | `git`, `http`, `authority` | repositories, who serves them, and who vouches for that |
//! | `python` | a mirror of interpreters |
//! | `daemon`, `proxy` | a Docker that can be stopped; a door to Docker or a database that can be shut |
//! | `place`, `sweep` | where everything lies; cleaning up after test processes that were killed |
//! | `bench` | Docker without us, for `make bench` |
//! | `wait` | deadlines: nothing here sleeps for a result |
//!
//! A story **fails** when Docker, PostgreSQL or Chromium is missing. It never skips.

pub mod authority;
pub mod bench;
pub mod browser;
pub mod client;
pub mod compare;
pub mod daemon;
pub mod docker;
pub mod git;
pub mod http;
pub mod looks;
pub mod options;
pub mod pipelines;
pub mod place;
pub mod postgres;
pub mod proxy;
pub mod python;
pub mod server;
pub mod showcase;
pub mod sse;
mod sweep;
pub mod viewer;
pub mod wait;
mod warm;

pub use client::{Answer, Client};
pub use options::Options;
pub use server::Server;
pub use viewer::Viewer;
