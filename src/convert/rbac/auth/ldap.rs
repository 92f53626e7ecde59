//! LDAP settings of the auth store: what `mke4.yaml` can hold of them, and what it cannot.

use super::{AuthResult, Connector, Keys};
use crate::convert::rbac::codes;
use crate::convert::rbac::directory::listed;
use crate::convert::rbac::tables::{LdapData, LdapHow, LdapSetting, RbacTables, at_least};
use crate::model::{Confidence, Outcome, SecretRef, SettingRow, Subject, SubjectKind, Target};
use crate::source::accounts::Accounts;
use crate::yaml::Node;

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
    Some((
        tls,
        if has_port {
            authority.to_owned()
        } else {
            format!("{authority}:{port}")
        },
    ))
}

/// `userSearchConfigs[0].baseDN` → `usersearchconfigs[].basedn` and 0.
fn table_key(key: &str) -> (String, u32) {
    let Some((before, rest)) = key.split_once('[') else {
        return (key.to_lowercase(), 0);
    };
    match rest
        .split_once(']')
        .map(|(index, after)| (index.parse::<u32>(), after))
    {
        Some((Ok(index), after)) => (format!("{before}[]{after}").to_lowercase(), index),
        _ => (key.to_lowercase(), 0),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Converts the recorded LDAP settings, one row each.
pub(super) fn convert(
    keys: &Keys,
    accounts: Option<&Accounts>,
    version: &str,
    tables: &RbacTables,
    result: &mut AuthResult,
) {
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
    let value_of = |wanted: &str| {
        settings
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value)
    };
    let address = value_of("serverURL").and_then(|url| ldap_address(url));
    let start_tls = value_of("startTLS").is_some_and(|value| value == "true");

    let mut lost = Vec::new();
    for (key, value) in settings {
        let (name, index) = table_key(key);
        let row = data.settings.iter().find(|row| row.key.to_lowercase() == name);
        let (outcome, targets, reason) = match row {
            None => (
                Outcome::Unknown,
                Vec::new(),
                "this version of mkectl does not know the setting".to_owned(),
            ),
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
                value: if secret {
                    "(secret)".to_owned()
                } else {
                    quoted(&value)
                },
            });
            result.values.insert(path, Node::Str(value));
        }
        // A setting nobody knows may well be a secret, and a URL may hold one before its host.
        let credentials = value.contains("://") && value.contains('@');
        let before = if secret || credentials || row.is_none() {
            "(secret)".to_owned()
        } else {
            quoted(value)
        };
        result.settings.push(SettingRow {
            path: format!("ldap.{key}"),
            line: None,
            before,
            outcome,
            to,
            reason,
            default: outcome == Outcome::Ignored,
            confidence: row.map_or(Confidence::Inferred, |row| row.confidence),
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
                result
                    .findings
                    .push(book.finding(codes::LDAP_TLS, subject("serverURL"), message));
            }
        }
        None => lost.push("serverURL"),
    }
    if !lost.is_empty() {
        lost.sort_unstable();
        lost.dedup();
        let names = listed(lost.into_iter(), tables.data.limits.named_in_message);
        let message = format!("these LDAP settings have no counterpart or could not be used: {names}");
        result.findings.push(book.finding(
            codes::LDAP_PARTIAL,
            Subject::new(SubjectKind::Cluster, "LDAP"),
            message,
        ));
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
    data: &LdapData,
) -> Converted {
    let to = |value: &str| {
        row.to
            .iter()
            .map(|path| (path.clone(), value.to_owned()))
            .collect()
    };
    let reason = row.reason.clone();
    if row.how == LdapHow::Retired || row.how == LdapHow::SecretRetired {
        return (Outcome::Retired, Vec::new(), reason);
    }
    if !on && row.how != LdapHow::Address {
        return (Outcome::Ignored, Vec::new(), "not set".to_owned());
    }
    if index > 0 {
        return (
            Outcome::Unsupported,
            Vec::new(),
            "MKE 4k has one user search; the first is taken".to_owned(),
        );
    }
    if let Some(since) = &row.since
        && !at_least(version, since)
    {
        return (
            Outcome::Unsupported,
            Vec::new(),
            row.otherwise.clone().unwrap_or(reason),
        );
    }
    match row.how {
        LdapHow::Text => (Outcome::Converted, to(value), reason),
        LdapHow::Secret => (
            Outcome::Converted,
            to(&format!("mkectl-secret:{}", data.bind_password.name)),
            reason,
        ),
        LdapHow::Address => match address {
            Some((_, address)) => (Outcome::Converted, to(address), reason),
            None => (
                Outcome::Unsupported,
                Vec::new(),
                "not an LDAP URL with a host".to_owned(),
            ),
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
        assert_eq!(
            ldap_address("ldaps://ldap.corp"),
            Some((true, "ldap.corp:636".to_owned()))
        );
        assert_eq!(
            ldap_address("ldap://ldap.corp:3389/dc=x"),
            Some((false, "ldap.corp:3389".to_owned()))
        );
        assert_eq!(
            ldap_address("ldap://[::1]"),
            Some((false, "[::1]:389".to_owned()))
        );
        assert_eq!(
            ldap_address("ldaps://[::1]:7636"),
            Some((true, "[::1]:7636".to_owned()))
        );
        assert_eq!(ldap_address("https://ldap.corp"), None);
        assert_eq!(ldap_address("ldap:///dc=x"), None);
    }

    #[test]
    fn list_keys_lose_their_position() {
        assert_eq!(
            table_key("userSearchConfigs[2].baseDN"),
            ("usersearchconfigs[].basedn".to_owned(), 2)
        );
        assert_eq!(table_key("serverURL"), ("serverurl".to_owned(), 0));
        assert_eq!(table_key("a[b].c"), ("a[b].c".to_owned(), 0));
    }
}
