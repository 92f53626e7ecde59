//! How Docker shows the model: JSON for `inspect`, rows for listings.

use super::{Docked, FORMAT, FORMAT_F, host, template};
use crate::lab::model::{Container, Host, Phase, State};
use crate::lab::programs::Failure;
use crate::model::Role;
use serde_json::{Value, json};

/// A tick as a time: one second each, from a fixed day.
pub(super) fn time(tick: u64) -> String {
    const START: i64 = 1_767_225_600;
    let second = START.saturating_add(i64::try_from(tick).unwrap_or(0));
    jiff::Timestamp::from_second(second)
        .unwrap_or_default()
        .to_string()
}

fn status(container: &Container) -> (&'static str, i32) {
    match container.phase {
        Phase::Created => ("created", 0),
        Phase::Running => ("running", 0),
        Phase::Exited(code) => ("exited", code),
    }
}

pub(super) fn container(host: &Host, one: &Container) -> Value {
    let (word, code) = status(one);
    let mounts: Vec<Value> = one
        .mounts
        .iter()
        .map(|mount| {
            if mount.volume {
                json!({
                    "Type": "volume", "Name": mount.source, "Destination": mount.target, "Driver": "local", "Mode": "z",
                    "RW": true, "Propagation": "",
                    "Source": format!("{}/volumes/{}/_data", host.engine.root, mount.source),
                })
            } else {
                json!({
                    "Type": "bind", "Source": mount.source, "Destination": mount.target, "Mode": "", "RW": true,
                    "Propagation": "rprivate",
                })
            }
        })
        .collect();
    let binds: Vec<String> = one
        .mounts
        .iter()
        .map(|mount| format!("{}:{}", mount.source, mount.target))
        .collect();
    json!({
        "Id": one.id,
        "Created": time(0),
        "Path": one.command.first().cloned().unwrap_or_default(),
        "Args": one.command.get(1..).unwrap_or_default(),
        "State": {
            "Status": word, "Running": word == "running", "Paused": false, "Restarting": false, "OOMKilled": false,
            "Dead": false, "Pid": one.pid, "ExitCode": code, "Error": "",
            "StartedAt": if word == "created" { "0001-01-01T00:00:00Z".to_owned() } else { time(one.started) },
            "FinishedAt": if one.finished == 0 { "0001-01-01T00:00:00Z".to_owned() } else { time(one.finished) },
        },
        "Image": host.images.get(&one.image).cloned().unwrap_or_default(),
        "Name": format!("/{}", one.name),
        "RestartCount": 0,
        "Driver": host.engine.driver,
        "Mounts": mounts,
        "HostConfig": {
            "Binds": binds,
            "RestartPolicy": {"Name": one.restart.name, "MaximumRetryCount": one.restart.maximum},
        },
        "Config": {
            "Hostname": host.name, "Image": one.image, "Env": one.env, "Cmd": one.command, "Labels": one.labels,
        },
    })
}

pub(super) fn row(one: &Container) -> Value {
    let (word, code) = status(one);
    let labels: Vec<String> = one
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mounts: Vec<&str> = one.mounts.iter().map(|mount| mount.source.as_str()).collect();
    let status = match word {
        "running" => "Up 2 hours".to_owned(),
        "created" => "Created".to_owned(),
        _ => format!("Exited ({code}) 2 hours ago"),
    };
    json!({
        "ID": one.id[..12], "FullID": one.id, "Names": one.name, "Image": one.image, "State": word, "Status": status,
        "Command": format!("\"{}\"", one.command.join(" ")), "CreatedAt": "2026-01-01 00:00:00 +0000 UTC",
        "RunningFor": "2 hours ago", "Labels": labels.join(","), "Mounts": mounts.join(","),
        "Ports": if word == "running" { one.ports.join(", ") } else { String::new() },
        "LocalVolumes": one.mounts.iter().filter(|mount| mount.volume).count().to_string(),
        "Networks": "bridge", "Size": "0B",
    })
}

fn info_of(state: &State, host: &Host) -> Value {
    let count = |phase: fn(&Container) -> bool| host.containers.values().filter(|one| phase(one)).count();
    let managers = state
        .swarm
        .nodes
        .values()
        .filter(|node| node.role == Role::Manager);
    let manager = host.in_swarm && host.role == Role::Manager;
    let remote: Vec<Value> = managers
        .clone()
        .map(|node| json!({"NodeID": node.id, "Addr": format!("{}:2377", node.address)}))
        .collect();
    let swarm = if host.in_swarm {
        json!({
            "NodeID": host.node_id, "NodeAddr": host.address, "LocalNodeState": "active", "ControlAvailable": manager,
            "Error": "", "RemoteManagers": remote,
            "Nodes": if manager { state.swarm.nodes.len() } else { 0 },
            "Managers": if manager { managers.count() } else { 0 },
            "Cluster": if manager { json!({"ID": state.swarm.id}) } else { Value::Null },
        })
    } else {
        json!({
            "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
            "RemoteManagers": null, "Nodes": 0, "Managers": 0, "Cluster": null,
        })
    };
    json!({
        "ID": host.node_id, "Name": host.name, "ServerVersion": host.engine.version, "Driver": host.engine.driver,
        "DockerRootDir": host.engine.root, "CgroupDriver": host.engine.cgroup_driver, "CgroupVersion": host.system.cgroup,
        "LiveRestoreEnabled": host.engine.live_restore, "NCPU": host.cpus, "MemTotal": host.memory,
        "OperatingSystem": host.os, "KernelVersion": host.kernel, "Architecture": host.arch, "OSType": "linux",
        "Containers": host.containers.len(), "ContainersRunning": count(Container::is_running),
        "ContainersPaused": 0, "ContainersStopped": count(|one| !one.is_running()), "Images": host.images.len(),
        "Labels": [], "Swarm": swarm,
    })
}

pub(super) fn info(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[FORMAT_F])?;
    let info = {
        let state = docked.state();
        info_of(&state, host(&state, docked.call.host)?)
    };
    let format = match parsed.value("format") {
        None => return Err(Failure::Unmodelled("docker info for people".to_owned())),
        Some("json") => "{{json .}}",
        Some(format) => format,
    };
    docked.templated(format, &[info])
}

pub(super) fn version(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[FORMAT_F])?;
    let version = {
        let state = docked.state();
        let host = host(&state, docked.call.host)?;
        json!({
            "Client": {"Version": host.engine.version, "Os": "linux"},
            "Server": {"Version": host.engine.version, "Os": "linux", "KernelVersion": host.kernel},
        })
    };
    match parsed.value("format") {
        Some(format) => docked.templated(format, &[version]),
        None => {
            let text = format!(
                "Client:\n Version:    {0}\n\nServer:\n Engine:\n  Version:  {0}",
                template::text(&version["Server"]["Version"])
            );
            docked.line(&text)?;
            Ok(0)
        }
    }
}

/// Bytes as Docker shows them: `23.62GB`.
fn human(bytes: u64) -> String {
    let units = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match units.into_iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) => format!("{}.{:02}{unit}", bytes / size, bytes % size * 100 / size),
        None => format!("{bytes}B"),
    }
}

pub(super) fn system(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments.get(1..).unwrap_or_default(), &[FORMAT])?;
    let (Some("df"), Some(format)) = (arguments.first().map(String::as_str), parsed.value("format")) else {
        return Err(Failure::Unmodelled(
            "docker system other than df --format".to_owned(),
        ));
    };
    let rows = {
        let state = docked.state();
        let host = host(&state, docked.call.host)?;
        let row = |kind: &str, count: usize, size: u64| json!({"Type": kind, "TotalCount": count.to_string(), "Active": count.to_string(), "Size": human(size), "Reclaimable": "0B"});
        [
            row("Images", host.images.len(), host.engine.images_bytes),
            row("Containers", host.containers.len(), 0),
            row("Local Volumes", 0, 0),
            row("Build Cache", 0, 0),
        ]
    };
    docked.templated(format, &rows)
}
