//! The garbage collector, and namespaces that end.

use crate::lab::model::kube::{Api, Cascade, field, name, namespace, text};
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn round(api: &mut Api<'_>) {
    let resources = api.resources();
    let uids: BTreeSet<String> = resources
        .iter()
        .flat_map(|resource| {
            api.store()
                .range(&resource.prefix())
                .filter_map(|(_, entry)| Some(text(entry.value()?, &["metadata", "uid"]).to_owned()))
                .collect::<Vec<_>>()
        })
        .collect();
    for resource in &resources {
        let lost = api.select(resource, None, |object| {
            let owners = field(object, &["metadata", "ownerReferences"]).and_then(Value::as_array);
            owners.is_some_and(|owners| {
                !owners.is_empty() && owners.iter().all(|owner| !uids.contains(text(owner, &["uid"])))
            })
        });
        for object in lost {
            // What a webhook keeps here is tried again in the next round.
            let _ = api.delete(
                resource,
                namespace(&object),
                name(&object),
                Cascade::Background,
                false,
            );
        }
    }
    // An aggregated API that does not answer may hold objects: a namespace cannot end before it is known.
    let certain = api.dead_apis().is_empty();
    for ending in api.all("namespaces") {
        if field(&ending, &["metadata", "deletionTimestamp"]).is_none() {
            continue;
        }
        let place = name(&ending).to_owned();
        let mut empty = true;
        for resource in resources.iter().filter(|resource| resource.namespaced) {
            for object in api.list(resource, Some(&place)) {
                let _ = api.delete(resource, &place, name(&object), Cascade::Background, false);
                empty &= api.get(resource, &place, name(&object)).is_err();
            }
        }
        if empty && certain {
            api.store.delete(&format!("/registry/namespaces/{place}"));
        }
    }
}
