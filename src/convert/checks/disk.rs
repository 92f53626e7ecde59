//! Room on the file systems that really hold what the upgrade writes.

use super::rules::PerRole;
use super::run::{Draft, HostView, Run};
use crate::model::{Bytes, Role};
use crate::source::facts::{FilesystemFacts, HostFacts};
use std::collections::BTreeMap;
use std::rc::Rc;

const MIB: u128 = 1 << 20;

/// The file system that holds a path: the record of the path itself, else of the nearest directory above it that was
/// asked for. `/` alone says too little, because anything may be mounted below it.
fn filesystem<'f>(facts: &'f HostFacts, path: &str) -> Option<&'f FilesystemFacts> {
    let path = path.trim_end_matches('/');
    facts
        .filesystems
        .iter()
        .filter(|(known, _)| {
            let known = known.trim_end_matches('/');
            !known.is_empty()
                && (path == known || path.strip_prefix(known).is_some_and(|rest| rest.starts_with('/')))
        })
        .max_by_key(|(known, _)| known.trim_end_matches('/').len())
        .map(|(_, filesystem)| filesystem)
}

fn kubelet_root<'a>(run: &Run<'a>) -> &'a str {
    run.text("cluster_config.kubelet_data_root")
        .unwrap_or(run.ctx.rules.hosts.kubelet_root.as_str())
}

fn gib(bytes: u128) -> String {
    // One decimal, rounded up, without floats.
    let tenths = (bytes * 10).div_ceil(1 << 30);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

/// What is needed on one mount point.
#[derive(Default)]
struct Need {
    paths: Vec<String>,
    bytes: u128,
    size: u128,
    free: u128,
}

/// `DISK-WHERE`: every file system has room for all that goes there, and stays above the kubelet's eviction limit.
pub(super) fn space(run: &mut Run<'_>) {
    const CODE: &str = "DISK-WHERE";
    run.ok(CODE);
    let etcd = run
        .ctx
        .facts
        .and_then(|facts| facts.cluster.etcd.as_ref())
        .and_then(|etcd| etcd.size_bytes);
    let hosts = Rc::clone(&run.hosts);
    for (position, facts) in run.facts_of(&[CODE], "the file systems", |facts| {
        (!facts.filesystems.is_empty()).then_some(facts)
    }) {
        let host = &hosts[position];
        match needs(run, host, facts, etcd) {
            Err(why) => run.unchecked_host(CODE, why, &host.id),
            Ok(needs) => {
                for (mount, need) in needs {
                    report(run, host, &mount, &need);
                }
            }
        }
    }
}

fn report(run: &mut Run<'_>, host: &HostView<'_>, mount: &str, need: &Need) {
    let keep = need.size * u128::from(run.ctx.rules.hosts.disk.keep_free_percent) / 100;
    run.reading(
        &host.id,
        &format!("disk {mount}"),
        format!(
            "{} free of {}, {} needed and {} kept free",
            gib(need.free),
            gib(need.size),
            gib(need.bytes),
            gib(keep)
        ),
    );
    if need.free < need.bytes + keep {
        let draft = Draft::new(format!(
            "the file system on {mount} has too little room for {}",
            need.paths.join(", ")
        ));
        run.find_host("DISK-WHERE", host, draft);
    }
}

/// What a host needs, by mount point; or what is not known.
fn needs(
    run: &Run<'_>,
    host: &HostView<'_>,
    facts: &HostFacts,
    etcd: Option<Bytes>,
) -> Result<BTreeMap<String, Need>, String> {
    let rules = &run.ctx.rules.hosts.disk;
    let role = host.role.ok_or("nothing tells the role of the host")?;
    let base = |sizes: &PerRole| match role {
        Role::Manager => u128::from(sizes.manager) * MIB,
        Role::Worker => u128::from(sizes.worker) * MIB,
    };
    let images = facts
        .docker
        .as_ref()
        .and_then(|docker| docker.images_bytes)
        .ok_or("the size of Docker's images was not recorded")?;
    let images = u128::from(images.0) * u128::from(rules.image_percent) / 100;
    let etcd = match (role, etcd) {
        (Role::Worker, _) => 0,
        (Role::Manager, Some(size)) => u128::from(size.0),
        (Role::Manager, None) => return Err("the size of etcd was not recorded".to_owned()),
    };
    let wanted = [
        (
            run.ctx.options.data_dir.as_str(),
            base(&rules.data_dir_mib) + images + etcd * u128::from(rules.data_dir_etcd_copies),
        ),
        (
            rules.run_dir.as_str(),
            base(&rules.run_dir_mib) + etcd * u128::from(rules.run_dir_etcd_copies),
        ),
        (kubelet_root(run), base(&rules.kubelet_root_mib)),
    ];
    let mut out: BTreeMap<String, Need> = BTreeMap::new();
    for (path, bytes) in wanted {
        let missing = || format!("the file system of {path} was not recorded");
        let filesystem = filesystem(facts, path).ok_or_else(missing)?;
        let mount = filesystem.mount.as_ref().ok_or_else(missing)?;
        let size = filesystem.size_bytes.ok_or_else(missing)?;
        let free = filesystem.free_bytes.ok_or_else(missing)?;
        let need = out.entry(mount.clone()).or_default();
        need.paths.push(path.to_owned());
        need.bytes += bytes;
        need.size = need.size.max(u128::from(size.0));
        // Two readings of one file system were taken a moment apart; the smaller one counts.
        need.free = match need.paths.len() {
            1 => u128::from(free.0),
            _ => need.free.min(u128::from(free.0)),
        };
    }
    Ok(out)
}

/// `DISK-INODES`: there are inodes for unpacked images.
pub(super) fn inodes(run: &mut Run<'_>) {
    const CODE: &str = "DISK-INODES";
    run.ok(CODE);
    let data_dir = run.ctx.options.data_dir.as_str();
    let hosts = Rc::clone(&run.hosts);
    for (position, filesystem) in run.facts_of(&[CODE], "the file system of the data directory", |facts| {
        filesystem(facts, data_dir)
    }) {
        let host = &hosts[position];
        let (Some(inodes), Some(mount)) = (filesystem.free_inodes, filesystem.mount.as_deref()) else {
            run.unchecked_host(CODE, "the number of free inodes was not recorded", &host.id);
            continue;
        };
        run.reading(&host.id, &format!("inodes {mount}"), format!("{} free", inodes.0));
        if inodes.0 < run.ctx.rules.hosts.disk.keep_free_inodes {
            let draft = Draft::new(format!(
                "the file system on {mount} has too few inodes for {data_dir}"
            ));
            run.find_host(CODE, host, draft);
        }
    }
}
