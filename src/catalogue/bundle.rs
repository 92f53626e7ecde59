//! The files of `plans/upgrade/`, as embedded in the binary or as a test gives them.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

static EMBEDDED: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/bundle.rs"));

/// A set of files by path relative to `plans/upgrade/`, with `/` between directories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    files: BTreeMap<String, Vec<u8>>,
}

impl Bundle {
    /// The files this binary was built with.
    pub fn embedded() -> Bundle {
        Bundle {
            files: EMBEDDED
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
                .collect(),
        }
    }

    /// A set of files made by hand, for tests.
    pub fn from_files<N: Into<String>, B: Into<Vec<u8>>>(files: impl IntoIterator<Item = (N, B)>) -> Bundle {
        Bundle {
            files: files
                .into_iter()
                .map(|(name, bytes)| (name.into(), bytes.into()))
                .collect(),
        }
    }

    /// The text of a file; `None` when there is no such file or it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.files
            .get(name)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// Names of all files, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// `sha256:…` over names and contents: which `plans/upgrade/` this is.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for (name, bytes) in &self.files {
            hash.update((name.len() as u64).to_be_bytes());
            hash.update(name);
            hash.update((bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
        format!("sha256:{}", data_encoding::HEXLOWER.encode(&hash.finalize()))
    }
}
