//! Recorded accounts: users, organizations, teams, roles and grants of MKE 3, and the Kubernetes bindings.

use super::InputError;
use super::input;
use super::json::{self, Document, Format};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// `kind` of an accounts file.
pub const ACCOUNTS_KIND: &str = "mkectl.accounts";

/// An accounts file. It holds no password and no hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// Always `mkectl.accounts`.
    pub kind: String,
    /// `1.0`.
    pub format_version: String,
    /// Users.
    pub users: Vec<User>,
    /// Organizations.
    #[serde(default)]
    pub organizations: Vec<Organization>,
    /// Roles of MKE 3 (swarm roles), built-in ones included.
    #[serde(default)]
    pub roles: Vec<SwarmRole>,
    /// Grants of MKE 3 on collections.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// RoleBindings and ClusterRoleBindings of the cluster, those that Kubernetes and MKE made left out.
    #[serde(default)]
    pub bindings: Vec<Binding>,
    /// Names of the cluster's own ClusterRoles, Kubernetes' defaults left out.
    #[serde(default)]
    pub cluster_roles: Vec<String>,
    /// LDAP settings of the auth store, by key; absent when LDAP is off or could not be read. Never the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldap: Option<BTreeMap<String, String>>,
}

/// A user account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Account id (UUID); becomes Dex' `userID`.
    #[serde(default)]
    pub id: String,
    /// Name.
    pub name: String,
    /// Administrator of the cluster.
    #[serde(default)]
    pub admin: bool,
    /// May log in.
    #[serde(default = "yes")]
    pub active: bool,
    /// Comes from LDAP.
    #[serde(default)]
    pub ldap: bool,
    /// How the password is hashed: `bcrypt`, `pbkdf2`, `none`; absent when not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

fn yes() -> bool {
    true
}

/// An organization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// Account id.
    #[serde(default)]
    pub id: String,
    /// Name; shares the name space with users.
    pub name: String,
    /// Members, those that are in a team included.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Teams.
    #[serde(default)]
    pub teams: Vec<Team>,
    /// LDAP decides who administers it.
    #[serde(default)]
    pub ldap_sync: bool,
}

/// A team.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// Team id.
    #[serde(default)]
    pub id: String,
    /// Name: free text, unique in its organization.
    pub name: String,
    /// Members.
    #[serde(default)]
    pub members: Vec<Member>,
    /// LDAP decides who is a member.
    #[serde(default)]
    pub ldap_sync: bool,
}

/// A member of an organization or team.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// User name.
    pub user: String,
    /// Administrator of the organization or team.
    #[serde(default)]
    pub admin: bool,
}

/// A role of MKE 3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SwarmRole {
    /// Role id (`viewonly`, or generated).
    pub id: String,
    /// Name (`View Only`).
    pub name: String,
    /// Built in.
    #[serde(default)]
    pub system: bool,
}

/// Who a grant or binding is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SubjectRef {
    /// A user, by name.
    User(String),
    /// An organization, by name.
    Organization(String),
    /// A team, `organization:team`.
    Team(String),
    /// A service account, `namespace:name`.
    ServiceAccount(String),
    /// Any other Kubernetes group.
    Group(String),
}

/// A grant of MKE 3: subject, role, collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who.
    pub subject: SubjectRef,
    /// Role id.
    pub role: String,
    /// Collection path, such as `/Shared`.
    pub collection: String,
}

/// A RoleBinding or ClusterRoleBinding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Name of the binding.
    pub name: String,
    /// Namespace; absent for a ClusterRoleBinding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// `Role` or `ClusterRole`.
    pub role_kind: String,
    /// Role name.
    pub role: String,
    /// Who.
    pub subjects: Vec<SubjectRef>,
}

/// How to make an accounts file.
const RECORD: &str = "record the accounts again";

impl Accounts {
    /// Parses an accounts file. `file` is how errors call it.
    ///
    /// Refused is what MKE 3 cannot hold, because then the recording is wrong or incomplete: two accounts of one name (users
    /// and organizations share their names), two teams of one name in an organization, a member without an account (lists come
    /// in pages, and a reader that stops after the first loses users), a binding to a Role without namespace; and anything that
    /// looks like a password. What a live cluster may really be like is kept for findings: grants and bindings whose subject,
    /// role or collection is gone, names that MKE 4k cannot hold, teams of one name in two organizations.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Accounts, InputError> {
        let format = Format {
            kind: ACCOUNTS_KIND,
            major: 1,
            make: RECORD,
        };
        let document: Document<'_, Accounts> = json::parse(file, bytes, &format)?;
        check_users(&document)?;
        check_organizations(&document)?;
        check_access(&document)?;
        check_ldap(&document)?;
        Ok(document.value)
    }

    /// The bytes of an accounts file: the same for the same accounts.
    ///
    /// # Errors
    ///
    /// Why it cannot be written; no value is in it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| error.to_string())?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// JSON Schema of an accounts file.
pub fn schema() -> serde_json::Value {
    json::schema::<Accounts>(ACCOUNTS_KIND, 1)
}

type Checked<'a> = Document<'a, Accounts>;

/// Remembers names of one space and refuses the second use of one.
fn unique<'a>(
    document: &Checked<'_>,
    seen: &mut BTreeMap<&'a str, String>,
    name: &'a str,
    path: String,
    key: &str,
) -> Result<(), InputError> {
    let key = format!("{path}.{key}");
    if name.is_empty() {
        return Err(document.error(&key, "the name is empty", RECORD));
    }
    if let Some(first) = seen.insert(name, path) {
        return Err(document.error(&key, format!("{} is also {first}", input::quoted(name)), RECORD));
    }
    Ok(())
}

fn check_users(document: &Checked<'_>) -> Result<(), InputError> {
    let mut names = BTreeMap::new();
    for (index, user) in document.value.users.iter().enumerate() {
        unique(
            document,
            &mut names,
            &user.name,
            format!("$.users[{index}]"),
            "name",
        )?;
        if !matches!(
            user.password.as_deref(),
            None | Some("bcrypt" | "pbkdf2" | "none")
        ) {
            // The value may be a hash that somebody put here: it is not shown.
            return Err(document.error(
                &format!("$.users[{index}].password"),
                "this says how the password is hashed: bcrypt, pbkdf2 or none",
                "remove the value, and never put a password or a hash into this file",
            ));
        }
    }
    for (index, organization) in document.value.organizations.iter().enumerate() {
        unique(
            document,
            &mut names,
            &organization.name,
            format!("$.organizations[{index}]"),
            "name",
        )?;
    }
    Ok(())
}

fn check_organizations(document: &Checked<'_>) -> Result<(), InputError> {
    let users: BTreeSet<&str> = document
        .value
        .users
        .iter()
        .map(|user| user.name.as_str())
        .collect();
    let check_members = |members: &[Member], path: &str| {
        let mut seen = BTreeMap::new();
        for (index, member) in members.iter().enumerate() {
            let at = format!("{path}.members[{index}]");
            unique(document, &mut seen, &member.user, at.clone(), "user")?;
            if !users.contains(member.user.as_str()) {
                let remedy = "record the accounts again: the list of users looks incomplete";
                let message = format!("there is no user {}", input::quoted(&member.user));
                return Err(document.error(&format!("{at}.user"), message, remedy));
            }
        }
        Ok(())
    };
    for (index, organization) in document.value.organizations.iter().enumerate() {
        let path = format!("$.organizations[{index}]");
        check_members(&organization.members, &path)?;
        let mut teams = BTreeMap::new();
        for (index, team) in organization.teams.iter().enumerate() {
            let path = format!("{path}.teams[{index}]");
            unique(document, &mut teams, &team.name, path.clone(), "name")?;
            check_members(&team.members, &path)?;
        }
    }
    Ok(())
}

fn check_access(document: &Checked<'_>) -> Result<(), InputError> {
    let mut roles = BTreeMap::new();
    for (index, role) in document.value.roles.iter().enumerate() {
        unique(document, &mut roles, &role.id, format!("$.roles[{index}]"), "id")?;
    }
    for (index, grant) in document.value.grants.iter().enumerate() {
        check_subject(document, &grant.subject, &format!("$.grants[{index}].subject"))?;
    }
    let mut seen: BTreeMap<(Option<&str>, &str), String> = BTreeMap::new();
    for (index, binding) in document.value.bindings.iter().enumerate() {
        let path = format!("$.bindings[{index}]");
        if let Some(first) = seen.insert((binding.namespace.as_deref(), &binding.name), path.clone()) {
            let message = format!("{} is also {first}", input::quoted(&binding.name));
            return Err(document.error(&format!("{path}.name"), message, RECORD));
        }
        match (binding.role_kind.as_str(), &binding.namespace) {
            ("ClusterRole", _) | ("Role", Some(_)) => {}
            ("Role", None) => {
                let message = "a ClusterRoleBinding cannot name a Role";
                return Err(document.error(
                    &format!("{path}.role_kind"),
                    message,
                    "give the binding its namespace",
                ));
            }
            (other, _) => {
                let message = format!("{} is neither Role nor ClusterRole", input::quoted(other));
                return Err(document.error(&format!("{path}.role_kind"), message, RECORD));
            }
        }
        for (index, subject) in binding.subjects.iter().enumerate() {
            check_subject(document, subject, &format!("{path}.subjects[{index}]"))?;
        }
    }
    Ok(())
}

fn check_subject(document: &Checked<'_>, subject: &SubjectRef, path: &str) -> Result<(), InputError> {
    let (name, form) = match subject {
        SubjectRef::Team(name) => (name, "organization:team"),
        SubjectRef::ServiceAccount(name) => (name, "namespace:name"),
        SubjectRef::User(name) | SubjectRef::Organization(name) | SubjectRef::Group(name)
            if name.is_empty() =>
        {
            return Err(document.error(path, "the name is empty", RECORD));
        }
        _ => return Ok(()),
    };
    // Names of organizations hold no colon, so the first one separates; team names may hold more.
    match name.split_once(':') {
        Some((first, second)) if !first.is_empty() && !second.is_empty() => Ok(()),
        _ => {
            let message = format!("{} is not of the form {form}", input::quoted(name));
            Err(document.error(path, message, RECORD))
        }
    }
}

fn check_ldap(document: &Checked<'_>) -> Result<(), InputError> {
    for (key, value) in document.value.ldap.iter().flatten() {
        let lower = key.to_lowercase();
        if !value.is_empty()
            && ["password", "secret", "token"]
                .iter()
                .any(|word| lower.contains(word))
        {
            return Err(document.error(
                &format!("$.ldap.{key}"),
                "a secret has no place in this file",
                "remove the key: the reader's password is asked for when it is needed",
            ));
        }
    }
    Ok(())
}
