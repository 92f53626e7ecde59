//! Accounts, indexed: who is who, and what becomes of each user.

use super::codes;
use super::names::dex_object_name;
use super::tables::RbacTables;
use crate::model::{Finding, Outcome, Subject, SubjectKind};
use crate::source::accounts::{Accounts, Member, SubjectRef, User};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What becomes of a user's login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// A Dex Password with the old hash.
    Password,
    /// The same, if the hash turns out to be bcrypt.
    PasswordMaybe,
    /// The hash cannot be used: an administrator sets a new password.
    Reset,
    /// Through an identity provider; no local password.
    Provider,
    /// Through LDAP.
    Ldap,
    /// From LDAP, which is not configured in MKE 4k.
    LdapLost,
    /// Inactive under MKE 3.
    Inactive,
    /// The name cannot be used.
    BadName,
    /// The name stands twice in the accounts.
    Duplicate,
}

/// A user.
pub(crate) struct Person<'a> {
    pub user: &'a User,
    pub login: Login,
    /// Name of the Dex object.
    pub object: String,
}

impl Person<'_> {
    /// True when bindings may name the user.
    pub(crate) fn carried(&self) -> bool {
        !matches!(
            self.login,
            Login::LdapLost | Login::Inactive | Login::BadName | Login::Duplicate
        )
    }

    /// True when the user could use MKE 3.
    pub(crate) fn used_mke3(&self) -> bool {
        self.user.active
    }

    pub(crate) fn outcome(&self) -> Outcome {
        match self.login {
            Login::Password | Login::PasswordMaybe | Login::Provider | Login::Ldap => Outcome::Converted,
            Login::Reset | Login::LdapLost => Outcome::Unsupported,
            Login::Inactive => Outcome::Ignored,
            Login::BadName | Login::Duplicate => Outcome::Blocking,
        }
    }
}

/// A team.
pub(crate) struct TeamInfo<'a> {
    pub name: &'a str,
    pub ldap: bool,
    /// Names as recorded, sorted.
    pub members: BTreeSet<&'a str>,
    /// Indices of those that are users, sorted.
    pub people: Vec<u32>,
    pub admins: u32,
}

/// An organization.
pub(crate) struct OrgInfo<'a> {
    pub name: &'a str,
    pub ldap: bool,
    /// Names as recorded for the organization itself, sorted.
    pub members: BTreeSet<&'a str>,
    /// Indices of those that are users, sorted.
    pub people: Vec<u32>,
    /// Those and the members of all teams, sorted.
    pub all: Vec<u32>,
    pub admins: u32,
    /// By name.
    pub teams: Vec<TeamInfo<'a>>,
}

/// Who a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Who {
    User(u32),
    Org(usize),
    Team(usize, usize),
}

/// All accounts, indexed.
pub(crate) struct Directory<'a> {
    pub people: Vec<Person<'a>>,
    pub orgs: Vec<OrgInfo<'a>>,
    users: HashMap<&'a str, u32>,
    org_names: HashMap<&'a str, usize>,
    team_names: Vec<HashMap<&'a str, usize>>,
}

impl<'a> Directory<'a> {
    pub(crate) fn new(
        accounts: &'a Accounts,
        tables: &RbacTables,
        findings: &mut Vec<Finding>,
    ) -> Directory<'a> {
        let mut by_name: BTreeMap<&str, Vec<&User>> = BTreeMap::new();
        for user in &accounts.users {
            by_name.entry(&user.name).or_default().push(user);
        }
        for same in by_name.values_mut() {
            same.sort_by_key(|user| (&user.id, user.admin, user.active, user.ldap, &user.password));
        }
        let mut objects = BTreeSet::new();
        let people: Vec<Person> = by_name
            .values()
            .flat_map(|same| {
                same.first().map(|user| {
                    let object = dex_object_name(&user.name);
                    let taken = !objects.insert(object.clone());
                    let login = if same.len() > 1 || taken {
                        Login::Duplicate
                    } else {
                        login(user, &object, accounts.ldap.is_some(), tables)
                    };
                    Person { user, login, object }
                })
            })
            .collect();
        let users: HashMap<&str, u32> = people
            .iter()
            .zip(0..)
            .map(|(person, i)| (person.user.name.as_str(), i))
            .collect();

        let mut merged: BTreeMap<&str, OrgInfo> = BTreeMap::new();
        let mut teams: BTreeMap<&str, BTreeMap<&str, TeamInfo>> = BTreeMap::new();
        let mut unknown: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        let book = &tables.findings;
        for org in &accounts.organizations {
            if merged.contains_key(org.name.as_str()) {
                findings.push(book.finding(
                    codes::DUPLICATE,
                    Subject::new(SubjectKind::Organization, &org.name),
                    "the organization stands more than once in the accounts, which cannot be",
                ));
            }
            let info = merged.entry(&org.name).or_insert_with(|| OrgInfo {
                name: &org.name,
                ldap: false,
                members: BTreeSet::new(),
                people: Vec::new(),
                all: Vec::new(),
                admins: 0,
                teams: Vec::new(),
            });
            info.ldap |= org.ldap_sync;
            info.admins += admins(&org.members);
            info.members
                .extend(org.members.iter().map(|member| member.user.as_str()));
            let below = teams.entry(&org.name).or_default();
            for team in &org.teams {
                if below.contains_key(team.name.as_str()) {
                    findings.push(book.finding(
                        codes::DUPLICATE,
                        Subject::new(SubjectKind::Team, format!("{}/{}", org.name, team.name)),
                        "the team stands more than once in its organization, which cannot be",
                    ));
                }
                let info = below.entry(&team.name).or_insert_with(|| TeamInfo {
                    name: &team.name,
                    ldap: false,
                    members: BTreeSet::new(),
                    people: Vec::new(),
                    admins: 0,
                });
                info.ldap |= team.ldap_sync;
                info.admins += admins(&team.members);
                info.members
                    .extend(team.members.iter().map(|member| member.user.as_str()));
            }
        }
        let known = |members: &BTreeSet<&'a str>, unknown: &mut BTreeSet<&'a str>| -> Vec<u32> {
            let mut ids: Vec<u32> = Vec::with_capacity(members.len());
            for name in members {
                match users.get(name) {
                    Some(id) => ids.push(*id),
                    None => {
                        unknown.insert(name);
                    }
                }
            }
            ids
        };
        let mut orgs: Vec<OrgInfo> = Vec::with_capacity(merged.len());
        for (name, mut org) in merged {
            let strangers = unknown.entry(name.to_owned()).or_default();
            org.people = known(&org.members, strangers);
            let mut all: BTreeSet<u32> = org.people.iter().copied().collect();
            org.teams = teams.remove(name).unwrap_or_default().into_values().collect();
            for team in &mut org.teams {
                team.people = known(&team.members, strangers);
                all.extend(&team.people);
            }
            org.all = all.into_iter().collect();
            orgs.push(org);
        }
        for (org, names) in unknown.into_iter().filter(|(_, names)| !names.is_empty()) {
            let list = listed(names.into_iter(), tables.data.limits.named_in_message);
            findings.push(book.finding(
                codes::MEMBER_UNKNOWN,
                Subject::new(SubjectKind::Organization, org),
                format!("it has members that are no users: {list}"),
            ));
        }
        let org_names = orgs.iter().enumerate().map(|(i, org)| (org.name, i)).collect();
        let team_names = orgs
            .iter()
            .map(|org| {
                org.teams
                    .iter()
                    .enumerate()
                    .map(|(i, team)| (team.name, i))
                    .collect()
            })
            .collect();
        let mut directory = Directory {
            people,
            orgs,
            users,
            org_names,
            team_names,
        };
        directory.add_ids(accounts);
        directory
    }

    /// Bindings may name accounts by id instead of name; a name wins.
    fn add_ids(&mut self, accounts: &'a Accounts) {
        for (person, index) in self.people.iter().zip(0..) {
            if !person.user.id.is_empty() {
                self.users.entry(&person.user.id).or_insert(index);
            }
        }
        let mut organizations: Vec<_> = accounts.organizations.iter().collect();
        organizations.sort_by_key(|org| (&org.name, &org.id));
        for org in organizations {
            let Some(index) = self.org_names.get(org.name.as_str()).copied() else {
                continue;
            };
            if !org.id.is_empty() {
                self.org_names.entry(&org.id).or_insert(index);
            }
            let mut teams: Vec<_> = org.teams.iter().filter(|team| !team.id.is_empty()).collect();
            teams.sort_by_key(|team| (&team.name, &team.id));
            for team in teams {
                if let Some(place) = self.team_names[index].get(team.name.as_str()).copied() {
                    self.team_names[index].entry(&team.id).or_insert(place);
                }
            }
        }
    }

    /// Who a subject is. A group that is called like an organization or `organization:team` is that one, because MKE 3
    /// names them so; names of Kubernetes' own are never looked up.
    pub(crate) fn resolve(&self, subject: &SubjectRef, reserved: &[String]) -> Option<Who> {
        match subject {
            SubjectRef::User(name) => self.users.get(name.as_str()).copied().map(Who::User),
            SubjectRef::Organization(name) => self.org_names.get(name.as_str()).copied().map(Who::Org),
            SubjectRef::Team(name) => self.team(name),
            SubjectRef::ServiceAccount(_) => None,
            SubjectRef::Group(name) if reserved.iter().any(|prefix| name.starts_with(prefix)) => None,
            SubjectRef::Group(name) => self
                .org_names
                .get(name.as_str())
                .copied()
                .map(Who::Org)
                .or_else(|| self.team(name)),
        }
    }

    fn team(&self, name: &str) -> Option<Who> {
        let (org, team) = name.split_once(':')?;
        let org = self.org_names.get(org).copied()?;
        let team = self.team_names.get(org)?.get(team).copied()?;
        Some(Who::Team(org, team))
    }

    /// `user bob`, `organization acme`, `team acme/dev`.
    pub(crate) fn called(&self, who: Who) -> String {
        match who {
            Who::User(id) => format!("user {}", self.name(id)),
            Who::Org(org) => format!("organization {}", self.orgs[org].name),
            Who::Team(org, team) => {
                format!("team {}/{}", self.orgs[org].name, self.orgs[org].teams[team].name)
            }
        }
    }

    pub(crate) fn name(&self, id: u32) -> &'a str {
        &self.people[id as usize].user.name
    }

    pub(crate) fn person(&self, id: u32) -> &Person<'a> {
        &self.people[id as usize]
    }

    /// Users behind a subject, sorted; an organization with all below it.
    pub(crate) fn members<'s>(&'s self, who: &'s Who) -> &'s [u32] {
        match who {
            Who::User(id) => std::slice::from_ref(id),
            Who::Org(org) => &self.orgs[*org].all,
            Who::Team(org, team) => &self.orgs[*org].teams[*team].people,
        }
    }
}

fn admins(members: &[Member]) -> u32 {
    members.iter().filter(|member| member.admin).map(|_| 1).sum()
}

fn login(user: &User, object: &str, ldap: bool, tables: &RbacTables) -> Login {
    let data = &tables.data;
    let reserved = data
        .reserved_prefixes
        .iter()
        .any(|prefix| user.name.starts_with(prefix));
    if user.name.is_empty()
        || reserved
        || user.name.chars().any(char::is_control)
        || object.len() > data.limits.object_name
    {
        return Login::BadName;
    }
    if !user.active {
        return Login::Inactive;
    }
    if user.ldap {
        return if ldap { Login::Ldap } else { Login::LdapLost };
    }
    let Some(kind) = &user.password else {
        return Login::PasswordMaybe;
    };
    if data.dex.carried_hashes.contains(kind) {
        Login::Password
    } else if data.dex.no_password.contains(kind) {
        Login::Provider
    } else {
        Login::Reset
    }
}

/// The first few names, and how many more there are.
pub(crate) fn listed<'n>(names: impl Iterator<Item = &'n str>, most: usize) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.iter().take(most).copied().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(most) {
        None | Some(0) => shown,
        Some(more) => format!("{shown} and {more} more"),
    }
}
