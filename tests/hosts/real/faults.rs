//! Faults on real hosts: each strikes from outside while an action runs, and whatever the run comes to, the cluster is
//! afterwards what it was. The rows are what docs/reliability.md says of real hosts.

use super::Cluster;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What goes wrong.
enum Fault {
    /// A command on a host.
    On(&'static str, &'static str),
    /// A program of the site holds a port of a host.
    Held(&'static str, u16),
    /// It ends.
    Freed(&'static str),
    /// Words for `hosts.sh`.
    Hosts(&'static [&'static str]),
    /// mkectl is killed, and what it kept is deleted.
    Killed,
}

struct Case {
    stage: &'static str,
    /// The action that runs while it goes wrong.
    at: &'static str,
    /// In words, for the table.
    what: &'static str,
    fault: Fault,
    /// After how many seconds it is over, and what ends it.
    over: Option<(u64, Fault)>,
    /// Codes that the run may end with.
    ends: &'static [i32],
}

const CLOSED: &str = "d=/var/lib/mkectl; mount --bind $d $d && mount -o remount,bind,ro $d";
const OPEN: &str = "umount /var/lib/mkectl";
/// Takes a port as soon as what has it now is gone, and holds it for ten minutes.
const HOLDER: &str = "
import socket, sys, time
for _ in range(2000):
    try:
        held = socket.create_server((\"0.0.0.0\", int(sys.argv[1])))
        break
    except OSError:
        time.sleep(0.05)
else:
    sys.exit(1)
open(\"/run/held\", \"w\").close()
time.sleep(600)
";
const SESSIONS: &str = "pkill -KILL -f '^sshd: root' || :";
const FULL: &str = "d=/var/lib/mkectl; mkdir -p /run/was && cp -a $d/. /run/was/ && mount -t tmpfs -o size=$(($(du -sk $d | cut -f 1) + 64))k tmpfs $d && cp -a /run/was/. $d/";
const ROOM: &str = "d=/var/lib/mkectl; mount -o remount,size=1g $d";
const TOMORROW: &str = "printf '#!/bin/sh\\nexec /usr/bin/date -d \"+1 day\" \"$@\"\\n' >/usr/local/bin/date && chmod 755 /usr/local/bin/date";
const TODAY: &str = "rm /usr/local/bin/date";

const CASES: &[Case] = &[
    Case {
        stage: "prepare",
        at: "manager-1/stage-binaries",
        what: "all its sshd sessions killed",
        fault: Fault::On("manager-1", SESSIONS),
        over: None,
        ends: &[14],
    },
    Case {
        stage: "prepare",
        at: "worker-1/stage-binaries",
        what: "every process frozen for 20 s",
        fault: Fault::Hosts(&["freeze", "worker-1"]),
        over: Some((20, Fault::Hosts(&["thaw", "worker-1"]))),
        ends: &[14],
    },
    Case {
        stage: "prepare",
        at: "manager-2/prepull",
        what: "its cable pulled for 8 s",
        fault: Fault::Hosts(&["link", "manager-2", "down"]),
        over: Some((8, Fault::Hosts(&["link", "manager-2", "up"]))),
        ends: &[14],
    },
    Case {
        stage: "prepare",
        at: "worker-2/stage-binaries",
        what: "disk full under `/var/lib/mkectl`",
        fault: Fault::On("worker-2", FULL),
        over: Some((60, Fault::On("worker-2", ROOM))),
        ends: &[13, 12],
    },
    Case {
        stage: "prepare",
        at: "manager-2/stage-config",
        what: "`/var/lib/mkectl` read-only for 40 s",
        fault: Fault::On("manager-2", CLOSED),
        over: Some((40, Fault::On("manager-2", OPEN))),
        ends: &[13, 12, 14],
    },
    Case {
        stage: "prepare",
        at: "worker-1/prepull",
        what: "1 Mbit/s to and from it, and SSH takes 100 ms more each way, for 60 s",
        fault: Fault::Hosts(&["slow", "worker-1", "1000", "100"]),
        over: Some((60, Fault::Hosts(&["fast", "worker-1"]))),
        ends: &[14],
    },
    Case {
        stage: "quiesce",
        at: "manager-1/freeze-agents",
        what: "the clock of scripts on manager-2 goes forward by a day",
        fault: Fault::On("manager-2", TOMORROW),
        over: Some((30, Fault::On("manager-2", TODAY))),
        ends: &[14],
    },
    Case {
        stage: "quiesce",
        at: "manager-1/stop-apiservers",
        what: "manager-3 loses its power and boots after 10 s",
        fault: Fault::Hosts(&["crash", "manager-3"]),
        over: Some((10, Fault::Hosts(&["boot", "manager-3"]))),
        ends: &[14, 13, 12, 11],
    },
    Case {
        stage: "quiesce",
        at: "manager-2/copy-snapshot",
        what: "mkectl killed (SIGKILL), its state directory deleted",
        fault: Fault::Killed,
        over: None,
        ends: &[],
    },
    Case {
        stage: "first-controller",
        at: "manager-1/place-pki",
        what: "port 2380 held by a stranger",
        fault: Fault::Held("manager-1", 2380),
        over: Some((30, Fault::Freed("manager-1"))),
        ends: &[14, 13, 12],
    },
    Case {
        stage: "first-controller",
        at: "manager-1/start-lead",
        what: "loses its power and boots after 10 s",
        fault: Fault::Hosts(&["crash", "manager-1"]),
        over: Some((10, Fault::Hosts(&["boot", "manager-1"]))),
        ends: &[14, 13, 12, 11],
    },
    Case {
        stage: "controllers",
        at: "manager-2/join-controller",
        what: "loses its power and boots after 10 s",
        fault: Fault::Hosts(&["crash", "manager-2"]),
        over: Some((10, Fault::Hosts(&["boot", "manager-2"]))),
        ends: &[14, 13, 12, 11],
    },
    Case {
        stage: "controllers",
        at: "manager-3/join-controller",
        what: "mkectl killed (SIGKILL), its state directory deleted",
        fault: Fault::Killed,
        over: None,
        ends: &[],
    },
    Case {
        stage: "workers",
        at: "worker-1/join-worker",
        what: "loses its power and boots after 10 s",
        fault: Fault::Hosts(&["crash", "worker-1"]),
        over: Some((10, Fault::Hosts(&["boot", "worker-1"]))),
        ends: &[14, 13, 12, 11],
    },
    Case {
        stage: "workers",
        at: "worker-2/stop-node-worker",
        what: "port 10250 held by a stranger",
        fault: Fault::Held("worker-2", 10250),
        over: Some((60, Fault::Freed("worker-2"))),
        ends: &[14, 13, 12, 11],
    },
    Case {
        stage: "platform",
        at: "manager-1/mke4k",
        what: "loses its power and boots after 10 s",
        fault: Fault::Hosts(&["crash", "manager-1"]),
        over: Some((10, Fault::Hosts(&["boot", "manager-1"]))),
        ends: &[14, 13, 12, 11],
    },
    Case {
        stage: "verify",
        at: "manager-1/verify-cluster",
        what: "its sshd sessions killed",
        fault: Fault::On("manager-1", SESSIONS),
        over: None,
        ends: &[14],
    },
    // The last ones: from here on there is no way back, and one plan goes through them to its end.
    Case {
        stage: "commit",
        at: "manager-2/commit",
        what: "loses its power and boots after 10 s",
        fault: Fault::Hosts(&["crash", "manager-2"]),
        over: Some((10, Fault::Hosts(&["boot", "manager-2"]))),
        ends: &[14, 12, 11],
    },
    Case {
        stage: "cleanup",
        at: "manager-2/remove-mke3",
        what: "mkectl killed (SIGKILL), its state directory deleted",
        fault: Fault::Killed,
        over: None,
        ends: &[],
    },
    Case {
        stage: LAST,
        at: "worker-1/unlock",
        what: "its cable pulled for 8 s",
        fault: Fault::Hosts(&["link", "worker-1", "down"]),
        over: Some((8, Fault::Hosts(&["link", "worker-1", "up"]))),
        ends: &[0],
    },
];

/// The stage that ends a plan.
const LAST: &str = "outputs";

/// Stages that are gone through to the end, whatever happens.
const NO_WAY_BACK: [&str; 3] = ["commit", "cleanup", LAST];

/// The action of the case that CI tries: mkectl is lost in the outage, and another goes back from the plan and the hosts.
const IN_CI: &str = "manager-2/copy-snapshot";

impl Cluster {
    /// Loses mkectl in the outage; afterwards the cluster is what it was.
    pub(super) fn loses_mkectl(&self, before: &[(String, Vec<String>)]) {
        let (number, case) = CASES
            .iter()
            .enumerate()
            .find(|(_, case)| case.at == IN_CI && matches!(case.fault, Fault::Killed))
            .expect("the case of CI is one of them");
        let how = self.case(number, case, before);
        assert!(how.is_ok(), "{how:?}");
    }

    fn strike(&self, fault: &Fault, run: &mut Child) {
        match fault {
            Fault::On(host, command) => drop(self.on(host, &["sh", "-c", command])),
            Fault::Held(host, port) => {
                let command = format!(
                    "setsid python3 -c '{HOLDER}' {port} </dev/null >/dev/null 2>&1 & echo $! >/run/holder"
                );
                self.on(host, &["sh", "-c", &command]);
            }
            // That it never came to hold the port is a fault of the case.
            Fault::Freed(host) => {
                drop(self.on(host, &["sh", "-c", "kill $(cat /run/holder) && rm /run/held"]))
            }
            Fault::Hosts(words) => drop(self.script("hosts.sh", words)),
            Fault::Killed => {
                // The child is `timeout`, which makes a group of all that it starts.
                let group = format!("-{}", run.id());
                let killed = Command::new("kill")
                    .args(["-KILL", "--", &group])
                    .status()
                    .unwrap();
                assert!(killed.success(), "the group {group} cannot be killed");
                let _ = run.wait();
                fs::remove_dir_all(self.dir.join("state")).unwrap();
            }
        }
    }

    /// Waits until an action has begun, as the stream of events tells; false when the run ended before.
    fn begun(&self, action: &str, run: &mut Child) -> bool {
        let wanted = format!("\"type\":\"action-start\",\"action\":\"{action}\"");
        // A run ends by itself after as long as that.
        for _ in 0..18_000 {
            let events = fs::read_to_string(self.dir.join("events.jsonl")).unwrap_or_default();
            if events.contains(&wanted) {
                return true;
            }
            if run.try_wait().unwrap().is_some() {
                return false;
            }
            sleep(Duration::from_millis(50));
        }
        false
    }

    /// Runs one case to its end. What it came to, in words; an error is what is against the promises.
    fn case(&self, number: usize, case: &Case, before: &[(String, Vec<String>)]) -> Result<String, String> {
        let no_way_back = NO_WAY_BACK.contains(&case.stage);
        let plan = match no_way_back {
            true => "plan-on.json".to_owned(),
            false => format!("plan-{number}.json"),
        };
        let mut words = vec!["apply", &plan, "--yes", "--mke3-config", "mke3.toml"];
        if case.stage != LAST {
            words.extend(["--until", case.stage]);
        }
        match self.dir.join(&plan).exists() {
            true => words.push("--resume"),
            false => self.plan(&plan),
        }
        let assets = self.assets();
        words.extend(["--events", "events.jsonl"]);
        words.extend(assets.iter().map(String::as_str));
        let log = fs::File::create(self.dir.join(format!("case-{number}.log"))).unwrap();
        let _ = fs::remove_file(self.dir.join("events.jsonl"));
        let mut run = self
            .start(&words)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        if !self.begun(case.at, &mut run) {
            return Err("its action did not begin".to_owned());
        }
        self.strike(&case.fault, &mut run);
        if let Some((seconds, end)) = &case.over {
            sleep(Duration::from_secs(*seconds));
            self.strike(end, &mut run);
        }
        let code = run.wait().unwrap().code();
        let mut how = match code {
            Some(14 | 0) => "went on".to_owned(),
            Some(13) => "rolled back by itself".to_owned(),
            Some(12) => "left to a person".to_owned(),
            Some(11) => "paused".to_owned(),
            _ if matches!(case.fault, Fault::Killed) => {
                "taken up from the plan and the hosts alone".to_owned()
            }
            other => return Err(format!("ended with {other:?}")),
        };
        if !matches!(case.fault, Fault::Killed) && !case.ends.iter().any(|end| code == Some(*end)) {
            return Err(format!("{how}, which is not what is promised"));
        }
        if no_way_back {
            let done = match case.stage {
                LAST => Some(0),
                _ => Some(14),
            };
            if code != done {
                // The same words: it goes on from where it was lost.
                if !words.contains(&"--resume") {
                    words.push("--resume");
                }
                let output = self.start(&words).output().unwrap();
                if output.status.code() != done {
                    return Err(format!("{how}; resumed: {}", super::said(&output)));
                }
                how.push_str(", and on");
            }
            if case.stage == LAST {
                self.is_upgraded(&super::keys(&before[0].1));
                return Ok(how + ", all that users had is there");
            }
            let output = self.start(&["rollback", &plan, "--yes"]).output().unwrap();
            return match output.status.code() {
                Some(12) => Ok(how + "; a rollback is refused"),
                _ => Err(format!("{how}; the rollback: {}", super::said(&output))),
            };
        }
        if code != Some(13) {
            let output = self.start(&["rollback", &plan, "--yes"]).output().unwrap();
            if output.status.code() != Some(13) {
                return Err(format!("{how}; the rollback: {}", super::said(&output)));
            }
            how.push_str("; rolled back");
        }
        let differences = self.differences(before);
        if differences.is_empty() {
            return Ok(how + ", as before");
        }
        Err(format!("{how}; {}", differences.join("; ")))
    }
}

/// `MKECTL_REAL_CASES` are parts of the names of the cases to try ("quiesce,worker-1/"); all without it. The rows of the
/// table in docs/reliability.md go to the file `MKECTL_REAL_TABLE`.
#[test]
#[ignore = "an hour and a half, as root: .ci/install real, then cargo test --test hosts real::faults -- --ignored --nocapture"]
fn whatever_goes_wrong_the_cluster_is_afterwards_what_it_was() {
    let wanted = std::env::var("MKECTL_REAL_CASES").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split(',').filter(|part| !part.is_empty()).collect();
    let names: Vec<String> = CASES
        .iter()
        .map(|case| format!("{} {} {}", case.stage, case.at, case.what))
        .collect();
    for part in &wanted {
        assert!(
            names.iter().any(|name| name.contains(part)),
            "no case is called {part:?}"
        );
    }
    let cluster = Cluster::up();
    let before = cluster.picture();
    let mut wrong = Vec::new();
    let mut table = String::new();
    for (number, case) in CASES.iter().enumerate() {
        if !wanted.is_empty() && !wanted.iter().any(|part| names[number].contains(part)) {
            continue;
        }
        let began = Instant::now();
        let how = match cluster.case(number, case, &before) {
            Ok(how) => how,
            Err(why) => {
                wrong.push(format!("{} {}: {why}", case.at, case.what));
                format!("**{why}**")
            }
        };
        let seconds = began.elapsed().as_secs();
        let row = format!(
            "| {} | {} | {} | {how} | {seconds} |\n",
            case.stage, case.at, case.what
        );
        eprint!("{row}");
        table.push_str(&row);
        if let Some(file) = std::env::var_os("MKECTL_REAL_TABLE") {
            fs::write(file, &table).unwrap();
        }
        if !wrong.is_empty() {
            // What comes after would begin in a cluster that is not as it was.
            break;
        }
    }
    assert!(wrong.is_empty(), "{table}\n{}", wrong.join("\n"));
}
