//! The pages, and the frame around them.

mod dash_now;
mod dash_past;
mod dashboard;
mod jobs;
mod login;
mod lost;
mod palette;
mod pipeline;
mod pipeline_charts;
mod pipeline_row;
mod pipeline_tabs;
mod run;
mod run_head;
mod run_log;
mod run_metrics;
mod run_side;
mod run_table;
mod runs;
mod shell;
mod start;
mod system;
mod vault;
mod vault_form;

pub use dashboard::Dashboard;
pub use jobs::Jobs;
pub use login::LoginPage;
pub use lost::Lost;
pub use pipeline::PipelinePage;
pub use run::RunPage;
pub use run_log::RunLogPage;
pub use runs::Runs;
pub use shell::Shell;
pub use system::System;
pub use vault::VaultPage;
