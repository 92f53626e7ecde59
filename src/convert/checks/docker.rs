//! Docker: it is held while the upgrade runs and may go afterwards, so what only lives there is lost.

use super::run::{Draft, Run};
use crate::model::{Subject, SubjectKind};
use std::collections::BTreeSet;
use std::rc::Rc;

/// `FOREIGN-CONTAINERS`, `MSR-ON-NODE`: containers that stop with Docker and that nothing brings back.
pub(super) fn containers(run: &mut Run<'_>) {
    const FOREIGN: &str = "FOREIGN-CONTAINERS";
    const REGISTRY: &str = "MSR-ON-NODE";
    run.ok(FOREIGN);
    run.ok(REGISTRY);
    let prefixes = &run.ctx.rules.hosts.registry_containers;
    let hosts = Rc::clone(&run.hosts);
    for (position, containers) in run.facts_of(
        &[FOREIGN, REGISTRY],
        "which containers run beside MKE's",
        |facts| facts.foreign_containers.as_ref(),
    ) {
        let all: BTreeSet<&str> = containers.iter().map(String::as_str).collect();
        let (registry, foreign): (Vec<&str>, Vec<&str>) = all
            .into_iter()
            .partition(|name| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())));
        if !foreign.is_empty() {
            let draft = Draft::new(format!(
                "containers that are not MKE's run in Docker: {}",
                foreign.join(", ")
            ));
            run.find_host(FOREIGN, &hosts[position], draft);
        }
        if !registry.is_empty() {
            let draft = Draft::new("Mirantis Secure Registry runs in Docker on the host");
            run.find_host(REGISTRY, &hosts[position], draft);
        }
    }
}

/// `LIVE-RESTORE`: stopping Docker stops its containers.
pub(super) fn live_restore(run: &mut Run<'_>) {
    run.each_host(
        "LIVE-RESTORE",
        "whether Docker's live restore is on",
        |facts| facts.docker.as_ref().and_then(|docker| docker.live_restore),
        |_, on| on.then(|| Draft::new("Docker's live restore is on")),
    );
}

/// `CGROUP-DRIVER`: pods are accounted for by systemd before and after.
pub(super) fn cgroup_driver(run: &mut Run<'_>) {
    run.each_host(
        "CGROUP-DRIVER",
        "Docker's cgroup driver",
        |facts| {
            facts
                .docker
                .as_ref()
                .and_then(|docker| docker.cgroup_driver.as_deref())
        },
        |_, driver| (driver != "systemd").then(|| Draft::new(format!("Docker's cgroup driver is {driver}"))),
    );
}

/// `DATA-DIR-DOCKER`: the data directory is not inside Docker's.
pub(super) fn data_dir(run: &mut Run<'_>) {
    let data_dir = run.ctx.options.data_dir.as_str();
    run.each_host(
        "DATA-DIR-DOCKER",
        "Docker's root directory",
        |facts| facts.docker.as_ref().and_then(|docker| docker.root.as_deref()),
        |_, root| {
            let root = root.trim_end_matches('/');
            let inside = !root.is_empty()
                && data_dir
                    .strip_prefix(root)
                    .is_some_and(|rest| rest.starts_with('/'));
            inside.then(|| {
                Draft::new(format!(
                    "the data directory lies in Docker's root directory {root}"
                ))
            })
        },
    );
}

/// `SWARM-SERVICES`: no swarm service of a user.
pub(super) fn services(run: &mut Run<'_>) {
    const CODE: &str = "SWARM-SERVICES";
    let Some(services) = run.cluster(&[CODE], "the list of swarm services", |cluster| {
        cluster.user_services.as_ref()
    }) else {
        return;
    };
    let names: BTreeSet<&str> = services.iter().map(String::as_str).collect();
    let drafts = names.into_iter().map(|name| {
        (
            Subject::new(SubjectKind::Object, name),
            Draft::new(format!("the swarm service {name} is not carried over")),
        )
    });
    run.verdict(CODE, drafts);
}
