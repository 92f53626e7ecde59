//! `checks/*.yaml`: thresholds and tables of the checks, as written.

use crate::catalogue::{Bundle, CatalogueError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Everything in `plans/upgrade/checks/`.
#[derive(Clone, Debug)]
pub struct CheckRules {
    pub(super) hosts: HostRules,
    pub(super) cluster: ClusterRules,
    pub(super) apis: ApiRules,
    pub(super) known_issues: Vec<KnownIssue>,
    pub(super) offline: Vec<Offline>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HostRules {
    pub systems: Vec<Systems>,
    pub architectures: Vec<String>,
    pub cpus: Sizes,
    pub memory_mib: Sizes,
    pub disk: DiskRules,
    pub kubelet_root: String,
    pub clock_skew_ms: i64,
    pub certificate_margin_days: u64,
    pub cgroup_v2_feature: String,
    pub taints_handled: Vec<String>,
    pub resting_containers: Vec<String>,
    pub registry_containers: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Systems {
    pub targets: Vec<String>,
    pub names: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sizes {
    pub enough: u64,
    pub failed: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PerRole {
    pub manager: u64,
    pub worker: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiskRules {
    pub keep_free_percent: u64,
    pub keep_free_inodes: u64,
    pub image_percent: u64,
    pub data_dir_mib: PerRole,
    pub data_dir_etcd_copies: u64,
    pub run_dir: String,
    pub run_dir_mib: PerRole,
    pub run_dir_etcd_copies: u64,
    pub kubelet_root_mib: PerRole,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterRules {
    pub defaults: BTreeMap<String, String>,
    pub etcd_quota_percent: u64,
    pub backup_age_hours: u32,
    pub foreign_ingress_refused: Vec<String>,
    pub kubelet_root_feature: String,
    pub csi_drivers_handled: Vec<String>,
    pub name_clashes: Vec<Owner>,
    pub gitops: Vec<Owner>,
    pub in_tree_volumes: Vec<InTreeVolume>,
}

/// A product, known by the API groups of its CRDs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Owner {
    pub owner: String,
    pub groups: Vec<String>,
    #[serde(default)]
    pub unless: Option<String>,
}

impl Owner {
    /// True when a CRD (`plural.group`) belongs to this product.
    pub fn owns(&self, crd: &str) -> bool {
        crd.split_once('.').is_some_and(|(_, group)| {
            self.groups.iter().any(|known| {
                group == known
                    || group
                        .strip_suffix(known.as_str())
                        .is_some_and(|rest| rest.ends_with('.'))
            })
        })
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InTreeVolume {
    pub plugin: String,
    pub dropped_in: String,
    #[serde(default)]
    pub csi: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiRules {
    pub stored: Vec<StoredApi>,
    pub served: Vec<ServedApi>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredApi {
    pub api: String,
    pub kinds: Vec<String>,
    pub gone_in: String,
    #[serde(default)]
    pub fails_from: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServedApi {
    pub api: String,
    pub resources: Vec<String>,
    pub removed_in: String,
    pub instead: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownIssue {
    pub code: String,
    pub ids: Vec<String>,
    pub from: String,
    #[serde(default)]
    pub fixed: Option<String>,
    #[serde(default)]
    pub when: Option<IssueWhen>,
    pub message: String,
}

/// Conditions that a known issue may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum IssueWhen {
    /// No internet.
    Airgapped,
    /// No internet, and MKE 3's GPU plugin is on.
    AirgappedGpu,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Offline {
    pub code: String,
    pub why: String,
}

fn read<T: DeserializeOwned>(bundle: &Bundle, file: &str) -> Result<T, CatalogueError> {
    let text = bundle
        .text(file)
        .ok_or_else(|| CatalogueError::new(file, 0, "is missing or not UTF-8", "put it there"))?;
    crate::yaml::typed(text).map_err(|error| CatalogueError::yaml(file, &error))
}

impl CheckRules {
    /// Reads `checks/*.yaml`; unknown and missing keys are refused.
    pub fn load(bundle: &Bundle) -> Result<CheckRules, CatalogueError> {
        let rules = CheckRules {
            hosts: read(bundle, "checks/hosts.yaml")?,
            cluster: read(bundle, "checks/cluster.yaml")?,
            apis: read(bundle, "checks/apis.yaml")?,
            known_issues: read(bundle, "checks/known-issues.yaml")?,
            offline: read(bundle, "checks/offline.yaml")?,
        };
        rules.check_versions()?;
        Ok(rules)
    }

    /// A version that cannot be compared would silently switch a rule off.
    /// `apiVersion Kind` of every stored value that an API server of a Kubernetes version cannot decode, sorted.
    pub fn unreadable(&self, kubernetes: &str) -> Vec<String> {
        let Some(target) = super::version::Version::parse(kubernetes) else {
            return Vec::new();
        };
        let gone = |row: &&StoredApi| {
            super::version::Version::parse(&row.gone_in).is_some_and(|gone| target >= gone)
        };
        let mut names: Vec<String> = self
            .apis
            .stored
            .iter()
            .filter(gone)
            .flat_map(|row| row.kinds.iter().map(|kind| format!("{} {kind}", row.api)))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn check_versions(&self) -> Result<(), CatalogueError> {
        let bad = |file: &str, text: &str| {
            CatalogueError::new(
                file,
                0,
                format!("{text:?} is not a version"),
                "write MAJOR.MINOR, with quotes",
            )
        };
        let apis = self
            .apis
            .stored
            .iter()
            .flat_map(|row| std::iter::once(&row.gone_in).chain(row.fails_from.iter()));
        let versions = apis
            .chain(self.apis.served.iter().map(|row| &row.removed_in))
            .map(|text| ("checks/apis.yaml", text))
            .chain(
                self.cluster
                    .in_tree_volumes
                    .iter()
                    .map(|row| ("checks/cluster.yaml", &row.dropped_in)),
            )
            .chain(
                self.known_issues
                    .iter()
                    .flat_map(|row| std::iter::once(&row.from).chain(row.fixed.iter()))
                    .map(|text| ("checks/known-issues.yaml", text)),
            );
        for (file, text) in versions {
            if super::version::Version::parse(text).is_none() {
                return Err(bad(file, text));
            }
        }
        for key in ["pod_cidr", "service_cluster_ip_range", "etcd_storage_quota"] {
            if !self.cluster.defaults.contains_key(key) {
                return Err(CatalogueError::new(
                    "checks/cluster.yaml",
                    0,
                    format!("defaults has no {key}"),
                    "say what MKE 3 does when the key is missing",
                ));
            }
        }
        Ok(())
    }
}
