//! Kubelet profiles as a whole: the kubelet's checks across fields, who gets which, and flags of all nodes against them.

use super::convert::Pass;
use super::draft::Draft;
use super::tables::Minor;
use crate::convert::kubelet::{self, Values};
use crate::model::{Component, Outcome};
use crate::yaml::Node;
use std::collections::{BTreeMap, BTreeSet};

impl Pass<'_> {
    /// Takes out of each profile what the kubelet would not start with, one field at a time.
    pub(super) fn obey_rules(&mut self, minor: Minor) {
        for profile in self.profiles.values_mut() {
            while let Some(breach) =
                kubelet::rules::breaches(&self.tables.fields, &self.tables.gates, &profile.values, minor)
                    .into_iter()
                    .find(|breach| profile.values.contains_key(&breach.field))
            {
                profile.values.remove(&breach.field);
                let why = format!("{}, and k0s refuses the profile otherwise", breach.why);
                for row in profile.from.remove(&breach.field).unwrap_or_default() {
                    let remedy =
                        "complete the profile in MKE 3's configuration and plan again, or leave the flag out";
                    self.drafts[row] = Some(Draft::lost("PROFILE-RULE", why.clone(), remedy));
                }
            }
        }
    }

    /// Which profile each host gets, and what is to be said about that.
    pub(super) fn choose_profiles(&mut self) -> kubelet::Assignment {
        let label = &self.tables.policy.profiles.label;
        let defined: BTreeSet<&str> = self.profiles.keys().map(String::as_str).collect();
        let Some(labels) = self.input.labels else {
            if !defined.is_empty() {
                self.say(
                    "PROFILE-LABEL",
                    &defined.iter().copied().collect::<Vec<_>>().join(", "),
                    format!("the labels of the nodes were not read, so no host gets its kubelet profile (label {label}, inferred)"),
                    "record host facts with node labels and plan again, or set --profile in spec.hosts[].installFlags",
                    Vec::new(),
                );
            }
            return kubelet::Assignment::default();
        };
        let assignment = kubelet::assign(&self.tables.policy.profiles, &defined, labels);
        let defined: Vec<String> = defined.into_iter().map(str::to_owned).collect();
        for (profile, hosts) in assignment.missing.clone() {
            self.say(
                "PROFILE-MISSING",
                &profile,
                "hosts choose a kubelet profile that the configuration does not have, so they get none"
                    .to_owned(),
                "define the profile or remove the label, and plan again",
                hosts,
            );
        }
        for profile in defined {
            let name = self
                .names
                .get(&profile)
                .cloned()
                .unwrap_or_else(|| profile.clone());
            let empty = self
                .profiles
                .get(&profile)
                .is_none_or(|draft| draft.values.is_empty());
            let hosts = assignment.hosts.get(&profile).cloned().unwrap_or_default();
            if hosts.is_empty() {
                self.say(
                    "PROFILE-UNUSED",
                    &profile,
                    format!("no host chooses this kubelet profile (label {label}, inferred)"),
                    "nothing, or remove it from the configuration",
                    Vec::new(),
                );
            } else if !empty {
                self.say(
                    "PROFILE-LABEL",
                    &profile,
                    format!("hosts get --profile={name} because of their node label {label} (the label is inferred)"),
                    "compare with the nodes that had the profile's flags under MKE 3",
                    hosts,
                );
            }
        }
        assignment
    }

    /// Decision 0004: a flag of all nodes that would beat a profile moves into the profiles when every host has one, else it
    /// stays and the profile's loss is reported.
    pub(super) fn put_in_order(&mut self, hosts: &kubelet::Assignment, minor: Minor) {
        let values: BTreeMap<String, Values> = self
            .profiles
            .iter()
            .filter(|(_, draft)| !draft.values.is_empty())
            .map(|(name, draft)| (name.clone(), draft.values.clone()))
            .collect();
        // A host whose profile came out empty has none, so a moved flag would be lost there.
        let everywhere = hosts.everywhere && hosts.hosts.keys().all(|profile| values.contains_key(profile));
        for conflict in kubelet::conflicts(&self.globals, &values) {
            let Some((path, node)) = self.globals.get(&conflict.flag).cloned() else {
                continue;
            };
            if everywhere && self.try_move(&conflict.flag, &path, &node, minor) {
                continue;
            }
            for profile in &conflict.profiles {
                let on = hosts.hosts.get(profile).cloned().unwrap_or_default();
                self.say(
                    "PROFILE-OVERRIDDEN",
                    profile,
                    format!(
                        "its {path} loses against --{} for all nodes: spec.kubelet.extraArgs wins over a profile",
                        conflict.flag
                    ),
                    "give every host a profile with its own value and remove the flag for all nodes, then plan again",
                    on,
                );
            }
        }
    }

    pub(super) fn try_move(&mut self, flag: &str, path: &str, node: &Node, minor: Minor) -> bool {
        let current: BTreeMap<String, Values> = self
            .profiles
            .iter()
            .filter(|(_, draft)| !draft.values.is_empty())
            .map(|(name, draft)| (name.clone(), draft.values.clone()))
            .collect();
        let moved = kubelet::move_into_profiles(&current, path, node);
        let sound = moved.values().all(|values| {
            kubelet::rules::breaches(&self.tables.fields, &self.tables.gates, values, minor).is_empty()
        });
        if !sound {
            return false;
        }
        let mut to = Vec::new();
        for (profile, values) in moved {
            if current.get(&profile) != Some(&values)
                && let Some(node) = values.get(path)
            {
                to.push(self.profile_target(&profile, path, node));
            }
            if let Some(draft) = self.profiles.get_mut(&profile) {
                draft.values = values;
            }
        }
        if let Some(args) = self.out.extra_args.get_mut(&Component::Kubelet) {
            args.remove(flag);
            if args.is_empty() {
                self.out.extra_args.remove(&Component::Kubelet);
            }
        }
        for row in self.global_rows.get(flag).cloned().unwrap_or_default() {
            if let Some(draft) = &mut self.drafts[row]
                && draft.outcome == Outcome::Converted
            {
                if to.is_empty() {
                    draft.outcome = Outcome::Ignored;
                }
                draft.to.clone_from(&to);
                draft.reason = "every host has a kubelet profile, so it stands in the profiles that do not say otherwise; for all \
                                nodes it would win over them"
                    .to_owned();
            }
        }
        true
    }

    pub(super) fn store_profiles(&mut self, hosts: &kubelet::Assignment) {
        let names = self.names.clone();
        for (profile, mut draft) in std::mem::take(&mut self.profiles) {
            let name = names.get(&profile).cloned().unwrap_or_else(|| profile.clone());
            let on = hosts.hosts.get(&profile).cloned().unwrap_or_default();
            if draft.values.is_empty() {
                self.say(
                    "PROFILE-EMPTY",
                    &profile,
                    "nothing of this kubelet profile can be carried over, so it is not created and its hosts get none".to_owned(),
                    "see what is said of its flags",
                    on,
                );
                continue;
            }
            if name != profile {
                self.say(
                    "PROFILE-RENAMED",
                    &profile,
                    format!("it is called {name} under MKE 4k: k0s takes lower-case DNS labels, and keeps some names for itself"),
                    "use the new name from now on",
                    Vec::new(),
                );
            }
            let paths: Vec<String> = draft.values.keys().cloned().collect();
            for path in paths {
                for (other, cleared) in self.tables.fields.clears(&path) {
                    draft.values.entry(other.to_owned()).or_insert(cleared);
                }
            }
            self.out
                .host_profiles
                .extend(on.into_iter().map(|host| (host, name.clone())));
            self.out.profiles.insert(name, kubelet::tree(&draft.values));
        }
    }
}
