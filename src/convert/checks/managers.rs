//! Managers: how many, who leads, and what runs on them.

use super::run::{Draft, Run};
use crate::model::{Role, Subject, SubjectKind};

/// `ROLE-CONFLICT`: hosts.yaml and the swarm agree on roles.
pub(super) fn role_conflict(run: &mut Run<'_>) {
    run.each_host(
        "ROLE-CONFLICT",
        "the role in the swarm",
        |facts| facts.role,
        |host, role| {
            let word = |role| match role {
                Role::Manager => "manager",
                Role::Worker => "worker",
            };
            host.entry.role.filter(|listed| *listed != role).map(|listed| {
                Draft::new(format!(
                    "hosts.yaml says {}, but in the swarm the host is a {}",
                    word(listed),
                    word(role)
                ))
            })
        },
    );
}

/// `MANAGER-NONE`, `-SINGLE`, `-TWO`, `-EVEN`: an odd number of managers, best three or more.
pub(super) fn count(run: &mut Run<'_>) {
    const CODES: [&str; 4] = ["MANAGER-NONE", "MANAGER-SINGLE", "MANAGER-TWO", "MANAGER-EVEN"];
    let unknown: Vec<String> = run
        .hosts
        .iter()
        .filter(|host| host.role.is_none())
        .map(|host| host.id.clone())
        .collect();
    if !unknown.is_empty() {
        for code in CODES {
            for host in &unknown {
                run.unchecked_host(code, "nothing tells the role of the host", host);
            }
        }
        return;
    }
    for code in CODES {
        run.ok(code);
    }
    let managers = run.hosts.iter().filter(|host| host.is_manager()).count();
    let subject = Subject::new(SubjectKind::Cluster, "managers");
    match managers {
        0 => run.find(
            CODES[0],
            subject,
            Draft::new("no host of hosts.yaml is a manager"),
        ),
        1 => run.find(CODES[1], subject, Draft::new("the cluster has one manager")),
        2 => run.find(CODES[2], subject, Draft::new("the cluster has two managers")),
        n if n % 2 == 0 => {
            run.find(
                CODES[3],
                subject,
                Draft::new(format!("the cluster has an even number of managers, {n}")),
            );
        }
        _ => {}
    }
}

/// `SWARM-LEADER`: the managers have a leader.
pub(super) fn leader(run: &mut Run<'_>) {
    const CODE: &str = "SWARM-LEADER";
    let hosts = std::rc::Rc::clone(&run.hosts);
    let known: Vec<bool> = hosts
        .iter()
        .filter(|host| host.is_manager())
        .filter_map(|host| host.facts?.swarm.as_ref()?.leader)
        .collect();
    let managers = hosts.iter().filter(|host| host.is_manager()).count();
    let leaders = known.iter().filter(|leader| **leader).count();
    let subject = Subject::new(SubjectKind::Cluster, "swarm");
    match leaders {
        1 => run.ok(CODE),
        0 if managers == 0 || known.len() < managers => {
            run.unchecked(CODE, "not every manager's record says whether it leads");
        }
        0 => run.find(CODE, subject, Draft::new("no manager leads the swarm")),
        _ => run.find(
            CODE,
            subject,
            Draft::new("more than one manager is recorded as leader of the swarm"),
        ),
    }
}

/// `MANAGER-WORKLOADS`: whether user pods run on managers, which moves the last automatic rollback forward.
pub(super) fn workloads(run: &mut Run<'_>) {
    run.each_host(
        "MANAGER-WORKLOADS",
        "the number of user pods",
        |facts| {
            // Only managers matter; for workers the answer is not needed.
            match facts.role {
                Some(Role::Worker) => Some(0),
                _ => facts.node.as_ref().and_then(|node| node.user_pods),
            }
        },
        |host, pods| (host.is_manager() && pods > 0).then(|| Draft::new("user pods run on the manager")),
    );
}
