//! Target documents: `mke4.yaml`, and the `k0s.yaml` that follows from it.
//!
//! Both are trees built from data files; secrets are placeholders `mkectl-secret:NAME` ([`super::settings::SECRET_PLACEHOLDER`]),
//! per-host values `mkectl-host:FIELD` ([`HOST_PLACEHOLDER`]).

mod k0s;
mod mke4;

pub use k0s::{K0sFiles, K0sTable, k0s_document, k0s_problems};
pub use mke4::{ComponentArgs, DocumentDefaults, DocumentHost, DocumentInput, default_mke4, mke4_document};

/// What stands in a document for a field of the host it is written to, before the field's name.
pub const HOST_PLACEHOLDER: &str = "mkectl-host:";
