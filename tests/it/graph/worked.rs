//! A catalogue of seven actions over three managers and two workers, with every figure worked out by hand.

use super::cluster::{Cluster, action, all, budget, same, stage, take};
use super::order::Order;
use mkectl::catalogue::{Capacity, Catalogue, ParamDef, UsersWrite};
use mkectl::model::{At, Effect, Output, OutputKind, ParamSource, Selector, UndoKind, ValueType};
use mkectl::plan::conditions::{Condition, Verdict};
use mkectl::plan::registry::Registry;
use mkectl::plan::{Graph, build_with};

const AIRGAPPED: Condition = Condition {
    name: "airgapped",
    per_host: false,
    eval: |look| {
        let holds = look.situation().options.airgapped;
        Ok(Verdict {
            holds,
            because: format!("--mke3-airgapped is {holds}"),
        })
    },
};

fn output(kind: OutputKind, value_type: Option<ValueType>) -> Output {
    Output {
        kind,
        value_type,
        max: None,
        secret: false,
        keep: None,
    }
}

pub fn catalogue(gates: bool) -> Catalogue {
    let mut stages = vec![
        stage("prepare", false),
        stage("managers", true),
        stage("workers", true),
        stage("cleanup", false),
    ];
    stages[1].gate = gates;
    stages[3].point_of_no_return = gates;
    let output_of = |text: &str| ParamDef::Output(text.to_owned());
    let mut record = action("record-state", "prepare", Selector::Hosts, &[], 3);
    record.effect = Effect::Reads;
    let mut load = action(
        "load-bundle",
        "prepare",
        Selector::Hosts,
        &[same("record-state")],
        60,
    );
    load.when = vec!["airgapped".to_owned()];
    load.budgets = vec![take("uploads", None)];
    load.params
        .insert("BUNDLE".to_owned(), ParamDef::Asset("k0s-bundle".to_owned()));
    let mut stop = action(
        "stop-mke3",
        "managers",
        Selector::Managers,
        &[all("load-bundle")],
        20,
    );
    stop.params.insert(
        "MKE_VERSION".to_owned(),
        ParamDef::Value("mke3-version".to_owned()),
    );
    let mut lead = action("start-lead", "managers", Selector::Lead, &[all("stop-mke3")], 90);
    lead.params
        .insert("NODE_NAME".to_owned(), ParamDef::Host("hostname".to_owned()));
    lead.params
        .insert("K0S_CONFIG".to_owned(), ParamDef::File("k0s.yaml".to_owned()));
    let ca_hash = output(OutputKind::Value, Some(ValueType::Sha256));
    lead.outputs.insert("ca-hash".to_owned(), ca_hash);
    let mut mint = action(
        "mint-token",
        "managers",
        Selector::Joiners,
        &[all("start-lead")],
        1,
    );
    mint.at = At::Lead;
    mint.repeatable = true;
    mint.outputs
        .insert("token".to_owned(), output(OutputKind::Secret, None));
    mint.budgets = vec![
        take("etcd-members", Some("join-controller")),
        take("workers-down", Some("join-worker")),
    ];
    let mut controller = action(
        "join-controller",
        "managers",
        Selector::OtherManagers,
        &[same("mint-token")],
        60,
    );
    let mut worker = action(
        "join-worker",
        "workers",
        Selector::Workers,
        &[same("mint-token")],
        75,
    );
    worker.users_write = Some(UsersWrite::Always);
    for join in [&mut controller, &mut worker] {
        join.params
            .insert("TOKEN".to_owned(), output_of("mint-token.token"));
        join.params
            .insert("CA_HASH".to_owned(), output_of("start-lead.ca-hash"));
    }
    let option = |name: &str| Capacity::Option(name.to_owned());
    Catalogue {
        stages,
        budgets: vec![
            budget("uploads", Selector::Hosts, option("concurrent-uploads")),
            budget("etcd-members", Selector::Managers, Capacity::Fixed(1)),
            budget("workers-down", Selector::Workers, option("worker-disruption")),
        ],
        actions: vec![record, load, stop, lead, mint, controller, worker],
        scripts: [("record-state.sh".to_owned(), "probe() { exit 11; }\n".to_owned())].into(),
    }
}

fn built(gates: bool, airgapped: bool) -> Graph {
    let mut cluster = Cluster::new(3, 2);
    cluster.options.airgapped = airgapped;
    let registry = Registry::standard().with_conditions(&[AIRGAPPED]);
    build_with(&catalogue(gates), &cluster.situation(), &registry).unwrap()
}

#[test]
fn not_airgapped_it_has_18_nodes_and_19_edges() {
    let graph = built(false, false);
    let rows: Vec<String> = graph
        .actions
        .iter()
        .map(|it| (&it.id, &it.needs))
        .chain(graph.joints.iter().map(|it| (&it.id, &it.needs)))
        .map(|(id, needs)| format!("{id} < {}", needs.join(" ")).trim_end().to_owned())
        .collect();
    insta::assert_snapshot!(rows.join("\n"), @r"
    m1/record-state <
    m2/record-state <
    m3/record-state <
    w1/record-state <
    w2/record-state <
    m1/stop-mke3 < all/load-bundle
    m2/stop-mke3 < all/load-bundle
    m3/stop-mke3 < all/load-bundle
    m1/start-lead < m1/stop-mke3 m2/stop-mke3 m3/stop-mke3
    m2/mint-token < m1/start-lead
    m3/mint-token < m1/start-lead
    w1/mint-token < m1/start-lead
    w2/mint-token < m1/start-lead
    m2/join-controller < m2/mint-token
    m3/join-controller < m3/mint-token
    w1/join-worker < w1/mint-token
    w2/join-worker < w2/mint-token
    all/load-bundle < m1/record-state m2/record-state m3/record-state w1/record-state w2/record-state
    ");
    assert_eq!(rows.len(), 18);
    assert_eq!(Order::of(&graph).edges(), 19);
    assert_eq!(graph.skipped.len(), 1);
    let skip = &graph.skipped[0];
    assert_eq!(skip.step, "load-bundle");
    assert_eq!(skip.hosts, ["m1", "m2", "m3", "w1", "w2"]);
    assert_eq!(skip.because, "not airgapped: --mke3-airgapped is false");
    assert!(graph.steps.iter().all(|step| step.id != "load-bundle"));
}

#[test]
fn airgapped_it_has_23_nodes_and_24_edges() {
    let graph = built(false, true);
    assert_eq!(graph.actions.len() + graph.joints.len(), 23);
    assert_eq!(Order::of(&graph).edges(), 24);
    assert_eq!(graph.skipped, []);
}

#[test]
fn times_are_those_worked_out_by_hand() {
    let estimate = built(false, false).estimate;
    assert_eq!(estimate.total_s, 265);
    assert_eq!(estimate.critical_path_s, 189);
    assert_eq!(estimate.bound_s, 265);
    assert_eq!(
        estimate.critical_path,
        [
            "m1/record-state",
            "m1/stop-mke3",
            "m1/start-lead",
            "w1/mint-token",
            "w1/join-worker"
        ]
    );
    let stages: Vec<(&str, u32, u32)> = estimate
        .stages
        .iter()
        .map(|it| (it.stage.as_str(), it.start_s, it.end_s))
        .collect();
    // Controllers: 3 + 20 + 90 = 113 s to the first, then 2 × 61 s; workers: 2 × 76 s beside them, the first joins after 114 s.
    assert_eq!(
        stages,
        [
            ("prepare", 0, 3),
            ("managers", 3, 235),
            ("workers", 114, 265),
            ("cleanup", 265, 265)
        ]
    );
    assert_eq!(estimate.worker_outage_s, 76);
    assert_eq!(estimate.api_outage_s, 262);
}

#[test]
fn the_second_token_waits_for_its_budget_and_the_width_is_respected() {
    let mut cluster = Cluster::new(3, 2);
    let registry = Registry::standard().with_conditions(&[AIRGAPPED]);
    cluster.options.parallelism = 1;
    let narrow = build_with(&catalogue(false), &cluster.situation(), &registry)
        .unwrap()
        .estimate;
    // One connection: 5 × 3 + 3 × 20 + 90 + 4 × 1 + 2 × 60 + 2 × 75, one after the other.
    assert_eq!(narrow.total_s, 439);
    assert_eq!(narrow.bound_s, 439);
    assert_eq!(narrow.width, 1);
}

#[test]
fn a_gate_stands_between_the_stages_and_makes_the_joint_needless() {
    let graph = built(true, false);
    let joints: Vec<&str> = graph.joints.iter().map(|joint| joint.id.as_str()).collect();
    assert_eq!(joints, ["gate/managers"], "nothing stands behind gate/cleanup");
    assert_eq!(graph.joints[0].needs.len(), 5);
    let stop = graph.actions.iter().find(|it| it.id == "m2/stop-mke3").unwrap();
    assert_eq!(stop.needs, ["gate/managers"]);
    assert_eq!(graph.lines.point_of_no_return, "");
    assert_eq!(graph.estimate.total_s, 265);
}

#[test]
fn budgets_parameters_and_lines_are_resolved() {
    let graph = built(true, true);
    let budgets: Vec<(u32, &str)> = graph
        .budgets
        .iter()
        .map(|it| (it.capacity, it.because.as_str()))
        .collect();
    assert_eq!(
        budgets,
        [
            (5, "option concurrent-uploads"),
            (1, "always"),
            (1, "10 % of 2 workers, at least 1")
        ]
    );
    let param =
        |step: &str, name: &str| graph.steps.iter().find(|it| it.id == step).unwrap().params[name].clone();
    assert_eq!(
        param("stop-mke3", "MKE_VERSION"),
        ParamSource::Literal("3.8.5".to_owned())
    );
    assert_eq!(
        param("start-lead", "NODE_NAME"),
        ParamSource::Host("hostname".to_owned())
    );
    assert_eq!(
        param("join-worker", "TOKEN"),
        ParamSource::Output("mint-token.token".to_owned())
    );
    assert_eq!(graph.host_fields[0]["hostname"], "m1");
    assert!(graph.host_fields[1].is_empty());
    assert_eq!(graph.relied_host_facts[0]["hostname"], "m1");
    assert_eq!(graph.relied_cluster_facts["cluster.mke-version"], "3.8.5");
    assert_eq!(graph.lines.last_automatic_rollback, "w1/join-worker");
    assert_eq!(graph.undecided, []);
    assert_eq!(graph.scripts.len(), 1);
    assert_eq!(graph.missing_scripts.len(), 6);
    let record = graph.steps.iter().find(|it| it.id == "record-state").unwrap();
    assert!(
        graph
            .scripts
            .contains_key(record.script_digest.as_deref().unwrap())
    );
    assert_eq!(record.undo.kind, UndoKind::Script);
}
