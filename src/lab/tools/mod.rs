//! Stand-ins for the programs of a host: the mkectl binary under other names.
//!
//! Inside the host the stand-in knows nothing. It carries its arguments to the model in the process that runs the lab,
//! over the socket of its host, and does what it is told: print, read standard input, touch files of its own root.

mod client;
pub(crate) mod service;
mod wire;

pub use client::main;
pub(crate) use wire::FileOp;

/// Names under which the binary stands in. A name is here when a program of the model answers to it, so that a host has
/// no program that nothing simulates.
#[rustfmt::skip]
pub const STAND_INS: &[&str] = &[
    "curl",
    "df",
    "docker",
    "firewall-cmd",
    "getenforce",
    "ip",
    "ip6tables",
    "ip6tables-legacy",
    "ip6tables-legacy-restore",
    "ip6tables-legacy-save",
    "ip6tables-nft",
    "ip6tables-nft-restore",
    "ip6tables-nft-save",
    "ip6tables-restore",
    "ip6tables-save",
    "iptables",
    "iptables-legacy",
    "iptables-legacy-restore",
    "iptables-legacy-save",
    "iptables-nft",
    "iptables-nft-restore",
    "iptables-nft-save",
    "iptables-restore",
    "iptables-save",
    "journalctl",
    "modprobe",
    "openssl",
    "ss",
    "sudo",
    "sysctl",
    "systemctl",
    "systemd-run",
    "systemd-socket-activate",
    "ufw",
];

/// Names under which it lies in `/.lab/bin`, out of the way: what an upgrade brings to a host calls these. See
/// [`assets`](super::assets).
#[rustfmt::skip]
pub const BROUGHT: &[&str] = &[
    "etcdctl",
    "etcdutl",
    "k0s",
];

/// Whether a program called by this name is to stand in for another.
///
/// Only inside a simulated host is it: elsewhere a link called `docker` to this binary is somebody's mistake.
pub fn is_stand_in(argv0: &str) -> bool {
    let name = argv0.rsplit('/').next().unwrap_or(argv0);
    (STAND_INS.contains(&name) || BROUGHT.contains(&name)) && std::path::Path::new(client::SOCKET).exists()
}
