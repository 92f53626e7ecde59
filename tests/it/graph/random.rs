//! Random catalogues over random clusters, against a graph that is wired naively and contracted not at all.

use super::cluster::{Cluster, action, all, budget, same, stage, take};
use super::order::Order;
use mkectl::catalogue::{ActionDef, Capacity, Catalogue, Need};
use mkectl::model::{Effect, Selector, UndoKind};
use mkectl::plan::conditions::{Condition, Verdict};
use mkectl::plan::registry::Registry;
use mkectl::plan::{Graph, Selection, build_with, rollback};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SELECTORS: [Selector; 7] = [
    Selector::Hosts,
    Selector::Managers,
    Selector::Workers,
    Selector::Lead,
    Selector::Spare,
    Selector::OtherManagers,
    Selector::Joiners,
];

/// Whether every host of `inner` is one of `outer`, in every cluster.
fn within(inner: Selector, outer: Selector) -> bool {
    use Selector::{Hosts, Joiners, Lead, Managers, OtherManagers, Spare, Workers};
    inner == outer
        || outer == Hosts
        || matches!(
            (inner, outer),
            (Lead | Spare | OtherManagers, Managers) | (Workers | OtherManagers, Joiners)
        )
}

fn verdict(holds: bool) -> Verdict {
    Verdict {
        holds,
        because: "for the test".to_owned(),
    }
}

const CONDITIONS: [Condition; 3] = [
    Condition {
        name: "never",
        per_host: false,
        eval: |_| Ok(verdict(false)),
    },
    Condition {
        name: "second",
        per_host: true,
        eval: |look| Ok(verdict(look.subject().is_some_and(|host| host.id.ends_with('2')))),
    },
    Condition {
        name: "untold",
        per_host: true,
        eval: |look| look.fact("selinux").map(|_| verdict(true)),
    },
];

/// The dice for one action.
#[derive(Clone, Debug)]
struct Dice {
    stage: usize,
    selector: usize,
    needs: Vec<(usize, bool)>,
    condition: Option<(usize, bool)>,
    reads: bool,
    undo: bool,
    seconds: u32,
    takes: Option<usize>,
}

fn dice() -> impl Strategy<Value = Dice> {
    let needs = prop::collection::vec((0usize..10, any::<bool>()), 0..3);
    let condition = prop::option::weighted(0.4, (0usize..3, any::<bool>()));
    let budget = prop::option::weighted(0.3, 0usize..2);
    let plain = (
        0usize..3,
        0usize..7,
        any::<bool>(),
        prop::bool::weighted(0.8),
        0u32..20,
    );
    (plain, needs, condition, budget).prop_map(
        |((stage, selector, reads, undo, seconds), needs, condition, takes)| Dice {
            stage,
            selector,
            needs,
            condition,
            reads,
            undo,
            seconds,
            takes,
        },
    )
}

fn catalogue(gates: [bool; 3], mut dice: Vec<Dice>) -> Catalogue {
    dice.sort_by_key(|it| it.stage);
    let mut actions: Vec<ActionDef> = Vec::new();
    for (index, dice) in dice.iter().enumerate() {
        let selector = SELECTORS[dice.selector];
        let mut needs: Vec<Need> = Vec::new();
        for (needed, wants_same) in &dice.needs {
            if let Some(needed) = needed.checked_rem(index).and_then(|at| actions.get(at)) {
                let fits = *wants_same && within(selector, needed.subjects);
                needs.push(if fits { same(&needed.id) } else { all(&needed.id) });
            }
        }
        let stage = format!("s{}", dice.stage);
        let mut action = action(&format!("a{index}"), &stage, selector, &needs, dice.seconds);
        if let Some((condition, wanted)) = dice.condition {
            let name = CONDITIONS[condition].name.to_owned();
            if wanted {
                action.when.push(name)
            } else {
                action.unless.push(name)
            }
        }
        if dice.reads {
            action.effect = Effect::Reads;
        }
        if !dice.undo {
            action.undo.kind = UndoKind::None;
        }
        if let Some(budget) = dice.takes {
            action.budgets = vec![take(["one", "two"][budget], None)];
            // Held over the step that follows on the same host and waits for nobody else. What runs while a budget is held
            // takes none, or two hosts could wait for each other.
            let held_over: Vec<String> = actions
                .iter()
                .flat_map(|it| &it.budgets)
                .filter_map(|take| take.until.clone())
                .collect();
            if let [Need::Same(before)] = needs.as_slice()
                && let Some(holder) = actions.iter_mut().find(|it| it.id == *before)
                && holder.budgets.is_empty()
                && holder.stage == action.stage
                && !held_over.contains(&holder.id)
            {
                holder.budgets = vec![take(["one", "two"][budget], Some(&action.id))];
                action.budgets.clear();
            }
        }
        actions.push(action);
    }
    let mut stages = vec![stage("s0", false), stage("s1", true), stage("s2", false)];
    for (stage, gate) in stages.iter_mut().zip(gates) {
        stage.gate = gate;
    }
    Catalogue {
        stages,
        budgets: vec![
            budget("one", Selector::Workers, Capacity::Fixed(1)),
            budget("two", Selector::Hosts, Capacity::Fixed(2)),
        ],
        actions,
        scripts: BTreeMap::new(),
    }
}

fn cluster(managers: usize, workers: usize, silent: usize) -> Cluster {
    let mut cluster = Cluster::new(managers, workers);
    let hosts = cluster.facts.len();
    cluster.facts[silent % hosts].selinux = None;
    cluster.options.parallelism = 3;
    cluster
}

fn registry() -> Registry {
    Registry::standard().with_conditions(&CONDITIONS)
}

/// Everything that must come before each instance (and each action about nobody), by the letter of the catalogue.
struct Reference {
    before: BTreeMap<String, BTreeSet<String>>,
}

impl Reference {
    fn new(catalogue: &Catalogue, cluster: &Cluster) -> Reference {
        let situation = cluster.situation();
        let selection = Selection::choose(&situation);
        let segment = |action: &ActionDef| {
            let stages = catalogue.stages.iter();
            let upto = stages
                .take_while(|it| it.id != action.stage)
                .filter(|it| it.gate)
                .count();
            let own = catalogue.stages.iter().any(|it| it.id == action.stage && it.gate);
            upto + usize::from(own)
        };
        let instances = |action: &ActionDef| -> Vec<String> {
            let hosts = selection.hosts(action.subjects).iter();
            hosts
                .map(|host| format!("{}/{}", cluster.ids[*host as usize], action.id))
                .collect()
        };
        let nobody = |id: &str| format!("/{id}");
        let everyone = |id: &str| {
            let found = instances(catalogue.action(id).unwrap());
            if found.is_empty() { vec![nobody(id)] } else { found }
        };
        let mut before: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for action in &catalogue.actions {
            let mut earlier: Vec<String> = Vec::new();
            for other in catalogue
                .actions
                .iter()
                .filter(|other| segment(other) < segment(action))
            {
                earlier.extend(instances(other));
            }
            for id in instances(action).into_iter().chain([nobody(&action.id)]) {
                let host = id.split('/').next().unwrap();
                let mut direct = earlier.clone();
                for need in &action.needs {
                    match need {
                        Need::Same(needed) => direct.push(format!("{host}/{needed}")),
                        Need::All(needed) => direct.extend(everyone(needed)),
                    }
                }
                let mut known: BTreeSet<String> = BTreeSet::new();
                for id in direct {
                    known.extend(before[&id].iter().cloned());
                    known.insert(id);
                }
                before.insert(id, known);
            }
        }
        Reference { before }
    }
}

fn actions(graph: &Graph) -> BTreeSet<&str> {
    graph.actions.iter().map(|it| it.id.as_str()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_is_kept_exactly(
        gates in any::<[bool; 3]>(),
        dice in prop::collection::vec(dice(), 1..10),
        managers in 1usize..4,
        workers in 0usize..4,
        silent in 0usize..8,
        intents in any::<u64>(),
    ) {
        let catalogue = catalogue(gates, dice);
        let cluster = cluster(managers, workers, silent);
        let graph = build_with(&catalogue, &cluster.situation(), &registry()).unwrap();
        prop_assert_eq!(&graph, &build_with(&catalogue, &cluster.situation(), &registry()).unwrap());

        // Every pair of actions is ordered as the catalogue says, no more and no less.
        let reference = Reference::new(&catalogue, &cluster);
        let order = Order::of(&graph);
        let ids = actions(&graph);
        for id in &ids {
            let before: BTreeSet<&str> = order.before(id).into_iter().filter(|it| ids.contains(it)).collect();
            let expected = reference.before[*id].iter().map(String::as_str).filter(|it| ids.contains(it));
            prop_assert_eq!(before, expected.collect::<BTreeSet<_>>(), "before {}", id);
            prop_assert!(!order.before(id).contains(id));
        }

        // No joint stands where an edge would do, and edges grow with hosts, not with their square.
        for joint in graph.joints.iter().filter(|it| !it.id.starts_with("gate/")) {
            let followers = order.0.values().filter(|needs| needs.contains(&joint.id)).count();
            prop_assert!(joint.needs.len() > 1 && followers > 1, "{} is needless", joint.id);
        }
        let per_host = 1 + catalogue.actions.iter().map(|it| it.needs.len() + 3).sum::<usize>();
        prop_assert!(order.edges() <= per_host * cluster.ids.len());

        // Nothing is lost: each instance is an action or a skip with a reason.
        let skips: usize = graph.skipped.iter().map(|it| it.hosts.len()).sum();
        let instances = reference.before.keys().filter(|id| !id.starts_with('/')).count();
        prop_assert_eq!(graph.actions.len() + skips, instances);

        // Times: a run is no shorter than its bound, and the bound no shorter than the longest chain.
        let estimate = &graph.estimate;
        prop_assert!(estimate.total_s >= estimate.bound_s, "{} < {}", estimate.total_s, estimate.bound_s);
        prop_assert!(estimate.bound_s >= estimate.critical_path_s);
        let seconds = |id: &String| {
            let step = id.split_once('/').unwrap().1;
            graph.steps.iter().find(|it| it.id == step).unwrap().estimate_s
        };
        prop_assert_eq!(estimate.critical_path.iter().map(seconds).sum::<u32>(), estimate.critical_path_s);

        // Any rollback goes the other way round, over what has an undo.
        let intents: BTreeSet<String> = graph
            .actions
            .iter()
            .enumerate()
            .filter(|(index, _)| intents >> (index % 64) & 1 == 1)
            .map(|(_, it)| it.id.clone())
            .collect();
        let undo = rollback(graph.rows(), &intents).unwrap();
        let inverse = Order::of_rollback(&undo);
        let undone: BTreeSet<&str> = undo.undos.iter().map(|it| it.action.as_str()).collect();
        for action in &graph.actions {
            let step = graph.steps.iter().find(|it| it.id == action.step).unwrap();
            let expected = intents.contains(&action.id) && step.undo.kind == UndoKind::Script;
            prop_assert_eq!(undone.contains(action.id.as_str()), expected);
        }
        for a in &undone {
            for b in &undone {
                let undone_before = inverse.before(b).contains(a);
                prop_assert_eq!(undone_before, reference.before[*a].contains(*b), "{} and {}", a, b);
            }
        }
    }
}
