//! Pre-upgrade checks from recorded facts, the MKE 3 configuration, hosts.yaml and options.
//!
//! Each check is one small function; `CHECKS` names them all with the codes they may emit. A check whose fact is missing
//! says so (`unchecked`), it neither passes nor guesses. Volatile values enter findings only as the rule's verdict; the
//! values themselves go to `readings`, which the plan keeps outside its digest.

mod aggregate;
mod backup;
mod disk;
mod docker;
mod etcd;
mod hosts;
mod images;
mod issues;
mod managers;
mod network;
mod nodes;
mod objects;
mod options;
mod policy;
mod release;
mod rules;
mod run;
mod version;

pub use aggregate::aggregate;
pub use rules::CheckRules;

use crate::catalogue::{FindingRegistry, Release, Releases};
use crate::model::Finding;
use crate::options::Options;
use crate::source::facts::Facts;
use crate::source::hosts::Hosts;
use crate::source::images::Images;
use crate::source::mke3::Config;
use run::Run;
use std::collections::{BTreeMap, BTreeSet};

/// What the checks look at.
#[derive(Clone, Copy, Debug)]
pub struct CheckContext<'a> {
    /// The MKE 3 configuration.
    pub config: &'a Config,
    /// hosts.yaml.
    pub hosts: &'a Hosts,
    /// Recorded facts.
    pub facts: Option<&'a Facts>,
    /// What registries hold of the list of images and charts, when there is one.
    pub images: Option<&'a Images>,
    /// The release to go to; absent when it is not known or no release takes the source.
    pub target: Option<&'a Release>,
    /// All releases.
    pub releases: &'a Releases,
    /// Options of the plan.
    pub options: &'a Options,
    /// Thresholds and tables.
    pub rules: &'a CheckRules,
    /// Severities and remedies.
    pub registry: &'a FindingRegistry,
}

pub use crate::model::Unchecked;

/// What the checks have to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckResult {
    /// Findings, aggregated over hosts and sorted.
    pub findings: Vec<Finding>,
    /// What was not checked, sorted by code.
    pub unchecked: Vec<Unchecked>,
    /// Codes that were checked wherever they apply, and found nothing; sorted.
    pub passed: Vec<String>,
    /// Volatile values behind verdicts, by `HOST: FACT`; for `meta`, never for `spec`.
    pub readings: BTreeMap<String, String>,
}

/// A row of [`CHECKS`].
struct Check {
    codes: &'static [&'static str],
    run: fn(&mut Run<'_>),
}

const fn check(codes: &'static [&'static str], run: fn(&mut Run<'_>)) -> Check {
    Check { codes, run }
}

/// All checks, with the codes that each may emit. Known issues and what cannot be told offline bring theirs in data.
const CHECKS: &[Check] = &[
    check(&["MKE-VERSION-PATH"], release::version_path),
    check(&["TARGET-UNKNOWN"], release::target_unknown),
    check(&["TARGET-DISCOURAGED"], release::target_discouraged),
    check(&["KUBERNETES-DOWNGRADE", "KUBERNETES-SKIP"], release::kubernetes),
    check(&["HOSTS-EMPTY"], hosts::empty),
    check(&["HOST-UNREACHABLE"], hosts::unreachable),
    check(&["HOST-DUPLICATE"], hosts::duplicate),
    check(&["FACTS-STRAY"], hosts::stray_facts),
    check(&["ROLE-CONFLICT"], managers::role_conflict),
    check(
        &["MANAGER-NONE", "MANAGER-SINGLE", "MANAGER-TWO", "MANAGER-EVEN"],
        managers::count,
    ),
    check(&["QUORUM-NOW", "NODE-DOWN"], nodes::swarm_state),
    check(&["SWARM-LEADER"], managers::leader),
    check(&["MANAGER-WORKLOADS"], managers::workloads),
    check(&["NODE-NOT-READY"], nodes::ready),
    check(&["NODE-NOT-LISTED"], nodes::not_listed),
    check(&["HOST-NOT-IN-CLUSTER"], nodes::not_in_cluster),
    check(&["NODE-ORPHAN", "NODE-NO-KUBELET"], nodes::views),
    check(&["NODE-NAME"], nodes::name),
    check(&["NODE-ORCHESTRATOR"], nodes::orchestrator),
    check(&["NODE-TAINT"], nodes::taints),
    check(&["MKE-CONTAINER-DOWN"], nodes::containers),
    check(&["WINDOWS-NODE"], hosts::windows),
    check(&["OS-UNSUPPORTED"], hosts::system),
    check(&["ARCH-UNSUPPORTED"], hosts::architecture),
    check(&["CGROUP-V1"], hosts::cgroup),
    check(&["CPU-LOW"], hosts::cpus),
    check(&["MEMORY-LOW"], hosts::memory),
    check(&["DISK-WHERE"], disk::space),
    check(&["DISK-INODES"], disk::inodes),
    check(&["SUDO"], policy::privilege),
    check(&["EXEC-MOUNT"], policy::noexec),
    check(&["SELINUX"], policy::selinux),
    check(&["FIREWALL"], policy::firewall),
    check(&["FAPOLICYD"], policy::fapolicyd),
    check(&["SWAP"], policy::swap),
    check(&["IPTABLES-BACKEND"], policy::iptables),
    check(&["KERNEL-MODULES"], policy::modules),
    check(&["SYSTEMD"], policy::systemd),
    check(&["CLOCK-SKEW"], policy::clock),
    check(&["CERT-LIFE"], policy::certificates),
    check(&["K0S-TRACES"], policy::k0s_traces),
    check(&["FOREIGN-CONTAINERS", "MSR-ON-NODE"], docker::containers),
    check(&["LIVE-RESTORE"], docker::live_restore),
    check(&["CGROUP-DRIVER"], docker::cgroup_driver),
    check(&["DATA-DIR-DOCKER"], docker::data_dir),
    check(&["SWARM-SERVICES"], docker::services),
    check(&["ETCD-ALARM"], etcd::alarms),
    check(&["ETCD-SIZE"], etcd::size),
    check(&["ETCD-AUTH"], etcd::auth),
    check(&["ETCD-DIVERGED"], etcd::diverged),
    check(&["ETCD-MEMBERS"], etcd::members),
    check(&["ETCD-STORED-VERSION"], etcd::stored_versions),
    check(&["API-REMOVED"], objects::removed_apis),
    check(&["VOLUME-INTREE"], objects::in_tree_volumes),
    check(&["CSI-PATH"], objects::csi_path),
    check(&["WEBHOOK-FAIL"], objects::webhooks),
    check(&["APISERVICE-DEAD"], objects::dead_apiservices),
    check(&["NAME-CLASH"], objects::name_clash),
    check(&["GITOPS"], objects::gitops),
    check(&["IMAGE-LOCAL"], objects::local_images),
    check(&["NAMESPACE-STUCK"], objects::stuck_namespaces),
    check(&["INGRESS-FOREIGN"], objects::foreign_ingress),
    check(&["GPU-PREREQUISITES"], objects::gpu),
    check(&["CIDR-MATCH"], network::cidrs),
    check(&["CALICO-POOL"], network::pools),
    check(&["CALICO-BGP"], network::bgp),
    check(&["BACKUP-OFFHOST"], backup::off_host),
    check(&["BACKUP-AGE"], backup::age),
    check(
        &["EXTERNAL-ADDRESS", "EXTERNAL-ADDRESS-HOST"],
        options::external_address,
    ),
    check(&["DATA-DIR"], options::data_dir),
    check(&["REGISTRY-FORM"], options::registry_form),
    check(&["REGISTRY-CA"], options::registry_ca),
    check(&["AIRGAP-REGISTRY"], options::airgap),
    check(&["REGISTRY-LOGIN"], options::registry_login),
    check(&["IMAGE-MISSING"], images::missing),
    check(&["IMAGE-UNTOLD"], images::untold),
    check(&["OPTION-LIMIT"], options::limits),
    check(&["COMMIT-AFTER"], options::commit_after),
    check(&["INGRESS-REMOVE"], options::remove_ingress),
];

/// Every code that [`run_checks`] may emit, sorted.
pub fn check_codes(rules: &CheckRules) -> BTreeSet<String> {
    CHECKS
        .iter()
        .flat_map(|check| check.codes.iter().map(|code| (*code).to_owned()))
        .chain(rules.known_issues.iter().map(|issue| issue.code.clone()))
        .chain(rules.offline.iter().map(|row| row.code.clone()))
        .collect()
}

/// Runs all checks. Pure: the same context gives the same result, and every code of [`check_codes`] is at least once in
/// findings, in `unchecked` or in `passed`.
pub fn run_checks(ctx: &CheckContext<'_>) -> CheckResult {
    let mut run = Run::new(ctx);
    for check in CHECKS {
        (check.run)(&mut run);
    }
    issues::known(&mut run);
    issues::offline(&mut run);
    run.finish()
}
