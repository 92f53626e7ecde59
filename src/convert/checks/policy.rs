//! Host policy: what on a host could keep k0s from starting, or from staying up.

use super::options::soak_minutes;
use super::run::{Draft, Run};
use std::rc::Rc;

/// `SUDO`: the login user becomes root without a password.
pub(super) fn privilege(run: &mut Run<'_>) {
    run.each_host(
        "SUDO",
        "how the login user becomes root",
        |facts| {
            facts
                .privilege
                .as_deref()
                .filter(|how| ["root", "sudo", "sudo-password", "none"].contains(how))
        },
        |_, how| match how {
            "root" | "sudo" => None,
            "sudo-password" => Some(Draft::new("sudo asks the login user for a password")),
            _ => Some(Draft::new("the login user cannot become root")),
        },
    );
}

/// `EXEC-MOUNT`: programs may run where k0s puts them.
pub(super) fn noexec(run: &mut Run<'_>) {
    run.each_host(
        "EXEC-MOUNT",
        "whether programs may run from the places that k0s uses",
        |facts| facts.noexec,
        |_, noexec| noexec.then(|| Draft::new("/usr/local/bin or the data directory is mounted noexec")),
    );
}

/// `SELINUX`: SELinux does not enforce.
pub(super) fn selinux(run: &mut Run<'_>) {
    run.each_host(
        "SELINUX",
        "the state of SELinux",
        |facts| facts.selinux.as_deref(),
        |_, state| {
            state
                .eq_ignore_ascii_case("enforcing")
                .then(|| Draft::new("SELinux enforces"))
        },
    );
}

/// `FIREWALL`: no host firewall is active.
pub(super) fn firewall(run: &mut Run<'_>) {
    run.each_host(
        "FIREWALL",
        "the state of the host firewall",
        |facts| facts.firewall.as_deref(),
        |_, name| {
            let active = !["", "none", "inactive"].contains(&name);
            active.then(|| Draft::new(format!("a host firewall is active: {name}")))
        },
    );
}

/// `FAPOLICYD`: no policy decides which programs may run.
pub(super) fn fapolicyd(run: &mut Run<'_>) {
    run.each_host(
        "FAPOLICYD",
        "the state of fapolicyd",
        |facts| facts.fapolicyd,
        |_, active| active.then(|| Draft::new("fapolicyd decides which programs may run")),
    );
}

/// `SWAP`: swap is off.
pub(super) fn swap(run: &mut Run<'_>) {
    run.each_host(
        "SWAP",
        "whether swap is on",
        |facts| facts.swap,
        |_, on| on.then(|| Draft::new("swap is on")),
    );
}

/// `IPTABLES-BACKEND`: iptables writes to nftables.
pub(super) fn iptables(run: &mut Run<'_>) {
    run.each_host(
        "IPTABLES-BACKEND",
        "the backend of iptables",
        |facts| facts.iptables.as_deref(),
        |_, backend| (backend != "nft").then(|| Draft::new(format!("iptables uses the {backend} backend"))),
    );
}

/// `KERNEL-MODULES`: the modules that k0s and Calico need are there.
pub(super) fn modules(run: &mut Run<'_>) {
    run.each_host(
        "KERNEL-MODULES",
        "which kernel modules are missing",
        |facts| facts.missing_modules.as_ref(),
        |_, missing| {
            let mut names: Vec<&str> = missing.iter().map(String::as_str).collect();
            names.sort_unstable();
            names.dedup();
            (!names.is_empty())
                .then(|| Draft::new(format!("kernel modules are missing: {}", names.join(", "))))
        },
    );
}

/// `SYSTEMD`: systemd is process 1.
pub(super) fn systemd(run: &mut Run<'_>) {
    run.each_host(
        "SYSTEMD",
        "the init system",
        |facts| facts.init.as_deref(),
        |_, init| (init != "systemd").then(|| Draft::new(format!("process 1 is {init}, not systemd"))),
    );
}

/// `CLOCK-SKEW`: no clock is far from the median of all.
///
/// Only the distance to the other hosts counts: the operator's own clock may be wrong without doing harm.
pub(super) fn clock(run: &mut Run<'_>) {
    const CODE: &str = "CLOCK-SKEW";
    run.ok(CODE);
    let hosts = Rc::clone(&run.hosts);
    let offsets = run.facts_of(&[CODE], "the clock", |facts| facts.clock_offset_ms);
    let mut sorted: Vec<i64> = offsets.iter().map(|(_, offset)| i64::from(*offset)).collect();
    sorted.sort_unstable();
    let Some(median) = sorted.get(sorted.len().saturating_sub(1) / 2).copied() else {
        return;
    };
    let limit = run.ctx.rules.hosts.clock_skew_ms;
    for (position, offset) in offsets {
        let host = &hosts[position];
        run.reading(&host.id, "clock", format!("{offset:+} ms"));
        if (i64::from(offset) - median).abs() > limit {
            let draft = Draft::new(format!(
                "the clock is more than {} s away from the median of all hosts",
                limit / 1000
            ));
            run.find_host(CODE, host, draft);
        }
    }
}

/// `CERT-LIFE`: certificates of swarm, MKE and etcd outlive the soak time by a margin.
pub(super) fn certificates(run: &mut Run<'_>) {
    const CODE: &str = "CERT-LIFE";
    run.ok(CODE);
    let margin = run.ctx.rules.hosts.certificate_margin_days;
    let soak = run
        .ctx
        .options
        .commit_after
        .as_deref()
        .and_then(soak_minutes)
        .unwrap_or(0);
    let needed = margin.saturating_add(soak.div_ceil(24 * 60));
    let hosts = Rc::clone(&run.hosts);
    for (position, days) in run.facts_of(&[CODE], "when certificates expire", |facts| {
        facts.certificates_days
    }) {
        let host = &hosts[position];
        run.reading(&host.id, "certificates", format!("{days} days left"));
        if u64::from(days) < needed {
            let draft = Draft::new(format!(
                "a certificate of swarm, MKE or etcd expires within the {needed} days that the upgrade may need it"
            ));
            run.find_host(CODE, host, draft);
        }
    }
}

/// `K0S-TRACES`: no k0s was there before.
pub(super) fn k0s_traces(run: &mut Run<'_>) {
    run.each_host(
        "K0S-TRACES",
        "whether k0s left traces",
        |facts| facts.k0s.as_ref(),
        |_, traces| {
            let mut traces: Vec<&str> = traces.iter().map(String::as_str).collect();
            traces.sort_unstable();
            traces.dedup();
            (!traces.is_empty())
                .then(|| Draft::new(format!("k0s was on the host before: {}", traces.join(", "))))
        },
    );
}
