//! Making, reading and writing plans.

mod budgets;
mod canonical;
pub mod conditions;
pub mod converted;
mod dag;
pub mod digest;
mod error;
mod estimate;
mod expand;
pub mod facts;
pub mod fields;
#[cfg(test)]
mod fixture;
mod graph;
mod indexed;
mod lines;
pub mod make;
mod outputs;
mod params;
mod pins;
pub mod read;
pub mod registry;
mod rollback;
mod schedule;
mod scheduler;
mod selection;
mod situation;
pub mod staleness;
pub mod tables;
pub mod values;
mod wiring;
pub mod write;

pub use error::{BuildError, Problem};
pub use estimate::bound;
pub use graph::{Graph, Undecided, build, build_with};
pub use indexed::{Indexed, Rows, RowsError};
pub use read::{PlanError, read};
pub use rollback::{Rollback, RollbackError, UndoRow, UndoStep, describe, rollback};
pub use schedule::{Schedule, Workload};
pub use scheduler::{Ended, SESSIONS_PER_HOST, Scheduler, State};
pub use selection::Selection;
pub use situation::{HostView, Situation};
pub use write::write;

/// The JSON Schema of a plan (draft 2020-12).
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(crate::model::Plan).to_value()
}
