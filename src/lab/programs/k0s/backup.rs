//! `k0s backup`: the snapshot of etcd and the files of a controller, as one archive.

use super::{data_dir, flags, process, refuse};
use crate::lab::assets::{gzip, tar};
use crate::lab::programs::{Caller, Failure, Invocation};
use crate::lab::tools::FileOp;

pub(super) fn backup(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
    let parsed = flags(call, 2, &[("save-path", '\0', true)])?;
    let to = parsed.value("save-path").unwrap_or_default();
    let data = data_dir(&parsed);
    let process = process(call)?;
    if !process.controls() {
        return refuse("backup command must be run on the controller node, have `worker`");
    }
    if process.data_dir != data {
        return refuse(format!(
            "cannot find data-dir ({data}). check your environment and/or command input and try again"
        ));
    }
    let snapshot = {
        let state = call.cluster.state();
        if let Err(why) = state.k0s_api(call.host) {
            return refuse(format!("failed to create backup on step `etcd`: {why}"));
        }
        match state.k0s.clusters.get(&process.cluster) {
            Some(cluster) => cluster.store.snapshot(),
            None => return refuse("failed to create backup on step `etcd`: etcdserver: no leader"),
        }
    };
    let mut files = vec![("etcd-snapshot.db".to_owned(), 0o600, snapshot)];
    for name in caller.list(&format!("{data}/pki"))? {
        // Directories in it are not looked into.
        if name.contains('.') {
            let bytes = caller.read(&format!("{data}/pki/{name}"))?;
            files.push((format!("pki/{name}"), 0o640, bytes));
        }
    }
    let archive = gzip(&tar(&files));
    if to == "-" {
        caller.out(&archive)?;
    } else {
        if to.is_empty() || !caller.exists(to)? {
            return refuse(format!("the save-path directory ({to}) does not exist"));
        }
        let path = format!("{to}/k0s_backup_2026-01-01T00_00_00_000Z.tar.gz");
        caller.change(FileOp::Write {
            path,
            bytes: archive,
            mode: 0o644,
        })?;
    }
    Ok(0)
}
