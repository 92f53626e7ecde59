//! How people log in: LDAP, OIDC and SAML beside local users. Dex takes over from eNZi.
//!
//! Keys of the TOML are converted by the settings table; here is what they mean together, and what no file holds: the
//! LDAP settings of the auth store.

use super::codes;
use super::tables::{FindingBook, LdapHow, LdapSetting, RbacTables, at_least};
use crate::model::{Finding, Outcome, SecretRef, SettingRow, Subject, SubjectKind, Target};
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
    let host = if external_address.is_empty() { "EXTERNAL-ADDRESS" } else { external_address };
    let callback = tables.data.dex.callback.replace("{external-address}", host);

    oidc(&keys, &callback, &mut result);
    saml(&keys, &callback, &mut result);
    ldap(&keys, accounts, version, tables, &mut result);
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
        self.config.leaves.iter().find(|leaf| leaf.table_path().starts_with(table))
    }

    fn finding(&self, code: &str, leaf: &Leaf, message: impl Into<String>) -> Finding {
        let subject = Subject::new(SubjectKind::Setting, leaf.display_path()).at(&self.config.file, leaf.line);
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
    finding.remedy = format!("add the redirect URI {callback} to the client at the provider before the upgrade");
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
            result.findings.push(keys.finding(codes::PROXY, leaf, "MKE 4k reaches the OIDC provider without a proxy"));
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
        finding.remedy =
            format!("set {callback} as assertion consumer service URL and audience at the provider before the upgrade");
        result.findings.push(finding);
        if let Some(leaf) = keys.set("auth.samlproxy.enabled") {
            result.findings.push(keys.finding(codes::PROXY, leaf, "MKE 4k reaches the SAML provider without a proxy"));
        }
    }
    if let Some(leaf) = keys.set("auth.scimenabled") {
        result.findings.push(keys.finding(
            codes::SCIM,
            leaf,
            "MKE 4k has no SCIM endpoint: users and groups are no longer provisioned from outside",
        ));
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
    let outside = result.connectors.iter().filter(|one| **one != Connector::Local).count();
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
            format!("{outside} identity providers are on, and Kubernetes takes users of the same name for one"),
        ));
    }
    let of_levels = accounts.map_or(0, |accounts| {
        let named = |subject: &SubjectRef| matches!(subject, SubjectRef::Organization(_) | SubjectRef::Team(_) | SubjectRef::Group(_));
        let system = |subject: &SubjectRef| {
            matches!(subject, SubjectRef::Group(name)
                if tables.data.reserved_prefixes.iter().any(|prefix| name.starts_with(prefix)))
        };
        accounts
            .bindings
            .iter()
            .filter(|binding| binding.subjects.iter().any(|subject| named(subject) && !system(subject)))
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

/// Scheme, host and port of an LDAP URL; `None` when it is none.
fn ldap_address(url: &str) -> Option<(bool, String)> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("ldap", url));
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "ldap" => false,
        "ldaps" => true,
        _ => return None,
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') || authority.contains(char::is_whitespace) {
        return None;
    }
    let has_port = match authority.rfind(']') {
        Some(end) => authority.get(end + 1..).is_some_and(|rest| rest.starts_with(':')),
        None => authority.contains(':'),
    };
    let port = if tls { 636 } else { 389 };
    Some((tls, if has_port { authority.to_owned() } else { format!("{authority}:{port}") }))
}

/// `userSearchConfigs[0].baseDN` → `usersearchconfigs[].basedn` and 0.
fn table_key(key: &str) -> (String, u32) {
    let Some((before, rest)) = key.split_once('[') else {
        return (key.to_lowercase(), 0);
    };
    match rest.split_once(']').map(|(index, after)| (index.parse::<u32>(), after)) {
        Some((Ok(index), after)) => (format!("{before}[]{after}").to_lowercase(), index),
        _ => (key.to_lowercase(), 0),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn ldap(keys: &Keys, accounts: Option<&Accounts>, version: &str, tables: &RbacTables, result: &mut AuthResult) {
    let settings = accounts.and_then(|accounts| accounts.ldap.as_ref());
    let by_toml = keys.is("auth.backend", "ldap");
    let Some(settings) = settings else {
        if by_toml && let Some(leaf) = keys.set("auth.backend") {
            result.connectors.insert(Connector::Ldap);
            result.findings.push(keys.finding(
                codes::LDAP_UNREAD,
                leaf,
                "users log in through LDAP, whose settings are not in this file and were not recorded",
            ));
        }
        return;
    };
    result.connectors.insert(Connector::Ldap);
    let subject = |key: &str| Subject::new(SubjectKind::Setting, format!("ldap.{key}"));
    let book = &tables.findings;
    let data = &tables.data.ldap;
    let on = |value: &str| !matches!(value, "" | "false" | "0" | "null" | "{}" | "[]");
    let value_of = |wanted: &str| settings.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
    let address = value_of("serverURL").and_then(|url| ldap_address(url));
    let start_tls = value_of("startTLS").is_some_and(|value| value == "true");

    let mut lost = Vec::new();
    for (key, value) in settings {
        let (name, index) = table_key(key);
        let row = data.settings.iter().find(|row| row.key.to_lowercase() == name);
        let (outcome, targets, reason) = match row {
            None => (Outcome::Unknown, Vec::new(), "this version of mkectl does not know the setting".to_owned()),
            Some(row) => one_ldap_setting(row, index, value, on(value), version, &address, data),
        };
        if matches!(outcome, Outcome::Unsupported | Outcome::Unknown) {
            lost.push(key.as_str());
        }
        let secret = row.is_some_and(|row| matches!(row.how, LdapHow::Secret | LdapHow::SecretRetired));
        let mut to = Vec::new();
        for (path, value) in targets {
            to.push(Target {
                path: path.clone(),
                value: if secret { "(secret)".to_owned() } else { quoted(&value) },
            });
            result.values.insert(path, Node::Str(value));
        }
        // A setting nobody knows may well be a secret, and a URL may hold one before its host.
        let credentials = value.contains("://") && value.contains('@');
        let before = if secret || credentials || row.is_none() { "(secret)".to_owned() } else { quoted(value) };
        result.settings.push(SettingRow {
            path: format!("ldap.{key}"),
            line: None,
            before,
            outcome,
            to,
            reason,
            default: outcome == Outcome::Ignored,
            confidence: row.map_or(crate::model::Confidence::Inferred, |row| row.confidence),
        });
    }

    let placeholder = format!("mkectl-secret:{}", data.bind_password.name);
    if value_of("readerDN").is_some_and(|dn| on(dn)) {
        for row in data.settings.iter().filter(|row| row.how == LdapHow::Secret) {
            for path in &row.to {
                result.values.insert(path.clone(), Node::Str(placeholder.clone()));
            }
        }
        result.secrets.push(SecretRef {
            name: data.bind_password.name.clone(),
            from: data.bind_password.from.clone(),
            used_for: "password of the account that searches LDAP, which MKE 3 does not give out".to_owned(),
        });
    }
    match &address {
        Some((tls, _)) => {
            result.values.insert(data.enabled.clone(), Node::Bool(true));
            if !tls {
                let message = if start_tls {
                    "MKE 3 protects LDAP by StartTLS, which MKE 4k cannot do"
                } else {
                    "passwords travel to the LDAP server in the clear, as under MKE 3"
                };
                if !start_tls {
                    result.values.insert(data.insecure.clone(), Node::Bool(true));
                }
                result.findings.push(book.finding(codes::LDAP_TLS, subject("serverURL"), message));
            }
        }
        None => lost.push("serverURL"),
    }
    if !lost.is_empty() {
        lost.sort_unstable();
        lost.dedup();
        let names = super::directory::listed(lost.into_iter(), tables.data.limits.named_in_message);
        let message = format!("these LDAP settings have no counterpart or could not be used: {names}");
        result.findings.push(book.finding(codes::LDAP_PARTIAL, Subject::new(SubjectKind::Cluster, "LDAP"), message));
    }
    result.findings.push(book.finding(
        codes::LDAP_NAMES,
        Subject::new(SubjectKind::Cluster, "LDAP"),
        "bindings match LDAP users only if Dex puts the same user name into the token as MKE 3 did",
    ));
}

type Converted = (Outcome, Vec<(String, String)>, String);

fn one_ldap_setting(
    row: &LdapSetting,
    index: u32,
    value: &str,
    on: bool,
    version: &str,
    address: &Option<(bool, String)>,
    data: &super::tables::LdapData,
) -> Converted {
    let to = |value: &str| row.to.iter().map(|path| (path.clone(), value.to_owned())).collect();
    let reason = row.reason.clone();
    if row.how == LdapHow::Retired || row.how == LdapHow::SecretRetired {
        return (Outcome::Retired, Vec::new(), reason);
    }
    if !on && row.how != LdapHow::Address {
        return (Outcome::Ignored, Vec::new(), "not set".to_owned());
    }
    if index > 0 {
        return (Outcome::Unsupported, Vec::new(), "MKE 4k has one user search; the first is taken".to_owned());
    }
    if let Some(since) = &row.since
        && !at_least(version, since)
    {
        return (Outcome::Unsupported, Vec::new(), row.otherwise.clone().unwrap_or(reason));
    }
    match row.how {
        LdapHow::Text => (Outcome::Converted, to(value), reason),
        LdapHow::Secret => (Outcome::Converted, to(&format!("mkectl-secret:{}", data.bind_password.name)), reason),
        LdapHow::Address => match address {
            Some((_, address)) => (Outcome::Converted, to(address), reason),
            None => (Outcome::Unsupported, Vec::new(), "not an LDAP URL with a host".to_owned()),
        },
        LdapHow::StartTls | LdapHow::Lost => (Outcome::Unsupported, Vec::new(), reason),
        LdapHow::Retired | LdapHow::SecretRetired => (Outcome::Retired, Vec::new(), reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldap_urls() {
        assert_eq!(ldap_address("ldaps://ldap.corp"), Some((true, "ldap.corp:636".to_owned())));
        assert_eq!(ldap_address("ldap://ldap.corp:3389/dc=x"), Some((false, "ldap.corp:3389".to_owned())));
        assert_eq!(ldap_address("ldap://[::1]"), Some((false, "[::1]:389".to_owned())));
        assert_eq!(ldap_address("ldaps://[::1]:7636"), Some((true, "[::1]:7636".to_owned())));
        assert_eq!(ldap_address("https://ldap.corp"), None);
        assert_eq!(ldap_address("ldap:///dc=x"), None);
    }

    #[test]
    fn list_keys_lose_their_position() {
        assert_eq!(table_key("userSearchConfigs[2].baseDN"), ("usersearchconfigs[].basedn".to_owned(), 2));
        assert_eq!(table_key("serverURL"), ("serverurl".to_owned(), 0));
        assert_eq!(table_key("a[b].c"), ("a[b].c".to_owned(), 0));
    }
}
