//! The `mkectl` command. Everything it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    let called = std::env::args_os().next().unwrap_or_default();
    if mkectl::lab::tools::is_stand_in(&called.to_string_lossy()) {
        return mkectl::lab::tools::main();
    }
    mkectl::cli::main()
}
