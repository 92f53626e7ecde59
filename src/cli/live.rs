//! What `plan`, `upgrade` and `rehearse` read from a live MKE 3: its configuration and its accounts.

use super::args::LiveArgs;
use super::error::CliError;
use super::log::Level;
use super::{Env, exit, files};
use crate::model::{Host, Role};
use crate::source::api::{self, Access, Address, ApiError, Kind, Live, Password, Patience, Want, ca};
use crate::source::facts::Facts;
use crate::source::hosts::Hosts;
use crate::source::{JoinedHost, join};
use crate::ssh::Transport;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Where the password may be, besides arguments.
const PASSWORD: &str = "MKECTL_MKE3_ADMIN_PASSWORD";
/// Hosts that are asked for the CA before it is given up.
const ASKED: usize = 10;
/// How long a host may take to tell it. Connecting has limits of its own.
const FETCH: Duration = Duration::from_secs(30);

/// What was read live; what a file gave is not here.
#[derive(Debug, Default)]
pub struct Given {
    /// The configuration.
    pub config: Option<Vec<u8>>,
    /// Accounts, as a recording has them.
    pub accounts: Option<Vec<u8>>,
    /// Where from, for `meta`.
    pub from: String,
}

/// How a live cluster is to be read.
pub struct Ask<'a> {
    /// Arguments.
    pub args: &'a LiveArgs,
    /// hosts.yaml.
    pub hosts: &'a Hosts,
    /// Facts, where there are some.
    pub facts: Option<&'a Facts>,
    /// `--external-address`.
    pub external: &'a str,
    /// How hosts are reached.
    pub transport: Arc<dyn Transport>,
    /// Connect here instead of looking up the name.
    pub connect_to: Option<SocketAddr>,
    /// What no file gives.
    pub want: Want,
    /// The password.
    pub password: Password,
}

/// Whether anything is to be read live.
pub fn is_wanted(args: &LiveArgs) -> bool {
    args.live
        || args.mke3_admin_username.is_some()
        || args.mke3_admin_password.is_some()
        || args.mke3_admin_password_file.is_some()
        || args.mke3_external_address.is_some()
        || args.mke3_ca_file.is_some()
        || args.record.is_some()
}

/// The administrator.
pub fn user(args: &LiveArgs) -> &str {
    args.mke3_admin_username.as_deref().unwrap_or("admin")
}

/// The password: from the argument, a file, the environment, or a person.
pub fn password(env: &Env, args: &LiveArgs) -> Result<Password, CliError> {
    if let Some(given) = &args.mke3_admin_password {
        env.log(
            Level::Warn,
            &format!(
                "a password among the arguments can be seen by others on this machine: {PASSWORD}, \
                 --mke3-admin-password-file or being asked is better"
            ),
        );
        return Ok(Password::new(given.clone()));
    }
    if let Some(path) = &args.mke3_admin_password_file {
        let bytes = files::read(path)?;
        let text = String::from_utf8(bytes).unwrap_or_default();
        let first = text.lines().next().unwrap_or_default().to_owned();
        if first.is_empty() {
            return Err(CliError::usage(
                format!("{path}: there is no password on its first line"),
                "put the password, and nothing else, on the first line",
            ));
        }
        return Ok(Password::new(first));
    }
    if let Some(given) = std::env::var(PASSWORD).ok().filter(|given| !given.is_empty()) {
        return Ok(Password::new(given));
    }
    let question = format!("password of {}, an administrator of MKE 3", user(args));
    match env.ui.ask_secret(&question) {
        Some(given) if !given.is_empty() => Ok(Password::new(given)),
        _ => Err(CliError::usage(
            format!("the password of {} is not given", user(args)),
            format!(
                "set {PASSWORD}, add --mke3-admin-password-file FILE, or run this on a terminal to be asked"
            ),
        )),
    }
}

/// Reads what is wanted, and keeps it where that was asked for.
pub async fn read(env: &Env, ask: Ask<'_>) -> Result<Given, CliError> {
    let place = ask.args.mke3_external_address.as_deref().unwrap_or(ask.external);
    let address = Address::parse(place).map_err(|why| {
        CliError::usage(
            format!("{place:?} cannot be where the API of MKE 3 is: {why}"),
            "give a DNS name or an address, with :PORT when it is not 443, with --mke3-external-address",
        )
    })?;
    let ca = match &ask.args.mke3_ca_file {
        Some(path) => files::read(path)?,
        None => fetched_ca(env, &ask).await?,
    };
    let access = Access {
        address: address.clone(),
        connect_to: ask.connect_to,
        ca,
        user: user(ask.args).to_owned(),
        password: ask.password,
    };
    env.log(
        Level::Info,
        &format!("==> Running phase: Read MKE 3 at {address} as {}", access.user),
    );
    let live = api::read(access, Patience::default(), ask.want)
        .await
        .map_err(|error| failed(&error))?;
    same_cluster(env, &address, &live, ask.facts)?;
    let mut given = Given {
        from: format!("https://{address}"),
        ..Given::default()
    };
    if let Some(accounts) = &live.accounts {
        given.accounts = Some(accounts.to_bytes().map_err(CliError::bug)?);
        env.log(
            Level::Info,
            &format!(
                "MKE {} with {} nodes, {} users, {} organizations, {} teams and {} bindings",
                live.version,
                live.nodes.len(),
                accounts.users.len(),
                accounts.organizations.len(),
                accounts
                    .organizations
                    .iter()
                    .map(|one| one.teams.len())
                    .sum::<usize>(),
                accounts.bindings.len()
            ),
        );
    }
    given.config = live.config;
    if let Some(directory) = &ask.args.record {
        record(env, directory, &given)?;
    }
    Ok(given)
}

/// The API is that of the cluster that the facts are of.
fn same_cluster(env: &Env, address: &Address, live: &Live, facts: Option<&Facts>) -> Result<(), CliError> {
    let Some(cluster) = facts.map(|facts| &facts.cluster) else {
        return Ok(());
    };
    if let Some(id) = &cluster.id
        && !live.cluster_id.is_empty()
        && *id != live.cluster_id
    {
        return Err(CliError::usage(
            format!(
                "the API at {address} is of the cluster {}, and the facts are of {id}",
                live.cluster_id
            ),
            "give the address of the same cluster, or its facts",
        ));
    }
    if let Some(version) = &cluster.mke_version
        && !live.version.is_empty()
        && *version != live.version
    {
        env.log(
            Level::Warn,
            &format!(
                "the facts are of MKE {version}, and the cluster is at {} now: record them again",
                live.version
            ),
        );
    }
    Ok(())
}

/// Writes what was read as the files that `--mke3-config` and `--accounts` take.
fn record(env: &Env, directory: &str, given: &Given) -> Result<(), CliError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| CliError::file("make", directory, &error))?;
    let at = |name: &str| Path::new(directory).join(name).to_string_lossy().into_owned();
    if let Some(bytes) = &given.config {
        files::write(&at(CONFIG), bytes)?;
        env.log(
            Level::Warn,
            &format!(
                "{} holds secrets of the cluster in the clear; it is readable by you alone, keep it so",
                at(CONFIG)
            ),
        );
    }
    if let Some(bytes) = &given.accounts {
        files::write(&at(ACCOUNTS), bytes)?;
        env.log(Level::Info, &format!("the accounts are kept in {}", at(ACCOUNTS)));
    }
    Ok(())
}

/// What the recorded configuration is called, in files and in findings.
pub const CONFIG: &str = "mke3.toml";
/// What recorded accounts are called.
pub const ACCOUNTS: &str = "accounts.json";

/// The CAs of the cluster from a host: managers first, where it is known who they are.
async fn fetched_ca(env: &Env, ask: &Ask<'_>) -> Result<Vec<u8>, CliError> {
    let mut hosts = join(ask.hosts, ask.facts);
    hosts.sort_by_key(|host| match host.role {
        Some(Role::Manager) => 0,
        None => 1,
        Some(Role::Worker) => 2,
    });
    let mut second = None;
    let (mut reasons, mut input) = (Vec::new(), true);
    for joined in hosts.iter().take(ASKED) {
        let host = row(joined);
        let session = match ask.transport.connect(&host).await {
            Ok(session) => session,
            Err(error) => {
                input &= error.is_input();
                reasons.push(format!("{}: {error}", host.id));
                continue;
            }
        };
        let Ok(found) = timeout(FETCH, ca::fetch(&*session, &host.user)).await else {
            input = false;
            let seconds = FETCH.as_secs();
            reasons.push(format!("{}: it did not answer within {seconds} s", host.id));
            continue;
        };
        session.close().await;
        match found {
            Ok(found) if found.manager => {
                env.log(
                    Level::Debug,
                    &format!("the CA of the cluster comes from {}", host.id),
                );
                return Ok(found.pem);
            }
            Ok(found) => second = second.or(Some(found.pem)),
            Err(error) => {
                input = false;
                reasons.push(format!("{}: {error}", host.id));
            }
        }
    }
    if let Some(pem) = second {
        return Ok(pem);
    }
    reasons.truncate(5);
    Err(CliError {
        exit: if input { exit::USAGE } else { exit::UNREACHABLE },
        message: format!(
            "no host gives the CA of the cluster, so nobody at {} can be trusted\n{}",
            ask.args.mke3_external_address.as_deref().unwrap_or(ask.external),
            reasons.join("\n")
        ),
        hint: "correct what is said above, or give the CA with --mke3-ca-file; on a manager `docker run --rm -v \
               /var/run/docker.sock:/var/run/docker.sock mirantis/ucp:VERSION dump-certs --ca` prints it"
            .to_owned(),
    })
}

/// A host as the transport takes it.
fn row(host: &JoinedHost<'_>) -> Host {
    Host {
        role: host.role,
        host_keys: host
            .facts
            .map(|facts| facts.host_keys.clone())
            .unwrap_or_default(),
        ..host.entry.host(&host.id)
    }
}

fn failed(error: &ApiError) -> CliError {
    CliError {
        exit: match error.kind() {
            Kind::Input => exit::USAGE,
            Kind::Unreachable => exit::UNREACHABLE,
            Kind::Broken => exit::FAILED_CLEAN,
        },
        message: error.to_string(),
        hint: error.remedy(),
    }
}
