//! Every address of the application.

use yew_router::prelude::*;

/// A page.
#[derive(Debug, Clone, PartialEq, Eq, Routable)]
pub enum Route {
    /// What runs, and all pipelines.
    #[at("/")]
    Dashboard,
    /// Signing in.
    #[at("/login")]
    Login,
    /// All runs.
    #[at("/runs")]
    Runs,
    /// One run.
    #[at("/runs/:id")]
    Run {
        /// Run id.
        id: String,
    },
    /// One run's log, full page.
    #[at("/runs/:id/log")]
    RunLog {
        /// Run id.
        id: String,
    },
    /// One pipeline.
    #[at("/pipelines/:name")]
    Pipeline {
        /// Its name.
        name: String,
    },
    /// Secrets and parameters.
    #[at("/secrets")]
    Vault,
    /// Schedules.
    #[at("/schedules")]
    Jobs,
    /// The server itself.
    #[at("/system")]
    System,
    /// Anything else.
    #[not_found]
    #[at("/404")]
    Lost,
}
