//! Findings: the one type for everything a plan has to say about its input.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The plan cannot be applied until this is resolved; `plan` exits with 3.
    Blocking,
    /// Something is lost, changes, or may fail: a person should decide.
    Warning,
    /// Worth knowing.
    Info,
}

/// What kind of thing a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// The cluster as a whole.
    Cluster,
    /// A key of the MKE 3 configuration.
    Setting,
    /// A custom flag of a Kubernetes component.
    Flag,
    /// A kubelet flag profile.
    Profile,
    /// A host.
    Host,
    /// A user account.
    User,
    /// An organization.
    Organization,
    /// A team, written `organization/team`.
    Team,
    /// A role.
    Role,
    /// A grant or binding.
    Grant,
    /// A TCP or UDP port.
    Port,
    /// A Kubernetes object.
    Object,
    /// An image, chart or binary.
    Asset,
    /// An input file or option.
    Input,
    /// A step of the upgrade.
    Step,
}

/// What a finding is about, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// What kind of thing.
    pub kind: SubjectKind,
    /// Its name: a key path, a flag, a host id, a user name.
    pub name: String,
    /// File name of the input (never a full path: the plan is the same wherever it is made).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in that file, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl Subject {
    /// A subject without a place in a file.
    pub fn new(kind: SubjectKind, name: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            file: None,
            line: None,
        }
    }

    /// The same subject, with the file and line it stands in.
    #[must_use]
    pub fn at(mut self, file: impl Into<String>, line: u32) -> Self {
        self.file = Some(file.into());
        self.line = Some(line);
        self
    }
}

/// Something that could not be checked, and why: never silence, and never a guess.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Unchecked {
    /// Code of the finding that might have been.
    pub code: String,
    /// Why it could not be told.
    pub why: String,
    /// The hosts it could not be told for, sorted; empty when it is not about hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// One thing the plan has to say. Findings are sorted by severity, code, subject; alike ones are aggregated over hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Blocking, warning or info.
    pub severity: Severity,
    /// Stable code such as `MKE3-CALICO-ETCD`; `mkectl explain CODE` prints the long text.
    pub code: String,
    /// What it is about.
    pub subject: Subject,
    /// What was found: one sentence, no trailing full stop.
    pub message: String,
    /// What to do about it: one sentence, no trailing full stop.
    pub remedy: String,
    /// The hosts it was found on, sorted; empty when it is not about hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}
