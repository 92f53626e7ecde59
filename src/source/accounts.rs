//! Recorded accounts: users, organizations, teams, roles and grants of MKE 3, and the Kubernetes bindings.

use super::InputError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

impl Accounts {
    /// Parses an accounts file. `file` is how errors call it.
    pub fn parse(_file: &str, _bytes: &[u8]) -> Result<Accounts, InputError> {
        unreachable!("written by the source work")
    }
}
