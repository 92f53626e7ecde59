//! `plans/upgrade/`: what an upgrade *is*, as data. Loaded and checked here; nothing here looks at a cluster.

mod bundle;
mod model;
mod releases;
pub mod vocabulary;

pub use bundle::Bundle;
pub use model::*;
pub use releases::*;
