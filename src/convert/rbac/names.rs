//! Names in MKE 4k: legal, unique, and the documented ones wherever those are both.

use super::tables::{Limits, RbacTables};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Basis of the 64-bit FNV-1 hash: Dex appends it to an id before it encodes the id as an object name.
const FNV_BASIS: [u8; 8] = 0xcbf2_9ce4_8422_2325_u64.to_be_bytes();

/// The name of Dex' object for an id, such as the Password of a user: base 32, lower case, no padding, of the id in
/// lower case followed by the FNV-1 basis.
pub fn dex_object_name(id: &str) -> String {
    let mut bytes = lower(id).into_bytes();
    bytes.extend_from_slice(&FNV_BASIS);
    BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
}

/// Lower case letter by letter, as Go does: no final sigma.
fn lower(text: &str) -> String {
    text.chars().flat_map(char::to_lowercase).collect()
}

/// The first `digits` hexadecimal digits of the SHA-256 of a text.
pub(crate) fn short_hash(text: &str, digits: usize) -> String {
    let mut hex = HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
    hex.truncate(digits);
    hex
}

/// Lower-case letters, digits and dashes, neither first nor last a dash; everything else becomes one dash per run.
fn legal(original: &str) -> String {
    let mut out = String::new();
    let mut run = false;
    for c in lower(original).chars() {
        if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' {
            out.push(c);
            run = false;
        } else if !run {
            out.push('-');
            run = true;
        }
    }
    out.trim_matches('-').to_owned()
}

/// `base-hash`, cut to `room` bytes; the hash alone when nothing of the base is left.
fn with_hash(base: &str, hashed: &str, room: usize, limits: Limits) -> String {
    let hash = short_hash(hashed, limits.hash_digits);
    let kept = base.get(..room.saturating_sub(hash.len() + 1)).unwrap_or(base);
    let kept = kept.trim_end_matches('-');
    if kept.is_empty() {
        hash
    } else {
        format!("{kept}-{hash}")
    }
}

/// `original` if it is a legal name that fits with its suffix, else its legal part and a hash of the original.
pub(crate) fn fit(original: &str, suffix: &str, limits: Limits) -> String {
    let room = limits.name - suffix.len();
    let base = legal(original);
    if base == original && !base.is_empty() && base.len() <= room {
        format!("{base}{suffix}")
    } else {
        format!("{}{suffix}", with_hash(&base, original, room, limits))
    }
}

/// Names that are taken; hands out free ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    pub(crate) fn new<'a>(taken: impl IntoIterator<Item = &'a str>) -> Names {
        Names {
            taken: taken.into_iter().map(str::to_owned).collect(),
        }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.taken.contains(name)
    }

    /// Takes `wanted` if it is free, else `wanted` with a hash of `identity` before its suffix, tried until one is free.
    pub(crate) fn take(&mut self, wanted: &str, suffix: &str, identity: &str, limits: Limits) -> String {
        if self.taken.insert(wanted.to_owned()) {
            return wanted.to_owned();
        }
        let base = wanted.strip_suffix(suffix).unwrap_or(wanted);
        let room = limits.name - suffix.len();
        let mut attempt = 0_u64;
        loop {
            let hashed = if attempt == 0 {
                identity.to_owned()
            } else {
                format!("{identity}\0{attempt}")
            };
            let name = format!("{}{suffix}", with_hash(base, &hashed, room, limits));
            if self.taken.insert(name.clone()) {
                return name;
            }
            attempt += 1;
        }
    }
}

/// Names of aggregated roles: `team` by organization and team, in the order of the argument.
///
/// A team's documented name is `<team>-team`. Where several organizations have such a team, or the cluster has a role of
/// that name, each of them is `<organization>-<team>-team`; where that is taken too, a hash makes it unique.
pub(crate) fn team_names(names: &mut Names, teams: &[(&str, &str)], tables: &RbacTables) -> Vec<String> {
    let limits = tables.data.limits;
    let suffix = &tables.data.suffixes.team;
    let unique = |candidates: &[Option<String>], names: &Names| -> Vec<bool> {
        let mut count: BTreeMap<&str, u32> = BTreeMap::new();
        for name in candidates.iter().flatten() {
            *count.entry(name).or_default() += 1;
        }
        candidates
            .iter()
            .map(|name| {
                name.as_ref()
                    .is_some_and(|name| count.get(name.as_str()) == Some(&1) && !names.contains(name))
            })
            .collect()
    };
    let mut out = vec![String::new(); teams.len()];
    let mut open: Vec<Option<String>> = teams
        .iter()
        .map(|(_, team)| Some(fit(team, suffix, limits)))
        .collect();
    for round in 0..2 {
        let free = unique(&open, names);
        for (i, (organization, team)) in teams.iter().enumerate() {
            let Some(candidate) = open[i].take() else { continue };
            if free[i] {
                names.taken.insert(candidate.clone());
                out[i] = candidate;
            } else if round == 0 {
                open[i] = Some(fit(&format!("{organization}-{team}"), suffix, limits));
            } else {
                out[i] = names.take(&candidate, suffix, &format!("{organization}/{team}"), limits);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        name: 63,
        object_name: 253,
        hash_digits: 8,
        subjects_per_binding: 2000,
        named_in_message: 10,
    };

    #[test]
    fn dex_names_admin_as_seen_on_a_cluster() {
        assert_eq!(dex_object_name("admin"), "mfsg22lozpzjzzeeeirsk");
        assert_eq!(dex_object_name("Admin"), "mfsg22lozpzjzzeeeirsk");
    }

    #[test]
    fn legal_names_stay_and_others_carry_a_hash() {
        assert_eq!(fit("sales", "-team", LIMITS), "sales-team");
        assert_eq!(fit("a--b", "-team", LIMITS), "a--b-team");
        let escaped = fit("Dev  Ops@HQ", "-team", LIMITS);
        assert!(
            escaped.starts_with("dev-ops-hq-") && escaped.ends_with("-team"),
            "{escaped}"
        );
        assert_eq!(escaped.len(), "dev-ops-hq-".len() + 8 + "-team".len());
        assert_ne!(fit("a_b", "", LIMITS), fit("a b", "", LIMITS));
        assert_eq!(fit("команда", "-team", LIMITS).len(), 8 + "-team".len());
    }

    #[test]
    fn the_suffix_counts_at_the_edge_of_63() {
        let fits = "a".repeat(59);
        assert_eq!(fit(&fits, "-org", LIMITS), format!("{fits}-org"));
        let long = "a".repeat(60);
        let cut = fit(&long, "-org", LIMITS);
        assert_eq!(cut.len(), 63);
        assert!(cut.starts_with(&"a".repeat(50)) && cut.ends_with("-org"), "{cut}");
    }

    #[test]
    fn a_taken_name_gets_a_hash_and_then_another() {
        let mut names = Names::new(["x-org"]);
        let first = names.take("x-org", "-org", "x", LIMITS);
        let second = names.take("x-org", "-org", "x", LIMITS);
        assert!(
            first != "x-org" && second != first && first.ends_with("-org"),
            "{first} {second}"
        );
    }
}
