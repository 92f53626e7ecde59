//! Swarm's roles and grants.

use super::client::Client;
use super::error::ApiError;
use super::kube::Names;
use super::pages;
use super::wire;
use crate::source::accounts::{Grant, SubjectRef, SwarmRole};

/// How subjects of grants name a service account of Kubernetes.
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Roles, sorted by id.
pub(super) async fn roles(client: &mut Client) -> Result<Vec<SwarmRole>, ApiError> {
    let (found, _): (Vec<wire::Role>, _) = client.json("/roles").await?;
    let mut roles: Vec<SwarmRole> = found
        .into_iter()
        .map(|role| SwarmRole {
            id: role.id,
            name: role.name,
            system: role.system_role,
        })
        .collect();
    roles.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(roles)
}

/// Grants, sorted. One whose subject nobody knows keeps its id as a user's name: it is told of as a grant to nobody.
pub(super) async fn grants(client: &mut Client, names: &Names) -> Result<Vec<Grant>, ApiError> {
    let query = "subjectType=all&expandUser=false&showPaths=true&";
    let found = pages::all::<wire::Grants>(client, "/collectionGrants", query).await?;
    let mut grants: Vec<Grant> = found
        .into_iter()
        .map(|grant| Grant {
            subject: subject(&grant.subject, names),
            role: grant.role,
            // Grants on namespaces have no path; their object says that they are.
            collection: if grant.path.is_empty() {
                grant.object
            } else {
                grant.path
            },
        })
        .collect();
    grants.sort_by(|a, b| (&a.subject, &a.role, &a.collection).cmp(&(&b.subject, &b.role, &b.collection)));
    Ok(grants)
}

fn subject(id: &str, names: &Names) -> SubjectRef {
    if let Some(known) = names.ids.get(id) {
        return known.clone();
    }
    match id.strip_prefix(SERVICE_ACCOUNT) {
        Some(account) if account.contains(':') => SubjectRef::ServiceAccount(account.to_owned()),
        _ => SubjectRef::User(id.to_owned()),
    }
}
