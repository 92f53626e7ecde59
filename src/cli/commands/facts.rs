//! `mkectl facts`: record what the hosts and the cluster are, for `plan --facts`.

use crate::cli::args::FactsArgs;
use crate::cli::error::CliError;
use crate::cli::log::Level;
use crate::cli::{CommandResult, Env, exit, files, live, run};
use crate::source::hosts::Hosts;
use crate::ssh::pool::Pool;
use std::path::PathBuf;
use std::sync::Arc;

pub fn run(env: &Env, args: &FactsArgs) -> CommandResult {
    let hosts = Hosts::parse_bytes(&args.hosts_path, &files::read(&args.hosts_path)?)?;
    let gathered = run::runtime()?.block_on(async {
        let pool = pool(env, args.parallelism);
        let gathered = live::gathered(env, &hosts, &pool, args.parallelism).await;
        pool.close().await;
        gathered
    })?;
    let json = gathered.facts.to_bytes().map_err(CliError::bug)?;
    match &args.out {
        Some(path) => {
            files::write(path, &json)?;
            env.log(Level::Info, &format!("the facts are saved in {path}"));
        }
        None => env.ui.out(&json)?,
    }
    let missing = gathered.unreachable().count();
    if missing == 0 {
        return Ok(exit::DONE);
    }
    env.log(
        Level::Error,
        &format!(
            "{missing} of {} hosts could not be read; what was read of the others is recorded, and so is why",
            hosts.entries.len()
        ),
    );
    Ok(exit::UNREACHABLE)
}

/// Connections of this machine's user.
pub fn pool(env: &Env, width: usize) -> Pool {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    live::pool(Arc::new(crate::cli::reach::client(env, home)), width)
}
