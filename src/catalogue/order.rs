//! Checks of the catalogue that look at the order of actions.
//!
//! What comes before what is worked out once for all clusters, with two relations. `all_before[a]` are the actions every
//! instance of which has ended before any instance of *a* starts. `own_before[a]` are those of which at least the instance
//! about the same host has. A selector that may select nobody (`workers` in a cluster of managers) hands no order on, because
//! a joint without instances waits for nothing; so what holds here holds for every cluster.

use super::load::{Fault, like_action};
use super::{ActionDef, Catalogue, Need, ParamDef};
use crate::model::{Selector, UndoKind};
use std::collections::{BTreeMap, BTreeSet};

/// True when every host of `inner` is one of `outer`, in every cluster.
pub(crate) fn within(inner: Selector, outer: Selector) -> bool {
    use Selector::*;
    inner == outer
        || match outer {
            Hosts => true,
            Managers => matches!(inner, Lead | Spare | OtherManagers),
            Joiners => matches!(inner, Workers | OtherManagers),
            Workers | Lead | Spare | OtherManagers => false,
        }
}

fn single(selector: Selector) -> bool {
    matches!(selector, Selector::Lead | Selector::Spare)
}

fn may_be_empty(selector: Selector) -> bool {
    matches!(
        selector,
        Selector::Workers | Selector::OtherManagers | Selector::Joiners
    )
}

/// What comes before what.
pub(crate) struct Order {
    all_before: Vec<BTreeSet<usize>>,
    own_before: Vec<BTreeSet<usize>>,
    index: BTreeMap<String, usize>,
}

impl Order {
    /// Works the order out; refuses cycles, needs that may be missing and needs of later stages.
    pub(crate) fn of(catalogue: &Catalogue) -> Result<Order, Fault> {
        let actions = &catalogue.actions;
        let index: BTreeMap<String, usize> = actions
            .iter()
            .enumerate()
            .map(|(at, action)| (action.id.clone(), at))
            .collect();
        let stage = |action: &ActionDef| catalogue.stages.iter().position(|stage| stage.id == action.stage);
        for action in actions {
            for need in &action.needs {
                let Some(needed) = catalogue.action(need.action()) else {
                    continue;
                };
                if stage(needed) > stage(action) {
                    return Err(Fault::action(
                        &action.id,
                        &needed.id,
                        format!("needs {} of the later stage {}", needed.id, needed.stage),
                        "move one of them, so that --until STAGE stays a whole piece of work",
                    ));
                }
                if matches!(need, Need::Same(_)) && !within(action.subjects, needed.subjects) {
                    return Err(Fault::action(
                        &action.id,
                        &needed.id,
                        format!(
                            "needs the same host's {}, which is not about every such host",
                            needed.id
                        ),
                        format!(
                            "write {{all: {}}}, or let `for` lie within that of {0}",
                            needed.id
                        ),
                    ));
                }
            }
        }
        let sorted = sort(catalogue, &index)?;
        let mut order = Order {
            all_before: vec![BTreeSet::new(); actions.len()],
            own_before: vec![BTreeSet::new(); actions.len()],
            index,
        };
        for at in sorted {
            let (all, own) = order.before(catalogue, at);
            order.all_before[at] = all;
            order.own_before[at] = own;
        }
        // Gates come last: each is a joint between everything in earlier stages and everything from there on.
        for (at, action) in actions.iter().enumerate() {
            let last_gate = catalogue
                .stages
                .iter()
                .enumerate()
                .filter(|(number, def)| def.gate && Some(*number) <= stage(action))
                .map(|(number, _)| number)
                .next_back();
            for (other, earlier) in actions.iter().enumerate() {
                if last_gate.is_some() && stage(earlier) < last_gate {
                    order.all_before[at].insert(other);
                }
            }
        }
        Ok(order)
    }

    fn before(&self, catalogue: &Catalogue, at: usize) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let action = &catalogue.actions[at];
        let (mut all, mut own) = (BTreeSet::new(), BTreeSet::new());
        for need in &action.needs {
            let Some(&b) = self.index.get(need.action()) else {
                continue;
            };
            let needed = &catalogue.actions[b];
            match need {
                Need::Same(_) => {
                    own.insert(b);
                    own.extend(&self.own_before[b]);
                    all.extend(&self.all_before[b]);
                    if single(needed.subjects) {
                        all.insert(b);
                    }
                }
                Need::All(_) => {
                    all.insert(b);
                    // Instances about hosts of `b` have ended with it; with none of those there is nothing to wait for.
                    let about = |x: &&usize| within(catalogue.actions[**x].subjects, needed.subjects);
                    all.extend(self.own_before[b].iter().filter(about));
                    all.extend(self.all_before[b].iter().filter(about));
                    let about_this_host = within(action.subjects, needed.subjects);
                    if about_this_host {
                        own.extend(&self.own_before[b]);
                    }
                    if about_this_host || !may_be_empty(needed.subjects) {
                        all.extend(&self.all_before[b]);
                    }
                }
            }
        }
        (all, own)
    }

    /// True when the instance of `earlier` that `action` is about, and in any case one, has ended before `action` starts.
    fn precedes(&self, catalogue: &Catalogue, earlier: usize, action: usize) -> bool {
        self.all_before[action].contains(&earlier)
            || (self.own_before[action].contains(&earlier)
                && within(
                    catalogue.actions[action].subjects,
                    catalogue.actions[earlier].subjects,
                ))
    }

    /// Checks what rests on the order: outputs, holds, and undo by another action.
    pub(crate) fn check(
        &self,
        catalogue: &Catalogue,
        undone_by: &BTreeMap<String, String>,
    ) -> Result<(), Fault> {
        for (at, action) in catalogue.actions.iter().enumerate() {
            self.outputs(catalogue, at, action)?;
            for take in &action.budgets {
                if let Some(until) = &take.until {
                    self.hold(catalogue, at, action, &take.take, until)?;
                }
            }
            if let Some(other) = undone_by.get(&action.id) {
                self.undo(catalogue, at, action, other)?;
            }
        }
        Ok(())
    }

    fn outputs(&self, catalogue: &Catalogue, at: usize, action: &ActionDef) -> Result<(), Fault> {
        for source in action.params.values() {
            let ParamDef::Output(name) = source else { continue };
            let Some(&producer) = name.split_once('.').and_then(|(id, _)| self.index.get(id)) else {
                continue;
            };
            let made_by = &catalogue.actions[producer];
            let fault =
                |problem: String, remedy: String| Err(Fault::action(&action.id, name, problem, remedy));
            if !single(made_by.subjects) && !within(action.subjects, made_by.subjects) {
                return fault(
                    format!(
                        "reads {name}, but {} is about several hosts and not about every one of these",
                        made_by.id
                    ),
                    "read an output of an action about the same host, or about one host only".to_owned(),
                );
            }
            if !self.precedes(catalogue, producer, at) {
                return fault(
                    format!("reads {name}, but {} need not have ended before it", made_by.id),
                    format!("add a need that leads to {}", made_by.id),
                );
            }
            let extra = made_by
                .when
                .iter()
                .find(|c| !action.when.contains(c))
                .or_else(|| made_by.unless.iter().find(|c| !action.unless.contains(c)));
            if let Some(condition) = extra {
                return fault(
                    format!(
                        "reads {name}, but {} is skipped by {condition} and it is not",
                        made_by.id
                    ),
                    format!("give both the same when and unless, {condition} included"),
                );
            }
        }
        Ok(())
    }

    /// A budget that is taken here and held until another action has ended must not be held while this host waits for
    /// another one: that one may be waiting for the budget.
    fn hold(
        &self,
        catalogue: &Catalogue,
        at: usize,
        action: &ActionDef,
        budget: &str,
        until: &str,
    ) -> Result<(), Fault> {
        let Some(&end) = self.index.get(until) else {
            return Ok(());
        };
        let fault = |problem: String, remedy: String| Err(Fault::action(&action.id, until, problem, remedy));
        let last = &catalogue.actions[end];
        if end == at || !self.own_before[end].contains(&at) || !within(action.subjects, last.subjects) {
            return fault(
                format!("holds {budget} until {until}, which does not follow it on every such host"),
                format!("let {until} need {{same: …}} that leads to {}", action.id),
            );
        }
        let stage = |id: &str| catalogue.stages.iter().position(|stage| stage.id == id);
        let gate = (catalogue.stages.iter().enumerate()).find(|(number, def)| {
            def.gate && Some(*number) > stage(&action.stage) && Some(*number) <= stage(&last.stage)
        });
        if let Some((_, gate)) = gate {
            return fault(
                format!("holds {budget} until {until}, across the gate before {}", gate.id),
                "all hosts meet at a gate, so the hold would never end: end it before".to_owned(),
            );
        }
        let (mut todo, mut seen) = (vec![end], BTreeSet::new());
        while let Some(inner) = todo.pop() {
            if !seen.insert(inner) {
                continue;
            }
            let held = &catalogue.actions[inner];
            if let Some(take) = held.budgets.first() {
                return fault(
                    format!(
                        "holds {budget} until {until} while {} takes {}",
                        held.id, take.take
                    ),
                    format!(
                        "take both in {}: all of an action's budgets are taken at once",
                        action.id
                    ),
                );
            }
            for need in &held.needs {
                let Some(&b) = self.index.get(need.action()) else {
                    continue;
                };
                match need {
                    _ if self.all_before[at].contains(&b) => {}
                    Need::Same(_) if b == at || self.own_before[at].contains(&b) => {}
                    Need::Same(_) => todo.push(b),
                    Need::All(other) => {
                        return fault(
                            format!(
                                "holds {budget} until {until} while {} waits for other hosts' {other}",
                                held.id
                            ),
                            format!("let {} need {{all: {other}}} already", action.id),
                        );
                    }
                }
            }
        }
        Ok(())
    }

    fn undo(&self, catalogue: &Catalogue, at: usize, action: &ActionDef, other: &str) -> Result<(), Fault> {
        let word = format!("by: {other}");
        let fault = |problem: String, remedy: String| Err(Fault::action(&action.id, &word, problem, remedy));
        let Some(&earlier) = self.index.get(other) else {
            return fault(
                format!("is undone by the unknown action {other}"),
                like_action(catalogue, other),
            );
        };
        if catalogue.actions[earlier].undo.kind != UndoKind::Script {
            return fault(
                format!("is undone by {other}, which has no undo of its own"),
                "name an action with undo: script".to_owned(),
            );
        }
        if !self.precedes(catalogue, earlier, at) {
            return fault(
                format!("is undone by {other}, which need not have run before it"),
                format!("add a need that leads to {other}"),
            );
        }
        Ok(())
    }
}

/// Actions so that each stands after what it needs; refuses a cycle and shows it.
fn sort(catalogue: &Catalogue, index: &BTreeMap<String, usize>) -> Result<Vec<usize>, Fault> {
    let needs: Vec<Vec<usize>> = catalogue
        .actions
        .iter()
        .map(|action| {
            action
                .needs
                .iter()
                .filter_map(|need| index.get(need.action()).copied())
                .collect()
        })
        .collect();
    let mut sorted = Vec::new();
    let mut done = vec![false; needs.len()];
    loop {
        let ready: Vec<usize> = (0..needs.len())
            .filter(|at| !done[*at] && needs[*at].iter().all(|b| done[*b]))
            .collect();
        if ready.is_empty() {
            break;
        }
        for at in ready {
            done[at] = true;
            sorted.push(at);
        }
    }
    let Some(first) = done.iter().position(|done| !done) else {
        return Ok(sorted);
    };
    // Everything that is left needs something that is left, so walking on must come round.
    let mut path = vec![first];
    let mut at = first;
    while let Some(&next) = needs[at].iter().find(|b| !done[**b]) {
        if let Some(start) = path.iter().position(|seen| *seen == next) {
            path.drain(..start);
            path.push(next);
            break;
        }
        path.push(next);
        at = next;
    }
    let ids: Vec<&str> = path.iter().map(|at| catalogue.actions[*at].id.as_str()).collect();
    Err(Fault::action(
        ids.first().copied().unwrap_or_default(),
        ids.get(1).copied().unwrap_or_default(),
        format!("needs itself: {}", ids.join(" needs ")),
        "remove one of these needs",
    ))
}
