//! Who may do what: Roles, ClusterRoles and their bindings.

use super::{Api, Refusal, field, name, text};
use serde_json::{Value, json};

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

fn invalid(why: &str) -> Refusal {
    Refusal::new(
        422,
        "Invalid",
        format!("The SubjectAccessReview \"\" is invalid: {why}"),
    )
}

impl Api<'_> {
    /// Whether RBAC lets somebody do something.
    pub fn allows(&self, user: &User, ask: &Ask) -> bool {
        if user.groups.iter().any(|group| group == "system:masters")
            || self.context.administrators.contains(&user.name)
        {
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

    /// Answers a SubjectAccessReview, which nothing keeps.
    ///
    /// # Errors
    /// When it asks about nobody or nothing.
    pub fn review(&self, mut review: Value) -> Result<Value, Refusal> {
        let spec = &review["spec"];
        let list = |value: &Value| -> Vec<String> {
            let texts = value.as_array().into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let user = User {
            name: text(spec, &["user"]).to_owned(),
            groups: list(&spec["groups"]),
        };
        let about = |key| text(spec, &["resourceAttributes", key]).to_owned();
        let mut ask = Ask {
            verb: about("verb"),
            group: about("group"),
            resource: about("resource"),
            namespace: about("namespace"),
            name: about("name"),
            path: String::new(),
        };
        if let Some(path) = field(spec, &["nonResourceAttributes", "path"]).and_then(Value::as_str) {
            ask.path = path.to_owned();
            ask.verb = text(spec, &["nonResourceAttributes", "verb"]).to_owned();
        } else if field(spec, &["resourceAttributes"]).is_none() {
            return Err(invalid(
                "spec.resourceAttributes: exactly one of nonResourceAttributes or resourceAttributes must be specified",
            ));
        }
        if user.name.is_empty() && user.groups.is_empty() {
            return Err(invalid(
                "spec.user: at least one of user or group must be specified",
            ));
        }
        if review["metadata"]
            .as_object()
            .is_some_and(|metadata| !metadata.is_empty())
        {
            return Err(invalid("metadata: must be empty"));
        }
        let allowed = self.allows(&user, &ask);
        review["status"] = json!({"allowed": allowed});
        Ok(review)
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
