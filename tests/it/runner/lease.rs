//! The claim on a cluster, as one manager keeps it, in every shell.

use super::harness::{Bench, sha256, stdout};
use super::in_every_shell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout};

const ONE: &str = "11111111111111111111111111111111";
const TWO: &str = "22222222222222222222222222222222";

impl Bench {
    fn take(&self, token: &str, holder: &str, plan: &str, seconds: &str) -> String {
        self.ok(&["take", token, holder, plan, seconds, "anna@desk"])
    }

    fn place(&self, name: &str) -> String {
        let common = self.root().rsplit_once('/').unwrap().0;
        format!("{common}/lease/{name}")
    }

    /// As if the last renewal were so long ago.
    fn age(&self, token: &str, seconds: u64) {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let up = fs::read_to_string("/proc/uptime").unwrap();
        let up: u64 = up.split('.').next().unwrap().parse().unwrap();
        let beat = format!("{} {} ok\n", boot.trim(), up.saturating_sub(seconds));
        fs::write(self.place(&format!("{token}.beat")), beat).unwrap();
    }

    fn journal(&self, token: &str, text: &str) {
        let hash = sha256(text.as_bytes());
        let out = self.call(
            &["put", &format!("journal/{token}"), "0600", &hash],
            text.as_bytes(),
        );
        assert!(out.status.success(), "{out:?}");
    }
}

/// A command that holds a claim.
struct Hold {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Hold {
    fn begin(bench: &Bench, token: &str, holder: &str) -> Hold {
        let mut child = bench.command(&["hold", token, holder]).spawn().unwrap();
        let mut hold = Hold {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        assert_eq!(hold.hear(), "mkectl-runner-answer");
        hold
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn say(&mut self, text: &str) {
        // One that was told that it has lost may not read any more.
        let _ = self.input.as_mut().unwrap().write_all(text.as_bytes());
    }

    fn end(mut self) {
        self.input = None;
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn a_cluster_has_one_holder_at_a_time() {
    in_every_shell(|bench| {
        assert_eq!(bench.ok(&["claims"]), "token 0\n");
        let taken = bench.take("1", ONE, "plan-a", "30");
        assert!(taken.starts_with("taken yes\ntoken 1\nlease 1 held "), "{taken}");
        assert!(taken.ends_with(&format!(" {ONE} plan-a anna@desk\n")), "{taken}");
        // Asked again because the answer was lost.
        assert!(bench.take("1", ONE, "plan-a", "30").starts_with("taken yes\n"));
        // Nobody else gets it, not even with the same plan, and nobody with a number that is used.
        for (token, plan) in [("2", "plan-a"), ("2", "plan-b"), ("1", "plan-a")] {
            let refused = bench.take(token, TWO, plan, "30");
            assert!(
                refused.starts_with("taken no\ntoken 1\nlease 1 held "),
                "{token} {plan}: {refused}"
            );
        }
        // Whoever holds it may take it anew.
        assert!(bench.take("3", ONE, "plan-a", "30").starts_with("taken yes\n"));
        // It is withdrawn: what was before counts again, and its number is used.
        bench.ok(&["release", "3", ONE, "withdrawn"]);
        let now = bench.ok(&["claims"]);
        assert!(now.starts_with("token 3\nlease 1 held "), "{now}");
    });
}

#[test]
fn what_is_over_is_kept_for_its_plan_unless_it_ended_free() {
    in_every_shell(|bench| {
        bench.take("1", ONE, "plan-a", "30");
        bench.age("1", 31);
        let now = bench.ok(&["claims"]);
        assert!(now.starts_with("token 1\nlease 1 expired 0 "), "{now}");
        assert!(bench.take("2", TWO, "plan-b", "30").starts_with("taken no\n"));
        assert!(bench.take("2", TWO, "plan-a", "30").starts_with("taken yes\n"));
        bench.ok(&["release", "2", TWO, "reserved"]);
        assert!(bench.take("3", ONE, "plan-b", "30").starts_with("taken no\n"));
        assert!(bench.take("3", ONE, "plan-a", "30").starts_with("taken yes\n"));
        bench.ok(&["release", "3", ONE, "free"]);
        // Somebody else's word ends nothing.
        assert!(bench.take("4", TWO, "plan-b", "30").starts_with("taken yes\n"));
        bench.ok(&["release", "4", ONE, "free"]);
        let now = bench.ok(&["claims"]);
        assert!(now.starts_with("token 4\nlease 4 held "), "{now}");
        // After a reboot the seconds count from the boot: a host that has been up for long does not know it any more.
        fs::write(bench.place("4.beat"), "another-boot 5 ok\n").unwrap();
        let now = bench.ok(&["claims"]);
        assert!(now.contains("lease 4 expired 0 "), "{now}");
        // What cannot be read is left to a person.
        fs::write(bench.place("5"), "half a cl").unwrap();
        assert!(bench.take("6", ONE, "plan-b", "30").starts_with("taken no\n"));
        bench.ok(&["unlock", "6", ONE, "berta@desk"]);
        assert!(bench.take("7", ONE, "plan-c", "30").starts_with("taken yes\n"));
    });
}

#[test]
fn unlock_fences_the_holder_off() {
    in_every_shell(|bench| {
        bench.take("1", ONE, "plan-a", "30");
        bench.journal("1", "");
        let mut hold = Hold::begin(bench, "1", ONE);
        assert_eq!(hold.hear(), "holding 0");
        hold.say("beat\n");
        assert_eq!(hold.hear(), "beat");
        bench.ok(&["unlock", "2", TWO, "berta@desk"]);
        let now = bench.ok(&["claims"]);
        assert!(now.starts_with("token 2\nlease 2 free 0 "), "{now}");
        hold.say("{\"a\":1}\ncommit 1\n");
        assert_eq!(hold.hear(), "lost");
        hold.end();
        // Whoever wakes up with the old number gets nothing: neither the claim nor a start, of this plan or any other.
        let out = bench.call(&["hold", "1", ONE], b"");
        assert_eq!(out.status.code(), Some(77), "{out:?}");
        bench.deliver("h.s", "exit 0", "", &[]);
        for words in [
            &["start", "h.s", "run", "1", "1", "5"][..],
            &["cancel", "h.s", "run", "1", "1"][..],
        ] {
            let out = bench.call(words, b"");
            assert_eq!(out.status.code(), Some(77), "{words:?}: {out:?}");
        }
        assert!(bench.take("3", TWO, "plan-b", "30").starts_with("taken yes\n"));
    });
}

#[test]
fn a_journal_is_kept_line_by_line_until_somebody_takes_over() {
    in_every_shell(|bench| {
        bench.take("1", ONE, "plan-a", "30");
        let out = bench.call(&["hold", "1", ONE], b"");
        assert_eq!(out.status.code(), Some(66), "there is no copy yet: {out:?}");
        let first = "{\"hash\":\"é\\\\ 'x' $y `z`\"}\n";
        bench.journal("1", first);
        let mut hold = Hold::begin(bench, "1", ONE);
        assert_eq!(hold.hear(), format!("holding {}", first.len()));
        let second = "{\"text\":\"  two  blanks, \\\"quotes\\\", 100%s \\n\"}\n";
        hold.say(&format!("{second}commit 7\n"));
        assert_eq!(hold.hear(), "kept 7");
        let out = bench.call(&["get", "journal/1"], b"");
        let got = stdout(&out);
        let whole = format!("{first}{second}");
        assert_eq!(got, format!("data {0} {0}\n{whole}\n", whole.len()));
        let now = bench.ok(&["claims"]);
        assert!(
            now.ends_with(&format!("journal 1 {}\n", whole.len())),
            "{}: {now}",
            bench.shell
        );
        // A line that did not arrive whole is not written.
        hold.say("{\"half\":");
        hold.end();
        let now = bench.ok(&["claims"]);
        assert!(now.ends_with(&format!("journal 1 {}\n", whole.len())), "{now}");

        // The claim is over, and somebody else goes on; the first one wakes up and is told.
        let mut hold = Hold::begin(bench, "1", ONE);
        hold.hear();
        bench.age("1", 31);
        assert!(bench.take("2", TWO, "plan-a", "30").starts_with("taken yes\n"));
        hold.say("{\"late\":1}\ncommit 8\n");
        assert_eq!(hold.hear(), "lost");
        hold.end();
        bench.journal("2", &whole);
        let mut hold = Hold::begin(bench, "2", TWO);
        assert_eq!(hold.hear(), format!("holding {}", whole.len()));
        let now = bench.ok(&["claims"]);
        assert!(now.ends_with(&format!("journal 2 {}\n", whole.len())), "{now}");
        hold.end();
    });
}

/// Two that ask at the same moment: one may get it, or none, and never both.
#[test]
fn of_two_that_ask_at_once_not_both_get_it() {
    in_every_shell(|bench| {
        for round in 0..12u32 {
            let words: Vec<[String; 6]> = [(ONE, "plan-a"), (TWO, "plan-b")]
                .iter()
                .enumerate()
                .map(|(at, (holder, plan))| {
                    // The same number, or different ones.
                    let token = round * 2 + 1 + u32::try_from(at).unwrap() * (round % 2);
                    ["take", &token.to_string(), holder, plan, "30", "x@y"].map(str::to_owned)
                })
                .collect();
            let children: Vec<Child> = words
                .iter()
                .map(|words| {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    bench.command(&words).spawn().unwrap()
                })
                .collect();
            let granted = children
                .into_iter()
                .map(|child| stdout(&child.wait_with_output().unwrap()))
                .filter(|answer| answer.starts_with("taken yes\n"))
                .count();
            assert!(granted <= 1, "{}: {granted}", bench.shell);
            for words in &words {
                bench.ok(&["release", &words[1], &words[2], "free"]);
            }
        }
    });
}

#[test]
fn words_of_a_claim_are_looked_at() {
    let bench = Bench::new("dash");
    for words in [
        &["take", "01", ONE, "p", "30", "x"][..],
        &["take", "1", "a b", "p", "30", "x"],
        &["take", "1", ONE, "../p", "30", "x"],
        &["take", "1", ONE, "p", "3x", "x"],
        &["take", "1", ONE, "p", "30", "-x"],
        &["hold", "1", ""],
        &["release", "1", ONE, "gone"],
        &["unlock", "", ONE, "x"],
        &["get", "journal/x"],
        &["get", "journal/../runner"],
        &["claims", "1"],
    ] {
        let out = bench.call(words, b"");
        assert_eq!(out.status.code(), Some(64), "{words:?}: {out:?}");
    }
}
