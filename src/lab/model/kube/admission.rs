//! What stands between a request and the store: webhooks, whose servers run in the cluster.

use super::{Api, Refusal, Resource, field, labels, text};
use serde_json::Value;

/// What a request wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    Update,
    Delete,
}

impl Operation {
    fn word(self) -> &'static str {
        match self {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
        }
    }
}

fn lists(rule: &Value, key: &str, wanted: &str) -> bool {
    rule[key]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|one| one == "*" || one == "*/*" || one == wanted)
}

impl Api<'_> {
    /// Asks the webhooks, mutating ones first. The lab's servers agree with everything; those that do not answer refuse
    /// where their failure policy says so.
    pub(super) fn admit(
        &self,
        resource: &Resource,
        object: &Value,
        operation: Operation,
    ) -> Result<(), Refusal> {
        // Webhooks cannot stand in the way of their own removal.
        if resource.group == "admissionregistration.k8s.io" {
            return Ok(());
        }
        for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
            for configuration in self.all(kind) {
                for hook in configuration["webhooks"].as_array().into_iter().flatten() {
                    if self.concerns(hook, resource, object, operation) {
                        self.ask(hook)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn concerns(&self, hook: &Value, resource: &Resource, object: &Value, operation: Operation) -> bool {
        let ruled = hook["rules"].as_array().into_iter().flatten().any(|rule| {
            lists(rule, "operations", operation.word())
                && lists(rule, "apiGroups", &resource.group)
                && lists(rule, "apiVersions", &resource.version)
                && lists(rule, "resources", &resource.plural)
        });
        if !ruled {
            return false;
        }
        let namespace = match resource.plural.as_str() {
            "namespaces" => Some(object.clone()),
            _ if resource.namespaced => self.find("namespaces", "", text(object, &["metadata", "namespace"])),
            _ => None,
        };
        let by_namespace = hook.get("namespaceSelector").is_none_or(|selector| {
            namespace.is_none_or(|namespace| labels::fits(&super::labels(&namespace), selector))
        });
        let by_object = hook
            .get("objectSelector")
            .is_none_or(|selector| labels::fits(&super::labels(object), selector));
        by_namespace && by_object
    }

    fn ask(&self, hook: &Value) -> Result<(), Refusal> {
        // What is reached by address runs somewhere outside, where the lab has nothing that could fail.
        let Some(service) = field(hook, &["clientConfig", "service"]) else {
            return Ok(());
        };
        let (namespace, service_name) = (text(service, &["namespace"]), text(service, &["name"]));
        if self.answers(namespace, service_name) || text(hook, &["failurePolicy"]) == "Ignore" {
            return Ok(());
        }
        let name = text(hook, &["name"]);
        let path = text(service, &["path"]);
        let seconds = hook["timeoutSeconds"].as_u64().unwrap_or(10);
        let why = match self.backends(namespace, service_name) {
            None => format!("service \"{service_name}\" not found"),
            Some(pods) if pods.is_empty() => {
                format!("no endpoints available for service \"{service_name}\"")
            }
            Some(_) => "context deadline exceeded".to_owned(),
        };
        let port = service["port"].as_u64().unwrap_or(443);
        Err(Refusal::new(
            500,
            "InternalError",
            format!(
                "Internal error occurred: failed calling webhook \"{name}\": failed to call webhook: Post \"https://{service_name}.{namespace}.svc:{port}{path}?timeout={seconds}s\": {why}"
            ),
        ))
    }
}
