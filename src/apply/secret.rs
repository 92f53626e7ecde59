//! A secret in memory.

use std::fmt;
use std::sync::Arc;

/// Bytes that are overwritten when the last copy goes. They cannot be printed or serialized; [`Secret::expose`] is the one
/// way to them, and copies share them.
#[derive(Clone)]
pub struct Secret(Arc<Bytes>);

struct Bytes(Vec<u8>);

impl Drop for Bytes {
    fn drop(&mut self) {
        self.0.fill(0);
        // Without this the compiler may leave out writes to memory that nobody reads again.
        std::hint::black_box(&mut self.0);
    }
}

impl Secret {
    /// Takes bytes over.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Arc::new(Bytes(bytes)))
    }

    /// The bytes, for the one who delivers them.
    pub fn expose(&self) -> &[u8] {
        &self.0.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_one() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert_eq!(format!("{secret:?}"), "(secret)");
        assert_eq!(secret.clone().expose(), b"hunter2");
    }
}
