//! What `plan`, `upgrade` and `rehearse` read from a live cluster: facts over SSH, and from MKE 3 its configuration and its
//! accounts.

use super::args::LiveArgs;
use super::error::CliError;
use super::images::Passwords;
use super::log::Level;
use super::run::{self, Reading};
use super::{Env, exit, files};
use crate::gather::{self, Gathered};
use crate::model::{Host, Role};
use crate::source::api::{self, Access, Address, ApiError, Kind, Live, Password, Patience, Want, ca};
use crate::source::facts::Facts;
use crate::source::hosts::Hosts;
use crate::source::{JoinedHost, join};
use crate::ssh::Transport;
use crate::ssh::pool::{Limits, Pool};
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
/// Attempts to connect: whoever refused twice is unreachable.
const ATTEMPTS: u32 = 2;
/// Unreachable hosts that an error names; the log has named them all.
const NAMED: usize = 20;

/// What was read live; what a file gave is not here.
#[derive(Debug, Default)]
pub struct Given {
    /// The configuration.
    pub config: Option<Vec<u8>>,
    /// Accounts, as a recording has them.
    pub accounts: Option<Vec<u8>>,
    /// Facts, as `mkectl facts` writes them.
    pub facts: Option<Vec<u8>>,
    /// Answers of registries, as a recording has them.
    pub images: Option<Vec<u8>>,
    /// What the registries were asked with.
    pub passwords: Passwords,
    /// Where configuration and accounts are from, for `meta`.
    pub from: String,
}

/// How a live cluster is to be read.
pub struct Ask<'a> {
    /// Arguments.
    pub args: &'a LiveArgs,
    /// hosts.yaml.
    pub hosts: &'a Hosts,
    /// Facts that a file gives. Without them they are read.
    pub facts: Option<&'a Facts>,
    /// `--external-address`.
    pub external: &'a str,
    /// How hosts are reached.
    pub transport: Arc<dyn Transport>,
    /// Connect here instead of looking up the name.
    pub connect_to: Option<SocketAddr>,
    /// What no file gives of what MKE tells.
    pub want: Want,
    /// The password, where MKE is asked at all.
    pub password: Option<Password>,
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
    let user = user(args);
    Sought {
        of: user,
        question: &format!("password of {user}, an administrator of MKE 3"),
        file: args.mke3_admin_password_file.as_deref(),
        flag: "--mke3-admin-password-file",
        variables: &[PASSWORD],
    }
    .find(env)
}

/// A password, and where it may be.
pub struct Sought<'a> {
    /// Whose it is.
    pub of: &'a str,
    /// How a person is asked.
    pub question: &'a str,
    /// The file that was given.
    pub file: Option<&'a str>,
    /// The flag that gives it.
    pub flag: &'a str,
    /// The environment variables, the first that is set counts.
    pub variables: &'a [&'a str],
}

impl Sought<'_> {
    /// The password: from the file, the environment, or a person.
    ///
    /// # Errors
    ///
    /// When it is nowhere.
    pub fn find(&self, env: &Env) -> Result<Password, CliError> {
        if let Some(path) = self.file {
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
        let mut set = self.variables.iter().filter_map(|name| std::env::var(name).ok());
        if let Some(given) = set.find(|given| !given.is_empty()) {
            return Ok(Password::new(given));
        }
        match env.ui.ask_secret(self.question) {
            Some(given) if !given.is_empty() => Ok(Password::new(given)),
            _ => Err(CliError::usage(
                format!("the password of {} is not given", self.of),
                format!(
                    "set {}, add {} FILE, or run this on a terminal to be asked",
                    self.variables.first().unwrap_or(&""),
                    self.flag
                ),
            )),
        }
    }
}

/// Reads what is wanted, and keeps it where that was asked for. Facts come first: they tell who may know the CA.
pub async fn read(env: &Env, mut ask: Ask<'_>) -> Result<Given, CliError> {
    let place = ask.args.mke3_external_address.as_deref().unwrap_or(ask.external);
    let address = Address::parse(place).map_err(|why| {
        CliError::usage(
            format!("{place:?} cannot be where the API of MKE 3 is: {why}"),
            "give a DNS name or an address, with :PORT when it is not 443, with --mke3-external-address",
        )
    })?;
    let pool = pool(ask.transport.clone(), run::FACTS_WIDTH);
    let password = ask.password.take();
    let given = read_all(env, &ask, password, &address, &pool).await;
    pool.close().await;
    let given = given?;
    if let Some(directory) = &ask.args.record {
        record(env, directory, &given)?;
    }
    Ok(given)
}

async fn read_all(
    env: &Env,
    ask: &Ask<'_>,
    password: Option<Password>,
    address: &Address,
    pool: &Pool,
) -> Result<Given, CliError> {
    let mut given = Given {
        from: format!("https://{address}"),
        ..Given::default()
    };
    let read = match ask.facts {
        Some(_) => None,
        None => Some(facts(env, ask.hosts, pool).await?),
    };
    let known = ask.facts.or(read.as_ref());
    if let Some(password) = password {
        let ca = match &ask.args.mke3_ca_file {
            Some(path) => files::read(path)?,
            None => fetched_ca(env, ask, known, pool).await?,
        };
        let access = Access {
            address: address.clone(),
            connect_to: ask.connect_to,
            ca,
            user: user(ask.args).to_owned(),
            password,
        };
        read_mke(env, access, ask.want, known, &mut given).await?;
    }
    given.facts = read
        .map(|facts| facts.to_bytes())
        .transpose()
        .map_err(CliError::bug)?;
    Ok(given)
}

/// Connections over which a cluster is read.
pub fn pool(transport: Arc<dyn Transport>, width: usize) -> Pool {
    Pool::new(
        transport,
        Limits {
            connections: width.max(1),
            attempts: ATTEMPTS,
            ..Limits::default()
        },
    )
}

/// The facts of the hosts of hosts.yaml. Hosts that cannot be asked are among them, with the reason.
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

/// The facts of all hosts, or none: a plan cannot be made around a host that nobody has seen.
async fn facts(env: &Env, hosts: &Hosts, pool: &Pool) -> Result<Facts, CliError> {
    let gathered = gathered(env, hosts, pool, run::FACTS_WIDTH).await?;
    let mut missing: Vec<String> = gathered
        .unreachable()
        .map(|host| {
            format!(
                "{}: {}",
                host.address,
                host.unreachable.as_deref().unwrap_or_default()
            )
        })
        .collect();
    let count = missing.len();
    if count == 0 {
        return Ok(gathered.facts);
    }
    if count > NAMED {
        missing.truncate(NAMED);
        missing.push(format!("and {}", crate::text::count(count - NAMED, "more host")));
    }
    Err(CliError {
        exit: exit::UNREACHABLE,
        message: format!(
            "{count} of {} hosts could not be read\n{}",
            hosts.entries.len(),
            missing.join("\n")
        ),
        hint: "correct what is said above; a host that is gone for good is removed from the cluster and from hosts.yaml first. \
               What can be read of the others, `mkectl facts` records"
            .to_owned(),
    })
}

/// What MKE itself tells.
async fn read_mke(
    env: &Env,
    access: Access,
    want: Want,
    facts: Option<&Facts>,
    given: &mut Given,
) -> Result<(), CliError> {
    let address = access.address.clone();
    env.log(
        Level::Info,
        &format!("==> Running phase: Read MKE 3 at {address} as {}", access.user),
    );
    let live = api::read(access, Patience::default(), want)
        .await
        .map_err(|error| failed(&error))?;
    same_cluster(env, &address, &live, facts)?;
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
    Ok(())
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

/// Writes what was read as the files that `--mke3-config`, `--accounts` and `--facts` take.
fn record(env: &Env, directory: &str, given: &Given) -> Result<(), CliError> {
    if let Some(bytes) = &given.config {
        let path = recorded(directory, CONFIG)?;
        files::write(&path, bytes)?;
        env.log(
            Level::Warn,
            &format!(
                "{path} holds secrets of the cluster in the clear; it is readable by you alone, keep it so"
            ),
        );
    }
    for (what, name, bytes) in [
        ("accounts", ACCOUNTS, &given.accounts),
        ("facts", FACTS, &given.facts),
    ] {
        if let Some(bytes) = bytes {
            let path = recorded(directory, name)?;
            files::write(&path, bytes)?;
            env.log(Level::Info, &format!("the {what} are kept in {path}"));
        }
    }
    Ok(())
}

/// A file of the directory of `--record`, which is made where it is not there.
pub fn recorded(directory: &str, name: &str) -> Result<String, CliError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| CliError::file("make", directory, &error))?;
    Ok(Path::new(directory).join(name).to_string_lossy().into_owned())
}

/// What the recorded configuration is called, in files and in findings.
pub const CONFIG: &str = "mke3.toml";
/// What recorded accounts are called.
pub const ACCOUNTS: &str = "accounts.json";
/// What recorded facts are called.
pub const FACTS: &str = "facts.json";
/// Where facts that were read live are from, for `meta`.
pub const OVER_SSH: &str = "the hosts, over SSH";

/// The CAs of the cluster from a host: managers first, where it is known who they are.
async fn fetched_ca(
    env: &Env,
    ask: &Ask<'_>,
    facts: Option<&Facts>,
    pool: &Pool,
) -> Result<Vec<u8>, CliError> {
    let mut hosts = join(ask.hosts, facts);
    hosts.sort_by_key(|host| match host.role {
        Some(Role::Manager) => 0,
        None => 1,
        Some(Role::Worker) => 2,
    });
    let mut second = None;
    let (mut reasons, mut input) = (Vec::new(), true);
    for joined in hosts.iter().take(ASKED) {
        let host = row(joined);
        let id = &joined.id;
        let session = match pool.session(&host).await {
            Ok(session) => session,
            Err(error) => {
                input &= error.is_input();
                reasons.push(format!("{id}: {error}"));
                continue;
            }
        };
        let Ok(found) = timeout(FETCH, ca::fetch(&session, &host.user)).await else {
            input = false;
            let seconds = FETCH.as_secs();
            reasons.push(format!("{id}: it did not answer within {seconds} s"));
            continue;
        };
        match found {
            Ok(found) if found.manager => {
                env.log(Level::Debug, &format!("the CA of the cluster comes from {id}"));
                return Ok(found.pem);
            }
            Ok(found) => second = second.or(Some(found.pem)),
            Err(error) => {
                input = false;
                reasons.push(format!("{id}: {error}"));
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

/// A host as it is connected to, under the id that it had when its facts were read: the connection is used again.
fn row(host: &JoinedHost<'_>) -> Host {
    Host {
        role: host.role,
        host_keys: host
            .facts
            .map(|facts| facts.host_keys.clone())
            .unwrap_or_default(),
        ..host.entry.host(&host.entry.address)
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
