//! Who may run a plan, with real processes: from several homes, frozen and woken, locked out and let in.

use super::{Desk, HOSTS, text};
use mkectl::plan::digest::{digest, digest_bytes};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Long enough for a busy machine to renew in, short enough to wait for.
const LEASE: &str = "6";

impl Desk {
    /// `mkectl apply` from a home that has seen nothing of earlier runs unless this one made them.
    fn from(&self, home: &str, plan: &str, words: &[&str]) -> Command {
        let state = self.path(home);
        let mut command = self.command(plan, &["--yes", "--lease-seconds", LEASE, "--until", "prepare"]);
        command.arg("--state-dir").arg(state).args(words);
        command
    }

    fn begin(&self, home: &str, plan: &str, words: &[&str]) -> Child {
        self.from(home, plan, words)
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.path(&format!("{home}.log"))).unwrap())
            .spawn()
            .unwrap()
    }

    fn said(&self, home: &str) -> String {
        fs::read_to_string(self.path(&format!("{home}.log"))).unwrap()
    }

    fn journal(&self, home: &str) -> PathBuf {
        let digest = digest(&self.spec).unwrap();
        self.path(home)
            .join(&digest["sha256:".len()..][..16])
            .join("journal.jsonl")
    }

    /// Every attempt at an action that was started on any host.
    fn attempts(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for host in HOSTS {
            for change in self.stage.lab.changes(host).unwrap() {
                if change.path.ends_with("/claim") {
                    found.insert(format!("{host} {}", change.path));
                }
            }
        }
        found
    }

    /// The copies of the journal on the managers, as the run with the highest number left them.
    fn copies(&self) -> Vec<String> {
        let digest = digest(&self.spec).unwrap();
        let place = format!("/var/lib/mkectl/{}/journal", &digest["sha256:".len()..][..16]);
        let newest = format!("cd {place} && cat \"$(ls | sort -n | tail -n 1)\"");
        let copies = HOSTS[..3].iter().map(|host| {
            let entry = self.stage.lab.entry(host).unwrap();
            let output = entry.command(["sh", "-c", &newest]).output().unwrap();
            assert!(output.status.success(), "{host}: {}", text(&output.stderr));
            text(&output.stdout)
        });
        copies.collect()
    }

    fn other(&self, command: &str, plan: &str, words: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_mkectl"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .args([command, plan])
            .args(words)
            .output()
            .unwrap()
    }
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

fn eventually(what: &str, test: impl Fn() -> bool) {
    for _ in 0..6000 {
        if test() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no {what}");
}

#[test]
fn of_many_that_want_a_cluster_exactly_one_works() {
    let desk = Desk::new();
    let plan = desk.save("plan.json", &desk.spec);
    let mut spec = desk.spec.clone();
    spec.intent
        .options
        .insert("remark".to_owned(), "another plan".to_owned());
    let another = desk.save("another.json", &spec);

    // The first one is frozen in the middle of its work.
    let mut first = desk.begin("first", &plan, &[]);
    let journal = desk.journal("first");
    eventually("journal", || {
        fs::read_to_string(&journal).is_ok_and(|text| text.lines().count() > 12)
    });
    // Somebody else with another plan has to wait, and so has whoever comes without --resume.
    let refused = desk.from("stranger", &another, &[]).output().unwrap();
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(9), "{said}");
    assert!(
        said.contains("holds this cluster") && said.contains("mkectl unlock"),
        "{said}"
    );
    signal(&first, "STOP");
    let refused = desk.from("second", &plan, &[]).output().unwrap();
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("this plan was begun before"), "{said}");

    // Two others want to go on with it, from homes that know nothing. One gets it.
    let mut others = [
        desk.begin("second", &plan, &["--resume"]),
        desk.begin("third", &plan, &["--resume"]),
    ];
    let codes = others.each_mut().map(|child| child.wait().unwrap().code());
    let said = format!("{}\n{}", desk.said("second"), desk.said("third"));
    let mut sorted = codes;
    sorted.sort();
    assert_eq!(sorted, [Some(9), Some(14)], "{said}");
    let worker = if codes[0] == Some(14) { "second" } else { "third" };

    // The first one wakes with a token that is too low, and gets nothing started anywhere.
    let before = desk.attempts();
    assert!(!before.is_empty());
    signal(&first, "CONT");
    let ended = first.wait().unwrap();
    let said = desk.said("first");
    assert_eq!(ended.code(), Some(11), "{said}");
    assert!(said.contains("does not hold the cluster any more"), "{said}");
    assert_eq!(desk.attempts(), before, "{said}");
    let text_of = |home: &str| fs::read_to_string(desk.journal(home)).unwrap();
    assert!(text_of(worker).contains("\"outcome\":\"gate\""));
    assert!(!text_of("first").contains("\"outcome\":\"gate\""));
    for copy in desk.copies() {
        assert_eq!(copy, text_of(worker));
    }

    // From a home that has nothing, it is known how far it came and that the cluster is kept.
    let status = desk.other("status", &plan, &["--state-dir", "/nonexistent"]);
    let said = text(&status.stdout);
    assert_eq!(status.status.code(), Some(0), "{said}{}", text(&status.stderr));
    assert!(said.contains("3 of 3 managers were asked"), "{said}");
    assert!(said.contains("kept for this plan"), "{said}");
    let offline = desk.other("status", &plan, &["--offline", "--state-dir", "/nonexistent"]);
    let said = text(&offline.stdout);
    assert!(
        said.contains("knows of no run") && said.contains("only this machine"),
        "{said}"
    );

    // A paused run keeps the cluster from other plans, until somebody says that it shall not.
    let refused = desk.from("stranger", &another, &[]).output().unwrap();
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(9), "{said}");
    assert!(said.contains("has paused"), "{said}");
    let unsaid = desk.other("unlock", &plan, &[]);
    assert_eq!(unsaid.status.code(), Some(6), "{}", text(&unsaid.stderr));
    let unlocked = desk.other("unlock", &plan, &["--yes"]);
    let said = text(&unlocked.stderr);
    assert_eq!(unlocked.status.code(), Some(0), "{said}");
    assert!(
        said.contains("kept for this plan") && said.contains("the cluster is free"),
        "{said}"
    );
    let again = desk.other("unlock", &plan, &["--yes"]);
    assert!(
        text(&again.stderr).contains("nothing to unlock"),
        "{}",
        text(&again.stderr)
    );

    // What two copies tell differently, no run decides.
    let path = desk.journal(worker);
    let mut lines = text_of(worker);
    let cut = lines.trim_end().rfind('\n').unwrap() + 1;
    let decoded = mkectl::apply::journal::decode(&lines.as_bytes()[..cut]).unwrap();
    let other = mkectl::apply::journal::Record::End {
        at: "another time".to_owned(),
        outcome: "done".to_owned(),
        used_up: false,
    };
    lines.truncate(cut);
    lines.push_str(&mkectl::apply::journal::encode(decoded.head(), &other).unwrap().0);
    fs::write(&path, lines).unwrap();
    let forked = desk.from(worker, &plan, &["--resume"]).output().unwrap();
    let said = text(&forked.stderr);
    assert_eq!(forked.status.code(), Some(12), "{said}");
    let record = format!("differ from record {}", decoded.records.len() + 1);
    assert!(
        said.contains(&record) && said.contains("manager-0") && said.contains(&*path.to_string_lossy()),
        "{said}"
    );
}

/// The run does not wait for one of three, and brings it up to date when it is there again. Then it is undone from elsewhere.
#[test]
fn a_manager_that_comes_back_gets_the_whole_journal_and_another_home_goes_back() {
    let desk = Desk::new();
    let plan = desk.save("plan.json", &desk.spec);
    let mut run = desk.begin("home", &plan, &[]);
    let journal = desk.journal("home");
    let lines = || fs::read_to_string(&journal).map_or(0, |text| text.lines().count());
    eventually("journal", || lines() > 12);
    let away = desk.stage.lab.server("manager-03").unwrap();
    away.gone(true);
    let before = lines();
    eventually("further records", || lines() > before + 4);
    away.gone(false);
    assert_eq!(run.wait().unwrap().code(), Some(14), "{}", desk.said("home"));
    let here = fs::read_to_string(&journal).unwrap();
    for copy in desk.copies() {
        assert_eq!(copy, here);
    }

    // Another home, which has seen nothing of it, goes back.
    let elsewhere = desk.path("elsewhere").to_string_lossy().into_owned();
    let back = desk.other("rollback", &plan, &["--yes", "--state-dir", &elsewhere]);
    assert_eq!(back.status.code(), Some(13), "{}", text(&back.stderr));
    let status = desk.other("status", &plan, &["--state-dir", "/nonexistent"]);
    let said = text(&status.stdout);
    assert!(
        said.contains("ended: nothing is left to do") && said.contains("nobody holds this cluster"),
        "{said}"
    );
}

/// What the lost run started is a script of minutes, which nobody watches over any more. It ends before its undo begins:
/// beside each other they would work against each other.
#[test]
fn what_a_lost_run_left_running_is_stopped_before_it_is_undone() {
    const LONG: &str = "sleep 1000017";
    let desk = Desk::new();
    let mut spec = desk.spec.clone();
    let step = spec
        .steps
        .iter_mut()
        .find(|step| step.id == "stage-config")
        .unwrap();
    let known = step.script_digest.as_deref().unwrap();
    let script = format!("[ \"$1\" != run ] || {LONG}\n{}", spec.scripts[known]);
    let digest = digest_bytes(&script);
    step.script_digest = Some(digest.clone());
    spec.scripts.insert(digest, script);
    let plan = desk.save("plan.json", &spec);
    let look = format!(
        "for line in /proc/[0-9]*/cmdline; do [ \"$(tr '\\0' ' ' <$line)\" != '{LONG} ' ] || echo there; done"
    );
    let sleeping = || {
        let there = HOSTS.iter().filter(|host| {
            let entry = desk.stage.lab.entry(host).unwrap();
            let output = entry.command(["sh", "-c", &look]).output().unwrap();
            !output.stdout.is_empty()
        });
        there.count()
    };
    let mut run = desk.begin("home", &plan, &[]);
    eventually("script on every host", || sleeping() == HOSTS.len());
    // `kill` is SIGKILL.
    run.kill().unwrap();
    run.wait().unwrap();
    assert_eq!(
        sleeping(),
        HOSTS.len(),
        "scripts outlive the run that started them"
    );

    let elsewhere = desk.path("elsewhere").to_string_lossy().into_owned();
    let words = ["--yes", "--lease-seconds", LEASE, "--state-dir", &elsewhere];
    let mut back = desk.other("rollback", &plan, &words);
    for _ in 0..30 {
        // The lease of the lost run has its time.
        if back.status.code() != Some(9) {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
        back = desk.other("rollback", &plan, &words);
    }
    let said = text(&back.stderr);
    assert_eq!(back.status.code(), Some(13), "{said}");
    assert_eq!(sleeping(), 0, "{said}");
}
