//! The bindings of MKE 3's Kubernetes, through the API of MKE.
//!
//! MKE's own pages read Kubernetes' objects from where they come from, with the session of whoever is logged in. That others
//! may do the same is inferred; where it is not so, the error says it.

use super::client::Client;
use super::error::{ApiError, Fault};
use super::pages::encode;
use crate::source::accounts::{Binding, SubjectRef};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What Kubernetes makes at every start bears this label:
/// <https://kubernetes.io/docs/reference/access-authn-authz/rbac/#default-roles-and-role-bindings>.
const BOOTSTRAP: &str = "kubernetes.io/bootstrapping";
/// Names that Kubernetes keeps to itself.
const RESERVED: &str = "system:";
/// Components of Kubernetes and of MKE live in namespaces of this prefix.
const COMPONENTS: &str = "kube-";
const API: &str = "/apis/rbac.authorization.k8s.io/v1";
/// Objects asked for at once.
const LIMIT: usize = 500;
const PAGES: usize = 1000;

#[derive(Deserialize)]
struct List<T> {
    #[serde(default)]
    metadata: ListMeta,
    items: Option<Vec<T>>,
}

#[derive(Default, Deserialize)]
struct ListMeta {
    #[serde(default, rename = "continue")]
    next: String,
}

#[derive(Deserialize)]
struct Meta {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Meta {
    fn is_own(&self) -> bool {
        self.name.starts_with(RESERVED) || self.labels.contains_key(BOOTSTRAP)
    }
}

#[derive(Deserialize)]
struct ClusterRole {
    metadata: Meta,
}

#[derive(Deserialize)]
struct RoleBinding {
    metadata: Meta,
    #[serde(rename = "roleRef")]
    role: RoleRef,
    #[serde(default)]
    subjects: Option<Vec<Subject>>,
}

#[derive(Deserialize)]
struct RoleRef {
    kind: String,
    name: String,
}

#[derive(Deserialize)]
struct Subject {
    kind: String,
    name: String,
    #[serde(default)]
    namespace: Option<String>,
}

/// Who is who: names of organizations, and what the ids of accounts and teams stand for.
pub(super) struct Names {
    pub organizations: BTreeSet<String>,
    pub ids: BTreeMap<String, SubjectRef>,
}

/// Bindings and the names of ClusterRoles, without those that Kubernetes and MKE made for themselves.
pub(super) async fn read(
    client: &mut Client,
    names: &Names,
) -> Result<(Vec<Binding>, Vec<String>), ApiError> {
    all(client, names).await.map_err(|error| match error.fault {
        Fault::Session
        | Fault::NotAdmin(_)
        | Fault::NotMke(_)
        | Fault::Json(_)
        | Fault::Status(400..=499, _) => ApiError {
            fault: Fault::NoKubernetes(error.fault.to_string()),
            ..error
        },
        _ => error,
    })
}

async fn all(client: &mut Client, names: &Names) -> Result<(Vec<Binding>, Vec<String>), ApiError> {
    let mut bindings = Vec::new();
    for resource in ["clusterrolebindings", "rolebindings"] {
        for found in list::<RoleBinding>(client, resource).await? {
            if let Some(binding) = binding(found, names) {
                bindings.push(binding);
            }
        }
    }
    bindings.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let mut roles: Vec<String> = list::<ClusterRole>(client, "clusterroles")
        .await?
        .into_iter()
        .filter(|role| !role.metadata.is_own())
        .map(|role| role.metadata.name)
        .collect();
    roles.sort();
    Ok((bindings, roles))
}

async fn list<T: serde::de::DeserializeOwned>(
    client: &mut Client,
    resource: &str,
) -> Result<Vec<T>, ApiError> {
    let (mut items, mut next) = (Vec::new(), String::new());
    for _ in 0..PAGES {
        let from = if next.is_empty() {
            String::new()
        } else {
            format!("&continue={}", encode(&next))
        };
        let (list, _): (List<T>, _) = client
            .json(&format!("{API}/{resource}?limit={LIMIT}{from}"))
            .await?;
        let Some(found) = list.items else {
            let why = "there is no list of objects in it".to_owned();
            return Err(client.error(Fault::Json(why)));
        };
        items.extend(found);
        if list.metadata.next.is_empty() {
            return Ok(items);
        }
        if list.metadata.next == next {
            let why = "a page leads to itself".to_owned();
            return Err(client.error(Fault::EndlessPages(why)));
        }
        next = list.metadata.next;
    }
    let why = format!("after {PAGES} pages there are still more");
    Err(client.error(Fault::EndlessPages(why)))
}

fn binding(found: RoleBinding, names: &Names) -> Option<Binding> {
    let subjects: Vec<SubjectRef> = found
        .subjects
        .unwrap_or_default()
        .into_iter()
        .map(|subject| subject_of(subject, names))
        .collect();
    let of_components = !subjects.is_empty()
        && subjects.iter().all(
            |subject| matches!(subject, SubjectRef::ServiceAccount(name) if name.starts_with(COMPONENTS)),
        );
    if found.metadata.is_own() || of_components {
        return None;
    }
    Some(Binding {
        name: found.metadata.name,
        namespace: found.metadata.namespace,
        role_kind: found.role.kind,
        role: found.role.name,
        subjects,
    })
}

/// MKE names users by account name, organizations by theirs and teams `organization:team`; older ones by id.
fn subject_of(subject: Subject, names: &Names) -> SubjectRef {
    if subject.kind == "ServiceAccount" {
        let namespace = subject.namespace.unwrap_or_else(|| "default".to_owned());
        return SubjectRef::ServiceAccount(format!("{namespace}:{}", subject.name));
    }
    if let Some(known) = names.ids.get(&subject.name) {
        return known.clone();
    }
    if subject.kind == "User" {
        return SubjectRef::User(subject.name);
    }
    let organization = |name: &str| names.organizations.contains(name);
    match subject.name.split_once(':') {
        _ if organization(&subject.name) => SubjectRef::Organization(subject.name),
        Some((first, team)) if organization(first) && !team.is_empty() => SubjectRef::Team(subject.name),
        _ => SubjectRef::Group(subject.name),
    }
}
