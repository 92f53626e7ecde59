//! Opening connections: bastions, budgets, refusals, hosts that hang.

use crate::sshd::{Mute, Setup, World, says};
use mkectl::ssh::pool::{Limits, Pool};
use mkectl::ssh::{ConnectError, Exec, SessionError, Transport};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn patient() -> Limits {
    Limits {
        attempts: 40,
        first_pause: Duration::from_millis(20),
        longest_pause: Duration::from_millis(300),
        ..Limits::default()
    }
}

#[tokio::test]
async fn hosts_behind_one_and_two_bastions() {
    let world = World::new();
    let (outer, inner, target) = (world.sshd(""), world.sshd(""), world.sshd(""));
    let client = Setup::trusting(&[&outer, &inner, &target]).client();
    let mut host = world.host("one", target.port, "user");
    host.bastion = Some(world.bastion(&outer, None));
    let session = client.connect(&host).await.unwrap();
    assert_eq!(says(&*session, &["echo", "one"]).await, "one");
    host.bastion = Some(world.bastion(&inner, Some(world.bastion(&outer, None))));
    let session = client.connect(&host).await.unwrap();
    // Much in both directions through three layers.
    let bytes = vec![3_u8; 3_000_000];
    let ran = session
        .exec(
            Exec::new(["cat"])
                .stdin(mkectl::ssh::Input::Bytes(&bytes))
                .keep(4_000_000),
        )
        .await
        .unwrap();
    assert!(ran.stdout == bytes);
    assert_eq!(outer.connections().len(), 1, "the outer bastion is shared");
    assert_eq!(inner.connections().len(), 1);
    assert_eq!(target.connections().len(), 2);
}

#[tokio::test]
async fn errors_name_the_hop_that_made_them() {
    let world = World::new();
    let (bastion, target) = (world.sshd(""), world.sshd(""));
    let mut host = world.host("h", target.port, "user");
    host.bastion = Some(world.bastion(&bastion, None));
    // The bastion's key is not known; the target's is.
    let error = Setup::trusting(&[&target]).refused(&host).await;
    assert!(matches!(&error, ConnectError::Bastion(inner) if matches!(**inner, ConnectError::HostKey(_))));
    assert!(!error.is_transient());
    // The other way round.
    let error = Setup::trusting(&[&bastion]).refused(&host).await;
    assert!(matches!(error, ConnectError::HostKey(_)), "{error}");
    // Nothing listens behind the bastion: it may yet.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut nobody = host.clone();
    nobody.port = u32::from(free);
    let error = Setup::trusting(&[&bastion]).refused(&nobody).await;
    assert!(
        matches!(error, ConnectError::Tunnel { transient: true, .. }),
        "{error}"
    );
    // A bastion that forwards nothing never will.
    let strict = world.sshd("AllowTcpForwarding no");
    host.bastion = Some(world.bastion(&strict, None));
    let error = Setup::trusting(&[&strict, &target]).refused(&host).await;
    assert!(
        error.to_string().contains("AllowTcpForwarding") && !error.is_transient(),
        "{error}"
    );
}

#[tokio::test]
async fn thirty_hosts_behind_a_bastion_that_takes_two_at_a_time() {
    let world = World::new();
    let bastion = world.sshd("MaxStartups 2");
    let target = world.sshd("MaxStartups 100");
    let client = Setup::trusting(&[&bastion, &target]).client();
    let pool = Pool::new(Arc::new(client), patient());
    let mut running = tokio::task::JoinSet::new();
    for n in 0..30 {
        let mut host = world.host(&format!("h{n}"), target.port, "user");
        host.bastion = Some(world.bastion(&bastion, None));
        let pool = pool.clone();
        running.spawn(async move {
            let lease = pool.session(&host).await.unwrap();
            lease.exec(Exec::new(["echo", &host.id])).await.unwrap().stdout
        });
    }
    let mut answers = running.join_all().await;
    answers.sort();
    let mut expected: Vec<Vec<u8>> = (0..30).map(|n| format!("h{n}\n").into_bytes()).collect();
    expected.sort();
    assert_eq!(answers, expected);
    assert!(!bastion.log().contains("MaxStartups"), "{}", bastion.log());
    assert_eq!(pool.connections(), 30);
    pool.close().await;
    assert_eq!(pool.connections(), 0);
}

#[tokio::test]
async fn thirty_connections_to_an_sshd_that_takes_two_at_a_time() {
    let world = World::new();
    let sshd = world.sshd("MaxStartups 2");
    let pool = Pool::new(Arc::new(Setup::trusting(&[&sshd]).client()), patient());
    let mut running = tokio::task::JoinSet::new();
    for n in 0..30 {
        let host = world.host(&format!("h{n}"), sshd.port, "user");
        let pool = pool.clone();
        running.spawn(async move {
            let lease = pool.session(&host).await.unwrap();
            lease.exec(Exec::new(["true"])).await.unwrap().success()
        });
    }
    assert_eq!(running.join_all().await, vec![true; 30]);
    assert!(
        sshd.log().contains("MaxStartups"),
        "eight at a time are too many here, so refusals were met"
    );
}

#[tokio::test]
async fn one_session_at_a_time_is_learned_from_the_host() {
    let world = World::new();
    let sshd = world.sshd("MaxSessions 1");
    let pool = Pool::new(Arc::new(Setup::trusting(&[&sshd]).client()), patient());
    let host = world.host("h", sshd.port, "user");
    let mut running = tokio::task::JoinSet::new();
    for n in 0..12 {
        let (pool, host) = (pool.clone(), host.clone());
        running.spawn(async move {
            let lease = pool.session(&host).await.unwrap();
            // A reader can be read once only: it must not have been touched by an attempt that was refused.
            let text = format!("input {n}");
            let stdin = mkectl::ssh::Input::Reader(Box::new(std::io::Cursor::new(text.clone())));
            let ran = lease.exec(Exec::new(["cat"]).stdin(stdin)).await.unwrap();
            assert_eq!(String::from_utf8(ran.stdout).unwrap(), text);
        });
    }
    assert_eq!(running.join_all().await.len(), 12);
    assert_eq!(sshd.connections().len(), 1);
}

#[tokio::test]
async fn a_lost_connection_is_opened_again_and_nothing_runs_twice() {
    let world = World::new();
    let sshd = world.sshd("");
    let pool = Pool::new(Arc::new(Setup::trusting(&[&sshd]).client()), patient());
    let host = world.host("h", sshd.port, "user");
    let lease = pool.session(&host).await.unwrap();
    let script = format!("echo ran >> {}; sleep 60", world.name("times"));
    let command = lease.exec(Exec::new(["sh", "-c", &script]));
    let cut = async {
        for _ in 0..500 {
            if world.path("times").exists() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sshd.signal_connections("-KILL");
    };
    let (result, ()) = tokio::join!(command, cut);
    let error = result.unwrap_err();
    assert!(
        matches!(error, SessionError::Lost { started: true, .. }),
        "{error}"
    );
    // The same lease goes on, over a new connection.
    assert!(lease.exec(Exec::new(["true"])).await.unwrap().success());
    assert_eq!(std::fs::read_to_string(world.path("times")).unwrap(), "ran\n");
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 2);
    // Lost while nobody looked: the next command opens it again by itself.
    sshd.signal_connections("-KILL");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(lease.exec(Exec::new(["true"])).await.unwrap().success());
}

#[tokio::test]
async fn a_bastion_that_dies_takes_its_hosts_along_and_all_come_back() {
    let world = World::new();
    let (bastion, target) = (world.sshd(""), world.sshd(""));
    let pool = Pool::new(
        Arc::new(Setup::trusting(&[&bastion, &target]).client()),
        patient(),
    );
    let mut leases = Vec::new();
    for n in 0..3 {
        let mut host = world.host(&format!("h{n}"), target.port, "user");
        host.bastion = Some(world.bastion(&bastion, None));
        leases.push(pool.session(&host).await.unwrap());
    }
    assert_eq!(bastion.signal_connections("-KILL"), 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    for lease in &leases {
        assert!(lease.exec(Exec::new(["true"])).await.unwrap().success());
    }
    assert_eq!(bastion.connections().len(), 1);
}

#[tokio::test]
async fn a_budget_smaller_than_the_cluster() {
    let world = World::new();
    let sshd = world.sshd("MaxStartups 100");
    let limits = Limits {
        connections: 3,
        ..patient()
    };
    let pool = Pool::new(Arc::new(Setup::trusting(&[&sshd]).client()), limits);
    let mut running = tokio::task::JoinSet::new();
    for n in 0..12 {
        let host = world.host(&format!("h{n}"), sshd.port, "user");
        let pool = pool.clone();
        running.spawn(async move {
            let lease = pool.session(&host).await.unwrap();
            assert!(pool.connections() <= 3);
            lease.exec(Exec::new(["sleep", "0.05"])).await.unwrap().success()
        });
    }
    assert_eq!(running.join_all().await, vec![true; 12]);
    assert_eq!(pool.connections(), 3, "idle connections stay while there is room");
}

#[tokio::test]
async fn hosts_that_are_not_there_or_say_nothing() {
    let world = World::new();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    world.key("user", "ed25519");
    let error = Setup::trusting(&[]).refused(&world.host("h", free, "user")).await;
    assert!(
        matches!(error, ConnectError::Refused { .. }) && error.is_transient(),
        "{error}"
    );
    let mut host = world.host("h", free, "user");
    host.address = "no-such-host.invalid".to_owned();
    let error = Setup::trusting(&[]).refused(&host).await;
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error}");
    host.port = 70_000;
    assert!(Setup::trusting(&[]).refused(&host).await.is_input());
    for (greeting, banner) in [(&b""[..], true), (&b"SSH-2.0-hung\r\n"[..], false)] {
        let mute = Mute::start(greeting);
        let mut setup = Setup::trusting(&[]);
        setup.settings.handshake_limit = Duration::from_millis(400);
        let started = Instant::now();
        let error = setup.refused(&world.host("h", mute.port, "user")).await;
        assert!(started.elapsed() < Duration::from_secs(5));
        assert_eq!(matches!(error, ConnectError::Banner { .. }), banner, "{error}");
        assert_eq!(matches!(error, ConnectError::Timeout { .. }), !banner, "{error}");
        assert!(error.is_transient());
    }
    // Something that is no SSH server.
    let mute = Mute::start(b"SSH-1.5-ancient\r\n\r\n");
    let mut setup = Setup::trusting(&[]);
    setup.settings.handshake_limit = Duration::from_millis(400);
    let error = setup.refused(&world.host("h", mute.port, "user")).await;
    assert!(error.is_transient(), "{error}");
}
