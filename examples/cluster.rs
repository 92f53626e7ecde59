//! Writes the input files of a made-up cluster: `cargo run --example cluster -- HOSTS DIRECTORY`.
//! `docs/benchmarks.md` measures `mkectl plan` with them.
#![allow(clippy::print_stderr, reason = "a program of its own")]

#[path = "../benches/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let (Some(hosts), Some(dir)) = (
        args.next().and_then(|hosts| hosts.parse().ok()),
        args.next().map(PathBuf::from),
    ) else {
        eprintln!("usage: cluster HOSTS DIRECTORY");
        return ExitCode::from(2);
    };
    match write(hosts, &dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write to {}: {error}", dir.display());
            ExitCode::FAILURE
        }
    }
}

fn write(hosts: usize, dir: &std::path::Path) -> io::Result<()> {
    let files = support::Files::cluster(hosts);
    fs::create_dir_all(dir)?;
    for (name, text) in support::NAMES.iter().zip(files.texts()) {
        fs::write(dir.join(name), text)?;
    }
    Ok(())
}
