//! What befalls a whole host: a restart, a full disk, the end of its etcd member.

use super::{Place, script};
use crate::lab::model::etcd::KV;
use crate::lab::model::{Active, Enablement};
use std::process::Stdio;

/// Ends every process but the first, and what lives in memory; then the kernel has another boot id.
const RESTART: &str = r#"
kill -KILL -1 2>/dev/null
while read -r _ _ _ top where _ rest; do
    case $top$rest in /*" tmpfs tmpfs "*) [ "$top" != / ] || printf '%s\n' "$where" ;; esac
done </proc/self/mountinfo | while read -r where; do umount -l "$where"; done
rm -rf /run/* /tmp/* /dev/shm/*
mkdir -p /run/lock
cat /proc/sys/kernel/random/uuid >/tmp/boot-id && mount --bind /tmp/boot-id /proc/sys/kernel/random/boot_id
"#;

/// Leaves what is under $1 where it is, on a disk with no more than some room.
const FILL: &str = r#"
d=/var/lib/mkectl
mkdir -p "$d" && chmod 700 "$d"
used=$(du -sk "$d" | cut -f 1)
mount -t tmpfs -o size=$((used + 64))k,mode=700 lab-disk /mnt && cp -a "$d/." /mnt/ && mount --bind /mnt "$d" && umount /mnt
"#;

/// Processes that have a script's own directory in their environment.
const END_SCRIPTS: &str = r#"
for process in /proc/[0-9]*; do
    if tr '\0' '\n' <"$process/environ" 2>/dev/null | grep -q '^MKECTL_WORK='; then kill -KILL "${process#/proc/}"; fi
done
"#;

const MAKE_ROOM: &str = "mount -o remount,size=1g /var/lib/mkectl 2>/dev/null";

impl Place {
    /// Runs shell in the host, past SSH. What it does not do, the run does not meet; that is for the verdict to show.
    pub(super) async fn inside(&self, text: String) {
        let mut command = tokio::process::Command::from(self.entry.command(["/bin/sh", "-c", &text]));
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        // A host that ends meanwhile has no use for it.
        let _ = command.status().await;
    }

    /// Restarts the host in order: units are stopped, everything ends, and what is enabled starts.
    pub(super) async fn reboot(&self) {
        let units = |wanted: &dyn Fn(&crate::lab::model::Unit) -> bool| -> Vec<String> {
            let state = self.cluster.state();
            let host = state.hosts.get(&self.host);
            let mut names: Vec<String> = host
                .into_iter()
                .flat_map(|host| host.units.values())
                .filter(|unit| wanted(unit) && unit.name != "ssh.service")
                .map(|unit| unit.name.clone())
                .collect();
            // Sockets first: they start their services again.
            names.sort_by_key(|name| !name.ends_with(".socket"));
            names
        };
        for unit in units(&|unit| unit.is_active()) {
            self.inside(format!("systemctl stop '{unit}'")).await;
        }
        if let Some(host) = self.cluster.state().hosts.get_mut(&self.host) {
            host.units.retain(|_, unit| !unit.transient);
            for unit in host.units.values_mut() {
                if unit.active != Active::Active {
                    unit.active = Active::Inactive;
                }
            }
            host.restarted();
        }
        self.inside(RESTART.to_owned()).await;
        self.inside("systemctl daemon-reload".to_owned()).await;
        for unit in units(&|unit| unit.enablement == Enablement::Enabled && !unit.is_active()) {
            self.inside(format!("systemctl start '{unit}'")).await;
        }
    }

    /// Fills the disk that mkectl's own directory lies on.
    pub(super) async fn fill(&self) {
        self.inside(FILL.to_owned()).await;
        if let Some(host) = self.cluster.state().hosts.get_mut(&self.host) {
            for disk in host.system.disks.values_mut() {
                disk.free = 64 << 10;
            }
        }
    }

    /// Somebody makes room.
    pub(super) async fn make_room(&self) {
        self.inside(MAKE_ROOM.to_owned()).await;
        if let Some(host) = self.cluster.state().hosts.get_mut(&self.host) {
            for disk in host.system.disks.values_mut() {
                disk.free = disk.size / 2;
            }
        }
    }

    /// Ends the etcd member that runs on the host, MKE 3's or that of k0s.
    pub(super) async fn end_etcd(&self) {
        let controller = {
            let mut state = self.cluster.state();
            let now = state.now;
            if let Some(kv) = state
                .hosts
                .get_mut(&self.host)
                .and_then(|host| host.containers.get_mut(KV))
            {
                kv.end(137, false, now);
            }
            state.k0s_on(&self.host).is_some_and(|process| process.controls())
        };
        if controller {
            // systemd starts it again.
            self.inside("systemctl restart k0scontroller.service".to_owned())
                .await;
        }
    }

    /// Kills what runners have started here.
    pub(in crate::lab) async fn end_scripts(&self) {
        self.inside(END_SCRIPTS.to_owned()).await;
    }

    /// What faults put on the host is gone.
    pub(in crate::lab) async fn calm(&self) {
        self.inside(script::CALM.to_owned()).await;
        self.make_room().await;
    }
}
