//! From what was read to target documents, rows and findings. Pure: same input, same output, no I/O.
//!
//! One file or directory per noun; each is a function of what it needs and returns rows, findings and parts of documents.

pub mod checks;
pub mod document;
pub mod flags;
pub mod kubelet;
pub mod ports;
pub mod rbac;
pub mod report;
pub mod settings;
