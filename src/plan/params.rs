//! Parameters: each source of the catalogue resolved to what the plan stores.

use super::error::{BuildError, Problem};
use super::expand::Expansion;
use super::facts::{Getter, Look, Missing, find};
use super::pins::Pins;
use super::registry::Registry;
use super::situation::Situation;
use crate::catalogue::{ActionDef, Catalogue, ParamDef};
use crate::model::{At, ParamSource};
use std::collections::BTreeMap;

/// What resolving found, beside the parameters themselves.
pub struct Resolver<'a> {
    situation: &'a Situation<'a>,
    registry: &'a Registry,
    expansion: &'a Expansion,
    pins: &'a mut Pins,
    /// Fields of each host's row, in the order of hosts.yaml.
    pub fields: Vec<BTreeMap<String, String>>,
    /// For each action, hosts that lack a fact, with the first one they lack.
    pub missing: Vec<BTreeMap<u32, String>>,
    fields_missing: BTreeMap<(&'static str, u32), String>,
    common: BTreeMap<&'static str, Result<String, Missing>>,
}

impl<'a> Resolver<'a> {
    /// Nothing resolved yet.
    pub fn new(
        catalogue: &Catalogue,
        situation: &'a Situation<'a>,
        registry: &'a Registry,
        expansion: &'a Expansion,
        pins: &'a mut Pins,
    ) -> Resolver<'a> {
        Resolver {
            situation,
            registry,
            expansion,
            pins,
            fields: vec![BTreeMap::new(); situation.hosts.len()],
            missing: vec![BTreeMap::new(); catalogue.actions.len()],
            fields_missing: BTreeMap::new(),
            common: BTreeMap::new(),
        }
    }

    /// The parameters of an action. A text that is the same for all its hosts stands in the step; one that differs becomes
    /// a field of the host's row under the value's name. A text that lacks a fact is empty, and the instances are marked.
    pub fn params(
        &mut self,
        index: usize,
        action: &ActionDef,
    ) -> Result<BTreeMap<String, ParamSource>, BuildError> {
        let hosts: Vec<u32> = self
            .expansion
            .instances(action, index)
            .filter(|(_, state)| state.stays())
            .map(|(host, _)| host)
            .collect();
        let mut params = BTreeMap::new();
        for (parameter, source) in &action.params {
            let unknown = |kind: &'static str, name: &String| BuildError::Action {
                action: action.id.clone(),
                line: action.line,
                problem: Problem::Source {
                    parameter: parameter.clone(),
                    kind,
                    name: name.clone(),
                },
            };
            let resolved = match source {
                ParamDef::Literal(text) => ParamSource::Literal(text.clone()),
                ParamDef::Option(name) => {
                    let text = self.situation.options.text(name);
                    ParamSource::Literal(text.ok_or_else(|| unknown("option", name))?)
                }
                ParamDef::Value(name) => {
                    let value = self.registry.value(name).ok_or_else(|| unknown("value", name))?;
                    match value.per_host {
                        false => self.common(index, &hosts, value.name, value.eval),
                        true => self.spread(index, &hosts, value.name, value.eval),
                    }
                }
                ParamDef::Host(name) => {
                    let field = self
                        .registry
                        .field(name)
                        .ok_or_else(|| unknown("host field", name))?;
                    for &host in &hosts {
                        self.field(index, host, field.name, field.eval);
                    }
                    ParamSource::Host(name.clone())
                }
                ParamDef::File(name) if self.situation.documents.contains(name) => {
                    ParamSource::File(name.clone())
                }
                ParamDef::File(name) => return Err(unknown("document", name)),
                ParamDef::Asset(name) if self.situation.assets.contains(name) => {
                    ParamSource::Asset(name.clone())
                }
                ParamDef::Asset(name) => return Err(unknown("asset", name)),
                ParamDef::Secret(name) if self.situation.secrets.contains(name) => {
                    ParamSource::Secret(name.clone())
                }
                ParamDef::Secret(name) => return Err(unknown("secret", name)),
                ParamDef::Output(name) => ParamSource::Output(name.clone()),
            };
            params.insert(parameter.clone(), resolved);
        }
        Ok(params)
    }

    /// Pins the facts that an action relies on, where it executes. Those of the cluster are looked at once.
    pub fn relies(&mut self, index: usize, action: &ActionDef) -> Result<(), BuildError> {
        let hosts: Vec<u32> = self
            .expansion
            .instances(action, index)
            .filter(|(_, state)| state.stays())
            .map(|(host, _)| host)
            .collect();
        let lead = self.expansion.selection.lead();
        for name in &action.relies {
            let Some((name, getter)) = find(name) else {
                return Err(BuildError::Action {
                    action: action.id.clone(),
                    line: action.line,
                    problem: Problem::Fact(name.clone()),
                });
            };
            let common = match (getter, action.at) {
                (Getter::Cluster(_), _) | (_, At::Operator) => Some(None),
                (_, At::Lead) => Some(lead),
                (_, At::Subject) => None,
            };
            let common = common.map(|at| self.ask(at, |look| look.fact(name)).err());
            for &host in &hosts {
                let missing = match &common {
                    Some(missing) => missing.clone(),
                    None => self.ask(Some(host), |look| look.fact(name)).err(),
                };
                if let Some(Missing(fact)) = missing {
                    self.missing[index].entry(host).or_insert(fact);
                }
            }
        }
        Ok(())
    }

    fn ask(
        &mut self,
        host: Option<u32>,
        eval: impl Fn(&mut Look<'_>) -> Result<String, Missing>,
    ) -> Result<String, Missing> {
        let mut look = Look::new(self.situation, &self.expansion.selection, host);
        let answer = eval(&mut look);
        self.pins.add(look.into_relied());
        answer
    }

    fn common(
        &mut self,
        index: usize,
        hosts: &[u32],
        name: &'static str,
        eval: fn(&mut Look<'_>) -> Result<String, Missing>,
    ) -> ParamSource {
        let answer = match self.common.get(name) {
            Some(answer) => answer.clone(),
            None => {
                let answer = self.ask(None, eval);
                self.common.insert(name, answer.clone());
                answer
            }
        };
        ParamSource::Literal(answer.unwrap_or_else(|Missing(fact)| {
            for host in hosts {
                self.missing[index].entry(*host).or_insert_with(|| fact.clone());
            }
            String::new()
        }))
    }

    /// A value that looks at the host: one text in the step where all agree, else a field of each host.
    fn spread(
        &mut self,
        index: usize,
        hosts: &[u32],
        name: &'static str,
        eval: fn(&mut Look<'_>) -> Result<String, Missing>,
    ) -> ParamSource {
        let answers: Vec<Result<String, Missing>> =
            hosts.iter().map(|&host| self.ask(Some(host), eval)).collect();
        if let Some(Ok(first)) = answers.first()
            && answers.iter().all(|answer| answer.as_ref() == Ok(first))
        {
            return ParamSource::Literal(first.clone());
        }
        for (&host, answer) in hosts.iter().zip(answers) {
            let text = answer.unwrap_or_else(|Missing(fact)| {
                self.missing[index].entry(host).or_insert(fact);
                String::new()
            });
            self.fields[host as usize].insert(name.to_owned(), text);
        }
        ParamSource::Host(name.to_owned())
    }

    fn field(
        &mut self,
        index: usize,
        host: u32,
        name: &'static str,
        eval: fn(&mut Look<'_>) -> Result<String, Missing>,
    ) {
        if !self.fields[host as usize].contains_key(name) {
            let answer = self.ask(Some(host), eval);
            let text = answer.unwrap_or_else(|Missing(fact)| {
                self.fields_missing.insert((name, host), fact);
                String::new()
            });
            self.fields[host as usize].insert(name.to_owned(), text);
        }
        if let Some(fact) = self.fields_missing.get(&(name, host)) {
            self.missing[index].entry(host).or_insert_with(|| fact.clone());
        }
    }
}
