//! What the hosts are: listed once, reachable, of a kind that MKE 4k runs on.

use super::run::{Draft, Run};
use super::version::Version;
use crate::model::{Severity, Subject, SubjectKind};
use std::collections::{BTreeMap, BTreeSet};

/// `HOSTS-EMPTY`: hosts.yaml lists hosts.
pub(super) fn empty(run: &mut Run<'_>) {
    let subject = Subject::new(SubjectKind::Input, run.ctx.hosts.file.clone());
    let none = run.hosts.is_empty();
    run.verdict(
        "HOSTS-EMPTY",
        none.then(|| (subject, Draft::new("hosts.yaml lists no host"))),
    );
}

/// `HOST-UNREACHABLE`: facts could be read on every host. Why not goes to the readings, because it differs by the minute.
pub(super) fn unreachable(run: &mut Run<'_>) {
    const CODE: &str = "HOST-UNREACHABLE";
    run.ok(CODE);
    let hosts = std::rc::Rc::clone(&run.hosts);
    for host in hosts.iter() {
        if let Some(why) = host.facts.and_then(|facts| facts.unreachable.as_deref()) {
            run.reading(&host.id, "unreachable", why);
        }
    }
    for (position, why) in run.facts_of(&[CODE], "whether the host answers", |facts| {
        Some(facts.unreachable.is_some())
    }) {
        if why {
            run.find_host(
                CODE,
                &hosts[position],
                Draft::new("no facts could be read from the host"),
            );
        }
    }
}

/// `HOST-DUPLICATE`: no two entries are the same machine.
pub(super) fn duplicate(run: &mut Run<'_>) {
    const CODE: &str = "HOST-DUPLICATE";
    let hosts = std::rc::Rc::clone(&run.hosts);
    run.ok(CODE);
    if run.ctx.facts.is_none() {
        run.unchecked(
            CODE,
            "without facts only the addresses in hosts.yaml were compared",
        );
    }
    let mut seen: BTreeMap<(&str, String), BTreeSet<usize>> = BTreeMap::new();
    for (position, host) in hosts.iter().enumerate() {
        let entry = host.entry;
        let facts = host.facts;
        let fields = [
            (
                "address and port",
                Some(format!("{}:{}", entry.address, entry.port)),
            ),
            (
                "host name",
                facts.and_then(|f| f.hostname.as_deref()).map(str::to_lowercase),
            ),
            ("machine id", facts.and_then(|f| f.machine_id.clone())),
            (
                "private address",
                facts
                    .and_then(|f| f.private_address.clone())
                    .or_else(|| entry.private_address.clone()),
            ),
        ];
        for (field, value) in fields {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                seen.entry((field, value)).or_default().insert(position);
            }
        }
    }
    for ((field, value), positions) in seen {
        if positions.len() > 1 {
            for position in positions {
                let draft = Draft::new(format!("several entries have the {field} {value}"));
                run.find_host(CODE, &hosts[position], draft);
            }
        }
    }
}

/// `FACTS-STRAY`: facts are about hosts of hosts.yaml, one record each.
pub(super) fn stray_facts(run: &mut Run<'_>) {
    const CODE: &str = "FACTS-STRAY";
    let Some(facts) = run.ctx.facts else {
        return run.unchecked(CODE, "no facts were recorded");
    };
    let listed: BTreeSet<&str> = run
        .ctx
        .hosts
        .entries
        .iter()
        .map(|entry| entry.address.as_str())
        .collect();
    let mut seen = BTreeSet::new();
    let mut drafts = Vec::new();
    for host in &facts.hosts {
        let subject = Subject::new(SubjectKind::Input, host.address.clone());
        if !listed.contains(host.address.as_str()) {
            drafts.push((
                subject,
                Draft::new("facts are about a host that hosts.yaml does not list"),
            ));
        } else if !seen.insert(host.address.as_str()) {
            let draft = Draft::new("facts hold two records about the host, and the first one counts");
            drafts.push((subject, draft));
        }
    }
    run.verdict(CODE, drafts);
}

/// `WINDOWS-NODE`: every host runs Linux.
pub(super) fn windows(run: &mut Run<'_>) {
    const CODE: &str = "WINDOWS-NODE";
    let hosts = std::rc::Rc::clone(&run.hosts);
    for host in hosts.iter().filter(|host| host.is_windows()) {
        run.find_host(CODE, host, Draft::new("the host runs Windows"));
    }
    run.each_host(
        CODE,
        "the operating system",
        |facts| facts.os.as_ref().and_then(|os| os.family.as_deref()),
        |_, _| None,
    );
}

/// `OS-UNSUPPORTED`: the operating system is known to be supported.
pub(super) fn system(run: &mut Run<'_>) {
    const CODE: &str = "OS-UNSUPPORTED";
    let Some(release) = run.target(&[CODE]) else {
        return;
    };
    let minor = Version::parse(&release.mke).map(|version| version.minor().to_string());
    let rules = &run.ctx.rules.hosts.systems;
    let Some(systems) = rules
        .iter()
        .find(|row| minor.as_ref().is_some_and(|minor| row.targets.contains(minor)))
    else {
        return run.unchecked(CODE, "no list of systems for the target release is known");
    };
    run.each_host(
        CODE,
        "the operating system",
        |facts| {
            let os = facts.os.as_ref()?;
            Some((os.id.as_deref()?, os.version.as_deref()?))
        },
        |_, (id, version)| {
            let listed = systems.names.get(&id.to_ascii_lowercase());
            let draft = Draft::new(format!(
                "{id} {version} is not among the systems known to be supported by MKE 4k {}",
                release.mke
            ));
            match listed {
                Some(versions) if versions.iter().any(|known| known == version) => None,
                // Later patch releases add versions of systems that are supported already.
                Some(_) => Some(draft.severity(Severity::Warning)),
                None => Some(draft),
            }
        },
    );
}

/// `ARCH-UNSUPPORTED`: the processor is of a kind that MKE 4k is built for.
pub(super) fn architecture(run: &mut Run<'_>) {
    let known = &run.ctx.rules.hosts.architectures;
    run.each_host(
        "ARCH-UNSUPPORTED",
        "the processor's architecture",
        |facts| facts.os.as_ref().and_then(|os| os.arch.as_deref()),
        |_, arch| {
            (!known.iter().any(|name| name == arch))
                .then(|| Draft::new(format!("the architecture is {arch}")))
        },
    );
}

/// `CGROUP-V1`: cgroup v2, where the target's k0s needs it.
pub(super) fn cgroup(run: &mut Run<'_>) {
    const CODE: &str = "CGROUP-V1";
    let Some(release) = run.target(&[CODE]) else {
        return;
    };
    let needed = release.has(&run.ctx.rules.hosts.cgroup_v2_feature);
    run.each_host(
        CODE,
        "the cgroup version",
        |facts| facts.cgroup.as_deref(),
        |_, version| match (version, needed) {
            ("v2", _) => None,
            (_, true) => Some(Draft::new(format!(
                "the host uses cgroup v1, which MKE 4k {} cannot",
                release.mke
            ))),
            (_, false) => Some(
                Draft::new("the host uses cgroup v1, which later releases of MKE 4k cannot")
                    .severity(Severity::Info),
            ),
        },
    );
}

/// `CPU-LOW`: processors, against the recommendation and against what was seen to fail.
pub(super) fn cpus(run: &mut Run<'_>) {
    let sizes = &run.ctx.rules.hosts.cpus;
    run.each_host(
        "CPU-LOW",
        "the number of processors",
        |facts| facts.cpus,
        |_, cpus| {
            if u64::from(cpus) <= sizes.failed {
                Some(Draft::new(format!(
                    "{} processors or fewer, with which upgrades were seen to fail",
                    sizes.failed
                )))
            } else if u64::from(cpus) < sizes.enough {
                let draft = Draft::new(format!("fewer than the recommended {} processors", sizes.enough));
                Some(draft.severity(Severity::Info))
            } else {
                None
            }
        },
    );
}

/// `MEMORY-LOW`: memory, against the recommendation and against what was seen to fail.
pub(super) fn memory(run: &mut Run<'_>) {
    let sizes = &run.ctx.rules.hosts.memory_mib;
    run.each_host(
        "MEMORY-LOW",
        "the size of the memory",
        |facts| facts.memory_bytes,
        |_, memory| {
            let mib = memory.0 >> 20;
            if mib <= sizes.failed {
                Some(Draft::new(format!(
                    "{} GiB of memory or less, with which upgrades were seen to fail",
                    sizes.failed / 1024
                )))
            } else if mib < sizes.enough {
                Some(Draft::new("less memory than recommended").severity(Severity::Info))
            } else {
                None
            }
        },
    );
}
