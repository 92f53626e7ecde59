//! Facts that are read over SSH from simulated hosts: what a recording holds, and what a plan makes of it.

use crate::simulated::{self, bundle};
use crate::support::{Cluster, options as plan_options, repo, tables};
use mkectl::gather::{self, Gathered, Options, Questions, Seen};
use mkectl::lab::Lab;
use mkectl::model::{Bytes, Spec};
use mkectl::plan::staleness::{Drift, Fresh, Progress, compare};
use mkectl::source::facts::{Facts, HostFacts};
use mkectl::source::hosts::Hosts;
use mkectl::ssh::pool::{Limits, Pool};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub fn options() -> Options {
    Options {
        width: 16,
        host_limit: Duration::from_secs(120),
        cluster_limit: Duration::from_secs(240),
        now: Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            u64::try_from(since.as_millis()).unwrap()
        }),
        word: "w0rdw0rd".to_owned(),
    }
}

fn recorded(cluster: &str) -> (Facts, Hosts) {
    let file = |name: &str| fs::read(repo(&format!("testdata/clusters/{cluster}/{name}"))).unwrap();
    (
        Facts::parse("facts.json", &file("facts.json")).unwrap(),
        Hosts::parse_bytes("hosts.yaml", &file("hosts.yaml")).unwrap(),
    )
}

async fn read(lab: &Lab, hosts: &Hosts, seen: &(dyn Fn(Seen<'_>) + Sync)) -> Gathered {
    let pool = Pool::new(lab.transport(Arc::new(|| 0)).unwrap(), Limits::default());
    let questions = Questions::load(&bundle()).unwrap();
    let gathered = gather::gather(hosts, &gather::reachable, &pool, &questions, &options(), seen).await;
    pool.close().await;
    gathered
}

/// What no two readings have in common, and what a simulated host cannot tell: it lets everybody in as root, with a host key
/// of its own, and its certificates and its user pods are not those of the recording.
fn comparable(mut facts: Facts) -> Facts {
    facts.cluster.backup = None;
    if let Some(etcd) = &mut facts.cluster.etcd {
        etcd.stored_versions = None;
    }
    facts.cluster.node_ports = None;
    if let Some(objects) = &mut facts.cluster.objects {
        objects.crds = None;
        objects.cluster_roles = None;
        objects.csi_drivers = None;
        objects.failing_webhooks = None;
        objects.local_images = None;
    }
    for host in &mut facts.hosts {
        host.clock_offset_ms = None;
        host.host_keys = Vec::new();
        host.privilege = None;
        host.certificates_days = None;
        host.swap = None;
        // Tasks of the auth services publish ports themselves, and those of the simulation do not. Its proxy publishes one
        // that the recording lacks on workers.
        for ports in host.listening.iter_mut() {
            ports.retain(|port, _| !["12378", "12385", "12386"].contains(&port.as_str()));
        }
        if let Some(docker) = &mut host.docker {
            docker.images_bytes = docker.images_bytes.map(|bytes| Bytes(bytes.0 / 100_000_000));
        }
        if let Some(node) = &mut host.node {
            node.user_pods = node.user_pods.map(|pods| u32::from(pods > 0));
        }
        for disk in host.filesystems.values_mut() {
            // Kibibytes.
            for size in [&mut disk.size_bytes, &mut disk.free_bytes].into_iter().flatten() {
                size.0 = size.0 / 1024 * 1024;
            }
        }
    }
    facts
}

fn by_host(facts: &Facts) -> Vec<(String, String)> {
    facts
        .hosts
        .iter()
        .map(|host: &HostFacts| (host.address.clone(), serde_json::to_string_pretty(host).unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_a_cluster_are_read_as_they_were_recorded() {
    let (facts, hosts) = recorded("three-managers");
    let lab = Lab::from_facts(&facts, &simulated::options(20)).await.unwrap();
    let told = Mutex::new(Vec::new());
    let gathered = read(&lab, &hosts, &|seen| {
        told.lock().unwrap().push(match seen {
            Seen::Host(_, facts) => format!("host {:?}", facts.unreachable),
            Seen::Hosts(facts) => format!("hosts {}", facts.len()),
            Seen::Cluster(entry, result) => format!("cluster {} {result:?}", entry.address),
        });
    })
    .await;
    let unmodelled = lab.state().unmodelled.clone();
    assert_eq!(unmodelled, Vec::<String>::new());
    let remarks: Vec<String> = gathered
        .remarks
        .iter()
        .map(|remark| format!("{}: {}", remark.address, remark.text))
        .collect();
    assert_eq!(remarks, Vec::<String>::new());
    let told = told.into_inner().unwrap();
    assert_eq!(told.len(), 10, "{told:?}");
    assert!(told[..8].iter().all(|line| line == "host None"), "{told:?}");
    assert_eq!(told[8..], ["hosts 8", "cluster 203.0.113.11 Ok(())"]);

    // What is written can be read.
    let written = serde_json::to_vec(&gathered.facts).unwrap();
    let again = Facts::parse("facts.json", &written).unwrap();
    assert_eq!(again, gathered.facts);

    let objects = gathered.facts.cluster.objects.clone().unwrap();
    assert!(
        objects
            .crds
            .unwrap()
            .contains(&"ippools.crd.projectcalico.org".to_owned())
    );
    assert_eq!(objects.local_images.unwrap(), ["internal/report:7"]);
    assert!(
        gathered
            .facts
            .cluster
            .node_ports
            .as_ref()
            .unwrap()
            .contains(&32800)
    );
    assert_eq!(
        gathered.facts.cluster.etcd.as_ref().unwrap().stored_versions,
        None
    );

    let (wanted, found) = (comparable(facts.clone()), comparable(gathered.facts.clone()));
    assert_eq!(
        serde_json::to_string_pretty(&found.cluster).unwrap(),
        serde_json::to_string_pretty(&wanted.cluster).unwrap()
    );
    for (found, wanted) in by_host(&found).into_iter().zip(by_host(&wanted)) {
        assert_eq!(found.1, wanted.1, "{}", found.0);
    }

    // A plan that is made of it does the same.
    let mut cluster = Cluster::load("three-managers");
    let spec = cluster.make(tables(), &plan_options("three-managers")).spec;
    cluster.facts = (written, gathered.facts.clone());
    let now = cluster.make(tables(), &plan_options("three-managers")).spec;
    assert_eq!(now.actions, spec.actions);
    assert_eq!(now.skipped, spec.skipped);
    assert_eq!(now.cluster.facts, spec.cluster.facts);
    for (now, then) in now.hosts.iter().zip(&spec.hosts) {
        assert_eq!(
            (&now.facts, &now.fields),
            (&then.facts, &then.fields),
            "{}",
            now.id
        );
    }
    assert_eq!(compare(&spec, &gathered.facts, &Fresh), Vec::new());

    drift(&lab, &hosts, &spec).await;
    manager_down(&lab, &hosts).await;
}

/// What changes after a plan was made is told with the actions that rely on it.
async fn drift(lab: &Lab, hosts: &Hosts, spec: &Spec) {
    {
        let mut state = lab.state();
        let worker = state.hosts.get_mut("worker-02").unwrap();
        worker.system.selinux = "enforcing".to_owned();
        worker.arch = "aarch64".to_owned();
        state.etcd.alarms.insert("NOSPACE".to_owned());
    }
    let now = read(lab, hosts, &|_| {}).await.facts;
    let drifts = compare(spec, &now, &Fresh);
    let lines: Vec<String> = drifts.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines[0].split("; it concerns").next().unwrap(),
        "the cluster: cluster.etcd.alarms was empty and is \"NOSPACE\" now",
        "{lines:?}"
    );
    let of = |fact: &str| drifts.iter().find(|drift| drift.fact == fact).unwrap();
    assert_eq!(of("os.arch").host, "worker-02");
    assert_eq!(of("os.arch").found.as_deref(), Some("aarch64"));
    assert_eq!(of("os.arch").concerns, ["worker-02/stage-binaries"]);
    assert_eq!(of("selinux").concerns, ["worker-02/stage-config"]);
    assert!(drifts.iter().all(Drift::is_fatal));

    // Once those actions are done, nobody cares any more.
    let done = compare(
        spec,
        &now,
        &Done(&["worker-02/stage-binaries", "worker-02/stage-config"]),
    );
    let harmless = |fact: &str| !done.iter().find(|drift| drift.fact == fact).unwrap().is_fatal();
    assert!(harmless("os.arch") && harmless("selinux"));
    assert!(!harmless("cluster.etcd.alarms"));
    // What an action declares to change is no drift afterwards.
    let stopped = compare(spec, &now, &Done(&["manager-01/stop-kv"]));
    assert!(
        !stopped
            .iter()
            .any(|drift| drift.fact.starts_with("cluster.etcd."))
    );
    // A plan that relies on a host that tells nothing cannot be trusted.
    let mut silent = now.clone();
    silent.hosts[5] = HostFacts {
        address: silent.hosts[5].address.clone(),
        ..HostFacts::default()
    };
    let drifts = compare(spec, &silent, &Fresh);
    let unknown = drifts
        .iter()
        .find(|drift| drift.host == "worker-03" && drift.fact == "init");
    let unknown = unknown.unwrap();
    assert!(unknown.is_fatal() && unknown.found.is_none());
    let mut state = lab.state();
    state.etcd.alarms.clear();
}

struct Done(&'static [&'static str]);

impl Progress for Done {
    fn is_over(&self, action: &str) -> bool {
        self.0.contains(&action)
    }

    fn is_begun(&self, action: &str) -> bool {
        self.0.contains(&action)
    }
}

/// The first manager cannot tell: the next one does, and what nobody tells is absent.
async fn manager_down(lab: &Lab, hosts: &Hosts) {
    simulated::sh(
        lab,
        "manager-01",
        "systemctl stop docker.socket docker.service",
        b"",
    );
    let seen = Mutex::new(Vec::new());
    let gathered = read(lab, hosts, &|one| {
        if let Seen::Cluster(entry, result) = one {
            seen.lock().unwrap().push((entry.address.clone(), result));
        }
    })
    .await;
    let first = &gathered.facts.hosts[0];
    assert_eq!(
        (first.role, first.docker.clone(), first.mke_containers.clone()),
        (None, None, None)
    );
    assert_eq!(first.hostname.as_deref(), Some("manager-01"));
    assert_eq!(first.node.as_ref().unwrap().name.as_deref(), Some("manager-01"));
    let nodes = gathered.facts.cluster.swarm_nodes.unwrap();
    assert_eq!(nodes["manager-01"], "down");
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen[0].0, "203.0.113.12", "{seen:?}");
    assert_eq!(gathered.facts.cluster.etcd.unwrap().healthy_members, Some(2));
    let told = gathered
        .remarks
        .iter()
        .find(|remark| remark.address == "203.0.113.11");
    assert_eq!(told.unwrap().text, "docker: docker.service is not active");
    // Asking did not make the socket start it again.
    assert!(!lab.state().hosts["manager-01"].docker_up());
}

/// The script is a POSIX shell's, whichever that is.
#[test]
fn every_shell_tells_the_same() {
    use std::io::Write;
    let questions = Questions::load(&bundle()).unwrap();
    let (words, script) = questions.host("w0rdw0rd");
    let mut told = Vec::new();
    for shell in [&["dash"][..], &["busybox", "sh"], &["bash", "--posix"]] {
        let mut child = std::process::Command::new(shell[0])
            .args(&shell[1..])
            .args(&words[1..])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{shell:?}: {error}"));
        child.stdin.take().unwrap().write_all(script).unwrap();
        let output = child.wait_with_output().unwrap();
        let answer = mkectl::gather::lines::Answer::parse("w0rdw0rd", &output.stdout);
        let answer = answer.unwrap_or_else(|error| panic!("{shell:?}: {error}"));
        for name in ["hostname", "uname.machine", "privilege", "memory-kib", "noexec"] {
            assert!(answer.value(name).is_some(), "{shell:?} does not tell {name}");
        }
        told.push((
            answer.value("machine-id").map(str::to_owned),
            answer.value("os.PRETTY_NAME").map(str::to_owned),
            answer.value("firewall").map(str::to_owned),
            answer.list("filesystem").unwrap().count(),
            answer.names("address"),
        ));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0], told[2]);
}

/// Ports are probed between hosts and through the load balancer, and every listener is ended.
#[tokio::test(flavor = "multi_thread")]
async fn ports_are_really_probed() {
    use mkectl::gather::ports::{Verdict, check};
    let keep = ["manager-01", "manager-02", "manager-03", "worker-01"];
    let facts = simulated::facts("three-managers", &keep);
    let (_, mut hosts) = recorded("three-managers");
    let addresses: Vec<String> = facts.hosts.iter().map(|host| host.address.clone()).collect();
    hosts.entries.retain(|entry| addresses.contains(&entry.address));
    let lab = Lab::from_facts(&facts, &simulated::options(20)).await.unwrap();
    let questions = Questions::load(&bundle()).unwrap();
    let pool = Pool::new(lab.transport(Arc::new(|| 0)).unwrap(), Limits::default());
    let look = async || {
        let external = Some("mke.example.com");
        check(
            &hosts,
            &facts,
            &gather::reachable,
            external,
            &pool,
            &questions,
            &options(),
        )
        .await
    };
    let looks = look().await;
    let bad: Vec<_> = looks
        .iter()
        .filter(|look| look.verdict != Verdict::Open)
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
    // From each host: three ports and the API on every other manager; from managers 5473 on every other host; three ports
    // of the load balancer.
    assert_eq!(looks.len(), 3 * 2 * 4 + 3 * 4 + 3 * 3 + 4 * 3);
    let quiet = |lab: &Lab| {
        let state = lab.state();
        let units = state.hosts.values().flat_map(|host| host.units.keys().cloned());
        let left: Vec<String> = units.filter(|unit| unit.starts_with("mkectl-check")).collect();
        assert_eq!(left, Vec::<String>::new());
    };
    quiet(&lab);

    {
        let mut state = lab.state();
        state.balancer.closed.insert(9443);
        let firewall = &mut state.hosts.get_mut("manager-02").unwrap().system.firewall;
        firewall.kind = "firewalld".to_owned();
        firewall.active = true;
    }
    let looks = look().await;
    quiet(&lab);
    let bad: Vec<String> = looks
        .iter()
        .filter(|look| look.verdict != Verdict::Open)
        .map(|look| format!("{:?} {} {} {}", look.verdict, look.from, look.to, look.port))
        .collect();
    assert!(
        bad.contains(&"Closed worker-01 manager-02 9443".to_owned()),
        "{bad:?}"
    );
    assert!(
        bad.contains(&"Closed worker-01 the load balancer 9443".to_owned()),
        "{bad:?}"
    );
    // What is closed on one host says nothing of the others.
    let third = |look: &&mkectl::gather::ports::Look| look.to == "manager-03";
    assert!(
        looks
            .iter()
            .filter(third)
            .all(|look| look.verdict == Verdict::Open)
    );
    let unmodelled = lab.state().unmodelled.clone();
    assert_eq!(unmodelled, Vec::<String>::new());
    pool.close().await;
}
