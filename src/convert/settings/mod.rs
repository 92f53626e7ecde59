//! Settings of MKE 3 to `mke4.yaml`, driven by the table in `plans/upgrade/settings.yaml`.
//!
//! Every leaf of the configuration gets exactly one row, known or not; what is lost and was chosen gets a finding. Values
//! that are secrets leave this module only by reference.

mod checks;
mod engine;
mod markdown;
pub(crate) mod path;
mod table;
mod transform;
pub(crate) mod value;

pub use markdown::settings_markdown;
pub(crate) use table::data;
pub use table::{
    Class, Condition, FindingDef, Kind, Merge, SETTING_INVALID, SettingDef, SettingsTable, TableError,
    TargetDef, Topic, Transform,
};
pub(crate) use value::holds_secret;

use crate::catalogue::Release;
use crate::model::{Finding, SecretRef, SettingRow};
use crate::options::Options;
use crate::source::mke3::Config;
use crate::yaml::Node;

pub use crate::model::SECRET_PLACEHOLDER;

/// One value that the conversion writes to `mke4.yaml`.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    pub(crate) path: path::DocPath,
    pub(crate) value: Node,
    pub(crate) merge: Option<Merge>,
}

impl Write {
    /// A value at a path such as `spec.kubelet.maxPods`, replacing what stood there.
    ///
    /// # Errors
    ///
    /// When the path cannot be read.
    pub fn set(path: &str, value: Node) -> Result<Write, String> {
        Ok(Write {
            path: path::DocPath::parse(path)?,
            value,
            merge: None,
        })
    }
}

/// What the settings become.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettingsResult {
    /// One row per leaf in the order of the file, then keys that are missing where that matters.
    pub rows: Vec<SettingRow>,
    /// What was found, sorted.
    pub findings: Vec<Finding>,
    /// What is written to `mke4.yaml`, in the order of the file.
    pub writes: Vec<Write>,
    /// Secrets that the document refers to, sorted.
    pub secrets: Vec<SecretRef>,
}

/// Converts every leaf of a configuration for a release. Pure; never fails: what cannot be used is a row and a finding.
pub fn convert_settings(
    table: &SettingsTable,
    config: &Config,
    release: &Release,
    options: &Options,
) -> SettingsResult {
    let config = config.clone().with_arrays(&|path| table.is_array(path));
    let config = &config;
    let mut engine = engine::Engine::new(table, config, release);
    engine.run();
    let mut result = engine.into_result();
    checks::check(table, config, release, options, &mut result);
    result.findings.sort();
    result.findings.dedup();
    result.secrets.sort();
    result.secrets.dedup();
    result
}
