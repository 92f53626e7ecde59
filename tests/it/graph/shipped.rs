//! The shipped catalogue over clusters of several shapes: its rollback against the tables that operators know.

use super::cluster::{Cluster, shipped};
use super::order::Order;
use mkectl::model::UndoKind;
use mkectl::plan::{Graph, RollbackError, build, describe, rollback};
use std::collections::BTreeSet;

const SHAPES: [(usize, usize); 6] = [(1, 0), (1, 2), (2, 1), (3, 0), (3, 2), (5, 3)];

/// What the undo of a failed stage must do, one list a line: everything about an earlier step before anything about a
/// later one. Steps that a cluster's shape does not have are passed over.
const ROLLBACKS: &[(&str, &[&str])] = &[
    // etcd on all managers together, healthy at the recorded revision, API servers, restart policies, constraint, agents.
    (
        "quiesce",
        &[
            "stop-kv",
            "final-snapshot",
            "stop-apiservers",
            "pin-restart",
            "freeze-agents",
            "freeze-cluster-agent",
            "note-health",
        ],
    ),
    // MKE 3 answers again before anything that was staged is taken away.
    ("quiesce", &["note-health", "prepull"]),
    ("quiesce", &["note-health", "stage-config"]),
    ("quiesce", &["note-health", "lock"]),
    // The first controller is gone before Docker starts on all managers; then as for quiesce.
    (
        "first-controller",
        &[
            "start-lead",
            "restore-etcd",
            "place-pki",
            "stop-node-lead",
            "arm-hold-managers",
            "stop-kv",
            "final-snapshot",
            "stop-apiservers",
            "pin-restart",
            "freeze-agents",
            "freeze-cluster-agent",
            "note-health",
        ],
    ),
    // The others in parallel, the first controller last.
    (
        "controllers",
        &[
            "join-controller",
            "start-lead",
            "arm-hold-managers",
            "stop-kv",
            "note-health",
        ],
    ),
    ("controllers", &["stop-node-manager", "start-lead"]),
    // Workers, controllers, Docker on the managers, Docker on the workers, agents.
    (
        "workers",
        &[
            "release-hold",
            "join-worker",
            "join-controller",
            "start-lead",
            "stop-node-lead",
            "arm-hold-managers",
            "arm-hold-workers",
            "freeze-agents",
            "freeze-cluster-agent",
            "note-health",
        ],
    ),
    ("workers", &["stop-node-worker", "join-controller"]),
    ("workers", &["stop-node-worker", "stop-node-manager"]),
    // The releases of MKE 4k before the nodes under them.
    (
        "platform",
        &[
            "mke4k",
            "release-hold",
            "join-worker",
            "join-controller",
            "start-lead",
        ],
    ),
    (
        "verify",
        &[
            "mke4k",
            "release-hold",
            "join-worker",
            "join-controller",
            "start-lead",
        ],
    ),
];

/// The same about one host: the first step's undo before the second's.
const ON_ONE_HOST: &[(&str, &str, &str)] = &[
    ("prepare", "prepull", "stage-config"),
    ("prepare", "stage-config", "record-state"),
    ("prepare", "backup-mke3", "record-state"),
    ("prepare", "record-state", "lock"),
    ("controllers", "join-controller", "stop-node-manager"),
    ("workers", "join-worker", "stop-node-worker"),
    ("workers", "arm-hold-workers", "pin-restart"),
];

fn built(managers: usize, workers: usize) -> Graph {
    build(&shipped(), &Cluster::new(managers, workers).situation()).unwrap()
}

/// Every action up to the end of a stage.
fn intents(graph: &Graph, stage: &str) -> BTreeSet<String> {
    let last = graph.stages.iter().position(|it| it.id == stage).unwrap();
    let stages: Vec<&str> = graph.stages[..=last].iter().map(|it| it.id.as_str()).collect();
    let within = |step: &str| {
        let step = graph.steps.iter().find(|it| it.id == step).unwrap();
        stages.contains(&step.stage.as_str())
    };
    graph
        .actions
        .iter()
        .filter(|it| within(&it.step))
        .map(|it| it.id.clone())
        .collect()
}

/// Ids of a step's undos.
fn of<'a>(graph: &'a Graph, order: &Order, step: &str) -> Vec<&'a str> {
    let ids = graph
        .actions
        .iter()
        .filter(|it| it.step == step)
        .map(|it| it.id.as_str());
    let ids: Vec<&str> = ids.collect();
    for id in &ids {
        assert!(order.0.contains_key(*id), "{id} has no undo");
    }
    ids
}

#[test]
fn every_rollback_keeps_the_order_of_the_tables() {
    for (managers, workers) in SHAPES {
        let graph = built(managers, workers);
        for (stage, chain) in ROLLBACKS {
            let undo = rollback(graph.rows(), &intents(&graph, stage)).unwrap();
            let order = Order::of_rollback(&undo);
            for (place, earlier) in chain.iter().enumerate() {
                for later in &chain[place + 1..] {
                    for b in of(&graph, &order, later) {
                        let before = order.before(b);
                        for a in of(&graph, &order, earlier) {
                            assert!(
                                before.contains(a),
                                "{managers} managers, {workers} workers, failed in {stage}: {a} is not undone before {b}\n{:#?}",
                                undo.waves
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn about_one_host_the_later_step_is_undone_first() {
    for (managers, workers) in SHAPES {
        let graph = built(managers, workers);
        for (stage, first, then) in ON_ONE_HOST {
            let order = Order::of_rollback(&rollback(graph.rows(), &intents(&graph, stage)).unwrap());
            for id in of(&graph, &order, first) {
                let host = id.split('/').next().unwrap();
                let later = format!("{host}/{then}");
                assert!(
                    order.before(&later).contains(id),
                    "{id} is not undone before {later}"
                );
            }
        }
    }
}

#[test]
fn every_step_of_the_tables_exists_where_its_hosts_do() {
    let graph = built(3, 2);
    let tables = ROLLBACKS.iter().flat_map(|(_, chain)| chain.iter().copied());
    let single = ON_ONE_HOST.iter().flat_map(|(_, a, b)| [*a, *b]);
    for step in tables.chain(single) {
        assert!(graph.steps.iter().any(|it| it.id == step), "{step}");
    }
}

#[test]
fn what_is_described_is_what_is_rolled_back() {
    let graph = built(3, 2);
    for stage in graph.stages.iter().take_while(|stage| !stage.point_of_no_return) {
        let undo = rollback(graph.rows(), &intents(&graph, &stage.id)).unwrap();
        println!("failed in {}", stage.id);
        for (number, wave) in undo.waves.iter().enumerate() {
            println!("  {number}: {}", wave.join(" "));
        }
        let described = describe(graph.rows(), &stage.id).unwrap();
        let mut all: Vec<String> = described
            .iter()
            .flat_map(|step| step.hosts.iter().map(move |host| format!("{host}/{}", step.step)))
            .collect();
        all.sort();
        let mut rows: Vec<String> = undo.undos.iter().map(|row| row.action.clone()).collect();
        rows.sort();
        assert_eq!(all, rows);
        assert_eq!(undo.waves.iter().map(Vec::len).sum::<usize>(), rows.len());
        assert!(described.is_sorted_by_key(|step| step.wave));
        assert_eq!(described.last().unwrap().step, "lock", "the lock goes last");
    }
}

#[test]
fn after_commit_there_is_no_rollback() {
    let graph = built(3, 2);
    for stage in ["commit", "cleanup", "outputs"] {
        let error = rollback(graph.rows(), &intents(&graph, stage)).unwrap_err();
        assert!(
            matches!(&error, RollbackError::Impossible { action, .. } if action == "m1/commit"),
            "{error}"
        );
        assert_eq!(describe(graph.rows(), stage).unwrap_err(), error);
    }
}

#[test]
fn what_never_ran_is_not_undone() {
    let graph = built(3, 2);
    let mut intents = intents(&graph, "controllers");
    intents.remove("m3/join-controller");
    let undo = rollback(graph.rows(), &intents).unwrap();
    let order = Order::of_rollback(&undo);
    assert!(!order.0.contains_key("m3/join-controller"));
    assert!(order.before("m1/start-lead").contains("m3/stop-node-manager"));
    let unknown = BTreeSet::from(["m9/join-controller".to_owned()]);
    let error = rollback(graph.rows(), &unknown).unwrap_err();
    assert_eq!(error, RollbackError::Unknown("m9/join-controller".to_owned()));
}

#[test]
fn a_cluster_of_one_manager_keeps_the_order_that_goes_through_absent_hosts() {
    let graph = built(1, 1);
    assert!(graph.actions.iter().all(|it| it.step != "join-controller"));
    let order = Order::of(&graph);
    for (earlier, later) in [
        ("m1/k0s-snapshot-1", "m1/controllers-ok"),
        ("m1/controllers-ok", "w1/stop-node-worker"),
        ("m1/export-copies", "m1/stop-kv"),
        ("w1/join-worker", "m1/release-hold"),
    ] {
        assert!(order.before(later).contains(earlier), "{earlier} before {later}");
    }
    let skipped: Vec<&str> = graph.skipped.iter().map(|it| it.step.as_str()).collect();
    assert!(skipped.contains(&"copy-snapshot"), "{skipped:?}");
}

#[test]
fn a_cluster_without_workers_still_releases_the_hold_after_the_controllers() {
    let graph = built(3, 0);
    let order = Order::of(&graph);
    let before = order.before("m1/release-hold");
    for manager in ["m1", "m2", "m3"] {
        let check = format!("{manager}/controllers-ok");
        assert!(before.contains(check.as_str()), "{check}");
    }
}

#[test]
fn lines_and_times_are_told() {
    let graph = built(3, 20);
    assert_eq!(graph.lines.last_automatic_rollback, "w1/join-worker");
    assert_eq!(graph.lines.point_of_no_return, "gate/commit");
    let estimate = &graph.estimate;
    assert!(estimate.total_s >= estimate.bound_s && estimate.bound_s >= estimate.critical_path_s);
    assert!(estimate.api_outage_s < estimate.login_outage_s);
    assert!(estimate.login_outage_s < estimate.total_s);
    let stages: Vec<&str> = estimate.stages.iter().map(|it| it.stage.as_str()).collect();
    let all: Vec<&str> = graph.stages.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(stages, all);
    // The hold on a worker lasts from stopping it until it is Ready.
    let seconds = |id: &str| graph.steps.iter().find(|it| it.id == id).unwrap().estimate_s;
    let worker = seconds("stop-node-worker") + seconds("mint-worker-token") + seconds("join-worker");
    assert_eq!(estimate.worker_outage_s, worker);
}

#[test]
fn user_pods_on_managers_move_the_first_line_forward() {
    let mut cluster = Cluster::new(3, 2);
    cluster.facts[1].node.as_mut().unwrap().user_pods = Some(4);
    let graph = build(&shipped(), &cluster.situation()).unwrap();
    assert_eq!(graph.lines.last_automatic_rollback, "m1/start-lead");
    assert_eq!(
        graph.lines.last_automatic_rollback_because,
        "managers-run-user-pods: m2 runs user pods"
    );
}

#[test]
fn a_missing_fact_marks_what_needs_it_and_nothing_else() {
    let mut cluster = Cluster::new(3, 2);
    cluster.facts[4].docker = None;
    let graph = build(&shipped(), &cluster.situation()).unwrap();
    let marked: BTreeSet<&str> = graph
        .actions
        .iter()
        .filter(|it| it.undecided.is_some())
        .map(|it| it.host.as_str())
        .collect();
    assert_eq!(marked, BTreeSet::from(["w2"]));
    assert!(
        graph
            .undecided
            .iter()
            .all(|it| it.fact == "docker.root" && it.hosts == ["w2"]),
        "{:?}",
        graph.undecided
    );
    assert!(graph.undecided.iter().any(|it| it.step == "stop-node-worker"));
    cluster.cluster.user_services = None;
    let graph = build(&shipped(), &cluster.situation()).unwrap();
    let undecided = graph
        .undecided
        .iter()
        .find(|it| it.fact == "cluster.user-services")
        .unwrap();
    assert_eq!(undecided.step, "backup-swarm-defs");
}

#[test]
fn with_every_fact_nothing_is_undecided_and_what_was_relied_on_is_pinned() {
    let graph = built(3, 2);
    assert_eq!(graph.undecided, []);
    let pins = &graph.relied_host_facts[4];
    for fact in ["docker.root", "node.name", "private-address", "os.arch", "init"] {
        assert!(pins.contains_key(fact), "{fact} is not pinned: {pins:?}");
    }
    assert!(graph.relied_cluster_facts.contains_key("cluster.swarm-nodes"));
    assert_eq!(graph.host_fields[4]["node-name"], "w2");
    for step in &graph.steps {
        let runs = step.script.is_some() || step.builtin.is_some();
        assert!(runs, "{}", step.id);
        let mutating = step.undo.kind == UndoKind::Impossible;
        let stage = graph.stages.iter().position(|it| it.id == step.stage).unwrap();
        let line = graph.stages.iter().position(|it| it.point_of_no_return).unwrap();
        assert!(
            !mutating || stage >= line,
            "{} cannot be undone before the line",
            step.id
        );
    }
}

#[test]
fn without_roles_there_is_no_graph() {
    let mut cluster = Cluster::new(1, 1);
    cluster.roles = vec![None, None];
    let graph = build(&shipped(), &cluster.situation()).unwrap();
    assert_eq!(
        graph.empty_because.as_deref(),
        Some("the role of no host is known")
    );
    assert!(graph.actions.is_empty() && graph.steps.is_empty());
    assert_eq!(graph.undecided[0].hosts, ["m1", "w1"]);
    cluster.roles[1] = Some(mkectl::model::Role::Worker);
    let graph = build(&shipped(), &cluster.situation()).unwrap();
    assert_eq!(
        graph.empty_because.as_deref(),
        Some("no host is known to be a manager")
    );
}
