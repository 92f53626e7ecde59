//! Who may do what: Roles, ClusterRoles and their bindings.

use super::{Api, field, name, text};
use serde_json::Value;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

/// What somebody wants to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// `get`, `create`, …
    pub verb: String,
    /// Group; empty for the core.
    pub group: String,
    /// Plural, with `/subresource` where there is one.
    pub resource: String,
    /// Namespace; empty for all, or where there is none.
    pub namespace: String,
    /// Name; empty for any.
    pub name: String,
    /// Path, for what is no resource.
    pub path: String,
}

impl User {
    /// The holder of the cluster's own administrator's certificate.
    pub fn administrator() -> User {
        User {
            name: "kubernetes-admin".to_owned(),
            groups: vec!["system:masters".to_owned(), "system:authenticated".to_owned()],
        }
    }

    /// A service account.
    pub fn account(namespace: &str, name: &str) -> User {
        User {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }

    fn is(&self, subject: &Value) -> bool {
        let name = text(subject, &["name"]);
        match text(subject, &["kind"]) {
            "User" => self.name == name,
            "Group" => self.groups.iter().any(|group| group == name),
            "ServiceAccount" => {
                self.name == format!("system:serviceaccount:{}:{name}", text(subject, &["namespace"]))
            }
            _ => false,
        }
    }
}

fn lists(rule: &Value, key: &str, wanted: &str) -> bool {
    rule[key]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|one| {
            one == "*"
                || one == wanted
                || one
                    .strip_suffix('*')
                    .is_some_and(|start| key == "nonResourceURLs" && wanted.starts_with(start))
        })
}

fn allows(rule: &Value, ask: &Ask) -> bool {
    if !lists(rule, "verbs", &ask.verb) {
        return false;
    }
    if !ask.path.is_empty() {
        return lists(rule, "nonResourceURLs", &ask.path);
    }
    let names = rule["resourceNames"]
        .as_array()
        .is_none_or(|names| names.is_empty() || names.iter().any(|name| name == ask.name.as_str()));
    names && lists(rule, "apiGroups", &ask.group) && lists(rule, "resources", &ask.resource)
}

impl Api<'_> {
    /// Whether RBAC lets somebody do something.
    pub fn allows(&self, user: &User, ask: &Ask) -> bool {
        if user.groups.iter().any(|group| group == "system:masters") {
            return true;
        }
        self.all("clusterrolebindings")
            .iter()
            .any(|binding| self.binds(binding, "", user, ask))
            || (!ask.namespace.is_empty()
                && self
                    .all("rolebindings")
                    .iter()
                    .filter(|binding| text(binding, &["metadata", "namespace"]) == ask.namespace)
                    .any(|binding| self.binds(binding, &ask.namespace, user, ask)))
    }

    fn binds(&self, binding: &Value, namespace: &str, user: &User, ask: &Ask) -> bool {
        let subjects = binding["subjects"].as_array();
        if !subjects.into_iter().flatten().any(|subject| user.is(subject)) {
            return false;
        }
        let role = text(binding, &["roleRef", "name"]);
        let role = match text(binding, &["roleRef", "kind"]) {
            "Role" => self.find("roles", namespace, role),
            _ => self.find("clusterroles", "", role),
        };
        role.is_some_and(|role| self.rules(&role).iter().any(|rule| allows(rule, ask)))
    }

    /// Rules of a role; those of an aggregated one are of the roles that it selects.
    pub fn rules(&self, role: &Value) -> Vec<Value> {
        let Some(selectors) =
            field(role, &["aggregationRule", "clusterRoleSelectors"]).and_then(Value::as_array)
        else {
            return role["rules"].as_array().cloned().unwrap_or_default();
        };
        self.all("clusterroles")
            .iter()
            .filter(|other| name(other) != name(role))
            .filter(|other| {
                selectors
                    .iter()
                    .any(|selector| super::labels::fits(&super::labels(other), selector))
            })
            .flat_map(|other| other["rules"].as_array().cloned().unwrap_or_default())
            .collect()
    }
}
