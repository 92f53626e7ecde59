//! The host-side runner, as it is shipped, as a process of this machine: in dash, bash and busybox with busybox's own tools.

#![allow(clippy::unwrap_used)]

mod client;
mod crash;
mod harness;
mod lease;

use harness::{Bench, SHELLS, field, stdout};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

/// Each shell on a thread of its own: most of the time is waiting.
fn in_every_shell(test: impl Fn(&Bench) + Sync) {
    std::thread::scope(|scope| {
        for shell in SHELLS {
            let test = &test;
            scope.spawn(move || {
                let bench = Bench::new(shell);
                test(&bench);
                bench.expect_nothing_left();
            });
        }
    });
}

#[test]
fn a_script_gets_the_contract_and_nothing_of_the_caller() {
    in_every_shell(|bench| {
        let script = "umask; pwd; env | sort; echo out-text >&2\nexit 10\n";
        bench.deliver(
            "h.s",
            script,
            "cancel now\ntimeout 30\npoll 0.05\n",
            &[("A", "1"), ("R", "r"), ("DIR", "d")],
        );
        for verb in ["probe", "run", "verify", "undo"] {
            let answer = bench.ok(&["start", "h.s", verb, "1", "5", "20"]);
            assert_eq!(field(&answer, 0), "exited", "{}: {answer}", bench.shell);
            assert_eq!(field(&answer, 1), "10");
            assert_eq!(&field(&answer, 4), "whole");
            let text = bench.read("h.s", verb, 1, "stdout");
            let mut lines = text.lines();
            assert_eq!(lines.next(), Some("0077"));
            assert_eq!(lines.next(), Some("/"));
            let home = format!("{}/actions/h.s", bench.root());
            let got: BTreeMap<&str, &str> = lines.filter_map(|line| line.split_once('=')).collect();
            let mut want = BTreeMap::from([
                ("A", "1"),
                ("R", "r"),
                ("DIR", "d"),
                ("LC_ALL", "C"),
                ("MKECTL_POLL", "0.05"),
                ("MKECTL_DEADLINE", "30"),
            ]);
            let (out, work) = (format!("{home}/{verb}.1/out"), format!("{home}/work"));
            want.extend([
                ("MKECTL_OUT", out.as_str()),
                ("MKECTL_WORK", work.as_str()),
                ("PATH", bench.path()),
            ]);
            // Shells export these by themselves.
            let rest: BTreeMap<&str, &str> = got
                .iter()
                .filter(|(name, _)| !["PWD", "SHLVL", "_"].contains(*name))
                .map(|(name, value)| (*name, *value))
                .collect();
            assert_eq!(rest, want, "{}", bench.shell);
            assert_eq!(bench.read("h.s", verb, 1, "stderr"), "out-text\n");
        }
    });
}

#[test]
fn hostile_values_arrive_as_they_are() {
    let odd = prop::sample::select(
        "\n\r\t '\"\\$`(){}[]!#%&*;|<>~=é→\u{85}\u{2028}\u{7f}\u{1b}aZ0"
            .chars()
            .collect::<Vec<_>>(),
    );
    let value = prop::collection::vec(prop_oneof![4 => odd, 1 => any::<char>()], 0..24)
        .prop_map(|chars| chars.into_iter().filter(|c| *c != '\0').collect::<String>());
    for shell in SHELLS {
        let bench = Bench::new(shell);
        let number = std::cell::Cell::new(0);
        let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
            cases: 6,
            max_shrink_iters: 20,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        runner
            .run(&prop::collection::vec(value.clone(), 1..40), |mut values| {
                values.extend(
                    [
                        "$(touch /tmp/owned)",
                        "`id`",
                        "'; exit 3; '",
                        "a\n\nb\n",
                        "\\",
                        "'",
                        "-n",
                        "%s",
                    ]
                    .map(String::from),
                );
                number.set(number.get() + 1);
                let action = format!("h.{}", number.get());
                let names: Vec<String> = (0..values.len()).map(|at| format!("P{at}")).collect();
                let script: String = names
                    .iter()
                    .map(|name| format!("printf '%s\\0' \"${name}\"\n"))
                    .collect();
                let params: Vec<(&str, &str)> = names
                    .iter()
                    .map(String::as_str)
                    .zip(values.iter().map(String::as_str))
                    .collect();
                bench.deliver(&action, &script, "", &params);
                let answer = bench.ok(&["start", &action, "run", "1", "1", "20"]);
                prop_assert_eq!(field(&answer, 1), "0");
                let text = bench.read(&action, "run", 1, "stdout");
                let got: Vec<&str> = text.split_terminator('\0').collect();
                prop_assert_eq!(got, values.iter().map(String::as_str).collect::<Vec<_>>());
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn names_that_could_escape_are_refused() {
    let bench = Bench::new("dash");
    for name in [
        "", ".", "..", "../x", "a/b", "-x", "a b", "a\nb", "$(id)", "é", ".hidden",
    ] {
        for words in [
            vec!["wait", name, "run", "1", "0"],
            vec!["start", name, "run", "1", "1"],
            vec!["cancel", name, "run", "1"],
            vec!["put", name, "0600", &"0".repeat(64)],
            vec!["get", name],
            vec!["wait", "a", name, "1", "0"],
            vec!["wait", "a", "run", name, "0"],
            vec!["fence", name],
        ] {
            let out = bench.call(&words, b"");
            assert_eq!(out.status.code(), Some(64), "{words:?}: {out:?}");
        }
    }
    for path in [
        "actions/../../x/env",
        "scripts/../runner",
        "files/",
        "secrets/a/b/../c",
        "actions/a/b/c/env",
        "/etc/passwd",
    ] {
        let out = bench.call(&["put", path, "0600", &"0".repeat(64)], b"x");
        assert_eq!(out.status.code(), Some(64), "{path}: {out:?}");
    }
    assert_eq!(
        bench
            .call(&["read", "a", "run", "1", "out/../exit", "0", "1"], b"")
            .status
            .code(),
        Some(64)
    );
    for number in ["01", "-1", "1000000000000000000", "99999999999999999999999"] {
        assert_eq!(
            bench.call(&["fence", number], b"").status.code(),
            Some(64),
            "{number}"
        );
    }
}

#[test]
fn a_start_that_is_repeated_runs_once() {
    in_every_shell(|bench| {
        bench.deliver(
            "h.s",
            "echo x >>$MKECTL_WORK/log; sleep 0.3; echo 5 >$MKECTL_OUT/keys\n",
            "",
            &[],
        );
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    let answer = bench.ok(&["start", "h.s", "run", "1", "7", "20"]);
                    assert_eq!(field(&answer, 0), "exited", "{answer}");
                });
            }
        });
        assert_eq!(bench.work("h.s", "log"), "x\n");
        let answer = bench.ok(&["start", "h.s", "run", "1", "7"]);
        assert!(answer.contains("\nout 2 "), "{answer}");
        assert_eq!(bench.read("h.s", "run", 1, "out/keys"), "5\n");
        assert!(bench.ok(&["state"]).contains("action h.s run 1 exited 0 "));
    });
}

#[test]
fn two_attempts_of_an_action_never_run_at_the_same_time() {
    in_every_shell(|bench| {
        bench.deliver(
            "h.s",
            "mkdir $MKECTL_WORK/in || echo overlap >>$MKECTL_WORK/log; sleep 0.3; rmdir $MKECTL_WORK/in\n",
            "",
            &[],
        );
        std::thread::scope(|scope| {
            for number in 1..6 {
                scope.spawn(move || {
                    let out = bench.call(&["start", "h.s", "run", &number.to_string(), "7", "20"], b"");
                    assert!(matches!(out.status.code(), Some(0 | 75)), "{out:?}");
                });
            }
        });
        assert_eq!(bench.work("h.s", "log"), "");
        let again = bench.ok(&["start", "h.s", "run", "9", "7", "20"]);
        assert_eq!(field(&again, 0), "exited");
    });
}

#[test]
fn lower_tokens_are_refused() {
    in_every_shell(|bench| {
        bench.deliver("h.s", "echo x >>$MKECTL_WORK/log\n", "", &[]);
        bench.ok(&["start", "h.s", "run", "1", "9", "9"]);
        for (token, code) in [
            ("8", 77),
            ("10", 0),
            ("9", 77),
            ("99999999999999999", 0),
            ("100000000000000000", 0),
            ("99999999999999999", 77),
        ] {
            let out = bench.call(&["start", "h.s", "run", "1", token], b"");
            assert_eq!(out.status.code(), Some(code), "{token}: {out:?}");
        }
        let out = bench.call(&["start", "h.s", "run", "2", "5"], b"");
        assert_eq!(out.status.code(), Some(77));
        assert_eq!(bench.work("h.s", "log"), "x\n");
        assert!(bench.ok(&["state"]).starts_with("token 100000000000000000\n"));
        assert_eq!(bench.call(&["fence", "3"], b"").status.code(), Some(77));
    });
}

#[test]
fn long_output_is_cut_with_a_mark_and_the_writer_is_not_killed() {
    in_every_shell(|bench| {
        // 20 MB in large pieces, then small ones, and a look at whether the script is still alive afterwards.
        let script = "head -c 20000000 /dev/zero\ni=0; while [ $i -lt 500 ]; do echo line >&2; i=$((i+1)); done\necho alive >$MKECTL_OUT/end\n";
        bench.deliver("h.s", script, "cap 100000\n", &[]);
        let answer = bench.ok(&["start", "h.s", "run", "1", "1", "60"]);
        assert_eq!(
            (field(&answer, 1), field(&answer, 4), field(&answer, 5)),
            ("0".into(), "cut".into(), "whole".into())
        );
        let text = bench.read("h.s", "run", 1, "stdout");
        let mark = "\n[mkectl: more than 100000 bytes, the rest is left out]\n";
        assert_eq!(text.len(), 100_000 + mark.len());
        assert!(text.ends_with(mark));
        assert_eq!(bench.read("h.s", "run", 1, "stderr"), "line\n".repeat(500));
        // Exactly the limit is not too much.
        bench.deliver("h.t", "head -c 100000 /dev/zero\n", "cap 100000\n", &[]);
        let answer = bench.ok(&["start", "h.t", "run", "1", "1", "60"]);
        assert_eq!(field(&answer, 4), "whole");
        assert_eq!(bench.read("h.t", "run", 1, "stdout").len(), 100_000);
    });
}

#[test]
fn output_can_be_read_while_the_script_runs() {
    let bench = Bench::new("dash");
    bench.deliver(
        "h.s",
        "echo first; while [ ! -e $MKECTL_WORK/go ]; do sleep 0.05; done; echo second\n",
        "",
        &[],
    );
    bench.ok(&["start", "h.s", "run", "1", "1"]);
    bench.eventually("the first line", || {
        bench.read("h.s", "run", 1, "stdout") == "first\n"
    });
    std::fs::write(format!("{}/actions/h.s/work/go", bench.root()), "").unwrap();
    bench.ok(&["wait", "h.s", "run", "1", "20"]);
    assert_eq!(bench.read("h.s", "run", 1, "stdout"), "first\nsecond\n");
}

#[test]
fn the_deadline_ends_the_whole_group() {
    in_every_shell(|bench| {
        // Neither the script nor its child listens to TERM.
        let script = "trap '' TERM\nsh -c \"trap '' TERM; while :; do sleep 0.2; done\" &\necho begun\nwhile :; do sleep 0.2; done\n";
        bench.deliver("h.s", script, "timeout 1\ngrace 1\n", &[]);
        let before = Instant::now();
        let answer = bench.ok(&["start", "h.s", "run", "1", "1", "40"]);
        assert_eq!(
            (field(&answer, 0), field(&answer, 1)),
            ("deadline".into(), "137".into()),
            "{}",
            bench.shell
        );
        assert!(before.elapsed() >= Duration::from_secs(2));
        assert_eq!(bench.read("h.s", "run", 1, "stdout"), "begun\n");
        bench.expect_nothing_left();
        // One that must not be interrupted goes on.
        bench.deliver(
            "h.t",
            "sleep 2.5; echo whole\n",
            "timeout 1\ngrace 1\ncancel never\n",
            &[],
        );
        let answer = bench.ok(&["start", "h.t", "run", "1", "1", "40"]);
        assert_eq!(
            (field(&answer, 0), field(&answer, 1)),
            ("exited".into(), "0".into())
        );
    });
}

#[test]
fn cancel_ends_the_group_and_says_so() {
    for mode in ["setsid", "fork"] {
        in_every_shell(|bench| {
            let conf = format!("grace 5\ndetach {mode}\n");
            bench.deliver("h.s", "sleep 300 & sleep 301\n", &conf, &[]);
            let answer = bench.ok(&["start", "h.s", "run", "1", "1"]);
            assert_eq!(field(&answer, 0), "running", "{answer}");
            let before = Instant::now();
            let answer = bench.ok(&["cancel", "h.s", "run", "1"]);
            assert_eq!(field(&answer, 0), "cancelled", "{} {mode}: {answer}", bench.shell);
            assert!(before.elapsed() < Duration::from_secs(20));
            bench.expect_nothing_left();
            assert_eq!(field(&bench.ok(&["cancel", "h.s", "run", "1"]), 0), "cancelled");
            // What must not be interrupted is not.
            bench.deliver(
                "h.t",
                "sleep 0.6; exit 4\n",
                &format!("{conf}cancel never\n"),
                &[],
            );
            bench.ok(&["start", "h.t", "run", "1", "1"]);
            assert_eq!(
                bench.call(&["cancel", "h.t", "run", "1"], b"").status.code(),
                Some(76)
            );
            assert_eq!(field(&bench.ok(&["wait", "h.t", "run", "1", "20"]), 1), "4");
        });
    }
}

#[test]
fn secrets_stay_in_memory_and_go_when_the_action_ends() {
    in_every_shell(|bench| {
        let poison = format!("pOiSoN-{}-7Zq", bench.shell);
        bench.deliver(
            "h.s",
            "cat $TOKEN_FILE | wc -c; ls -ln $TOKEN_FILE | cut -c1-10; echo $TOKEN_FILE; sleep 0.5\n",
            "secret TOKEN\n",
            &[],
        );
        assert_eq!(
            bench.call(&["start", "h.s", "run", "1", "1"], b"").status.code(),
            Some(66),
            "it was not delivered yet"
        );
        bench.secret("h.s", "run.1", "TOKEN", poison.as_bytes());
        bench.ok(&["start", "h.s", "run", "1", "1"]);
        bench.eventually("its path", || {
            bench.read("h.s", "run", 1, "stdout").lines().count() == 3
        });
        for process in std::fs::read_dir("/proc").unwrap() {
            let process = process.unwrap().path();
            for file in ["environ", "cmdline"] {
                let bytes = std::fs::read(process.join(file)).unwrap_or_default();
                assert!(
                    !String::from_utf8_lossy(&bytes).contains(&poison),
                    "{process:?}/{file}"
                );
            }
        }
        let answer = bench.ok(&["wait", "h.s", "run", "1", "20"]);
        assert_eq!(field(&answer, 1), "0", "{answer}");
        let text = bench.read("h.s", "run", 1, "stdout");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].trim(), poison.len().to_string());
        assert_eq!(lines[1], "-rw-------");
        assert!(!lines[2].starts_with(bench.root()), "on the disk: {}", lines[2]);
        assert!(
            !std::path::Path::new(lines[2]).exists(),
            "{} is still there",
            lines[2]
        );
        let found = Command::new("grep")
            .args(["-rl", &poison, bench.root()])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
        // A run that went away between delivery and start leaves one behind; sweeping finds it.
        let path = bench.secret("h.s", "run.2", "TOKEN", b"x");
        assert!(path.exists());
        bench.ok(&["sweep"]);
        assert!(!path.exists());
    });
}

#[test]
fn what_arrives_broken_is_not_kept() {
    let bench = Bench::new("busybox");
    let path = format!("files/{}", harness::sha256(b"whole"));
    let out = bench.call(&["put", &path, "0600", &harness::sha256(b"whole")], b"who");
    assert_eq!(out.status.code(), Some(65));
    assert_eq!(
        std::fs::read_dir(format!("{}/files", bench.root()))
            .unwrap()
            .count(),
        0
    );
    let ask = format!("{} {path}\n", harness::sha256(b"whole"));
    assert_eq!(
        stdout(&bench.call(&["missing"], ask.as_bytes())),
        format!("missing {path}\n")
    );
    assert!(
        bench
            .call(&["put", &path, "0700", &harness::sha256(b"whole")], b"whole")
            .status
            .success()
    );
    assert_eq!(stdout(&bench.call(&["missing"], ask.as_bytes())), "");
    assert!(stdout(&bench.call(&["get", &path], b"")).starts_with("data 5 5\nwhole\n"));
    // A script that was changed on the host does not run.
    bench.deliver("h.s", "echo good\n", "", &[]);
    let script = format!("{}/scripts/{}.sh", bench.root(), harness::sha256(b"echo good\n"));
    std::fs::write(script, "echo bad\n").unwrap();
    assert_eq!(
        bench.call(&["start", "h.s", "run", "1", "1"], b"").status.code(),
        Some(66)
    );
}

/// A full and a read-only file system, in a mount namespace of their own.
#[test]
fn a_full_or_read_only_disk_has_its_own_code_and_starts_nothing() {
    for shell in SHELLS {
        let bench = Bench::new(shell);
        bench.deliver("h.s", "echo ran >&2; while [ ! -e $MKECTL_WORK/go ]; do sleep 0.05; done; head -c 400000 /dev/zero; exit 6\n", "", &[]);
        let steps = r#"
            set -u
            mount -t tmpfs -o size=1m,mode=0700 none "$MNT" && cp -r "$ROOT/." "$MNT" || exit 99
            r() { "$SH" "$MNT/runner" "$@"; }
            r start h.s run 1 1 >/dev/null; echo "start $?"
            until [ -s "$MNT/actions/h.s/run.1/stderr" ]; do sleep 0.05; done
            dd if=/dev/zero of="$MNT/fill" bs=4096 2>/dev/null
            r start h.s run 2 1 2>"$ERR"; echo "busy $?"
            mkdir "$MNT/actions/h.t" 2>/dev/null; : >"$MNT/actions/h.s/work/go"
            r wait h.s run 1 20 | grep attempt
            r start h.s run 3 1 2>"$ERR"; echo "full $?"; cat "$ERR"
            echo x | r put files/$(printf '%064d' 0) 0600 $(printf '%064d' 0) 2>"$ERR"; echo "put $?"
            rm "$MNT/fill"
            r state | grep -c 'run 3'
            mount -o remount,ro "$MNT"
            r start h.s run 4 1 2>"$ERR"; echo "readonly $?"; cat "$ERR"
            r state | grep 'run 1 ' | cut -d' ' -f5,6
        "#;
        let mount = tempfile::tempdir().unwrap();
        let error = tempfile::NamedTempFile::new().unwrap();
        let flags: &[&str] = if harness::is_root() { &["-m"] } else { &["-rm"] };
        let out = Command::new("unshare")
            .args(flags)
            .args(["sh", "-c", steps])
            .env("MNT", mount.path())
            .env("ROOT", bench.root())
            .env("SH", bench.sh())
            .env("ERR", error.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        let lines: Vec<&str> = text.lines().collect();
        let expected = [
            "start 0",
            "busy 75",
            "attempt exited 6",
            "full 74",
            "mkectl-runner: cannot write",
            "put 74",
            "0",
            "readonly 73",
            "mkectl-runner: cannot write",
            "exited 6",
        ];
        assert_eq!(
            lines.len(),
            expected.len(),
            "{shell}: {text} {}",
            String::from_utf8_lossy(&out.stderr)
        );
        for (line, expected) in lines.iter().zip(expected) {
            assert!(
                line.starts_with(expected),
                "{shell}: {line:?}, not {expected:?}\n{text}"
            );
        }
        assert!(lines[2].ends_with(" lost whole"), "{text}");
        assert!(
            lines[4].contains("no space is left") && lines[8].contains("read-only"),
            "{text}"
        );
    }
}
