//! Recorded accounts in the simulated cluster: who administers MKE 3, and the bindings of its Kubernetes.

use super::accounts::bcrypt;
use super::kube::Api;
use super::{Account, State};
use crate::source::accounts::{Accounts, Binding, SubjectRef};
use serde_json::{Value, json};

/// Who made these objects.
const MANAGER: &str = "ucp-controller";

impl State {
    /// Lets MKE 3 know these accounts: users with their hashes, administrators, organizations, roles, and the bindings of
    /// users, teams and organizations, each in its namespace. What the cluster has already stays as it is.
    pub fn know_accounts(&mut self, accounts: &Accounts) {
        for user in accounts.users.iter().filter(|user| user.active) {
            let hash = match user.password.as_deref() {
                _ if user.ldap => String::new(),
                Some("none") => String::new(),
                None | Some("bcrypt") => bcrypt(&user.name),
                Some(other) => format!("{other}$of$another$kind"),
            };
            let mut account = Account::user(&hash);
            account.admin = user.admin;
            self.accounts.insert(user.name.clone(), account);
        }
        for organization in &accounts.organizations {
            let account = Account {
                organisation: true,
                ..Account::user("")
            };
            self.accounts.insert(organization.name.clone(), account);
        }
        let context = self.mke3_context();
        let mut api = Api::new(&mut self.etcd.store, &context);
        for name in &accounts.cluster_roles {
            let role = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": name}, "rules": [],
            });
            let _ = api.create(role, MANAGER);
        }
        for binding in &accounts.bindings {
            if let Some(namespace) = &binding.namespace {
                let namespace = json!({
                    "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace},
                });
                // It may be there, and so may the binding.
                let _ = api.create(namespace, MANAGER);
            }
            let _ = api.create(object(binding), MANAGER);
        }
    }
}

fn object(binding: &Binding) -> Value {
    let group = "rbac.authorization.k8s.io";
    let subjects: Vec<Value> = binding
        .subjects
        .iter()
        .map(|subject| match subject {
            SubjectRef::User(name) => json!({"apiGroup": group, "kind": "User", "name": name}),
            SubjectRef::Organization(name) | SubjectRef::Team(name) | SubjectRef::Group(name) => {
                json!({"apiGroup": group, "kind": "Group", "name": name})
            }
            SubjectRef::ServiceAccount(name) => {
                let (namespace, name) = name.split_once(':').unwrap_or(("default", name));
                json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
            }
        })
        .collect();
    let mut object = json!({
        "apiVersion": format!("{group}/v1"),
        "kind": "ClusterRoleBinding",
        "metadata": {"name": binding.name},
        "roleRef": {"apiGroup": group, "kind": binding.role_kind, "name": binding.role},
        "subjects": subjects,
    });
    if let Some(namespace) = &binding.namespace {
        object["kind"] = json!("RoleBinding");
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}
