//! Users, organizations, teams, roles and grants of MKE 3, and the objects that carry them in MKE 4k.
//!
//! Organizations and teams become aggregated ClusterRoles `<name>-org` and `<name>-team`; their bindings are repeated for
//! users by name; local users become Dex Passwords whose hash is a reference; Swarm roles are made again without
//! permissions. Documented names: MKE 4k, "RBAC upgrades". The form of the objects is inferred: no source shows it.
//! Everything is linear in users and memberships, and depends on content alone, not on the order of the input.

pub mod auth;
mod bindings;
mod changes;
pub(crate) mod codes;
mod directory;
mod grants;
mod levels;
mod manifest;
mod names;
mod sample;
pub(crate) mod tables;
mod users;

pub use manifest::{DexMetadata, DexPassword, Manifest, to_node};
pub use names::dex_object_name;
pub use tables::RbacTables;

use crate::model::{Finding, OrganizationNode, Rbac, RbacCounts, SecretRef, TeamNode};
use crate::source::accounts::Accounts;
use bindings::BindingNames;
use directory::{Directory, Who};
use grants::Bound;
use levels::Levels;
use manifest::Maker;
use std::collections::BTreeSet;

/// What becomes of accounts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RbacResult {
    /// Rows of the plan.
    pub rbac: Rbac,
    /// Findings, sorted.
    pub findings: Vec<Finding>,
    /// Objects to add, sorted by kind, namespace and name. None has the name of an object that was read.
    pub manifests: Vec<Manifest>,
    /// Password hashes by reference, sorted.
    pub secrets: Vec<SecretRef>,
    /// A sample of who may do what, to be asked before and after: see `sample`.
    pub access: String,
}

/// Converts accounts. `in_cluster` are the names of all ClusterRoles, when they could be read: none of them is overwritten.
///
/// Every user, organization, team, role, grant and binding has one row with one outcome.
pub fn convert_rbac(accounts: &Accounts, in_cluster: Option<&[String]>, tables: &RbacTables) -> RbacResult {
    let mut findings = Vec::new();
    let directory = Directory::new(accounts, tables, &mut findings);
    let levels = Levels::new(accounts, in_cluster, &directory, tables, &mut findings);
    let mut bound = Bound::default();
    let mut manifests = Vec::new();
    let (swarm, selected) = grants::convert(accounts, &directory, &levels, tables, &mut bound, &mut findings);
    let mut taken = BindingNames::new(accounts);
    let (bindings, paths) = bindings::convert(
        accounts,
        in_cluster,
        &directory,
        &levels,
        tables,
        &mut taken,
        &mut bound,
        &mut manifests,
        &mut findings,
    );
    let access = sample::lines(&directory, &paths, tables);
    let changes = changes::changes(&directory, &paths, swarm, tables, &mut findings);

    let maker = Maker::new(tables);
    let roles_of = |who: Who| -> Vec<&str> {
        match selected.get(&who) {
            Some(roles) if !roles.is_empty() => roles.iter().map(String::as_str).collect(),
            _ => vec![levels.placeholder.as_str()],
        }
    };
    let mut organizations = Vec::with_capacity(directory.orgs.len());
    for (index, org) in directory.orgs.iter().enumerate() {
        let to = levels.of(Who::Org(index));
        manifests.push(maker.aggregated(to, org.name, None, &roles_of(Who::Org(index))));
        let mut in_team: BTreeSet<&str> = BTreeSet::new();
        let mut teams = Vec::with_capacity(org.teams.len());
        for (place, team) in org.teams.iter().enumerate() {
            let who = Who::Team(index, place);
            manifests.push(maker.aggregated(levels.of(who), team.name, Some(to), &roles_of(who)));
            in_team.extend(&team.members);
            teams.push(TeamNode {
                name: team.name.to_owned(),
                to: levels.of(who).to_owned(),
                ldap: team.ldap,
                members: team.members.iter().map(|name| (*name).to_owned()).collect(),
                roles: bound.take(who),
            });
        }
        organizations.push(OrganizationNode {
            name: org.name.to_owned(),
            to: to.to_owned(),
            teams,
            members: org
                .members
                .iter()
                .filter(|name| !in_team.contains(*name))
                .map(|name| (*name).to_owned())
                .collect(),
            roles: bound.take(Who::Org(index)),
        });
    }
    for row in &levels.rows {
        manifests.push(maker.empty_role(&row.to, &row.name));
    }
    let (users, secrets) = users::convert(
        &directory,
        tables,
        &mut taken,
        &mut bound,
        &mut manifests,
        &mut findings,
    );
    users::report_ldap_teams(&directory, accounts, tables, &mut findings);

    findings.sort();
    findings.dedup();
    manifests.sort_by(|a, b| a.id().cmp(&b.id()));
    let mut loose = bound.loose;
    loose.sort();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    RbacResult {
        rbac: Rbac {
            counts: RbacCounts {
                users: count(users.len()),
                inactive: count(
                    directory
                        .people
                        .iter()
                        .filter(|person| !person.user.active)
                        .count(),
                ),
                admins: count(directory.people.iter().filter(|person| person.user.admin).count()),
                organizations: count(organizations.len()),
                teams: count(directory.orgs.iter().map(|org| org.teams.len()).sum()),
                grants: count(accounts.grants.len() + accounts.bindings.len()),
            },
            organizations,
            users,
            roles: levels.rows,
            bindings,
            loose,
            changes,
        },
        findings,
        manifests,
        secrets,
        access,
    }
}
