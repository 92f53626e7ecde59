//! Grants of Swarm: on collections, and on namespaces in the form before RoleBindings.

use super::codes;
use super::directory::{Directory, Who, listed};
use super::levels::Levels;
use super::tables::RbacTables;
use crate::model::{BoundRole, Finding, LooseGrant, Outcome, Subject, SubjectKind};
use crate::source::accounts::{Accounts, Grant, SubjectRef};
use std::collections::{BTreeMap, BTreeSet};

/// What became of grants and bindings, by subject.
#[derive(Default)]
pub(crate) struct Bound {
    /// By subject of the tree.
    pub by: BTreeMap<Who, Vec<BoundRole>>,
    /// Of everybody else.
    pub loose: Vec<LooseGrant>,
}

impl Bound {
    /// Puts a row where its subject is.
    pub(crate) fn put(&mut self, who: Option<Who>, subject: &SubjectRef, row: BoundRole) {
        match who {
            Some(who) => self.by.entry(who).or_default().push(row),
            None => self.loose.push(LooseGrant {
                subject: called(subject),
                role: row,
            }),
        }
    }

    /// The rows of a subject, sorted; they are taken out.
    pub(crate) fn take(&mut self, who: Who) -> Vec<BoundRole> {
        let mut rows = self.by.remove(&who).unwrap_or_default();
        rows.sort();
        rows
    }
}

/// A subject as `kind name`.
pub(crate) fn called(subject: &SubjectRef) -> String {
    match subject {
        SubjectRef::User(name) => format!("user {name}"),
        SubjectRef::Organization(name) => format!("organization {name}"),
        SubjectRef::Team(name) => format!("team {name}"),
        SubjectRef::ServiceAccount(name) => format!("service account {name}"),
        SubjectRef::Group(name) => format!("group {name}"),
    }
}

/// Swarm access that ends with Swarm.
pub(crate) struct SwarmLoss {
    pub who: Who,
    pub what: String,
}

/// Goes through the grants. Returns who loses what, and which replicas each organization and team selects.
pub(crate) fn convert(
    accounts: &Accounts,
    directory: &Directory,
    levels: &Levels,
    tables: &RbacTables,
    bound: &mut Bound,
    findings: &mut Vec<Finding>,
) -> (Vec<SwarmLoss>, BTreeMap<Who, BTreeSet<String>>) {
    let data = &tables.data;
    let mut losses = Vec::new();
    let mut selected: BTreeMap<Who, BTreeSet<String>> = BTreeMap::new();
    let mut on_namespaces = BTreeSet::new();
    for Grant {
        subject,
        role,
        collection,
    } in &accounts.grants
    {
        let who = directory.resolve(subject, &data.reserved_prefixes);
        let replica = levels.replicas.get(role);
        let role_name = replica.map_or(role.as_str(), |replica| replica.name.as_str());
        let level = who.map(|who| levels.of(who)).filter(|name| !name.is_empty());
        let namespaces = collection.contains(&data.namespace_grant);
        let (outcome, reason) = if namespaces {
            on_namespaces.insert(called(subject));
            (
                Outcome::Unsupported,
                "a grant on namespaces in the form before RoleBindings: MKE 4k reads bindings only"
                    .to_owned(),
            )
        } else if let Some((level, replica)) = level.zip(replica) {
            (
                Outcome::Retired,
                format!(
                    "collections are Swarm's; {level} keeps {} without permissions",
                    replica.to
                ),
            )
        } else {
            (
                Outcome::Retired,
                "collections are Swarm's, which MKE 4k does not have".to_owned(),
            )
        };
        if let Some(who) = who {
            if let Some(replica) = replica.filter(|_| !matches!(who, Who::User(_))) {
                selected.entry(who).or_default().insert(replica.to.clone());
            }
            if role != &data.placeholder_role {
                let place =
                    if collection.starts_with(&data.private_collections) && matches!(who, Who::User(_)) {
                        "their private collection"
                    } else {
                        collection
                    };
                losses.push(SwarmLoss {
                    who,
                    what: format!("{role_name} on {place}"),
                });
            }
        }
        bound.put(
            who,
            subject,
            BoundRole {
                role: role_name.to_owned(),
                on: collection.clone(),
                to: String::new(),
                outcome,
                reason,
            },
        );
    }
    let retired = accounts.grants.len();
    if retired > 0 {
        findings.push(tables.findings.finding(
            codes::SWARM_GRANTS,
            Subject::new(SubjectKind::Cluster, "grants"),
            format!("{retired} grants of Swarm roles end with Swarm; their roles are made again without permissions"),
        ));
    }
    if !on_namespaces.is_empty() {
        let names = listed(
            on_namespaces.iter().map(String::as_str),
            data.limits.named_in_message,
        );
        findings.push(tables.findings.finding(
            codes::NAMESPACE_GRANT,
            Subject::new(SubjectKind::Cluster, "grants"),
            format!("grants on namespaces that are no RoleBindings are lost: {names}"),
        ));
    }
    (losses, selected)
}
