//! One pass over all flags: read, refuse, check, merge, place.

use super::draft::Draft;
use super::flow::flow;
use super::policy::Twinned;
use super::tables::{FlagDef, FlagType, Minor};
use super::text::{self, HIDDEN, Text};
use super::{FlagInput, FlagTables, FlagsResult, RawFlag, gate_flags, value};
use crate::convert::kubelet::{self, Values};
use crate::model::{Component, Finding, FlagRow, Outcome, SecretRef, Subject, SubjectKind, Target};
use crate::yaml::Node;
use std::collections::{BTreeMap, BTreeSet};

/// Converts every flag. The result depends on nothing but the arguments.
pub fn convert_flags(tables: &FlagTables, input: &FlagInput<'_>) -> FlagsResult {
    let mut pass = Pass::new(tables, input);
    match tables.known(input.target_minor) {
        Some(minor) if tables.fields.covers(minor) => pass.run(minor),
        _ => pass.no_table(),
    }
    pass.finish()
}

/// A flag that may be carried over.
struct Given {
    index: usize,
    name: String,
    value: String,
}

/// A kubelet profile while its fields are collected.
#[derive(Default)]
struct ProfileDraft {
    values: Values,
    from: BTreeMap<String, Vec<usize>>,
}

struct Pass<'a> {
    tables: &'a FlagTables,
    input: &'a FlagInput<'a>,
    source: Option<Minor>,
    parsed: Vec<Text>,
    drafts: Vec<Option<Draft>>,
    hidden: BTreeSet<usize>,
    names: BTreeMap<String, String>,
    profiles: BTreeMap<String, ProfileDraft>,
    /// Flags of all nodes that stay on the kubelet's command line although a field exists: by name, path, value and rows.
    globals: BTreeMap<String, (String, Node)>,
    global_rows: BTreeMap<String, Vec<usize>>,
    fields: BTreeMap<String, Node>,
    out: FlagsResult,
}

impl<'a> Pass<'a> {
    fn new(tables: &'a FlagTables, input: &'a FlagInput<'a>) -> Self {
        let profiles: BTreeSet<&str> = input
            .flags
            .iter()
            .filter_map(|flag| flag.profile.as_deref())
            .collect();
        let mut pass = Pass {
            tables,
            input,
            source: input.source_minor.and_then(Minor::parse),
            parsed: input.flags.iter().map(read).collect(),
            drafts: vec![None; input.flags.len()],
            hidden: BTreeSet::new(),
            names: kubelet::names(&tables.policy.profiles, &profiles),
            profiles: BTreeMap::new(),
            globals: BTreeMap::new(),
            global_rows: BTreeMap::new(),
            fields: BTreeMap::new(),
            out: FlagsResult::default(),
        };
        pass.hide();
        pass
    }

    /// Marks the rows whose value may not be shown.
    fn hide(&mut self) {
        let secrets = &self.tables.policy.secrets;
        // The value of a flag in two entries stands in the next entry of the same list.
        let mut awaited: BTreeMap<(Component, Option<&str>), bool> = BTreeMap::new();
        for (index, raw) in self.input.flags.iter().enumerate() {
            let awaited = awaited
                .entry((raw.component, raw.profile.as_deref()))
                .or_default();
            let was_awaited = std::mem::take(awaited);
            match &self.parsed[index] {
                Text::Flag {
                    name,
                    value: Some(value),
                } => {
                    if is_secret(secrets, self.tables.flag(raw.component, name), name, value) {
                        self.hidden.insert(index);
                    }
                }
                Text::Flag { name, value: None } => *awaited = secrets.named(name),
                Text::Bad(_) if was_awaited => {
                    self.hidden.insert(index);
                }
                Text::Bad(_) | Text::Empty => {}
            }
        }
    }

    fn no_table(&mut self) {
        let first = self.tables.minors().next().unwrap_or_default();
        let last = self.tables.minors().last().unwrap_or_default();
        let why = format!(
            "the tables of flags cover Kubernetes {first} to {last}, and kubelet fields from 1.32, not the target's"
        );
        for draft in &mut self.drafts {
            let mut lost = Draft::lost(
                "FLAG-NO-TABLE",
                why.clone(),
                "use a version of mkectl that knows the target",
            );
            lost.outcome = Outcome::Unknown;
            *draft = Some(lost);
        }
    }

    fn run(&mut self, minor: Minor) {
        let mut groups: BTreeMap<(Component, Option<&'a str>), Vec<usize>> = BTreeMap::new();
        for (index, raw) in self.input.flags.iter().enumerate() {
            let group = (raw.component, raw.profile.as_deref());
            groups.entry(group).or_default().push(index);
            if let Some(profile) = &raw.profile {
                self.profiles.entry(profile.clone()).or_default();
            }
        }
        for ((component, profile), indices) in groups {
            let mut by_name: BTreeMap<String, Vec<Given>> = BTreeMap::new();
            for given in self.admit_all(component, profile, &indices, minor) {
                by_name.entry(given.name.clone()).or_default().push(given);
            }
            for (name, givens) in by_name {
                if let Some(def) = self.tables.flag(component, &name) {
                    self.settle(component, profile, &name, def, &givens, minor);
                }
            }
        }
        self.obey_rules(minor);
        let hosts = self.choose_profiles();
        self.put_in_order(&hosts, minor);
        self.store_profiles(&hosts);
    }

    /// Syntax and everything that can be said of one flag alone.
    fn admit_all(
        &mut self,
        component: Component,
        profile: Option<&str>,
        indices: &[usize],
        minor: Minor,
    ) -> Vec<Given> {
        let two = "a name and its value stand in two entries, and only --name=value can be converted";
        let mut admitted = Vec::new();
        let mut in_two: BTreeSet<usize> = BTreeSet::new();
        for pair in indices.windows(2) {
            let bare = matches!(self.parsed[pair[0]], Text::Flag { value: None, .. });
            let stray = matches!(self.parsed[pair[1]], Text::Bad(_));
            if bare && stray && !self.input.flags[pair[1]].text.trim_start().starts_with('-') {
                in_two.extend(pair);
            }
        }
        for &index in indices {
            let draft = match self.parsed[index].clone() {
                _ if in_two.contains(&index) => syntax(two),
                Text::Empty => Draft::ignored("the entry is empty"),
                Text::Bad(why) => syntax(why),
                Text::Flag { name, value } => {
                    match self.admit(component, profile, &name, value.as_deref(), minor) {
                        Ok(value) => {
                            admitted.push(Given { index, name, value });
                            continue;
                        }
                        Err(draft) => draft,
                    }
                }
            };
            self.drafts[index] = Some(draft);
        }
        admitted
    }

    /// The value to carry over, or why there is none.
    fn admit(
        &self,
        component: Component,
        profile: Option<&str>,
        name: &str,
        value: Option<&str>,
        minor: Minor,
    ) -> Result<String, Draft> {
        if let Some(refusal) = self.tables.policy.refusal(component, name, profile.is_some()) {
            let says = match value {
                None => "true",
                Some(text) => value::boolean(text).map_or(text, |on| if on { "true" } else { "false" }),
            };
            return Err(
                if refusal.drop && refusal.allow.iter().any(|allowed| allowed == says) {
                    Draft::ignored(format!("it says what holds anyway: {}", refusal.why))
                } else {
                    Draft::lost(&refusal.code, &refusal.why, &refusal.remedy)
                },
            );
        }
        let def = match self.tables.flag(component, name) {
            Some(def) if def.registered(minor) => def,
            def => return Err(self.missing(component, name, def, minor)),
        };
        let Some(value) = value else {
            return match def.kind {
                FlagType::Bool => Ok("true".to_owned()),
                _ => Err(syntax(
                    "it has no value, and only boolean flags may stand without one",
                )),
            };
        };
        if value.contains(char::is_whitespace) && profile.is_none() {
            return Err(if self.tables.policy.splits(component) {
                Draft::lost(
                    "FLAG-SPLIT",
                    "k0s splits the extra arguments of this component at white space, so the value would break in two",
                    "find a value without white space, or set the field in a kubelet profile",
                )
            } else {
                syntax("its value holds white space, as when two flags stand in one entry")
            });
        }
        let expected = match def.kind {
            FlagType::Bool => match value::boolean(value) {
                Some(on) => return self.in_field(component, name, if on { "true" } else { "false" }, minor),
                None => Some("true or false".to_owned()),
            },
            FlagType::Int => value::integer(value)
                .is_none()
                .then(|| "a whole number".to_owned()),
            FlagType::Float => value::float(value).is_none().then(|| "a number".to_owned()),
            FlagType::Duration => value::duration(value)
                .is_none()
                .then(|| "a duration such as 1m30s".to_owned()),
            FlagType::PreviousMinor => {
                let previous = Minor(minor.0.saturating_sub(1)).to_string();
                (!value.is_empty() && value != previous)
                    .then(|| format!("{previous} and nothing else in Kubernetes {minor}"))
            }
            FlagType::Map => {
                let pair = |item: &str| item.trim().is_empty() || item.contains(['=', '<']);
                (!value.split(',').all(pair)).then(|| "KEY=VALUE pairs".to_owned())
            }
            FlagType::String | FlagType::File | FlagType::List | FlagType::Repeat | FlagType::Gates => None,
        };
        match expected {
            Some(expected) => Err(wrong_value(format!(
                "the component takes {expected} here, and does not start otherwise"
            ))),
            None => self.in_field(component, name, value, minor),
        }
    }

    /// Checks the value of a kubelet flag against its field: the kubelet does, wherever the value comes from.
    fn in_field(&self, component: Component, name: &str, value: &str, minor: Minor) -> Result<String, Draft> {
        let checked = component == Component::Kubelet
            || self
                .tables
                .policy
                .checked_as_kubelet
                .iter()
                .any(|flag| flag == name);
        if checked
            && self
                .tables
                .flag(component, name)
                .is_some_and(|def| def.kind != FlagType::Gates)
            && let Some((_, field)) = self.tables.fields.by_flag(name)
        {
            field
                .read(&[value], minor)
                .map_err(|why| wrong_value(format!("{why}, and the component does not start otherwise")))?;
        }
        Ok(value.to_owned())
    }

    fn missing(&self, component: Component, name: &str, def: Option<&FlagDef>, minor: Minor) -> Draft {
        let program = component.name();
        let remedy = "leave it out, and look for another way to what it did";
        if let Some(def) = def {
            if let Some(last) = def.to.filter(|last| *last < minor) {
                let already = self.source.is_some_and(|source| last < source);
                let before = if already {
                    ", before the release that MKE 3 runs"
                } else {
                    ""
                };
                let gone = if def.gone.is_empty() {
                    String::new()
                } else {
                    format!("; {}", def.gone)
                };
                let why = format!("{program} of Kubernetes {last} was the last to have it{before}{gone}");
                return Draft::lost("FLAG-REMOVED", why, remedy);
            }
            let first = def.from.map(|first| first.to_string()).unwrap_or_default();
            let why = format!("{program} has it from Kubernetes {first} on, and the target is {minor}");
            return Draft::lost("FLAG-UNKNOWN", why, "set it after an upgrade to that release");
        }
        if let Some(gone) = self.tables.gone_before(component, name) {
            return Draft::lost(
                "FLAG-REMOVED",
                format!("{program} of Kubernetes 1.27 had it no more; {gone}"),
                remedy,
            );
        }
        let mut why = format!("{program} of Kubernetes {minor} has no such flag");
        if let Some(other) = self.tables.nearest(component, name, minor) {
            why.push_str(&format!("; is --{other} meant?"));
        }
        let others = self.tables.elsewhere(component, name, minor);
        if !others.is_empty() {
            why.push_str(&format!("; {} has one", others.join(" and ")));
        }
        let remedy = "correct it in MKE 3's configuration and plan again, or leave it out";
        Draft::lost("FLAG-UNKNOWN", why, remedy)
    }

    /// Decides over all flags of one name.
    fn settle(
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

    fn remark(
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
    fn place(
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

    fn global_field(&self, name: &str, value: &str) -> Option<(String, Node)> {
        let minor = self.tables.known(self.input.target_minor)?;
        let (path, field) = self.tables.fields.by_flag(name)?;
        Some((path.to_owned(), field.read(&[value], minor).ok()?))
    }

    fn place_in_profile(
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

    fn profile_target(&self, profile: &str, path: &str, node: &Node) -> Target {
        let name = self.names.get(profile).map_or(profile, String::as_str);
        target(
            format!("{}[{name}].values.{path}", self.tables.policy.profiles.to),
            node,
        )
    }

    fn settle_gates(
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

    /// Takes out of each profile what the kubelet would not start with, one field at a time.
    fn obey_rules(&mut self, minor: Minor) {
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
    fn choose_profiles(&mut self) -> kubelet::Assignment {
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
    fn put_in_order(&mut self, hosts: &kubelet::Assignment, minor: Minor) {
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

    fn try_move(&mut self, flag: &str, path: &str, node: &Node, minor: Minor) -> bool {
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

    fn store_profiles(&mut self, hosts: &kubelet::Assignment) {
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

    fn say(&mut self, code: &str, profile: &str, message: String, remedy: &str, hosts: Vec<String>) {
        let line = self
            .input
            .flags
            .iter()
            .find(|raw| raw.profile.as_deref() == Some(profile))
            .map(|raw| raw.line);
        let subject = Subject::new(SubjectKind::Profile, profile);
        self.out.findings.push(Finding {
            severity: self.tables.severity(code),
            code: code.to_owned(),
            subject: match line {
                Some(line) => subject.at(self.input.file, line),
                None => subject,
            },
            message,
            remedy: remedy.to_owned(),
            hosts,
        });
    }

    fn shown(&self, index: usize, raw: &RawFlag) -> (String, String) {
        let secrets = &self.tables.policy.secrets;
        let hidden = self.hidden.contains(&index);
        match &self.parsed[index] {
            Text::Flag { .. } if hidden => {
                let text = raw.text.trim();
                let written = text.split_once('=').map_or(text, |(name, _)| name);
                (format!("{written}={HIDDEN}"), written.to_owned())
            }
            Text::Flag { .. } => {
                let text = raw.text.trim();
                let written = text.split_once('=').map_or(text, |(name, _)| name);
                (text.to_owned(), written.to_owned())
            }
            Text::Empty => (String::new(), "(empty)".to_owned()),
            Text::Bad(_) if hidden => (HIDDEN.to_owned(), HIDDEN.to_owned()),
            Text::Bad(_) => {
                let text = secrets.hide(&raw.text);
                (text.clone(), text)
            }
        }
    }

    fn finish(mut self) -> FlagsResult {
        let drafts = std::mem::take(&mut self.drafts);
        for (index, (raw, draft)) in self.input.flags.iter().zip(drafts).enumerate() {
            let draft = draft.unwrap_or_else(|| {
                let mut lost = Draft::lost("FLAG-UNKNOWN", "no rule covers it", "leave it out");
                lost.outcome = Outcome::Unknown;
                lost
            });
            let (flag, name) = self.shown(index, raw);
            let profile = raw
                .profile
                .as_ref()
                .map(|name| format!(" (profile {name})"))
                .unwrap_or_default();
            let subject = format!("{} {name}{profile}", raw.component.name());
            for note in draft.notes {
                self.out.findings.push(Finding {
                    severity: self.tables.severity(&note.code),
                    code: note.code,
                    subject: Subject::new(SubjectKind::Flag, subject.clone()).at(self.input.file, raw.line),
                    message: note.message,
                    remedy: note.remedy,
                    hosts: Vec::new(),
                });
            }
            self.out.rows.push(FlagRow {
                component: raw.component,
                profile: raw.profile.clone(),
                flag,
                line: raw.line,
                outcome: draft.outcome,
                to: draft.to,
                reason: draft.reason,
                remedy: draft.remedy,
            });
        }
        self.out.fields = self.fields.into_iter().collect();
        self.out.findings.sort();
        self.out.findings.dedup();
        self.out.secrets.sort();
        self.out
    }
}

/// Reads one entry. In a profile a quote that is left after splitting was never closed.
fn read(raw: &RawFlag) -> Text {
    match text::read(&raw.text) {
        Text::Flag { .. } if raw.profile.is_some() && raw.text.contains(['"', '\'']) => {
            Text::Bad("it holds a quotation mark that does not close")
        }
        text => text,
    }
}

/// True when the value of a flag may not be shown. A number, a duration or a boolean is no secret, whatever the name says.
fn is_secret(secrets: &text::SecretNames, def: Option<&FlagDef>, name: &str, value: &str) -> bool {
    let harmless = match def.map(|def| def.kind) {
        Some(FlagType::Bool) => value::boolean(value).is_some(),
        Some(FlagType::Int) => value::integer(value).is_some(),
        Some(FlagType::Duration) => value::duration(value).is_some(),
        _ => false,
    };
    // Names of gates have such words in them, and their values are booleans.
    let gates = def.is_some_and(|def| def.kind == FlagType::Gates);
    !harmless && (secrets.named(name) || (!gates && secrets.inside(value)))
}

fn target(path: String, node: &Node) -> Target {
    Target {
        path,
        value: flow(node),
    }
}

fn syntax(why: &str) -> Draft {
    Draft::lost(
        "FLAG-SYNTAX",
        why,
        "write it as --name=value in MKE 3's configuration and plan again",
    )
}

fn wrong_value(why: String) -> Draft {
    Draft::lost(
        "FLAG-VALUE",
        why,
        "correct the value in MKE 3's configuration and plan again, or leave the flag out",
    )
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
