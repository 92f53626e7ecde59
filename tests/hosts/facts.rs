//! Facts of a real machine, over a real sshd.

use crate::sshd::{Setup, World};
use mkectl::catalogue::Bundle;
use mkectl::gather::{Options, Questions, Seen, gather, reachable};
use mkectl::source::hosts::{HostEntry, Hosts};
use mkectl::ssh::pool::{Limits, Pool};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

fn entry(world: &World, name: &str, port: u16) -> HostEntry {
    HostEntry {
        address: name.to_owned(),
        port: u32::from(port),
        user: world.user.clone(),
        key_path: world.name("user"),
        role: None,
        private_address: None,
        private_interface: None,
        hostname: None,
        labels: BTreeMap::new(),
        bastion: None,
        install_flags: Vec::new(),
        no_taints: false,
        line: 1,
    }
}

fn says(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_tells_what_it_is_and_who_hangs_costs_nobody_else_anything() {
    let world = World::new();
    let sshd = world.sshd("");
    // It accepts connections and says nothing.
    let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
    let hosts = Hosts {
        file: "hosts.yaml".to_owned(),
        entries: vec![
            entry(&world, "hanging", hanging.local_addr().unwrap().port()),
            entry(&world, "machine", sshd.port),
            entry(&world, "nobody", 1),
        ],
    };
    let client = Setup::trusting(&[&sshd]).client();
    let limits = Limits {
        attempts: 1,
        ..Limits::default()
    };
    let pool = Pool::new(Arc::new(client), limits);
    let place = |at: usize, entry: &HostEntry| mkectl::model::Host {
        address: "127.0.0.1".to_owned(),
        ..reachable(at, entry)
    };
    let options = Options {
        width: 8,
        host_limit: Duration::from_secs(15),
        cluster_limit: Duration::from_secs(15),
        now: Arc::new(milliseconds),
        word: "abcdefgh".to_owned(),
    };
    let questions = Questions::load(&Bundle::embedded()).unwrap();
    let begun = Instant::now();
    let first = std::sync::Mutex::new(None);
    let gathered = gather(&hosts, &place, &pool, &questions, &options, &|seen| {
        if let Seen::Host(entry, _) = seen
            && entry.address == "machine"
        {
            *first.lock().unwrap() = Some(begun.elapsed());
        }
    })
    .await;
    pool.close().await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert!(first.into_inner().unwrap().unwrap() < took);

    let [hung, machine, nobody] = &gathered.facts.hosts[..] else {
        panic!("three hosts");
    };
    let why = hung.unreachable.as_deref().unwrap();
    assert!(why.contains("did not answer within 15 seconds"), "{why}");
    assert!(
        nobody.unreachable.as_deref().unwrap().contains("127.0.0.1:1"),
        "{nobody:?}"
    );

    assert_eq!(machine.unreachable, None);
    assert_eq!(
        machine.hostname.clone().unwrap(),
        says("cat", &["/proc/sys/kernel/hostname"])
    );
    let machine_id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    assert_eq!(machine.machine_id.clone().unwrap_or_default(), machine_id.trim());
    let os = machine.os.clone().unwrap();
    assert_eq!(os.arch.unwrap(), says("uname", &["-m"]));
    assert_eq!(os.kernel.unwrap(), says("uname", &["-r"]));
    assert_eq!(os.family.unwrap(), "linux");
    assert_eq!(machine.cpus.unwrap().to_string(), says("nproc", &[]));
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total: u64 = memory.split_whitespace().nth(1).unwrap().parse().unwrap();
    assert_eq!(machine.memory_bytes.unwrap().0, total * 1024);
    let disk = &machine.filesystems["/var/lib/mkectl"];
    let df = says("df", &["-P", "-k", "/var/lib"]);
    let row: Vec<&str> = df.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(disk.mount.as_deref(), Some(row[5]));
    assert_eq!(disk.size_bytes.unwrap().0, row[1].parse::<u64>().unwrap() * 1024);
    assert!(disk.free_bytes.unwrap().0 > 0);
    if world.user == "root" {
        assert_eq!(machine.privilege.as_deref(), Some("root"));
    }
    assert!(machine.clock_offset_ms.unwrap().abs() < 5000, "{machine:?}");
    assert!(
        machine
            .listening
            .as_ref()
            .unwrap()
            .contains_key(&sshd.port.to_string())
    );
    // No swarm here, and nobody says that there is one.
    assert_eq!(machine.role, None);
    assert_eq!(gathered.facts.cluster.swarm_nodes, None);
}
