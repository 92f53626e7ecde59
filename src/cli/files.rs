//! Reading input and writing results.

use super::error::CliError;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// Inputs larger than this are refused before they are read whole.
const MAX_INPUT: u64 = 64 << 20;

/// Reads a file, or stdin for `-`.
pub fn read(path: &str) -> Result<Vec<u8>, CliError> {
    let mut bytes = Vec::new();
    let read = if path == "-" {
        io::stdin().lock().take(MAX_INPUT + 1).read_to_end(&mut bytes)
    } else {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                return Err(CliError::usage(
                    format!("cannot read {path}: it is a directory"),
                    "give the file itself",
                ));
            }
            _ => File::open(path).and_then(|file| file.take(MAX_INPUT + 1).read_to_end(&mut bytes)),
        }
    };
    read.map_err(|error| CliError::file("read", path, &error))?;
    if bytes.len() as u64 > MAX_INPUT {
        return Err(CliError::usage(
            format!("cannot read {path}: it is larger than {} MiB", MAX_INPUT >> 20),
            "check that this is the file you meant",
        ));
    }
    Ok(bytes)
}

/// The file name without directories: what findings and the plan call an input.
pub fn base_name(path: &str) -> String {
    Path::new(path)
        .file_name()
        .map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Writes a file whole or not at all, mode 0600: beside it, synced, then renamed over it.
pub fn write(path: &str, bytes: &[u8]) -> Result<(), CliError> {
    let target = Path::new(path);
    let dir = match target.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let attempt = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(target).map_err(|error| error.error)?;
        File::open(dir)?.sync_all()
    };
    attempt().map_err(|error| CliError::file("write", path, &error))
}
