//! What a check is handed: inputs joined by host, and a place for its verdict. A check must say for each of its codes that
//! it found something, that all is well, or that it could not tell; [`Run`] has no fourth way out.

use super::{CheckContext, CheckResult, Unchecked, aggregate};
use crate::catalogue::Release;
use crate::model::{Finding, Role, Severity, Subject, SubjectKind};
use crate::source::facts::{ClusterFacts, HostFacts, ObjectFacts};
use crate::source::hosts::HostEntry;
use crate::source::mke3::{Leaf, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// A host of hosts.yaml with what is known about it.
#[derive(Debug)]
pub(super) struct HostView<'a> {
    /// Id in the plan: the host name where facts tell it, else the address.
    pub id: String,
    pub entry: &'a HostEntry,
    pub facts: Option<&'a HostFacts>,
    /// From facts, else from hosts.yaml.
    pub role: Option<Role>,
}

impl HostView<'_> {
    pub fn is_manager(&self) -> bool {
        self.role == Some(Role::Manager)
    }

    pub fn is_windows(&self) -> bool {
        self.facts
            .and_then(|facts| facts.os.as_ref())
            .and_then(|os| os.family.as_deref())
            .is_some_and(|family| family.eq_ignore_ascii_case("windows"))
    }
}

/// A finding in the making: severity and remedy come from the registry unless they are set here.
#[derive(Debug)]
pub(super) struct Draft {
    pub message: String,
    pub severity: Option<Severity>,
    pub remedy: Option<String>,
}

impl Draft {
    pub fn new(message: impl Into<String>) -> Draft {
        Draft {
            message: message.into(),
            severity: None,
            remedy: None,
        }
    }

    /// Another severity than the registry's.
    pub fn severity(mut self, severity: Severity) -> Draft {
        self.severity = Some(severity);
        self
    }

    /// Another remedy than the registry's.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Draft {
        self.remedy = Some(remedy.into());
        self
    }
}

/// One run of all checks.
pub(super) struct Run<'a> {
    pub ctx: &'a CheckContext<'a>,
    /// Hosts of hosts.yaml, in its order.
    pub hosts: Rc<Vec<HostView<'a>>>,
    findings: Vec<Finding>,
    ok: BTreeSet<String>,
    unchecked: BTreeMap<(String, String), BTreeSet<String>>,
    readings: BTreeMap<String, String>,
}

impl<'a> Run<'a> {
    pub fn new(ctx: &'a CheckContext<'a>) -> Run<'a> {
        let hosts = crate::source::join(ctx.hosts, ctx.facts)
            .into_iter()
            .map(|host| HostView {
                id: host.id,
                entry: host.entry,
                facts: host.facts,
                role: host.role,
            });
        Run {
            ctx,
            hosts: Rc::new(hosts.collect()),
            findings: Vec::new(),
            ok: BTreeSet::new(),
            unchecked: BTreeMap::new(),
            readings: BTreeMap::new(),
        }
    }

    /// All is well, or the check does not apply.
    pub fn ok(&mut self, code: &str) {
        self.ok.insert(code.to_owned());
    }

    /// It could not be told.
    pub fn unchecked(&mut self, code: &str, why: impl Into<String>) {
        self.unchecked.entry((code.to_owned(), why.into())).or_default();
    }

    /// It could not be told for one host.
    pub fn unchecked_host(&mut self, code: &str, why: impl Into<String>, host: &str) {
        self.unchecked
            .entry((code.to_owned(), why.into()))
            .or_default()
            .insert(host.to_owned());
    }

    /// A volatile value behind a verdict.
    pub fn reading(&mut self, subject: &str, fact: &str, value: impl Into<String>) {
        self.readings.insert(format!("{subject}: {fact}"), value.into());
    }

    /// Something was found.
    pub fn find(&mut self, code: &str, subject: Subject, draft: Draft) {
        self.push(code, subject, draft, Vec::new());
    }

    /// Something was found on a host.
    pub fn find_host(&mut self, code: &str, host: &HostView<'_>, draft: Draft) {
        let subject =
            Subject::new(SubjectKind::Host, host.id.clone()).at(self.ctx.hosts.file.clone(), host.entry.line);
        self.push(code, subject, draft, vec![host.id.clone()]);
    }

    fn push(&mut self, code: &str, subject: Subject, draft: Draft, hosts: Vec<String>) {
        let definition = self.ctx.registry.get(code);
        self.findings.push(Finding {
            // A code that the registry lost must not make a finding harmless.
            severity: draft
                .severity
                .or(definition.map(|definition| definition.severity))
                .unwrap_or(Severity::Blocking),
            code: code.to_owned(),
            subject,
            message: draft.message,
            remedy: draft
                .remedy
                .or_else(|| definition.map(|definition| definition.remedy.trim().to_owned()))
                .unwrap_or_else(|| "add the code to plans/upgrade/findings".to_owned()),
            hosts,
        });
    }

    /// Findings, or all well when there are none.
    pub fn verdict(&mut self, code: &str, drafts: impl IntoIterator<Item = (Subject, Draft)>) {
        let mut any = false;
        for (subject, draft) in drafts {
            any = true;
            self.find(code, subject, draft);
        }
        if !any {
            self.ok(code);
        }
    }

    /// Tries a fact of every host. Windows hosts are left out: `WINDOWS-NODE` stops them as a whole.
    pub fn each_host<T>(
        &mut self,
        code: &str,
        what: &str,
        fact: impl Fn(&'a HostFacts) -> Option<T>,
        check: impl Fn(&HostView<'a>, T) -> Option<Draft>,
    ) {
        self.ok(code);
        for (host, value) in self.facts_of(&[code], what, fact) {
            let hosts = Rc::clone(&self.hosts);
            if let Some(draft) = check(&hosts[host], value) {
                self.find_host(code, &hosts[host], draft);
            }
        }
    }

    /// The hosts (by position) that have a fact, with it; for the others the codes become unchecked.
    pub fn facts_of<T>(
        &mut self,
        codes: &[&str],
        what: &str,
        fact: impl Fn(&'a HostFacts) -> Option<T>,
    ) -> Vec<(usize, T)> {
        let mut out = Vec::new();
        if self.ctx.facts.is_none() {
            for code in codes {
                self.unchecked(code, NO_FACTS);
            }
            return out;
        }
        let hosts = Rc::clone(&self.hosts);
        for (position, host) in hosts.iter().enumerate() {
            if host.is_windows() {
                continue;
            }
            let why = match host.facts {
                None => "the facts file says nothing about the host".to_owned(),
                Some(facts) => match fact(facts) {
                    Some(value) => {
                        out.push((position, value));
                        continue;
                    }
                    None if facts.unreachable.is_some() => "the host could not be reached".to_owned(),
                    None => format!("{what} was not recorded"),
                },
            };
            for code in codes {
                self.unchecked_host(code, why.clone(), &host.id);
            }
        }
        out
    }

    /// A fact about the cluster; when it is absent the codes become unchecked.
    pub fn cluster<T>(
        &mut self,
        codes: &[&str],
        what: &str,
        fact: impl Fn(&'a ClusterFacts) -> Option<T>,
    ) -> Option<T> {
        let why = match self.ctx.facts {
            None => NO_FACTS.to_owned(),
            Some(facts) => match fact(&facts.cluster) {
                Some(value) => return Some(value),
                None => format!("{what} was not recorded"),
            },
        };
        for code in codes {
            self.unchecked(code, why.clone());
        }
        None
    }

    /// A fact about objects in the cluster; when it is absent the codes become unchecked.
    pub fn objects<T>(
        &mut self,
        codes: &[&str],
        what: &str,
        fact: impl Fn(&'a ObjectFacts) -> Option<T>,
    ) -> Option<T> {
        self.cluster(codes, what, |cluster| cluster.objects.as_ref().and_then(&fact))
    }

    /// The release to go to; when it is not known the codes become unchecked.
    pub fn target(&mut self, codes: &[&str]) -> Option<&'a Release> {
        if self.ctx.target.is_none() {
            for code in codes {
                self.unchecked(code, "no target release is known");
            }
        }
        self.ctx.target
    }

    /// A setting of MKE 3.
    pub fn setting(&self, path: &str) -> Option<&'a Leaf> {
        self.ctx.config.get(path)
    }

    /// True when a switch of MKE 3 is on.
    pub fn is_on(&self, path: &str) -> bool {
        self.setting(path)
            .is_some_and(|leaf| leaf.value == Value::Bool(true))
    }

    /// A text setting of MKE 3; empty counts as not set.
    pub fn text(&self, path: &str) -> Option<&'a str> {
        match self.setting(path).map(|leaf| &leaf.value) {
            Some(Value::String(text)) if !text.trim().is_empty() => Some(text.trim()),
            _ => None,
        }
    }

    /// The subject for a setting, with its place when it is in the file.
    pub fn setting_subject(&self, path: &str) -> Subject {
        let subject = Subject::new(SubjectKind::Setting, path);
        match self.setting(path) {
            Some(leaf) => subject.at(self.ctx.config.file.clone(), leaf.line),
            None => subject,
        }
    }

    /// Findings aggregated and sorted; what was not checked, by code; readings.
    pub fn finish(self) -> CheckResult {
        let findings = aggregate(self.findings);
        let found: BTreeSet<&str> = findings.iter().map(|finding| finding.code.as_str()).collect();
        let missed: BTreeSet<&str> = self.unchecked.keys().map(|(code, _)| code.as_str()).collect();
        let passed = self
            .ok
            .iter()
            .filter(|code| !found.contains(code.as_str()) && !missed.contains(code.as_str()))
            .cloned()
            .collect();
        CheckResult {
            findings,
            unchecked: self
                .unchecked
                .into_iter()
                .map(|((code, why), hosts)| Unchecked {
                    code,
                    why,
                    hosts: hosts.into_iter().collect(),
                })
                .collect(),
            passed,
            readings: self.readings,
        }
    }
}

const NO_FACTS: &str = "no facts were recorded";
