//! Names of aggregated roles and of replicated Swarm roles.

use super::codes;
use super::directory::{Directory, Who};
use super::names::{Names, fit, team_names};
use super::tables::RbacTables;
use crate::model::{Finding, Outcome, RoleRow, Subject, SubjectKind};
use crate::source::accounts::Accounts;
use std::collections::{BTreeMap, BTreeSet};

/// A role of Swarm, replicated without permissions.
pub(crate) struct Replica {
    /// Name under MKE 3.
    pub name: String,
    /// ClusterRole.
    pub to: String,
}

/// Names of everything that the tree becomes.
pub(crate) struct Levels {
    /// Aggregated role by organization.
    pub orgs: Vec<String>,
    /// Aggregated role by organization and team.
    pub teams: Vec<Vec<String>>,
    /// Swarm roles by id.
    pub replicas: BTreeMap<String, Replica>,
    /// The role without permissions for levels that hold no Swarm role.
    pub placeholder: String,
    /// Rows of roles, by name.
    pub rows: Vec<RoleRow>,
}

impl Levels {
    pub(crate) fn new(
        accounts: &Accounts,
        in_cluster: Option<&[String]>,
        directory: &Directory,
        tables: &RbacTables,
        findings: &mut Vec<Finding>,
    ) -> Levels {
        let data = &tables.data;
        let existing: BTreeSet<&str> = accounts
            .cluster_roles
            .iter()
            .chain(in_cluster.into_iter().flatten())
            .chain(&data.kubernetes_roles)
            .map(String::as_str)
            .collect();
        let mut names = Names::new(existing.iter().copied());
        let mut report = |subject: Subject, wanted: &str, fitted: &str, got: &str| {
            let (code, why) = if got != fitted {
                (codes::NAME_COLLISION, "that name is taken by another object")
            } else if fitted != wanted {
                (
                    codes::NAME_CHANGED,
                    "that is no legal name of at most 63 letters, digits and dashes",
                )
            } else {
                return;
            };
            let message = format!("it becomes {got} and not {wanted}, because {why}");
            findings.push(tables.findings.finding(code, subject, message));
        };

        let suffix = &data.suffixes.organization;
        let orgs: Vec<String> = directory
            .orgs
            .iter()
            .map(|org| {
                let fitted = fit(org.name, suffix, data.limits);
                let got = names.take(&fitted, suffix, org.name, data.limits);
                let subject = Subject::new(SubjectKind::Organization, org.name);
                report(subject, &format!("{}{suffix}", org.name), &fitted, &got);
                got
            })
            .collect();

        let suffix = &data.suffixes.team;
        let pairs: Vec<(&str, &str)> = directory
            .orgs
            .iter()
            .flat_map(|org| org.teams.iter().map(|team| (org.name, team.name)))
            .collect();
        let mut flat = team_names(&mut names, &pairs, tables).into_iter();
        let mut teams = Vec::with_capacity(directory.orgs.len());
        for org in &directory.orgs {
            let row: Vec<String> = flat.by_ref().take(org.teams.len()).collect();
            for (team, got) in org.teams.iter().zip(&row) {
                let subject = Subject::new(SubjectKind::Team, format!("{}/{}", org.name, team.name));
                let fitted = fit(team.name, suffix, data.limits);
                report(subject, &format!("{}{suffix}", team.name), &fitted, got);
            }
            teams.push(row);
        }

        // Roles by id: those recorded, and built-in ones that a grant names.
        let mut detected: BTreeMap<&str, &str> = BTreeMap::new();
        for role in &accounts.roles {
            let name = detected.entry(&role.id).or_insert(&role.name);
            *name = (*name).min(&role.name);
        }
        for grant in &accounts.grants {
            if let Some(built_in) = data.swarm_roles.iter().find(|role| role.id == grant.role) {
                detected.entry(&built_in.id).or_insert(&built_in.name);
            }
        }
        let built_in = |id: &str| data.swarm_roles.iter().any(|role| role.id == id);
        // Built-in roles take their ids first, so that a role somebody called `scheduler` cannot displace them.
        let mut order: Vec<(&str, &str)> = detected.into_iter().collect();
        order.sort_by_key(|(id, name)| (!built_in(id), *name, *id));
        let mut rows = Vec::new();
        let mut replicas = BTreeMap::new();
        for (id, name) in order {
            let wanted = if built_in(id) { id } else { name };
            let fitted = fit(wanted, "", data.limits);
            let to = names.take(&fitted, "", &format!("{name}/{id}"), data.limits);
            report(Subject::new(SubjectKind::Role, name), wanted, &fitted, &to);
            rows.push(RoleRow {
                name: name.to_owned(),
                to: to.clone(),
                outcome: Outcome::Unsupported,
                reason:
                    "made again without permissions, so that the structure stays: what it allowed was Swarm"
                        .to_owned(),
            });
            replicas.insert(
                id.to_owned(),
                Replica {
                    name: name.to_owned(),
                    to,
                },
            );
        }
        let placeholder = match replicas.get(&data.placeholder_role) {
            Some(replica) => replica.to.clone(),
            None => {
                let to = names.take(&data.placeholder_role, "", "placeholder", data.limits);
                rows.push(RoleRow {
                    name: String::new(),
                    to: to.clone(),
                    outcome: Outcome::Converted,
                    reason: "made as a placeholder without permissions, because an aggregated role must select one".to_owned(),
                });
                to
            }
        };
        rows.sort();
        Levels {
            orgs,
            teams,
            replicas,
            placeholder,
            rows,
        }
    }

    /// The aggregated role of an organization or team; empty for a user.
    pub(crate) fn of(&self, who: Who) -> &str {
        match who {
            Who::User(_) => "",
            Who::Org(org) => &self.orgs[org],
            Who::Team(org, team) => &self.teams[org][team],
        }
    }
}
