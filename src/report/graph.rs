//! The DAG of a plan for Graphviz and Mermaid.

use crate::model::{Effect, Plan, Step};
use crate::text::{count, sanitize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Graphs of more nodes are folded: one node a step, with a count.
pub const FOLD_ABOVE: usize = 150;

struct Node {
    label: Vec<String>,
    stage: Option<usize>,
    class: &'static str,
}

struct Graph {
    nodes: Vec<Node>,
    edges: BTreeSet<(usize, usize)>,
}

impl Graph {
    /// One node per action and joint, or with `fold` one per step and joint. Needs of nothing in the plan are left out.
    fn of(plan: &Plan, full: bool) -> Graph {
        let spec = &plan.spec;
        let fold = !full && spec.actions.len() + spec.joints.len() > FOLD_ABOVE;
        let steps: BTreeMap<&str, &Step> = spec.steps.iter().map(|step| (step.id.as_str(), step)).collect();
        let stage = |step: &str| {
            let stage = steps.get(step).map(|step| step.stage.as_str());
            spec.stages
                .iter()
                .position(|known| Some(known.id.as_str()) == stage)
        };
        let mut nodes: Vec<Node> = Vec::new();
        let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
        let mut by_step: BTreeMap<&str, usize> = BTreeMap::new();
        let mut hosts: Vec<usize> = Vec::new();
        for action in &spec.actions {
            let known = if fold {
                by_step.get(action.step.as_str()).copied()
            } else {
                None
            };
            let at = known.unwrap_or_else(|| {
                let first = if fold {
                    Vec::new()
                } else {
                    vec![action.host.clone()]
                };
                nodes.push(Node {
                    label: [vec![action.step.clone()], first].concat(),
                    stage: stage(&action.step),
                    class: match steps.get(action.step.as_str()).map(|step| step.effect) {
                        Some(Effect::Destroys) => "destroys",
                        Some(Effect::Changes) => "changes",
                        _ => "reads",
                    },
                });
                hosts.push(0);
                by_step.insert(&action.step, nodes.len() - 1);
                nodes.len() - 1
            });
            hosts[at] += 1;
            if action.id == spec.lines.last_automatic_rollback {
                nodes[at].class = "line";
            }
            by_id.insert(&action.id, at);
        }
        if fold {
            for (node, hosts) in nodes.iter_mut().zip(&hosts) {
                node.label.push(count(*hosts, "host"));
            }
        }
        for joint in &spec.joints {
            let gate = joint.id.strip_prefix("gate/").is_some();
            nodes.push(Node {
                label: vec![joint.id.clone()],
                stage: None,
                class: match (joint.id == spec.lines.point_of_no_return, gate) {
                    (true, _) => "destroys",
                    (false, true) => "gate",
                    (false, false) => "joint",
                },
            });
            by_id.insert(&joint.id, nodes.len() - 1);
        }
        let mut edges = BTreeSet::new();
        let needs = spec.actions.iter().map(|action| (&action.id, &action.needs));
        for (id, needs) in needs.chain(spec.joints.iter().map(|joint| (&joint.id, &joint.needs))) {
            let Some(to) = by_id.get(id.as_str()) else {
                continue;
            };
            for from in needs.iter().filter_map(|need| by_id.get(need.as_str())) {
                if from != to {
                    edges.insert((*from, *to));
                }
            }
        }
        Graph { nodes, edges }
    }

    fn in_stage(&self, stage: Option<usize>) -> impl Iterator<Item = (usize, &Node)> {
        self.nodes
            .iter()
            .enumerate()
            .filter(move |(_, node)| node.stage == stage)
    }
}

/// The graph in Graphviz' language. Above [`FOLD_ABOVE`] nodes one node stands for a step on all its hosts, unless `full`.
pub fn dot(plan: &Plan, full: bool) -> String {
    let graph = Graph::of(plan, full);
    let mut out = String::from(
        "digraph plan {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fillcolor=white];\n",
    );
    for (at, stage) in plan.spec.stages.iter().enumerate() {
        if graph.in_stage(Some(at)).next().is_none() {
            continue;
        }
        let _ = writeln!(
            out,
            "  subgraph cluster_{at} {{\n    label={};",
            quoted(&format!("{}. {}", at + 1, stage.title))
        );
        for (id, node) in graph.in_stage(Some(at)) {
            let _ = writeln!(out, "    {}", dot_node(id, node));
        }
        out.push_str("  }\n");
    }
    for (id, node) in graph.in_stage(None) {
        let _ = writeln!(out, "  {}", dot_node(id, node));
    }
    for (from, to) in &graph.edges {
        let _ = writeln!(out, "  n{from} -> n{to};");
    }
    out.push_str("}\n");
    out
}

fn dot_node(id: usize, node: &Node) -> String {
    let label: Vec<String> = node.label.iter().map(|line| inner(line)).collect();
    let look = match node.class {
        "destroys" => "fillcolor=\"#f8d0cd\", color=\"#b3261e\", penwidth=2",
        "changes" => "fillcolor=\"#fdf0d5\"",
        "line" => "fillcolor=\"#fdd9a0\", color=\"#9a5b00\", penwidth=2",
        "gate" => "shape=hexagon, fillcolor=\"#d6e6fa\"",
        "joint" => "shape=ellipse, fillcolor=\"#eeeeee\", fontsize=10",
        _ => "fillcolor=white",
    };
    format!("n{id} [label=\"{}\", {look}];", label.join("\\n"))
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", inner(text))
}

/// The inside of a quoted DOT string.
fn inner(text: &str) -> String {
    sanitize(text).replace('\\', "\\\\").replace('"', "\\\"")
}

/// The graph in Mermaid's language; folded as [`dot`] is.
pub fn mermaid(plan: &Plan, full: bool) -> String {
    let graph = Graph::of(plan, full);
    let mut out = String::from("flowchart LR\n");
    for (at, stage) in plan.spec.stages.iter().enumerate() {
        if graph.in_stage(Some(at)).next().is_none() {
            continue;
        }
        let _ = writeln!(
            out,
            "  subgraph s{at}[\"{}. {}\"]",
            at + 1,
            entities(&stage.title)
        );
        for (id, node) in graph.in_stage(Some(at)) {
            let _ = writeln!(out, "    {}", mermaid_node(id, node));
        }
        out.push_str("  end\n");
    }
    for (id, node) in graph.in_stage(None) {
        let _ = writeln!(out, "  {}", mermaid_node(id, node));
    }
    for (from, to) in &graph.edges {
        let _ = writeln!(out, "  n{from} --> n{to}");
    }
    out.push_str("  classDef destroys fill:#f8d0cd,stroke:#b3261e,color:#000\n");
    out.push_str("  classDef changes fill:#fdf0d5,stroke:#8a5a00,color:#000\n");
    out.push_str("  classDef line fill:#fdd9a0,stroke:#9a5b00,stroke-width:3px,color:#000\n");
    out.push_str("  classDef gate fill:#d6e6fa,stroke:#0b5cad,color:#000\n");
    out.push_str("  classDef joint fill:#eeeeee,stroke:#999999,color:#000\n");
    out.push_str("  classDef reads fill:#ffffff,stroke:#999999,color:#000\n");
    out
}

fn mermaid_node(id: usize, node: &Node) -> String {
    let label: Vec<String> = node.label.iter().map(|line| entities(line)).collect();
    format!("n{id}[\"{}\"]:::{}", label.join("<br/>"), node.class)
}

/// Text in a Mermaid label: everything but letters, digits and a few signs as an entity.
fn entities(text: &str) -> String {
    let mut out = String::new();
    for c in sanitize(text).chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '-' | '.' | '_' | '/' | ',' | ':') {
            out.push(c);
        } else {
            let _ = write!(out, "#{};", u32::from(c));
        }
    }
    out
}
