//! The digest of a plan: SHA-256 over the canonical JSON (RFC 8785) of its `spec`.

pub use super::canonical::canonical;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// `sha256:…` over the canonical form of a value.
///
/// # Errors
///
/// When the value cannot be written as JSON, or holds a number that is no integer within ±(2^53 − 1); no type of `model` can
/// cause that.
pub fn digest(value: &impl Serialize) -> serde_json::Result<String> {
    canonical(&serde_json::to_string(value)?).map(digest_bytes)
}

/// `sha256:…` over bytes.
pub fn digest_bytes(bytes: impl AsRef<[u8]>) -> String {
    let hash = Sha256::digest(bytes);
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&hash))
}
