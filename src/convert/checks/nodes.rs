//! Nodes: what swarm, Kubernetes and hosts.yaml say about them must be one story.

use super::run::{Draft, Run};
use crate::model::{Subject, SubjectKind};
use std::collections::{BTreeMap, BTreeSet};

fn object(name: &str) -> Subject {
    Subject::new(SubjectKind::Object, name)
}

/// `QUORUM-NOW` for managers, `NODE-DOWN` for workers: every swarm node is ready.
pub(super) fn swarm_state(run: &mut Run<'_>) {
    const MANAGER: &str = "QUORUM-NOW";
    const WORKER: &str = "NODE-DOWN";
    run.ok(MANAGER);
    run.ok(WORKER);
    let all = run.ctx.facts.and_then(|facts| facts.cluster.swarm_nodes.as_ref());
    let hosts = std::rc::Rc::clone(&run.hosts);
    let states = run.facts_of(&[MANAGER, WORKER], "the state in the swarm", |facts| {
        let own = facts.swarm.as_ref().and_then(|swarm| swarm.state.as_deref());
        let listed = facts
            .hostname
            .as_ref()
            .and_then(|name| all.and_then(|nodes| nodes.get(name)))
            .map(String::as_str);
        // The worse of both views counts: a manager may know that a node is gone that still believes itself to be there.
        match (own, listed) {
            (Some(own), Some(listed)) if is_ready(own) => Some(listed),
            (own, listed) => own.or(listed),
        }
    });
    for (position, state) in states {
        let host = &hosts[position];
        if is_ready(state) {
            continue;
        }
        let (code, what) = match host.is_manager() {
            true => (MANAGER, "manager"),
            false => (WORKER, "node"),
        };
        let draft = Draft::new(format!("the swarm sees the {what} as {}", state.to_lowercase()));
        run.find_host(code, host, draft);
    }
}

fn is_ready(state: &str) -> bool {
    state.eq_ignore_ascii_case("ready") || state.eq_ignore_ascii_case("active")
}

/// `NODE-NOT-READY`: every Kubernetes node is ready.
pub(super) fn ready(run: &mut Run<'_>) {
    let all = run
        .ctx
        .facts
        .and_then(|facts| facts.cluster.kubernetes_nodes.as_ref());
    run.each_host(
        "NODE-NOT-READY",
        "the state in Kubernetes",
        |facts| {
            let node = facts.node.as_ref();
            let name = node
                .and_then(|node| node.name.as_ref())
                .or(facts.hostname.as_ref());
            let listed = name
                .and_then(|name| all.and_then(|nodes| nodes.get(name)))
                .map(|state| state.eq_ignore_ascii_case("Ready"));
            match (node.and_then(|node| node.ready), listed) {
                (Some(own), Some(listed)) => Some(own && listed),
                (own, listed) => own.or(listed),
            }
        },
        |_, ready| (!ready).then(|| Draft::new("the Kubernetes node is not ready")),
    );
}

/// Names by which hosts.yaml's hosts may be known, and whether every host's name is known.
fn names(run: &Run<'_>) -> (BTreeSet<String>, bool) {
    let mut names = BTreeSet::new();
    let mut complete = true;
    for host in run.hosts.iter() {
        match host.facts.and_then(|facts| facts.hostname.as_ref()) {
            Some(name) => {
                names.insert(name.to_lowercase());
            }
            None => complete = false,
        }
        if let Some(name) = host.facts.and_then(|facts| facts.node.as_ref()?.name.as_ref()) {
            names.insert(name.to_lowercase());
        }
    }
    (names, complete)
}

/// `NODE-NOT-LISTED`: hosts.yaml lists every node of the swarm and of Kubernetes.
pub(super) fn not_listed(run: &mut Run<'_>) {
    const CODE: &str = "NODE-NOT-LISTED";
    let Some(swarm) = run.cluster(&[CODE], "the list of swarm nodes", |cluster| {
        cluster.swarm_nodes.as_ref()
    }) else {
        return;
    };
    let (names, complete) = names(run);
    let missing: Vec<&String> = swarm
        .keys()
        .filter(|name| !names.contains(&name.to_lowercase()))
        .collect();
    if missing.is_empty() {
        return run.ok(CODE);
    }
    if !complete {
        // A node that seems to be missing may be one of the hosts whose name is not known.
        return run.unchecked(CODE, "the names of some hosts were not recorded");
    }
    for name in missing {
        run.find(
            CODE,
            object(name),
            Draft::new(format!("hosts.yaml does not list the swarm's node {name}")),
        );
    }
}

/// `HOST-NOT-IN-CLUSTER`: the swarm knows every host.
pub(super) fn not_in_cluster(run: &mut Run<'_>) {
    const CODE: &str = "HOST-NOT-IN-CLUSTER";
    let Some(swarm) = run.cluster(&[CODE], "the list of swarm nodes", |cluster| {
        cluster.swarm_nodes.as_ref()
    }) else {
        return;
    };
    let known: BTreeSet<String> = swarm.keys().map(|name| name.to_lowercase()).collect();
    run.each_host(
        CODE,
        "the host name",
        |facts| facts.hostname.as_deref(),
        |_, name| {
            (!known.contains(&name.to_lowercase())).then(|| Draft::new("the swarm does not know the host"))
        },
    );
}

/// `NODE-ORPHAN`, `NODE-NO-KUBELET`: swarm and Kubernetes have the same nodes.
pub(super) fn views(run: &mut Run<'_>) {
    const ORPHAN: &str = "NODE-ORPHAN";
    const NO_KUBELET: &str = "NODE-NO-KUBELET";
    let codes = [ORPHAN, NO_KUBELET];
    let Some(swarm) = run.cluster(&codes, "the list of swarm nodes", |cluster| {
        cluster.swarm_nodes.as_ref()
    }) else {
        return;
    };
    let Some(nodes) = run.cluster(&codes, "the list of Kubernetes nodes", |cluster| {
        cluster.kubernetes_nodes.as_ref()
    }) else {
        return;
    };
    let lower = |map: &BTreeMap<String, String>| {
        map.keys()
            .map(|name| name.to_lowercase())
            .collect::<BTreeSet<_>>()
    };
    let (mut in_swarm, in_kubernetes) = (lower(swarm), lower(nodes));
    // A kubelet may go by another name than its host; NODE-NAME says so, and the node is no orphan.
    for host in run.hosts.iter() {
        if let Some(name) = host.facts.and_then(|facts| facts.node.as_ref()?.name.as_ref()) {
            in_swarm.insert(name.to_lowercase());
        }
    }
    let renamed: BTreeSet<String> = run
        .hosts
        .iter()
        .filter(|host| {
            host.facts
                .is_some_and(|facts| facts.node.as_ref().is_some_and(|node| node.name.is_some()))
        })
        .filter_map(|host| host.facts?.hostname.as_ref())
        .map(|name| name.to_lowercase())
        .collect();
    let orphans: Vec<_> = nodes
        .keys()
        .filter(|name| !in_swarm.contains(&name.to_lowercase()))
        .map(|name| {
            (
                object(name),
                Draft::new(format!("no swarm node stands behind the Kubernetes node {name}")),
            )
        })
        .collect();
    run.verdict(ORPHAN, orphans);
    let bare: Vec<_> = swarm
        .keys()
        .filter(|name| {
            let name = name.to_lowercase();
            !in_kubernetes.contains(&name) && !renamed.contains(&name)
        })
        .map(|name| {
            (
                object(name),
                Draft::new(format!("Kubernetes does not know the swarm's node {name}")),
            )
        })
        .collect();
    run.verdict(NO_KUBELET, bare);
}

/// `NODE-NAME`: the node goes on under the name it has.
pub(super) fn name(run: &mut Run<'_>) {
    run.each_host(
        "NODE-NAME",
        "the name of the host or of its Kubernetes node",
        |facts| {
            let node = facts.node.as_ref()?.name.as_deref()?;
            Some((facts.hostname.as_deref()?, node))
        },
        |host, (hostname, node)| {
            let listed = host.entry.hostname.as_deref();
            if node != hostname {
                Some(Draft::new(format!(
                    "the Kubernetes node is called {node}, the host {hostname}"
                )))
            } else if node.chars().any(|c| c.is_ascii_uppercase()) {
                Some(Draft::new(format!("the name {node} has capital letters")))
            } else {
                listed.filter(|listed| *listed != node).map(|listed| {
                    Draft::new(format!(
                        "hosts.yaml calls the host {listed}, the Kubernetes node is called {node}"
                    ))
                })
            }
        },
    );
}

/// `NODE-ORCHESTRATOR`: the node belongs to Kubernetes alone.
pub(super) fn orchestrator(run: &mut Run<'_>) {
    run.each_host(
        "NODE-ORCHESTRATOR",
        "the orchestrator",
        |facts| {
            facts
                .swarm
                .as_ref()
                .and_then(|swarm| swarm.orchestrator.as_deref())
        },
        |host, orchestrator| {
            let orchestrator = orchestrator.to_lowercase();
            // Managers are always mixed: MKE itself runs on them as swarm services.
            let usual = orchestrator == "kubernetes" || (orchestrator == "mixed" && host.is_manager());
            (!usual).then(|| Draft::new(format!("the node's orchestrator is {orchestrator}")))
        },
    );
}

/// `NODE-TAINT`: taints that a person set.
pub(super) fn taints(run: &mut Run<'_>) {
    let handled = &run.ctx.rules.hosts.taints_handled;
    run.each_host(
        "NODE-TAINT",
        "the list of taints",
        |facts| facts.node.as_ref().and_then(|node| node.taints.as_ref()),
        |_, taints| {
            let own: BTreeSet<&str> = taints
                .iter()
                .filter(|taint| {
                    let key = taint.split(['=', ':']).next().unwrap_or_default();
                    !handled.iter().any(|known| known == key)
                })
                .map(String::as_str)
                .collect();
            let list = own.into_iter().collect::<Vec<_>>().join(", ");
            (!list.is_empty()).then(|| Draft::new(format!("the node has taints of its own: {list}")))
        },
    );
}

/// `MKE-CONTAINER-DOWN`: MKE's containers run.
pub(super) fn containers(run: &mut Run<'_>) {
    let resting = &run.ctx.rules.hosts.resting_containers;
    run.each_host(
        "MKE-CONTAINER-DOWN",
        "the state of MKE's containers",
        |facts| facts.mke_containers.as_ref(),
        |_, containers| {
            let down: Vec<&str> = containers
                .iter()
                .filter(|(name, state)| {
                    !resting.contains(name)
                        && !state.eq_ignore_ascii_case("running")
                        && !state.to_ascii_lowercase().starts_with("up")
                })
                .map(|(name, _)| name.as_str())
                .collect();
            (!down.is_empty())
                .then(|| Draft::new(format!("containers of MKE do not run: {}", down.join(", "))))
        },
    );
}
