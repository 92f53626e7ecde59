//! One file per command.

pub mod apply;
pub mod check;
pub mod check_hosts;
mod check_images;
pub mod check_ports;
pub mod completion;
pub mod diff;
pub mod docs;
pub mod explain;
pub mod facts;
pub mod graph;
pub mod init;
pub mod man;
pub mod plan;
pub mod rehearse;
pub mod rollback;
pub mod schema;
pub mod show;
pub mod status;
pub mod unlock;
pub mod upgrade;
pub mod version;

use super::error::CliError;
use super::files;
use crate::model::Plan;

/// Reads a saved plan.
fn load_plan(path: &str) -> Result<Plan, CliError> {
    crate::plan::read(&files::read(path)?).map_err(|error| CliError::plan(path, &error))
}
