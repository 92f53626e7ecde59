//! The SSH transport against real OpenSSH servers on loopback.
//!
//! Each test starts its own sshd processes on high ports, with their own keys and configuration, and ends them by their
//! process ids. As root sshd separates privileges and needs /run/sshd, which is made if it is not there. Needs the Debian
//! packages openssh-server, openssh-client and sudo; without them every test fails and says so. `real` has whole hosts.

// A test that cannot go on fails by panicking.
#![allow(clippy::unwrap_used)]

mod auth;
mod commands;
mod connections;
mod facts;
mod real;
mod sshd;
mod transfer;
mod trust;
