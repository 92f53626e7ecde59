//! The authorization tree of MKE 3 and what MKE 4k makes of it.

use super::Outcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many of each the accounts hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RbacCounts {
    /// All user accounts.
    pub users: u32,
    /// Those that are inactive.
    pub inactive: u32,
    /// Those that are administrators.
    pub admins: u32,
    /// Organizations.
    pub organizations: u32,
    /// Teams, over all organizations.
    pub teams: u32,
    /// Grants on collections and namespaces.
    pub grants: u32,
}

/// A role bound at one level of the tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct BoundRole {
    /// Role name under MKE 3.
    pub role: String,
    /// Where it applies under MKE 3: a collection path, a namespace, `all namespaces`.
    pub on: String,
    /// The Kubernetes role in MKE 4k; empty when the grant is dropped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// What became of the grant.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
}

/// A team.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct TeamNode {
    /// Name under MKE 3: free text, unique in its organization.
    pub name: String,
    /// Name of the aggregated role in MKE 4k.
    pub to: String,
    /// True when LDAP decides who is a member.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ldap: bool,
    /// User names, sorted.
    pub members: Vec<String>,
    /// Roles bound to the team.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<BoundRole>,
}

/// An organization with its teams.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct OrganizationNode {
    /// Name under MKE 3.
    pub name: String,
    /// Name of the aggregated role in MKE 4k.
    pub to: String,
    /// Teams, sorted by name.
    pub teams: Vec<TeamNode>,
    /// Members that are in no team, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
    /// Roles bound to the organization.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<BoundRole>,
}

/// A user account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct UserRow {
    /// User name.
    pub name: String,
    /// Administrator of the cluster.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
    /// What became of the account.
    pub outcome: Outcome,
    /// What carries it in MKE 4k, such as `dex password mfsg22lozpzjzzeeeirsk`; empty when dropped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// Why, and what the user must do.
    pub reason: String,
    /// Roles bound to the user alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<BoundRole>,
}

/// A role that is not Kubernetes' own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct RoleRow {
    /// Name under MKE 3.
    pub name: String,
    /// ClusterRole in MKE 4k; empty when not created.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub to: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
}

/// A RoleBinding or ClusterRoleBinding as it was under MKE 3. The object itself comes over with etcd.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct BindingRow {
    /// Namespace; absent for a ClusterRoleBinding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// The role, `ClusterRole view` or `Role deployer`.
    pub role: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Bindings made beside it for the members of its organizations and teams, `RoleBinding dev/development-team`, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
    /// Why.
    pub reason: String,
}

/// A grant or binding of a subject that is not in the tree: service account, group, or an account that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct LooseGrant {
    /// Who, as `kind name`.
    pub subject: String,
    /// What it holds, where, and what became of that.
    pub role: BoundRole,
}

/// Somebody whose access differs after the upgrade.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct AccessChange {
    /// User, team or organization, as `kind name`.
    pub who: String,
    /// True for a gain, false for a loss.
    pub gains: bool,
    /// What, in words a board understands.
    pub what: String,
    /// How many users it concerns.
    pub users: u32,
}

/// The authorization part of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rbac {
    /// How many of each.
    pub counts: RbacCounts,
    /// Organizations, sorted by name.
    pub organizations: Vec<OrganizationNode>,
    /// Users, sorted by name.
    pub users: Vec<UserRow>,
    /// Roles that are not Kubernetes' own, sorted by name.
    pub roles: Vec<RoleRow>,
    /// Bindings of the cluster, sorted by namespace and name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<BindingRow>,
    /// Grants and bindings of subjects that are not in the tree, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loose: Vec<LooseGrant>,
    /// Who gains and who loses what.
    pub changes: Vec<AccessChange>,
}
