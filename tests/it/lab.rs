//! The lab: what keeps simulated hosts apart, how they are reached, and what their programs say.
//!
//! These tests need root, or an ordinary user who may make user namespaces. Where neither is allowed they fail and say so.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::repo;
use mkectl::lab::{Change, ChangeKind, Isolation, Lab, LabError, Options, UNMODELLED};
use mkectl::source::facts::Facts;
use russh::ChannelMsg;
use russh::client::{self, Handle};
use russh::keys::{PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MANAGERS: [&str; 3] = ["manager-01", "manager-02", "manager-03"];

/// Facts of `three-managers`, with only these hosts.
fn facts(hosts: &[&str]) -> Facts {
    let bytes = fs::read(repo("testdata/clusters/three-managers/facts.json")).unwrap();
    let mut facts = Facts::parse("facts.json", &bytes).unwrap();
    facts
        .hosts
        .retain(|host| hosts.contains(&host.hostname.as_deref().unwrap()));
    facts
}

fn options(isolation: Isolation) -> Options {
    Options {
        directory: std::env::temp_dir(),
        binary: PathBuf::from(env!("CARGO_BIN_EXE_mkectl")),
        isolation,
        tick: None,
        roles: BTreeMap::new(),
    }
}

async fn lab_with(hosts: &[&str], options: Options) -> Lab {
    match Lab::from_facts(&facts(hosts), &options).await {
        Ok(lab) => lab,
        Err(error) => panic!("these tests need root or user namespaces: {error}"),
    }
}

async fn lab(hosts: &[&str]) -> Lab {
    lab_with(hosts, options(Isolation::best())).await
}

/// What a command did.
#[derive(Debug)]
struct Ran {
    status: i32,
    out: String,
    err: String,
}

/// Runs a line in a host, past SSH.
fn sh(lab: &Lab, host: &str, line: &str) -> Ran {
    let output = lab
        .entry(host)
        .unwrap()
        .command(["sh", "-c", line])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        status: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Standard output of a line that succeeds.
fn ok(lab: &Lab, host: &str, line: &str) -> String {
    let ran = sh(lab, host, line);
    assert_eq!(ran.status, 0, "{line}: {ran:?}");
    ran.out.trim_end().to_owned()
}

fn ticks(lab: &Lab, count: u32) {
    for _ in 0..count {
        lab.tick();
    }
}

struct Client {
    key: PublicKey,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        Ok(key.key_data() == self.key.key_data())
    }
}

async fn connect(lab: &Lab, host: &str) -> Result<Handle<Client>, russh::Error> {
    let server = lab.server(host).unwrap();
    let client = Client {
        key: server.host_key().clone(),
    };
    let mut handle = client::connect(Arc::default(), server.address(), client).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::new(lab.client_key().clone()), None);
    assert!(handle.authenticate_publickey("ubuntu", key).await?.success());
    Ok(handle)
}

/// Output, error output, exit status and signal of a command over SSH.
#[derive(Debug, Default, PartialEq)]
struct Remote {
    out: Vec<u8>,
    err: Vec<u8>,
    status: Option<u32>,
    signal: Option<String>,
}

async fn exec(handle: &Handle<Client>, command: &str, input: Vec<u8>) -> Remote {
    let channel = handle.channel_open_session().await.unwrap();
    channel.exec(true, command).await.unwrap();
    let (mut read, write) = channel.split();
    let feed = tokio::spawn(async move {
        // The far end may stop reading before the input ends.
        let _ = write.data_bytes(input).await;
        let _ = write.eof().await;
    });
    let mut remote = Remote::default();
    while let Some(message) = read.wait().await {
        match message {
            ChannelMsg::Data { data } => remote.out.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, ext: 1 } => remote.err.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => remote.status = Some(exit_status),
            ChannelMsg::ExitSignal { signal_name, .. } => remote.signal = Some(format!("{signal_name:?}")),
            _ => {}
        }
    }
    feed.abort();
    remote
}

/// Hashes of files that a script gone wrong would touch first.
fn sentinels() -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for directory in ["/etc", "/usr/local/bin", "/usr/local/sbin", "/etc/systemd/system"] {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_file() {
                found.insert(path.clone(), fs::read(&path).unwrap_or_default());
            }
        }
    }
    found
}

fn hostile(isolation: Isolation) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let before = sentinels();
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let mut bystander = Command::new("sleep").arg("60").spawn().unwrap();
        let lab = lab_with(&["manager-01", "worker-01", "worker-02"], options(isolation)).await;

        for (line, refused) in [
            ("rm -rf /etc/hosts /etc/passwd /usr/local/bin /usr/local/sbin/nothing; echo gone > /etc/hostname", false),
            ("touch /etc/systemd/system/evil.service 2>/dev/null || mkdir -p /etc/systemd/system", false),
            ("mount -t tmpfs none /mnt && umount /mnt", false),
            ("hostname stolen", false),
            ("kill -9 -1", false),
            ("mount -t proc none /mnt", true),
            ("mount -t sysfs none /mnt", true),
            ("mount -t cgroup2 none /mnt", true),
            ("mknod /root/disk b 254 0", true),
            ("mknod /dev/mem c 1 1", true),
            ("umount /proc/sys", true),
            ("mount -o remount,rw,bind /proc/sys", true),
            ("echo 1 > /proc/sys/vm/drop_caches", true),
            ("mount -o remount,rw,bind /.lab/mkectl", true),
            ("echo broken > /.lab/mkectl", true),
            ("date -s 2001-01-01", true),
            ("ls /.old/* /sys/* /boot/*", true),
            ("kill -9 1; sleep 0.1; kill -0 1 && exit 1", true),
        ] {
            let ran = sh(&lab, "worker-01", line);
            assert_eq!(ran.status != 0, refused, "{line}: {ran:?}");
        }
        assert_eq!(ok(&lab, "worker-01", "hostname; cat /etc/hostname"), "stolen\ngone");
        assert_eq!(ok(&lab, "worker-02", "hostname; cat /etc/hostname"), "worker-02\nworker-02");
        assert_eq!(sh(&lab, "worker-02", "test -s /etc/hosts").status, 0);
        // Process 1 collects what lost its parent: nothing looks alive that has ended.
        ok(&lab, "worker-01", "(setsid sleep 0.1 &) ; sleep 0.5");
        let zombies = "for s in /proc/[0-9]*/stat; do read -r pid name state rest <$s; [ $state != Z ] || echo $name; done";
        assert_eq!(ok(&lab, "worker-01", zombies), "");

        assert!(sentinels() == before, "a file of this machine changed");
        assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), name);
        assert_eq!(fs::read_to_string("/proc/self/mounts").unwrap(), mounts);
        assert!(bystander.try_wait().unwrap().is_none(), "a process of this machine was killed");
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    });
}

#[test]
fn nothing_outside_a_host_changes_when_root_isolates() {
    hostile(Isolation::best());
}

/// The other way to isolate, also for root: what an ordinary user gets.
#[test]
fn nothing_outside_a_host_changes_in_a_user_namespace() {
    hostile(Isolation::User);
}

/// The whole of it as an ordinary user, when the tests run as root.
#[test]
fn an_ordinary_user_can_have_a_lab() {
    if Isolation::best() == Isolation::User {
        return hostile(Isolation::User);
    }
    let home = tempfile::Builder::new().prefix("lab-user-").tempdir().unwrap();
    std::os::unix::fs::chown(home.path(), Some(65534), Some(65534)).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "lab::nothing_outside_a_host_changes_in_a_user_namespace",
        ])
        .env("TMPDIR", home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "a lab was left behind: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_what_really_changed() {
    let lab = lab(&["manager-01", "worker-01"]).await;
    assert_eq!(lab.changes("worker-01").unwrap(), []);
    ok(
        &lab,
        "worker-01",
        "mkdir -p /etc/k0s && echo a > /etc/k0s/k0s.yaml && rm /etc/cni/net.d/10-calico.conflist && echo x >> /etc/hosts \
         && cp -p /etc/hostname /tmp/h && cat /tmp/h > /etc/hostname && touch /usr/local/bin/k0s && echo t > /run/t \
         && rm -r /etc/docker && mkdir /etc/docker && echo '{}' > /etc/docker/new.json",
    );
    let wanted = [
        ("/etc/cni/net.d/10-calico.conflist", ChangeKind::Removed),
        ("/etc/docker/daemon.json", ChangeKind::Removed),
        ("/etc/docker/new.json", ChangeKind::Added),
        ("/etc/hosts", ChangeKind::Changed),
        ("/etc/k0s", ChangeKind::Added),
        ("/etc/k0s/k0s.yaml", ChangeKind::Added),
        ("/usr/local/bin/k0s", ChangeKind::Added),
    ]
    .map(|(path, kind)| Change {
        path: path.to_owned(),
        kind,
    });
    assert_eq!(lab.changes("worker-01").unwrap(), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let mut options = options(Isolation::best());
    options.directory = home.path().to_owned();
    let lab = lab_with(&["manager-01", "worker-01"], options).await;
    let marker = format!("31{}", std::process::id());
    ok(
        &lab,
        "worker-01",
        &format!("setsid sleep {marker} >/dev/null 2>&1 &"),
    );
    assert!(processes(&marker) > 0);
    drop(lab);
    let end = Instant::now() + Duration::from_secs(5);
    while processes(&marker) > 0 {
        assert!(Instant::now() < end, "a process of the host outlived the lab");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

/// Processes of this machine with this word among their arguments.
fn processes(word: &str) -> usize {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok())
        .filter(|line| {
            line.split(|b| *b == 0)
                .any(|argument| argument == word.as_bytes())
        })
        .count()
}

/// Not a test of its own: a lab that waits to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_lab_that_waits() {
    let Some(marker) = std::env::var_os("MKECTL_TEST_LAB_WAITS") else {
        return;
    };
    let lab = lab(&["manager-01", "worker-01"]).await;
    ok(
        &lab,
        "worker-01",
        &format!("setsid sleep {} >/dev/null 2>&1 &", marker.to_string_lossy()),
    );
    tokio::time::sleep(Duration::from_secs(60)).await;
    panic!("nobody killed the lab");
}

#[test]
fn hosts_die_with_a_lab_that_is_killed() {
    let home = tempfile::tempdir().unwrap();
    let marker = format!("32{}", std::process::id());
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lab::a_lab_that_waits"])
        .env("MKECTL_TEST_LAB_WAITS", &marker)
        .env("TMPDIR", home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let wait = |wanted: bool, why: &str| {
        let end = Instant::now() + Duration::from_secs(30);
        while (processes(&marker) > 0) != wanted {
            assert!(Instant::now() < end, "{why}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait(true, "the lab did not start");
    child.kill().unwrap();
    child.wait().unwrap();
    wait(false, "a process of the host outlived the lab");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_system_refuses_is_said_with_a_remedy() {
    let mut options = options(Isolation::best());
    // Stands for whatever a system refuses: something that cannot be mounted.
    options.binary = PathBuf::from("/nonexistent/mkectl");
    let error = Lab::from_facts(&facts(&["worker-01", "manager-01"]), &options)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        error.is_refusal() && text.contains("/nonexistent/mkectl") && text.contains("user namespaces"),
        "{text}"
    );

    let mut without = facts(&["manager-01"]);
    without.hosts[0].role = None;
    let error = Lab::from_facts(&without, &options).await.unwrap_err();
    assert!(
        matches!(&error, LabError::Facts(text) if text.contains("role of manager-01")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_over_ssh_with_their_status_and_streams() {
    let lab = lab(&MANAGERS).await;
    let handle = connect(&lab, "manager-02").await.unwrap();
    let ran = exec(&handle, "hostname; echo oops >&2; id -u; exit 7", Vec::new()).await;
    assert_eq!(
        (ran.out.as_slice(), ran.err.as_slice()),
        (b"manager-02\n0\n".as_slice(), b"oops\n".as_slice())
    );
    assert_eq!((ran.status, ran.signal), (Some(7), None));

    let killed = exec(&handle, "kill -TERM $$", Vec::new()).await;
    assert_eq!((killed.status, killed.signal.as_deref()), (None, Some("TERM")));

    let many: Vec<u8> = (0..10_000_000u32)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    let back = exec(&handle, "cat", many.clone()).await;
    assert!(
        back.out == many,
        "{} of {} bytes came back",
        back.out.len(),
        many.len()
    );
    assert_eq!(back.status, Some(0));
    let unread = exec(&handle, "exit 3", many).await;
    assert_eq!(unread.status, Some(3));

    // Several commands at once, on one connection.
    let started = Instant::now();
    let ran = tokio::join!(
        exec(&handle, "sleep 1; echo a", Vec::new()),
        exec(&handle, "sleep 1; echo b", Vec::new()),
        exec(&handle, "sleep 1; echo c", Vec::new()),
    );
    assert_eq!([ran.0.out, ran.1.out, ran.2.out].concat(), b"a\nb\nc\n");
    assert!(
        started.elapsed() < Duration::from_millis(2900),
        "{:?}",
        started.elapsed()
    );
}

/// The cluster of the README, and how long it takes to be there.
#[tokio::test(flavor = "multi_thread")]
async fn eight_hosts_are_there_at_once() {
    let started = Instant::now();
    let all = ["worker-01", "worker-02", "worker-03", "worker-04", "worker-05"];
    let lab = lab(&[MANAGERS.as_slice(), &all].concat()).await;
    let took = started.elapsed();
    assert_eq!(lab.hosts().count(), 8);
    for host in lab.hosts() {
        assert_eq!(ok(&lab, host, "hostname"), host);
    }
    println!("eight hosts in {took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_labs_key_gets_in() {
    let lab = lab(&MANAGERS).await;
    let server = lab.server("manager-01").unwrap();
    assert_ne!(
        server.fingerprint(),
        lab.server("manager-02").unwrap().fingerprint()
    );
    let client = Client {
        key: server.host_key().clone(),
    };
    let mut handle = client::connect(Arc::default(), server.address(), client)
        .await
        .unwrap();
    let pair = russh::keys::ssh_key::private::Ed25519Keypair::from_seed(&[7; 32]);
    let other = Arc::new(russh::keys::PrivateKey::from(pair));
    let key = PrivateKeyWithHashAlg::new(other, None);
    assert!(
        !handle
            .authenticate_publickey("root", key)
            .await
            .unwrap()
            .success()
    );
    assert!(
        !handle
            .authenticate_password("root", "root")
            .await
            .unwrap()
            .success()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_break_stand_still_and_come_back() {
    let lab = lab(&MANAGERS).await;
    let server = lab.server("manager-01").unwrap();
    let handle = connect(&lab, "manager-01").await.unwrap();
    let cut =
        tokio::spawn(async move { exec(&handle, "sleep 1; echo done > /root/went-on", Vec::new()).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.drop_connections();
    let lost = tokio::time::timeout(Duration::from_secs(5), cut)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        lost,
        Remote::default(),
        "no status comes from a connection that was cut"
    );
    let handle = connect(&lab, "manager-01").await.unwrap();
    let seen = exec(&handle, "sleep 1.5; cat /root/went-on", Vec::new()).await;
    assert_eq!(seen.out, b"done\n", "the command ran on");

    server.freeze(true);
    let frozen = exec(&handle, "echo late", Vec::new());
    tokio::pin!(frozen);
    assert!(
        tokio::time::timeout(Duration::from_millis(400), &mut frozen)
            .await
            .is_err()
    );
    server.freeze(false);
    assert_eq!(frozen.await.out, b"late\n");

    server.latency(Duration::from_millis(150));
    let started = Instant::now();
    exec(&handle, "true", Vec::new()).await;
    assert!(
        started.elapsed() >= Duration::from_millis(300),
        "{:?}",
        started.elapsed()
    );
    server.latency(Duration::ZERO);

    server.gone(true);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(connect(&lab, "manager-01").await.is_err());
    server.gone(false);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let back = connect(&lab, "manager-01").await.unwrap();
    assert_eq!(exec(&back, "echo back", Vec::new()).await.out, b"back\n");
}

/// Whether a container runs.
fn runs(lab: &Lab, host: &str, name: &str) -> bool {
    ok(
        lab,
        host,
        &format!("docker inspect -f '{{{{.State.Running}}}}' {name}"),
    ) == "true"
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_heal_what_is_stopped_until_they_are_frozen() {
    let lab = lab(&["manager-01", "manager-02", "manager-03", "worker-01"]).await;
    assert_eq!(
        ok(&lab, "worker-01", "docker stop -t 5 ucp-kubelet"),
        "ucp-kubelet"
    );
    assert!(!runs(&lab, "worker-01", "ucp-kubelet"));
    ticks(&lab, 5);
    assert!(
        runs(&lab, "worker-01", "ucp-kubelet"),
        "the agent starts it again"
    );
    ok(&lab, "worker-01", "docker rm -f ucp-kube-proxy");
    ticks(&lab, 5);
    assert!(
        runs(&lab, "worker-01", "ucp-kube-proxy"),
        "the agent makes it again"
    );

    // Freezing the agents while the cluster agent runs does not last.
    let freeze = "for s in ucp-manager-agent ucp-worker-agent-x; do \
                  docker service update --detach --constraint-add 'node.labels.mkectl.hold == never' $s || exit 1; done";
    let agents = "docker ps -q --filter name=ucp-worker-agent-x";
    ok(&lab, "manager-01", freeze);
    lab.tick();
    assert_eq!(ok(&lab, "worker-01", agents), "");
    ticks(&lab, 6);
    assert_ne!(
        ok(&lab, "worker-01", agents),
        "",
        "the cluster agent repairs the agents"
    );

    ok(
        &lab,
        "manager-02",
        "docker service scale --detach ucp-cluster-agent=0",
    );
    ok(&lab, "manager-01", freeze);
    ticks(&lab, 10);
    assert_eq!(ok(&lab, "worker-01", agents), "");
    ok(&lab, "worker-01", "docker stop ucp-kubelet");
    ticks(&lab, 20);
    assert!(
        !runs(&lab, "worker-01", "ucp-kubelet"),
        "nobody is left to start it"
    );
    let constraints = "docker service inspect ucp-worker-agent-x \
                       -f '{{range .Spec.TaskTemplate.Placement.Constraints}}{{println .}}{{end}}'";
    assert!(ok(&lab, "manager-03", constraints).contains("node.labels.mkectl.hold == never"));
    let restart = "docker update --restart=no ucp-kubelet && docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' ucp-kubelet";
    assert_eq!(ok(&lab, "worker-01", restart), "ucp-kubelet\nno");

    // A client that is not detached waits until the tasks are as wanted.
    let entry = lab.entry("manager-01").unwrap();
    let wait = std::thread::spawn(move || {
        entry
            .command(["docker", "service", "scale", "ucp-cluster-agent=1"])
            .output()
            .unwrap()
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!wait.is_finished(), "no tick has passed");
    ticks(&lab, 1);
    assert!(wait.join().unwrap().status.success());
    ok(&lab, "manager-01", "docker service scale -d ucp-cluster-agent=0");
    lab.tick();

    // And back.
    ok(
        &lab,
        "manager-01",
        "docker service update -d --constraint-rm 'node.labels.mkectl.hold==never' ucp-worker-agent-x",
    );
    ticks(&lab, 8);
    assert!(runs(&lab, "worker-01", "ucp-kubelet"));
    assert_eq!(lab.state().unmodelled, Vec::<String>::new());
}

const HOLD: &str = "for u in docker.service docker.socket; do mkdir -p /etc/systemd/system/$u.d && \
    printf '[Unit]\\nConditionPathExists=!/var/lib/mkectl/hold\\n' > /etc/systemd/system/$u.d/00-mkectl-hold.conf || exit 1; done; \
    mkdir -p /var/lib/mkectl && : > /var/lib/mkectl/hold";

#[tokio::test(flavor = "multi_thread")]
async fn docker_that_is_held_does_not_start() {
    let lab = lab(&MANAGERS).await;
    let active = |lab: &Lab| sh(lab, "manager-01", "systemctl is-active docker.service").out;

    // Stopped with its socket open, it comes back at the first call.
    let stopped = sh(&lab, "manager-01", "systemctl stop docker.service");
    assert!(stopped.err.contains("can still be activated by"), "{stopped:?}");
    assert_eq!(active(&lab), "inactive\n");
    ok(&lab, "manager-01", "docker ps -q");
    assert_eq!(active(&lab), "active\n");

    // Files alone hold nothing: systemd has to read them.
    ok(&lab, "manager-01", HOLD);
    ok(
        &lab,
        "manager-01",
        "systemctl stop docker.socket docker.service && systemctl start docker.service",
    );
    assert_eq!(active(&lab), "active\n");

    ok(
        &lab,
        "manager-01",
        "systemctl daemon-reload && systemctl stop docker.socket docker.service",
    );
    assert_eq!(
        ok(&lab, "manager-01", "systemctl start docker.service && echo $?"),
        "0"
    );
    assert_eq!(active(&lab), "inactive\n");
    let show = ok(
        &lab,
        "manager-01",
        "systemctl show -p ConditionResult,ActiveState docker.service",
    );
    assert_eq!(show, "ActiveState=inactive\nConditionResult=no");
    let call = sh(&lab, "manager-01", "docker ps");
    assert_eq!(call.status, 1, "{call:?}");
    assert!(
        call.err.contains("Cannot connect to the Docker daemon"),
        "{call:?}"
    );
    ticks(&lab, 10);
    let seen = ok(
        &lab,
        "manager-02",
        "docker node ls --format '{{.Hostname}} {{.Status}} {{.ManagerStatus}}'",
    );
    assert!(seen.contains("manager-01 Down Unreachable"), "{seen}");

    ok(
        &lab,
        "manager-01",
        "rm /var/lib/mkectl/hold && systemctl start docker.socket docker.service",
    );
    assert_eq!(active(&lab), "active\n");
    assert!(runs(&lab, "manager-01", "ucp-kv"), "its policy brings it back");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_swarm_needs_its_majority_and_workers_keep_their_tasks() {
    let lab = lab(&["manager-01", "manager-02", "manager-03", "worker-01"]).await;
    let worker = sh(&lab, "worker-01", "docker node ls");
    assert!(
        worker.status == 1 && worker.err.contains("This node is not a swarm manager"),
        "{worker:?}"
    );
    for manager in ["manager-02", "manager-03"] {
        ok(&lab, manager, "systemctl stop docker.socket docker.service");
    }
    ticks(&lab, 10);
    let lonely = sh(&lab, "manager-01", "docker service ls");
    assert!(
        lonely.status == 1 && lonely.err.contains("The swarm does not have a leader"),
        "{lonely:?}"
    );
    assert_ne!(
        ok(&lab, "worker-01", "docker ps -q --filter name=ucp-worker-agent-x"),
        ""
    );
    ok(&lab, "manager-03", "systemctl start docker.service");
    lab.tick();
    assert_eq!(sh(&lab, "manager-01", "docker service ls -q").status, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn volumes_are_directories_and_survive() {
    let lab = lab(&MANAGERS).await;
    let path = ok(
        &lab,
        "manager-01",
        "docker volume inspect --format '{{.Mountpoint}}' ucp-kv",
    );
    assert_eq!(path, "/var/lib/docker/volumes/ucp-kv/_data");
    ok(
        &lab,
        "manager-01",
        &format!("echo mine > {path}/mine && docker stop ucp-kv && docker rm ucp-kv"),
    );
    assert_eq!(ok(&lab, "manager-01", &format!("cat {path}/mine")), "mine");
    ok(
        &lab,
        "manager-01",
        "docker cp ucp-controller:/var/lib/docker/ucp/ucp-node-certs/.held /root/held",
    );
    assert_eq!(
        ok(&lab, "manager-01", "cat /root/held"),
        "ucp-node-certs of manager-01"
    );
    let piped = ok(
        &lab,
        "manager-01",
        "seq 100000 | docker exec -i ucp-controller cat | tail -n 1",
    );
    assert_eq!(piped, "100000");
    assert!(ok(&lab, "manager-01", "docker volume ls -q").contains("ucp-kv-certs"));
    let used = sh(&lab, "manager-01", "docker volume rm ucp-node-certs");
    assert!(
        used.status == 1 && used.err.contains("volume is in use"),
        "{used:?}"
    );
    ok(&lab, "manager-01", "docker volume rm ucp-metrics-data");
    let removed = Change {
        path: "/var/lib/docker/volumes/ucp-metrics-data".to_owned(),
        kind: ChangeKind::Removed,
    };
    assert!(lab.changes("manager-01").unwrap().contains(&removed));
    assert_eq!(
        sh(&lab, "manager-01", "docker volume inspect ucp-metrics-data").status,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_says_what_scripts_read() {
    let lab = lab(&["manager-01", "manager-02", "manager-03", "worker-01"]).await;
    for (host, line, wanted) in [
        (
            "manager-01",
            "docker info --format '{{ .Swarm.Cluster.ID }}'",
            "4g9zpkz4xuthqloh54urgupmn",
        ),
        (
            "manager-01",
            "docker info --format '{{.Swarm.ControlAvailable}} {{.Swarm.LocalNodeState}}'",
            "true active",
        ),
        (
            "worker-01",
            "docker info -f '{{.Swarm.ControlAvailable}} {{.DockerRootDir}}'",
            "false /var/lib/docker",
        ),
        ("manager-01", "docker version -f '{{.Server.Version}}'", "25.0.12"),
        (
            "manager-01",
            "docker inspect --format '{{.Config.Image}}' ucp-proxy",
            "mirantis/ucp-agent:3.8.5",
        ),
        (
            "manager-01",
            "docker inspect ucp-proxy -f '{{index .Config.Labels \"com.docker.ucp.version\"}}'",
            "3.8.5",
        ),
        (
            "manager-01",
            "docker node inspect self --format '{{.Spec.Role}} {{.Description.Hostname}}'",
            "manager manager-01",
        ),
        (
            "manager-01",
            "docker ps --filter name=^/ucp-kv$ --format '{{.Names}} {{.State}}'",
            "ucp-kv running",
        ),
        (
            "worker-01",
            "docker ps --filter label=name='Calico node' --format '{{.Image}}'",
            "mirantis/ucp-calico-node:3.8.5",
        ),
        (
            "manager-01",
            "docker service ls --filter name=ucp-cluster-agent --format '{{.Replicas}}'",
            "1/1",
        ),
        (
            "manager-01",
            "docker service ls --filter name=ucp-manager-agent --format '{{.Mode}} {{.Replicas}}'",
            "global 3/3",
        ),
        (
            "worker-01",
            "systemctl is-enabled docker; systemctl is-active docker.socket",
            "enabled\nactive",
        ),
        (
            "worker-01",
            "systemctl is-active nothing.service || echo $?",
            "inactive\n4",
        ),
        (
            "worker-01",
            "sudo -n docker ps -q --filter name=^ucp-proxy$ | wc -c",
            "13",
        ),
    ] {
        assert_eq!(ok(&lab, host, line), wanted, "{host}: {line}");
    }
    for (line, status, text) in [
        ("docker inspect ucp-nothing", 1, "No such object: ucp-nothing"),
        ("docker rm ucp-kv", 1, "container is running"),
        (
            "docker inspect -f '{{.Nope}}' ucp-kv",
            64,
            "can't evaluate field Nope",
        ),
        (
            "docker service scale ucp-manager-agent=0",
            1,
            "scale can only be used with replicated",
        ),
        (
            "docker update --restart=sometimes ucp-kv",
            1,
            "invalid restart policy",
        ),
        (
            "systemctl start nothing.service",
            5,
            "Unit nothing.service not found",
        ),
    ] {
        let ran = sh(&lab, "manager-01", line);
        assert!(ran.status == status && ran.err.contains(text), "{line}: {ran:?}");
    }
    assert_eq!(lab.state().unmodelled, Vec::<String>::new());
    for line in [
        "docker system prune -f",
        "docker ps --last 3",
        "systemctl edit docker",
        "docker ps -f network=x",
    ] {
        let ran = sh(&lab, "manager-01", line);
        assert_eq!(ran.status, i32::from(UNMODELLED), "{line}: {ran:?}");
        assert!(ran.err.contains("not simulated"), "{line}: {ran:?}");
    }
    assert_eq!(lab.state().unmodelled.len(), 4);
}

#[test]
fn a_link_called_docker_outside_a_lab_is_just_mkectl() {
    let home = tempfile::tempdir().unwrap();
    let link: &Path = &home.path().join("docker");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mkectl"), link).unwrap();
    let output = Command::new(link).arg("version").output().unwrap();
    assert!(output.status.success(), "{output:?}");
}
