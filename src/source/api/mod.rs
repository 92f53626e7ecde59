//! The MKE 3 API of a live cluster: its configuration and its accounts.
//!
//! Everything is read and nothing changed, but for the session: there is a login at the start and a logout at the end, also
//! after a failure. TLS is always verified against the cluster's own CA, which [`ca`] fetches over SSH. Facts about the API:
//! the sources named in `docs/live.md`.
//!
//! ```text
//! read → reader → client → connection → tls
//!           ↓        ↓
//!         wire     pages          error: what all of them fail with
//! ```

mod address;
pub mod ca;
mod client;
pub(super) mod connection;
mod error;
mod grants;
mod kube;
mod pages;
mod reader;
pub(super) mod tls;
mod wire;

pub use address::Address;
pub use client::{Access, Password, Patience};
pub use error::{ApiError, Fault, Kind};
pub use reader::{Live, Node, Want, read};
