//! Faults of a rehearsal: what goes wrong on a host at the moment when its runner is asked to start something.
//!
//! They strike from outside: in the connection, in the programs that a host finds first, in its processes, disk and clock.
//! Scripts are the plan's, byte for byte, and nothing here knows what an action is: a name is compared with a name.

mod host;
mod script;

use super::model::{Cluster, Crash};
use super::sandbox::Entry;
use super::server::Storm;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// The script fails before it does anything.
    Fail,
    /// The script does everything and fails then.
    FailAfter,
    /// The script is killed half-way, with everything that it runs.
    Killed,
    /// The script never ends.
    Hang,
    /// What the script hands on is nonsense.
    WrongOutput,
    /// The connection is cut.
    Drop,
    /// The host cannot be reached for some seconds.
    Gone,
    /// The host cannot be reached any more.
    Lost,
    /// The host is restarted.
    Reboot,
    /// The disk is full for some seconds.
    DiskFull,
    /// The clock goes forward by a day.
    Clock,
    /// The etcd member on the host dies.
    EtcdLost,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [FaultKind; 12] = [
        FaultKind::Fail,
        FaultKind::FailAfter,
        FaultKind::Killed,
        FaultKind::Hang,
        FaultKind::WrongOutput,
        FaultKind::Drop,
        FaultKind::Gone,
        FaultKind::Lost,
        FaultKind::Reboot,
        FaultKind::DiskFull,
        FaultKind::Clock,
        FaultKind::EtcdLost,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::Fail => "fail",
            FaultKind::FailAfter => "fail-after",
            FaultKind::Killed => "killed",
            FaultKind::Hang => "hang",
            FaultKind::WrongOutput => "wrong-output",
            FaultKind::Drop => "drop",
            FaultKind::Gone => "gone",
            FaultKind::Lost => "lost",
            FaultKind::Reboot => "reboot",
            FaultKind::DiskFull => "disk-full",
            FaultKind::Clock => "clock",
            FaultKind::EtcdLost => "etcd-lost",
        }
    }

    /// What it is, as a sentence that begins with the host or its script.
    pub fn about(self) -> &'static str {
        match self {
            FaultKind::Fail => "the script fails before it does anything",
            FaultKind::FailAfter => "the script does its work and then fails",
            FaultKind::Killed => "the script is killed half-way",
            FaultKind::Hang => "the script never ends, in each attempt",
            FaultKind::WrongOutput => "what the script hands on is nonsense",
            FaultKind::Drop => "the connection is cut twice while the script runs",
            FaultKind::Gone => "the host cannot be reached for four seconds",
            FaultKind::Lost => "the host cannot be reached any more",
            FaultKind::Reboot => "the host is restarted while the script runs",
            FaultKind::DiskFull => "the disk is full for ten seconds",
            FaultKind::Clock => "the clock goes forward by a day",
            FaultKind::EtcdLost => "the etcd member on the host dies",
        }
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<FaultKind> {
        FaultKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether it comes again in each attempt. The others strike once.
    fn lasts(self) -> bool {
        matches!(self, FaultKind::Hang)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault that is to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Host on which it strikes.
    pub host: String,
    /// What the runner of that host is asked to start, by its own name for it.
    pub action: String,
    /// Verb that is asked for.
    pub verb: String,
    /// What goes wrong.
    pub kind: FaultKind,
}

/// Faults of a lab: those that are to come, and how often one struck.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    coming: Vec<Fault>,
    struck: usize,
}

impl Faults {
    pub(super) fn arm(&self, fault: Fault) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .coming
            .push(fault);
    }

    /// Nothing more comes.
    pub(super) fn disarm(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .coming
            .clear();
    }

    pub(super) fn struck(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).struck
    }

    /// The fault that this command line of a host calls for.
    fn called(&self, host: &str, line: &str) -> Option<Fault> {
        let (action, verb) = asked(line)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = known
            .coming
            .iter()
            .position(|fault| fault.host == host && fault.action == action && fault.verb == verb)?;
        let fault = match known.coming.get(at) {
            Some(fault) if fault.kind.lasts() => fault.clone(),
            _ => known.coming.remove(at),
        };
        known.struck += 1;
        Some(fault)
    }
}

/// What a command line asks the runner of a host to start: `… PATH/runner start ACTION VERB …`.
fn asked(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace().map(|word| word.trim_matches('\''));
    words.find(|word| word.ends_with("/runner"))?;
    match (words.next(), words.next(), words.next()) {
        (Some("start"), Some(action), Some(verb)) => Some((action, verb)),
        _ => None,
    }
}

/// Where faults of one host strike.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(super) host: String,
    pub(super) entry: Entry,
    pub(super) cluster: Arc<Cluster>,
    pub(super) faults: Faults,
}

impl Place {
    /// Lets come what this command line calls for, before it is run. What takes longer goes on beside it.
    pub(super) async fn before(self, line: String, storm: Storm) {
        let Some(fault) = self.faults.called(&self.host, &line) else {
            return;
        };
        match fault.kind {
            FaultKind::Fail | FaultKind::FailAfter | FaultKind::Hang | FaultKind::WrongOutput => {
                self.inside(script::interpose(&fault)).await;
            }
            FaultKind::Clock => self.inside(script::clock()).await,
            FaultKind::Killed => {
                self.cluster.state().crash = Some(Crash {
                    host: self.host.clone(),
                    calls: 0,
                    after: true,
                });
            }
            FaultKind::Drop => drop(tokio::spawn(async move {
                for pause in [50, 400] {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    storm.cut();
                }
            })),
            FaultKind::Gone => drop(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                storm.gone(true);
                tokio::time::sleep(Duration::from_secs(4)).await;
                storm.gone(false);
            })),
            FaultKind::Lost => drop(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                storm.gone(true);
            })),
            FaultKind::Reboot => drop(tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(300)).await;
                storm.gone(true);
                self.reboot().await;
                tokio::time::sleep(Duration::from_secs(2)).await;
                storm.gone(false);
            })),
            FaultKind::DiskFull => {
                self.fill().await;
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_secs(10)).await;
                    self.make_room().await;
                });
            }
            FaultKind::EtcdLost => self.end_etcd().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_once_and_found_by_name() {
        for kind in FaultKind::ALL {
            assert_eq!(FaultKind::named(kind.name()), Some(kind));
        }
        assert_eq!(FaultKind::named("flood"), None);
    }

    #[test]
    fn a_fault_strikes_once_where_it_was_armed_and_nowhere_else() {
        let faults = Faults::default();
        let fault = |kind| Fault {
            host: "w".to_owned(),
            action: "w.join-worker".to_owned(),
            verb: "run".to_owned(),
            kind,
        };
        let line =
            |call: &str| format!("sudo -n sh /var/lib/mkectl/0123456789abcdef/runner {call} run 1 7 2");
        faults.arm(fault(FaultKind::Fail));
        for (host, call) in [
            ("m", "start w.join-worker"),
            ("w", "start w.stop-node-worker"),
            ("w", "wait w.join-worker"),
        ] {
            assert_eq!(faults.called(host, &line(call)), None, "{host} {call}");
        }
        assert!(faults.called("w", &line("start w.join-worker")).is_some());
        assert_eq!(
            faults.called("w", &line("start w.join-worker")),
            None,
            "a second time"
        );
        faults.arm(fault(FaultKind::Hang));
        assert!(faults.called("w", &line("start w.join-worker")).is_some());
        assert!(
            faults.called("w", &line("start w.join-worker")).is_some(),
            "it hangs again"
        );
        assert_eq!(faults.struck(), 3);
    }
}
