//! Scripts of the stage before the outage, each against what it has to find.

use crate::simulated::{Ran, facts, options, script, sh};
use mkectl::catalogue::{Bundle, Releases};
use mkectl::lab::{Lab, assets};

const MANAGERS: [&str; 3] = ["manager-01", "manager-02", "manager-03"];
const ALL: [&str; 4] = ["manager-01", "manager-02", "manager-03", "worker-01"];
const R: &str = "/var/lib/mkectl/0123456789abcdef";
const K0S: &str = "v1.32.11+k0s.0";

struct Hosts {
    lab: Lab,
}

impl Hosts {
    async fn new(hosts: &[&str], firewall: &str) -> Hosts {
        let mut facts = facts("three-managers", hosts);
        for host in &mut facts.hosts {
            host.firewall = Some(firewall.to_owned());
        }
        Hosts {
            lab: Lab::from_facts(&facts, &options(50)).await.unwrap(),
        }
    }

    fn sh(&self, host: &str, line: &str, input: &[u8]) -> Ran {
        sh(&self.lab, host, line, input)
    }

    fn ok(&self, host: &str, line: &str) -> String {
        let ran = self.sh(host, line, b"");
        assert_eq!(ran.status, 0, "{line}: {ran:?}");
        ran.text()
    }

    fn put(&self, host: &str, path: &str, bytes: &[u8]) {
        let ran = self.sh(
            host,
            &format!("umask 077; mkdir -p {R}/files; cat >{path}"),
            bytes,
        );
        assert_eq!(ran.status, 0, "{ran:?}");
    }

    /// Runs a script as the runner does, for a few seconds at most.
    fn run(&self, host: &str, name: &str, verb: &str, env: &[(&str, &str)]) -> Ran {
        self.run_of("0123456789abcdef", host, name, verb, env)
    }

    fn run_of(&self, plan: &str, host: &str, name: &str, verb: &str, env: &[(&str, &str)]) -> Ran {
        let home = format!("/var/lib/mkectl/{plan}");
        let mut line = format!(
            "umask 077; mkdir -p {home}/scripts {home}/actions/{name}/work {home}/actions/{name}/out; cat >{home}/scripts/{name}.sh; cd /; \
             exec env LC_ALL=C MKECTL_OUT={home}/actions/{name}/out MKECTL_WORK={home}/actions/{name}/work MKECTL_POLL=0.05 MKECTL_DEADLINE=30 "
        );
        for (key, value) in env {
            line.push_str(&format!("{key}='{value}' "));
        }
        line.push_str(&format!("sh {home}/scripts/{name}.sh {verb}"));
        self.sh(host, &line, script(&format!("{name}.sh")).as_bytes())
    }

    fn expect(&self, status: i32, host: &str, name: &str, verb: &str, env: &[(&str, &str)]) -> String {
        let ran = self.run(host, name, verb, env);
        assert_eq!(ran.status, status, "{name} {verb} on {host}: {}", ran.text());
        ran.text()
    }

    fn output(&self, host: &str, name: &str, output: &str) -> String {
        self.ok(host, &format!("cat {R}/actions/{name}/out/{output}"))
    }

    /// Brings k0s and the etcd tools to a host; the path of k0s there.
    fn stage_binaries(&self, host: &str) -> String {
        let brought = assets::assets(&versions());
        let (k0s, tools) = (format!("{R}/files/k0s"), format!("{R}/files/etcd-tools"));
        self.put(host, &k0s, &brought["k0s"]);
        self.put(host, &tools, &brought["etcd-tools"]);
        let env = [
            ("K0S", k0s.as_str()),
            ("ETCD_TOOLS", &tools),
            ("K0S_VERSION", K0S),
        ];
        self.expect(0, host, "stage-binaries", "run", &env);
        format!("{R}/actions/stage-binaries/out/k0s")
    }

    /// Stops a container for good: the agents of MKE 3 do not miss it.
    fn lose(&self, host: &str, container: &str) {
        self.lab
            .state()
            .hosts
            .get_mut(host)
            .unwrap()
            .wanted
            .remove(container);
        self.ok(host, &format!("docker stop {container}"));
    }

    fn nothing_unmodelled(&self) {
        assert_eq!(self.lab.state().unmodelled, Vec::<String>::new());
    }
}

fn versions() -> assets::Versions<'static> {
    assets::Versions {
        k0s: K0S,
        etcd: "3.5.25",
        calico: "v3.30.200",
        mke: "4.1.5",
    }
}

#[test]
fn a_lab_brings_every_asset_of_the_shipped_releases() {
    let names: Vec<&str> = assets::assets(&versions()).into_keys().collect();
    for release in &Releases::load(&Bundle::embedded()).unwrap().releases {
        assert_eq!(
            release.assets.keys().collect::<Vec<_>>(),
            names,
            "{}",
            release.mke
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_is_held_by_one_plan() {
    let hosts = Hosts::new(&["manager-01"], "none").await;
    hosts.expect(11, "manager-01", "lock", "probe", &[]);
    hosts.expect(0, "manager-01", "lock", "undo", &[]);
    hosts.expect(0, "manager-01", "lock", "run", &[]);
    hosts.expect(10, "manager-01", "lock", "probe", &[]);
    let second = hosts.run_of("fedcba9876543210", "manager-01", "lock", "run", &[]);
    assert!(
        second.status == 1 && second.text().contains("mkectl-01234567"),
        "{second:?}"
    );
    // Neither its undo nor its end takes the lock of the first.
    assert_eq!(
        hosts
            .run_of("fedcba9876543210", "manager-01", "lock", "undo", &[])
            .status,
        0
    );
    assert_eq!(
        hosts
            .run_of("fedcba9876543210", "manager-01", "unlock", "run", &[])
            .status,
        0
    );
    hosts.expect(10, "manager-01", "lock", "probe", &[]);
    hosts.expect(11, "manager-01", "unlock", "probe", &[]);
    hosts.expect(0, "manager-01", "unlock", "run", &[]);
    hosts.expect(10, "manager-01", "unlock", "probe", &[]);
    assert_eq!(
        hosts
            .run_of("fedcba9876543210", "manager-01", "lock", "run", &[])
            .status,
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_names_what_differs() {
    let hosts = Hosts::new(&["manager-01", "worker-01"], "none").await;
    let env = [
        ("DOCKER_ROOT", "/var/lib/docker"),
        ("KUBELET_ROOT", "/var/lib/kubelet"),
    ];
    for host in ["manager-01", "worker-01"] {
        hosts.expect(0, host, "record-state", "undo", &env);
        hosts.expect(0, host, "record-state", "run", &env);
        hosts.expect(0, host, "record-state", "verify", &env);
        hosts.expect(0, host, "record-state", "undo", &env);
        hosts.expect(0, host, "record-state", "run", &env);
    }
    hosts.ok(
        "manager-01",
        "docker update --restart=no ucp-proxy && echo x >>/etc/cni/net.d/10-calico.conflist && sysctl -q -w kernel.panic=7 \
         && docker volume create added && echo no >/var/lib/docker/volumes/ucp-node-certs/_data/ca.pem \
         && docker stop legacy && systemctl disable docker.service || true",
    );
    // A second attempt keeps the first record.
    hosts.expect(0, "manager-01", "record-state", "run", &env);
    let soon = [env[0], env[1], ("MKECTL_DEADLINE", "4")];
    let text = hosts.expect(1, "manager-01", "record-state", "undo", &soon);
    for wanted in [
        "policies: was there and is not now: /ucp-proxy unless-stopped 0",
        "policies: is there and was not: /ucp-proxy no 0",
        "/etc/cni/net.d/10-calico.conflist",
        "sysctls: is there and was not: kernel.panic 7",
        "volumes: is there and was not: added is empty",
        "ucp-node-certs",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing in {text}");
    }
    hosts.expect(0, "worker-01", "record-state", "undo", &env);
    hosts.nothing_unmodelled();
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_come_from_the_auth_store_and_nowhere_else() {
    let hosts = Hosts::new(&["manager-01"], "none").await;
    for _ in 0..2 {
        hosts.expect(0, "manager-01", "read-hashes", "run", &[]);
        hosts.expect(0, "manager-01", "read-hashes", "verify", &[]);
    }
    let lines = hosts.output("manager-01", "read-hashes", "hashes");
    let wanted: String = hosts
        .lab
        .state()
        .accounts
        .iter()
        .filter(|(_, account)| !account.hash.is_empty())
        .map(|(name, account)| format!("{name} {}\n", account.hash))
        .collect();
    assert_eq!(lines, wanted);
    let said = hosts.ok("manager-01", &format!("grep -rl '2a.10' {R} || true"));
    assert!(said.lines().all(|file| file.ends_with("/hashes")), "{said}");
    hosts.lab.state().accounts.get_mut("bob").unwrap().hash = "two words".to_owned();
    let text = hosts.expect(1, "manager-01", "read-hashes", "run", &[]);
    assert!(
        text.contains("unexpected form") && !text.contains("two words"),
        "{text}"
    );
    hosts.lose("manager-01", "ucp-auth-store");
    hosts.expect(75, "manager-01", "read-hashes", "run", &[]);
    hosts.nothing_unmodelled();
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_opened_listened_on_and_reached() {
    let hosts = Hosts::new(&ALL, "firewalld").await;
    let managers = "172.31.1.11 172.31.1.12 172.31.1.13";
    let probe = [
        ("ANSWER", "cluster"),
        ("EXTERNAL_ADDRESS", "mke.example.com:8443"),
        ("MANAGERS", managers),
        ("PORTS", "6443 9443 8132"),
        ("NEW_PORTS", "9443 8132"),
        ("GATEWAY_PORT", "33001"),
    ];
    let config = |k0s: &str| {
        [
            ("K0S", k0s.to_owned()),
            ("K0S_CONFIG", format!("{R}/files/k0s.yaml")),
            ("PORTS", format!("{R}/files/ports.txt")),
            ("REGISTRY_CAS", format!("{R}/files/cas.pem")),
            ("IMAGE_REGISTRY", "registry.example.com:5000/mke".to_owned()),
            ("CHART_REGISTRY", String::new()),
            ("NODE_IP", "172.31.1.11".to_owned()),
        ]
    };
    let listen = |host| {
        [
            ("ANSWER", "cluster"),
            ("NODE_NAME", host),
            ("PORTS", "9443 8132"),
            ("GATEWAY_PORT", "33001"),
        ]
    };
    let mut k0s = String::new();
    for host in MANAGERS {
        k0s = hosts.stage_binaries(host);
        hosts.expect(11, host, "lb-listen", "probe", &listen(host));
        hosts.expect(0, host, "lb-listen", "undo", &listen(host));
        for _ in 0..2 {
            hosts.expect(0, host, "lb-listen", "run", &listen(host));
            hosts.expect(0, host, "lb-listen", "verify", &listen(host));
            hosts.expect(10, host, "lb-listen", "probe", &listen(host));
        }
    }
    let text = hosts.expect(78, "worker-01", "lb-probe", "run", &probe);
    assert!(
        text.contains("172.31.1.12 does not answer on port 9443"),
        "{text}"
    );

    let yaml = "apiVersion: k0s.k0sproject.io/v1beta1\nkind: ClusterConfig\nmetadata:\n  name: k0s\nspec:\n  storage:\n    etcd:\n      peerAddress: mkectl-host:private-address\n";
    for host in MANAGERS {
        hosts.put(host, &format!("{R}/files/k0s.yaml"), yaml.as_bytes());
        hosts.put(
            host,
            &format!("{R}/files/ports.txt"),
            b"4/ip all\n9443/tcp managers\n8132/tcp managers\n5473/tcp workers\n33000-33001/tcp,udp all\n",
        );
        hosts.put(
            host,
            &format!("{R}/files/cas.pem"),
            b"-----BEGIN CERTIFICATE-----\n",
        );
        let config = config(&k0s);
        let config = config.each_ref().map(|(key, value)| (*key, value.as_str()));
        hosts.expect(11, host, "stage-config", "probe", &config);
        hosts.expect(0, host, "stage-config", "undo", &config);
        let before = hosts.lab.state().hosts[host].system.clone();
        hosts.expect(0, host, "stage-config", "run", &config);
        hosts.expect(10, host, "stage-config", "probe", &config);
        hosts.expect(0, host, "stage-config", "undo", &config);
        let mut after = hosts.lab.state().hosts[host].system.clone();
        // Modules stay, with the settings that they bring.
        after.modules.clone_from(&before.modules);
        after.sysctls.retain(|key, _| !key.starts_with("net.bridge."));
        assert_eq!(after, before, "{host}");
        hosts.expect(11, host, "stage-config", "probe", &config);
        for _ in 0..2 {
            hosts.expect(0, host, "stage-config", "run", &config);
        }
        let rules = hosts.lab.state().hosts[host].system.firewall.clone();
        assert!(
            rules.open.contains("33000-33001/udp") && rules.permanent.contains("9443/tcp"),
            "{rules:?}"
        );
        assert!(!rules.open.contains("5473/tcp"), "{rules:?}");
    }
    hosts.expect(0, "worker-01", "lb-probe", "run", &probe);

    hosts.lab.state().balancer.closed.insert(8132);
    let text = hosts.expect(78, "worker-01", "lb-probe", "run", &probe);
    assert!(text.contains("does not forward port 8132"), "{text}");
    hosts.lab.state().balancer = Default::default();
    let wrong = (vec!["manager-02".to_owned()], 8132);
    hosts.lab.state().balancer.to.insert(9443, wrong);
    let text = hosts.expect(78, "worker-01", "lb-probe", "run", &probe);
    assert!(text.contains("does not forward port 9443"), "{text}");
    hosts.lab.state().balancer = Default::default();
    let one = (vec!["manager-02".to_owned()], 9443);
    hosts.lab.state().balancer.to.insert(9443, one);
    let text = hosts.expect(0, "worker-01", "lb-probe", "run", &probe);
    assert!(
        text.contains("led port 9443 to 1 of 3 managers: manager-02"),
        "{text}"
    );

    for host in MANAGERS {
        hosts.expect(11, host, "lb-close", "probe", &listen(host));
        hosts.expect(0, host, "lb-close", "run", &listen(host));
        hosts.expect(10, host, "lb-close", "probe", &listen(host));
        hosts.expect(0, host, "lb-listen", "undo", &listen(host));
    }
    let taken = [
        ("ANSWER", "cluster"),
        ("NODE_NAME", "manager-01"),
        ("PORTS", "9443 8132"),
        ("GATEWAY_PORT", "443"),
    ];
    let text = hosts.expect(78, "manager-01", "lb-listen", "run", &taken);
    assert!(text.contains("port 443 is taken"), "{text}");
    hosts.nothing_unmodelled();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_load_balancer_has_to_lead_to_k0s() {
    let hosts = Hosts::new(&["manager-01", "worker-01"], "none").await;
    hosts.put(
        "worker-01",
        &format!("{R}/files/ca.crt"),
        b"-----BEGIN CERTIFICATE-----\nnew\n",
    );
    let ca = format!("{R}/files/ca.crt");
    let env = [
        ("EXTERNAL_ADDRESS", "mke.example.com"),
        ("CA", ca.as_str()),
        ("PORTS", "6443 9443 8132"),
        ("MKECTL_DEADLINE", "3"),
    ];
    let text = hosts.expect(75, "worker-01", "lb-verify", "run", &env);
    assert!(
        text.contains("port 6443") && text.contains("certificate problem"),
        "{text}"
    );
    hosts.nothing_unmodelled();
}

#[tokio::test(flavor = "multi_thread")]
async fn images_come_and_go_with_what_was_made_for_them() {
    let hosts = Hosts::new(&["manager-01", "worker-01"], "none").await;
    let k0s = hosts.stage_binaries("worker-01");
    let env = [
        ("K0S", k0s.as_str()),
        ("DATA_DIR", "/var/lib/k0s"),
        ("IMAGE_REGISTRY", "registry.example.com/mke"),
        ("AIRGAPPED", "true"),
    ];
    let images = hosts.lab.state().hosts["worker-01"].images.clone();
    for verb in [
        ("probe", 11),
        ("undo", 0),
        ("probe", 11),
        ("run", 0),
        ("verify", 0),
        ("probe", 10),
        ("run", 0),
    ] {
        hosts.expect(verb.1, "worker-01", "prepull", verb.0, &env);
    }
    let here = hosts.ok("worker-01", "ls /var/lib/k0s/images");
    assert!(
        here.contains("mkectl-registry.example.com_mke_k0sproject_coredns_"),
        "{here}"
    );
    assert!(!here.contains("ucp-"), "{here}");
    // What was pulled for the archives is not left in Docker, and what pods use is.
    assert_eq!(hosts.lab.state().hosts["worker-01"].images, images);
    for verb in [("undo", 0), ("probe", 11), ("undo", 0)] {
        hosts.expect(verb.1, "worker-01", "prepull", verb.0, &env);
    }
    assert_eq!(
        hosts.ok("worker-01", "ls /var/lib/k0s"),
        "images.mkectl-01234567\n"
    );
    let coredns = here.lines().find(|name| name.contains("coredns")).unwrap();
    hosts.ok("worker-01", &format!("rm /var/lib/k0s/images.*/{coredns}"));
    let list = hosts.ok("worker-01", &format!("{k0s} airgap list-images"));
    let image = list.lines().find(|name| name.contains("coredns")).unwrap();
    let image = image.replacen("quay.io", "registry.example.com/mke", 1);
    hosts.lab.state().unserved.insert(image);
    let text = hosts.expect(75, "worker-01", "prepull", "run", &env);
    assert!(text.contains("mirror it into the registry"), "{text}");
    hosts.lab.state().unserved.clear();
    let disk = mkectl::lab::model::Disk {
        size: 100 << 30,
        free: 15 << 30,
        inodes: 8 << 20,
    };
    hosts
        .lab
        .state()
        .hosts
        .get_mut("worker-01")
        .unwrap()
        .system
        .disks
        .insert("/".to_owned(), disk);
    let text = hosts.expect(78, "worker-01", "prepull", "run", &env);
    assert!(text.contains("15 % of"), "{text}");
    hosts.nothing_unmodelled();
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_are_encrypted_and_hold_no_secret_outside() {
    let hosts = Hosts::new(&["manager-01"], "none").await;
    hosts.put("manager-01", "/run/passphrase", b"correct horse");
    let env = [("MKE_VERSION", "3.8.5"), ("PASSPHRASE_FILE", "/run/passphrase")];
    for verb in [
        ("probe", 11),
        ("undo", 0),
        ("run", 0),
        ("verify", 0),
        ("run", 0),
        ("undo", 0),
        ("undo", 0),
    ] {
        hosts.expect(verb.1, "manager-01", "backup-mke3", verb.0, &env);
    }
    assert_eq!(
        hosts.ok("manager-01", &format!("grep -rl 'correct horse' {R} || true")),
        ""
    );
    // A backup that was interrupted is in the way of the next.
    hosts.lab.state().hosts.get_mut("manager-01").map(|host| {
        let left = mkectl::lab::model::Container::running("manager-01", "ucp", "mirantis/ucp:3.8.5");
        host.containers.insert("ucp".to_owned(), left)
    });
    hosts.expect(0, "manager-01", "backup-mke3", "run", &env);
    hosts.put("manager-01", "/run/passphrase", b"");
    hosts.expect(75, "manager-01", "backup-mke3", "run", &env);
    hosts.expect(0, "manager-01", "backup-swarm-defs", "run", &[]);
    hosts.expect(0, "manager-01", "backup-swarm-defs", "verify", &[]);
    let listed = hosts.ok(
        "manager-01",
        &format!("tar -xzOf {R}/actions/backup-swarm-defs/out/definitions swarm/service.names"),
    );
    assert!(
        listed.contains("legacy-web") && !listed.contains("ucp-"),
        "{listed}"
    );
    hosts.nothing_unmodelled();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsed_snapshot_tells_what_cannot_be_read() {
    let hosts = Hosts::new(&MANAGERS, "none").await;
    hosts.stage_binaries("manager-01");
    let etcdutl = format!("{R}/actions/stage-binaries/out/etcdutl");
    let unreadable = format!("{R}/files/unreadable.txt");
    hosts.put(
        "manager-01",
        &unreadable,
        b"flowcontrol.apiserver.k8s.io/v1beta2 FlowSchema\npolicy/v1beta1 PodSecurityPolicy\n",
    );
    let env = [("ETCDUTL", etcdutl.as_str()), ("UNREADABLE", &unreadable)];
    hosts.expect(0, "manager-01", "snapshot-rehearsal", "run", &env);
    // As API servers store it: the version with its length before it, then the kind; 36 is a dollar sign.
    let value =
        b"k8s\0\n2\n$flowcontrol.apiserver.k8s.io/v1beta2\x12\nFlowSchema\x12\x10\n\x05probe".to_vec();
    hosts
        .lab
        .state()
        .etcd
        .store
        .put("/registry/flowschemas/probe", value);
    let text = hosts.expect(78, "manager-01", "snapshot-rehearsal", "run", &env);
    assert!(
        text.contains("1 objects of kind FlowSchema are stored as flowcontrol.apiserver.k8s.io/v1beta2"),
        "{text}"
    );
    // A version that only stands in the history of an object does not count.
    let value = b"k8s\0\n2\n\x1fflowcontrol.apiserver.k8s.io/v1\x12\nFlowSchema\x12\x10\"$flowcontrol.apiserver.k8s.io/v1beta2*".to_vec();
    hosts
        .lab
        .state()
        .etcd
        .store
        .put("/registry/flowschemas/probe", value);
    hosts.expect(0, "manager-01", "snapshot-rehearsal", "run", &env);
    hosts.lab.state().etcd.alarms.insert("NOSPACE".to_owned());
    let text = hosts.expect(78, "manager-01", "snapshot-rehearsal", "run", &env);
    assert!(text.contains("alarm:NOSPACE"), "{text}");
    let left = hosts.ok("manager-01", &format!("ls {R}/actions/snapshot-rehearsal/work"));
    assert!(!left.contains(".db") && !left.contains("values"), "{left}");
    hosts.nothing_unmodelled();
}

#[tokio::test(flavor = "multi_thread")]
async fn health_is_noted_and_waited_for() {
    let hosts = Hosts::new(&ALL, "none").await;
    for (host, api) in [("manager-01", true), ("worker-01", false)] {
        let k0s = hosts.stage_binaries(host);
        let check = [
            ("MKE_VERSION", "3.8.5"),
            ("NODE_NAME", host),
            ("DATA_DIR", "/var/lib/k0s"),
        ];
        hosts.expect(0, host, "recheck", "run", &check);
        let other = [
            ("MKE_VERSION", "3.8.4"),
            ("NODE_NAME", host),
            ("DATA_DIR", "/var/lib/k0s"),
        ];
        hosts.expect(78, host, "recheck", "run", &other);
        let env = [("NODE_NAME", host), ("K0S", k0s.as_str())];
        hosts.expect(0, host, "note-health", "undo", &env);
        hosts.expect(0, host, "note-health", "run", &env);
        let noted = hosts.output(host, "note-health", "health");
        assert_eq!(noted.contains("ping OK"), api, "{noted}");
        assert!(noted.contains(&format!("node {host} Ready")), "{noted}");
        hosts.lose(host, "ucp-proxy");
        let soon = [env[0], env[1], ("MKECTL_DEADLINE", "2")];
        let text = hosts.expect(75, host, "note-health", "undo", &soon);
        assert!(text.contains("waiting for MKE 3 to be healthy again"), "{text}");
        hosts.ok(host, "docker start ucp-proxy");
        hosts.expect(0, host, "note-health", "undo", &env);
        hosts.expect(0, host, "note-health", "undo", &env);
    }
    let k0s = hosts.stage_binaries("manager-02");
    hosts.expect(0, "manager-02", "webhook-inventory", "run", &[("K0S", &k0s)]);
    hosts.expect(0, "manager-02", "webhook-inventory", "verify", &[("K0S", &k0s)]);
    let nodes = hosts.ok(
        "manager-02",
        &format!("tar -xOf {R}/actions/webhook-inventory/out/inventory ./nodes"),
    );
    assert!(nodes.contains("worker-01 "), "{nodes}");
    hosts.lose("manager-01", "ucp-auth-store");
    let check = [
        ("MKE_VERSION", "3.8.5"),
        ("NODE_NAME", "manager-01"),
        ("DATA_DIR", "/var/lib/k0s"),
    ];
    hosts.expect(75, "manager-01", "recheck", "run", &check);
    hosts.nothing_unmodelled();
}
