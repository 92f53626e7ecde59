//! Stages, budgets, steps, and the actions and joints of the DAG (`docs/catalogue.md` explains the words).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a failure in a stage leads to under `--on-failure=auto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Undo everything.
    Rollback,
    /// Leave out a host that failed for good, within `--max-failed-workers`, then pause.
    Quarantine,
    /// Stop and wait for a person.
    Pause,
}

/// A stage: for reading, gates and `--until`. Stages make no edges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// Id.
    pub id: String,
    /// Title.
    pub title: String,
    /// The Kubernetes API is down for its users while this stage runs.
    pub downtime: bool,
    /// What a failure leads to.
    pub failure: OnFailure,
    /// A gate stands before this stage: apply can pause there.
    pub gate: bool,
    /// What was done from here on cannot be undone.
    pub point_of_no_return: bool,
    /// What undoing this stage, and all before it, loses; `nothing` when nothing.
    pub undo_loses: String,
}

/// A limit on what goes on at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// Id.
    pub id: String,
    /// The selector whose hosts use it up.
    pub counts: Selector,
    /// How many at once.
    pub capacity: u32,
    /// How that number came about.
    pub because: String,
}

/// The closed set of host selectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Selector {
    /// Every host.
    Hosts,
    /// Swarm managers.
    Managers,
    /// Swarm workers.
    Workers,
    /// The first eligible manager in the order of hosts.yaml: the first k0s controller.
    Lead,
    /// One manager that is neither the lead nor the swarm leader, if there is such a one.
    Spare,
    /// Managers without the lead.
    OtherManagers,
    /// Hosts without the lead.
    Joiners,
}

impl Selector {
    /// Its name in the catalogue.
    pub fn name(self) -> &'static str {
        match self {
            Selector::Hosts => "hosts",
            Selector::Managers => "managers",
            Selector::Workers => "workers",
            Selector::Lead => "lead",
            Selector::Spare => "spare",
            Selector::OtherManagers => "other-managers",
            Selector::Joiners => "joiners",
        }
    }
}

/// Where a step executes, seen from the host it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum At {
    /// On the host itself.
    #[serde(rename = "self")]
    Subject,
    /// On the lead.
    Lead,
    /// On the operator's machine.
    Operator,
}

/// What a step does to the world outside its own run directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Nothing.
    Reads,
    /// It changes something, and can undo that.
    Changes,
    /// It removes something for good.
    Destroys,
}

/// How a step is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UndoKind {
    /// The `undo` function of its script.
    Script,
    /// Nothing to undo.
    None,
    /// It cannot be undone.
    Impossible,
}

/// How a step is undone, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Undo {
    /// How.
    pub kind: UndoKind,
    /// Why it cannot be undone.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Whether a running step may be interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cancel {
    /// It may be killed at any time.
    Now,
    /// It runs to its end; when it was killed all the same, its probe decides.
    Finish,
    /// It must never be interrupted.
    Never,
}

/// The one source of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ParamSource {
    /// The text itself, known when planning.
    Literal(String),
    /// A field of the subject's host row.
    Host(String),
    /// A generated document of `files`, by name.
    File(String),
    /// A binary, image or bundle of `assets`, by name: delivered and checked before the script starts.
    Asset(String),
    /// A reference of `secrets`, by name: resolved at apply.
    Secret(String),
    /// `STEP.OUTPUT` of an earlier action about the same host, or of its only instance.
    Output(String),
}

/// What kind of thing an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutputKind {
    /// A short typed value; lives in the journal.
    Value,
    /// A file that stays on the host that made it.
    File,
    /// A secret that lives in the memory of the run.
    Secret,
}

/// The type of a `value` output; checked when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ValueType {
    /// Digits.
    Integer,
    /// 64 hexadecimal digits.
    Sha256,
    /// One word of `[A-Za-z0-9._:/@+-]`.
    Word,
    /// `1.2.3` with an optional leading `v` and suffix.
    Version,
    /// An IP address or DNS name, with an optional port.
    Address,
}

/// How long a `file` output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Until the run ends.
    Run,
    /// Until the point of no return.
    Commit,
    /// Until a person removes it.
    Kept,
}

/// What a step hands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// What kind of thing.
    pub kind: OutputKind,
    /// Type of a value.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub value_type: Option<ValueType>,
    /// Largest size of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<super::Bytes>,
    /// The file holds secrets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    /// How long a file is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
}

/// A budget that an action takes before it starts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Take {
    /// Which budget.
    pub take: String,
    /// Held until that step about the same host has ended; absent: until this one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What a step may alter on the host where it executes; globs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Changes {
    /// Files and directories.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// systemd units.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<String>,
    /// Containers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<String>,
    /// Swarm services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Kubernetes objects, `resource/namespace/name` or `resource/name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
}

impl Changes {
    /// True when nothing may change.
    pub fn is_empty(&self) -> bool {
        *self == Changes::default()
    }
}

/// A step: what its actions have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Id.
    pub id: String,
    /// Stage.
    pub stage: String,
    /// One sentence, without variables.
    pub title: String,
    /// Which hosts it is about.
    #[serde(rename = "for")]
    pub subjects: Selector,
    /// Where it executes.
    pub at: At,
    /// File name of its script under `plans/upgrade/scripts/`; absent for builtins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// `sha256:…` of the script's bytes, a key of `scripts`; absent when this build has no such script yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_digest: Option<String>,
    /// One of the engine's few acts on the operator's machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub builtin: Option<String>,
    /// What it does to the world.
    pub effect: Effect,
    /// How it is undone.
    pub undo: Undo,
    /// Environment of the script.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, ParamSource>,
    /// What it hands on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Output>,
    /// Budgets it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Take>,
    /// What it may alter.
    #[serde(default, skip_serializing_if = "Changes::is_empty")]
    pub changes: Changes,
    /// Facts it takes for granted, beyond those that its conditions and parameters use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relies: Vec<String>,
    /// Whether it may be interrupted.
    pub cancel: Cancel,
    /// From here on a user's pod or client can write through the new API.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub users_write: bool,
    /// Running it again after success does no harm.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeatable: bool,
    /// Seconds until it counts as hanging.
    pub timeout_s: u32,
    /// How often a temporary failure is tried again.
    pub retry: u32,
    /// Seconds it is expected to take on one host.
    pub estimate_s: u32,
}

/// One action: a step about one host. Its id is `HOST/STEP`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// `HOST/STEP`.
    pub id: String,
    /// Step.
    pub step: String,
    /// Host it is about.
    pub host: String,
    /// Ids of actions and joints that must have ended first, sorted.
    pub needs: Vec<String>,
    /// A condition could not be decided: the fact it lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
}

/// A node that does nothing: it keeps edges linear where all wait for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Joint {
    /// `all/STEP`, `gate/STAGE`, or `skip/HOST/STEP` and `skip/STEP` for what is not needed here but stands between others.
    pub id: String,
    /// Ids of actions and joints that must have ended first, sorted.
    pub needs: Vec<String>,
}

/// A step that is not needed on some hosts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Skip {
    /// Step.
    pub step: String,
    /// Why.
    pub because: String,
    /// Hosts, in plan order.
    pub hosts: Vec<String>,
}
