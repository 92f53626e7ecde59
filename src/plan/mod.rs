//! Making, reading and writing plans.

mod budgets;
pub mod conditions;
mod dag;
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
pub mod options;
mod outputs;
mod params;
mod pins;
pub mod registry;
mod rollback;
mod schedule;
mod selection;
mod situation;
pub mod values;
mod wiring;

pub use error::{BuildError, Problem};
pub use graph::{Graph, Undecided, build, build_with};
pub use indexed::{Rows, RowsError};
pub use rollback::{Rollback, RollbackError, UndoRow, UndoStep, describe, rollback};
pub use selection::Selection;
pub use situation::{HostView, Situation};
