//! Lists of host names, folded: `worker-[01-40]`, `w1, w2, w[5-9]`, `ip-10-0-0-[1-9].example`.

use std::collections::{BTreeMap, BTreeSet};

/// A name with one of its numbers taken out.
type Frame<'a> = (&'a str, &'a str);

/// Runs of this many names and more are folded; two names side by side are as short as their fold.
const RUN: usize = 3;

/// Folds names that differ in one number only. Duplicates go, the result is sorted. [`unfold_hosts`] gives back the set,
/// unless a name itself holds a bracket, a comma or a space; such a name stands unfolded.
pub fn fold_hosts<S: AsRef<str>>(names: &[S]) -> String {
    let names: BTreeSet<&str> = names.iter().map(AsRef::as_ref).collect();
    let mut frames: BTreeMap<Frame, usize> = BTreeMap::new();
    for name in &names {
        for (prefix, _, suffix) in numbers(name) {
            *frames.entry((prefix, suffix)).or_default() += 1;
        }
    }
    let mut groups: BTreeMap<Frame, Vec<&str>> = BTreeMap::new();
    for name in &names {
        // The number that most names share the rest of the name with; the last one where that is equal.
        let best = numbers(name).max_by_key(|(prefix, _, suffix)| frames.get(&(*prefix, *suffix)).copied());
        match best {
            Some((prefix, digits, suffix)) => groups.entry((prefix, suffix)).or_default().push(digits),
            None => {
                groups.insert((name, ""), Vec::new());
            }
        }
    }
    let mut out: Vec<String> = Vec::new();
    for ((prefix, suffix), digits) in groups {
        if digits.is_empty() {
            out.push(prefix.to_owned());
            continue;
        }
        let runs = runs(digits);
        if runs.len() > RUN {
            let inner: Vec<String> = runs.iter().map(|run| piece(run)).collect();
            out.push(format!("{prefix}[{}]{suffix}", inner.join(",")));
            continue;
        }
        for run in runs {
            if run.len() < RUN {
                out.extend(run.iter().map(|digits| format!("{prefix}{digits}{suffix}")));
            } else {
                out.push(format!("{prefix}[{}]{suffix}", piece(&run)));
            }
        }
    }
    out.join(", ")
}

fn piece(run: &[&str]) -> String {
    match run {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first, .., last] => format!("{first}-{last}"),
    }
}

/// Every number in a name as (before, digits, after). None for names that cannot be folded and unfolded again.
fn numbers(name: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let foldable = !name.contains(['[', ']', ',']) && !name.contains(char::is_whitespace);
    let bytes = name.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while foldable && at < bytes.len() {
        let end = at + bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
        if end > at && end - at <= 18 {
            found.push((&name[..at], &name[at..end], &name[end..]));
        }
        at = end.max(at + 1);
    }
    found.into_iter()
}

fn value(digits: &str) -> u64 {
    digits.parse().unwrap_or(u64::MAX)
}

/// Neighbouring numbers that [`expand`] can count through: same length, or growing by a digit without leading zeros.
fn runs(mut digits: Vec<&str>) -> Vec<Vec<&str>> {
    digits.sort_by_key(|digits| (value(digits), digits.len()));
    let mut runs: Vec<Vec<&str>> = Vec::new();
    for next in digits {
        if let Some(run) = runs.last_mut()
            && let (Some(first), Some(last)) = (run.first(), run.last())
            && value(next) == value(last) + 1
            && (next.len() == first.len() || !first.starts_with('0') && !next.starts_with('0'))
        {
            run.push(next);
            continue;
        }
        runs.push(vec![next]);
    }
    runs
}

/// The names behind a folded list, sorted. What is not a fold is a name.
pub fn unfold_hosts(folded: &str) -> Vec<String> {
    let mut out = BTreeSet::new();
    for part in folded.split(", ").filter(|part| !part.is_empty()) {
        match expand(part) {
            Some(names) => out.extend(names),
            None => {
                out.insert(part.to_owned());
            }
        }
    }
    out.into_iter().collect()
}

/// Largest number of names that one fold may stand for; a longer one is not ours.
const LARGEST: u64 = 1_000_000;

fn expand(part: &str) -> Option<Vec<String>> {
    let (prefix, rest) = part.split_once('[')?;
    let (inner, suffix) = rest.split_once(']')?;
    let mut out = Vec::new();
    for piece in inner.split(',') {
        let (first, last) = piece.split_once('-').unwrap_or((piece, piece));
        let (low, high) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        if high < low || high - low > LARGEST {
            return None;
        }
        let pad = if first.len() == last.len() { first.len() } else { 0 };
        out.extend((low..=high).map(|n| format!("{prefix}{n:0pad$}{suffix}")));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbered(prefix: &str, pad: usize, range: std::ops::RangeInclusive<u32>, suffix: &str) -> Vec<String> {
        range.map(|n| format!("{prefix}{n:0pad$}{suffix}")).collect()
    }

    #[test]
    fn alike_names_fold() {
        assert_eq!(fold_hosts(&numbered("worker-", 2, 1..=40, "")), "worker-[01-40]");
        assert_eq!(fold_hosts(&numbered("w", 0, 8..=12, "")), "w[8-12]");
        assert_eq!(
            fold_hosts(&["w1", "w2", "w5", "w6", "w7", "w8", "w9"]),
            "w1, w2, w[5-9]"
        );
        assert_eq!(fold_hosts(&["w1", "w3", "w5", "w7", "w8"]), "w[1,3,5,7-8]");
        assert_eq!(
            fold_hosts(&numbered("ip-10-0-0-", 0, 1..=9, ".eu-west-1.example")),
            "ip-10-0-0-[1-9].eu-west-1.example"
        );
        assert_eq!(fold_hosts(&["db", "db", "a[1-3]"]), "a[1-3], db");
        assert_eq!(fold_hosts::<&str>(&[]), "");
    }

    #[test]
    fn leading_zeros_do_not_mix() {
        assert_eq!(fold_hosts(&["w08", "w09", "w10"]), "w[08-10]");
        assert_eq!(fold_hosts(&["w8", "w09", "w10"]), "w8, w09, w10");
        assert_eq!(
            fold_hosts(&["n098", "n099", "n100", "n1001"]),
            "n[098-100], n1001"
        );
    }

    proptest! {
        #[test]
        fn unfold_is_the_inverse(names in prop::collection::btree_set("(w|ip-[0-2]-|n)[0-9]{1,3}(\\.a1|-b|)", 0..60)) {
            let names: Vec<String> = names.into_iter().collect();
            prop_assert_eq!(unfold_hosts(&fold_hosts(&names)), names);
        }
    }
}
