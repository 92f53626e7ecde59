//! `plans/upgrade/`: what an upgrade *is*, as data. Loaded and checked here; nothing here looks at a cluster.

mod bundle;
mod findings;
mod model;
mod releases;

pub use bundle::Bundle;
pub use findings::*;
pub use model::*;
pub use releases::*;
