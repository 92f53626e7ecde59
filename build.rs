//! Embeds `plans/upgrade/`: writes a table of its files for `src/catalogue/bundle.rs` to include.

use std::path::Path;
use std::{env, fs, io};

fn walk(dir: &Path, prefix: &str, out: &mut Vec<(String, String)>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), &format!("{name}/"), out)?;
        } else {
            out.push((name, entry.path().to_string_lossy().into_owned()));
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let variable = |name| env::var(name).map_err(io::Error::other);
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("plans/upgrade");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    walk(&root, "", &mut files)?;
    files.sort();
    let rows: String = files
        .iter()
        .map(|(name, path)| format!("    ({name:?}, include_bytes!({path:?})),\n"))
        .collect();
    fs::write(
        Path::new(&variable("OUT_DIR")?).join("bundle.rs"),
        format!("&[\n{rows}]\n"),
    )
}
