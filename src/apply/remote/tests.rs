//! What becomes of an action when its probe, or the disk of its host, is in the way.

use super::*;
use crate::apply::runner::{Ended, Kept};

fn ran(state: AttemptState) -> Ran {
    Ran {
        attempt: Attempt {
            action: ActionName::new("m", "stop-kv"),
            verb: Verb::Probe,
            number: 1,
        },
        report: Report {
            state,
            stdout: 0,
            stderr: 0,
            outputs: BTreeMap::new(),
        },
        stderr: Vec::new(),
        said: Vec::new(),
    }
}

fn ended(status: u32) -> AttemptState {
    AttemptState::Ended(Ended {
        how: How::Exited,
        status,
        began: 0,
        ended: 0,
        stdout_kept: Kept::Whole,
        stderr_kept: Kept::Whole,
    })
}

#[test]
fn a_probe_that_was_killed_is_asked_again() {
    for state in [ended(137), ended(143), AttemptState::Lost(Lost::Reboot)] {
        let end = cut_off(&ran(state.clone()));
        assert!(matches!(end, Some(ActionEnd::Temporary(_))), "{state:?}: {end:?}");
    }
    for status in [0, 1, 10, 11, 12, 20, 127] {
        assert!(
            cut_off(&ran(ended(status))).is_none(),
            "{status} is an answer, or that of a probe that cannot tell"
        );
    }
}

#[test]
fn what_room_or_a_restart_explains_is_worth_another_try() {
    let refused = |why| {
        ActionEnd::from(Fault::Runner(RunnerError::Refused {
            call: "start",
            why,
            complaint: String::new(),
        }))
    };
    for why in [
        Refusal::DiskFull,
        Refusal::Busy,
        Refusal::Missing,
        Refusal::Unwritable,
    ] {
        assert!(matches!(refused(why), ActionEnd::Temporary(_)), "{why:?}");
    }
    for why in [Refusal::Words, Refusal::Hash, Refusal::NoTmpfs, Refusal::Never] {
        assert!(matches!(refused(why), ActionEnd::Failed(_)), "{why:?}");
    }
    assert!(matches!(refused(Refusal::Token), ActionEnd::Cancelled(reason) if reason.untouched));
    let killed = RunnerError::NoAnswer {
        call: "read",
        why: "signal KILL".to_owned(),
    };
    assert!(matches!(
        ActionEnd::from(Fault::Runner(killed)),
        ActionEnd::Temporary(_)
    ));
}
