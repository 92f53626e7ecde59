//! What is read: the MKE 3 configuration, hosts.yaml, recorded host facts, recorded accounts, lists of images, or a live cluster.
//!
//! Parsing is pure (text in, value or [`InputError`] out); reading files is the caller's business. [`api`] asks a live MKE 3,
//! [`registry`] an image registry.

pub mod accounts;
pub mod api;
mod error;
pub mod facts;
pub mod hosts;
pub mod images;
mod input;
mod joined;
mod json;
pub mod mke3;
mod redact;
pub mod registry;

pub use error::InputError;
pub use joined::{JoinedHost, join};
