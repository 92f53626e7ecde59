//! Integration tests: one binary, one file per area.

// A test that cannot go on fails by panicking.
#![allow(clippy::unwrap_used)]

mod api;
mod api_faults;
mod api_recorded;
mod apply;
mod apply_cli;
mod architecture;
mod catalogue;
mod checks;
mod cli;
mod digest;
mod examples;
mod facts;
mod faults;
mod flags;
mod graph;
mod images;
mod knownhosts;
mod lab;
mod live;
mod pipeline;
mod rbac;
mod registry;
mod rehearse;
mod report;
mod report_run;
mod runner;
mod scripts;
mod scripts_k0s;
mod scripts_prepare;
mod scripts_quiesce;
mod scripts_store;
mod settings;
mod simulated;
mod size;
mod source;
mod ssh;
mod support;
