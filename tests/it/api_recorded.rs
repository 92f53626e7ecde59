//! Answers of MKE 3's API as its documented clients know them, in `testdata/api/NAME/answers.json`, and the accounts that they are.
//!
//! They were written down from the references named in `docs/live.md`'s sources, not by the simulated API: what both sides of this
//! repository misunderstand alike would otherwise not be seen. `MKECTL_UPDATE=1` writes `accounts.json` anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::api::{EVERYTHING, access, impatient};
use crate::api_faults::{Act, Bad, identity, json};
use crate::support::{expect_file, repo};
use mkectl::source::accounts::{Accounts, SubjectRef};
use mkectl::source::api::{Live, Patience, read};
use mkectl::source::mke3::Config;
use serde_json::Value;
use std::fs;
use std::time::Duration;

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// What is recorded for the first line of a request.
fn recorded(answers: &Value, line: &str) -> Act {
    let target = line.split(' ').nth(1).unwrap();
    match decoded(target.split('?').next().unwrap()).as_str() {
        "/auth/login" => return json(200, r#"{"auth_token":"t"}"#),
        "/id/logout" => return json(200, "{}"),
        _ => {}
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let start = query.split('&').find(|pair| pair.starts_with("start="));
    let key = match start {
        Some(start) => format!("GET {}?{}", decoded(path), decoded(start)),
        None => format!("GET {}", decoded(path)),
    };
    let answer = &answers[&key];
    if answer.is_null() {
        return json(
            404,
            &format!(r#"{{"message":"not recorded: {}"}}"#, key.replace('"', "")),
        );
    }
    let body = answer["text"]
        .as_str()
        .map_or_else(|| answer["body"].to_string(), str::to_owned);
    let next = answer["next"]
        .as_str()
        .map_or(String::new(), |next| format!("X-Next-Page-Start: {next}\r\n"));
    let head = format!(
        "HTTP/1.1 {} X\r\nContent-Type: application/json\r\n{next}Content-Length: {}\r\n\r\n",
        answer["status"],
        body.len()
    );
    Act::Raw(head + &body)
}

async fn replayed(name: &str) -> (Live, Accounts) {
    let answers = fs::read(repo(&format!("testdata/api/{name}/answers.json"))).unwrap();
    let answers: Value = serde_json::from_slice(&answers).unwrap();
    let count = answers.as_object().unwrap().len();
    let server = Bad::start(Some(identity()), move |_, line| recorded(&answers, line)).await;
    let patience = Patience {
        call: Duration::from_secs(20),
        ..impatient()
    };
    let live = read(access(server.address, "admin", "password"), patience, EVERYTHING)
        .await
        .unwrap();
    let mut calls: Vec<String> = server.calls.lock().unwrap().clone();
    calls.retain(|line| !line.starts_with("POST"));
    // Every answer was asked for, but for the accounts of those who are not us.
    assert!(calls.len() <= count && calls.len() + 4 > count, "{calls:#?}");
    let accounts = live.accounts.clone().unwrap();
    let bytes = accounts.to_bytes().unwrap();
    expect_file(
        &format!("testdata/api/{name}/accounts.json"),
        &String::from_utf8(bytes.clone()).unwrap(),
    );
    assert_eq!(Accounts::parse("accounts.json", &bytes).unwrap(), accounts);
    Config::parse_bytes("mke3.toml", live.config.as_ref().unwrap()).unwrap();
    assert_eq!((live.version.as_str(), live.nodes.len()), ("3.8.5", 1));
    (live, accounts)
}

#[tokio::test]
async fn a_cluster_with_ldap() {
    let (_, accounts) = replayed("ldap").await;
    let names: Vec<&str> = accounts.users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["a$b@c", "admin", "o.neil_-", "王伟"]);
    assert!(accounts.users[0].ldap && !accounts.users[1].ldap && !accounts.users[2].active);
    let organization = &accounts.organizations[1];
    let teams: Vec<(&str, bool)> = organization
        .teams
        .iter()
        .map(|team| (team.name.as_str(), team.ldap_sync))
        .collect();
    assert_eq!(teams, [("..", false), ("SRE: night", true), ("data / ml", false)]);
    let ldap = accounts.ldap.unwrap();
    assert_eq!(ldap["userSearchConfigs[1].baseDN"], "ou=more,dc=example,dc=com");
    assert_eq!(
        (
            ldap["readerPassword"].as_str(),
            ldap["recoveryAdminPassword"].as_str()
        ),
        ("", "")
    );
    let by_id = accounts
        .bindings
        .iter()
        .find(|binding| binding.name == "by id")
        .unwrap();
    let team = SubjectRef::Team("r$d@x:SRE: night".to_owned());
    assert_eq!(by_id.subjects, [SubjectRef::User("a$b@c".to_owned()), team]);
    let named = accounts
        .bindings
        .iter()
        .find(|binding| binding.name == "names")
        .unwrap();
    assert_eq!(
        named.subjects,
        [
            SubjectRef::Organization("r$d@x".to_owned()),
            SubjectRef::Team("r$d@x:data / ml".to_owned()),
            SubjectRef::Group("cn=mke,ou=groups".to_owned()),
            SubjectRef::User("王伟".to_owned()),
            SubjectRef::ServiceAccount("ci:runner".to_owned()),
        ]
    );
    assert_eq!(
        accounts.bindings.len(),
        3,
        "those of Kubernetes and of components are left out"
    );
    assert_eq!(accounts.cluster_roles, ["release", "ucp-cluster-agent"]);
    let on_namespaces = accounts
        .grants
        .iter()
        .find(|grant| grant.collection == "kubernetesnamespaces")
        .unwrap();
    assert_eq!(
        on_namespaces.subject,
        SubjectRef::ServiceAccount("ci:runner".to_owned())
    );
}

#[tokio::test]
async fn clusters_with_oidc_and_saml() {
    for (name, setting) in [
        ("oidc", "auth.external_identity_provider.issuer"),
        ("saml", "auth.saml.idpMetadataURL"),
    ] {
        let (live, accounts) = replayed(name).await;
        let config = Config::parse_bytes("mke3.toml", live.config.as_ref().unwrap()).unwrap();
        assert!(config.get(setting).is_some(), "{name}");
        assert_eq!((accounts.users.len(), accounts.ldap), (3, None));
    }
}
