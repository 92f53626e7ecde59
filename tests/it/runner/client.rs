//! The client, over a session that runs the words on this machine and loses connections when told to.

use super::harness::{program, sha256};
use mkectl::apply::runner::{
    ActionName, Attempt, AttemptState, Content, HostRunner, How, Outcome, Patience, Refusal, RunnerError,
    Settings, Task, Token, Verb, Verdict,
};
use mkectl::model::Cancel;
use mkectl::ssh::sudo::Privilege;
use mkectl::ssh::{Exec, Fut, Input, Ran, Session, SessionError, Stream};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Runs commands here, through a shell as sshd does. Every `lose`-th one loses its connection after it ran; a login shell
/// writes a line first.
struct Here {
    count: AtomicU32,
    lose: AtomicU32,
    lines: Mutex<Vec<String>>,
}

impl Session for Here {
    fn exec<'a>(&'a self, request: Exec<'a>) -> Fut<'a, Result<Ran, SessionError>> {
        Box::pin(async move {
            let line = mkectl::ssh::quote::line(&request.words)?;
            self.lines.lock().unwrap().push(line.clone());
            let mut child = tokio::process::Command::new("sh")
                .args(["-c", &format!("echo noise of a start-up file; {line}")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            let mut input = child.stdin.take().unwrap();
            match request.stdin {
                Input::None => {}
                Input::Bytes(bytes) => drop(input.write_all(bytes).await),
                Input::Reader(mut reader) => {
                    let mut bytes = Vec::new();
                    reader.read_to_end(&mut bytes).await.unwrap();
                    drop(input.write_all(&bytes).await);
                }
            }
            drop(input);
            let out = child.wait_with_output().await.unwrap();
            let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
            let lose = self.lose.load(Ordering::SeqCst);
            if lose > 0 && number.is_multiple_of(lose) {
                return Err(SessionError::Lost {
                    host: "here".to_owned(),
                    started: true,
                    why: "told to".to_owned(),
                });
            }
            let (truncated, keep) = (out.stdout.len() > request.keep, request.keep);
            Ok(Ran {
                status: out.status.code().map(|code| u32::try_from(code).unwrap()),
                signal: None,
                stdout: out.stdout.into_iter().take(keep).collect(),
                stderr: out.stderr,
                truncated,
            })
        })
    }
    fn close<'a>(&'a self) -> Fut<'a, ()> {
        Box::pin(async {})
    }
    fn is_closed(&self) -> bool {
        false
    }
}

fn client(lose: u32) -> (HostRunner, Arc<Here>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let here = Arc::new(Here {
        count: AtomicU32::new(0),
        lose: AtomicU32::new(lose),
        lines: Mutex::default(),
    });
    let root = dir.path().join("0123456789abcdef").to_string_lossy().into_owned();
    let settings = Settings {
        grace_s: 1,
        poll: "0.05".to_owned(),
        ..Settings::default()
    };
    let runner =
        HostRunner::new(here.clone(), Privilege::Root, root, program().into(), settings).patience(Patience {
            repeats: 3,
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(1),
        });
    (runner, here, dir)
}

fn task(script: &str, params: &[(&str, &str)]) -> Task {
    Task {
        script: sha256(script.as_bytes()),
        params: params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        secrets: Vec::new(),
        timeout: Duration::from_secs(30),
        cancel: Cancel::Now,
    }
}

fn attempt(step: &str, verb: Verb, number: u32) -> Attempt {
    Attempt {
        action: ActionName::new("worker-1", step),
        verb,
        number,
    }
}

const NONE: &BTreeMap<String, Vec<u8>> = &BTreeMap::new();

fn token(number: u64) -> Token {
    Token::new(number).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn a_whole_action_also_over_a_bad_line() {
    for lose in [0, 2, 3] {
        block_on(async {
            // Putting the runner there takes ten commands and begins again when one is lost.
            let (runner, here, _dir) = client(11);
            runner.bootstrap().await.unwrap();
            runner.bootstrap().await.unwrap();
            here.lose.store(lose, Ordering::SeqCst);
            let script = "case $1 in probe) exit 11;; run) echo ran >>$MKECTL_WORK/log; printf %s \"$ODD\" >$MKECTL_OUT/odd; head -c 3000000 /dev/zero >$MKECTL_OUT/big; cat $KEY_FILE | wc -c; cat $FILE; exit 0;; verify) exit 10;; undo) exit 78;; esac\n";
            runner.deliver_scripts(&[script.as_bytes()]).await.unwrap();
            let bytes = b"a file".as_slice();
            let open = || -> Fut<'static, std::io::Result<Box<dyn tokio::io::AsyncRead + Send + Unpin>>> {
                Box::pin(async { Ok(Box::new(std::io::Cursor::new(b"a file".to_vec())) as Box<_>) })
            };
            runner
                .deliver_files(vec![(sha256(bytes), Content::Reader(&open))], false)
                .await
                .unwrap();
            let odd = "it's\n$(odd) \"é\"\\";
            let path = runner.file_path(&sha256(bytes));
            let mut task = task(script, &[("ODD", odd), ("FILE", &path)]);
            task.secrets = vec!["KEY".to_owned()];
            let secrets = BTreeMap::from([("KEY".to_owned(), b"secret-poison".to_vec())]);

            let probe = runner
                .perform(&attempt("step", Verb::Probe, 1), &task, &secrets, token(4))
                .await
                .unwrap();
            let AttemptState::Ended(ended) = &probe.state else {
                panic!("{probe:?}")
            };
            assert_eq!(ended.verdict(), Verdict::NotDone);

            let run = attempt("step", Verb::Run, 1);
            let report = runner.perform(&run, &task, &secrets, token(4)).await.unwrap();
            let AttemptState::Ended(ended) = &report.state else {
                panic!("{report:?}")
            };
            assert_eq!(ended.outcome(), Outcome::Done);
            assert_eq!(
                runner.read_value(&run, &report, "odd", 4096).await.unwrap(),
                odd.as_bytes()
            );
            let mut big = Vec::new();
            runner.copy_output(&run, &report, "big", &mut big).await.unwrap();
            assert_eq!(big, vec![0; 3_000_000]);
            assert!(matches!(
                runner.read_value(&run, &report, "big", 4096).await,
                Err(RunnerError::NoOutput { .. })
            ));
            let (text, total) = runner.read_output(&run, Stream::Stdout, 0, 100).await.unwrap();
            assert_eq!(
                (String::from_utf8(text).unwrap().trim(), total),
                ("13\na file", report.stdout)
            );
            // Again: it is not run again.
            runner.perform(&run, &task, &secrets, token(4)).await.unwrap();
            let log = std::fs::read_to_string(format!("{}/actions/{}/work/log", runner.root(), run.action))
                .unwrap();
            assert_eq!(log, "ran\n");

            let undo = runner
                .perform(&attempt("step", Verb::Undo, 1), &task, &secrets, token(4))
                .await
                .unwrap();
            let AttemptState::Ended(ended) = &undo.state else {
                panic!("{undo:?}")
            };
            assert_eq!(ended.outcome(), Outcome::NotAsAssumed);

            let state = runner.state().await.unwrap();
            assert_eq!(state.token, token(4));
            assert_eq!(state.attempts.len(), 3);
            assert_eq!(state.attempts[&run], report.state);
            // What sshd sees is plain words, and no secret or its hash.
            for line in here.lines.lock().unwrap().iter() {
                assert!(!line.contains("/runner ") || !line.contains('\''), "{line}");
                assert!(
                    !line.contains("poison") && !line.contains(&sha256(b"secret-poison")),
                    "{line}"
                );
            }
        });
    }
}

#[test]
fn files_are_sent_once() {
    block_on(async {
        let (runner, here, _dir) = client(0);
        runner.bootstrap().await.unwrap();
        let puts = || {
            here.lines
                .lock()
                .unwrap()
                .iter()
                .filter(|line| line.contains("/runner put "))
                .count()
        };
        runner.deliver_scripts(&[b"exit 0\n", b"exit 1\n"]).await.unwrap();
        assert_eq!(puts(), 2);
        runner.deliver_scripts(&[b"exit 1\n", b"exit 0\n"]).await.unwrap();
        runner.bootstrap().await.unwrap();
        assert_eq!(puts(), 2);
        for number in 1..=2 {
            runner
                .perform(
                    &attempt("a", Verb::Run, number),
                    &task("exit 0\n", &[]),
                    NONE,
                    token(1),
                )
                .await
                .unwrap();
        }
        assert_eq!(puts(), 4, "env and conf, once");
        runner
            .perform(
                &attempt("a", Verb::Run, 3),
                &task("exit 0\n", &[("A", "b")]),
                NONE,
                token(1),
            )
            .await
            .unwrap();
        assert_eq!(puts(), 5, "env, because it changed");
    });
}

#[test]
fn refusals_and_ends_have_types() {
    block_on(async {
        let (runner, _, _dir) = client(0);
        let error = runner.state().await.unwrap_err();
        assert!(
            matches!(error, RunnerError::NoAnswer { .. }),
            "no runner there: {error}"
        );
        runner.bootstrap().await.unwrap();
        runner
            .deliver_scripts(&[b"sleep 60\n", b"exit $CODE\n"])
            .await
            .unwrap();
        runner.fence(token(5)).await.unwrap();
        let refused = |error: RunnerError| match error {
            RunnerError::Refused { why, .. } => why,
            other => panic!("{other}"),
        };
        let start = runner.start(&attempt("x", Verb::Run, 1), token(4), 0).await;
        assert_eq!(refused(start.unwrap_err()), Refusal::Token);
        let start = runner.start(&attempt("x", Verb::Run, 1), token(5), 0).await;
        assert_eq!(refused(start.unwrap_err()), Refusal::Missing);

        let mut long = task("sleep 60\n", &[]);
        long.timeout = Duration::from_secs(1);
        let report = runner
            .perform(&attempt("x", Verb::Run, 1), &long, NONE, token(5))
            .await
            .unwrap();
        let AttemptState::Ended(ended) = &report.state else {
            panic!("{report:?}")
        };
        assert_eq!(
            (ended.how, ended.outcome(), ended.verdict()),
            (How::Deadline, Outcome::Temporary, Verdict::CannotTell)
        );

        let mut never = task("sleep 60\n", &[]);
        never.timeout = Duration::from_secs(60);
        runner
            .prepare(&ActionName::new("worker-1", "y"), &never)
            .await
            .unwrap();
        let y = attempt("y", Verb::Run, 1);
        assert_eq!(
            runner.start(&y, token(5), 0).await.unwrap().state,
            AttemptState::Running
        );
        let start = runner.start(&attempt("y", Verb::Run, 2), token(5), 0).await;
        assert_eq!(refused(start.unwrap_err()), Refusal::Busy);
        let AttemptState::Ended(ended) = runner.cancel(&y, token(5)).await.unwrap().state else {
            panic!()
        };
        assert_eq!(ended.outcome(), Outcome::Cancelled);

        for (code, verdict, outcome) in [
            ("0", Verdict::CannotTell, Outcome::Done),
            ("1", Verdict::CannotTell, Outcome::Failed(1)),
            ("10", Verdict::Done, Outcome::Failed(10)),
            ("11", Verdict::NotDone, Outcome::Failed(11)),
            ("12", Verdict::Partly, Outcome::Failed(12)),
            ("75", Verdict::CannotTell, Outcome::Temporary),
            ("78", Verdict::CannotTell, Outcome::NotAsAssumed),
            ("127", Verdict::CannotTell, Outcome::Failed(127)),
        ] {
            let task = task("exit $CODE\n", &[("CODE", code)]);
            let report = runner
                .perform(
                    &attempt(&format!("c{code}"), Verb::Probe, 1),
                    &task,
                    NONE,
                    token(5),
                )
                .await
                .unwrap();
            let AttemptState::Ended(ended) = report.state else {
                panic!("{report:?}")
            };
            assert_eq!((ended.verdict(), ended.outcome()), (verdict, outcome), "{code}");
        }
        for name in [
            "PATH",
            "IFS",
            "MKECTL_OUT",
            "LD_PRELOAD",
            "a",
            "A-B",
            "A B",
            "",
            "1A",
        ] {
            let result = runner
                .prepare(&ActionName::new("h", "s"), &task("exit 0\n", &[(name, "x")]))
                .await;
            assert!(matches!(result, Err(RunnerError::Task(_))), "{name}");
        }
    });
}

#[test]
fn names_of_actions_are_plain_and_differ() {
    let pairs = [
        ("a", "b"),
        ("a.b", "c"),
        ("a", "b-c"),
        ("fe80::1", "s"),
        ("fe80__1", "s"),
        ("../x", "s"),
        (".h", "s"),
        ("h_", "s"),
        ("", "s"),
        ("-h", "s"),
        ("é", "s"),
        ("h/", "s"),
    ];
    let names: std::collections::BTreeSet<String> = pairs
        .iter()
        .map(|(host, step)| ActionName::new(host, step).to_string())
        .collect();
    assert_eq!(names.len(), pairs.len(), "{names:?}");
    for name in &names {
        assert!(
            !name.starts_with(['.', '-'])
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)),
            "{name}"
        );
    }
    assert_eq!(
        ActionName::new("worker-1.example.com", "join-worker").as_str(),
        "worker-1.example.com.join-worker"
    );
    assert!(Token::new(u64::MAX).is_none());
}
