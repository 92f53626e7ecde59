//! Where a flag goes: copies are joined, then a field of `mke4.yaml`, `extraArgs` or a worker profile takes it.

use super::convert::{Given, Pass, is_secret, target, wrong_value};
use super::draft::Draft;
use super::flow::flow;
use super::gate_flags;
use super::policy::Twinned;
use super::tables::{FlagDef, FlagType, Minor};
use super::text::HIDDEN;
use crate::model::{Component, Outcome, SecretRef, Target};
use crate::yaml::Node;
use std::collections::BTreeMap;

impl Pass<'_> {
    /// Decides over all flags of one name.
    pub(super) fn settle(
        &mut self,
        component: Component,
        profile: Option<&str>,
        name: &str,
        def: &FlagDef,
        givens: &[Given],
        minor: Minor,
    ) {
        if def.kind == FlagType::Gates {
            return self.settle_gates(component, profile, name, givens, minor);
        }
        let Some(first) = givens.first() else {
            return;
        };
        let mut texts: Vec<&str> = vec![&first.value];
        let mut rows: Vec<usize> = vec![first.index];
        for given in &givens[1..] {
            if texts.contains(&given.value.as_str()) {
                let line = self.input.flags[first.index].line;
                self.drafts[given.index] =
                    Some(Draft::ignored(format!("it repeats the flag of line {line}")));
            } else {
                texts.push(&given.value);
                rows.push(given.index);
            }
        }
        let several = texts.len() > 1;
        let joined = match def.kind {
            FlagType::List => Some(union(&texts)),
            FlagType::Map => join_maps(&texts),
            _ if !several => Some(texts.join(",")),
            // A profile holds a typed list or map, which takes every copy.
            FlagType::Repeat if profile.is_some() => Some(String::new()),
            _ => None,
        };
        let Some(joined) = joined else {
            let why =
                "it is given more than once with different values, and a map holds one value for each name";
            for given in givens {
                let remedy = "decide for one value in MKE 3's configuration and plan again";
                self.drafts[given.index] = Some(Draft::lost("FLAG-DUPLICATE", why, remedy));
            }
            return;
        };
        let texts: Vec<&str> = if joined.is_empty() {
            texts
        } else {
            vec![joined.as_str()]
        };
        let secret = texts
            .iter()
            .any(|text| is_secret(&self.tables.policy.secrets, Some(def), name, text));
        let mut draft = match profile {
            Some(profile) => self.place_in_profile(profile, name, &texts, &rows, secret, minor),
            None => self.place(component, name, &joined, &rows, secret),
        };
        if draft.outcome == Outcome::Converted {
            if several {
                draft.reason = format!("{}; the copies are joined", draft.reason);
            }
            self.remark(component, name, def, &joined, &mut draft, minor);
        }
        for row in rows {
            self.drafts[row] = Some(draft.clone());
        }
    }

    pub(super) fn remark(
        &self,
        component: Component,
        name: &str,
        def: &FlagDef,
        value: &str,
        draft: &mut Draft,
        minor: Minor,
    ) {
        let in_extra_args = draft.to.iter().any(|target| target.path.contains(".extraArgs."));
        if in_extra_args && def.deprecated.is_some_and(|since| since <= minor) {
            draft.note(
                "FLAG-DEPRECATED",
                format!(
                    "carried over, but {} of Kubernetes {minor} deprecates it",
                    component.name()
                ),
                "plan to do without it before the next upgrade of Kubernetes",
            );
        }
        if def.kind == FlagType::File && !value.is_empty() {
            draft.note(
                "FLAG-FILE",
                "carried over, but it names a path, which MKE 3 read inside a container and k0s reads on the host",
                "put the file there on every host that runs the component before the upgrade, or the component does not start",
            );
        }
        if in_extra_args && self.tables.policy.outdone_by_file(component, name) {
            draft.note(
                "FLAG-PROXY-CONFIG",
                "carried over, but it may have no effect: k0s gives the component a configuration file, which outdoes most flags",
                "compare the behaviour after the upgrade",
            );
        }
    }

    /// A field of mke4.yaml, else extraArgs.
    pub(super) fn place(
        &mut self,
        component: Component,
        name: &str,
        value: &str,
        rows: &[usize],
        secret: bool,
    ) -> Draft {
        if let Some(twin) = self.tables.policy.twin(component, name) {
            if secret {
                return Draft::lost(
                    "FLAG-SECRET",
                    "its value looks like a secret, and the field of MKE 4k for it is no place for one",
                    "set the field by hand after the upgrade",
                );
            }
            match twin.convert(value) {
                Twinned::Fields(fields) => {
                    let to = fields
                        .iter()
                        .map(|(path, node)| target(path.clone(), node))
                        .collect();
                    self.fields.extend(fields);
                    let note = if twin.note.is_empty() {
                        String::new()
                    } else {
                        format!("; {}", twin.note)
                    };
                    return Draft::kept(to, format!("MKE 4k has a field for it{note}"));
                }
                Twinned::Refused(why) => return wrong_value(why),
                Twinned::ExtraArgs => {}
            }
        }
        let Some(place) = self.tables.policy.components.get(&component) else {
            return Draft::lost("FLAG-UNKNOWN", "the component takes no flags", "leave it out");
        };
        let path = format!("{}.{name}", place.to);
        let (stored, shown) = if secret {
            let reference = format!("flag-{}-{name}", component.name());
            self.out.secrets.push(SecretRef {
                name: reference.clone(),
                from: format!("mke3-config:{}#{name}", place.from),
                used_for: format!("--{name} of {}", component.name()),
            });
            (format!("mkectl-secret:{reference}"), HIDDEN.to_owned())
        } else {
            (value.to_owned(), flow(&Node::Str(value.to_owned())))
        };
        let args = self.out.extra_args.entry(component).or_default();
        args.insert(name.to_owned(), stored);
        if component == Component::Kubelet
            && !secret
            && let Some((field, node)) = self.global_field(name, value)
        {
            self.globals.insert(name.to_owned(), (field, node));
            self.global_rows.insert(name.to_owned(), rows.to_vec());
        }
        Draft::kept(
            vec![Target { path, value: shown }],
            "the component of the target takes it as it is",
        )
    }

    pub(super) fn global_field(&self, name: &str, value: &str) -> Option<(String, Node)> {
        let minor = self.tables.known(self.input.target_minor)?;
        let (path, field) = self.tables.fields.by_flag(name)?;
        Some((path.to_owned(), field.read(&[value], minor).ok()?))
    }

    pub(super) fn place_in_profile(
        &mut self,
        profile: &str,
        name: &str,
        texts: &[&str],
        rows: &[usize],
        secret: bool,
        minor: Minor,
    ) -> Draft {
        let Some((path, field)) = self.tables.fields.by_flag(name) else {
            return Draft::lost(
                "PROFILE-NO-FIELD",
                "KubeletConfiguration has no field for it, and a worker profile holds nothing else",
                "set it for all nodes in spec.kubelet.extraArgs when that does no harm, or do without it",
            );
        };
        if secret {
            return Draft::lost(
                "FLAG-SECRET",
                "its value looks like a secret, and k0s keeps worker profiles in a ConfigMap",
                "find a way that keeps the secret in a file on the host",
            );
        }
        match field.read(texts, minor) {
            Err(why) => wrong_value(why),
            Ok(node) => {
                let reason = if field.note.is_empty() {
                    String::new()
                } else {
                    format!("; {}", field.note)
                };
                let to = vec![self.profile_target(profile, path, &node)];
                let draft = self.profiles.entry(profile.to_owned()).or_default();
                draft.values.insert(path.to_owned(), node);
                draft.from.insert(path.to_owned(), rows.to_vec());
                Draft::kept(to, format!("a field of the worker profile{reason}"))
            }
        }
    }

    pub(super) fn profile_target(&self, profile: &str, path: &str, node: &Node) -> Target {
        let name = self.names.get(profile).map_or(profile, String::as_str);
        target(
            format!("{}[{name}].values.{path}", self.tables.policy.profiles.to),
            node,
        )
    }

    pub(super) fn settle_gates(
        &mut self,
        component: Component,
        profile: Option<&str>,
        name: &str,
        givens: &[Given],
        minor: Minor,
    ) {
        let texts: Vec<&str> = givens.iter().map(|given| given.value.as_str()).collect();
        let decided = gate_flags::decide(&self.tables.gates, &texts, minor);
        let mut to = Vec::new();
        if !decided.gates.is_empty() {
            let pairs: Vec<String> = decided
                .gates
                .iter()
                .map(|(gate, on)| format!("{gate}={on}"))
                .collect();
            let rows: Vec<usize> = givens.iter().map(|given| given.index).collect();
            let placed = match profile {
                Some(profile) => {
                    self.place_in_profile(profile, name, &[&pairs.join(",")], &rows, false, minor)
                }
                None => self.place(component, name, &pairs.join(","), &rows, false),
            };
            to = placed.to;
        }
        for (given, mut draft) in givens.iter().zip(decided.drafts) {
            if draft.outcome == Outcome::Converted {
                draft.to.clone_from(&to);
                if let Some(def) = self.tables.flag(component, name) {
                    self.remark(component, name, def, &given.value, &mut draft, minor);
                }
            }
            self.drafts[given.index] = Some(draft);
        }
    }
}

/// The items of several comma lists, each once, in the order in which they come.
fn union(texts: &[&str]) -> String {
    let mut items: Vec<&str> = Vec::new();
    for item in texts.iter().flat_map(|text| text.split(',')).map(str::trim) {
        if texts.len() == 1 || !items.contains(&item) {
            items.push(item);
        }
    }
    items.join(",")
}

/// Several comma lists of pairs as one; nothing when they give a key two values.
fn join_maps(texts: &[&str]) -> Option<String> {
    let mut pairs: BTreeMap<&str, &str> = BTreeMap::new();
    let mut items: Vec<&str> = Vec::new();
    for item in texts.iter().flat_map(|text| text.split(',')).map(str::trim) {
        let at = item.find(['=', '<']).unwrap_or(item.len());
        let (key, value) = item.split_at(at);
        match pairs.insert(key, value) {
            None => items.push(item),
            Some(before) if before == value => {}
            Some(_) if texts.len() == 1 => items.push(item),
            Some(_) => return None,
        }
    }
    Some(items.join(","))
}
