//! Rows that say what becomes of every setting, flag, kubelet profile and port.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of one thing of MKE 3. Every leaf of the TOML, every flag, user, team and grant has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has a counterpart in MKE 4k, and that is set.
    Converted,
    /// The thing it configured no longer exists.
    Retired,
    /// MKE 4k has no counterpart: what it did is lost.
    Unsupported,
    /// It has no effect on the result: a gate of another key, or off already.
    Ignored,
    /// It must change before the upgrade.
    Blocking,
    /// This version of mkectl does not know it.
    Unknown,
}

/// Whether a mapping is stated by a source or was concluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// A source states it.
    Documented,
    /// No source states it; check the result.
    Inferred,
}

/// One place that a setting is written to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Path in `mke4.yaml`, such as `spec.network.serviceCIDR`.
    pub path: String,
    /// The value there, as it reads in YAML flow style; a secret reads `(secret)`.
    pub value: String,
}

/// One leaf of the MKE 3 configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingRow {
    /// Key path as in the file, `registries[0].host_address`.
    pub path: String,
    /// Line in the file, from 1; absent when the key is missing from the file and that itself matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The value as it reads in TOML; a secret reads `(secret)`.
    pub before: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Where it went; empty unless converted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Target>,
    /// Why.
    pub reason: String,
    /// True when the value is MKE 3's own default or "off": nobody chose it, so it is not news.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// Stated by a source, or inferred.
    pub confidence: Confidence,
}

/// A Kubernetes component that takes custom flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// kube-apiserver.
    KubeApiserver,
    /// kube-controller-manager.
    KubeControllerManager,
    /// kube-scheduler.
    KubeScheduler,
    /// kubelet.
    Kubelet,
    /// kube-proxy.
    KubeProxy,
}

impl Component {
    /// All five, in the order in which they are shown.
    pub const ALL: [Component; 5] = [
        Component::KubeApiserver,
        Component::KubeControllerManager,
        Component::KubeScheduler,
        Component::Kubelet,
        Component::KubeProxy,
    ];

    /// The name of its program.
    pub fn name(self) -> &'static str {
        match self {
            Component::KubeApiserver => "kube-apiserver",
            Component::KubeControllerManager => "kube-controller-manager",
            Component::KubeScheduler => "kube-scheduler",
            Component::Kubelet => "kubelet",
            Component::KubeProxy => "kube-proxy",
        }
    }
}

/// One custom flag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct FlagRow {
    /// Which component.
    pub component: Component,
    /// The kubelet profile it belongs to; absent for flags of all nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The flag as written, value masked when its name says secret: `--event-ttl=30m`.
    pub flag: String,
    /// Line in the file, from 1.
    pub line: u32,
    /// What became of it.
    pub outcome: Outcome,
    /// Where it went; empty unless converted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<Target>,
    /// Why.
    pub reason: String,
    /// What to do; empty when nothing is to be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// What becomes of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PortFate {
    /// MKE 3 used it, MKE 4k does not.
    Retired,
    /// Both use it.
    Kept,
    /// Only MKE 4k uses it: open it.
    New,
}

/// One port, or a range of ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct PortRow {
    /// `443` or `32768-35535`.
    pub port: String,
    /// `tcp`, `udp` or `tcp,udp`.
    pub protocol: String,
    /// `managers`, `workers` or `all`.
    pub hosts: String,
    /// What becomes of it.
    pub fate: PortFate,
    /// Who used it under MKE 3; empty for new ones.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// Who uses it under MKE 4k; empty for retired ones.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub after: String,
    /// The setting that chose it, when it is not the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setting: Option<String>,
}

/// Everything the conversion says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conversion {
    /// One row per leaf of the TOML, in the order of the file; then what is missing and matters.
    pub settings: Vec<SettingRow>,
    /// One row per custom flag, in the order of components and of the file.
    pub flags: Vec<FlagRow>,
    /// Ports: retired in the order of the real tool's summary, then kept, then new by number.
    pub ports: Vec<PortRow>,
}
