//! `rbac.yaml` and a findings file, as data.

use crate::catalogue::Bundle;
use crate::model::{Confidence, Finding, Severity, Subject};
use crate::source::InputError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// `rbac.yaml`, with the findings that conversion of accounts may make.
#[derive(Clone, Debug)]
pub struct RbacTables {
    /// The data.
    pub(crate) data: RbacData,
    /// The findings.
    pub(crate) findings: FindingBook,
}

impl RbacTables {
    /// Reads the tables of a bundle. Refuses unknown keys, and a findings file that lacks a code of this module.
    pub fn load(bundle: &Bundle) -> Result<RbacTables, InputError> {
        let data: RbacData = read(bundle, "rbac.yaml")?;
        let longest = data.suffixes.organization.len().max(data.suffixes.team.len());
        if data.limits.name < longest + data.limits.hash_digits + 2 || data.limits.subjects_per_binding == 0 {
            return Err(InputError {
                file: "rbac.yaml".to_owned(),
                at: None,
                message: "limits leave no room for a name with suffix and hash, or for a subject".to_owned(),
                remedy:
                    "raise limits.name, lower limits.hash_digits, or give subjects_per_binding at least 1"
                        .to_owned(),
            });
        }
        Ok(RbacTables {
            data,
            findings: FindingBook::load(bundle, "findings/rbac.yaml", super::codes::ALL)?,
        })
    }

    /// The key of a label or annotation of mkectl.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.data.domain)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RbacData {
    pub suffixes: Suffixes,
    pub domain: String,
    pub managed_by: String,
    pub limits: Limits,
    pub placeholder_role: String,
    pub administrators: Administrators,
    pub kubernetes_roles: Vec<String>,
    pub reserved_prefixes: Vec<String>,
    pub pod_creating_roles: Vec<String>,
    pub access_sample: AccessSample,
    pub swarm_roles: Vec<NamedRole>,
    pub private_collections: String,
    pub namespace_grant: String,
    pub dex: DexData,
    pub ldap: LdapData,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Suffixes {
    pub organization: String,
    pub team: String,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    pub name: usize,
    pub object_name: usize,
    pub hash_digits: usize,
    pub subjects_per_binding: usize,
    pub named_in_message: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Administrators {
    pub binding: String,
    pub role: String,
}

/// How large the sample of who may do what is: at most users × (places + 1) × asks questions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessSample {
    pub users: usize,
    pub places: usize,
    pub asks: Vec<Ask>,
}

/// One thing that is asked of every user, in every place unless its resource has none.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    pub verb: String,
    #[serde(default)]
    pub group: String,
    pub resource: String,
    #[serde(default)]
    pub cluster: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NamedRole {
    pub id: String,
    pub name: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DexData {
    pub api_version: String,
    pub kind: String,
    pub namespace: String,
    pub hash_file: String,
    pub carried_hashes: Vec<String>,
    pub no_password: Vec<String>,
    pub callback: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LdapData {
    pub enabled: String,
    pub insecure: String,
    pub bind_password: SecretSource,
    pub settings: Vec<LdapSetting>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretSource {
    pub name: String,
    pub from: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LdapHow {
    /// The value itself.
    Text,
    /// Host and port of an LDAP URL.
    Address,
    /// A secret that MKE 4k needs.
    Secret,
    /// A secret that nothing needs.
    SecretRetired,
    /// StartTLS on or off.
    StartTls,
    /// No counterpart.
    Lost,
    /// The thing it configured is gone.
    Retired,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LdapSetting {
    pub key: String,
    #[serde(rename = "as")]
    pub how: LdapHow,
    #[serde(default)]
    pub to: Vec<String>,
    /// First MKE 4k version that has the target.
    #[serde(default)]
    pub since: Option<String>,
    #[serde(default = "inferred")]
    pub confidence: Confidence,
    pub reason: String,
    /// The reason under an older MKE 4k.
    #[serde(default)]
    pub otherwise: Option<String>,
}

fn inferred() -> Confidence {
    Confidence::Inferred
}

/// Severity and usual remedy of each finding of one file of `findings/`.
#[derive(Clone, Debug)]
pub(crate) struct FindingBook {
    rows: BTreeMap<String, (Severity, String)>,
}

#[derive(Deserialize)]
struct FindingRow {
    code: String,
    severity: Severity,
    remedy: String,
}

impl FindingBook {
    /// Reads a findings file and checks that it defines `codes`.
    pub(crate) fn load(bundle: &Bundle, file: &str, codes: &[&str]) -> Result<FindingBook, InputError> {
        let rows: Vec<FindingRow> = read(bundle, file)?;
        let rows: BTreeMap<_, _> = rows
            .into_iter()
            .map(|row| (row.code, (row.severity, row.remedy)))
            .collect();
        match codes.iter().find(|code| !rows.contains_key(**code)) {
            None => Ok(FindingBook { rows }),
            Some(code) => Err(InputError {
                file: file.to_owned(),
                at: None,
                message: format!("{code} is not defined"),
                remedy: "add it with severity, title, explain and remedy".to_owned(),
            }),
        }
    }

    /// A finding with the file's severity and remedy. `load` has checked that the code is there.
    pub(crate) fn finding(&self, code: &str, subject: Subject, message: impl Into<String>) -> Finding {
        let (severity, remedy) = self
            .rows
            .get(code)
            .cloned()
            .unwrap_or((Severity::Blocking, String::new()));
        Finding {
            severity,
            code: code.to_owned(),
            subject,
            message: message.into(),
            remedy,
            hosts: Vec::new(),
        }
    }
}

/// Reads one file of a bundle.
pub(crate) fn read<T: DeserializeOwned>(bundle: &Bundle, file: &str) -> Result<T, InputError> {
    let fail = |at, message: String| InputError {
        file: file.to_owned(),
        at,
        message,
        remedy: "restore the file of plans/upgrade that belongs to this build of mkectl".to_owned(),
    };
    let text = bundle
        .text(file)
        .ok_or_else(|| fail(None, "no such file, or not UTF-8".to_owned()))?;
    crate::yaml::typed(text).map_err(|error| {
        let at = error.location().map(|place| {
            (
                u32::try_from(place.line()).unwrap_or(u32::MAX),
                u32::try_from(place.column()).unwrap_or(u32::MAX),
            )
        });
        fail(at, error.to_string())
    })
}

/// True when `version` is `bound` or newer. Versions are numbers with dots; a missing number is 0, a suffix is ignored.
pub(crate) fn at_least(version: &str, bound: &str) -> bool {
    let numbers = |text: &str| -> [u32; 3] {
        let core = text
            .trim_start_matches('v')
            .split(['-', '+'])
            .next()
            .unwrap_or_default();
        let mut parts = core.split('.').map(|part| part.parse().unwrap_or(0));
        [(); 3].map(|()| parts.next().unwrap_or(0))
    };
    numbers(version) >= numbers(bound)
}
