//! Rollback is the graph turned round. These tests turn it round for whole clusters and hold it against the order in which
//! an operator would go back.

use super::shipped;
use mkectl::catalogue::{Catalogue, Need};
use mkectl::model::{Selector, UndoKind};
use std::collections::{BTreeMap, BTreeSet};

struct Graph {
    /// By instance `HOST/ACTION`: everything that has ended before it starts.
    before: BTreeMap<String, BTreeSet<String>>,
}

fn hosts(selector: Selector, managers: &[&'static str], workers: &[&'static str]) -> Vec<&'static str> {
    let lead = &managers[..1];
    let spare = &managers[managers.len().min(2) - 1..managers.len().min(2)];
    match selector {
        Selector::Hosts => [managers, workers].concat(),
        Selector::Managers => managers.to_vec(),
        Selector::Workers => workers.to_vec(),
        Selector::Lead => lead.to_vec(),
        Selector::Spare => spare.to_vec(),
        Selector::OtherManagers => managers[1..].to_vec(),
        Selector::Joiners => [&managers[1..], workers].concat(),
    }
}

impl Graph {
    /// All instances; conditions are ignored, because a skip hands order on.
    fn of(catalogue: &Catalogue, managers: &[&'static str], workers: &[&'static str]) -> Graph {
        let mut before: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let stage = |id: &str| catalogue.stages.iter().position(|stage| stage.id == id).unwrap();
        let mut todo: Vec<&str> = catalogue
            .actions
            .iter()
            .map(|action| action.id.as_str())
            .collect();
        let instances = |id: &str| -> Vec<String> {
            let action = catalogue.action(id).unwrap();
            let hosts = hosts(action.subjects, managers, workers);
            hosts.iter().map(|host| format!("{host}/{id}")).collect()
        };
        let mut done: BTreeSet<&str> = BTreeSet::new();
        while !todo.is_empty() {
            let ready: Vec<&str> = todo
                .iter()
                .copied()
                .filter(|id| {
                    let action = catalogue.action(id).unwrap();
                    action.needs.iter().all(|need| done.contains(need.action()))
                        && catalogue.actions.iter().all(|other| {
                            stage(&other.stage) >= stage(&action.stage) || done.contains(other.id.as_str())
                        })
                })
                .collect();
            assert!(!ready.is_empty());
            for id in &ready {
                let action = catalogue.action(id).unwrap();
                let gate = (0..=stage(&action.stage))
                    .rev()
                    .find(|at| catalogue.stages[*at].gate);
                for host in hosts(action.subjects, managers, workers) {
                    let mut all = BTreeSet::new();
                    for need in &action.needs {
                        let needed = match need {
                            Need::Same(other) => vec![format!("{host}/{other}")],
                            Need::All(other) => instances(other),
                        };
                        for other in needed {
                            all.extend(before[&other].iter().cloned());
                            all.insert(other);
                        }
                    }
                    for other in &catalogue.actions {
                        if gate.is_some_and(|gate| stage(&other.stage) < gate) {
                            all.extend(instances(&other.id));
                        }
                    }
                    before.insert(format!("{host}/{id}"), all);
                }
            }
            done.extend(&ready);
            todo.retain(|id| !ready.contains(id));
        }
        Graph { before }
    }

    /// The rollback after a failure of `failed`: rounds of undo steps, each as early as the order allows, when everything
    /// that does not come after `failed` has been started.
    fn rollback(&self, catalogue: &Catalogue, failed: &str) -> Vec<Vec<String>> {
        let stage = |id: &str| {
            let action = catalogue.action(id.split('/').next_back().unwrap()).unwrap();
            catalogue
                .stages
                .iter()
                .position(|stage| stage.id == action.stage)
                .unwrap()
        };
        let is_failed = |id: &str| id.split('/').next_back() == Some(failed);
        let started: BTreeSet<&String> = self
            .before
            .iter()
            .filter(|(id, before)| stage(id) <= stage(failed) && !before.iter().any(|other| is_failed(other)))
            .map(|(id, _)| id)
            .collect();
        let mut left: BTreeSet<&String> = started
            .into_iter()
            .filter(|id| {
                let action = catalogue.action(id.split('/').next_back().unwrap()).unwrap();
                action.undo.kind == UndoKind::Script
            })
            .collect();
        let mut rounds = Vec::new();
        while !left.is_empty() {
            let round: Vec<&String> = left
                .iter()
                .copied()
                .filter(|id| !left.iter().any(|other| self.before[*other].contains(*id)))
                .collect();
            left.retain(|id| !round.contains(id));
            rounds.push(round.into_iter().cloned().collect());
        }
        rounds
    }

    /// Every step of a group is undone after every step of the group before it.
    fn assert_back(&self, groups: &[&[&str]]) {
        for pair in groups.windows(2) {
            for sooner in pair[0] {
                for later in pair[1] {
                    let before = self.before.get(*sooner).unwrap_or_else(|| panic!("no {sooner}"));
                    assert!(
                        before.contains(*later),
                        "undo of {sooner} need not end before undo of {later}"
                    );
                }
            }
        }
    }

    /// Neither is undone before the other.
    fn assert_together(&self, group: &[&str]) {
        for one in group {
            for other in group {
                assert!(
                    !self.before[*one].contains(*other),
                    "undo of {one} waits for undo of {other}"
                );
            }
        }
    }
}

const MANAGERS: [&str; 3] = ["m1", "m2", "m3"];
const WORKERS: [&str; 2] = ["w1", "w2"];

/// From stopped etcd back to a healthy MKE 3.
const QUIESCE: [&[&str]; 9] = [
    &["m1/stop-kv", "m2/stop-kv", "m3/stop-kv"],
    &["m1/final-snapshot"], // waits until etcd is healthy at the recorded revision
    &["m1/stop-apiservers", "m2/stop-apiservers", "m3/stop-apiservers"],
    &[
        "m1/pin-restart",
        "m2/pin-restart",
        "m3/pin-restart",
        "w1/pin-restart",
        "w2/pin-restart",
    ],
    &["m1/freeze-agents"],
    &["m1/freeze-cluster-agent"],
    &[
        "m1/note-health",
        "m2/note-health",
        "m3/note-health",
        "w1/note-health",
        "w2/note-health",
    ],
    &[
        "m1/record-state",
        "m2/record-state",
        "m3/record-state",
        "w1/record-state",
        "w2/record-state",
    ],
    &[],
];

/// From a k0s lead back to stopped etcd.
const LEAD: [&[&str]; 6] = [
    &["m1/start-lead"],
    &["m1/restore-etcd"],
    &["m1/place-pki"],
    &["m1/stop-node-lead"],
    &[
        "m1/arm-hold-managers",
        "m2/arm-hold-managers",
        "m3/arm-hold-managers",
    ], // starts Docker, waits for a leader
    &["m1/stop-kv", "m2/stop-kv", "m3/stop-kv"],
];

fn three_managers() -> (Catalogue, Graph) {
    let catalogue = shipped();
    let graph = Graph::of(&catalogue, &MANAGERS, &WORKERS);
    (catalogue, graph)
}

#[test]
fn from_prepare_the_lock_goes_last() {
    let (catalogue, graph) = three_managers();
    let rounds = graph.rollback(&catalogue, "prepull");
    let last = rounds.last().unwrap();
    assert!(last.iter().all(|id| id.ends_with("/lock")), "{last:?}");
    for host in ["m1", "w2"] {
        graph.assert_back(&[
            &[&format!("{host}/prepull")],
            &[&format!("{host}/stage-config")],
            &[&format!("{host}/record-state")],
            &[&format!("{host}/lock")],
        ]);
    }
}

#[test]
fn from_quiesce_etcd_then_api_then_agents_then_health() {
    let (_, graph) = three_managers();
    graph.assert_back(&QUIESCE);
    graph.assert_together(&["m1/stop-kv", "m2/stop-kv", "m3/stop-kv"]);
}

#[test]
fn from_the_first_controller_docker_starts_on_all_managers_before_etcd() {
    let (_, graph) = three_managers();
    graph.assert_back(&LEAD);
    graph.assert_together(&[
        "m1/arm-hold-managers",
        "m2/arm-hold-managers",
        "m3/arm-hold-managers",
    ]);
}

#[test]
fn from_controllers_all_members_leave_together_and_the_lead_last() {
    let (_, graph) = three_managers();
    graph.assert_back(&[
        &["m2/join-controller", "m3/join-controller"],
        &["m1/start-lead"],
        &["m1/stop-node-lead"],
        &[
            "m1/arm-hold-managers",
            "m2/arm-hold-managers",
            "m3/arm-hold-managers",
        ],
    ]);
    graph.assert_together(&["m2/join-controller", "m3/join-controller"]);
    graph.assert_back(&[
        &["m2/join-controller"],
        &["m2/stop-node-manager"],
        &["m2/arm-hold-managers"],
    ]);
}

#[test]
fn from_workers_managers_start_docker_first_and_workers_before_the_agents() {
    let (_, graph) = three_managers();
    graph.assert_back(&[
        &["w1/join-worker", "w2/join-worker"],
        &["m2/join-controller", "m3/join-controller"],
        &["m1/start-lead"],
        &[
            "m1/arm-hold-managers",
            "m2/arm-hold-managers",
            "m3/arm-hold-managers",
        ],
        &["w1/arm-hold-workers", "w2/arm-hold-workers"],
        &["m1/freeze-agents"],
    ]);
    graph.assert_back(&[
        &["w1/join-worker"],
        &["w1/stop-node-worker"],
        &["w1/arm-hold-workers"],
        &["w1/pin-restart"],
    ]);
    graph.assert_together(&["w1/join-worker", "w2/join-worker"]);
    graph.assert_together(&["w1/stop-node-worker", "w2/stop-node-worker"]);
    // Workers' Docker need not wait for etcd.
    graph.assert_together(&["w1/arm-hold-workers", "m1/stop-kv"]);
}

#[test]
fn from_platform_the_releases_go_and_the_hold_is_put_back_before_any_worker() {
    let (_, graph) = three_managers();
    graph.assert_back(&[
        &["m1/mke4k"],
        &["m1/release-hold", "m2/release-hold", "m3/release-hold"],
        &["w1/join-worker", "w2/join-worker"],
    ]);
}

/// The whole way back from a failed worker, to be read.
#[test]
fn the_way_back_from_the_workers() {
    let (catalogue, graph) = three_managers();
    let rounds = graph.rollback(&catalogue, "join-worker");
    let text: Vec<String> = rounds
        .iter()
        .map(|round| {
            let mut steps: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for id in round {
                let (host, step) = id.split_once('/').unwrap();
                steps.entry(step).or_default().push(host);
            }
            let steps: Vec<String> = steps
                .iter()
                .map(|(step, hosts)| format!("{step} {}", hosts.join(" ")))
                .collect();
            steps.join(", ")
        })
        .collect();
    assert_eq!(
        text,
        [
            "join-worker w1 w2",
            "stop-node-worker w1 w2",
            "join-controller m2 m3",
            "stop-node-manager m2 m3",
            "start-lead m1",
            "restore-etcd m1",
            "place-pki m1",
            "stop-node-lead m1",
            "arm-hold-managers m1 m2 m3",
            "arm-hold-workers w1 w2, stop-kv m1 m2 m3",
            "final-snapshot m1",
            "stop-apiservers m1 m2 m3",
            "pin-restart m1 m2 m3 w1 w2",
            "freeze-agents m1",
            "freeze-cluster-agent m1",
            "note-health m1 m2 m3 w1 w2",
            "backup-mke3 m2, lb-listen m1 m2 m3, prepull m1 m2 m3 w1 w2",
            "stage-config m1 m2 m3 w1 w2",
            "record-state m1 m2 m3 w1 w2",
            "lock m1 m2 m3 w1 w2",
        ]
    );
}

/// One manager, with and without workers: the selectors that select nobody drop no order that matters.
#[test]
fn small_clusters_go_back_in_the_same_order() {
    let catalogue = shipped();
    for workers in [&[][..], &["w1"][..]] {
        let graph = Graph::of(&catalogue, &["m1"], workers);
        graph.assert_back(&[
            &["m1/mke4k"],
            &["m1/release-hold"],
            &["m1/start-lead"],
            &["m1/restore-etcd"],
            &["m1/place-pki"],
            &["m1/stop-node-lead"],
            &["m1/arm-hold-managers"],
            &["m1/stop-kv"],
            &["m1/final-snapshot"],
            &["m1/stop-apiservers"],
            &["m1/pin-restart"],
            &["m1/freeze-agents"],
            &["m1/freeze-cluster-agent"],
            &["m1/note-health"],
            &["m1/record-state"],
            &["m1/lock"],
        ]);
        // The only manager's snapshot and keys are elsewhere before its etcd stops.
        graph.assert_back(&[
            &["m1/stop-kv"],
            &["m1/export-copies"],
            &["m1/carry-keys"],
            &["m1/final-snapshot"],
        ]);
    }
}

/// Edges that are easy to forget, on the way forward.
#[test]
fn the_easily_forgotten_edges_are_there() {
    let (_, graph) = three_managers();
    let after = |later: &[&str], sooner: &[&str]| graph.assert_back(&[later, sooner]);
    let frozen = [
        "m1/verify-frozen",
        "m2/verify-frozen",
        "m3/verify-frozen",
        "w1/verify-frozen",
        "w2/verify-frozen",
    ];
    after(&["m1/stop-apiservers", "m3/stop-apiservers"], &frozen);
    after(
        &["m1/final-snapshot"],
        &["m1/stop-apiservers", "m2/stop-apiservers", "m3/stop-apiservers"],
    );
    after(&["m1/stop-node-lead"], &["m2/copy-snapshot"]);
    after(&["m1/stop-kv", "m2/stop-kv"], &["m1/carry-keys"]);
    after(&["m1/start-lead"], &["m1/place-pki"]);
    after(
        &["m1/calico"],
        &["m1/hold-webhooks", "m1/clear-mke3-objects", "m1/node-labels"],
    );
    after(
        &["m2/join-controller", "w1/join-worker"],
        &["m1/calico", "m1/k0s-snapshot-1"],
    );
    after(
        &["w1/stop-node-worker"],
        &[
            "m1/lb-verify",
            "w1/lb-verify",
            "w2/lb-verify",
            "m3/controllers-ok",
        ],
    );
    after(&["m1/release-hold"], &["w1/join-worker", "w2/join-worker"]);
    after(&["m1/restore-webhooks"], &["m1/release-hold", "m3/release-hold"]);
    after(
        &["w1/remove-mke3"],
        &["w1/remove-swarm", "m1/remove-swarm", "w1/stop-node-worker"],
    );
    // The join of a controller goes to the lead, so it does not wait for the load balancer.
    assert!(!graph.before["m2/join-controller"].contains("m2/lb-verify"));
}
