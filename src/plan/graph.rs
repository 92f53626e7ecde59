//! The builder: catalogue and situation in, graph out. Pure: the same input gives the same graph.

use super::error::{BuildError, Problem};
use super::estimate::estimate;
use super::expand::{Expansion, State, expand};
use super::indexed::{Indexed, Rows};
use super::lines::lines;
use super::params::Resolver;
use super::pins::Pins;
use super::registry::Registry;
use super::schedule::Workload;
use super::selection::Selection;
use super::situation::Situation;
use super::wiring::{Node, Wiring, wire};
use super::{budgets, outputs};
use crate::catalogue::{ActionDef, Catalogue, StageDef};
use crate::model::{Action, Budget, Estimate, Joint, Lines, Skip, Stage, Step};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Everything of a plan that the catalogue and the cluster decide together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// Why there are no actions, when there are none.
    pub empty_because: Option<String>,
    /// Stages, in order.
    pub stages: Vec<Stage>,
    /// Budgets, resolved.
    pub budgets: Vec<Budget>,
    /// Steps with at least one action, in the order of the catalogue.
    pub steps: Vec<Step>,
    /// Actions, in the order of steps, then hosts.
    pub actions: Vec<Action>,
    /// Joints and gates.
    pub joints: Vec<Joint>,
    /// What is not needed, and why.
    pub skipped: Vec<Skip>,
    /// The two lines.
    pub lines: Lines,
    /// How long it is expected to take.
    pub estimate: Estimate,
    /// What could not be decided; the plan is not applyable while there is any.
    pub undecided: Vec<Undecided>,
    /// Script files that this build does not have; the plan is not applyable while there is any.
    pub missing_scripts: Vec<String>,
    /// Fields of each host's row, in the order of hosts.yaml.
    pub host_fields: Vec<BTreeMap<String, String>>,
    /// Facts about each host that something relied on, in the order of hosts.yaml.
    pub relied_host_facts: Vec<BTreeMap<String, String>>,
    /// Facts about the cluster that something relied on.
    pub relied_cluster_facts: BTreeMap<String, String>,
    /// Bytes of the scripts, by `sha256:…`.
    pub scripts: BTreeMap<String, String>,
}

/// Something that could not be decided for want of a fact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Undecided {
    /// Step that it concerns; empty when it concerns the host as a whole.
    pub step: String,
    /// The fact that is missing.
    pub fact: String,
    /// Hosts, in plan order.
    pub hosts: Vec<String>,
}

/// Unfolds the catalogue over the cluster. Without any known role, or without a manager, there is nothing to unfold over:
/// the graph is empty and says why.
pub fn build(catalogue: &Catalogue, situation: &Situation<'_>) -> Result<Graph, BuildError> {
    build_with(catalogue, situation, &Registry::standard())
}

/// As [`build`], with a registry made by hand.
pub fn build_with(
    catalogue: &Catalogue,
    situation: &Situation<'_>,
    registry: &Registry,
) -> Result<Graph, BuildError> {
    check_hosts(situation)?;
    let selection = Selection::choose(situation);
    let mut graph = Graph {
        stages: catalogue.stages.iter().map(stage).collect(),
        host_fields: vec![BTreeMap::new(); situation.hosts.len()],
        relied_host_facts: vec![BTreeMap::new(); situation.hosts.len()],
        undecided: roleless(situation),
        ..Graph::default()
    };
    if selection.lead().is_none() {
        graph.empty_because = Some(match situation.hosts.iter().any(|host| host.role.is_some()) {
            true => "no host is known to be a manager".to_owned(),
            false => "the role of no host is known".to_owned(),
        });
        return Ok(graph);
    }
    for budget in &catalogue.budgets {
        graph
            .budgets
            .push(budgets::resolve(budget, situation.options, &selection)?);
    }
    let mut pins = Pins::new(situation.hosts.len());
    let expansion = expand(catalogue, situation, registry, selection, &mut pins)?;
    outputs::check(catalogue, &expansion)?;
    let missing = graph.add_steps(catalogue, situation, registry, &expansion, &mut pins)?;
    let wiring = wire(catalogue, &expansion)?;
    graph.add_rows(catalogue, situation, &expansion, &wiring, &missing);
    graph.add_skips(catalogue, situation, &expansion);
    graph.relied_host_facts = pins.hosts;
    graph.relied_cluster_facts = pins.cluster;
    let indexed = Indexed::new(graph.rows()).expect("the builder makes rows that are a graph");
    let order: BTreeMap<&str, u32> = situation
        .hosts
        .iter()
        .map(|host| host.id.as_str())
        .zip(0..)
        .collect();
    let load = Workload::new(&indexed, &order, &expansion.selection, &graph.budgets);
    let width = situation.options.parallelism.max(1);
    let schedule = load.simulate(width).map_err(|stuck| BuildError::Deadlock {
        action: indexed.id(stuck).to_owned(),
    })?;
    let estimate = estimate(catalogue, &load, &graph.budgets, &schedule, width);
    let lines = lines(catalogue, &expansion, &load, &schedule);
    graph.estimate = estimate;
    graph.lines = lines;
    Ok(graph)
}

/// Host ids are the first half of action ids, so they must be unique and none may be what joints begin with.
fn check_hosts(situation: &Situation<'_>) -> Result<(), BuildError> {
    let mut seen = BTreeSet::new();
    for host in &situation.hosts {
        let why = match host.id.as_str() {
            "" => "it has no id",
            "all" | "gate" | "skip" => "joints of the plan use this name",
            id if id.contains('/') => "a slash separates host and step",
            id if !seen.insert(id) => "two hosts have this id",
            _ => continue,
        };
        return Err(BuildError::HostId {
            host: host.id.clone(),
            why,
        });
    }
    Ok(())
}

/// Hosts whose role nothing tells: the plan cannot say what becomes of them.
fn roleless(situation: &Situation<'_>) -> Vec<Undecided> {
    let unknown = situation.hosts.iter().filter(|host| host.role.is_none());
    let hosts: Vec<String> = unknown.map(|host| host.id.clone()).collect();
    let undecided = Undecided {
        step: String::new(),
        fact: "role".to_owned(),
        hosts,
    };
    if undecided.hosts.is_empty() {
        Vec::new()
    } else {
        vec![undecided]
    }
}

fn stage(definition: &StageDef) -> Stage {
    Stage {
        id: definition.id.clone(),
        title: definition.title.clone(),
        downtime: definition.downtime,
        failure: definition.failure,
        gate: definition.gate || definition.point_of_no_return,
        point_of_no_return: definition.point_of_no_return,
        undo_loses: definition.undo_loses.clone(),
    }
}

/// `sha256:…` of a text.
fn digest(text: &str) -> String {
    let hash = Sha256::digest(text.as_bytes());
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&hash))
}

impl Graph {
    /// The rows that make the graph.
    pub fn rows(&self) -> Rows<'_> {
        Rows {
            stages: &self.stages,
            steps: &self.steps,
            actions: &self.actions,
            joints: &self.joints,
        }
    }

    /// Adds the steps that have an action. Returns, for each action of the catalogue, the facts that hosts lack for it.
    fn add_steps(
        &mut self,
        catalogue: &Catalogue,
        situation: &Situation<'_>,
        registry: &Registry,
        expansion: &Expansion,
        pins: &mut Pins,
    ) -> Result<Vec<BTreeMap<u32, String>>, BuildError> {
        let mut resolver = Resolver::new(catalogue, situation, registry, expansion, pins);
        for (index, action) in catalogue.actions.iter().enumerate() {
            check_budgets(catalogue, action)?;
            if !expansion.states[index].iter().any(State::stays) {
                continue;
            }
            let params = resolver.params(index, action)?;
            resolver.relies(index, action)?;
            let text = action
                .script
                .as_ref()
                .and_then(|script| catalogue.scripts.get(script));
            if let (Some(script), None) = (&action.script, text)
                && !self.missing_scripts.contains(script)
            {
                self.missing_scripts.push(script.clone());
            }
            let script_digest = text.map(|text| digest(text));
            if let (Some(digest), Some(text)) = (&script_digest, text) {
                self.scripts.insert(digest.clone(), text.clone());
            }
            let writes = expansion.users_write[index].iter().zip(&expansion.states[index]);
            self.steps.push(Step {
                id: action.id.clone(),
                stage: action.stage.clone(),
                title: action.title.clone(),
                subjects: action.subjects,
                at: action.at,
                script: action.script.clone(),
                script_digest,
                builtin: action.builtin.clone(),
                effect: action.effect,
                undo: action.undo.clone(),
                params,
                outputs: action.outputs.clone(),
                budgets: action.budgets.clone(),
                changes: action.changes.clone(),
                relies: action.relies.clone(),
                cancel: action.cancel,
                users_write: writes
                    .into_iter()
                    .any(|(write, state)| write.is_some() && state.stays()),
                repeatable: action.repeatable,
                timeout_s: action.timeout_s,
                retry: action.retry,
                estimate_s: action.estimate_s,
            });
        }
        self.missing_scripts.sort();
        self.host_fields = resolver.fields;
        Ok(resolver.missing)
    }

    /// Adds actions and joints from the wired graph, and marks what is undecided.
    fn add_rows(
        &mut self,
        catalogue: &Catalogue,
        situation: &Situation<'_>,
        expansion: &Expansion,
        wiring: &Wiring,
        missing: &[BTreeMap<u32, String>],
    ) {
        let ids: Vec<String> = wiring
            .nodes
            .iter()
            .map(|node| id(catalogue, situation, expansion, *node))
            .collect();
        let mut undecided: BTreeMap<(u32, String), Vec<String>> = BTreeMap::new();
        for (index, node) in wiring.nodes.iter().enumerate() {
            if wiring.links.gone[index] {
                continue;
            }
            let needs = wiring.links.needs[index].iter();
            let mut needs: Vec<String> = needs.map(|need| ids[*need as usize].clone()).collect();
            needs.sort();
            let state = match node {
                Node::Instance { action, host } => expansion.state(catalogue, *action, *host),
                _ => None,
            };
            match (node, state) {
                (Node::Instance { action, host }, Some(state)) if state.stays() => {
                    let lacks = match state {
                        State::Undecided(fact) => Some(fact.to_string()),
                        _ => missing[*action as usize].get(host).cloned(),
                    };
                    let subject = &situation.hosts[*host as usize].id;
                    if let Some(fact) = &lacks {
                        let hosts = undecided.entry((*action, fact.clone())).or_default();
                        hosts.push(subject.clone());
                    }
                    self.actions.push(Action {
                        id: ids[index].clone(),
                        step: catalogue.actions[*action as usize].id.clone(),
                        host: subject.clone(),
                        needs,
                        undecided: lacks,
                    });
                }
                _ => self.joints.push(Joint {
                    id: ids[index].clone(),
                    needs,
                }),
            }
        }
        for ((action, fact), hosts) in undecided {
            self.undecided.push(Undecided {
                step: catalogue.actions[action as usize].id.clone(),
                fact,
                hosts,
            });
        }
    }

    /// Adds what is skipped: by step, then by reason in the order in which it first comes up.
    fn add_skips(&mut self, catalogue: &Catalogue, situation: &Situation<'_>, expansion: &Expansion) {
        for (index, action) in catalogue.actions.iter().enumerate() {
            let mut skips: Vec<Skip> = Vec::new();
            for (host, state) in expansion.instances(action, index) {
                let State::Skipped(because) = state else { continue };
                let id = situation.hosts[host as usize].id.clone();
                match skips.iter_mut().find(|skip| *skip.because == **because) {
                    Some(skip) => skip.hosts.push(id),
                    None => skips.push(Skip {
                        step: action.id.clone(),
                        because: because.to_string(),
                        hosts: vec![id],
                    }),
                }
            }
            self.skipped.append(&mut skips);
        }
    }
}

fn check_budgets(catalogue: &Catalogue, action: &ActionDef) -> Result<(), BuildError> {
    for take in &action.budgets {
        if !catalogue.budgets.iter().any(|budget| budget.id == take.take) {
            return Err(BuildError::Action {
                action: action.id.clone(),
                line: action.line,
                problem: Problem::Budget(take.take.clone()),
            });
        }
    }
    Ok(())
}

/// The id of a node. What is skipped and stays for the sake of the order, as a joint, has an id of its own.
fn id(catalogue: &Catalogue, situation: &Situation<'_>, expansion: &Expansion, node: Node) -> String {
    match node {
        Node::Instance { action, host } => {
            let step = &catalogue.actions[action as usize].id;
            let subject = &situation.hosts[host as usize].id;
            match expansion.state(catalogue, action, host) {
                Some(State::Skipped(_)) => format!("skip/{subject}/{step}"),
                _ => format!("{subject}/{step}"),
            }
        }
        Node::All { action } => format!("all/{}", catalogue.actions[action as usize].id),
        Node::Nobody { action } => format!("skip/{}", catalogue.actions[action as usize].id),
        Node::Gate { stage } => format!("gate/{}", catalogue.stages[stage as usize].id),
    }
}
