//! Copies of a journal, and which of them is true.
//!
//! A run writes its records to its own machine and to the managers, and an intent is on a majority of managers before its
//! effect. Whoever takes the run up has a higher token, reads a majority and goes on from the longest chain there: so he
//! has every intent that can have had an effect. What a run that was superseded wrote besides was never acted upon, unless
//! it says that it was: then two runs have worked at once, and that is for a person.

use super::call::Verb;
use super::journal::{Decoded, JournalError, Record, decode};
use std::collections::BTreeSet;

/// A copy that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// Where it is, for people.
    pub from: String,
    /// Its whole lines.
    pub bytes: Vec<u8>,
    /// What they say.
    pub decoded: Decoded,
}

impl Copy {
    /// Reads a copy, without the torn line that a crash may have left at its end.
    ///
    /// # Errors
    ///
    /// As [`decode`].
    pub fn read(from: impl Into<String>, mut bytes: Vec<u8>) -> Result<Copy, JournalError> {
        let decoded = decode(&bytes)?;
        bytes.truncate(decoded.bytes);
        Ok(Copy {
            from: from.into(),
            bytes,
            decoded,
        })
    }

    /// Token of the run that wrote the record at this place.
    fn token_at(&self, place: usize) -> u64 {
        let mut records = self.decoded.records.iter().take(place + 1).rev();
        records
            .find_map(|record| match record {
                Record::Start { token, .. } => Some(*token),
                _ => None,
            })
            .unwrap_or(0)
    }

    fn len(&self) -> usize {
        self.decoded.records.len()
    }
}

/// The first record of `copy`, from 0, that is not in `other`; `None` when it is a beginning of it.
fn leaves(copy: &Copy, other: &Copy) -> Option<usize> {
    let pairs = copy.decoded.hashes.iter().zip(&other.decoded.hashes);
    let same = pairs.take_while(|(a, b)| a == b).count();
    (same < copy.len()).then_some(same)
}

/// The copy to go on with, and the places of copies that have more which was never acted upon. `None` without copies.
///
/// # Errors
///
/// [`JournalError::Fork`] when two copies tell of different deeds.
pub fn choose(copies: &[Copy]) -> Result<Option<(&Copy, Vec<&Copy>)>, JournalError> {
    // The last run decides, and of what it wrote the most.
    let best = copies
        .iter()
        .max_by_key(|copy| (copy.token_at(copy.len().saturating_sub(1)), copy.len()));
    let Some(best) = best else { return Ok(None) };
    let mut superseded = Vec::new();
    for copy in copies {
        let Some(place) = leaves(copy, best) else { continue };
        let taken_over = matches!(
            best.decoded.records.get(place),
            Some(Record::Start { token, .. }) if *token > copy.token_at(place)
        );
        if !taken_over || acted(&copy.decoded.records[place..]) {
            return Err(JournalError::Fork {
                record: place + 1,
                copies: [copy.from.clone(), best.from.clone()],
            });
        }
        superseded.push(copy);
    }
    Ok(Some((best, superseded)))
}

/// Whether these records tell of an attempt that they begin themselves and that may have done something.
fn acted(records: &[Record]) -> bool {
    let mut begun: BTreeSet<(Verb, &str, u32)> = BTreeSet::new();
    records.iter().any(|record| match record {
        Record::Intent {
            action,
            verb,
            attempt,
            ..
        } => {
            begun.insert((*verb, action, *attempt));
            false
        }
        Record::Result {
            action,
            verb,
            attempt,
            reason,
            ..
        } => {
            begun.contains(&(*verb, action.as_str(), *attempt))
                && !reason.as_ref().is_some_and(|reason| reason.untouched)
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::call::Reason;
    use crate::apply::events::EndKind;
    use crate::apply::journal::encode;
    use std::collections::BTreeMap;

    fn start(token: u64) -> Record {
        Record::Start {
            format: "1.0".to_owned(),
            plan: "p".to_owned(),
            run: format!("run-{token}"),
            token,
            at: String::new(),
        }
    }

    fn intent(action: &str) -> Record {
        Record::Intent {
            at: String::new(),
            action: action.to_owned(),
            verb: Verb::Run,
            attempt: 1,
        }
    }

    fn result(action: &str, end: EndKind, untouched: bool) -> Record {
        Record::Result {
            at: String::new(),
            action: action.to_owned(),
            verb: Verb::Run,
            attempt: 1,
            end,
            outputs: BTreeMap::new(),
            reason: Some(Reason {
                untouched,
                ..Reason::new("why")
            }),
        }
    }

    fn copy(from: &str, records: &[Record]) -> Copy {
        let mut head = Decoded::default().head().to_owned();
        let mut bytes = Vec::new();
        for record in records {
            let (line, next) = encode(&head, record).unwrap();
            bytes.extend(line.into_bytes());
            head = next;
        }
        bytes.extend(b"{\"torn");
        Copy::read(from, bytes).unwrap()
    }

    #[test]
    fn the_longest_chain_wins_over_its_beginnings() {
        let all = [start(1), intent("a/x"), result("a/x", EndKind::Done, false)];
        let copies = [
            copy("here", &all[..1]),
            copy("m1", &all),
            copy("m2", &all[..2]),
            copy("m3", &[]),
        ];
        let (best, superseded) = choose(&copies).unwrap().unwrap();
        assert_eq!((best.from.as_str(), superseded.len()), ("m1", 0));
        assert!(!best.bytes.ends_with(b"torn"), "torn tails are cut");
        assert_eq!(choose(&[]), Ok(None));
    }

    #[test]
    fn what_a_superseded_run_only_meant_to_do_is_left_out() {
        let old = [
            start(1),
            intent("a/x"),
            intent("a/y"),
            intent("a/z"),
            result("a/z", EndKind::Cancelled, true),
        ];
        let new = [start(1), intent("a/x"), start(2)];
        let copies = [copy("here", &old), copy("m1", &new)];
        let (best, superseded) = choose(&copies).unwrap().unwrap();
        assert_eq!(best.from, "m1", "the later run counts, though it wrote less");
        assert_eq!(superseded[0].from, "here");
        // It learned how that ended which both know to be begun.
        let ended = [start(1), intent("a/x"), result("a/x", EndKind::Done, false)];
        assert!(choose(&[copy("here", &ended), copy("m1", &new)]).is_ok());
    }

    #[test]
    fn two_runs_that_both_worked_are_a_fork() {
        let old = [
            start(1),
            intent("a/x"),
            intent("a/y"),
            result("a/y", EndKind::Done, false),
        ];
        let new = [start(1), intent("a/x"), start(2)];
        let error = choose(&[copy("here", &old), copy("m1", &new)]).unwrap_err();
        assert_eq!(
            error,
            JournalError::Fork {
                record: 3,
                copies: ["here".to_owned(), "m1".to_owned()]
            }
        );
        // The same run cannot have written two different things.
        let one = [start(1), intent("a/x")];
        let two = [start(1), intent("a/y")];
        let error = choose(&[copy("m1", &one), copy("m2", &two)]).unwrap_err();
        assert!(matches!(error, JournalError::Fork { record: 2, .. }), "{error}");
    }
}
