//! What a swarm has besides services and nodes: configs, secrets, networks and stacks. Those of MKE 3 are always there;
//! those of users follow from their services, `STACK_NAME`.

use super::{Docked, FILTER, FORMAT, FORMAT_F, QUIET, swarm};
use crate::lab::model::{State, swarm_id};
use crate::lab::programs::Failure;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn stacks(state: &State) -> BTreeMap<String, usize> {
    let mut stacks = BTreeMap::new();
    for name in state.swarm.services.keys() {
        if let Some((stack, _)) = name.split_once('_') {
            *stacks.entry(stack.to_owned()).or_default() += 1;
        }
    }
    stacks
}

fn rows(state: &State, kind: &str) -> Vec<Value> {
    let row = |name: &str, driver: &str, scope: &str| {
        json!({
            "ID": swarm_id(&format!("{kind} {name}")), "Name": name, "Driver": driver, "Scope": scope,
            "CreatedAt": "2 months ago", "UpdatedAt": "2 months ago",
        })
    };
    match kind {
        "config" => ["com.docker.license-1", "com.docker.ucp.config-3"]
            .iter()
            .map(|name| row(name, "", ""))
            .chain(
                stacks(state)
                    .keys()
                    .map(|stack| row(&format!("{stack}_settings"), "", "")),
            )
            .collect(),
        "secret" => stacks(state)
            .keys()
            .map(|stack| row(&format!("{stack}_password"), "", ""))
            .collect(),
        _ => [
            ("bridge", "bridge", "local"),
            ("docker_gwbridge", "bridge", "local"),
            ("host", "host", "local"),
            ("ingress", "overlay", "swarm"),
            ("none", "null", "local"),
            ("ucp-hrm", "overlay", "swarm"),
        ]
        .iter()
        .map(|(name, driver, scope)| row(name, driver, scope))
        .chain(
            stacks(state)
                .keys()
                .map(|stack| row(&format!("{stack}_default"), "overlay", "swarm")),
        )
        .collect(),
    }
}

/// `docker config`, `docker secret` and `docker network`: ls and inspect.
pub(super) fn object(docked: &mut Docked<'_, '_>, kind: &str, arguments: &[String]) -> Result<u8, Failure> {
    if kind != "network" {
        swarm::serves(docked)?;
    }
    let rest = arguments.get(1..).unwrap_or_default();
    let mut rows = rows(&docked.state(), kind);
    match arguments.first().map(String::as_str) {
        Some("ls" | "list") => {
            let parsed = docked.parse(rest, &[QUIET, FILTER, FORMAT])?;
            for filter in parsed.all("filter") {
                let (key, wanted) = filter.split_once('=').unwrap_or((filter, ""));
                let field = match key {
                    "driver" => "Driver",
                    "scope" => "Scope",
                    _ => return Err(Failure::Unmodelled(format!("the filter {filter}"))),
                };
                rows.retain(|row| row[field] == wanted);
            }
            docked.rows(&parsed, &rows, "ID", &[("ID", "ID"), ("NAME", "Name")])
        }
        Some("inspect") => {
            let parsed = docked.parse(rest, &[FORMAT_F])?;
            let (mut found, mut missing) = (Vec::new(), Vec::new());
            for word in &parsed.words {
                match rows.iter().find(|row| row["Name"] == **word || row["ID"] == **word) {
                    Some(row) => found.push(json!({
                        "ID": row["ID"], "Version": {"Index": 12}, "Spec": {"Name": row["Name"], "Labels": {}},
                        "Name": row["Name"], "Driver": row["Driver"], "Scope": row["Scope"],
                    })),
                    None => missing.push(format!("Error response from daemon: {kind} {word} not found")),
                }
            }
            docked.inspected(&parsed, &found, &missing)
        }
        other => Err(Failure::Unmodelled(format!(
            "docker {kind} {}",
            other.unwrap_or_default()
        ))),
    }
}

pub(super) fn stack(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    swarm::serves(docked)?;
    match arguments.first().map(String::as_str) {
        Some("ls" | "list") => {
            let parsed = docked.parse(arguments.get(1..).unwrap_or_default(), &[FORMAT])?;
            let rows: Vec<Value> = stacks(&docked.state())
                .into_iter()
                .map(|(name, services)| json!({"Name": name, "Services": services.to_string(), "Orchestrator": "Swarm"}))
                .collect();
            docked.rows(
                &parsed,
                &rows,
                "Name",
                &[("NAME", "Name"), ("SERVICES", "Services")],
            )
        }
        other => Err(Failure::Unmodelled(format!(
            "docker stack {}",
            other.unwrap_or_default()
        ))),
    }
}
