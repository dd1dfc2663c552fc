//! Every address of the application.
//!
//! Written by hand and not derived: a dozen addresses need no pattern matcher, and it weighed ten kilobytes compressed.

use std::collections::HashMap;

use fastflow_shared::routes::segment;
use yew_router::prelude::*;

use crate::logic::query::decode;

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// What runs, and all pipelines.
    Dashboard,
    /// Signing in.
    Login,
    /// All runs.
    Runs,
    /// One run.
    Run {
        /// Run id.
        id: String,
    },
    /// One run's log, full page.
    RunLog {
        /// Run id.
        id: String,
    },
    /// One pipeline.
    Pipeline {
        /// Its name.
        name: String,
    },
    /// Secrets and parameters.
    Vault,
    /// Schedules.
    Jobs,
    /// Where the code comes from.
    Sync,
    /// The server itself.
    System,
    /// Anything else.
    Lost,
}

impl Routable for Route {
    fn recognize(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        Some(match parts[..] {
            // There is no page of all pipelines but the first one.
            [] | ["pipelines"] => Self::Dashboard,
            ["login"] => Self::Login,
            ["runs"] => Self::Runs,
            ["runs", id] => Self::Run { id: decode(id) },
            ["runs", id, "log"] => Self::RunLog { id: decode(id) },
            ["pipelines", name] => Self::Pipeline { name: decode(name) },
            ["secrets"] => Self::Vault,
            ["schedules"] => Self::Jobs,
            ["sync"] => Self::Sync,
            ["system"] => Self::System,
            _ => Self::Lost,
        })
    }

    fn to_path(&self) -> String {
        match self {
            Self::Dashboard => "/".to_owned(),
            Self::Login => "/login".to_owned(),
            Self::Runs => "/runs".to_owned(),
            Self::Run { id } => format!("/runs/{}", segment(id)),
            Self::RunLog { id } => format!("/runs/{}/log", segment(id)),
            Self::Pipeline { name } => format!("/pipelines/{}", segment(name)),
            Self::Vault => "/secrets".to_owned(),
            Self::Jobs => "/schedules".to_owned(),
            Self::Sync => "/sync".to_owned(),
            Self::System => "/system".to_owned(),
            Self::Lost => "/404".to_owned(),
        }
    }

    fn from_path(path: &str, _: &HashMap<&str, &str>) -> Option<Self> {
        Self::recognize(path)
    }

    fn routes() -> Vec<&'static str> {
        Vec::new()
    }

    fn not_found_route() -> Option<Self> {
        Some(Self::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_to_its_page_and_back() {
        let name = "a b/ü+c".to_owned();
        let pages = [
            Route::Dashboard,
            Route::Login,
            Route::Runs,
            Route::Run { id: "0199".into() },
            Route::RunLog { id: "0199".into() },
            Route::Pipeline { name },
            Route::Vault,
            Route::Jobs,
            Route::Sync,
            Route::System,
            Route::Lost,
        ];
        for page in pages {
            assert_eq!(Route::recognize(&page.to_path()), Some(page));
        }
        assert_eq!(Route::recognize("/runs/"), Some(Route::Runs));
        assert_eq!(Route::recognize("/pipelines"), Some(Route::Dashboard));
        assert_eq!(Route::recognize("/runs/1/nope"), Some(Route::Lost));
    }
}
