//! Commands over one connection.

use crate::sshd::{Setup, World, says};
use mkectl::ssh::output::WriterLog;
use mkectl::ssh::sudo::{self, Privilege, PrivilegeError, SudoFault};
use mkectl::ssh::{Exec, Input, OutputLog, Session, SessionError, Stream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;

fn sh(script: &str) -> [&str; 3] {
    ["sh", "-c", script]
}

async fn one(world: &World, extra: &str) -> (crate::sshd::Sshd, Arc<dyn Session>) {
    let sshd = world.sshd(extra);
    let host = world.host("h", sshd.port, "user");
    let session = Setup::trusting(&[&sshd]).connect(&host).await.unwrap();
    (sshd, session)
}

#[tokio::test]
async fn status_signal_and_both_streams() {
    let world = World::new();
    let (_sshd, session) = one(&world, "").await;
    let ran = session
        .exec(Exec::new(sh("echo out; echo err >&2; exit 7")))
        .await
        .unwrap();
    assert_eq!(ran.status, Some(7));
    assert_eq!(
        (ran.stdout.as_slice(), ran.stderr.as_slice()),
        (&b"out\n"[..], &b"err\n"[..])
    );
    assert!(!ran.success() && !ran.truncated);
    // The shell becomes the command, so that sshd sees its signal.
    let ran = session
        .exec(Exec::new(sh("kill -TERM $$; sleep 5")))
        .await
        .unwrap();
    assert_eq!(
        (ran.status, ran.signal.as_deref()),
        (None, Some("TERM")),
        "{ran:?}"
    );
    assert_eq!(ran.ending(), "signal TERM");
    let ran = session.exec(Exec::new(["/nonexistent/command"])).await.unwrap();
    assert_eq!(ran.status, Some(127));
}

#[tokio::test]
async fn words_arrive_as_they_are() {
    let world = World::new();
    let (_sshd, session) = one(&world, "").await;
    let odd = [
        "", " ", "a b", "'", "\"", "\\", "\\'", "$HOME", "`id`", "*", "~", "!x", "#", "a\nb", "-n", "x=y",
        "ä→", "\t", "%s", "{a,b}", "&& true", "\\\\n",
    ];
    let words = ["printf", "%s\\0"].iter().chain(&odd).copied();
    let ran = session.exec(Exec::new(words)).await.unwrap();
    assert!(ran.success(), "{ran:?}");
    let text = String::from_utf8(ran.stdout).unwrap();
    let got: Vec<&str> = text.strip_suffix('\0').unwrap().split('\0').collect();
    assert_eq!(got, odd);
    let refused = session.exec(Exec::new(["echo", "a\0b"])).await;
    assert!(matches!(refused, Err(SessionError::Words(_))));
}

#[tokio::test]
async fn input_from_memory_and_from_a_reader_without_deadlock() {
    let world = World::new();
    let (_sshd, session) = one(&world, "").await;
    // cat writes while it reads: both directions are full at once.
    let bytes: Vec<u8> = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
    let ran = session
        .exec(Exec::new(["cat"]).stdin(Input::Bytes(&bytes)).keep(bytes.len()))
        .await
        .unwrap();
    assert!(ran.stdout == bytes && !ran.truncated);
    let reader = tokio::io::repeat(b'x').take(5_000_000);
    let ran = session
        .exec(Exec::new(["wc", "-c"]).stdin(Input::Reader(Box::new(reader))))
        .await
        .unwrap();
    assert_eq!(String::from_utf8(ran.stdout).unwrap().trim(), "5000000");
    // A command that does not read its input ends all the same.
    let ran = session
        .exec(Exec::new(sh("exit 3")).stdin(Input::Bytes(&bytes)))
        .await
        .unwrap();
    assert_eq!(ran.status, Some(3));
    // Nothing on standard input is the end of file at once.
    assert_eq!(says(&*session, &["wc", "-c"]).await, "0");
    // A reader that fails is our error, and the connection lives on.
    let broken = tokio_test_reader();
    let result = session
        .exec(Exec::new(["cat"]).stdin(Input::Reader(Box::new(broken))))
        .await;
    assert!(matches!(result, Err(SessionError::Input { .. })));
    assert_eq!(says(&*session, &["echo", "on"]).await, "on");
}

/// Gives some bytes, then an error.
fn tokio_test_reader() -> impl tokio::io::AsyncRead + Send + Unpin {
    struct Broken(bool);
    impl tokio::io::AsyncRead for Broken {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            if self.0 {
                return std::task::Poll::Ready(Err(std::io::Error::other("disk gone")));
            }
            self.0 = true;
            buf.put_slice(b"some");
            std::task::Poll::Ready(Ok(()))
        }
    }
    Broken(false)
}

/// In a process of its own: other tests use memory too.
#[test]
fn long_output_is_bounded_in_memory_and_whole_in_the_log() {
    let out = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--ignored",
            "--nocapture",
            "commands::sixty_four_megabytes_of_output",
        ])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(
        out.status.success() && text.contains("1 passed"),
        "{text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

#[tokio::test]
#[ignore = "run by the test above, alone"]
async fn sixty_four_megabytes_of_output() {
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
    #[derive(Default)]
    struct Count {
        bytes: AtomicU64,
        calls: AtomicU64,
        peak: AtomicU64,
    }
    impl OutputLog for Count {
        fn write(&self, stream: Stream, bytes: &[u8]) {
            assert_eq!(stream, Stream::Stdout);
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            if self.calls.fetch_add(1, Ordering::Relaxed) % 100 == 0 {
                self.peak.fetch_max(resident(), Ordering::Relaxed);
            }
        }
    }
    let world = World::new();
    let (_sshd, session) = one(&world, "").await;
    let before = resident();
    let count = Count::default();
    let ran = session
        .exec(
            Exec::new(["head", "-c", "64M", "/dev/zero"])
                .keep(1000)
                .log(&count),
        )
        .await
        .unwrap();
    assert!(ran.truncated && ran.stdout.len() < 1100, "{}", ran.stdout.len());
    assert!(String::from_utf8_lossy(&ran.stdout).contains(&format!("{} bytes left out", (64 << 20) - 1000)));
    assert_eq!(count.bytes.load(Ordering::Relaxed), 64 << 20);
    let grown = count.peak.load(Ordering::Relaxed).saturating_sub(before);
    assert!(grown < 12_000, "grew by {grown} KiB");
}

#[tokio::test]
async fn the_log_gets_raw_bytes_of_both_streams() {
    let world = World::new();
    let (_sshd, session) = one(&world, "").await;
    let log = WriterLog::new(Vec::new());
    let ran = session
        .exec(Exec::new(sh("printf 'a\\033[31mb\\r\\n'; printf '\\377' >&2")).log(&log))
        .await
        .unwrap();
    assert!(ran.success());
    let mut bytes = log.finish().unwrap();
    bytes.sort_unstable();
    let mut expected = b"a\x1b[31mb\r\n\xff".to_vec();
    expected.sort_unstable();
    assert_eq!(bytes, expected);
    assert_eq!(mkectl::ssh::output::clean(&ran.stdout), "ab\n");
}

#[tokio::test]
async fn many_commands_share_a_connection_and_a_dropped_one_frees_its_session() {
    let world = World::new();
    let (sshd, session) = one(&world, "MaxSessions 3").await;
    let (a, b, c) = tokio::join!(
        says(&*session, &["echo", "a"]),
        says(&*session, &["echo", "b"]),
        says(&*session, &["echo", "c"])
    );
    assert_eq!((a, b, c), ("a".into(), "b".into(), "c".into()));
    // One that writes without end and is dropped must not block the others.
    for _ in 0..6 {
        let endless = session.exec(Exec::new(["yes"]));
        let gone = tokio::time::timeout(Duration::from_millis(150), endless).await;
        assert!(gone.is_err());
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match session.exec(Exec::new(["echo", "still"])).await {
            Ok(ran) => break assert_eq!(ran.stdout, b"still\n"),
            // sshd may not have seen the end of the last one yet.
            Err(SessionError::TooManySessions { .. }) => assert!(Instant::now() < deadline),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(sshd.connections().len(), 1);
}

#[tokio::test]
async fn start_up_noise_forced_commands_and_other_shells() {
    let world = World::new();
    let noisy = world.script(
        "noisy",
        "echo welcome; echo trouble >&2; exec bash -c \"$SSH_ORIGINAL_COMMAND\"",
    );
    let (_sshd, session) = one(&world, &format!("ForceCommand {noisy}")).await;
    let ran = session.exec(Exec::new(["echo", "a'b"])).await.unwrap();
    assert_eq!(ran.stdout, b"welcome\na'b\n");
    assert_eq!(sudo::find(&*session, "me").await.is_ok(), world.user == "root");
    // An account that runs no commands.
    let nologin = world.script("nologin", "echo This account is not available; exit 1");
    let (_sshd, session) = one(&world, &format!("ForceCommand {nologin}")).await;
    let error = sudo::find(&*session, "me").await.unwrap_err();
    assert!(
        matches!(&error, PrivilegeError::Answer(text) if text.contains("login shell of me")),
        "{error}"
    );
}

#[tokio::test]
async fn a_host_that_forbids_sessions_says_so() {
    let world = World::new();
    let (_sshd, session) = one(&world, "MaxSessions 0").await;
    let error = session.exec(Exec::new(["true"])).await.unwrap_err();
    assert!(!error.may_have_run(), "{error}");
    assert!(error.to_string().contains("MaxSessions"), "{error}");
}

#[tokio::test]
async fn new_keys_are_made_during_long_commands_in_both_directions() {
    let world = World::new();
    let sshd = world.sshd("RekeyLimit 1M 2s");
    let mut setup = Setup::trusting(&[&sshd]);
    setup.settings.rekey_bytes = 1 << 20;
    setup.settings.rekey_time = Duration::from_secs(1);
    let session = setup.connect(&world.host("h", sshd.port, "user")).await.unwrap();
    let slow = sh("for i in 1 2 3 4 5 6 7; do head -c 1500000 /dev/zero; sleep 1; done; echo >&2 end");
    let bytes = vec![7_u8; 8_000_000];
    let (slow, fed, ticks) = tokio::join!(
        session.exec(Exec::new(slow).keep(100)),
        session.exec(Exec::new(["wc", "-c"]).stdin(Input::Bytes(&bytes))),
        async {
            let mut ticks = 0;
            for _ in 0..60 {
                says(&*session, &["true"]).await;
                ticks += 1;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            ticks
        }
    );
    let slow = slow.unwrap();
    assert_eq!(slow.stderr, b"end\n");
    assert!(String::from_utf8_lossy(&slow.stdout).contains(&format!("{} bytes left out", 10_500_000 - 100)));
    assert_eq!(fed.unwrap().stdout, b"8000000\n");
    assert_eq!(ticks, 60);
    assert_eq!(
        sshd.log().matches("Accepted publickey").count(),
        1,
        "one connection for all"
    );
}

#[tokio::test]
async fn a_connection_that_is_cut_or_hangs_is_told_as_lost() {
    let world = World::new();
    let sshd = world.sshd("");
    let host = world.host("h", sshd.port, "user");
    let session = Setup::trusting(&[&sshd]).connect(&host).await.unwrap();
    let command = session.exec(Exec::new(["sleep", "60"]));
    let cut = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        sshd.signal_connections("-KILL")
    };
    let started = Instant::now();
    let (result, killed) = tokio::join!(command, cut);
    assert_eq!(killed, 1);
    let error = result.unwrap_err();
    assert!(error.is_transport() && error.may_have_run(), "{error}");
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(session.is_closed());
    let error = session.exec(Exec::new(["true"])).await.unwrap_err();
    assert!(error.is_transport() && !error.may_have_run(), "{error}");
    // A host that hangs: TCP is fine, nobody answers.
    let mut setup = Setup::trusting(&[&sshd]);
    setup.settings.keepalive_interval = Duration::from_millis(200);
    setup.settings.keepalive_max = 2;
    let session = setup.connect(&host).await.unwrap();
    let command = session.exec(Exec::new(["sleep", "60"]));
    let hang = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        sshd.signal_connections("-STOP")
    };
    let (result, _) = tokio::join!(command, hang);
    let error = result.unwrap_err();
    assert!(error.to_string().contains("stopped answering"), "{error}");
}

#[tokio::test]
async fn sudo_without_a_password_and_its_ways_to_refuse() {
    let world = World::new();
    let privileged = world.script(
        "bin/id",
        "if test \"$1\" = -u; then echo 1000; else exec /usr/bin/id \"$@\"; fi",
    );
    assert!(privileged.ends_with("bin/id"));
    let extra = format!("SetEnv PATH={}:/usr/bin:/bin", world.name("bin"));
    let (_sshd, session) = one(&world, &extra).await;
    let cases = [
        ("test \"$1\" = -n || exit 9; shift; exec \"$@\"", None),
        (
            "echo 'sudo: a password is required' >&2; exit 1",
            Some(SudoFault::Password),
        ),
        (
            "echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1",
            Some(SudoFault::Terminal),
        ),
        (
            "echo 'sudo: unable to resolve host h: Name or service not known' >&2\n\
             echo 'me is not in the sudoers file.  This incident will be reported.' >&2; exit 1",
            Some(SudoFault::NotAllowed),
        ),
        (
            "echo 'Sorry, user me is not allowed to execute /bin/true as root on h.' >&2; exit 1",
            Some(SudoFault::NotAllowed),
        ),
        (
            "echo 'sudo: account or password is expired, reset your password and try again' >&2; exit 1",
            Some(SudoFault::Account),
        ),
        (
            "echo 'sudo: true: command not found' >&2; exit 1",
            Some(SudoFault::NoCommand("true".into())),
        ),
        (
            "echo 'sudo: il faut un mot de passe' >&2; exit 1",
            Some(SudoFault::Broken("sudo: il faut un mot de passe".into())),
        ),
    ];
    for (script, expected) in cases {
        world.script("bin/sudo", script);
        match (sudo::find(&*session, "me").await, expected) {
            (Ok(privilege), None) => {
                assert_eq!(privilege, Privilege::Sudo);
                let ran = session
                    .exec(Exec::new(privilege.words(["echo", "a b"])))
                    .await
                    .unwrap();
                assert_eq!(ran.stdout, b"a b\n");
                // The command's own failure is not sudo's.
                let ran = session
                    .exec(Exec::new(privilege.words(sh("echo sorry >&2; exit 1"))))
                    .await
                    .unwrap();
                assert_eq!((sudo::classify(&ran), ran.status), (None, Some(1)));
            }
            (Err(PrivilegeError::Sudo(error)), Some(expected)) => {
                assert_eq!(error.why, expected, "{script}");
                assert!(error.to_string().contains("sudo"), "{error}");
            }
            (other, _) => panic!("{script}: {other:?}"),
        }
    }
    // No sudo at all, in the words of two shells.
    std::fs::remove_file(world.path("bin/sudo")).unwrap();
    for shell in ["dash", "bash"] {
        let ran = session
            .exec(Exec::new([shell, "-c", "PATH=/nonexistent; sudo -n true"]))
            .await
            .unwrap();
        assert_eq!(sudo::classify(&ran), Some(SudoFault::NotInstalled), "{ran:?}");
    }
}

/// What the real sudo says, as a user who may do nothing: needs root to become that user.
#[test]
fn the_real_sudo_is_understood() {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout != b"0\n" {
        // Whoever else runs the tests may or may not have sudo: nothing can be said.
        return;
    }
    let out = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "sudo",
            "-n",
            "true",
        ])
        .env("LC_ALL", "C")
        .output()
        .expect("setpriv: apt-get install util-linux");
    let ran = mkectl::ssh::Ran {
        status: out.status.code().map(|code| u32::try_from(code).unwrap()),
        stderr: out.stderr,
        ..mkectl::ssh::Ran::default()
    };
    assert!(
        matches!(
            sudo::classify(&ran),
            Some(SudoFault::Password | SudoFault::NotAllowed)
        ),
        "{}: apt-get install sudo",
        ran.complaint()
    );
}
