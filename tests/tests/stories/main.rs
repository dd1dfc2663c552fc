//! The stories: the product as a user meets it. One file per theme, one test per promise; each starts what it needs and
//! leaves nothing behind. `scripts/test NAME` runs those whose name contains NAME.

mod access;
mod admission;
mod audit;
mod browser;
mod cancel;
mod contract;
mod crash_matrix;
mod database_trouble;
mod dependencies;
mod docker_trouble;
mod door;
mod environments;
mod failures;
mod isolation;
mod logs;
mod metrics;
mod openapi;
mod people;
mod recovery;
mod retries;
mod roles;
mod schedules;
mod secrets;
mod seen;
mod shutdown;
mod sync;
mod sync_hostile;
mod sync_settings;
mod validation;
mod viewers;
mod web_budget;
