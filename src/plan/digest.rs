//! The digest of a plan: SHA-256 over the canonical JSON (RFC 8785) of its `spec`.

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::io;

struct Hashing(Sha256);

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `sha256:…` over the canonical form of a value.
///
/// # Errors
///
/// When the value cannot be written as JSON; no type of `model` can cause that.
pub fn digest(value: &impl Serialize) -> serde_json::Result<String> {
    let mut sink = Hashing(Sha256::new());
    serde_json_canonicalizer::to_writer(value, &mut sink)?;
    Ok(named(&sink.0.finalize()))
}

/// `sha256:…` over bytes.
pub fn digest_bytes(bytes: impl AsRef<[u8]>) -> String {
    named(&Sha256::digest(bytes))
}

fn named(hash: &[u8]) -> String {
    format!("sha256:{}", data_encoding::HEXLOWER.encode(hash))
}

/// The canonical bytes of JSON text that [`crate::json::check`] has accepted (the canonical writer rounds larger integers).
///
/// # Errors
///
/// When the text is not JSON.
pub fn canonical(text: &str) -> serde_json::Result<Vec<u8>> {
    struct Raw<'a>(std::cell::RefCell<serde_json::Deserializer<serde_json::de::StrRead<'a>>>);
    impl Serialize for Raw<'_> {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serde_transcode::transcode(&mut *self.0.borrow_mut(), serializer)
        }
    }
    serde_json_canonicalizer::to_vec(&Raw(std::cell::RefCell::new(serde_json::Deserializer::from_str(
        text,
    ))))
}
