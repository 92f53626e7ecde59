//! Integration tests: one binary, one file per area.

mod architecture;
mod catalogue;
mod checks;
mod cli;
mod digest;
mod examples;
mod flags;
mod graph;
mod lab;
mod rbac;
mod report;
mod settings;
mod source;
mod support;
