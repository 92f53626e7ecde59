//! Instances: each action of the catalogue about each of its hosts, with its conditions decided.

use super::conditions::{Condition, Verdict};
use super::error::{BuildError, Problem};
use super::facts::{Look, Missing};
use super::pins::Pins;
use super::registry::Registry;
use super::selection::Selection;
use super::situation::Situation;
use crate::catalogue::{ActionDef, Catalogue, UsersWrite};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What the conditions of an instance came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is needed.
    Runs,
    /// The fact that this names is missing: the instance stays, and the plan is not applyable.
    Undecided(Rc<str>),
    /// It is not needed, and why.
    Skipped(Rc<str>),
}

impl State {
    /// True unless it is skipped.
    pub fn stays(&self) -> bool {
        !matches!(self, State::Skipped(_))
    }
}

/// All instances, by action in the order of the catalogue, then by host in the order of hosts.yaml.
pub struct Expansion {
    /// The hosts of every selector.
    pub selection: Selection,
    /// For each action, the state of its instance about each host of its selector.
    pub states: Vec<Vec<State>>,
    /// For each action, whether users can write once the instance about that host has run; empty where they never can.
    pub users_write: Vec<Vec<Option<Rc<str>>>>,
}

impl Expansion {
    /// The hosts that an action is about, with the state of each instance.
    pub fn instances<'a>(
        &'a self,
        action: &ActionDef,
        index: usize,
    ) -> impl Iterator<Item = (u32, &'a State)> {
        let hosts = self.selection.hosts(action.subjects);
        hosts.iter().copied().zip(&self.states[index])
    }

    /// The state of one instance.
    pub fn state(&self, catalogue: &Catalogue, action: u32, host: u32) -> Option<&State> {
        let subjects = catalogue.actions[action as usize].subjects;
        let place = self.selection.place(subjects, host)?;
        self.states[action as usize].get(place as usize)
    }
}

/// Decides all conditions of all instances. Facts that were looked at are pinned.
pub fn expand(
    catalogue: &Catalogue,
    situation: &Situation<'_>,
    registry: &Registry,
    selection: Selection,
    pins: &mut Pins,
) -> Result<Expansion, BuildError> {
    let mut judge = Judge {
        situation,
        selection: &selection,
        pins,
        answers: BTreeMap::new(),
    };
    let mut states = Vec::with_capacity(catalogue.actions.len());
    let mut users_write = Vec::with_capacity(catalogue.actions.len());
    for action in &catalogue.actions {
        let find = |name: &String| {
            registry.condition(name).ok_or_else(|| BuildError::Action {
                action: action.id.clone(),
                line: action.line,
                problem: Problem::Condition(name.clone()),
            })
        };
        let mut named = Vec::new();
        for name in &action.when {
            named.push((find(name)?, true));
        }
        for name in &action.unless {
            named.push((find(name)?, false));
        }
        let hosts = selection.hosts(action.subjects);
        states.push(hosts.iter().map(|&host| judge.state(&named, host)).collect());
        users_write.push(match &action.users_write {
            None => Vec::new(),
            Some(UsersWrite::Always) => vec![Some("it lets users' pods and clients in".into()); hosts.len()],
            Some(UsersWrite::When(name)) => {
                let condition = find(name)?;
                let write = |&host: &u32| judge.may_write(&condition, host);
                hosts.iter().map(write).collect()
            }
        });
    }
    Ok(Expansion {
        selection,
        states,
        users_write,
    })
}

/// An answer, with the texts that a skip or a mark would carry.
#[derive(Clone)]
struct Answer {
    holds: Option<bool>,
    text: Rc<str>,
}

/// Asks each condition once for the cluster, or once for each host.
struct Judge<'a, 'p> {
    situation: &'a Situation<'a>,
    selection: &'a Selection,
    pins: &'p mut Pins,
    answers: BTreeMap<(&'static str, Option<u32>), Answer>,
}

impl Judge<'_, '_> {
    fn state(&mut self, named: &[(Condition, bool)], host: u32) -> State {
        let mut missing = None;
        for (condition, wanted) in named {
            let answer = self.answer(condition, host);
            match answer.holds {
                Some(holds) if holds == *wanted => {}
                Some(_) => return State::Skipped(answer.text),
                None => missing = missing.or(Some(answer.text)),
            }
        }
        missing.map_or(State::Runs, State::Undecided)
    }

    /// Why users may write once the instance has run. What is not known counts as yes: it only makes an automatic rollback
    /// less likely, and never more.
    fn may_write(&mut self, condition: &Condition, host: u32) -> Option<Rc<str>> {
        let answer = self.answer(condition, host);
        match answer.holds {
            Some(false) => None,
            Some(true) => Some(answer.text),
            None => Some(
                format!(
                    "{} cannot be told without the fact {}",
                    condition.name, answer.text
                )
                .into(),
            ),
        }
    }

    fn answer(&mut self, condition: &Condition, host: u32) -> Answer {
        let key = (condition.name, condition.per_host.then_some(host));
        if let Some(answer) = self.answers.get(&key) {
            return answer.clone();
        }
        let mut look = Look::new(self.situation, self.selection, key.1);
        let answer = match (condition.eval)(&mut look) {
            Ok(Verdict { holds, because }) => {
                let not = if holds { "" } else { "not " };
                Answer {
                    holds: Some(holds),
                    text: format!("{not}{}: {because}", condition.name).into(),
                }
            }
            Err(Missing(fact)) => Answer {
                holds: None,
                text: fact.into(),
            },
        };
        self.pins.add(look.into_relied());
        self.answers.insert(key, answer.clone());
        answer
    }
}
