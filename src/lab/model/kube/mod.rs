//! The Kubernetes API over a store of etcd: MKE 3's as well as that of k0s.
//!
//! Objects are JSON values under the keys that Kubernetes uses. An [`Api`] refuses what a real server refuses: names and
//! namespaces that are not there, fields that may not change, writes that a webhook without a server stands in the way of.

mod admission;
mod apply;
pub mod controllers;
mod kinds;
mod labels;
mod rbac;
pub mod tokens;
mod write;

pub use apply::{leaves, merge};
pub use kinds::Resource;
pub use labels::{matches as labels_match, selector as parse_selector};
pub use rbac::{Ask, User};

use super::etcd::Store;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Annotation that tells the controller of Charts that a file of its host is there: the model cannot look by itself.
pub(crate) const CHART_FILE: &str = "lab.invalid/file";

/// What an API server knows besides its store.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Tick.
    pub now: u64,
    /// `v1.32.11+k0s`.
    pub version: String,
    /// Nodes whose kubelet runs and talks to this server: pods elsewhere answer nobody.
    pub live: BTreeSet<String>,
    /// Public keys, as PEM, that tokens of service accounts are accepted with.
    pub token_keys: Vec<String>,
    /// Common names of the certificate authorities whose client certificates are accepted.
    pub client_cas: BTreeSet<String>,
    /// Names of users whom an authorizer beside RBAC lets do everything, as MKE 3's own does with its administrators.
    pub administrators: BTreeSet<String>,
}

/// Why a request was not done, as the server's `Status` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// `NotFound`, `AlreadyExists`, `Conflict`, `Invalid`, `Forbidden`, `InternalError`, …
    pub reason: &'static str,
    /// The text.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
        Refusal {
            code,
            reason,
            message: message.into(),
        }
    }

    /// As kubectl prints it.
    pub fn text(&self) -> String {
        match self.reason {
            "Invalid" => self.message.clone(),
            reason => format!("Error from server ({reason}): {}", self.message),
        }
    }
}

/// What becomes of objects that an object owns, when it is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cascade {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

/// How a patch is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patch {
    /// RFC 7386.
    Merge,
    /// Lists of objects are merged by their names.
    Strategic,
    /// RFC 6902.
    Json,
}

/// What a write did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// The object is new.
    Created,
    /// It changed.
    Changed,
    /// It was so already.
    Unchanged,
}

/// An API server's view of a store. Cheap to make; make one per request.
#[derive(Debug)]
pub struct Api<'a> {
    pub(crate) store: &'a mut Store,
    pub(crate) context: &'a Context,
}

/// A value within a value.
pub fn field<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, key| value.get(key))
}

/// A text within a value; empty when it is not there.
pub fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    field(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// Name of an object.
pub fn name(object: &Value) -> &str {
    text(object, &["metadata", "name"])
}

/// Namespace of an object; empty when it has none.
pub fn namespace(object: &Value) -> &str {
    text(object, &["metadata", "namespace"])
}

/// Labels of an object.
pub fn labels(object: &Value) -> BTreeMap<String, String> {
    field(object, &["metadata", "labels"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// Whether a condition of an object is `True`.
pub fn condition(object: &Value, kind: &str) -> bool {
    field(object, &["status", "conditions"])
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|one| one["type"] == kind && one["status"] == "True")
}

/// Sets a condition of an object, and its time where it changes.
pub fn set_condition(object: &mut Value, kind: &str, status: &str, reason: &str, message: &str, time: &str) {
    let Some(status_of) = object.as_object_mut().map(|object| {
        object
            .entry("status")
            .or_insert_with(|| Value::Object(Map::new()))
    }) else {
        return;
    };
    let Some(list) = status_of
        .as_object_mut()
        .map(|status| status.entry("conditions").or_insert_with(|| json!([])))
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    let at = list.iter().position(|one| one["type"] == kind);
    let changed = at
        .and_then(|at| list.get(at))
        .is_none_or(|one| one["status"] != status);
    let since = match at.and_then(|at| list.get(at)) {
        Some(one) if !changed => one["lastTransitionTime"].clone(),
        _ => json!(time),
    };
    let made = json!({
        "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since,
    });
    match at.and_then(|at| list.get_mut(at)) {
        Some(one) => *one = made,
        None => list.push(made),
    }
}

impl Context {
    /// Now, as objects have it.
    pub fn time(&self) -> String {
        time(self.now)
    }
}

/// A tick as a time: one second each, from the day on which every lab begins.
pub fn time(tick: u64) -> String {
    let second = 1_767_225_600 + i64::try_from(tick).unwrap_or_default();
    jiff::Timestamp::from_second(second)
        .map(|time| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
        .unwrap_or_default()
}

impl<'a> Api<'a> {
    /// Looks at a store as an API server with this context does.
    pub fn new(store: &'a mut Store, context: &'a Context) -> Api<'a> {
        Api { store, context }
    }

    /// What the server knows besides its store.
    pub fn context(&self) -> &Context {
        self.context
    }

    /// The store, for reading.
    pub fn store(&self) -> &Store {
        self.store
    }

    /// All resources.
    pub fn resources(&self) -> Vec<Resource> {
        kinds::resources(self.store)
    }

    /// The resource that a word means: plural, singular, kind or short name, with or without group.
    pub fn resource(&self, word: &str) -> Option<Resource> {
        kinds::named(self.store, word)
    }

    /// The resource of an object.
    ///
    /// # Errors
    /// When the server has no such kind.
    pub fn resource_of(&self, object: &Value) -> Result<Resource, Refusal> {
        let (version, kind) = (text(object, &["apiVersion"]), text(object, &["kind"]));
        kinds::of_kind(self.store, version, kind).ok_or_else(|| {
            Refusal::new(
                404,
                "NoMatch",
                format!("no matches for kind \"{kind}\" in version \"{version}\""),
            )
        })
    }

    fn read(&self, resource: &Resource, key: &str) -> Option<Value> {
        let entry = self.store.get(key)?;
        self.whole(resource, entry)
    }

    fn whole(&self, resource: &Resource, entry: &super::etcd::Entry) -> Option<Value> {
        let mut object = entry.value()?.clone();
        let map = object.as_object_mut()?;
        map.insert("apiVersion".to_owned(), json!(resource.api_version()));
        map.insert("kind".to_owned(), json!(resource.kind));
        if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("resourceVersion".to_owned(), json!(entry.modified.to_string()));
        }
        Some(object)
    }

    /// One object.
    ///
    /// # Errors
    /// When it is not there.
    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Value, Refusal> {
        self.read(resource, &resource.key(namespace, name))
            .ok_or_else(|| {
                Refusal::new(
                    404,
                    "NotFound",
                    format!("{} \"{name}\" not found", resource.full()),
                )
            })
    }

    /// One object, by the plural of its resource; none when the resource or the object is not there.
    pub fn find(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = self.resource(plural)?;
        self.get(&resource, namespace, name).ok()
    }

    /// Objects of one namespace, or with `None` of all, in the order of their keys.
    pub fn list(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Value> {
        self.select(resource, namespace, |_| true)
    }

    /// Those objects of [`Api::list`] that fit. Controllers look at all objects in every tick and take few, so `fits` sees
    /// an object as it is stored, before it is copied.
    pub fn select(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        fits: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        let prefix = match namespace {
            Some(namespace) if resource.namespaced => resource.key(namespace, ""),
            _ => resource.prefix(),
        };
        self.store
            .range(&prefix)
            .filter(|(_, entry)| entry.value().is_some_and(&fits))
            .filter_map(|(_, entry)| self.whole(resource, entry))
            .collect()
    }

    /// All objects of a resource by its plural; none when there is no such resource.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        self.resource(plural)
            .map(|resource| self.list(&resource, None))
            .unwrap_or_default()
    }

    /// Names of aggregated APIs that do not answer.
    pub fn dead_apis(&self) -> Vec<String> {
        self.all("apiservices")
            .iter()
            .filter(|api| {
                let service = (
                    text(api, &["spec", "service", "namespace"]),
                    text(api, &["spec", "service", "name"]),
                );
                !service.1.is_empty() && !self.answers(service.0, service.1)
            })
            .map(|api| name(api).to_owned())
            .collect()
    }

    /// Whether a pod of the service is ready on a node that is there.
    pub fn answers(&self, namespace: &str, service: &str) -> bool {
        self.backends(namespace, service)
            .is_some_and(|pods| pods.iter().any(|pod| self.is_up(pod)))
    }

    /// Pods that a service selects; none when there is no such service.
    pub fn backends(&self, namespace: &str, service: &str) -> Option<Vec<Value>> {
        let service = self.find("services", namespace, service)?;
        let wanted = field(&service, &["spec", "selector"])?;
        let pods = self.resource("pods")?;
        Some(self.select(&pods, Some(namespace), |pod| {
            labels::has_all(&labels(pod), wanted)
        }))
    }

    /// Whether a pod is ready and its node there.
    pub fn is_up(&self, pod: &Value) -> bool {
        condition(pod, "Ready")
            && field(pod, &["metadata", "deletionTimestamp"]).is_none()
            && self.context.live.contains(text(pod, &["spec", "nodeName"]))
    }
}
