//! Rows, Dex Passwords and the cluster-admin binding of users.

use super::bindings::{BindingNames, bind};
use super::codes;
use super::directory::{Directory, Login, Person, Who, listed};
use super::grants::Bound;
use super::manifest::{Maker, Manifest};
use super::tables::RbacTables;
use crate::model::{BoundRole, Finding, Outcome, SecretRef, Subject, SubjectKind, UserRow};
use crate::source::accounts::Accounts;

/// Converts users. Rows come sorted by name, secrets by name.
pub(crate) fn convert(
    directory: &Directory,
    tables: &RbacTables,
    taken: &mut BindingNames,
    bound: &mut Bound,
    manifests: &mut Vec<Manifest>,
    findings: &mut Vec<Finding>,
) -> (Vec<UserRow>, Vec<SecretRef>) {
    let data = &tables.data;
    let maker = Maker::new(tables);
    let mut rows = Vec::with_capacity(directory.people.len());
    let mut secrets = Vec::new();
    let mut administrators = Vec::new();
    for (id, person) in (0..).zip(&directory.people) {
        let name = person.user.name.as_str();
        if matches!(person.login, Login::Password | Login::PasswordMaybe) {
            let secret = format!("password-hash-{}", person.object);
            manifests.push(maker.password(&person.object, name, &person.user.id, &secret));
            secrets.push(SecretRef {
                from: format!("host:{}", data.dex.hash_file.replace("{object}", &person.object)),
                used_for: format!(
                    "hash of {} {}/{}",
                    data.dex.kind, data.dex.namespace, person.object
                ),
                name: secret,
            });
        }
        let mut roles = bound.take(Who::User(id));
        if person.user.admin {
            let carried = person.carried();
            if carried {
                administrators.push(name);
            }
            let role = BoundRole {
                role: "administrator".to_owned(),
                on: "the cluster".to_owned(),
                to: if carried {
                    data.administrators.role.clone()
                } else {
                    String::new()
                },
                outcome: if carried {
                    Outcome::Converted
                } else {
                    person.outcome()
                },
                reason: if carried {
                    format!("bound by name in {}", data.administrators.binding)
                } else {
                    "not bound, because nobody can log in by that name".to_owned()
                },
            };
            roles.insert(0, role);
        }
        let (to, reason) = fate(person, tables);
        rows.push(UserRow {
            name: name.to_owned(),
            admin: person.user.admin,
            outcome: person.outcome(),
            to,
            reason,
            roles,
        });
    }
    if !administrators.is_empty() {
        let role = ("ClusterRole", data.administrators.role.as_str());
        bind(
            taken,
            tables,
            &data.administrators.binding,
            None,
            "administrators",
            role,
            &administrators,
            manifests,
        );
    }
    report(directory, tables, findings);
    secrets.sort();
    (rows, secrets)
}

/// What carries the user, and why or what the user must do.
fn fate(person: &Person, tables: &RbacTables) -> (String, String) {
    let object = || format!("dex password {}", person.object);
    let (to, reason) = match person.login {
        Login::Password => (object(), "keeps name and password"),
        Login::PasswordMaybe => (
            object(),
            "keeps name and password, unless the auth store turns out to hold a hash that Dex cannot check",
        ),
        Login::Reset => (
            String::new(),
            "keeps name and roles, but Dex cannot check the password's hash: an administrator sets a new password",
        ),
        Login::Provider => (
            "identity provider".to_owned(),
            "has no local password: logs in through the identity provider, which must give this name",
        ),
        Login::Ldap => (
            "ldap".to_owned(),
            "logs in through LDAP, which must give this name",
        ),
        Login::LdapLost => (
            String::new(),
            "comes from LDAP, whose settings were not recorded: cannot log in",
        ),
        Login::Inactive => (String::new(), "inactive under MKE 3: not made again"),
        Login::BadName
            if tables
                .data
                .reserved_prefixes
                .iter()
                .any(|p| person.user.name.starts_with(p)) =>
        {
            (
                String::new(),
                "the name is one that Kubernetes keeps for its own components: rename the user first",
            )
        }
        Login::BadName => (
            String::new(),
            "the name is empty, too long or has control characters: rename the user first",
        ),
        Login::Duplicate => (
            String::new(),
            "the accounts hold the name twice: record them again",
        ),
    };
    (to, reason.to_owned())
}

fn report(directory: &Directory, tables: &RbacTables, findings: &mut Vec<Finding>) {
    let mut about = |code: &str, what: &str, picked: &dyn Fn(&Person) -> bool| {
        let names: Vec<&str> = directory
            .people
            .iter()
            .filter(|person| picked(person))
            .map(|person| person.user.name.as_str())
            .collect();
        let subject = match names.as_slice() {
            [] => return,
            [one] => Subject::new(SubjectKind::User, *one),
            _ => Subject::new(SubjectKind::Cluster, "users"),
        };
        let message = match names.len() {
            1 => format!("1 user {what}: {}", names[0]),
            n => format!(
                "{n} users {what}: {}",
                listed(names.into_iter(), tables.data.limits.named_in_message)
            ),
        };
        findings.push(tables.findings.finding(code, subject, message));
    };
    let is = |login: Login| move |person: &Person| person.login == login;
    about(
        codes::DUPLICATE,
        "more than once in the accounts",
        &is(Login::Duplicate),
    );
    about(
        codes::USER_NAME,
        "with a name that cannot be used",
        &is(Login::BadName),
    );
    about(
        codes::USER_INACTIVE,
        "inactive and not made again",
        &is(Login::Inactive),
    );
    about(
        codes::PASSWORD_RESET,
        "with a password that Dex cannot check",
        &is(Login::Reset),
    );
    about(
        codes::PASSWORD_UNKNOWN,
        "whose kind of password hash is not known",
        &is(Login::PasswordMaybe),
    );
    about(
        codes::LDAP_USERS,
        "from LDAP, which will not be configured",
        &is(Login::LdapLost),
    );
    about(
        codes::USER_ID,
        "without account id, so that audit trails will not match",
        &|person| person.user.id.is_empty() && matches!(person.login, Login::Password | Login::PasswordMaybe),
    );
    let can_log_in = |person: &Person| {
        person.user.admin
            && matches!(
                person.login,
                Login::Password | Login::PasswordMaybe | Login::Provider | Login::Ldap
            )
    };
    if !directory.people.is_empty() && !directory.people.iter().any(can_log_in) {
        findings.push(tables.findings.finding(
            codes::NO_ADMIN,
            Subject::new(SubjectKind::Cluster, "administrators"),
            "no administrator of MKE 3 can log in after the upgrade",
        ));
    }
}

/// Teams and organizations that LDAP fills: their members stay as they were recorded.
pub(crate) fn report_ldap_teams(
    directory: &Directory,
    accounts: &Accounts,
    tables: &RbacTables,
    findings: &mut Vec<Finding>,
) {
    let consequence = if accounts.ldap.is_some() {
        "LDAP decides who belongs to it under MKE 3; its members are bound as recorded and no longer follow LDAP"
    } else {
        "LDAP decides who belongs to it under MKE 3; without LDAP settings its members from LDAP are not bound"
    };
    for org in &directory.orgs {
        if org.ldap {
            let subject = Subject::new(SubjectKind::Organization, org.name);
            findings.push(tables.findings.finding(codes::LDAP_TEAM, subject, consequence));
        }
        for team in org.teams.iter().filter(|team| team.ldap) {
            let subject = Subject::new(SubjectKind::Team, format!("{}/{}", org.name, team.name));
            findings.push(tables.findings.finding(codes::LDAP_TEAM, subject, consequence));
        }
    }
}
