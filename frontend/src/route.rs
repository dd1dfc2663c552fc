//! Every address of the application.
//!
//! Written by hand: a dozen addresses need no pattern matcher.

use fastflow_shared::routes::segment;

use crate::logic::query::decode;

/// A page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// What runs, and all pipelines.
    Dashboard,
    /// All pipelines.
    Pipelines,
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
    /// What is kept on the disk.
    Storage,
    /// What is set.
    Settings,
    /// Users.
    Users,
    /// The audit log.
    Audit,
    /// One's own account.
    Account,
    /// Anything else.
    Lost,
}

impl Route {
    /// The page at a path.
    #[must_use]
    pub fn recognize(path: &str) -> Self {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts[..] {
            [] => Self::Dashboard,
            ["pipelines"] => Self::Pipelines,
            ["login"] => Self::Login,
            ["runs"] => Self::Runs,
            ["runs", id] => Self::Run { id: decode(id) },
            ["runs", id, "log"] => Self::RunLog { id: decode(id) },
            ["pipelines", name] => Self::Pipeline { name: decode(name) },
            ["secrets"] => Self::Vault,
            ["schedules"] => Self::Jobs,
            ["sync"] => Self::Sync,
            ["system"] => Self::System,
            ["storage"] => Self::Storage,
            ["settings"] => Self::Settings,
            ["users"] => Self::Users,
            ["audit"] => Self::Audit,
            ["account"] => Self::Account,
            _ => Self::Lost,
        }
    }

    /// Its path and a query, which may be empty.
    #[must_use]
    pub fn url(&self, query: &str) -> String {
        let path = self.to_path();
        if query.is_empty() { path } else { format!("{path}?{query}") }
    }

    /// Its path.
    #[must_use]
    pub fn to_path(&self) -> String {
        match self {
            Self::Dashboard => "/".to_owned(),
            Self::Pipelines => "/pipelines".to_owned(),
            Self::Login => "/login".to_owned(),
            Self::Runs => "/runs".to_owned(),
            Self::Run { id } => format!("/runs/{}", segment(id)),
            Self::RunLog { id } => format!("/runs/{}/log", segment(id)),
            Self::Pipeline { name } => format!("/pipelines/{}", segment(name)),
            Self::Vault => "/secrets".to_owned(),
            Self::Jobs => "/schedules".to_owned(),
            Self::Sync => "/sync".to_owned(),
            Self::System => "/system".to_owned(),
            Self::Storage => "/storage".to_owned(),
            Self::Settings => "/settings".to_owned(),
            Self::Users => "/users".to_owned(),
            Self::Audit => "/audit".to_owned(),
            Self::Account => "/account".to_owned(),
            Self::Lost => "/404".to_owned(),
        }
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
            Route::Pipelines,
            Route::Login,
            Route::Runs,
            Route::Run { id: "0199".into() },
            Route::RunLog { id: "0199".into() },
            Route::Pipeline { name },
            Route::Vault,
            Route::Jobs,
            Route::Sync,
            Route::System,
            Route::Storage,
            Route::Settings,
            Route::Users,
            Route::Audit,
            Route::Account,
            Route::Lost,
        ];
        for page in pages {
            assert_eq!(Route::recognize(&page.to_path()), page);
        }
        assert_eq!(Route::recognize("/runs/"), Route::Runs);
        assert_eq!(Route::recognize("/pipelines/"), Route::Pipelines);
        assert_eq!(Route::recognize("/runs/1/nope"), Route::Lost);
    }
}
