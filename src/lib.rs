//! `mkectl`: upgrade a Mirantis Kubernetes Engine 3 cluster to MKE 4k in place.
//!
//! A functional core with I/O at its edges: planning is a pure function from what was read (`source`) and what an
//! upgrade is (`catalogue`, data in `plans/upgrade/`) to a plan (`model`). Outside `cli` the library never prints, exits,
//! reads the clock or the environment; `lab` is an outside world of its own, simulated hosts on this machine.
//!
//! Dependencies point one way; `tests/it/architecture.rs` holds them to it:
//!
//! ```text
//! cli → lab, report, apply → model
//!  ↓  ↘            ↓
//!  ↓     plan → catalogue, convert → source → model
//! lab → source
//! cli → gather → catalogue, source, ssh
//! ```

pub mod apply;
pub mod catalogue;
pub mod cli;
pub mod convert;
pub mod gather;
pub mod json;
pub mod lab;
pub mod model;
pub mod options;
pub mod plan;
pub mod report;
pub mod source;
pub mod ssh;
pub mod text;
pub mod yaml;
