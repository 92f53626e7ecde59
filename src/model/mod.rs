//! The plan document: types only, no behaviour beyond small constructors.
//!
//! Everything that is written to `plan.json` is here, so that `apply/` and `report/` need nothing of what made a plan.
//! Rules of the stored form (see `plan::digest`): no floats, integers within ±(2^53−1) (hence `u32`, and [`Bytes`] for
//! sizes), sets as sorted arrays, maps as `BTreeMap`, ids derived from content. Field order is the order in the file.

mod action;
mod cluster;
mod conversion;
mod finding;
mod host;
mod plan;
mod rbac;

pub use action::*;
pub use cluster::*;
pub use conversion::*;
pub use finding::*;
pub use host::*;
pub use plan::*;
pub use rbac::*;
