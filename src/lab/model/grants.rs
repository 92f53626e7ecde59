//! Recorded accounts in the simulated cluster: users and organizations, and roles and bindings of MKE 3's Kubernetes.

use super::accounts::bcrypt;
use super::{Account, State};
use crate::source::accounts::{Accounts, Binding, SubjectRef};
use serde_json::{Value, json};

impl State {
    /// Makes these accounts those of the auth store, and their roles and bindings objects of Kubernetes. Objects that are
    /// there already stay as they are.
    ///
    /// # Errors
    /// One sentence, when Kubernetes does not take an object; the others are made all the same.
    pub fn know_accounts(&mut self, accounts: &Accounts) -> Result<(), String> {
        self.accounts.clear();
        for user in &accounts.users {
            let hash = match user.password.as_deref() {
                _ if user.ldap => String::new(),
                Some("none") => String::new(),
                Some("pbkdf2") => format!("sha256$4096${}", bcrypt(&user.name)),
                _ => bcrypt(&user.name),
            };
            let mut account = Account::user(&hash);
            account.admin = user.admin && user.active;
            self.accounts.insert(user.name.clone(), account);
        }
        for organization in &accounts.organizations {
            let mut account = Account::user("");
            account.organisation = true;
            self.accounts.insert(organization.name.clone(), account);
        }
        let roles = accounts.cluster_roles.iter().map(|name| {
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": []})
        });
        let bindings = accounts.bindings.iter();
        let objects: Vec<Value> = roles
            .chain(bindings.clone().filter_map(namespace))
            .chain(bindings.map(object))
            .collect();
        objects
            .into_iter()
            .map(|object| self.create_mke3(object))
            .fold(Ok(()), Result::and)
    }
}

fn namespace(binding: &Binding) -> Option<Value> {
    let name = binding.namespace.as_ref()?;
    Some(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
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
