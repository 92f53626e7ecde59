//! This machine, where a script of the plan could touch it had it got out of its simulated host.

use mkectl::model::Spec;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Settings of the kernel that scripts make, and its name for the host.
const KERNEL: &[&str] = &[
    "kernel/hostname",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/ip_forward",
    "vm/overcommit_memory",
];

/// This machine at some moment.
#[derive(Debug, PartialEq, Eq)]
pub struct Outside(BTreeMap<String, String>);

impl Outside {
    /// All places that actions of the plan may change on their hosts, and what is in them; the kernel's settings, network
    /// interfaces of pods, and mounts below those places.
    pub fn now(spec: &Spec) -> Outside {
        let mut seen = BTreeMap::new();
        let mut places = vec!["/var/lib/mkectl".to_owned(), "/run/k0s".to_owned()];
        for pattern in spec.steps.iter().flat_map(|step| &step.changes.files) {
            let place = pattern
                .replace("$DATA_DIR", "/var/lib/k0s")
                .replace("$KUBELET_ROOT", "/var/lib/kubelet")
                .replace("$DOCKER_ROOT", "/var/lib/docker");
            // What a name with `*` stands for is seen in its directory.
            let fixed = place.split('*').next().unwrap_or_default();
            let place = if fixed == place {
                fixed
            } else {
                fixed.rsplit_once('/').unwrap().0
            };
            if place.starts_with('/') {
                places.push(place.trim_end_matches('/').to_owned());
            }
        }
        for place in &places {
            seen.insert(place.clone(), about(place));
            for entry in fs::read_dir(place).into_iter().flatten().flatten() {
                let path = entry.path().to_string_lossy().into_owned();
                seen.insert(path.clone(), about(&path));
            }
        }
        for name in KERNEL {
            let value = fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default();
            seen.insert((*name).to_owned(), value);
        }
        for entry in fs::read_dir("/sys/class/net").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("cali") || name == "vxlan.calico" || name == "kube-ipvs0" {
                seen.insert(format!("interface {name}"), String::new());
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for line in mounts.lines() {
            let at = line.split(' ').nth(4).unwrap_or_default();
            if places
                .iter()
                .any(|place| at.starts_with(&format!("{place}/")) || at == place)
            {
                seen.insert(format!("mount {at}"), line.to_owned());
            }
        }
        Outside(seen)
    }
}

fn about(path: &str) -> String {
    fs::symlink_metadata(path).map_or_else(
        |_| "absent".to_owned(),
        |known| {
            format!(
                "inode {} mode {:o} size {} changed {}.{}",
                known.ino(),
                known.mode(),
                known.size(),
                known.ctime(),
                known.ctime_nsec()
            )
        },
    )
}
