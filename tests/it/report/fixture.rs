//! Plans made by hand: 3 managers and 5 workers as a board would see them, and large ones.

use mkectl::model::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How large a plan is to be.
#[derive(Clone, Copy)]
pub struct Size {
    pub managers: usize,
    pub workers: usize,
    pub organizations: usize,
    pub teams: usize,
    pub users: usize,
    /// Nothing stands in the way.
    pub clean: bool,
}

pub const SMALL: Size = Size {
    managers: 3,
    workers: 5,
    organizations: 2,
    teams: 3,
    users: 9,
    clean: false,
};
pub const CLEAN: Size = Size { clean: true, ..SMALL };
pub const LARGE: Size = Size {
    managers: 5,
    workers: 195,
    organizations: 40,
    teams: 14,
    users: 12_000,
    clean: false,
};

fn sha(text: &str) -> String {
    let hash: String = Sha256::digest(text)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hash}")
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn map(items: &[(&str, &str)]) -> BTreeMap<String, String> {
    items
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub fn plan(size: Size) -> Plan {
    let hosts = hosts(size);
    let steps = steps(size);
    let scripts: BTreeMap<String, String> = steps
        .iter()
        .filter_map(|step| Some((step.script_digest.clone()?, script(&step.id))))
        .collect();
    let (actions, joints) = actions(&steps, &hosts);
    let k0s = "apiVersion: k0s.k0sproject.io/v1beta1\nkind: ClusterConfig\n".to_owned();
    let mke4 =
        "apiVersion: mke.mirantis.com/v1alpha1\nkind: MkeConfig\nldap: mkectl-secret:ldap-bind\n".to_owned();
    let worker = |n: usize| hosts[size.managers + n].id.clone();
    let spec = Spec {
        unchecked: unchecked(size, &hosts),
        intent: Intent {
            applyable: size.clean,
            not_applyable: if size.clean {
                Vec::new()
            } else {
                strings(&[
                    "3 findings block the upgrade",
                    "the script of 1 step is not part of this build",
                ])
            },
            catalogue: sha("catalogue"),
            options: map(&[
                ("worker-disruption", "10%"),
                ("data-dir", "/var/lib/k0s"),
                ("on-failure", "auto"),
            ]),
        },
        cluster: Cluster {
            id: "k2jx0q4n8s6w".into(),
            name: "mke.example.com".into(),
            external_address: "mke.example.com".into(),
            from: From {
                mke: "3.8.5".into(),
                kubernetes: "v1.31.7".into(),
                mcr: "25.0.9".into(),
            },
            to: To {
                mke: "4.1.5".into(),
                kubernetes: "1.32".into(),
                k0s: "v1.32.11+k0s.0".into(),
                etcd: "3.5.25".into(),
            },
            facts: map(&[("calico.datastore", "kdd")]),
        },
        inputs: inputs(size),
        findings: findings(size, &hosts),
        conversion: Conversion {
            settings: settings(size),
            flags: flags(size),
            ports: ports(),
        },
        rbac: Some(rbac(size)),
        secrets: secrets(size),
        secret_files: vec![
            secret_file(
                "R/etcd/final.db",
                "managers",
                "the whole etcd, Secrets included",
                "commit",
                "final-snapshot",
            ),
            secret_file(
                "R/keys/sa.key",
                "managers",
                "key that signs service account tokens",
                "commit",
                "carry-keys",
            ),
            secret_file(
                "R/join-token",
                "joiners",
                "join token, valid for 10 minutes",
                "the end of its action",
                "join-worker",
            ),
            secret_file(
                "~/.mke/mke.kubeconf",
                "operator",
                "administrator's key",
                "a person removes it",
                "outputs",
            ),
        ],
        assets: vec![Asset {
            name: "k0s".into(),
            kind: "binary".into(),
            url: "https://get.example.com/k0s-v1.32.11".into(),
            digest: sha("k0s"),
        }],
        images: Vec::new(),
        documents: vec![
            Document {
                name: "k0s.yaml".into(),
                digest: sha(&k0s),
                secrets: false,
            },
            Document {
                name: "mke4.yaml".into(),
                digest: sha(&mke4),
                secrets: true,
            },
        ],
        files: BTreeMap::from([(sha(&k0s), k0s), (sha(&mke4), mke4)]),
        runner: String::new(),
        scripts,
        stages: stages(),
        budgets: vec![
            Budget {
                id: "uploads".into(),
                counts: Selector::Hosts,
                capacity: 5,
                because: "--concurrent-uploads 5".into(),
            },
            Budget {
                id: "etcd-members".into(),
                counts: Selector::Managers,
                capacity: 1,
                because: "fixed".into(),
            },
            Budget {
                id: "workers-down".into(),
                counts: Selector::Workers,
                capacity: (size.workers as u32 / 10).max(1),
                because: format!("10 % of {} workers, at least 1", size.workers),
            },
        ],
        lines: Lines {
            last_automatic_rollback: format!("{}/join-worker", worker(0)),
            last_automatic_rollback_because: "the first user pods start under k0s on this worker".into(),
            point_of_no_return: "gate/commit".into(),
        },
        estimate: estimate(size, &hosts),
        skipped: vec![
            Skip {
                step: "load-bundle".into(),
                because: "not airgapped: --mke3-airgapped is false".into(),
                hosts: hosts.iter().map(|host| host.id.clone()).collect(),
            },
            Skip {
                step: "restore-webhooks".into(),
                because: "no webhook of users is served from inside the cluster".into(),
                hosts: vec![hosts[0].id.clone()],
            },
        ],
        hosts,
        steps,
        actions,
        joints,
    };
    Plan {
        kind: PLAN_KIND.into(),
        format_version: PLAN_FORMAT.into(),
        digest: sha(&serde_json::to_string(&spec).unwrap()),
        spec,
        meta: Meta {
            created_at: "2026-11-20T21:04:00Z".into(),
            ..Meta::default()
        },
    }
}

/// As the real ones: some of the configuration, one for each account.
fn secrets(size: Size) -> Vec<SecretRef> {
    let mut out = vec![SecretRef {
        name: "ldap-bind".into(),
        from: "mke3-config:auth.ldap.reader_password".into(),
        used_for: "spec.authentication.ldap.bindPW of mke4.yaml".into(),
    }];
    out.extend((0..size.users).map(|n| SecretRef {
        name: format!("password-hash-{n:05}"),
        from: format!("host:R/password-hashes/{n:05}"),
        used_for: format!("hash of Password mke/{n:05}"),
    }));
    out.push(SecretRef {
        name: "registry-ca-key".into(),
        from: "env:MKECTL_REGISTRY_PASSWORD".into(),
        used_for: "pulling images".into(),
    });
    out
}

fn unchecked(size: Size, hosts: &[Host]) -> Vec<Unchecked> {
    if size.clean {
        return Vec::new();
    }
    let last: Vec<String> = hosts[size.managers..]
        .iter()
        .map(|host| host.id.clone())
        .collect();
    let row = |code: &str, why: &str, hosts: &[String]| Unchecked {
        code: code.into(),
        why: why.into(),
        hosts: hosts.to_vec(),
    };
    vec![
        row("CGROUP-V1", "the host could not be reached", &last),
        row("CPU-LOW", "the host could not be reached", &last),
        row(
            "INFLIGHT",
            "which jobs will run is known only when it starts",
            &[],
        ),
        row("SWAP", "the host could not be reached", &last),
    ]
}

/// Bindings of the cluster: a few that get company, many that stay as they are.
fn bindings(size: Size) -> Vec<BindingRow> {
    let beside = ["development", "production"].map(|team| BindingRow {
        namespace: Some(team.into()),
        name: "edit".into(),
        role: "ClusterRole edit".into(),
        outcome: Outcome::Converted,
        to: vec![format!("RoleBinding {team}/{team}-team")],
        reason: "comes over with etcd; members are bound one by one beside it".into(),
    });
    let alone = (0..size.users / 3).map(|n| BindingRow {
        namespace: None,
        name: format!("binding-{n:04}"),
        role: "ClusterRole view".into(),
        outcome: Outcome::Converted,
        to: Vec::new(),
        reason: "comes over with etcd as it is".into(),
    });
    beside.into_iter().chain(alone).collect()
}

fn loose() -> Vec<LooseGrant> {
    vec![
        LooseGrant {
            subject: "service account ci:deployer".into(),
            role: bound(
                "deployer",
                "all namespaces",
                "deployer",
                Outcome::Converted,
                "the binding stays as it is",
            ),
        },
        LooseGrant {
            subject: "user departed".into(),
            role: bound(
                "view",
                "namespace ops",
                "",
                Outcome::Unknown,
                "the accounts hold no such subject",
            ),
        },
    ]
}

fn hosts(size: Size) -> Vec<Host> {
    let host = |id: String, role: Role, n: usize| Host {
        role: Some(role),
        address: format!("10.0.{}.{}", n / 200, n % 200 + 10),
        port: 22,
        user: "ubuntu".into(),
        key_path: "~/.ssh/id_ed25519".into(),
        bastion: None,
        host_keys: vec![format!("SHA256:{}", &sha(&id)[7..50])],
        machine_id: sha(&id)[7..39].to_owned(),
        fields: map(&[
            ("hostname", &id),
            ("kubelet-profile", if n % 4 == 3 { "gpu" } else { "" }),
        ]),
        facts: map(&[("os.id", "ubuntu")]),
        id,
    };
    let width = size.workers.to_string().len().max(2);
    (1..=size.managers)
        .map(|n| host(format!("mgr-{n:02}"), Role::Manager, n - 1))
        .chain(
            (1..=size.workers)
                .map(|n| host(format!("worker-{n:0width$}"), Role::Worker, size.managers + n - 1)),
        )
        .collect()
}

fn inputs(size: Size) -> Vec<Input> {
    let input = |name: &str, source: &str, file: &str, unchecked: &str| Input {
        name: name.into(),
        source: source.into(),
        file: file.into(),
        digest: if source == "absent" {
            String::new()
        } else {
            sha(name)
        },
        unchecked: unchecked.into(),
    };
    vec![
        input("mke3-config", "file", "mke3.toml", ""),
        input("hosts", "file", "hosts.yaml", ""),
        input(
            "facts",
            "live",
            "",
            if size.clean {
                ""
            } else {
                "clock skew of worker-03: chronyd did not answer"
            },
        ),
        input("accounts", "file", "accounts.json", ""),
        input(
            "cluster-objects",
            if size.clean { "live" } else { "absent" },
            "",
            if size.clean {
                ""
            } else {
                "stored versions of custom resources, webhooks, PodDisruptionBudgets"
            },
        ),
    ]
}

fn finding(
    severity: Severity,
    code: &str,
    subject: Subject,
    message: &str,
    remedy: &str,
    hosts: &[String],
) -> Finding {
    Finding {
        severity,
        code: code.into(),
        subject,
        message: message.into(),
        remedy: remedy.into(),
        hosts: hosts.to_vec(),
    }
}

fn findings(size: Size, hosts: &[Host]) -> Vec<Finding> {
    let workers: Vec<String> = hosts
        .iter()
        .filter(|host| host.role == Some(Role::Worker))
        .map(|host| host.id.clone())
        .collect();
    let set = |name: &str, line| Subject::new(SubjectKind::Setting, name).at("mke3.toml", line);
    let mut out = Vec::new();
    if !size.clean {
        out.push(finding(
            Severity::Blocking,
            "DISK-SPACE",
            Subject::new(SubjectKind::Cluster, "/var/lib/k0s"),
            "the filesystem that will hold images and etcd has less room than the images of this host need",
            "Free or add 12 GiB on each of these hosts, or choose another --data-dir",
            &workers[..workers.len() / 2],
        ));
        out.push(finding(
            Severity::Blocking,
            "MKE3-CALICO-ETCD",
            set("cluster_config.calico_kdd", 41),
            "Calico keeps its data in etcd, which MKE 4k does not support",
            "Convert Calico to the Kubernetes datastore first; that cannot be undone, so ask Mirantis support",
            &[],
        ));
        out.push(finding(
            Severity::Blocking,
            "FLAG-UNKNOWN-VALUE",
            Subject::new(SubjectKind::Flag, "kube-apiserver --runtime-config").at("mke3.toml", 77),
            "the value turns on flowcontrol.apiserver.k8s.io/v1beta3, which Kubernetes 1.32 does not serve",
            "Remove the value from cluster_config.custom_kube_api_server_flags",
            &[],
        ));
    }
    out.push(finding(
        Severity::Warning,
        "FOREIGN-CONTAINERS",
        Subject::new(SubjectKind::Host, "worker-01"),
        "containers run that belong to neither MKE 3, nor Kubernetes, nor the swarm; they stop with Docker",
        "Move them away, or keep Docker on these hosts",
        &workers,
    ));
    out.push(finding(
        Severity::Warning,
        "KUBECONFIG-CA",
        Subject::new(SubjectKind::Cluster, "mke.example.com"),
        "kubeconfigs and client bundles made by MKE 3 stop working, because the cluster gets a new CA",
        "Tell their owners to fetch new ones after the upgrade",
        &[],
    ));
    let users = size.users / 5;
    for n in 0..users.max(2) {
        out.push(finding(
            Severity::Warning,
            "USER-PASSWORD-RESET",
            Subject::new(SubjectKind::User, format!("user{n:05}")),
            "the password hash is PBKDF2, which Dex cannot read, so the user cannot log in until it is set anew",
            "Set a new password after the upgrade",
            &[],
        ));
    }
    out.push(finding(
        Severity::Info,
        "SWARM-SERVICES",
        Subject::new(SubjectKind::Cluster, "14 services"),
        "definitions of swarm services are saved, but nothing runs them afterwards",
        "Convert them to Kubernetes workloads when they are needed",
        &[],
    ));
    out.sort();
    out
}

fn settings(size: Size) -> Vec<SettingRow> {
    let mut line = 0;
    let mut row =
        |path: &str, before: &str, outcome: Outcome, to: &[(&str, &str)], reason: &str, default: bool| {
            line += 3;
            SettingRow {
                path: path.into(),
                line: Some(line),
                before: before.into(),
                outcome,
                to: to
                    .iter()
                    .map(|(path, value)| Target {
                        path: (*path).into(),
                        value: (*value).into(),
                    })
                    .collect(),
                reason: reason.into(),
                default,
                confidence: if path.contains("nodeport") {
                    Confidence::Inferred
                } else {
                    Confidence::Documented
                },
            }
        };
    use Outcome::{Blocking, Converted, Ignored, Retired, Unknown, Unsupported};
    let mut rows = vec![
        row(
            "auth.backend",
            "\"ldap\"",
            Converted,
            &[("spec.authentication.ldap.enabled", "true")],
            "",
            false,
        ),
        row(
            "auth.ldap.reader_password",
            "(secret)",
            Converted,
            &[("spec.authentication.ldap.bindPW", "(secret)")],
            "",
            false,
        ),
        row(
            "auth.default_new_user_role",
            "\"restrictedcontrol\"",
            Unsupported,
            &[],
            "new users have no role until somebody binds one",
            false,
        ),
        row(
            "auth.sessions.lifetime_minutes",
            "60",
            Converted,
            &[("spec.authentication.expiry.idTokens", "1h")],
            "",
            true,
        ),
        row(
            "cluster_config.service_cluster_ip_range",
            "\"10.96.0.0/16\"",
            Converted,
            &[("spec.network.serviceCIDR", "10.96.0.0/16")],
            "",
            false,
        ),
        row(
            "cluster_config.pod_cidr",
            "\"192.168.0.0/16\"",
            Converted,
            &[
                ("spec.network.providers[0].extraConfig.cidrV4", "192.168.0.0/16"),
                ("spec.network.podCIDR", "192.168.0.0/16"),
            ],
            "",
            false,
        ),
        row(
            "cluster_config.nodeport_range",
            "\"32768-35535\"",
            Converted,
            &[("spec.network.nodePortRange", "32768-35535")],
            "the documents name the field, not its format",
            false,
        ),
        row(
            "cluster_config.unmanaged_cni",
            "true",
            if size.clean { Ignored } else { Blocking },
            &[],
            "a CNI that MKE does not manage cannot be taken over",
            false,
        ),
        row(
            "cluster_config.swarm_strategy",
            "\"spread\"",
            Retired,
            &[],
            "there is no swarm",
            false,
        ),
        row(
            "cluster_config.controller_port",
            "443",
            Retired,
            &[],
            "there is no ucp-controller",
            false,
        ),
        row(
            "cluster_config.swarm_port",
            "2376",
            Retired,
            &[],
            "there is no swarm",
            false,
        ),
        row("cluster_config.dns_search", "[]", Ignored, &[], "empty", true),
        row(
            "cluster_config.secure_overlay",
            "true",
            Unsupported,
            &[],
            "Calico's IPsec overlay does not exist any more: traffic between nodes is not encrypted",
            false,
        ),
        row(
            "cluster_config.brand_new_key",
            "7",
            Unknown,
            &[],
            "no release of MKE 3 that mkectl knows has it",
            false,
        ),
        row(
            "registries[0].host_address",
            "\"msr.example.com\"",
            Converted,
            &[("spec.registries[0].url", "https://msr.example.com")],
            "",
            false,
        ),
    ];
    for n in 0..97 {
        rows.push(row(
            &format!("scheduling_configuration.key_{n:02}"),
            "false",
            Ignored,
            &[],
            "off",
            true,
        ));
    }
    rows
}

fn flags(size: Size) -> Vec<FlagRow> {
    let row = |component,
               profile: Option<&str>,
               flag: &str,
               line,
               outcome,
               to: &[(&str, &str)],
               reason: &str,
               remedy: &str| FlagRow {
        component,
        profile: profile.map(str::to_owned),
        flag: flag.into(),
        line,
        outcome,
        to: to
            .iter()
            .map(|(path, value)| Target {
                path: (*path).into(),
                value: (*value).into(),
            })
            .collect(),
        reason: reason.into(),
        remedy: remedy.into(),
    };
    let mut rows = vec![
        row(
            Component::KubeApiserver,
            None,
            "--event-ttl=30m",
            75,
            Outcome::Converted,
            &[("spec.apiServer.extraArgs.event-ttl", "30m")],
            "",
            "",
        ),
        row(
            Component::KubeApiserver,
            None,
            "--enable-garbage-collector=false",
            76,
            Outcome::Converted,
            &[("spec.apiServer.extraArgs.enable-garbage-collector", "false")],
            "",
            "",
        ),
        row(
            Component::Kubelet,
            None,
            "--max-pods=200",
            80,
            Outcome::Converted,
            &[("spec.kubelet.extraConfig.maxPods", "200")],
            "",
            "",
        ),
        row(
            Component::Kubelet,
            Some("gpu"),
            "--container-log-max-size=50Mi",
            84,
            Outcome::Converted,
            &[(
                "spec.kubelet.customProfiles[gpu].values.containerLogMaxSize",
                "50Mi",
            )],
            "",
            "",
        ),
        row(
            Component::Kubelet,
            Some("gpu"),
            "--container-runtime=docker",
            85,
            Outcome::Retired,
            &[],
            "the kubelet has no such flag since 1.27",
            "",
        ),
    ];
    if !size.clean {
        rows.push(row(
            Component::Kubelet,
            Some("gpu"),
            "--experimental-allocatable-ignore-eviction",
            86,
            Outcome::Unsupported,
            &[],
            "it was removed from Kubernetes in 1.30 and KubeletConfiguration has no field for it",
            "Remove it from the profile, or set evictionHard so that it is not needed",
        ));
        rows.push(row(
            Component::KubeProxy,
            None,
            "--proxy-mode=userspace",
            90,
            Outcome::Blocking,
            &[],
            "the userspace proxy was removed from Kubernetes in 1.26",
            "Use iptables",
        ));
    }
    rows
}

fn ports() -> Vec<PortRow> {
    let row = |port: &str, protocol: &str, hosts: &str, fate, before: &str, after: &str| PortRow {
        port: port.into(),
        protocol: protocol.into(),
        hosts: hosts.into(),
        fate,
        before: before.into(),
        after: after.into(),
        setting: (port == "32768-35535").then(|| "cluster_config.nodeport_range".to_owned()),
    };
    vec![
        row("2377", "tcp", "managers", PortFate::Retired, "swarm control", ""),
        row("2376", "tcp", "all", PortFate::Retired, "Docker Engine", ""),
        row(
            "12376-12388",
            "tcp",
            "managers",
            PortFate::Retired,
            "ucp-kv, ucp-auth, ucp-kube-apiserver proxies",
            "",
        ),
        row(
            "443",
            "tcp",
            "managers",
            PortFate::Kept,
            "ucp-controller",
            "MKE 4k gateway",
        ),
        row(
            "6443",
            "tcp",
            "managers",
            PortFate::Kept,
            "Kubernetes API",
            "Kubernetes API",
        ),
        row("10250", "tcp", "all", PortFate::Kept, "kubelet", "kubelet"),
        row("4789", "udp", "all", PortFate::Kept, "VXLAN", "VXLAN"),
        row(
            "32768-35535",
            "tcp,udp",
            "all",
            PortFate::Kept,
            "NodePorts",
            "NodePorts",
        ),
        row("8132", "tcp", "managers", PortFate::New, "", "konnectivity"),
        row("9443", "tcp", "managers", PortFate::New, "", "k0s join API"),
    ]
}

fn bound(role: &str, on: &str, to: &str, outcome: Outcome, reason: &str) -> BoundRole {
    BoundRole {
        role: role.into(),
        on: on.into(),
        to: to.into(),
        outcome,
        reason: reason.into(),
    }
}

fn rbac(size: Size) -> Rbac {
    let name = |n: usize| {
        let first = [
            "bob", "bill", "alice", "carol", "dave", "erin", "frank", "grace", "heidi",
        ];
        if n < first.len() {
            first[n].to_owned()
        } else {
            format!("user{n:05}")
        }
    };
    let mut organizations = vec![OrganizationNode {
        name: "entire-company".into(),
        to: "entire-company-org".into(),
        teams: vec![
            TeamNode {
                name: "development".into(),
                to: "development-team".into(),
                ldap: false,
                members: vec![name(0)],
                roles: vec![bound("edit", "namespace dev", "edit", Outcome::Converted, "")],
            },
            TeamNode {
                name: "production".into(),
                to: "production-team".into(),
                ldap: false,
                members: (0..if size.users > 100 { 11_954 } else { 2 }).map(name).collect(),
                roles: vec![bound(
                    "restrictedcontrol",
                    "/Shared/prod",
                    "",
                    Outcome::Unsupported,
                    "swarm collections do not exist",
                )],
            },
            TeamNode {
                name: "sales".into(),
                to: "sales-team".into(),
                ldap: true,
                members: vec![],
                roles: vec![],
            },
        ],
        members: vec![],
        roles: vec![bound("view", "all namespaces", "view", Outcome::Converted, "")],
    }];
    for n in 1..size.organizations {
        let teams = (0..size.teams)
            .map(|t| TeamNode {
                name: format!("Team {t} of Sales & Support (EMEA), 2nd line"),
                to: format!("team-{t}-of-sales-support-emea-2nd-line-{n:08x}-team"),
                ldap: false,
                members: (0..7).map(|m| name((n * 31 + t * 7 + m) % size.users)).collect(),
                roles: vec![],
            })
            .collect();
        organizations.push(OrganizationNode {
            name: format!("org-{n:02}"),
            to: format!("org-{n:02}-org"),
            teams,
            members: vec![name(n)],
            roles: vec![],
        });
    }
    let users: Vec<UserRow> = (0..size.users)
        .map(|n| UserRow {
            name: name(n),
            admin: n == 2,
            outcome: if n % 50 == 7 {
                Outcome::Unsupported
            } else {
                Outcome::Converted
            },
            to: format!("dex password {n:x}"),
            reason: if n % 50 == 7 {
                "inactive: no account is made".into()
            } else if n % 5 == 0 {
                "the account is made, but its password must be set anew".into()
            } else {
                "the account and its password come over".into()
            },
            roles: vec![],
        })
        .collect();
    Rbac {
        counts: RbacCounts {
            users: size.users as u32,
            inactive: users
                .iter()
                .filter(|user| user.outcome == Outcome::Unsupported)
                .count() as u32,
            admins: 1,
            organizations: organizations.len() as u32,
            teams: organizations
                .iter()
                .map(|organization| organization.teams.len() as u32)
                .sum(),
            grants: 4,
        },
        organizations,
        users,
        roles: vec![
            RoleRow {
                name: "Restricted Control".into(),
                to: "restrictedcontrol".into(),
                outcome: Outcome::Converted,
                reason: "a swarm role: it is kept by name, without permissions".into(),
            },
            RoleRow {
                name: "none".into(),
                to: "none".into(),
                outcome: Outcome::Converted,
                reason: "a placeholder, because an aggregated role needs at least one role".into(),
            },
        ],
        changes: vec![
            AccessChange {
                who: "team entire-company/production".into(),
                gains: false,
                what: "Restricted Control on the collection /Shared/prod".into(),
                users: if size.users > 100 { 11_954 } else { 2 },
            },
            AccessChange {
                who: "user alice".into(),
                gains: true,
                what: "cluster-admin by a binding of her own instead of by the administrator flag".into(),
                users: 1,
            },
        ],
        bindings: bindings(size),
        loose: loose(),
    }
}

fn secret_file(path: &str, hosts: &str, holds: &str, until: &str, step: &str) -> SecretFile {
    SecretFile {
        path: path.into(),
        hosts: hosts.into(),
        mode: "0600".into(),
        holds: holds.into(),
        until: until.into(),
        step: step.into(),
    }
}

fn stages() -> Vec<Stage> {
    let stage = |id: &str, title: &str, downtime, failure, gate, loses: &str| Stage {
        id: id.into(),
        title: title.into(),
        downtime,
        failure,
        gate,
        point_of_no_return: id == "commit",
        undo_loses: loses.into(),
    };
    vec![
        stage(
            "prepare",
            "Prepare the hosts while MKE 3 serves",
            false,
            OnFailure::Rollback,
            false,
            "nothing",
        ),
        stage(
            "quiesce",
            "Stop the control plane of MKE 3",
            true,
            OnFailure::Rollback,
            true,
            "nothing",
        ),
        stage(
            "controllers",
            "Start the controllers of k0s",
            true,
            OnFailure::Rollback,
            false,
            "nothing",
        ),
        stage(
            "workers",
            "Move the workers, a few at a time",
            false,
            OnFailure::Quarantine,
            false,
            "writes to the API since the snapshot; Jobs that ran twice; emptyDir volumes",
        ),
        stage(
            "platform",
            "Install the parts of MKE 4k",
            false,
            OnFailure::Pause,
            false,
            "as above, and users' new passwords",
        ),
        stage(
            "commit",
            "Remove MKE 3 for good",
            false,
            OnFailure::Pause,
            true,
            "everything since the backup",
        ),
    ]
}

fn script(step: &str) -> String {
    format!(
        "#!/bin/sh\n# {step}\nset -eu\nprobe() {{ return 11; }}\nrun() {{\n\tprintf '%s\\n' \"$DATA_DIR\"\n}}\n\"$1\"\n"
    )
}

fn steps(size: Size) -> Vec<Step> {
    use Effect::{Changes as C, Destroys as D, Reads as R};
    use Selector::{Hosts, Joiners, Lead, Managers, OtherManagers, Workers};
    let step = |stage: &str, id: &str, title: &str, subjects, effect, estimate_s, budget: &str| Step {
        id: id.into(),
        stage: stage.into(),
        title: title.into(),
        subjects,
        at: if id == "mint-token" {
            At::Lead
        } else if id == "outputs" {
            At::Operator
        } else {
            At::Subject
        },
        script: (id != "outputs").then(|| format!("{id}.sh")),
        script_digest: (id != "outputs" && (size.clean || id != "install-mke4k")).then(|| sha(&script(id))),
        builtin: (id == "outputs").then(|| "write-config".into()),
        effect,
        undo: Undo {
            kind: match effect {
                R => UndoKind::None,
                C => UndoKind::Script,
                D => UndoKind::Impossible,
            },
            why: if effect == D {
                "containers, volumes and the swarm's identity are gone".into()
            } else {
                String::new()
            },
        },
        params: BTreeMap::from([
            ("DATA_DIR".to_owned(), ParamSource::Literal("/var/lib/k0s".into())),
            ("NODE_NAME".to_owned(), ParamSource::Host("hostname".into())),
            ("CONFIG".to_owned(), ParamSource::File("k0s.yaml".into())),
            ("K0S".to_owned(), ParamSource::Asset("k0s".into())),
            ("LDAP".to_owned(), ParamSource::Secret("ldap-bind".into())),
            ("TOKEN".to_owned(), ParamSource::Output("mint-token.token".into())),
        ]),
        outputs: if id == "mint-token" {
            let token = Output {
                kind: OutputKind::Secret,
                value_type: None,
                max: None,
                secret: false,
                keep: None,
            };
            BTreeMap::from([("token".to_owned(), token)])
        } else {
            BTreeMap::new()
        },
        budgets: if budget.is_empty() {
            vec![]
        } else {
            vec![Take {
                take: budget.into(),
                until: None,
            }]
        },
        changes: Changes {
            files: strings(&["/etc/k0s/"]),
            ..Changes::default()
        },
        relies: vec![],
        cancel: if id == "restore-etcd" {
            Cancel::Never
        } else {
            Cancel::Finish
        },
        users_write: id == "join-worker",
        repeatable: false,
        timeout_s: 900,
        retry: 1,
        estimate_s,
    };
    vec![
        step(
            "prepare",
            "record-state",
            "Record the state to return to",
            Hosts,
            R,
            10,
            "",
        ),
        step(
            "prepare",
            "backup-mke3",
            "Back MKE 3 up with its own tool",
            Lead,
            C,
            300,
            "",
        ),
        step(
            "prepare",
            "stage-binaries",
            "Bring k0s to the host and check that it may run",
            Hosts,
            C,
            30,
            "uploads",
        ),
        step(
            "prepare",
            "prepull",
            "Pull every image that pods on this host use",
            Hosts,
            C,
            600,
            "uploads",
        ),
        step(
            "quiesce",
            "freeze-agents",
            "Stop MKE 3 from repairing itself",
            Lead,
            C,
            30,
            "",
        ),
        step(
            "quiesce",
            "stop-apiservers",
            "Stop the Kubernetes API of MKE 3",
            Managers,
            C,
            15,
            "",
        ),
        step(
            "quiesce",
            "final-snapshot",
            "Take the snapshot of etcd that moves over",
            Lead,
            C,
            30,
            "",
        ),
        step(
            "controllers",
            "restore-etcd",
            "Restore the snapshot into the etcd of k0s",
            Lead,
            C,
            40,
            "",
        ),
        step(
            "controllers",
            "start-lead",
            "Start the first controller",
            Lead,
            C,
            90,
            "",
        ),
        step(
            "controllers",
            "mint-token",
            "Make a join token",
            Joiners,
            C,
            1,
            "",
        ),
        step(
            "controllers",
            "join-controller",
            "Start the controller and wait until it is a healthy member of etcd",
            OtherManagers,
            C,
            60,
            "etcd-members",
        ),
        step(
            "workers",
            "stop-node",
            "Stop pods, kubelet and Docker of this worker",
            Workers,
            C,
            60,
            "workers-down",
        ),
        step(
            "workers",
            "join-worker",
            "Start the k0s worker and wait until it is Ready",
            Workers,
            C,
            75,
            "workers-down",
        ),
        step(
            "platform",
            "install-mke4k",
            "Install the operator, Dex and the gateway",
            Lead,
            C,
            600,
            "",
        ),
        step(
            "platform",
            "outputs",
            "Write mke4.yaml and the kubeconfig",
            Lead,
            C,
            2,
            "",
        ),
        step(
            "commit",
            "remove-swarm",
            "Move the swarm's state aside",
            Hosts,
            D,
            5,
            "",
        ),
        step(
            "commit",
            "remove-mke3",
            "Remove containers and volumes of MKE 3",
            Hosts,
            D,
            60,
            "",
        ),
    ]
}

fn selected(selector: Selector, hosts: &[Host]) -> Vec<&Host> {
    hosts
        .iter()
        .enumerate()
        .filter(|(at, host)| match selector {
            Selector::Hosts => true,
            Selector::Managers => host.role == Some(Role::Manager),
            Selector::Workers => host.role == Some(Role::Worker),
            Selector::Lead => *at == 0,
            Selector::Spare => *at == 1,
            Selector::OtherManagers => *at > 0 && host.role == Some(Role::Manager),
            Selector::Joiners => *at > 0,
        })
        .map(|(_, host)| host)
        .collect()
}

fn actions(steps: &[Step], hosts: &[Host]) -> (Vec<Action>, Vec<Joint>) {
    let mut actions: Vec<Action> = Vec::new();
    let mut joints: Vec<Joint> = Vec::new();
    let mut last: Option<String> = None;
    for step in steps {
        let ids: Vec<String> = selected(step.subjects, hosts)
            .iter()
            .map(|host| format!("{}/{}", host.id, step.id))
            .collect();
        for (host, id) in selected(step.subjects, hosts).iter().zip(&ids) {
            actions.push(Action {
                id: id.clone(),
                step: step.id.clone(),
                host: host.id.clone(),
                needs: last.iter().cloned().collect(),
                undecided: None,
            });
        }
        if ids.len() > 1 {
            let mut needs = ids.clone();
            needs.sort();
            joints.push(Joint {
                id: format!("all/{}", step.id),
                needs,
            });
            last = Some(format!("all/{}", step.id));
        } else {
            last = ids.first().cloned();
        }
    }
    (actions, joints)
}

fn estimate(size: Size, hosts: &[Host]) -> Estimate {
    let rounds = size.workers.div_ceil((size.workers / 10).max(1)) as u32;
    let uploads = hosts.len().div_ceil(5) as u32;
    let durations = [
        310 + 630 * uploads,
        75,
        130 + 61 * (size.managers as u32 - 1),
        135 * rounds,
        602,
        65,
    ];
    let mut start = 0;
    let stages: Vec<StageTime> = stages()
        .iter()
        .zip(durations)
        .map(|(stage, seconds)| {
            start += seconds;
            StageTime {
                stage: stage.id.clone(),
                start_s: start - seconds,
                end_s: start,
            }
        })
        .collect();
    let mut critical_path = vec!["mgr-01/record-state".to_owned(), "mgr-01/backup-mke3".to_owned()];
    critical_path.extend(
        [
            "mgr-01/prepull",
            "all/prepull",
            "mgr-01/freeze-agents",
            "mgr-01/start-lead",
        ]
        .map(str::to_owned),
    );
    for host in hosts.iter().skip(size.managers) {
        critical_path.push(format!("{}/stop-node", host.id));
        critical_path.push(format!("{}/join-worker", host.id));
    }
    critical_path.push("mgr-01/install-mke4k".into());
    Estimate {
        total_s: start,
        critical_path_s: start * 3 / 4,
        bound_s: start * 9 / 10,
        width: 30,
        api_outage_s: durations[1] + 130,
        login_outage_s: durations[1..5].iter().sum(),
        worker_outage_s: 135,
        critical_path,
        stages,
    }
}
