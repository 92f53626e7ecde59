//! Custom flags of the Kubernetes components: from MKE 3's lists of `--name=value` to `extraArgs` maps, fields of
//! `mke4.yaml` and worker profiles.
//!
//! Every flag gets exactly one row. What would keep a component of the target from starting is not carried over; what is not
//! carried over is a warning with a reason and something to do, because the documented behaviour of the upgrade is to go on.
//! What the tables say is data: `plans/upgrade/kubernetes/`.

mod admit;
mod convert;
mod draft;
pub(crate) mod flow;
mod gate_flags;
pub(crate) mod gates;
mod in_profiles;
mod place;
pub(crate) mod policy;
mod raw;
pub(crate) mod tables;
pub(crate) mod text;
pub(crate) mod value;

pub use convert::convert_flags;
pub use raw::raw_flags;
pub use tables::{FlagTables, TableError};

use crate::model::{Component, Finding, FlagRow, SecretRef};
use crate::yaml::Node;
use std::collections::BTreeMap;

/// Finding codes that this conversion uses beside those of `flag-policy.yaml`.
pub const CODES: [&str; 22] = [
    "FLAG-DEPRECATED",
    "FLAG-DUPLICATE",
    "FLAG-FEATURE-GATE-GONE",
    "FLAG-FEATURE-GATE-LOCKED",
    "FLAG-FEATURE-GATE-UNKNOWN",
    "FLAG-FILE",
    "FLAG-NO-TABLE",
    "FLAG-PROXY-CONFIG",
    "FLAG-REMOVED",
    "FLAG-SECRET",
    "FLAG-SPLIT",
    "FLAG-SYNTAX",
    "FLAG-UNKNOWN",
    "FLAG-VALUE",
    "PROFILE-EMPTY",
    "PROFILE-LABEL",
    "PROFILE-MISSING",
    "PROFILE-NO-FIELD",
    "PROFILE-OVERRIDDEN",
    "PROFILE-RENAMED",
    "PROFILE-RULE",
    "PROFILE-UNUSED",
];

/// One entry of a flag list, or one word of a kubelet profile, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFlag {
    /// Which component.
    pub component: Component,
    /// The kubelet profile it belongs to, by its MKE 3 name; absent for flags of all nodes.
    pub profile: Option<String>,
    /// The entry as written.
    pub text: String,
    /// Line in the configuration file, from 1.
    pub line: u32,
}

/// Labels of the Kubernetes nodes by host id.
pub type HostLabels = BTreeMap<String, BTreeMap<String, String>>;

/// What is converted.
#[derive(Clone, Copy, Debug)]
pub struct FlagInput<'a> {
    /// Name of the configuration file, for findings.
    pub file: &'a str,
    /// All flags, in the order of the file.
    pub flags: &'a [RawFlag],
    /// Labels of every host; absent when they were not read.
    pub labels: Option<&'a HostLabels>,
    /// Kubernetes minor or version of MKE 3, when known.
    pub source_minor: Option<&'a str>,
    /// Kubernetes minor or version of the target.
    pub target_minor: &'a str,
}

/// What becomes of the flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlagsResult {
    /// One row per entry, in the order given.
    pub rows: Vec<FlagRow>,
    /// What there is to say, sorted.
    pub findings: Vec<Finding>,
    /// Entries of each component's `extraArgs`. A secret reads `mkectl-secret:NAME`.
    pub extra_args: BTreeMap<Component, BTreeMap<String, String>>,
    /// Fields of `mke4.yaml` that flags set, sorted by path. A flag wins over the setting that fills the same field: under MKE 3
    /// the custom flag comes last on the command line.
    pub fields: Vec<(String, Node)>,
    /// Values of each kubelet profile, by its name under MKE 4k.
    pub profiles: BTreeMap<String, Node>,
    /// The profile (its name under MKE 4k) of each host whose node label chooses one: `--profile=NAME` of `installFlags`.
    pub host_profiles: BTreeMap<String, String>,
    /// Secrets that `extra_args` refers to, sorted by name. `from` reads `mke3-config:KEY#FLAG`: the value of that flag in
    /// that list.
    pub secrets: Vec<SecretRef>,
}
