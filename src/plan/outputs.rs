//! Outputs: which instance a parameter `{output: ACTION.NAME}` means, and that it has ended by then.
//!
//! Everything here is decided on the catalogue and the selectors, not instance by instance: a need orders *the same host's*
//! instance or *all* instances, so what is known to have ended before an instance is one host's or a whole selector's.

use super::error::{BuildError, Problem};
use super::expand::{Expansion, State};
use crate::catalogue::{ActionDef, Catalogue, Need, ParamDef};
use crate::model::Selector;
use std::collections::{BTreeMap, BTreeSet};

/// Which instances of an action have ended before an instance of another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    /// The one about the same host.
    Same,
    /// Those about the hosts of a selector.
    Of(Selector),
}

/// Checks every output that a running instance takes.
pub fn check(catalogue: &Catalogue, expansion: &Expansion) -> Result<(), BuildError> {
    let actions: BTreeMap<&str, usize> = catalogue
        .actions
        .iter()
        .map(|it| it.id.as_str())
        .zip(0..)
        .collect();
    for (consumer, action) in catalogue.actions.iter().enumerate() {
        let outputs: Vec<(&String, &String)> = action
            .params
            .iter()
            .filter_map(|(parameter, source)| match source {
                ParamDef::Output(output) => Some((parameter, output)),
                _ => None,
            })
            .collect();
        if outputs.is_empty() {
            continue;
        }
        let ended = ended(catalogue, &actions, consumer);
        for (parameter, output) in outputs {
            let error = |why: &str| BuildError::Action {
                action: action.id.clone(),
                line: action.line,
                problem: Problem::Output {
                    parameter: parameter.clone(),
                    output: output.clone(),
                    why: why.to_owned(),
                },
            };
            let (producer, name) = output
                .split_once('.')
                .ok_or_else(|| error("is not ACTION.OUTPUT; write both names"))?;
            let &producer = actions
                .get(producer)
                .ok_or_else(|| error("is of no action; correct the name"))?;
            let definition = &catalogue.actions[producer];
            if !definition.outputs.contains_key(name) {
                return Err(error(
                    "is not among the outputs of that action; add it there or correct the name",
                ));
            }
            for (host, _) in expansion
                .instances(action, consumer)
                .filter(|(_, state)| state.stays())
            {
                let source = source(expansion, definition, host).ok_or_else(|| {
                    error("could be of several hosts; take it from the same host or a single one")
                })?;
                let place = expansion.selection.place(definition.subjects, source);
                let state = place.map(|place| &expansion.states[producer][place as usize]);
                if matches!(state, Some(State::Skipped(_))) {
                    return Err(error(
                        "is of an action that is skipped here; give both the same conditions",
                    ));
                }
                let before = ended.iter().any(|(action, whose)| {
                    *action == producer
                        && match whose {
                            Whose::Same => source == host,
                            Whose::Of(selector) => expansion.selection.place(*selector, source).is_some(),
                        }
                });
                if !before {
                    return Err(error(
                        "may not be there yet; add a need that puts its action first",
                    ));
                }
            }
        }
    }
    Ok(())
}

/// The host whose instance of the producer is meant: the same, else the only one.
fn source(expansion: &Expansion, producer: &ActionDef, host: u32) -> Option<u32> {
    match expansion.selection.place(producer.subjects, host) {
        Some(_) => Some(host),
        None => match expansion.selection.hosts(producer.subjects) {
            [only] => Some(*only),
            _ => None,
        },
    }
}

/// Everything that has ended before an instance of an action starts, as far as needs and gates say.
fn ended(
    catalogue: &Catalogue,
    actions: &BTreeMap<&str, usize>,
    consumer: usize,
) -> BTreeSet<(usize, Whose)> {
    let segments = segments(catalogue);
    let segment = |action: &ActionDef| segments.get(action.stage.as_str()).copied().unwrap_or(0);
    let mut ended = BTreeSet::new();
    for (index, action) in catalogue.actions.iter().enumerate() {
        if segment(action) < segment(&catalogue.actions[consumer]) {
            ended.insert((index, Whose::Of(action.subjects)));
        }
    }
    let mut open = vec![(consumer, Whose::Same)];
    while let Some((index, whose)) = open.pop() {
        for need in &catalogue.actions[index].needs {
            let Some(&needed) = actions.get(need.action()) else {
                continue;
            };
            let found = match need {
                Need::Same(_) => (needed, whose),
                Need::All(_) => (needed, Whose::Of(catalogue.actions[needed].subjects)),
            };
            if ended.insert(found) {
                open.push(found);
            }
        }
    }
    ended
}

/// How many gates stand before each stage, its own included.
fn segments(catalogue: &Catalogue) -> BTreeMap<&str, u32> {
    let mut gates = 0;
    catalogue
        .stages
        .iter()
        .map(|stage| {
            gates += u32::from(stage.gate || stage.point_of_no_return);
            (stage.id.as_str(), gates)
        })
        .collect()
}
