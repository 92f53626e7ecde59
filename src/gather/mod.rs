//! Host facts over SSH: one read-only script for each host, all hosts at once, and what one manager knows of the cluster.
//!
//! The scripts are `plans/upgrade/facts/`; what they print is data, parsed strictly in [`lines`]. A host that cannot be
//! reached, hangs or answers nonsense is recorded as such with the reason and costs nobody else anything.

mod cluster;
mod host;
pub mod lines;
pub mod ports;
mod run;
mod scripts;
mod values;

pub use run::{Gathered, Options, Remark, Seen, gather, reachable};
pub use scripts::{Questions, QuestionsError};
