//! The objects that an upgrade adds to the cluster, typed.

use super::tables::RbacTables;
use crate::yaml::Node;
use k8s_openapi::api::rbac::v1::{
    AggregationRule, ClusterRole, ClusterRoleBinding, RoleBinding, RoleRef, Subject as RbacSubject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// API group of RBAC.
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// Metadata of a Dex object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DexMetadata {
    /// Name: see [`super::dex_object_name`].
    pub name: String,
    /// Namespace of Dex.
    pub namespace: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// A local user of Dex.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct DexPassword {
    /// `dex.coreos.com/v1`.
    pub api_version: String,
    /// `Password`.
    pub kind: String,
    /// Metadata.
    pub metadata: DexMetadata,
    /// What the user types to log in: the user name, as MKE 4k has it.
    pub email: String,
    /// User name.
    pub username: String,
    /// Account id under MKE 3, so that audit trails match.
    #[serde(rename = "userID")]
    pub user_id: String,
    /// `mkectl-secret:NAME`: apply puts the hash there, base 64 of the bcrypt string.
    pub hash: String,
}

/// An object that an upgrade adds.
#[derive(Clone, Debug, PartialEq)]
pub enum Manifest {
    /// An aggregated role, or a role without permissions.
    ClusterRole(ClusterRole),
    /// A role bound in all namespaces.
    ClusterRoleBinding(ClusterRoleBinding),
    /// A role bound in one namespace.
    RoleBinding(RoleBinding),
    /// A local user.
    DexPassword(DexPassword),
}

impl Manifest {
    /// Kind, namespace (empty when it has none) and name.
    pub fn id(&self) -> (&'static str, &str, &str) {
        fn of(meta: &ObjectMeta) -> (&str, &str) {
            (
                meta.namespace.as_deref().unwrap_or_default(),
                meta.name.as_deref().unwrap_or_default(),
            )
        }
        let (kind, (namespace, name)) = match self {
            Manifest::ClusterRole(object) => ("ClusterRole", of(&object.metadata)),
            Manifest::ClusterRoleBinding(object) => ("ClusterRoleBinding", of(&object.metadata)),
            Manifest::RoleBinding(object) => ("RoleBinding", of(&object.metadata)),
            Manifest::DexPassword(object) => (
                "Password",
                (object.metadata.namespace.as_str(), object.metadata.name.as_str()),
            ),
        };
        (kind, namespace, name)
    }

    /// The object as Kubernetes reads it, `apiVersion` and `kind` included.
    pub fn to_value(&self) -> Result<serde_json::Value, serde_json::Error> {
        match self {
            Manifest::ClusterRole(object) => serde_json::to_value(object),
            Manifest::ClusterRoleBinding(object) => serde_json::to_value(object),
            Manifest::RoleBinding(object) => serde_json::to_value(object),
            Manifest::DexPassword(object) => serde_json::to_value(object),
        }
    }

    /// The object as a YAML document to be written.
    pub fn to_node(&self) -> Result<Node, serde_json::Error> {
        self.to_value().map(to_node)
    }
}

/// The same tree as a [`Node`]. Numbers that are no 64-bit integers become strings; the objects here have none.
pub fn to_node(value: serde_json::Value) -> Node {
    use serde_json::Value;
    match value {
        Value::Null => Node::Null,
        Value::Bool(yes) => Node::Bool(yes),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| Node::Str(number.to_string()), Node::Int),
        Value::String(text) => Node::Str(text),
        Value::Array(list) => Node::List(list.into_iter().map(to_node).collect()),
        Value::Object(map) => Node::Map(
            map.into_iter()
                .map(|(key, value)| (key, to_node(value)))
                .collect(),
        ),
    }
}

/// Makes objects with the labels that mark them as ours.
pub(crate) struct Maker<'a> {
    tables: &'a RbacTables,
}

impl<'a> Maker<'a> {
    pub(crate) fn new(tables: &'a RbacTables) -> Self {
        Maker { tables }
    }

    fn labels(&self, more: &[(&str, &str)]) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([(
            "app.kubernetes.io/managed-by".to_owned(),
            self.tables.data.managed_by.clone(),
        )]);
        labels.extend(
            more.iter()
                .map(|(key, value)| (self.tables.key(key), (*value).to_owned())),
        );
        labels
    }

    fn meta(
        &self,
        name: &str,
        namespace: Option<&str>,
        labels: &[(&str, &str)],
        original: &str,
    ) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: namespace.map(str::to_owned),
            labels: Some(self.labels(labels)),
            annotations: (!original.is_empty())
                .then(|| BTreeMap::from([(self.tables.key("mke3-name"), original.to_owned())])),
            ..ObjectMeta::default()
        }
    }

    /// The role of an organization or team: it selects `roles` by label. `organization` is the aggregated role above.
    pub(crate) fn aggregated(
        &self,
        name: &str,
        original: &str,
        organization: Option<&str>,
        roles: &[&str],
    ) -> Manifest {
        let level = if organization.is_some() {
            "team"
        } else {
            "organization"
        };
        let mut labels = vec![("level", level)];
        labels.extend(organization.map(|above| ("organization", above)));
        let selectors = roles
            .iter()
            .map(|role| LabelSelector {
                match_labels: Some(BTreeMap::from([(self.tables.key("role"), (*role).to_owned())])),
                ..LabelSelector::default()
            })
            .collect();
        Manifest::ClusterRole(ClusterRole {
            aggregation_rule: Some(AggregationRule {
                cluster_role_selectors: Some(selectors),
            }),
            metadata: self.meta(name, None, &labels, original),
            rules: Some(Vec::new()),
        })
    }

    /// A role without permissions.
    pub(crate) fn empty_role(&self, name: &str, original: &str) -> Manifest {
        Manifest::ClusterRole(ClusterRole {
            aggregation_rule: None,
            metadata: self.meta(name, None, &[("role", name)], original),
            rules: Some(Vec::new()),
        })
    }

    /// A role bound to users, in a namespace or in all.
    pub(crate) fn binding(
        &self,
        name: &str,
        namespace: Option<&str>,
        original: &str,
        (role_kind, role): (&str, &str),
        users: &[&str],
    ) -> Manifest {
        let metadata = self.meta(name, namespace, &[], original);
        let role_ref = RoleRef {
            api_group: RBAC_GROUP.to_owned(),
            kind: role_kind.to_owned(),
            name: role.to_owned(),
        };
        let subjects = Some(
            users
                .iter()
                .map(|user| RbacSubject {
                    api_group: Some(RBAC_GROUP.to_owned()),
                    kind: "User".to_owned(),
                    name: (*user).to_owned(),
                    namespace: None,
                })
                .collect(),
        );
        match namespace {
            None => Manifest::ClusterRoleBinding(ClusterRoleBinding {
                metadata,
                role_ref,
                subjects,
            }),
            Some(_) => Manifest::RoleBinding(RoleBinding {
                metadata,
                role_ref,
                subjects,
            }),
        }
    }

    /// A local user whose hash is the secret `secret`.
    pub(crate) fn password(&self, object: &str, user: &str, id: &str, secret: &str) -> Manifest {
        let dex = &self.tables.data.dex;
        Manifest::DexPassword(DexPassword {
            api_version: dex.api_version.clone(),
            kind: dex.kind.clone(),
            metadata: DexMetadata {
                name: object.to_owned(),
                namespace: dex.namespace.clone(),
                labels: self.labels(&[]),
            },
            email: user.to_owned(),
            username: user.to_owned(),
            user_id: if id.is_empty() { user } else { id }.to_owned(),
            hash: format!("mkectl-secret:{secret}"),
        })
    }
}
