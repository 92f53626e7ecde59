//! The `mkectl` command. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    mkectl::cli::main()
}
