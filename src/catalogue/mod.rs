//! `plans/upgrade/`: what an upgrade *is*, as data. Loaded and checked here; nothing here looks at a cluster.

mod bundle;
mod check;
mod error;
mod findings;
mod form;
mod lines;
mod load;
mod model;
mod objects;
mod order;
mod raw;
mod releases;
pub mod vocabulary;

pub use bundle::Bundle;
pub use error::CatalogueError;
pub use findings::*;
pub use model::*;
pub use objects::Mke3Objects;
pub use releases::*;
