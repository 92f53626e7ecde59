//! The names that `catalogue.yaml` may use, each with its meaning. The loader refuses any other name; the plan builder
//! gives every one of them a value. A test holds the shipped catalogue to using all of them, so none outlives its use.

/// Names and their meanings, sorted by name.
pub type Names = &'static [(&'static str, &'static str)];

/// Named conditions of `when`, `unless` and `users_write`; three-valued functions of the plan builder.
pub const CONDITIONS: Names = &[
    (
        "managers-run-user-pods",
        "a user pod runs on at least one manager, or may be scheduled there",
    ),
    ("single-manager", "the cluster has exactly one manager"),
    ("swarm-workloads", "the swarm runs services that are not MKE's"),
];

/// Named values of params; text that the plan builder works out from the cluster, the release and the configuration.
pub const VALUES: Names = &[
    (
        "balancer-new-ports",
        "those of `balancer-ports` that nothing listens on under MKE 3",
    ),
    (
        "balancer-ports",
        "ports that the load balancer passes to the managers, of `ports.yaml`, separated by spaces",
    ),
    (
        "cluster-dns-address",
        "address of the cluster DNS service that k0s derives from the service CIDR",
    ),
    ("cluster-id", "swarm cluster id"),
    (
        "external-host",
        "host part of the external address, without a port",
    ),
    ("k0s-version", "version of k0s that the target release brings"),
    (
        "kubelet-root",
        "root directory of the kubelet, the one that MKE 3 used",
    ),
    ("lead-address", "private address of the lead"),
    (
        "manager-addresses",
        "private addresses of all managers in plan order, separated by spaces",
    ),
    (
        "manager-names",
        "Kubernetes node names of all managers in plan order, separated by spaces",
    ),
    ("mke3-version", "version of MKE 3 that runs now"),
];

/// Options of the plan, as the command line calls them; an absent one is the empty text.
pub const OPTIONS: Names = &[
    ("chart-registry", "`oci://host[:port]/path` of the charts"),
    ("concurrent-uploads", "uploads at once"),
    ("data-dir", "k0s data directory, absolute, ends in `/k0s`"),
    ("external-address", "load balancer, `host` or `host:port`"),
    ("gateway-https-node-port", "NodePort of the gateway, HTTPS"),
    ("image-registry", "`host[:port]/path` of the images"),
    (
        "mke3-airgapped",
        "`true` or `false`: the environment has no internet",
    ),
    (
        "worker-disruption",
        "workers that may be down at once, a number or a percentage",
    ),
];

/// Options that are an amount, so that a budget may take its capacity from them.
pub const AMOUNTS: &[&str] = &["concurrent-uploads", "worker-disruption"];

/// Fields of a host's row that params may name.
pub const HOST_FIELDS: Names = &[
    ("docker-root", "root directory of Docker"),
    ("hostname", "what `hostname` prints; the name of its etcd member"),
    ("kubelet-profile", "kubelet profile, empty for the default one"),
    ("node-name", "name of the Kubernetes node"),
    ("private-address", "address for traffic between nodes"),
];

/// Generated documents that params may name. Where one differs per host, `mkectl-host:FIELD` stands for the host's field and
/// the script fills it in from a param.
pub const DOCUMENTS: Names = &[
    (
        "access.txt",
        "a sample of who may do what, to be asked before and after, and which answers the plan changes",
    ),
    (
        "calico-values.yaml",
        "values for the Tigera operator, made from the pools and settings as they are",
    ),
    (
        "k0s-released.yaml",
        "k0s.yaml without the hold on eviction, volume detaching and cron jobs",
    ),
    (
        "k0s.yaml",
        "k0s configuration with the hold; `mkectl-host:private-address` stands for the address of the API server and etcd peer, `mkectl-host: carried-flags` for flags whose files come from MKE 3",
    ),
    (
        "mke3-objects.txt",
        "objects of MKE 3 to clear, one `resource/namespace/name` a line",
    ),
    ("mke3-volumes.txt", "Docker volumes of MKE 3, one name a line"),
    ("mke4.yaml", "MKE 4k configuration"),
    (
        "ports-retired.txt",
        "ports that only MKE 3 used, one `port/protocol` a line",
    ),
    (
        "ports.txt",
        "ports that k0s and MKE 4k need, one `port/protocol role` a line",
    ),
    ("rbac.yaml", "users, groups and grants to create"),
    (
        "registry-cas.pem",
        "CA certificates of the image and chart registries, empty without any",
    ),
    (
        "unreadable-versions.txt",
        "stored versions that the target's API server cannot decode, one `apiVersion kind` a line",
    ),
];

/// Secrets that params may name. Documents may hold further ones as placeholders.
pub const SECRETS: Names = &[(
    "backup-passphrase",
    "passphrase of the MKE 3 backup; asked for, or from the environment",
)];

/// Acts of the engine on the operator's machine, for actions with `at: operator`.
pub const BUILTINS: Names = &[
    (
        "keep-copies",
        "streams the files among its params to the output directory, mode 0600, and checks their hashes",
    ),
    (
        "print-summary",
        "prints the summary, the run report and the copies that were kept",
    ),
    (
        "write-config",
        "writes mke4.yaml, mode 0600, beside the target and renames; its undo puts the old file back",
    ),
    (
        "write-kubeconfig",
        "writes the kubeconfig, mode 0600; moves an old one aside, its undo moves it back",
    ),
];

/// Facts that `relies` may name; those of the cluster begin with `cluster.`, all others are about the subject.
pub const FACTS: Names = &[
    ("cgroup", "`v1` or `v2`"),
    ("cluster.etcd.alarms", "alarms of MKE 3's etcd"),
    ("cluster.etcd.healthy-members", "healthy members of MKE 3's etcd"),
    (
        "cluster.etcd.members-agree",
        "all etcd members have one hash at one revision",
    ),
    ("cluster.etcd.size-bytes", "size of the etcd database"),
    ("cluster.kubernetes-nodes", "Kubernetes nodes and their states"),
    ("cluster.swarm-nodes", "swarm nodes and their states"),
    ("cluster.user-services", "swarm services that are not MKE's"),
    ("docker.root", "root directory of Docker"),
    ("fapolicyd", "fapolicyd is active"),
    ("firewall", "firewalld or ufw is active"),
    ("init", "what process 1 is"),
    ("iptables", "`nft` or `legacy`"),
    ("noexec", "a directory that must hold programs is mounted noexec"),
    ("os.arch", "architecture"),
    ("selinux", "mode of SELinux"),
    ("swarm.node-id", "swarm node id"),
];

/// Features of releases that conditions in the code and the settings table may ask for.
pub const FEATURES: Names = &[
    ("cgroup-v2-required", "k0s refuses hosts with cgroup v1"),
    ("custom-audit-policy", "`spec.apiServer.audit.customPolicyYaml`"),
    (
        "gateway-node-ports",
        "the NodePorts of the gateway have to be chosen when upgrading",
    ),
    ("grafana", "`spec.monitoring.enableGrafana`"),
    ("kubelet-root-dir", "`spec.kubelet.kubeletRootDir`"),
    ("metallb", "`spec.metallb`"),
    ("node-local-dns", "`spec.nodeLocalDNS`"),
    ("opscare", "`spec.monitoring.enableOpscare`"),
    ("prometheus-resources", "`spec.monitoring.prometheus.resources`"),
    ("windows-gmsa", "`spec.windows.gmsa`"),
];

/// Whether a list has a name.
pub fn has(names: Names, name: &str) -> bool {
    names.iter().any(|(known, _)| *known == name)
}
