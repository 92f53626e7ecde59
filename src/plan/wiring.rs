//! Wiring: instances, joints and gates as one graph, with what does nothing contracted.
//!
//! The number of edges grows with the number of hosts, never with its square: where all wait for all, they wait for a joint.

use super::dag::Contracted;
use super::error::{BuildError, Problem};
use super::expand::Expansion;
use crate::catalogue::{ActionDef, Catalogue, Need};
use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::BTreeMap;

/// What a node stands for; actions and stages by their position in the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// An action about a host.
    Instance { action: u32, host: u32 },
    /// An action that is about no host of this cluster, for the order that goes through it.
    Nobody { action: u32 },
    /// All instances of an action.
    All { action: u32 },
    /// The gate before a stage.
    Gate { stage: u32 },
}

/// The wired graph.
pub struct Wiring {
    /// Nodes: instances by action, then host; then the others as they came up.
    pub nodes: Vec<Node>,
    /// What each node needs, after contraction.
    pub links: Contracted,
}

/// Wires the instances.
///
/// * `same`: an edge from the instance about the same host.
/// * `all`: edges through a joint that all who ask share; no joint for a single instance.
/// * A gate stands between everything in earlier stages and everything from its stage on. An `all` across a gate adds
///   nothing to that and gets no edge.
/// * An action that is about no host of this cluster still hands on the order that the catalogue gives it.
/// * Instances that are skipped, and joints, are contracted: see [`Contracted::contract`].
pub fn wire(catalogue: &Catalogue, expansion: &Expansion) -> Result<Wiring, BuildError> {
    let mut wirer = Wirer::new(catalogue, expansion)?;
    wirer.needs()?;
    wirer.gates();
    wirer.contract()
}

struct Wirer<'a> {
    catalogue: &'a Catalogue,
    expansion: &'a Expansion,
    graph: DiGraph<Node, (), u32>,
    /// First node of each action's instances.
    first: Vec<u32>,
    /// Position of each action by id, and its stage's.
    actions: BTreeMap<&'a str, u32>,
    stage: Vec<u32>,
    /// How many gates stand before each stage, its own included; and the stages of these gates.
    segment_of_stage: Vec<u32>,
    gates: Vec<u32>,
    nobody: BTreeMap<u32, NodeIndex<u32>>,
    joints: BTreeMap<u32, NodeIndex<u32>>,
    /// Nodes of the gates, by segment that they open.
    gate_nodes: BTreeMap<u32, u32>,
}

fn problem(action: &ActionDef, problem: Problem) -> BuildError {
    BuildError::Action {
        action: action.id.clone(),
        line: action.line,
        problem,
    }
}

impl<'a> Wirer<'a> {
    fn new(catalogue: &'a Catalogue, expansion: &'a Expansion) -> Result<Self, BuildError> {
        let stages: BTreeMap<&str, u32> = catalogue
            .stages
            .iter()
            .map(|stage| stage.id.as_str())
            .zip(0..)
            .collect();
        let mut segment_of_stage = Vec::new();
        let mut gates = Vec::new();
        for (stage, index) in catalogue.stages.iter().zip(0u32..) {
            if stage.gate || stage.point_of_no_return {
                gates.push(index);
            }
            segment_of_stage.push(gates.len() as u32);
        }
        let mut wirer = Wirer {
            catalogue,
            expansion,
            graph: DiGraph::default(),
            first: Vec::new(),
            actions: BTreeMap::new(),
            stage: Vec::new(),
            segment_of_stage,
            gates,
            nobody: BTreeMap::new(),
            joints: BTreeMap::new(),
            gate_nodes: BTreeMap::new(),
        };
        for (action, index) in catalogue.actions.iter().zip(0u32..) {
            let stage = stages
                .get(action.stage.as_str())
                .ok_or_else(|| problem(action, Problem::Stage(action.stage.clone())))?;
            wirer.stage.push(*stage);
            wirer.actions.insert(&action.id, index);
            wirer.first.push(wirer.graph.node_count() as u32);
            for &host in expansion.selection.hosts(action.subjects) {
                wirer.graph.add_node(Node::Instance { action: index, host });
            }
        }
        Ok(wirer)
    }

    fn segment(&self, action: u32) -> u32 {
        self.segment_of_stage[self.stage[action as usize] as usize]
    }

    fn subjects(&self, action: u32) -> &'a [u32] {
        let selector = self.catalogue.actions[action as usize].subjects;
        self.expansion.selection.hosts(selector)
    }

    fn instance(&self, action: u32, host: u32) -> Option<NodeIndex<u32>> {
        let selector = self.catalogue.actions[action as usize].subjects;
        let place = self.expansion.selection.place(selector, host)?;
        Some(NodeIndex::new((self.first[action as usize] + place) as usize))
    }

    /// The needs of an action with the position of what is needed.
    fn needed(&self, action: u32) -> Result<Vec<(&'a Need, u32)>, BuildError> {
        let definition = &self.catalogue.actions[action as usize];
        let later = |index: u32| self.stage[index as usize] > self.stage[action as usize];
        definition
            .needs
            .iter()
            .map(|need| match self.actions.get(need.action()) {
                None => Err(problem(definition, Problem::Need(need.action().to_owned()))),
                Some(&index) if later(index) => {
                    Err(problem(definition, Problem::LaterStage(need.action().to_owned())))
                }
                Some(&index) => Ok((need, index)),
            })
            .collect()
    }

    fn needs(&mut self) -> Result<(), BuildError> {
        for action in 0..self.catalogue.actions.len() as u32 {
            for (need, needed) in self.needed(action)? {
                match need {
                    Need::Same(_) => {
                        for &host in self.subjects(action) {
                            let from = self.instance(needed, host).ok_or_else(|| {
                                let id = self.catalogue.actions[needed as usize].id.clone();
                                problem(&self.catalogue.actions[action as usize], Problem::NoSame(id))
                            })?;
                            let to = self.instance(action, host);
                            if let Some(to) = to {
                                self.graph.add_edge(from, to, ());
                            }
                        }
                    }
                    Need::All(_) if self.segment(needed) < self.segment(action) => {}
                    Need::All(_) => {
                        if self.subjects(action).is_empty() {
                            continue;
                        }
                        let from = self.everyone(needed)?;
                        for &host in self.subjects(action) {
                            if let Some(to) = self.instance(action, host) {
                                self.graph.add_edge(from, to, ());
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The node after all instances of an action.
    fn everyone(&mut self, action: u32) -> Result<NodeIndex<u32>, BuildError> {
        let subjects = self.subjects(action);
        match subjects {
            [] => self.nobody(action),
            [host] => Ok(self.instance(action, *host).expect("the host is in the selector")),
            _ => {
                if let Some(joint) = self.joints.get(&action) {
                    return Ok(*joint);
                }
                let joint = self.graph.add_node(Node::All { action });
                for &host in subjects {
                    let from = self.instance(action, host).expect("the host is in the selector");
                    self.graph.add_edge(from, joint, ());
                }
                self.joints.insert(action, joint);
                Ok(joint)
            }
        }
    }

    /// The node of an action about no host: it needs what the action needs, as far as that can be told without a host.
    /// Its depth is that of the catalogue; a cycle of needs would meet itself here and is found when sorting.
    fn nobody(&mut self, action: u32) -> Result<NodeIndex<u32>, BuildError> {
        if let Some(node) = self.nobody.get(&action) {
            return Ok(*node);
        }
        let node = self.graph.add_node(Node::Nobody { action });
        self.nobody.insert(action, node);
        for (need, needed) in self.needed(action)? {
            if self.segment(needed) < self.segment(action) {
                continue;
            }
            let from = match need {
                Need::Same(_) => self.nobody(needed)?,
                Need::All(_) => self.everyone(needed)?,
            };
            self.graph.add_edge(from, node, ());
        }
        Ok(node)
    }

    fn segment_of_node(&self, node: Node) -> u32 {
        match node {
            Node::Instance { action, .. } | Node::Nobody { action } | Node::All { action } => {
                self.segment(action)
            }
            Node::Gate { stage } => self.segment_of_stage[stage as usize],
        }
    }

    /// Adds the gates. A gate that nothing of this cluster stands behind is left out.
    fn gates(&mut self) {
        let segments: Vec<u32> = self
            .graph
            .node_weights()
            .map(|node| self.segment_of_node(*node))
            .collect();
        let last = (0..self.catalogue.actions.len())
            .filter(|action| self.expansion.states[*action].iter().any(|state| state.stays()))
            .map(|action| self.segment(action as u32))
            .max()
            .unwrap_or(0);
        for segment in 1..=last {
            let stage = self.gates[segment as usize - 1];
            let gate = self.graph.add_node(Node::Gate { stage });
            self.gate_nodes.insert(segment, gate.index() as u32);
        }
        let mut first = vec![true; segments.len()];
        let mut final_ = vec![true; segments.len()];
        for edge in self.graph.raw_edges() {
            let (from, to) = (edge.source().index(), edge.target().index());
            if segments[from] == segments[to] {
                final_[from] = false;
                first[to] = false;
            }
        }
        let mut inhabited = vec![false; last as usize + 2];
        for (index, segment) in segments.iter().enumerate() {
            if *segment > last {
                continue;
            }
            inhabited[*segment as usize] = true;
            let node = NodeIndex::new(index);
            if let (true, Some(gate)) = (first[index], self.gate_nodes.get(segment)) {
                self.graph.add_edge(NodeIndex::new(*gate as usize), node, ());
            }
            if let (true, Some(gate)) = (final_[index], self.gate_nodes.get(&(segment + 1))) {
                self.graph.add_edge(node, NodeIndex::new(*gate as usize), ());
            }
        }
        for (segment, gate) in &self.gate_nodes {
            if let (false, Some(next)) = (inhabited[*segment as usize], self.gate_nodes.get(&(segment + 1))) {
                self.graph
                    .add_edge(NodeIndex::new(*gate as usize), NodeIndex::new(*next as usize), ());
            }
        }
    }

    fn contract(self) -> Result<Wiring, BuildError> {
        let order = petgraph::algo::toposort(&self.graph, None).map_err(|cycle| BuildError::Cycle {
            action: self.action_at(cycle.node_id()),
        })?;
        let order: Vec<u32> = order.iter().map(|node| node.index() as u32).collect();
        let mut needs: Vec<Vec<u32>> = vec![Vec::new(); self.graph.node_count()];
        for edge in self.graph.raw_edges() {
            needs[edge.target().index()].push(edge.source().index() as u32);
        }
        let nodes: Vec<Node> = self.graph.node_weights().copied().collect();
        let may_go = |node: u32| match nodes[node as usize] {
            Node::Instance { action, host } => {
                let selector = self.catalogue.actions[action as usize].subjects;
                self.expansion
                    .selection
                    .place(selector, host)
                    .is_some_and(|place| !self.expansion.states[action as usize][place as usize].stays())
            }
            Node::Nobody { .. } | Node::All { .. } => true,
            Node::Gate { .. } => false,
        };
        let mut links = Contracted::new(needs);
        links.contract(&order, may_go);
        let segments: Vec<u32> = nodes.iter().map(|node| self.segment_of_node(*node)).collect();
        while self.drop_needless_gate_edges(&nodes, &segments, &mut links) {
            links.contract(&order, may_go);
        }
        Ok(Wiring { nodes, links })
    }

    /// Drops the edge from a gate to a node that follows another node behind that gate, and to a gate from a node that is
    /// followed by another node before that gate: contraction leaves some, and they say nothing.
    fn drop_needless_gate_edges(&self, nodes: &[Node], segments: &[u32], links: &mut Contracted) -> bool {
        let is_gate = |node: u32| matches!(nodes[node as usize], Node::Gate { .. });
        let mut followed = vec![false; nodes.len()];
        let mut dropped = false;
        for (node, list) in links.needs.iter_mut().enumerate() {
            if is_gate(node as u32) {
                continue;
            }
            let peer = |need: &u32| segments[*need as usize] == segments[node] && !is_gate(*need);
            let mut behind_peer = false;
            for need in list.iter().filter(|need| peer(need)) {
                followed[*need as usize] = true;
                behind_peer = true;
            }
            if behind_peer {
                let before = list.len();
                list.retain(|need| !is_gate(*need));
                dropped |= list.len() != before;
            }
        }
        for gate in self.gate_nodes.values() {
            let list = &mut links.needs[*gate as usize];
            let before = list.len();
            list.retain(|need| !followed[*need as usize]);
            dropped |= list.len() != before;
        }
        dropped
    }

    fn action_at(&self, node: NodeIndex<u32>) -> String {
        match self.graph[node] {
            Node::Instance { action, .. } | Node::Nobody { action } | Node::All { action } => {
                self.catalogue.actions[action as usize].id.clone()
            }
            Node::Gate { stage } => self.catalogue.stages[stage as usize].id.clone(),
        }
    }
}
