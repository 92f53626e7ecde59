//! How kubectl prints objects.

use super::{Kube, jsonpath};
use crate::lab::model::kube::{Resource, condition, labels, name, namespace, text};
use crate::lab::programs::{Failure, template};
use serde_json::{Value, json};

/// `deployment.apps/web`.
pub(super) fn reference(resource: &Resource, name: &str) -> String {
    let kind = resource.kind.to_ascii_lowercase();
    if resource.group.is_empty() {
        format!("{kind}/{name}")
    } else {
        format!("{kind}.{}/{name}", resource.group)
    }
}

/// How to print.
pub(super) struct Style<'a> {
    pub format: Option<&'a str>,
    pub headers: bool,
    pub everywhere: bool,
    pub labels: bool,
    pub managed: bool,
    /// One object was asked for by its name.
    pub single: bool,
    /// More than one kind was asked for.
    pub kinds: bool,
}

impl Kube<'_> {
    /// Prints objects with their resources.
    pub(super) fn print(&mut self, objects: &[(Resource, Value)], style: &Style<'_>) -> Result<(), Failure> {
        let (form, argument) = match style.format {
            None | Some("") => ("", ""),
            Some(format) => format.split_once('=').unwrap_or((format, "")),
        };
        let whole = || {
            let mut list: Vec<Value> = objects.iter().map(|(_, object)| object.clone()).collect();
            if !style.managed {
                for object in &mut list {
                    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                        metadata.remove("managedFields");
                    }
                }
            }
            match list.pop() {
                Some(one) if style.single && list.is_empty() => one,
                last => {
                    list.extend(last);
                    json!({"apiVersion": "v1", "items": list, "kind": "List", "metadata": {"resourceVersion": ""}})
                }
            }
        };
        match form {
            "name" => {
                for (resource, object) in objects {
                    self.line(&reference(resource, name(object)))?;
                }
            }
            "json" => {
                let text = serde_json::to_string_pretty(&whole()).unwrap_or_default();
                self.line(&text)?;
            }
            "yaml" => {
                let text = serde_yaml::to_string(&whole()).unwrap_or_default();
                self.caller.out(text.as_bytes())?;
            }
            "jsonpath" => {
                let text = jsonpath::render(argument, &whole()).map_err(wrong)?;
                self.caller.out(text.as_bytes())?;
            }
            "go-template" => {
                let text = template::render(argument, &whole()).map_err(|error| Failure::Real(error, 1))?;
                self.caller.out(text.as_bytes())?;
            }
            "custom-columns" => {
                let columns: Vec<(&str, &str)> = argument
                    .split(',')
                    .map(|column| column.split_once(':').unwrap_or((column, "")))
                    .collect();
                let mut rows = Vec::new();
                if style.headers {
                    rows.push(columns.iter().map(|(header, _)| (*header).to_owned()).collect());
                }
                for (_, object) in objects {
                    let mut row = Vec::new();
                    for (_, path) in &columns {
                        let path = path.trim_start_matches('{').trim_end_matches('}');
                        let found = jsonpath::select(path, object, object).map_err(wrong)?;
                        let texts: Vec<String> = found.into_iter().map(jsonpath::text).collect();
                        row.push(if texts.is_empty() {
                            "<none>".to_owned()
                        } else {
                            texts.join(",")
                        });
                    }
                    rows.push(row);
                }
                self.table(&rows)?;
            }
            "" | "wide" => {
                let mut rows: Vec<Vec<String>> = Vec::new();
                for (at, (resource, object)) in objects.iter().enumerate() {
                    let first = at == 0 || objects.get(at - 1).is_some_and(|(other, _)| other != resource);
                    if first {
                        self.table(&rows)?;
                        if at > 0 {
                            self.line("")?;
                        }
                        rows.clear();
                        if style.headers {
                            rows.push(row(resource, object, style, true));
                        }
                    }
                    rows.push(row(resource, object, style, false));
                }
                self.table(&rows)?;
            }
            other => return Err(Failure::Unmodelled(format!("-o {other}"))),
        }
        Ok(())
    }

    /// Columns three spaces apart.
    pub(super) fn table(&mut self, rows: &[Vec<String>]) -> Result<(), Failure> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|at| {
                rows.iter()
                    .filter_map(|row| row.get(at))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        for row in rows {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            self.line(cells.join("   ").trim_end())?;
        }
        Ok(())
    }
}

fn wrong(error: String) -> Failure {
    if error.starts_with("error") {
        Failure::Real(error, 1)
    } else {
        Failure::Unmodelled(error)
    }
}

fn row(resource: &Resource, object: &Value, style: &Style<'_>, header: bool) -> Vec<String> {
    let number = |path: &[&str]| {
        crate::lab::model::kube::field(object, path)
            .and_then(Value::as_u64)
            .unwrap_or(0)
    };
    let mut cells: Vec<(&str, String)> = Vec::new();
    if style.everywhere && resource.namespaced {
        cells.push(("NAMESPACE", namespace(object).to_owned()));
    }
    let shown = if style.kinds {
        reference(resource, name(object))
    } else {
        name(object).to_owned()
    };
    cells.push(("NAME", shown));
    match resource.kind.as_str() {
        "Pod" => {
            let ready = u8::from(condition(object, "Ready"));
            let phase = if object["metadata"].get("deletionTimestamp").is_some() {
                "Terminating"
            } else {
                text(object, &["status", "phase"])
            };
            cells.push(("READY", format!("{ready}/1")));
            cells.push(("STATUS", phase.to_owned()));
            cells.push(("RESTARTS", "0".to_owned()));
        }
        "Node" => {
            let ready = if condition(object, "Ready") {
                "Ready"
            } else {
                "NotReady"
            };
            let cordoned = object["spec"]["unschedulable"] == Value::Bool(true);
            cells.push((
                "STATUS",
                format!("{ready}{}", if cordoned { ",SchedulingDisabled" } else { "" }),
            ));
            let roles: Vec<String> = labels(object)
                .keys()
                .filter_map(|label| label.strip_prefix("node-role.kubernetes.io/").map(str::to_owned))
                .collect();
            let roles = if roles.is_empty() {
                "<none>".to_owned()
            } else {
                roles.join(",")
            };
            cells.push(("ROLES", roles));
        }
        "Deployment" | "StatefulSet" => {
            let wanted = number(&["spec", "replicas"]);
            cells.push((
                "READY",
                format!("{}/{wanted}", number(&["status", "readyReplicas"])),
            ));
        }
        "DaemonSet" => {
            cells.push((
                "DESIRED",
                number(&["status", "desiredNumberScheduled"]).to_string(),
            ));
            cells.push(("READY", number(&["status", "numberReady"]).to_string()));
        }
        "Service" => cells.push(("CLUSTER-IP", text(object, &["spec", "clusterIP"]).to_owned())),
        _ => {}
    }
    cells.push(("AGE", "1h".to_owned()));
    if resource.kind == "Node" {
        cells.push((
            "VERSION",
            text(object, &["status", "nodeInfo", "kubeletVersion"]).to_owned(),
        ));
    }
    if style.labels {
        let all: Vec<String> = labels(object)
            .into_iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        cells.push(("LABELS", all.join(",")));
    }
    cells
        .into_iter()
        .map(|(head, cell)| if header { head.to_owned() } else { cell })
        .collect()
}
