//! Names of profiles, and the hosts that get them.

use crate::convert::flags::HostLabels;
use crate::convert::flags::policy::ProfilePolicy;
use std::collections::{BTreeMap, BTreeSet};

/// Longest DNS label.
const MAX: usize = 63;

/// The name under MKE 4k of every profile. k0s takes DNS labels alone, and has names of its own; a name that is neither stays
/// as it is, and no two become one.
pub(crate) fn names(policy: &ProfilePolicy, profiles: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let fits = |name: &str| label(name) == name && !name.is_empty() && !reserved(policy, name);
    let mut taken: BTreeSet<String> = profiles
        .iter()
        .filter(|name| fits(name))
        .map(|name| (*name).to_owned())
        .collect();
    let mut names = BTreeMap::new();
    for profile in profiles {
        if fits(profile) {
            names.insert((*profile).to_owned(), (*profile).to_owned());
            continue;
        }
        let mut base = label(profile);
        if base.is_empty() || reserved(policy, &base) {
            let base_or = if base.is_empty() { "profile" } else { base.as_str() };
            base = label(&format!("{}{base_or}", policy.rename_prefix));
        }
        let mut name = base.clone();
        let mut number = 1_u32;
        while !taken.insert(name.clone()) {
            number += 1;
            let suffix = format!("-{number}");
            let kept = base.len().min(MAX - suffix.len());
            name = format!("{}{suffix}", base[..kept].trim_end_matches('-'));
        }
        names.insert((*profile).to_owned(), name);
    }
    names
}

fn reserved(policy: &ProfilePolicy, name: &str) -> bool {
    policy
        .reserved
        .iter()
        .any(|prefix| name.starts_with(prefix.as_str()))
}

/// The text as a DNS label: lower case, hyphens for anything else, none at the ends, at most 63 characters.
fn label(text: &str) -> String {
    let mut label: String = text
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    label = label.trim_matches('-').to_owned();
    label.truncate(MAX);
    label.trim_end_matches('-').to_owned()
}

/// Which hosts choose which profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// Hosts by the MKE 3 name of their profile.
    pub hosts: BTreeMap<String, Vec<String>>,
    /// Hosts by a profile that does not exist.
    pub missing: BTreeMap<String, Vec<String>>,
    /// Every host chooses a profile that exists.
    pub everywhere: bool,
}

/// Reads the choice of every host from its label. An empty label chooses nothing.
pub(crate) fn assign(policy: &ProfilePolicy, profiles: &BTreeSet<&str>, labels: &HostLabels) -> Assignment {
    let mut out = Assignment {
        everywhere: !labels.is_empty(),
        ..Assignment::default()
    };
    for (host, labels) in labels {
        let chosen = labels.get(&policy.label).filter(|name| !name.is_empty());
        let known = chosen.filter(|name| profiles.contains(name.as_str()));
        out.everywhere &= known.is_some();
        if let Some(name) = chosen {
            let side = if known.is_some() {
                &mut out.hosts
            } else {
                &mut out.missing
            };
            side.entry(name.clone()).or_default().push(host.clone());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> ProfilePolicy {
        ProfilePolicy {
            from: String::new(),
            label: "custom-kubelet-profile".to_owned(),
            to: String::new(),
            reserved: vec!["default".to_owned(), "mke-default".to_owned()],
            rename_prefix: "mke3-".to_owned(),
        }
    }

    #[test]
    fn names_become_labels_and_stay_apart() {
        let long = "x".repeat(70);
        let given = [
            "high",
            "High",
            "gpu_a",
            "default",
            "mke-default-worker",
            "",
            "_",
            "gpu.a",
            long.as_str(),
        ];
        let names = names(&policy(), &given.into_iter().collect());
        assert_eq!(names["high"], "high");
        assert_eq!(names["High"], "high-2");
        assert_eq!(names["default"], "mke3-default");
        assert_eq!(names["mke-default-worker"], "mke3-mke-default-worker");
        assert_eq!(names["gpu.a"], "gpu-a");
        assert_eq!(names["gpu_a"], "gpu-a-2");
        assert_eq!(names[""], "mke3-profile");
        assert_eq!(names["_"], "mke3-profile-2");
        assert_eq!(names[long.as_str()].len(), 63);
        let distinct: BTreeSet<&String> = names.values().collect();
        assert_eq!(distinct.len(), given.len());
    }

    #[test]
    fn labels_choose() {
        let host = |name: &str, value: &str| {
            let labels = BTreeMap::from([("custom-kubelet-profile".to_owned(), value.to_owned())]);
            (name.to_owned(), labels)
        };
        let profiles: BTreeSet<&str> = ["high"].into();
        let all: HostLabels = [host("a", "high"), host("b", "high")].into();
        assert!(assign(&policy(), &profiles, &all).everywhere);
        let some: HostLabels = [host("a", "high"), host("b", "low"), host("c", "")].into();
        let got = assign(&policy(), &profiles, &some);
        assert_eq!(got.hosts["high"], ["a"]);
        assert_eq!(got.missing["low"], ["b"]);
        assert!(!got.everywhere);
        assert!(!assign(&policy(), &profiles, &HostLabels::new()).everywhere);
    }
}
