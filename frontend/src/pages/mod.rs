//! The pages, and the frame around them.

mod dash_now;
mod dashboard;
mod login;
mod lost;
mod palette;
mod pipeline_row;
mod run;
mod run_head;
mod run_log;
mod run_metrics;
mod run_side;
mod run_table;
mod runs;
mod shell;
mod start;

pub use dashboard::Dashboard;
pub use login::LoginPage;
pub use lost::Lost;
pub use run::RunPage;
pub use run_log::RunLogPage;
pub use runs::Runs;
pub use shell::Shell;
