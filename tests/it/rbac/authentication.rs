//! LDAP, OIDC, SAML and local users.

use super::*;
use mkectl::convert::rbac::auth::{AuthResult, Connector, convert_auth};
use mkectl::model::Outcome;
use mkectl::yaml::Node;
use std::collections::BTreeMap;

fn auth(leaves: &[(&str, Value)], accounts: Option<&Accounts>) -> AuthResult {
    convert_auth(&config(leaves), accounts, "mke.example.com", "4.2.0", &tables())
}

fn codes(result: &AuthResult) -> Vec<&str> {
    result
        .findings
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

fn ldap(settings: &[(&str, &str)]) -> Accounts {
    Accounts {
        users: vec![User {
            ldap: true,
            ..user("bob")
        }],
        ldap: Some(
            settings
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
        ),
        ..Accounts::default()
    }
}

fn string(result: &AuthResult, path: &str) -> String {
    match result.values.get(path) {
        Some(Node::Str(text)) => text.clone(),
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn local_users_alone_need_nothing() {
    let accounts = Accounts {
        users: vec![user("bob")],
        ..Accounts::default()
    };
    let result = auth(
        &[
            ("auth.backend", text("managed")),
            ("auth.samlEnabled", Value::Bool(false)),
        ],
        Some(&accounts),
    );
    assert_eq!(
        result.connectors.into_iter().collect::<Vec<_>>(),
        [Connector::Local]
    );
    assert!(result.findings.is_empty() && result.values.is_empty() && result.secrets.is_empty());
}

#[test]
fn ldap_settings_are_filled_in_as_far_as_they_have_a_place() {
    let accounts = ldap(&[
        ("serverURL", "ldaps://ldap.example.com"),
        ("rootCerts", "-----BEGIN CERTIFICATE-----"),
        ("readerDN", "cn=reader,dc=example"),
        ("readerPassword", "POISON"),
        ("userSearchConfigs[0].baseDN", "ou=people,dc=example"),
        ("userSearchConfigs[0].usernameAttr", "uid"),
        ("userSearchConfigs[0].matchGroup", "false"),
        ("userSearchConfigs[1].baseDN", "ou=others,dc=example"),
        ("syncSchedule", "@hourly"),
        ("noSimplePagination", "true"),
        ("novelty", "POISON"),
    ]);
    let result = auth(&[("auth.backend", text("ldap"))], Some(&accounts));
    assert_eq!(
        string(&result, "spec.authentication.ldap.host"),
        "ldap.example.com:636"
    );
    assert_eq!(
        string(&result, "spec.authentication.ldap.bindDN"),
        "cn=reader,dc=example"
    );
    assert_eq!(
        string(&result, "spec.authentication.ldap.bindPW"),
        "mkectl-secret:ldap-bind-password"
    );
    assert_eq!(
        string(&result, "spec.authentication.ldap.userSearch.baseDN"),
        "ou=people,dc=example"
    );
    assert_eq!(
        string(&result, "spec.authentication.ldap.userSearch.emailAttr"),
        "uid"
    );
    assert_eq!(
        string(&result, "spec.authentication.ldap.caData"),
        "-----BEGIN CERTIFICATE-----"
    );
    assert_eq!(
        result.values["spec.authentication.ldap.enabled"],
        Node::Bool(true)
    );
    assert!(
        !result
            .values
            .contains_key("spec.authentication.ldap.insecureNoSSL")
    );
    assert_eq!(result.secrets[0].from, "env:MKECTL_LDAP_BIND_PASSWORD");
    let outcomes: BTreeMap<_, _> = result
        .settings
        .iter()
        .map(|row| (row.path.as_str(), row.outcome))
        .collect();
    assert_eq!(outcomes.len(), 11, "one row per setting");
    assert_eq!(outcomes["ldap.serverURL"], Outcome::Converted);
    assert_eq!(outcomes["ldap.userSearchConfigs[1].baseDN"], Outcome::Unsupported);
    assert_eq!(outcomes["ldap.userSearchConfigs[0].matchGroup"], Outcome::Ignored);
    assert_eq!(outcomes["ldap.syncSchedule"], Outcome::Retired);
    assert_eq!(outcomes["ldap.noSimplePagination"], Outcome::Unsupported);
    assert_eq!(outcomes["ldap.novelty"], Outcome::Unknown);
    assert!(
        !format!("{result:?}").contains("POISON"),
        "neither a secret nor what may be one is shown"
    );
    assert_eq!(codes(&result), ["AUTH-LDAP-PARTIAL", "AUTH-LDAP-NAMES"]);
    assert!(
        result.findings[0]
            .message
            .ends_with("noSimplePagination, novelty, userSearchConfigs[1].baseDN")
    );
}

#[test]
fn a_certificate_has_no_place_before_4_2() {
    let accounts = ldap(&[("serverURL", "ldaps://ldap"), ("rootCerts", "PEM")]);
    let result = convert_auth(&config(&[]), Some(&accounts), "", "4.1.5", &tables());
    assert!(!result.values.contains_key("spec.authentication.ldap.caData"));
    let row = result
        .settings
        .iter()
        .find(|row| row.path == "ldap.rootCerts")
        .unwrap();
    assert_eq!(row.outcome, Outcome::Unsupported);
    assert!(row.reason.contains("spec.authentication.ldap.rootCA"));
}

#[test]
fn start_tls_never_becomes_plain_text() {
    let result = auth(
        &[],
        Some(&ldap(&[("serverURL", "ldap://ldap"), ("startTLS", "true")])),
    );
    assert!(
        !result
            .values
            .contains_key("spec.authentication.ldap.insecureNoSSL")
    );
    assert!(codes(&result).contains(&"AUTH-LDAP-TLS"));
    let result = auth(&[], Some(&ldap(&[("serverURL", "ldap://ldap")])));
    assert_eq!(
        result.values["spec.authentication.ldap.insecureNoSSL"],
        Node::Bool(true)
    );
    assert!(codes(&result).contains(&"AUTH-LDAP-TLS"));
    let result = auth(&[], Some(&ldap(&[("serverURL", "ldap://reader:POISON@ldap")])));
    assert!(
        !result.values.contains_key("spec.authentication.ldap.enabled"),
        "not an address that Dex takes"
    );
    assert!(!format!("{result:?}").contains("POISON"));
}

#[test]
fn ldap_that_was_not_recorded_is_said() {
    let result = auth(&[("auth.backend", text("ldap"))], None);
    assert_eq!(codes(&result), ["AUTH-LDAP-UNREAD"]);
    assert_eq!(result.findings[0].subject.line, Some(1));
    assert!(result.values.is_empty());
}

#[test]
fn identity_providers_must_learn_the_callback() {
    let leaves = [
        ("auth.external_identity_provider.issuer", text("https://idp")),
        ("auth.external_identity_provider.usernameClaim", text("upn")),
        (
            "auth.external_identity_provider.httpsProxy",
            text("http://u:POISON@proxy"),
        ),
        (
            "auth.external_identity_provider.signInCriteria[0].term",
            text("group"),
        ),
        (
            "auth.external_identity_provider.adminRoleCriteria[0].term",
            text("admins"),
        ),
        ("auth.samlEnabled", Value::Bool(true)),
        ("auth.scimEnabled", Value::Bool(true)),
    ];
    let accounts = Accounts {
        users: vec![user("bob")],
        organizations: vec![org("acme", vec![], &["bob"])],
        bindings: vec![binding(
            "b",
            None,
            "view",
            vec![SubjectRef::Organization("acme".into())],
        )],
        ..Accounts::default()
    };
    let result = auth(&leaves, Some(&accounts));
    let mut seen = codes(&result);
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            "AUTH-OIDC-ADMINS",
            "AUTH-OIDC-BESIDE-USERS",
            "AUTH-OIDC-CALLBACK",
            "AUTH-OIDC-NAMES",
            "AUTH-OIDC-SIGN-IN",
            "AUTH-PROXY",
            "AUTH-SAML-CALLBACK",
            "AUTH-SEVERAL-CONNECTORS",
            "RBAC-GROUP-CLAIM",
        ]
    );
    for code in ["AUTH-OIDC-CALLBACK", "AUTH-SAML-CALLBACK"] {
        assert!(
            found(&result.findings, code)[0]
                .remedy
                .contains("https://mke.example.com/dex/callback")
        );
    }
    let names = found(&result.findings, "AUTH-OIDC-NAMES")[0];
    assert!(names.message.contains("\"upn\""), "{}", names.message);
    assert_eq!(names.subject.line, Some(2));
    assert!(!format!("{result:?}").contains("POISON"));
}

#[test]
fn passwords_that_were_off_must_not_come_back() {
    let accounts = Accounts {
        users: vec![user("bob")],
        ..Accounts::default()
    };
    let result = auth(
        &[("auth.managedPasswordDisabled", Value::Bool(true))],
        Some(&accounts),
    );
    assert_eq!(codes(&result), ["AUTH-PASSWORDS-OFF"]);
    assert!(result.connectors.is_empty());
}
