//! A run whose machine is lost with everything on it: the plan, the hosts and the copies on the managers are enough.
//!
//! The managers are three stores. A run reaches those that are there for it, acts when two have what it wrote, and may die at
//! any record, with that record on none, one or some of them.

use super::world::{Fault, World};
use super::{Case, case, ids, kept, spec};
use mkectl::apply::copies::{Copy, choose};
use mkectl::apply::engine::Direction;
use mkectl::apply::journal::{Journal, Kept, MemoryStore, Record, Store, decode, encode};
use mkectl::apply::{Fut, Outcome, RunError, RunResult, Verb, run};
use proptest::prelude::*;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

const MANAGERS: usize = 3;

/// Copies of the journal on the managers.
type Copies = Arc<Mutex<[Vec<u8>; MANAGERS]>>;

/// Writes to the managers that are there, and dies at a record.
struct Spread {
    copies: Copies,
    /// Managers in the order in which a record reaches them; the others are away.
    there: Vec<usize>,
    /// Records until the end.
    left: usize,
    /// How many managers the last record still reaches.
    reached: usize,
    /// How many of its bytes reach the last of these.
    torn: usize,
    dead: Arc<Notify>,
}

impl Store for Spread {
    fn append<'a>(&'a mut self, lines: &'a [u8]) -> Fut<'a, io::Result<()>> {
        Box::pin(async move {
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                let dies = self.left == 0;
                {
                    let mut copies = self.copies.lock().unwrap();
                    let reached = if dies { self.reached } else { self.there.len() };
                    for (at, manager) in self.there.iter().take(reached).enumerate() {
                        let whole = !dies || at + 1 < reached;
                        let cut = if whole {
                            line.len()
                        } else {
                            self.torn.min(line.len())
                        };
                        copies[*manager].extend_from_slice(&line[..cut]);
                    }
                }
                if dies {
                    self.dead.notify_one();
                    std::future::pending::<()>().await;
                }
                self.left -= 1;
            }
            Ok(())
        })
    }

    fn sync(&mut self) -> Fut<'_, io::Result<Kept>> {
        let kept = match self.there.len() * 2 > MANAGERS {
            true => Kept::Safe,
            false => Kept::Here,
        };
        Box::pin(std::future::ready(Ok(kept)))
    }
}

/// How one run goes.
#[derive(Clone, Debug)]
struct Life {
    there: Vec<usize>,
    records: usize,
    reached: usize,
    torn: usize,
    /// How long nobody looks afterwards.
    pause_s: u64,
    back: bool,
}

impl Life {
    fn whole(back: bool) -> Life {
        Life {
            there: vec![0, 1, 2],
            records: usize::MAX,
            reached: 0,
            torn: 0,
            pause_s: 0,
            back,
        }
    }
}

/// Takes the run up from what a majority has, as another machine would, and lets it live. `None` when it died.
async fn live(
    world: &Arc<World>,
    copies: &Copies,
    token: u64,
    life: &Life,
) -> Option<Result<RunResult, RunError>> {
    let read: Vec<Copy> = life
        .there
        .iter()
        .map(|at| Copy::read(format!("m{at}"), copies.lock().unwrap()[*at].clone()).unwrap())
        .collect();
    let (best, _) = choose(&read).unwrap().unwrap();
    for at in &life.there {
        copies.lock().unwrap()[*at].clone_from(&best.bytes);
    }
    let dead = Arc::new(Notify::new());
    let store = Spread {
        copies: Arc::clone(copies),
        there: life.there.clone(),
        left: life.records,
        reached: life.reached.min(life.there.len()),
        torn: life.torn,
        dead: Arc::clone(&dead),
    };
    let Case { mut setup, .. } = case(world);
    setup.journal = Journal::after(Box::new(store), &best.decoded);
    setup.earlier = best.decoded.records.clone();
    setup.token = token;
    if life.back {
        setup.direction = Direction::Back;
    }
    let ended = tokio::select! {
        result = run(setup) => Some(result),
        () = dead.notified() => None,
    };
    tokio::time::sleep(Duration::from_secs(life.pause_s)).await;
    ended
}

/// How many records an undisturbed run writes.
async fn undisturbed() -> usize {
    let world = World::new(&spec(), &[]);
    let copies = Copies::default();
    live(&world, &copies, 1, &Life::whole(false)).await;
    let bytes = copies.lock().unwrap()[0].clone();
    decode(&bytes).unwrap().records.len()
}

#[tokio::test(start_paused = true)]
async fn killed_at_every_record_with_its_machine_lost_it_is_resumed_or_rolled_back_from_the_managers() {
    let all = undisturbed().await;
    assert!(all > 2 * spec().actions.len(), "{all}");
    for records in 0..all {
        for back in [false, true] {
            // Rolling back is looked at more coarsely: each is a whole run and a whole way back.
            if back && records % 5 != 1 {
                continue;
            }
            let world = World::new(&spec(), &[]);
            let copies = Copies::default();
            let first = Life {
                // One manager is away, each in turn, and comes back for the second run in place of another.
                there: vec![records % 3, (records + 1) % 3],
                records,
                reached: records % 3,
                torn: records % 90,
                pause_s: records as u64 * 7 % 90,
                back: false,
            };
            assert!(live(&world, &copies, 1, &first).await.is_none(), "{records}");
            let second = Life {
                there: vec![(records + 2) % 3, (records + 1) % 3],
                ..Life::whole(back)
            };
            let begun = !copies.lock().unwrap()[(records + 1) % 3].is_empty();
            let gone =
                String::from_utf8_lossy(&copies.lock().unwrap()[(records + 1) % 3]).contains("/commit\"");
            let ended = live(&world, &copies, 2, &second).await.unwrap();
            kept(&world);
            match (back, ended) {
                (false, ended) => {
                    assert_eq!(ended.unwrap().outcome, Outcome::Done, "after {records} records");
                    assert_eq!(world.applied(), ids(), "after {records} records");
                }
                (true, Ok(result)) => {
                    let outcome = match begun {
                        true => Outcome::RolledBack,
                        false => result.outcome.clone(),
                    };
                    assert!(!gone, "after {records} records");
                    assert_eq!(result.outcome, outcome, "after {records} records");
                    assert_eq!(world.leftovers(), [""; 0], "after {records} records");
                }
                (true, Err(error)) => {
                    assert!(gone && matches!(error, RunError::Rollback(_)), "{error}");
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_is_killed_again_and_again_ends_as_one() {
    let failing = spec()
        .actions
        .iter()
        .find(|it| it.step == "join-controller")
        .unwrap()
        .id
        .clone();
    for every in [7, 31] {
        let world = World::new(&spec(), &[(Verb::Run, &failing, Fault::Fail)]);
        let copies = Copies::default();
        let mut lives = 0;
        let result = loop {
            lives += 1;
            assert!(lives < 3000, "it does not come to an end");
            let life = Life {
                there: vec![lives % 3, (lives + 1) % 3],
                // The start of a run, and some more.
                records: every + 1,
                reached: lives % 3,
                torn: lives % 50,
                pause_s: 20,
                back: false,
            };
            if let Some(ended) = live(&world, &copies, lives as u64, &life).await {
                break ended.unwrap();
            }
        };
        kept(&world);
        assert!(lives > 3, "{lives}");
        assert_eq!(result.outcome, Outcome::RolledBack, "{every}");
        assert_eq!(world.leftovers(), [""; 0], "{every}");
        // And once more: there is nothing left to do.
        let again = live(&world, &copies, 9999, &Life::whole(true)).await.unwrap();
        assert!(matches!(again, Err(RunError::UsedUp)), "{again:?}");
    }
}

fn life() -> impl Strategy<Value = Life> {
    (0usize..6, 0usize..120, 0usize..4, 0usize..400, 0u64..200, 0u8..8).prop_map(
        |(order, records, reached, torn, pause_s, back)| {
            let all = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
            Life {
                there: all[order][..2 + usize::from(records % 2 == 0)].to_vec(),
                records,
                reached,
                torn,
                pause_s,
                back: back == 0,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn whatever_dies_and_comes_back_the_end_is_that_of_an_undisturbed_run(lives in prop::collection::vec(life(), 1..9)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let world = World::new(&spec(), &[]);
            let copies = Copies::default();
            let mut back = false;
            let mut ended = None;
            let mut token = 0;
            for life in lives.iter().chain([&Life::whole(false)]) {
                token += 1;
                // A rollback that was decided goes on as one, and before a start is written there is nothing to undo.
                let life = Life { back: life.back && token > 1, ..life.clone() };
                ended = live(&world, &copies, token, &life).await;
                if life.back && matches!(ended, Some(Err(RunError::Rollback(_)))) {
                    // After the point of no return there is no way back, and asking for it changes nothing.
                    ended = None;
                    continue;
                }
                back |= copies.lock().unwrap().iter().any(|bytes| {
                    let records = decode(bytes).unwrap().records;
                    records.iter().any(|record| matches!(record, Record::Decision { .. }))
                });
                if ended.is_some() {
                    break;
                }
            }
            kept(&world);
            let outcome = match ended.unwrap() {
                Ok(result) => Some(result.outcome),
                // It died with its last record, which the managers have: there was nothing left to do.
                Err(RunError::UsedUp) => None,
                Err(error) => panic!("{error}"),
            };
            if back {
                assert!(matches!(outcome, None | Some(Outcome::RolledBack)), "{outcome:?}");
                assert_eq!(world.leftovers(), [""; 0]);
            } else {
                assert!(matches!(outcome, None | Some(Outcome::Done)), "{outcome:?}");
                assert_eq!(world.applied(), ids());
            }
        });
    }
}

#[test]
fn a_copy_cut_at_any_byte_is_behind_and_nothing_else() {
    let mut head = decode(b"").unwrap().head().to_owned();
    let mut bytes = Vec::new();
    for number in 0..6u32 {
        let record = match number {
            0 => Record::Start {
                format: "1.0".to_owned(),
                plan: "p".to_owned(),
                run: "r".to_owned(),
                token: 1,
                at: String::new(),
            },
            attempt => Record::Intent {
                at: String::new(),
                action: "h/s".to_owned(),
                verb: Verb::Run,
                attempt,
            },
        };
        let (line, next) = encode(&head, &record).unwrap();
        bytes.extend(line.into_bytes());
        head = next;
    }
    let whole = Copy::read("whole", bytes.clone()).unwrap();
    for cut in 0..bytes.len() {
        let copies = [Copy::read("cut", bytes[..cut].to_vec()).unwrap(), whole.clone()];
        let (best, superseded) = choose(&copies).unwrap().unwrap();
        assert_eq!((best, superseded.len()), (&whole, 0), "{cut}");
    }
    // In memory a store keeps what it is given, and says so.
    let mut store = MemoryStore::default();
    let kept = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(store.sync());
    assert_eq!(kept.unwrap(), Kept::Safe);
}
