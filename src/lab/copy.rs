//! A second lab in the state of a first: the model, what lies on disks and in memory, and what is mounted.
//!
//! Processes are not copied, so nothing may run on the hosts of the first meanwhile, but for what k0s keeps running.

use super::error::{LabError, file};
use super::model::Cluster;
use super::programs::POD;
use super::sandbox::{Entry, Setup};
use super::{Directory, Lab};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

impl Lab {
    /// A lab that is as this one is now, and goes its own way from here on. It needs this one's files until it ends, so
    /// this one must outlive it.
    ///
    /// # Errors
    /// When a host cannot be copied or started.
    pub async fn copy(&self, tick: Option<Duration>) -> Result<Lab, LabError> {
        let parent = self.directory().parent().unwrap_or(Path::new("/")).to_owned();
        let directory = tempfile::Builder::new()
            .prefix("mkectl-lab-")
            .tempdir_in(&parent)
            .map_err(file("create a directory in", &parent))?;
        let root = directory.path().to_owned();
        let directory = Directory(Some(directory));
        let mut state = self.state().clone();
        state.crash = None;
        let mut setups = Vec::new();
        let mut copying = JoinSet::new();
        for (at, host) in self.hosts.values().enumerate() {
            let home = root.join(format!("h{at}"));
            fs::create_dir(&home).map_err(file("create", &home))?;
            let seed = fs::canonicalize(host.setup.directory.join("seed"))
                .map_err(file("find", &host.setup.directory))?;
            std::os::unix::fs::symlink(&seed, home.join("seed")).map_err(file("create", &home))?;
            let upper = host.setup.directory.join("upper");
            setups.push(Setup {
                mounts: mounts(&host.setup, host.sandbox.entry())?,
                directory: home.clone(),
                socket: root.join(format!("s{at}")),
                ..host.setup.clone()
            });
            // Owners, modes, times and the overlay's own marks belong to what lies there.
            copying.spawn_blocking(move || {
                let mut command = Command::new("cp");
                command.args(["-a", "--"]).arg(&upper).arg(&home);
                done(command, "copy the files of a host")
            });
        }
        for copied in copying.join_all().await {
            copied?;
        }
        let lab = Lab::open(setups, Arc::new(Cluster::new(state)), directory, tick).await?;
        let mut filling = JoinSet::new();
        for (name, from) in &self.hosts {
            let (from, to) = (from.sandbox.entry(), lab.entry(name)?);
            let kubelet = {
                let state = self.state();
                state
                    .k0s_on(name)
                    .filter(|process| process.node.is_some())
                    .map(|process| process.kubelet_root.clone())
            };
            filling.spawn_blocking(move || memory(from, to, kubelet));
        }
        for filled in filling.join_all().await {
            filled?;
        }
        Ok(lab)
    }
}

fn done(mut command: Command, doing: &'static str) -> Result<(), LabError> {
    let ran = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| LabError::Program {
            program: "cp",
            source,
        })?;
    if ran.status.success() {
        return Ok(());
    }
    Err(LabError::File {
        doing,
        path: "/".into(),
        source: std::io::Error::other(String::from_utf8_lossy(&ran.stderr).trim().to_owned()),
    })
}

/// Directories of the host that are mounted in memory by programs of the host.
fn mounts(setup: &Setup, entry: Entry) -> Result<Vec<String>, LabError> {
    let path = entry.view().join("proc/self/mountinfo");
    let output = entry
        .command(["cat", "/proc/self/mountinfo"])
        .stdin(Stdio::null())
        .output()
        .map_err(file("read", &path))?;
    if !output.status.success() {
        return Err(LabError::NoHost(setup.name.clone()));
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.contains(" - tmpfs tmpfs "))
        .filter_map(|line| {
            let mut words = line.split(' ').skip(3);
            // Of what is bound to a file of this machine, the root within its file system is another.
            (words.next() == Some("/")).then(|| words.next()).flatten()
        })
        .map(str::to_owned)
        .collect())
}

/// Copies what lives in memory, and lets what k0s runs in pods run.
fn memory(from: Entry, to: Entry, kubelet: Option<String>) -> Result<(), LabError> {
    let program = |source| LabError::Program {
        program: "tar",
        source,
    };
    let mut packing = from
        .command(["tar", "-C", "/", "-cf", "-", "run", "tmp", "dev/shm"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(program)?;
    let packed = packing.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let mut unpacking = to.command(["tar", "-C", "/", "-xpf", "-"]);
    let unpacked = unpacking.stdin(packed).stdout(Stdio::null()).output();
    // Sockets are not packed, and tar says so.
    packing.wait().map_err(program)?;
    let unpacked = unpacked.map_err(program)?;
    if !unpacked.status.success() {
        let said = String::from_utf8_lossy(&unpacked.stderr).trim().to_owned();
        return Err(program(std::io::Error::other(said)));
    }
    if let Some(kubelet) = kubelet {
        let words = ["rm -f /run/k0s/shim.pid; ", POD].concat();
        let mut command = to.command(["sh", "-c", words.as_str(), "sh", kubelet.as_str()]);
        // A pod that does not come is one less in the way of the undo; what the run does then shows it.
        let _ = command.stdin(Stdio::null()).output();
    }
    Ok(())
}
