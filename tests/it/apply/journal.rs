//! The journal under damage.

use mkectl::apply::call::Reason;
use mkectl::apply::control::{Cause, Decision};
use mkectl::apply::events::EndKind;
use mkectl::apply::journal::{Decoded, JournalError, Record, decode, encode};
use mkectl::apply::outputs::Recorded;
use mkectl::apply::{Book, Verb};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn record() -> impl Strategy<Value = Record> {
    let verb = prop_oneof![Just(Verb::Run), Just(Verb::Undo)];
    let end = prop_oneof![
        Just(EndKind::Done),
        Just(EndKind::Failed),
        Just(EndKind::Cancelled)
    ];
    let action = "[a-z]{1,3}/[a-z]{1,3}";
    let at = || Just("2026-01-01T00:00:00Z".to_owned());
    prop_oneof![
        (at(), action, verb.clone(), 1u32..9).prop_map(|(at, action, verb, attempt)| Record::Intent {
            at,
            action,
            verb,
            attempt
        }),
        (at(), action, verb, 1u32..9, end, "\\PC{0,9}", any::<bool>()).prop_map(
            |(at, action, verb, attempt, end, text, untouched)| Record::Result {
                at,
                action,
                verb,
                attempt,
                end,
                outputs: BTreeMap::from([("n".to_owned(), Recorded::Value(text.clone()))]),
                reason: Some(Reason {
                    untouched,
                    ..Reason::new(text)
                }),
            }
        ),
        (at(), "[a-z]{1,4}", action).prop_map(|(at, host, action)| Record::Quarantine { at, host, action }),
        at().prop_map(|at| Record::Decision {
            at,
            cause: Cause::Failed,
            decision: Decision::Rollback
        }),
    ]
}

fn journal() -> impl Strategy<Value = Vec<Record>> {
    let start = Record::Start {
        format: "1.0".to_owned(),
        plan: "sha256:0".to_owned(),
        run: "r".to_owned(),
        token: 1,
        at: String::new(),
    };
    proptest::collection::vec(record(), 0..6).prop_map(move |mut records| {
        records.insert(0, start.clone());
        records
    })
}

fn written(records: &[Record]) -> Vec<u8> {
    let mut head = Decoded::default().head().to_owned();
    let mut bytes = Vec::new();
    for record in records {
        let (line, next) = encode(&head, record).unwrap();
        bytes.extend(line.into_bytes());
        head = next;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn cut_at_any_byte_the_records_before_are_left(records in journal()) {
        let bytes = written(&records);
        for cut in 0..=bytes.len() {
            let decoded = decode(&bytes[..cut]).unwrap();
            let lines = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
            prop_assert_eq!(&decoded.records[..], &records[..lines]);
            prop_assert_eq!(decoded.torn, decoded.bytes != cut);
            // What was appended after a cut tail fits.
            let mut whole = bytes[..decoded.bytes].to_vec();
            for record in &records[lines..] {
                let (line, _) = encode(decode(&whole).unwrap().head(), record).unwrap();
                whole.extend(line.into_bytes());
            }
            prop_assert_eq!(&whole, &bytes);
        }
    }

    #[test]
    fn any_other_byte_but_the_last_line_break_is_noticed(records in journal(), flip in 1u8..=255) {
        let bytes = written(&records);
        for place in 0..bytes.len() - 1 {
            let mut damaged = bytes.clone();
            damaged[place] ^= flip;
            let line = bytes[..place].iter().filter(|byte| **byte == b'\n').count() + 1;
            match decode(&damaged) {
                Err(JournalError::Corrupt { line: found, .. }) => prop_assert_eq!(found, line),
                // The last line break but one went: the two last lines are one.
                other => prop_assert!(false, "byte {}: {:?}", place, other),
            }
        }
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= flip;
        let decoded = decode(&damaged).unwrap();
        prop_assert!(decoded.torn);
        prop_assert_eq!(&decoded.records[..], &records[..records.len() - 1]);
    }

    #[test]
    fn reading_in_two_parts_is_reading_at_once(records in journal(), cut in 0usize..7) {
        let cut = cut.min(records.len());
        let mut book = Book::read("sha256:0", &records[..cut]).unwrap();
        for record in &records[cut..] {
            book.apply(record);
        }
        prop_assert_eq!(book, Book::read("sha256:0", &records).unwrap());
    }
}

#[test]
fn a_newer_major_and_a_beginning_that_is_none_are_refused() {
    let start = |format: &str| Record::Start {
        format: format.to_owned(),
        plan: String::new(),
        run: String::new(),
        token: 1,
        at: String::new(),
    };
    assert!(decode(&written(&[start("1.7")])).is_ok());
    assert_eq!(
        decode(&written(&[start("2.0")])),
        Err(JournalError::Version("2.0".to_owned()))
    );
    let end = Record::End {
        at: String::new(),
        outcome: String::new(),
        used_up: true,
    };
    let error = decode(&written(&[end])).unwrap_err();
    assert!(matches!(error, JournalError::Corrupt { line: 1, .. }), "{error}");
    assert_eq!(decode(b""), Ok(Decoded::default()));
}
