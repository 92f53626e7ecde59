//! What connections and commands cost, against one real sshd on loopback: `cargo bench --bench ssh`.
//!
//! Prints, for N hosts (50, or the number in MKECTL_BENCH_HOSTS), the wall time of opening all connections through the pool
//! with one command each, of a command on each warm connection, one after another and at once, and what one connection
//! takes of memory and of this process's processor time. sshd's own work is in the wall times, so they are upper bounds; it
//! is not in the processor times.

// Its output is what it is for.
#![allow(clippy::print_stdout)]

use mkectl::model::Host;
use mkectl::ssh::Exec;
use mkectl::ssh::auth::Keys;
use mkectl::ssh::client::{Client, Settings};
use mkectl::ssh::hostkey::Policy;
use mkectl::ssh::knownhosts::KnownHosts;
use mkectl::ssh::pool::{Lease, Limits, Pool};
use std::collections::BTreeMap;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Sshd(Child);

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn keygen(dir: &Path, name: &str) -> String {
    let done = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f", name])
        .current_dir(dir)
        .status();
    assert!(
        done.is_ok_and(|status| status.success()),
        "ssh-keygen: apt-get install openssh-client"
    );
    fs::read_to_string(dir.join(format!("{name}.pub"))).expect("the key just made")
}

fn start(dir: &Path) -> (Sshd, u16, String) {
    let host_key = keygen(dir, "host");
    fs::write(dir.join("authorized"), keygen(dir, "user")).expect("a temporary directory is writable");
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port();
    // A home of its own keeps the start-up files of whoever runs this out of the times.
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nPidFile none\n\
         StrictModes no\nUsePAM no\nUseDNS no\nPermitRootLogin yes\nMaxStartups 1000\nSetEnv HOME={0}\n",
        dir.display()
    );
    fs::write(dir.join("config"), config).expect("a temporary directory is writable");
    // As root sshd wants it; otherwise it is not needed and this fails.
    let _ = fs::create_dir_all("/run/sshd");
    let child = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(dir.join("config"))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sshd: apt-get install openssh-server");
    let sshd = Sshd(child);
    for _ in 0..1000 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return (sshd, port, format!("[127.0.0.1]:{port} {host_key}"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("sshd does not start");
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmRSS:")?
                .split_whitespace()
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

/// Processor time of this process until now, in milliseconds: user and system.
fn processor_ms() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks: u64 = stat
        .rsplit_once(") ")
        .map_or("", |(_, fields)| fields)
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    // A tick is a hundredth of a second on every Linux that Rust's standard library supports.
    ticks * 10
}

/// Per piece, in milliseconds with two digits.
fn each(ms: u64, count: usize) -> String {
    let hundredths = ms * 100 / count.max(1) as u64;
    format!("{}.{:02} ms", hundredths / 100, hundredths % 100)
}

async fn all(pool: &Pool, hosts: &[Host]) -> Vec<Lease> {
    let mut running = tokio::task::JoinSet::new();
    for host in hosts {
        let (pool, host) = (pool.clone(), host.clone());
        running.spawn(async move {
            let lease = pool.session(&host).await.expect("the host is there");
            let ran = lease.exec(Exec::new(["true"])).await.expect("the command runs");
            assert!(ran.success());
            lease
        });
    }
    running.join_all().await
}

async fn measure(dir: &Path) {
    let (sshd, port, known_line) = start(dir);
    let user = Command::new("id").arg("-un").output().expect("id");
    let count: usize = std::env::var("MKECTL_BENCH_HOSTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(50);
    let hosts: Vec<Host> = (0..count)
        .map(|n| Host {
            id: format!("h{n}"),
            role: None,
            address: "127.0.0.1".to_owned(),
            port: u32::from(port),
            user: String::from_utf8_lossy(&user.stdout).trim().to_owned(),
            key_path: dir.join("user").to_string_lossy().into_owned(),
            bastion: None,
            host_keys: Vec::new(),
            machine_id: String::new(),
            fields: BTreeMap::new(),
            facts: BTreeMap::new(),
        })
        .collect();
    let mut known = KnownHosts::default();
    known.add("known_hosts", &known_line);
    let client = Client::new(
        Settings::default(),
        Policy::new(known, Arc::new(|| 0)),
        Keys::new(None, None, None),
    );
    let limits = Limits {
        ramp: 32,
        connections: count,
        ..Limits::default()
    };
    let pool = Pool::new(Arc::new(client), limits);
    // The first connection brings what all share into memory.
    drop(all(&pool, &hosts[..1]).await);
    let before = resident_kib();
    let (started, busy) = (Instant::now(), processor_ms());
    let leases = all(&pool, &hosts).await;
    println!(
        "cold: {count} connections and a command on each: {:?}, {} of our processor time for each",
        started.elapsed(),
        each(processor_ms() - busy, count)
    );
    let kib = resident_kib().saturating_sub(before) / (count.max(2) as u64 - 1);
    println!("memory: {kib} KiB for each connection");
    let (started, busy) = (Instant::now(), processor_ms());
    drop(all(&pool, &hosts).await);
    println!(
        "warm: a command on each of {count} at once: {:?}, {} of our processor time for each",
        started.elapsed(),
        each(processor_ms() - busy, count)
    );
    let started = Instant::now();
    for lease in &leases {
        assert!(
            lease
                .exec(Exec::new(["true"]))
                .await
                .is_ok_and(|ran| ran.success())
        );
    }
    println!("warm, one after another: {:?}", started.elapsed());
    let started = Instant::now();
    let ran = leases[0]
        .exec(Exec::new(["head", "-c", "256M", "/dev/zero"]))
        .await;
    assert!(ran.is_ok_and(|ran| ran.truncated));
    println!("256 MiB from one host: {:?}", started.elapsed());
    drop(leases);
    pool.close().await;
    drop(sshd);
}

fn main() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(measure(dir.path()));
}
