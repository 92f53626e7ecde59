//! Paths in a target document: `spec.network.providers[calico].extraConfig["values.yaml"].mtu`.

use crate::yaml::Node;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// An entry of a mapping.
    Key(String),
    /// The item of a list whose `provider` or `name` is this.
    Named(String),
    /// The item at a position; positions that nothing was written to are `null` until [`prune`].
    At(usize),
    /// The item that stands for the entry of the source list, see [`DocPath::at_entry`].
    Entry,
}

/// A parsed path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DocPath(pub(crate) Vec<Step>);

impl DocPath {
    pub(crate) fn parse(text: &str) -> Result<DocPath, String> {
        let bad = || format!("{text:?} is not a path");
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix("[\"") {
                let (key, after) = inner.split_once("\"]").ok_or_else(bad)?;
                steps.push(Step::Key(key.to_owned()));
                rest = after;
            } else if let Some(inner) = rest.strip_prefix('[') {
                let (name, after) = inner.split_once(']').ok_or_else(bad)?;
                steps.push(match name {
                    "#" => Step::Entry,
                    "" => return Err(bad()),
                    name => name
                        .parse()
                        .map_or_else(|_| Step::Named(name.to_owned()), Step::At),
                });
                rest = after;
            } else {
                rest = match rest.strip_prefix('.') {
                    Some(after) if !steps.is_empty() => after,
                    None if steps.is_empty() => rest,
                    _ => return Err(bad()),
                };
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                if end == 0 {
                    return Err(bad());
                }
                steps.push(Step::Key(rest[..end].to_owned()));
                rest = &rest[end..];
            }
        }
        if steps.is_empty() {
            Err(bad())
        } else {
            Ok(DocPath(steps))
        }
    }

    /// The path for one entry of the source list, and with `<name>` and `{name}` filled in.
    pub(crate) fn at_entry(&self, entry: usize, name: Option<&str>) -> DocPath {
        let steps = self.0.iter().map(|step| match (step, name) {
            (Step::Entry, _) => Step::At(entry),
            (Step::Key(key), Some(name)) if key == "<name>" || key == "{name}" => Step::Key(name.to_owned()),
            (step, _) => step.clone(),
        });
        DocPath(steps.collect())
    }

    pub(crate) fn get<'a>(&self, root: &'a Node) -> Option<&'a Node> {
        self.0.iter().try_fold(root, |node, step| match step {
            Step::Key(key) => node.get(key),
            Step::Named(name) => node.items().iter().find(|item| is_named(item, name)),
            Step::At(index) => node.items().get(*index),
            Step::Entry => None,
        })
    }

    /// Writes a value; what is missing on the way is made, what is in the way is replaced.
    pub(crate) fn set(&self, root: &mut Node, value: Node) {
        let mut node = root;
        for step in &self.0 {
            node = match step {
                Step::Key(key) => node.entry(key),
                Step::Named(name) => {
                    let found = node.items().iter().position(|item| is_named(item, name));
                    let index = found.unwrap_or(node.items().len());
                    let item = list_item(node, index);
                    if found.is_none() {
                        item.insert("name", Node::Str(name.clone()));
                    }
                    item
                }
                Step::At(index) => list_item(node, *index),
                Step::Entry => return,
            };
        }
        *node = value;
    }
}

impl std::fmt::Display for DocPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if key.contains(['.', '[', ']', '"']) || key.is_empty() => {
                    write!(f, "[{key:?}]")?
                }
                Step::Key(key) if i == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Named(name) => write!(f, "[{name}]")?,
                Step::At(index) => write!(f, "[{index}]")?,
                Step::Entry => write!(f, "[#]")?,
            }
        }
        Ok(())
    }
}

fn is_named(item: &Node, name: &str) -> bool {
    ["provider", "name"]
        .iter()
        .any(|key| item.get(key).and_then(Node::as_str) == Some(name))
}

fn list_item(node: &mut Node, index: usize) -> &mut Node {
    if !matches!(node, Node::List(_)) {
        *node = Node::List(Vec::new());
    }
    match node {
        Node::List(items) => {
            if items.len() <= index {
                items.resize(index + 1, Node::Null);
            }
            &mut items[index]
        }
        other => other,
    }
}

/// Removes the items of lists that nothing was written to.
pub(crate) fn prune(node: &mut Node) {
    match node {
        Node::List(items) => {
            items.retain(|item| *item != Node::Null);
            items.iter_mut().for_each(prune);
        }
        Node::Map(map) => map.values_mut().for_each(prune),
        _ => {}
    }
}
