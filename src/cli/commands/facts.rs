//! `mkectl facts`: record what the hosts and the cluster are, for `plan --facts`.

use crate::cli::args::FactsArgs;
use crate::cli::error::CliError;
use crate::cli::log::Level;
use crate::cli::run::{self, Reading};
use crate::cli::{CommandResult, Env, exit, files};
use crate::gather::{self, Gathered};
use crate::source::hosts::Hosts;
use crate::ssh::pool::{Limits, Pool};
use std::path::PathBuf;
use std::sync::Arc;

/// Attempts to connect: whoever refused twice is recorded as unreachable.
const ATTEMPTS: u32 = 2;

pub fn run(env: &Env, args: &FactsArgs) -> CommandResult {
    let hosts = Hosts::parse_bytes(&args.hosts_path, &files::read(&args.hosts_path)?)?;
    let gathered = run::runtime()?.block_on(async {
        let pool = pool(env, args.parallelism);
        let gathered = gathered(env, &hosts, &pool, args.parallelism).await;
        pool.close().await;
        gathered
    })?;
    let mut json = serde_json::to_vec_pretty(&gathered.facts)
        .map_err(|error| CliError::bug(format!("the facts cannot be written: {error}")))?;
    json.push(b'\n');
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
    Pool::new(
        Arc::new(crate::cli::reach::client(env, home)),
        Limits {
            connections: width.max(1),
            attempts: ATTEMPTS,
            ..Limits::default()
        },
    )
}

/// The facts of the hosts of hosts.yaml.
///
/// # Errors
///
/// When there is nothing to ask with.
pub async fn gathered(env: &Env, hosts: &Hosts, pool: &Pool, width: usize) -> Result<Gathered, CliError> {
    let reading = Reading {
        hosts,
        place: &gather::reachable,
        pool,
        width,
        told: true,
    };
    run::facts(env, &reading).await
}
