//! How people log in: LDAP, OIDC and SAML beside local users. Dex takes over from eNZi.
//!
//! Keys of the TOML are converted by the settings table; here is what they mean together, and what no file holds: the
//! LDAP settings of the auth store.

mod ldap;

use super::codes;
use super::tables::{FindingBook, RbacTables};
use crate::model::{Finding, SecretRef, SettingRow, Subject, SubjectKind};
use crate::source::accounts::{Accounts, SubjectRef};
use crate::source::mke3::{Config, Leaf, Value};
use crate::yaml::Node;
use std::collections::{BTreeMap, BTreeSet};

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Connector {
    /// Accounts of MKE itself.
    Local,
    /// LDAP.
    Ldap,
    /// OpenID Connect.
    Oidc,
    /// SAML.
    Saml,
}

/// What becomes of authentication.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthResult {
    /// Ways to log in that are on under MKE 3.
    pub connectors: BTreeSet<Connector>,
    /// One row per recorded LDAP setting, `ldap.KEY`, sorted; they are not in the TOML and have no line.
    pub settings: Vec<SettingRow>,
    /// What to write into `mke4.yaml`, by path.
    pub values: BTreeMap<String, Node>,
    /// Secrets by reference.
    pub secrets: Vec<SecretRef>,
    /// Findings, sorted.
    pub findings: Vec<Finding>,
}

/// Converts authentication. `external_address` is the load balancer as given, `version` the MKE 4k release.
pub fn convert_auth(
    config: &Config,
    accounts: Option<&Accounts>,
    external_address: &str,
    version: &str,
    tables: &RbacTables,
) -> AuthResult {
    let mut result = AuthResult::default();
    let keys = Keys {
        config,
        book: &tables.findings,
    };
    let host = if external_address.is_empty() {
        "EXTERNAL-ADDRESS"
    } else {
        external_address
    };
    let callback = tables.data.dex.callback.replace("{external-address}", host);

    oidc(&keys, &callback, &mut result);
    saml(&keys, &callback, &mut result);
    ldap::convert(&keys, accounts, version, tables, &mut result);
    local(&keys, accounts, &mut result);
    together(accounts, tables, &mut result);
    result.findings.sort();
    result
}

struct Keys<'a> {
    config: &'a Config,
    book: &'a FindingBook,
}

impl Keys<'_> {
    /// The leaf, if it says something: neither empty, nor zero, nor off.
    fn set(&self, path: &str) -> Option<&Leaf> {
        self.config.get(path).filter(|leaf| match &leaf.value {
            Value::String(text) | Value::Datetime(text) => !text.is_empty(),
            Value::Bool(yes) => *yes,
            Value::Integer(number) => *number != 0,
            Value::Float(_) => true,
            Value::List(list) => !list.is_empty(),
            Value::Empty => false,
        })
    }

    fn is(&self, path: &str, wanted: &str) -> bool {
        matches!(self.set(path), Some(Leaf { value: Value::String(text), .. }) if text.eq_ignore_ascii_case(wanted))
    }

    fn first_under(&self, table: &str) -> Option<&Leaf> {
        self.config
            .leaves
            .iter()
            .find(|leaf| leaf.table_path().starts_with(table))
    }

    fn finding(&self, code: &str, leaf: &Leaf, message: impl Into<String>) -> Finding {
        let subject =
            Subject::new(SubjectKind::Setting, leaf.display_path()).at(&self.config.file, leaf.line);
        self.book.finding(code, subject, message)
    }
}

fn oidc(keys: &Keys, callback: &str, result: &mut AuthResult) {
    let table = "auth.external_identity_provider";
    let on = ["issuer", "clientid", "wellknownconfigurl"]
        .iter()
        .find_map(|key| keys.set(&format!("{table}.{key}")));
    let Some(on) = on else { return };
    result.connectors.insert(Connector::Oidc);
    let mut finding = keys.finding(
        codes::OIDC_CALLBACK,
        on,
        "the OIDC provider must send users to Dex after the upgrade, no longer to MKE 3",
    );
    finding.remedy =
        format!("add the redirect URI {callback} to the client at the provider before the upgrade");
    result.findings.push(finding);
    // The claim that was the user name decides whether existing bindings still match.
    let claim = keys.set(&format!("{table}.usernameclaim")).unwrap_or(on);
    let named = match (keys.set(&format!("{table}.usernameclaim")), &claim.value) {
        (Some(_), Value::String(name)) => name.as_str(),
        _ => "sub",
    };
    result.findings.push(keys.finding(
        codes::OIDC_NAMES,
        claim,
        format!("MKE 3 takes the user name from the claim {named:?}, and MKE 4k has no setting for it"),
    ));
    if let Some(leaf) = keys.first_under(&format!("{table}.signincriteria[]")) {
        result.findings.push(keys.finding(
            codes::OIDC_SIGN_IN,
            leaf,
            "MKE 3 lets in only users whose token meets these criteria; MKE 4k lets in everybody with a token",
        ));
    }
    if let Some(leaf) = keys.first_under(&format!("{table}.adminrolecriteria[]")) {
        result.findings.push(keys.finding(
            codes::OIDC_ADMINS,
            leaf,
            "users who are administrators by a claim of their token are none under MKE 4k",
        ));
    }
    for key in ["httpproxy", "httpsproxy"] {
        if let Some(leaf) = keys.set(&format!("{table}.{key}")) {
            result.findings.push(keys.finding(
                codes::PROXY,
                leaf,
                "MKE 4k reaches the OIDC provider without a proxy",
            ));
        }
    }
}

fn saml(keys: &Keys, callback: &str, result: &mut AuthResult) {
    let on = keys.set("auth.samlenabled").or_else(|| {
        let said = keys.config.get("auth.samlenabled").is_some();
        keys.set("auth.saml.idpmetadataurl").filter(|_| !said)
    });
    if let Some(on) = on {
        result.connectors.insert(Connector::Saml);
        let mut finding = keys.finding(
            codes::SAML_CALLBACK,
            on,
            "the SAML provider must post its answers to Dex after the upgrade, no longer to MKE 3",
        );
        finding.remedy = format!(
            "set {callback} as assertion consumer service URL and audience at the provider before the upgrade"
        );
        result.findings.push(finding);
        if let Some(leaf) = keys.set("auth.samlproxy.enabled") {
            result.findings.push(keys.finding(
                codes::PROXY,
                leaf,
                "MKE 4k reaches the SAML provider without a proxy",
            ));
        }
    }
}

fn local(keys: &Keys, accounts: Option<&Accounts>, result: &mut AuthResult) {
    let any = accounts.is_none_or(|accounts| {
        accounts
            .users
            .iter()
            .any(|user| user.active && !user.ldap && user.password.as_deref() != Some("none"))
    });
    if !any {
        return;
    }
    match keys.set("auth.managedpassworddisabled") {
        Some(leaf) => result.findings.push(keys.finding(
            codes::PASSWORDS_OFF,
            leaf,
            "MKE 3 refuses local passwords, and a Dex Password accepts one",
        )),
        None => {
            result.connectors.insert(Connector::Local);
        }
    }
}

fn together(accounts: Option<&Accounts>, tables: &RbacTables, result: &mut AuthResult) {
    let outside = result
        .connectors
        .iter()
        .filter(|one| **one != Connector::Local)
        .count();
    let subject = || Subject::new(SubjectKind::Cluster, "authentication");
    if result.connectors.contains(&Connector::Oidc) && result.connectors.contains(&Connector::Local) {
        result.findings.push(tables.findings.finding(
            codes::OIDC_BESIDE,
            subject(),
            "local users and users of the OIDC provider log in side by side, and a local name and a claim that are alike are one user",
        ));
    }
    if outside > 1 {
        result.findings.push(tables.findings.finding(
            codes::SEVERAL,
            subject(),
            format!(
                "{outside} identity providers are on, and Kubernetes takes users of the same name for one"
            ),
        ));
    }
    let of_levels = accounts.map_or(0, |accounts| {
        let named = |subject: &SubjectRef| {
            matches!(
                subject,
                SubjectRef::Organization(_) | SubjectRef::Team(_) | SubjectRef::Group(_)
            )
        };
        let system = |subject: &SubjectRef| {
            matches!(subject, SubjectRef::Group(name)
                if tables.data.reserved_prefixes.iter().any(|prefix| name.starts_with(prefix)))
        };
        accounts
            .bindings
            .iter()
            .filter(|binding| {
                binding
                    .subjects
                    .iter()
                    .any(|subject| named(subject) && !system(subject))
            })
            .count()
    });
    if outside > 0 && of_levels > 0 {
        result.findings.push(tables.findings.finding(
            codes::GROUP_CLAIM,
            Subject::new(SubjectKind::Cluster, "bindings"),
            format!("{of_levels} bindings name groups, which a group of that name at the identity provider now holds"),
        ));
    }
}
