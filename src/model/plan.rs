//! The document itself.

use super::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `kind` of a plan.
pub const PLAN_KIND: &str = "mkectl.plan";
/// The format this build writes: `MAJOR.MINOR`. A minor adds, a major is refused.
pub const PLAN_FORMAT: &str = "1.0";

/// What stands in a document for a secret, before its name.
pub const SECRET_PLACEHOLDER: &str = "mkectl-secret:";

/// A saved plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// Always `mkectl.plan`.
    pub kind: String,
    /// `MAJOR.MINOR`.
    pub format_version: String,
    /// `sha256:` and the SHA-256 of the canonical JSON (RFC 8785) of `spec`.
    pub digest: String,
    /// Everything that decides what happens.
    pub spec: Spec,
    /// Time, author, tool build, readings. Never evidence.
    pub meta: Meta,
}

/// Everything that decides what happens. The same inputs give the same bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spec {
    /// What was asked for.
    pub intent: Intent,
    /// Which cluster, from where, to where.
    pub cluster: Cluster,
    /// What was read, and what was not.
    pub inputs: Vec<Input>,
    /// What the plan found, sorted.
    pub findings: Vec<Finding>,
    /// What could not be checked, sorted.
    pub unchecked: Vec<Unchecked>,
    /// What becomes of settings, flags and ports.
    pub conversion: Conversion,
    /// What becomes of users, organizations, teams and grants; absent without accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rbac: Option<Rbac>,
    /// Hosts in the order of hosts.yaml.
    pub hosts: Vec<Host>,
    /// Secrets by reference.
    pub secrets: Vec<SecretRef>,
    /// Files that will hold secrets.
    pub secret_files: Vec<SecretFile>,
    /// Binaries, images and charts that are brought, by name.
    pub assets: Vec<Asset>,
    /// Images and charts of the list that was given, by name, as their registries hold them; absent without a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
    /// Generated documents by name.
    pub documents: Vec<Document>,
    /// Bytes of generated documents, by `sha256:…`.
    pub files: BTreeMap<String, String>,
    /// Bytes of scripts, by `sha256:…`.
    pub scripts: BTreeMap<String, String>,
    /// `sha256:…` of the program that starts the scripts on the hosts, a key of `scripts`.
    pub runner: String,
    /// Stages, in order.
    pub stages: Vec<Stage>,
    /// Budgets.
    pub budgets: Vec<Budget>,
    /// Steps, in the order of the catalogue.
    pub steps: Vec<Step>,
    /// Actions, in the order of steps, then hosts.
    pub actions: Vec<Action>,
    /// Joints and gates.
    pub joints: Vec<Joint>,
    /// What is not needed, and why.
    pub skipped: Vec<Skip>,
    /// The two lines.
    pub lines: Lines,
    /// How long it is expected to take.
    pub estimate: Estimate,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// True when `apply` may run this plan.
    pub applyable: bool,
    /// Why not, one sentence each; empty when applyable.
    pub not_applyable: Vec<String>,
    /// Digest of `plans/upgrade/` as it was when planning.
    pub catalogue: String,
    /// Options that shape the plan, by name without dashes; defaults included.
    pub options: BTreeMap<String, String>,
}

/// Something that was read, or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Input {
    /// `mke3-config`, `hosts`, `facts`, `accounts`, `images`.
    pub name: String,
    /// `file`, `live` or `absent`.
    pub source: String,
    /// File name without directories; empty when there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub file: String,
    /// SHA-256 of its content with every secret replaced, so that the digest cannot be used to guess one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// What could not be checked because it is absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unchecked: String,
}

/// A secret by reference. The value is never here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SecretRef {
    /// Name that parameters and documents use.
    pub name: String,
    /// `mke3-config:KEY PATH` (read again at apply), `env:NAME`, `host:PATH` or `ask`.
    pub from: String,
    /// What it is for.
    pub used_for: String,
}

/// A file that will hold secrets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct SecretFile {
    /// Path; `R` stands for the plan's run directory on the host.
    pub path: String,
    /// Hosts (a selector) or `operator`.
    pub hosts: String,
    /// Mode, octal.
    pub mode: String,
    /// What it holds.
    pub holds: String,
    /// Until when.
    pub until: String,
    /// The step that makes it.
    pub step: String,
}

/// A binary, image or chart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Asset {
    /// Name that parameters use.
    pub name: String,
    /// What it is: `binary`, `image`, `chart`, `bundle`.
    pub kind: String,
    /// Where it comes from.
    pub url: String,
    /// `sha256:…`; empty when the release table does not know it yet, and then the plan is not applyable.
    pub digest: String,
}

/// An image or chart that a registry was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// Its name, with the registry that it comes from.
    pub name: String,
    /// What it is: `image` or `chart`.
    pub kind: String,
    /// Where it was looked for: `HOST:PORT/REPOSITORY:TAG`.
    pub place: String,
    /// `sha256:…` of its manifest; empty when it is not there or could not be looked up, and then the plan is not applyable.
    pub digest: String,
}

/// A generated document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Document {
    /// Name, such as `mke4.yaml`.
    pub name: String,
    /// Key of `files`.
    pub digest: String,
    /// True when placeholders `mkectl-secret:NAME` stand for secrets that apply fills in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secrets: bool,
}

/// The two lines of an upgrade.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lines {
    /// The first action after which a user's pod or client may write through the new API; `auto` rolls back only before it.
    pub last_automatic_rollback: String,
    /// Why that action.
    pub last_automatic_rollback_because: String,
    /// The gate before the first thing that cannot be undone.
    pub point_of_no_return: String,
}

/// When a stage is expected to run, in seconds from the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StageTime {
    /// Stage.
    pub stage: String,
    /// Start.
    pub start_s: u32,
    /// End.
    pub end_s: u32,
}

/// How long it is expected to take. All from the catalogue's estimates: guesses until measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// From the first action to the end of the last, without waits at gates.
    pub total_s: u32,
    /// Longest chain of actions, ignoring budgets.
    pub critical_path_s: u32,
    /// Lower bound with budgets: no run can be shorter at this width.
    pub bound_s: u32,
    /// Connections at once that the estimate assumes.
    pub width: u32,
    /// The Kubernetes API answers nobody.
    pub api_outage_s: u32,
    /// Nobody can log in.
    pub login_outage_s: u32,
    /// The workloads of one worker stand still, at most.
    pub worker_outage_s: u32,
    /// Ids along the longest chain.
    pub critical_path: Vec<String>,
    /// Per stage.
    pub stages: Vec<StageTime>,
}

/// Time, author, tool build, readings. Never evidence, not in the digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Meta {
    /// RFC 3339, UTC.
    pub created_at: String,
    /// `user@host`.
    pub created_by: String,
    /// Version of mkectl.
    pub tool: String,
    /// Path of each input as it was given.
    pub paths: BTreeMap<String, String>,
    /// Volatile readings behind findings (free disk, clock): by `HOST: FACT`.
    pub readings: BTreeMap<String, String>,
}
