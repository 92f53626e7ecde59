//! What can be said of one flag alone: its form, who owns it, whether the target has it, whether it takes the value.

use super::convert::{Given, Pass, syntax, wrong_value};
use super::draft::Draft;
use super::tables::{FlagDef, FlagType, Minor};
use super::text::Text;
use super::value;
use crate::model::Component;
use std::collections::BTreeSet;

impl Pass<'_> {
    /// Syntax and everything that can be said of one flag alone.
    pub(super) fn admit_all(
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
    pub(super) fn admit(
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
    pub(super) fn in_field(
        &self,
        component: Component,
        name: &str,
        value: &str,
        minor: Minor,
    ) -> Result<String, Draft> {
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

    pub(super) fn missing(
        &self,
        component: Component,
        name: &str,
        def: Option<&FlagDef>,
        minor: Minor,
    ) -> Draft {
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
}
