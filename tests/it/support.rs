//! What several test files share.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// A file of the repository.
pub fn repo(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares a generated file of the repository with what it should be; `MKECTL_UPDATE=1` writes it instead.
pub fn expect_file(path: &str, expected: &str) {
    let file = repo(path);
    if env::var_os("MKECTL_UPDATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, expected).unwrap();
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    if found != expected {
        let diff = similar::TextDiff::from_lines(&found, expected);
        let shown: String = diff
            .unified_diff()
            .header(path, "as generated")
            .to_string()
            .chars()
            .take(6000)
            .collect();
        panic!("{path} is out of date; `MKECTL_UPDATE=1 .ci/test` writes it\n{shown}");
    }
}
