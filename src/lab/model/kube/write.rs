//! Writes: what the server fills in, checks and refuses.

use super::admission::Operation;
use super::apply::{at, dotted, fields, json_patch, leaves, merge, merge_strategic, paths, remove};
use super::{Api, Cascade, Patch, Refusal, Resource, Wrote, field, name, namespace, text};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Kinds whose selector cannot change.
const SELECTORS: [&str; 4] = ["Deployment", "DaemonSet", "StatefulSet", "ReplicaSet"];

fn invalid(kind: &str, name: &str, why: &str) -> Refusal {
    Refusal::new(422, "Invalid", format!("The {kind} \"{name}\" is invalid: {why}"))
}

fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object.is_object() {
        *object = json!({});
    }
    let slot = &mut object["metadata"];
    if !slot.is_object() {
        *slot = json!({});
    }
    match slot {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object"),
    }
}

/// A UUID that depends on the text alone.
pub(crate) fn uuid(text: &str) -> String {
    let id = crate::lab::model::id(text);
    [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..32]].join("-")
}

fn good_name(resource: &Resource, name: &str) -> bool {
    if resource.group == "rbac.authorization.k8s.io" {
        return !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '%']);
    }
    !name.is_empty()
        && name.len() <= 253
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

impl Api<'_> {
    fn put(&mut self, resource: &Resource, object: &Value) -> Value {
        let mut stored = object.clone();
        metadata(&mut stored).remove("resourceVersion");
        let key = resource.key(namespace(&stored), name(&stored));
        let bytes = serde_json::to_vec(&stored).unwrap_or_default();
        self.store.put(&key, bytes);
        self.read(resource, &key).unwrap_or(stored)
    }

    /// Notes that `manager` decided these fields; nobody else does any more.
    fn own(
        object: &mut Value,
        manager: &str,
        operation: &str,
        owned: &BTreeSet<Vec<String>>,
        version: &str,
        time: &str,
    ) {
        let metadata = metadata(object);
        let mut entries: Vec<Value> = metadata
            .get("managedFields")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let mut mine = owned.clone();
        entries.retain_mut(|entry| {
            let same = entry["manager"] == manager && entry["operation"] == operation;
            let theirs = paths(&entry["fieldsV1"]);
            if same {
                if operation == "Update" {
                    mine.extend(theirs);
                }
                return false;
            }
            let left: BTreeSet<Vec<String>> = theirs.difference(owned).cloned().collect();
            entry["fieldsV1"] = fields(&left);
            !left.is_empty()
        });
        entries.push(json!({
            "manager": manager, "operation": operation, "apiVersion": version, "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": fields(&mine),
        }));
        metadata.insert("managedFields".to_owned(), Value::Array(entries));
    }

    /// Makes an object.
    ///
    /// # Errors
    /// As the server refuses: it exists, its name or namespace will not do, a webhook stands in the way.
    pub fn create(&mut self, mut object: Value, manager: &str) -> Result<Value, Refusal> {
        let resource = self.resource_of(&object)?;
        if resource.plural == "subjectaccessreviews" {
            return self.review(object);
        }
        let generate = text(&object, &["metadata", "generateName"]).to_owned();
        if name(&object).is_empty() && !generate.is_empty() {
            let seed = format!("{generate}{}", self.store.revision());
            let suffix = crate::lab::model::id(&seed)[..5].to_owned();
            metadata(&mut object).insert("name".to_owned(), json!(format!("{generate}{suffix}")));
        }
        let object_name = name(&object).to_owned();
        if object_name.is_empty() {
            return Err(Refusal::new(
                422,
                "Invalid",
                "error: resource name may not be empty",
            ));
        }
        if !good_name(&resource, &object_name) {
            let why = format!(
                "metadata.name: Invalid value: \"{object_name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
            );
            return Err(invalid(&resource.kind, &object_name, &why));
        }
        if resource.namespaced {
            let place = match namespace(&object) {
                "" => "default".to_owned(),
                place => place.to_owned(),
            };
            let Some(found) = self.find("namespaces", "", &place) else {
                return Err(Refusal::new(
                    404,
                    "NotFound",
                    format!("namespaces \"{place}\" not found"),
                ));
            };
            if field(&found, &["metadata", "deletionTimestamp"]).is_some() {
                let why = format!(
                    "{} \"{object_name}\" is forbidden: unable to create new content in namespace {place} because it is being terminated",
                    resource.full()
                );
                return Err(Refusal::new(403, "Forbidden", why));
            }
            metadata(&mut object).insert("namespace".to_owned(), json!(place));
        } else {
            metadata(&mut object).remove("namespace");
        }
        if !text(&object, &["metadata", "resourceVersion"]).is_empty() {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(Refusal::new(400, "BadRequest", why));
        }
        let key = resource.key(namespace(&object), &object_name);
        if self.store.get(&key).is_some() {
            let why = format!("{} \"{object_name}\" already exists", resource.full());
            return Err(Refusal::new(409, "AlreadyExists", why));
        }
        self.fill(&resource, &mut object)?;
        self.check(&resource, None, &object)?;
        self.admit(&resource, &object, Operation::Create)?;
        let uid = uuid(&format!("{key} {}", self.store.revision()));
        let time = self.context.time();
        let owned = leaves(&object);
        let metadata = metadata(&mut object);
        metadata.insert("uid".to_owned(), json!(uid));
        metadata.insert("creationTimestamp".to_owned(), json!(time));
        metadata.insert("generation".to_owned(), json!(1));
        if field(&object, &["metadata", "managedFields"]).is_none() {
            Self::own(
                &mut object,
                manager,
                "Update",
                &owned,
                &resource.api_version(),
                &time,
            );
        }
        Ok(self.put(&resource, &object))
    }

    /// What the server fills in.
    fn fill(&mut self, resource: &Resource, object: &mut Value) -> Result<(), Refusal> {
        match resource.kind.as_str() {
            "Service" if text(object, &["spec", "type"]) != "ExternalName" => {
                let taken: BTreeSet<String> = self
                    .all("services")
                    .iter()
                    .map(|service| text(service, &["spec", "clusterIP"]).to_owned())
                    .collect();
                let wanted = text(object, &["spec", "clusterIP"]).to_owned();
                if wanted.is_empty() {
                    let free = (1..=254)
                        .flat_map(|third| (1..=254).map(move |last| format!("10.96.{third}.{last}")))
                        .find(|address| !taken.contains(address))
                        .unwrap_or_default();
                    object["spec"]["clusterIP"] = json!(free);
                } else if wanted != "None" && taken.contains(&wanted) {
                    let why = format!(
                        "spec.clusterIPs: Invalid value: [\"{wanted}\"]: failed to allocate IP {wanted}: provided IP is already allocated"
                    );
                    return Err(invalid("Service", name(object), &why));
                }
                let address = object["spec"]["clusterIP"].clone();
                object["spec"]["clusterIPs"] = json!([address]);
            }
            "Namespace" => {
                let own = name(object).to_owned();
                object["spec"]["finalizers"] = json!(["kubernetes"]);
                object["status"]["phase"] = json!("Active");
                let metadata = metadata(object);
                if !metadata.get("labels").is_some_and(Value::is_object) {
                    metadata.insert("labels".to_owned(), json!({}));
                }
                metadata["labels"]["kubernetes.io/metadata.name"] = json!(own);
            }
            "Secret" => {
                let texts = object.get("stringData").cloned().unwrap_or(Value::Null);
                for (key, value) in texts.as_object().into_iter().flatten() {
                    let bytes = value.as_str().unwrap_or_default().as_bytes();
                    object["data"][key] = json!(data_encoding::BASE64.encode(bytes));
                }
                if let Some(map) = object.as_object_mut() {
                    map.remove("stringData");
                    map.entry("type").or_insert_with(|| json!("Opaque"));
                }
            }
            "Pod" if field(object, &["status", "phase"]).is_none() => {
                object["status"]["phase"] = json!("Pending");
            }
            "Deployment" | "StatefulSet" | "ReplicaSet" if field(object, &["spec", "replicas"]).is_none() => {
                object["spec"]["replicas"] = json!(1);
            }
            _ => {}
        }
        Ok(())
    }

    /// What a kind does not allow.
    fn check(&self, resource: &Resource, old: Option<&Value>, new: &Value) -> Result<(), Refusal> {
        let (kind, of) = (resource.kind.as_str(), name(new));
        if SELECTORS.contains(&kind) {
            let selector = field(new, &["spec", "selector"]).cloned().unwrap_or(Value::Null);
            if let Some(old) = old
                && field(old, &["spec", "selector"]) != Some(&selector)
            {
                let why =
                    format!("spec.selector: Invalid value: v1.LabelSelector{selector}: field is immutable");
                return Err(invalid(kind, of, &why));
            }
            let pod = field(new, &["spec", "template"]).cloned().unwrap_or(Value::Null);
            if selector.is_null() {
                return Err(invalid(kind, of, "spec.selector: Required value"));
            }
            if !super::labels::fits(&super::labels(&pod), &selector) {
                let why = format!(
                    "spec.template.metadata.labels: Invalid value: {}: `selector` does not match template `labels`",
                    field(&pod, &["metadata", "labels"]).unwrap_or(&Value::Null)
                );
                return Err(invalid(kind, of, &why));
            }
        }
        let Some(old) = old else { return Ok(()) };
        let changed = |path: &[&str]| field(old, path) != field(new, path);
        match kind {
            "Service"
                if changed(&["spec", "clusterIP"]) && text(old, &["spec", "type"]) != "ExternalName" =>
            {
                let why = format!(
                    "spec.clusterIPs[0]: Invalid value: [\"{}\"]: may not change once set",
                    text(new, &["spec", "clusterIP"])
                );
                Err(invalid(kind, of, &why))
            }
            "ClusterRoleBinding" | "RoleBinding" if changed(&["roleRef"]) => {
                let why = format!(
                    "roleRef: Invalid value: {}: cannot change roleRef",
                    new["roleRef"]
                );
                Err(invalid(kind, of, &why))
            }
            "Secret" if changed(&["type"]) => {
                let why = format!(
                    "type: Invalid value: \"{}\": field is immutable",
                    text(new, &["type"])
                );
                Err(invalid(kind, of, &why))
            }
            "StorageClass" if changed(&["provisioner"]) => Err(invalid(
                kind,
                of,
                "provisioner: Forbidden: updates to provisioner are forbidden.",
            )),
            "IPPool" if changed(&["spec", "blockSize"]) => Err(invalid(
                kind,
                of,
                "blocksize: Invalid value: block size cannot be modified",
            )),
            _ => Ok(()),
        }
    }

    /// Writes an object that is there. With a `resourceVersion` it must be the newest.
    ///
    /// # Errors
    /// As the server refuses.
    pub fn update(&mut self, object: Value, manager: &str) -> Result<Value, Refusal> {
        let resource = self.resource_of(&object)?;
        let old = self.get(&resource, namespace(&object), name(&object))?;
        self.replace(&resource, &old, object, manager)
            .map(|(object, _)| object)
    }

    fn replace(
        &mut self,
        resource: &Resource,
        old: &Value,
        mut object: Value,
        manager: &str,
    ) -> Result<(Value, Wrote), Refusal> {
        let given = text(&object, &["metadata", "resourceVersion"]);
        if !given.is_empty() && given != text(old, &["metadata", "resourceVersion"]) {
            let why = format!(
                "Operation cannot be fulfilled on {} \"{}\": the object has been modified; please apply your changes to the latest version and try again",
                resource.full(),
                name(&object)
            );
            return Err(Refusal::new(409, "Conflict", why));
        }
        let given = text(&object, &["metadata", "uid"]);
        let uid = text(old, &["metadata", "uid"]);
        if !given.is_empty() && given != uid {
            let why = format!(
                "Operation cannot be fulfilled on {} \"{}\": Precondition failed: UID in precondition: {given}, UID in object meta: {uid}",
                resource.full(),
                name(&object)
            );
            return Err(Refusal::new(409, "Conflict", why));
        }
        for key in [
            "uid",
            "creationTimestamp",
            "generation",
            "managedFields",
            "deletionTimestamp",
        ] {
            match old["metadata"].get(key) {
                Some(value) => metadata(&mut object).insert(key.to_owned(), value.clone()),
                None => metadata(&mut object).remove(key),
            };
        }
        if resource.kind == "Service" && field(&object, &["spec", "clusterIP"]).is_none() {
            for key in ["clusterIP", "clusterIPs"] {
                object["spec"][key] = old["spec"][key].clone();
            }
        }
        if resource.kind == "Namespace" {
            object["spec"] = old["spec"].clone();
        }
        if object.get("status").is_none() && old.get("status").is_some() {
            object["status"] = old["status"].clone();
        }
        self.check(resource, Some(old), &object)?;
        let plain = |value: &Value| {
            let mut value = value.clone();
            metadata(&mut value).remove("resourceVersion");
            metadata(&mut value).remove("managedFields");
            value
        };
        if plain(old) == plain(&object) {
            return Ok((old.clone(), Wrote::Unchanged));
        }
        self.admit(resource, &object, Operation::Update)?;
        if old.get("spec") != object.get("spec") {
            let generation = old["metadata"]["generation"].as_u64().unwrap_or(1);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        let now = leaves(&object);
        let changed: BTreeSet<Vec<String>> = now
            .into_iter()
            .filter(|path| at(old, path) != at(&object, path))
            .collect();
        if !changed.is_empty() {
            let time = self.context.time();
            Self::own(
                &mut object,
                manager,
                "Update",
                &changed,
                &resource.api_version(),
                &time,
            );
        }
        let gone = field(&object, &["metadata", "deletionTimestamp"]).is_some()
            && field(&object, &["metadata", "finalizers"])
                .and_then(Value::as_array)
                .is_none_or(Vec::is_empty);
        if gone && resource.kind != "Pod" && resource.kind != "Namespace" {
            self.store
                .delete(&resource.key(namespace(&object), name(&object)));
            return Ok((object, Wrote::Changed));
        }
        Ok((self.put(resource, &object), Wrote::Changed))
    }

    /// Writes an object past admission and conflicts: what kubelets and controllers report of themselves.
    pub fn write_status(&mut self, object: &Value) {
        if let Ok(resource) = self.resource_of(object)
            && let Ok(old) = self.get(&resource, namespace(object), name(object))
        {
            let mut new = object.clone();
            metadata(&mut new).remove("resourceVersion");
            let mut old = old;
            metadata(&mut old).remove("resourceVersion");
            if new != old {
                self.put(&resource, &new);
            }
        }
    }

    /// Server-side apply: `manager` decides the fields of `object`, and no others any more.
    ///
    /// # Errors
    /// When others decide fields that differ, unless `force`; else as the server refuses.
    pub fn apply(&mut self, object: Value, manager: &str, force: bool) -> Result<(Value, Wrote), Refusal> {
        let resource = self.resource_of(&object)?;
        let place = match (resource.namespaced, namespace(&object)) {
            (true, "") => "default",
            (_, place) => place,
        };
        let owned = leaves(&object);
        let time = self.context.time();
        let version = resource.api_version();
        let Ok(old) = self.get(&resource, place, name(&object)) else {
            let mut made = object;
            Self::own(&mut made, manager, "Apply", &owned, &version, &time);
            return self.create(made, manager).map(|made| (made, Wrote::Created));
        };
        let mut conflicts = Vec::new();
        let mut mine = BTreeSet::new();
        for entry in old["metadata"]["managedFields"].as_array().into_iter().flatten() {
            let theirs = paths(&entry["fieldsV1"]);
            if entry["manager"] == manager && entry["operation"] == "Apply" {
                mine = theirs;
                continue;
            }
            for path in theirs.intersection(&owned) {
                if at(&old, path) != at(&object, path) {
                    conflicts.push((text(entry, &["manager"]).to_owned(), dotted(path)));
                }
            }
        }
        if !conflicts.is_empty() && !force {
            let lines: Vec<String> = conflicts
                .iter()
                .map(|(other, path)| format!("conflict with \"{other}\" using {version}: {path}"))
                .collect();
            let plural = if lines.len() == 1 { "conflict" } else { "conflicts" };
            let why = format!("Apply failed with {} {plural}: {}", lines.len(), lines.join("\n"));
            return Err(Refusal::new(409, "ApplyConflict", why));
        }
        let mut new = old.clone();
        for path in mine.difference(&owned) {
            remove(&mut new, path);
        }
        merge(&mut new, &object);
        if let Some(map) = new.as_object_mut()
            && let Some(status) = old.get("status")
        {
            map.insert("status".to_owned(), status.clone());
        }
        metadata(&mut new).remove("resourceVersion");
        let (written, wrote) = self.replace(&resource, &old, new, manager)?;
        let before = written["metadata"]["managedFields"].clone();
        let mut noted = written.clone();
        Self::own(&mut noted, manager, "Apply", &owned, &version, &time);
        // The update's own note is part of the apply.
        if let Some(list) = noted["metadata"]["managedFields"].as_array_mut() {
            list.retain(|entry| entry["manager"] != manager || entry["operation"] == "Apply");
        }
        if wrote == Wrote::Unchanged && owners(&before) == owners(&noted["metadata"]["managedFields"]) {
            return Ok((written, wrote));
        }
        Ok((self.put(&resource, &noted), wrote))
    }

    /// Changes parts of an object.
    ///
    /// # Errors
    /// As the server refuses.
    pub fn patch(
        &mut self,
        resource: &Resource,
        place: &str,
        of: &str,
        patch: &Value,
        how: Patch,
        manager: &str,
    ) -> Result<(Value, Wrote), Refusal> {
        let old = self.get(resource, place, of)?;
        let mut new = old.clone();
        match how {
            Patch::Strategic if resource.custom => {
                let why = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
                return Err(Refusal::new(415, "UnsupportedMediaType", why));
            }
            Patch::Strategic => merge_strategic(&mut new, patch),
            Patch::Merge => merge(&mut new, patch),
            Patch::Json => json_patch(&mut new, patch).map_err(|why| Refusal::new(422, "Invalid", why))?,
        }
        if resource.kind == "Secret" {
            self.fill(resource, &mut new)?;
        }
        self.replace(resource, &old, new, manager)
    }

    /// Deletes an object. One with finalizers, a namespace, and a pod whose node must confirm it stay until that is done.
    ///
    /// # Errors
    /// When it is not there, or a webhook stands in the way.
    pub fn delete(
        &mut self,
        resource: &Resource,
        place: &str,
        of: &str,
        cascade: Cascade,
        force: bool,
    ) -> Result<(), Refusal> {
        let mut old = self.get(resource, place, of)?;
        self.admit(resource, &old, Operation::Delete)?;
        let uid = text(&old, &["metadata", "uid"]).to_owned();
        if cascade == Cascade::Orphan {
            self.orphan(&uid);
        }
        let held = field(&old, &["metadata", "finalizers"])
            .and_then(Value::as_array)
            .is_some_and(|list| !list.is_empty());
        let waits = match resource.kind.as_str() {
            "Pod" => !force && !text(&old, &["spec", "nodeName"]).is_empty(),
            "Namespace" => true,
            _ => false,
        };
        if held || waits {
            if field(&old, &["metadata", "deletionTimestamp"]).is_none() {
                let time = self.context.time();
                metadata(&mut old).insert("deletionTimestamp".to_owned(), json!(time));
                if resource.kind == "Namespace" {
                    old["status"]["phase"] = json!("Terminating");
                }
                self.put(resource, &old);
            }
            return Ok(());
        }
        self.store.delete(&resource.key(place, of));
        if resource.kind == "CustomResourceDefinition" {
            // What a definition defines goes with it.
            let prefix = format!(
                "/registry/{}/{}/",
                text(&old, &["spec", "group"]),
                text(&old, &["spec", "names", "plural"])
            );
            let keys: Vec<String> = self.store.range(&prefix).map(|(key, _)| key.to_owned()).collect();
            for key in keys {
                self.store.delete(&key);
            }
        }
        Ok(())
    }

    /// Takes an owner from all that it owns.
    fn orphan(&mut self, uid: &str) {
        for resource in self.resources() {
            for mut object in self.list(&resource, None) {
                let Some(owners) = object["metadata"]["ownerReferences"].as_array().cloned() else {
                    continue;
                };
                let left: Vec<Value> = owners
                    .iter()
                    .filter(|owner| owner["uid"] != uid)
                    .cloned()
                    .collect();
                if left.len() != owners.len() {
                    metadata(&mut object).insert("ownerReferences".to_owned(), Value::Array(left));
                    self.put(&resource, &object);
                }
            }
        }
    }
}

/// Who decides what, without the times.
fn owners(managed: &Value) -> BTreeSet<(String, String, String)> {
    managed
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| {
            (
                text(entry, &["manager"]).to_owned(),
                text(entry, &["operation"]).to_owned(),
                entry["fieldsV1"].to_string(),
            )
        })
        .collect()
}
