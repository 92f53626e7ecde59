//! Accounts, authentication and ports: documented examples, every rule, and random accounts.

#![allow(clippy::unwrap_used)]

mod access;
mod authentication;
mod data;
mod ports;
pub mod random;
mod sample;
mod tree;

use mkectl::catalogue::Bundle;
use mkectl::convert::rbac::{Manifest, RbacResult, RbacTables, convert_rbac};
use mkectl::model::{Finding, UserRow};
use mkectl::source::accounts::{
    Accounts, Binding, Grant, Member, Organization, SubjectRef, SwarmRole, Team, User,
};
use mkectl::source::mke3::{Config, Leaf, Segment, Value};
use serde_json::Value as Json;
use std::sync::LazyLock;

fn tables() -> RbacTables {
    RbacTables::load(&Bundle::embedded()).unwrap()
}

fn convert(accounts: &Accounts) -> RbacResult {
    convert_rbac(accounts, None, &tables())
}

fn user(name: &str) -> User {
    User {
        id: format!("id-of-{name}"),
        name: name.to_owned(),
        active: true,
        password: Some("bcrypt".to_owned()),
        ..User::default()
    }
}

fn admin(name: &str) -> User {
    User {
        admin: true,
        ..user(name)
    }
}

fn members(names: &[&str]) -> Vec<Member> {
    names
        .iter()
        .map(|name| Member {
            user: (*name).to_owned(),
            admin: false,
        })
        .collect()
}

fn team(name: &str, users: &[&str]) -> Team {
    Team {
        name: name.to_owned(),
        members: members(users),
        ..Team::default()
    }
}

/// An organization whose members are those of its teams and `more`.
fn org(name: &str, teams: Vec<Team>, more: &[&str]) -> Organization {
    let mut all = members(more);
    for team in &teams {
        for member in &team.members {
            if !all.contains(member) {
                all.push(member.clone());
            }
        }
    }
    Organization {
        name: name.to_owned(),
        members: all,
        teams,
        ..Organization::default()
    }
}

fn binding(name: &str, namespace: Option<&str>, role: &str, subjects: Vec<SubjectRef>) -> Binding {
    Binding {
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
        role_kind: "ClusterRole".to_owned(),
        role: role.to_owned(),
        subjects,
    }
}

fn grant(subject: SubjectRef, role: &str, collection: &str) -> Grant {
    Grant {
        subject,
        role: role.to_owned(),
        collection: collection.to_owned(),
    }
}

fn swarm_role(id: &str, name: &str, system: bool) -> SwarmRole {
    SwarmRole {
        id: id.to_owned(),
        name: name.to_owned(),
        system,
    }
}

fn person<'r>(result: &'r RbacResult, name: &str) -> &'r UserRow {
    result.rbac.users.iter().find(|row| row.name == name).unwrap()
}

fn found<'r>(findings: &'r [Finding], code: &str) -> Vec<&'r Finding> {
    findings.iter().filter(|finding| finding.code == code).collect()
}

fn ids(result: &RbacResult) -> Vec<String> {
    result
        .manifests
        .iter()
        .map(|manifest| match manifest.id() {
            (kind, "", name) => format!("{kind} {name}"),
            (kind, namespace, name) => format!("{kind} {namespace}/{name}"),
        })
        .collect()
}

fn manifest(result: &RbacResult, id: &str) -> Json {
    let place = ids(result)
        .iter()
        .position(|one| one == id)
        .unwrap_or_else(|| panic!("no {id} in {:?}", ids(result)));
    result.manifests[place].to_value().unwrap()
}

fn subjects(object: &Json) -> Vec<&str> {
    object["subjects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|subject| subject["name"].as_str().unwrap())
        .collect()
}

/// What the JSON schema of its kind has against an object; an unknown kind is an error too.
pub fn schema_errors(object: &Json) -> Vec<String> {
    // Schemas are compiled once: the property test comes here hundreds of times.
    static SCHEMAS: LazyLock<[jsonschema::Validator; 4]> = LazyLock::new(|| {
        [
            include_str!("../../testdata/schemas/clusterrole.json"),
            include_str!("../../testdata/schemas/clusterrolebinding.json"),
            include_str!("../../testdata/schemas/rolebinding.json"),
            include_str!("../../testdata/schemas/password.json"),
        ]
        .map(|text| jsonschema::validator_for(&serde_json::from_str(text).unwrap()).unwrap())
    });
    let kinds = ["ClusterRole", "ClusterRoleBinding", "RoleBinding", "Password"];
    let kind = object["kind"].as_str().unwrap_or_default();
    match kinds.iter().position(|known| *known == kind) {
        Some(place) => SCHEMAS[place]
            .iter_errors(object)
            .map(|error| error.to_string())
            .collect(),
        None => vec![format!("there is no schema for {kind:?}")],
    }
}

/// Validates every object against the schema of its kind, and reads it back.
fn check_manifests(result: &RbacResult) {
    use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
    fn again<T: serde::de::DeserializeOwned + serde::Serialize>(value: &Json) -> Json {
        serde_json::to_value(serde_json::from_value::<T>(value.clone()).unwrap()).unwrap()
    }
    for manifest in &result.manifests {
        let value = manifest.to_value().unwrap();
        let back = match manifest {
            Manifest::ClusterRole(_) => again::<ClusterRole>(&value),
            Manifest::ClusterRoleBinding(_) => again::<ClusterRoleBinding>(&value),
            Manifest::RoleBinding(_) => again::<RoleBinding>(&value),
            Manifest::DexPassword(_) => again::<mkectl::convert::rbac::DexPassword>(&value),
        };
        assert_eq!(schema_errors(&value), Vec::<String>::new(), "{value}");
        assert_eq!(back, value);
        assert_eq!(
            value["metadata"]["labels"]["app.kubernetes.io/managed-by"],
            "mkectl"
        );
    }
}

/// A configuration with these leaves, one per line.
fn config(leaves: &[(&str, Value)]) -> Config {
    let leaves = leaves
        .iter()
        .zip(1..)
        .map(|((path, value), line)| {
            let mut segments = Vec::new();
            for part in path.split('.') {
                match part.split_once('[') {
                    Some((key, index)) => {
                        segments.push(Segment::Key(key.to_owned()));
                        segments.push(Segment::Index(index.trim_end_matches(']').parse().unwrap()));
                    }
                    None => segments.push(Segment::Key(part.to_owned())),
                }
            }
            Leaf {
                path: segments,
                value: value.clone(),
                line,
                column: 1,
            }
        })
        .collect();
    Config {
        file: "mke3.toml".to_owned(),
        leaves,
    }
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}
