//! The programs that a host has, each in front of the one model.
//!
//! A program answers as the real one does, or not at all: what it does not know ends with status 99 and a line in the
//! model's list, so that a script never takes silence for success.

mod args;
mod curl;
mod disk;
mod docker;
mod etcd;
mod firewall;
mod ip;
mod iptables;
mod journalctl;
mod k0s;
mod kernel;
pub(crate) mod kubectl;
mod openssl;
mod systemctl;
mod systemd_run;
pub(crate) mod template;

pub(crate) use k0s::POD;

use super::model::Cluster;
use super::tools::FileOp;
use std::io;

/// Status of a call that the simulation does not know; none of the programs uses it.
pub const UNMODELLED: u8 = 99;

/// One call of a program on a host.
pub(crate) struct Invocation<'a> {
    /// Host that it runs on.
    pub host: &'a str,
    /// Base name and arguments.
    pub argv: &'a [String],
    /// Working directory.
    pub cwd: &'a str,
    /// Variables that programs look at.
    pub env: &'a [(String, String)],
    /// The model.
    pub cluster: &'a Cluster,
}

/// Where a call prints and reads. Errors mean that the caller has gone.
pub(crate) trait Terminal {
    /// Writes to standard output.
    fn out(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Writes to standard error.
    fn err(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// A piece of standard input; empty at its end.
    fn input(&mut self) -> io::Result<Vec<u8>>;
}

/// Files of the host that the caller runs on.
pub(crate) trait Files {
    /// Content.
    fn read(&mut self, path: &str) -> io::Result<Vec<u8>>;
    /// Whether something is there.
    fn exists(&mut self, path: &str) -> io::Result<bool>;
    /// Names in a directory, sorted; none when it is not there.
    fn list(&mut self, path: &str) -> io::Result<Vec<String>>;
    /// Runs a program of the host with this standard input: what it printed.
    fn run(&mut self, argv: &[String], input: &[u8]) -> io::Result<Vec<u8>>;
    /// Changes something.
    fn change(&mut self, op: FileOp) -> io::Result<()>;
}

/// The caller's side of a call.
pub(crate) trait Caller: Terminal + Files {}
impl<T: Terminal + Files> Caller for T {}

/// How a call ends when it does not end well.
#[derive(Debug)]
pub(crate) enum Failure {
    /// As the real program fails: text for standard error, and the status.
    Real(String, u8),
    /// The simulation does not know this.
    Unmodelled(String),
    /// The caller has gone, or a file of the host could not be used.
    Io(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Io(error)
    }
}

/// A program that hosts have. Adding one is this trait and a line in [`tools`].
pub(crate) trait Tool: Sync {
    /// Name that it is called by.
    fn name(&self) -> &'static str;
    /// Answers one call with its status.
    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure>;
}

/// All programs, sorted by name.
#[rustfmt::skip]
fn tools() -> Vec<&'static dyn Tool> {
    vec![
        &curl::Curl,
        &disk::Df,
        &docker::Docker,
        &etcd::Etcdutl,
        &firewall::FirewallCmd,
        &firewall::Ufw,
        &ip::Ip,
        &iptables::Iptables("ip6tables"),
        &iptables::Iptables("ip6tables-legacy"),
        &iptables::Iptables("ip6tables-legacy-restore"),
        &iptables::Iptables("ip6tables-legacy-save"),
        &iptables::Iptables("ip6tables-nft"),
        &iptables::Iptables("ip6tables-nft-restore"),
        &iptables::Iptables("ip6tables-nft-save"),
        &iptables::Iptables("ip6tables-restore"),
        &iptables::Iptables("ip6tables-save"),
        &iptables::Iptables("iptables"),
        &iptables::Iptables("iptables-legacy"),
        &iptables::Iptables("iptables-legacy-restore"),
        &iptables::Iptables("iptables-legacy-save"),
        &iptables::Iptables("iptables-nft"),
        &iptables::Iptables("iptables-nft-restore"),
        &iptables::Iptables("iptables-nft-save"),
        &iptables::Iptables("iptables-restore"),
        &iptables::Iptables("iptables-save"),
        &journalctl::Journalctl,
        &k0s::K0s,
        &kernel::Modprobe,
        &kernel::Sysctl,
        &openssl::Openssl,
        &systemctl::Systemctl,
        &systemd_run::SocketActivate,
        &systemd_run::SystemdRun,
    ]
}

/// Answers one call.
///
/// # Errors
/// When the caller has gone.
pub(crate) fn run(call: &mut Invocation<'_>, caller: &mut dyn Caller) -> io::Result<u8> {
    let name = call.argv.first().map_or("", String::as_str);
    let ended = match tools().into_iter().find(|tool| tool.name() == name) {
        Some(tool) => tool.run(call, caller),
        None => Err(Failure::Unmodelled("no such program".to_owned())),
    };
    match ended {
        Ok(status) => Ok(status),
        Err(Failure::Real(text, status)) => {
            caller.err(format!("{text}\n").as_bytes())?;
            Ok(status)
        }
        Err(Failure::Unmodelled(why)) => {
            let line = format!("{}: {}: {why}", call.host, call.argv.join(" "));
            caller.err(format!("mkectl lab: not simulated: {line}\n").as_bytes())?;
            call.cluster.state().unmodelled.push(line);
            Ok(UNMODELLED)
        }
        Err(Failure::Io(error)) => {
            caller.err(format!("mkectl lab: {name} in {}: {error}\n", call.cwd).as_bytes())?;
            Ok(UNMODELLED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::tools::{BROUGHT, STAND_INS};

    #[test]
    fn every_stand_in_has_a_program_behind_it() {
        let mut names: Vec<&str> = tools().iter().map(|tool| tool.name()).collect();
        // sudo needs no model: the stand-in runs the command itself.
        names.push("sudo");
        names.retain(|name| !BROUGHT.contains(name));
        names.sort_unstable();
        assert_eq!(names, STAND_INS);
    }
}
