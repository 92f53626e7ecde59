//! Who gains and who loses what, once every grant is resolved to the users behind it: who still holds a role by another
//! way has lost nothing, and who held it before has gained nothing.

use super::bindings::Path;
use super::codes;
use super::directory::{Directory, Login, Who};
use super::grants::SwarmLoss;
use super::tables::RbacTables;
use crate::model::{AccessChange, Finding, Subject, SubjectKind};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// The changes, sorted.
pub(crate) fn changes(
    directory: &Directory,
    paths: &[Path],
    swarm: Vec<SwarmLoss>,
    tables: &RbacTables,
    findings: &mut Vec<Finding>,
) -> Vec<AccessChange> {
    let mut out = BTreeSet::new();
    swarm_losses(directory, swarm, &mut out);
    let resolved = Resolved::new(directory, paths);
    resolved.differences(directory, paths, &mut out);
    logins(directory, &mut out);
    level_admins(directory, tables, findings, &mut out);
    privileged_pods(directory, paths, tables, findings, &mut out);
    out.into_iter().collect()
}

fn change(who: impl Into<String>, gains: bool, what: impl Into<String>, users: usize) -> AccessChange {
    AccessChange {
        who: who.into(),
        gains,
        what: what.into(),
        users: u32::try_from(users).unwrap_or(u32::MAX),
    }
}

/// Swarm access of users is counted per role and place, of organizations and teams per subject. An administrator had
/// all of it without a grant, so a grant is nothing that an administrator loses.
fn swarm_losses(directory: &Directory, losses: Vec<SwarmLoss>, out: &mut BTreeSet<AccessChange>) {
    let affected = |id: &u32| {
        let user = directory.person(*id).user;
        user.active && !user.admin
    };
    let mut of_users: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for loss in losses {
        match loss.who {
            Who::User(id) => {
                if affected(&id) {
                    of_users.entry(loss.what).or_default().insert(id);
                }
            }
            who => {
                let users = directory.members(&who).iter().filter(|id| affected(id)).count();
                if users > 0 {
                    out.insert(change(directory.called(who), false, loss.what, users));
                }
            }
        }
    }
    for (what, users) in of_users {
        let who = match users.first() {
            Some(id) if users.len() == 1 => directory.called(Who::User(*id)),
            _ => "users".to_owned(),
        };
        out.insert(change(who, false, what, users.len()));
    }
}

type Access<'a> = (&'a str, &'a str, Option<&'a str>);

/// Who holds which role where, before and after.
pub(crate) struct Resolved<'a> {
    ids: HashMap<Access<'a>, u32>,
    before: HashSet<(u32, u32)>,
    after: HashSet<(u32, u32)>,
}

impl<'a> Resolved<'a> {
    pub(crate) fn new(directory: &Directory, paths: &[Path<'a>]) -> Resolved<'a> {
        let mut resolved = Resolved {
            ids: HashMap::new(),
            before: HashSet::new(),
            after: HashSet::new(),
        };
        for path in paths {
            let next = u32::try_from(resolved.ids.len()).unwrap_or(u32::MAX);
            let access = *resolved
                .ids
                .entry((path.role_kind, path.role, path.namespace))
                .or_insert(next);
            for id in before(directory, &path.who) {
                if directory.person(*id).used_mke3() {
                    resolved.before.insert((*id, access));
                }
            }
            for id in directory.members(&path.who) {
                if directory.person(*id).carried() {
                    resolved.after.insert((*id, access));
                }
            }
        }
        resolved
    }

    /// Whether a user holds a role at this very place by some path, before and after.
    pub(crate) fn holds(&self, id: u32, path: &Path) -> (bool, bool) {
        let access = self.ids.get(&(path.role_kind, path.role, path.namespace));
        access.map_or((false, false), |access| {
            (
                self.before.contains(&(id, *access)),
                self.after.contains(&(id, *access)),
            )
        })
    }

    /// True when the user holds the role there, or everywhere, or is an administrator.
    fn held(&self, set: &HashSet<(u32, u32)>, directory: &Directory, id: u32, path: &Path) -> bool {
        let person = directory.person(id);
        if person.user.admin && person.carried() {
            return true;
        }
        let at = |namespace| {
            self.ids
                .get(&(path.role_kind, path.role, namespace))
                .is_some_and(|access| set.contains(&(id, *access)))
        };
        at(path.namespace) || (path.role_kind == "ClusterRole" && path.namespace.is_some() && at(None))
    }

    fn differences(&self, directory: &Directory, paths: &[Path], out: &mut BTreeSet<AccessChange>) {
        let mut done = HashSet::new();
        for path in paths {
            if !done.insert((path.who, path.role_kind, path.role, path.namespace)) {
                continue;
            }
            let what = match path.namespace {
                None => format!("{} in all namespaces", path.role),
                Some(namespace) => format!("{} in namespace {namespace}", path.role),
            };
            let lost = before(directory, &path.who)
                .iter()
                .filter(|id| {
                    directory.person(**id).used_mke3() && !self.held(&self.after, directory, **id, path)
                })
                .count();
            if lost > 0 {
                out.insert(change(directory.called(path.who), false, what.clone(), lost));
            }
            let Who::Org(org) = path.who else { continue };
            for (team, info) in directory.orgs[org].teams.iter().enumerate() {
                let gained = info
                    .people
                    .iter()
                    .filter(|id| {
                        directory.person(**id).carried() && !self.held(&self.before, directory, **id, path)
                    })
                    .count();
                if gained > 0 {
                    let what = format!("{what}, through organization {}", directory.orgs[org].name);
                    out.insert(change(directory.called(Who::Team(org, team)), true, what, gained));
                }
            }
        }
    }
}

/// Users behind a subject under MKE 3: of an organization only those recorded as its members.
fn before<'s>(directory: &'s Directory, who: &'s Who) -> &'s [u32] {
    match who {
        Who::Org(org) => &directory.orgs[*org].people,
        other => directory.members(other),
    }
}

fn logins(directory: &Directory, out: &mut BTreeSet<AccessChange>) {
    for (login, what) in [
        (Login::Inactive, "their account: inactive ones are not made again"),
        (Login::LdapLost, "login, until LDAP is configured in MKE 4k"),
        (Login::Reset, "login, until an administrator sets a new password"),
    ] {
        let users: Vec<u32> = (0..)
            .zip(&directory.people)
            .filter(|(_, person)| person.login == login)
            .map(|(id, _)| id)
            .collect();
        let who = match users.as_slice() {
            [] => continue,
            [id] => directory.called(Who::User(*id)),
            _ => "users".to_owned(),
        };
        out.insert(change(who, false, what, users.len()));
    }
}

/// Administrators of an organization or team managed its members in MKE 3's interface; a ClusterRole has none.
fn level_admins(
    directory: &Directory,
    tables: &RbacTables,
    findings: &mut Vec<Finding>,
    out: &mut BTreeSet<AccessChange>,
) {
    let mut levels = 0_u32;
    for (index, org) in directory.orgs.iter().enumerate() {
        let teams = org
            .teams
            .iter()
            .enumerate()
            .map(|(team, info)| (Who::Team(index, team), info.admins));
        for (who, admins) in std::iter::once((Who::Org(index), org.admins)).chain(teams) {
            if admins > 0 {
                levels += 1;
                let what = "its administrators no longer manage its members";
                out.insert(change(directory.called(who), false, what, admins as usize));
            }
        }
    }
    if levels > 0 {
        findings.push(tables.findings.finding(
            codes::LEVEL_ADMINS,
            Subject::new(SubjectKind::Cluster, "administrators of organizations and teams"),
            format!("administrators of {levels} organizations and teams no longer manage members"),
        ));
    }
}

/// MKE 3's admission check of privileged pod attributes ends; plain RBAC has nothing of the kind.
fn privileged_pods(
    directory: &Directory,
    paths: &[Path],
    tables: &RbacTables,
    findings: &mut Vec<Finding>,
    out: &mut BTreeSet<AccessChange>,
) {
    let roles = &tables.data.pod_creating_roles;
    let users: BTreeSet<u32> = paths
        .iter()
        .filter(|path| path.role_kind == "ClusterRole" && roles.iter().any(|role| role == path.role))
        .flat_map(|path| directory.members(&path.who))
        .copied()
        .filter(|id| directory.person(*id).carried() && !directory.person(*id).user.admin)
        .collect();
    if !users.is_empty() {
        out.insert(change(
            "users",
            true,
            "privileged pods, wherever they may create pods",
            users.len(),
        ));
        findings.push(tables.findings.finding(
            codes::PRIVILEGED_PODS,
            Subject::new(SubjectKind::Cluster, "pods"),
            format!(
                "{} users that are no administrators may create pods, and MKE 3's check of privileged pods ends",
                users.len()
            ),
        ));
    }
}
