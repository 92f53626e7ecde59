//! Everything of `plans/upgrade/` that planning reads, loaded once.

use crate::catalogue::{Bundle, Catalogue, FindingRegistry, Mke3Objects, Releases};
use crate::convert::checks::CheckRules;
use crate::convert::document::{DocumentDefaults, K0sTable};
use crate::convert::flags::FlagTables;
use crate::convert::ports::PortTables;
use crate::convert::rbac::RbacTables;
use crate::convert::settings::SettingsTable;

/// The tables.
#[derive(Debug)]
pub struct Tables {
    /// Stages, budgets, actions.
    pub catalogue: Catalogue,
    /// Releases of MKE 4k.
    pub releases: Releases,
    /// Texts of findings.
    pub findings: FindingRegistry,
    /// MKE 3 keys.
    pub settings: SettingsTable,
    /// Flags, gates, kubelet fields.
    pub flags: FlagTables,
    /// Ports.
    pub ports: PortTables,
    /// Roles and names.
    pub rbac: RbacTables,
    /// Thresholds and lists of checks.
    pub checks: CheckRules,
    /// Defaults of mke4.yaml.
    pub mke4: DocumentDefaults,
    /// What k0s.yaml is made of.
    pub k0s: K0sTable,
    /// Objects and volumes of MKE 3 by name.
    pub mke3: Mke3Objects,
    /// The program that starts scripts on hosts.
    pub runner: String,
    /// Digest of all files.
    pub digest: String,
}

/// `plans/upgrade/` cannot be used: a fault of this build, not of its user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plans/upgrade: {0}")]
pub struct TablesError(String);

impl Tables {
    /// Loads and checks all files.
    ///
    /// # Errors
    ///
    /// [`TablesError`] names the file, the line where it is known, and what is wrong.
    pub fn load(bundle: &Bundle) -> Result<Tables, TablesError> {
        fn named(error: impl std::fmt::Display) -> TablesError {
            TablesError(error.to_string())
        }
        Ok(Tables {
            catalogue: Catalogue::load(bundle).map_err(named)?.0,
            releases: Releases::load(bundle).map_err(named)?,
            findings: FindingRegistry::load(bundle).map_err(named)?,
            settings: SettingsTable::load(bundle).map_err(named)?,
            flags: FlagTables::load(bundle).map_err(named)?,
            ports: PortTables::load(bundle).map_err(named)?,
            rbac: RbacTables::load(bundle).map_err(named)?,
            checks: CheckRules::load(bundle).map_err(named)?,
            mke4: DocumentDefaults::load(bundle).map_err(named)?,
            k0s: K0sTable::load(bundle).map_err(named)?,
            mke3: Mke3Objects::load(bundle).map_err(named)?,
            runner: bundle
                .text("runner.sh")
                .ok_or_else(|| TablesError("runner.sh: is missing or not UTF-8".to_owned()))?
                .to_owned(),
            digest: bundle.digest(),
        })
    }
}
