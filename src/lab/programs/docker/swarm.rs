//! Swarm: services and nodes, as long as the managers have a majority.

use super::{Docked, FILTER, FORMAT, FORMAT_F, QUIET, host, views};
use crate::lab::model::{Mode, Node, Service, State};
use crate::lab::programs::Failure;
use crate::model::Role;
use serde_json::{Value, json};

const NOT_MANAGER: &str = "Error response from daemon: This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.";
const NOT_SWARM: &str = "Error response from daemon: This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";
const NO_LEADER: &str = "Error response from daemon: rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.";

/// Refuses as a manager without a majority, a worker, or an engine outside a swarm does.
pub(super) fn serves(docked: &Docked<'_, '_>) -> Result<(), Failure> {
    use crate::lab::model::NoSwarm;
    let state = docked.state();
    let host = host(&state, docked.call.host)?;
    state.serves_swarm(host).map_err(|why| {
        let text = match why {
            NoSwarm::Inactive => NOT_SWARM,
            NoSwarm::Worker => NOT_MANAGER,
            NoSwarm::NoLeader => NO_LEADER,
        };
        Failure::Real(text.to_owned(), 1)
    })
}

fn mode(service: &Service) -> Value {
    match service.mode {
        Mode::Global => json!({"Global": {}}),
        Mode::Replicated(count) => json!({"Replicated": {"Replicas": count}}),
    }
}

fn service_view(one: &Service) -> Value {
    json!({
        "ID": one.id, "Version": {"Index": one.version}, "CreatedAt": views::time(0), "UpdatedAt": views::time(one.updated),
        "Spec": {
            "Name": one.name, "Labels": one.labels, "Mode": mode(one),
            "TaskTemplate": {
                "ContainerSpec": {"Image": one.image, "Mounts": []},
                "Placement": if one.constraints.is_empty() { json!({}) } else { json!({"Constraints": one.constraints}) },
            },
        },
    })
}

fn service_row(state: &State, one: &Service) -> Value {
    let wanted = match one.mode {
        Mode::Global => state.placed(one).len(),
        Mode::Replicated(count) => count as usize,
    };
    json!({
        "ID": one.id[..12], "Name": one.name, "Image": one.image, "Ports": "",
        "Mode": if one.mode == Mode::Global { "global" } else { "replicated" },
        "Replicas": format!("{}/{wanted}", state.running_tasks(&one.name)),
    })
}

fn find<'a>(state: &'a State, word: &str) -> Option<&'a Service> {
    let services = &state.swarm.services;
    services.get(word).or_else(|| {
        let mut with = services
            .values()
            .filter(|one| !word.is_empty() && one.id.starts_with(word));
        with.next().filter(|_| with.next().is_none())
    })
}

pub(super) fn service(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let rest = arguments.get(1..).unwrap_or_default();
    serves(docked)?;
    match arguments.first().map(String::as_str) {
        Some("ls" | "list") => {
            let parsed = docked.parse(rest, &[QUIET, FILTER, FORMAT])?;
            let rows: Vec<Value> = {
                let state = docked.state();
                let mut rows = Vec::new();
                for one in state.swarm.services.values() {
                    let mut passed = true;
                    for filter in parsed.all("filter") {
                        passed &= match filter.split_once('=') {
                            // Names are compared from their start.
                            Some(("name", start)) => one.name.starts_with(start),
                            Some(("id", start)) => one.id.starts_with(start),
                            _ => return Err(Failure::Unmodelled(format!("the filter {filter}"))),
                        };
                    }
                    if passed {
                        rows.push(service_row(&state, one));
                    }
                }
                rows
            };
            let columns = [
                ("ID", "ID"),
                ("NAME", "Name"),
                ("MODE", "Mode"),
                ("REPLICAS", "Replicas"),
                ("IMAGE", "Image"),
            ];
            docked.rows(&parsed, &rows, "ID", &columns)
        }
        Some("inspect") => {
            let parsed = docked.parse(rest, &[FORMAT_F])?;
            let (mut found, mut missing) = (Vec::new(), Vec::new());
            for word in &parsed.words {
                match find(&docked.state(), word) {
                    Some(one) => found.push(service_view(one)),
                    None => missing.push(format!("Error: no such service: {word}")),
                }
            }
            docked.inspected(&parsed, &found, &missing)
        }
        Some("ps") => tasks(docked, rest),
        Some("scale") => scale(docked, rest),
        Some("update") => update(docked, rest),
        Some("rm" | "remove") => {
            let parsed = docked.parse(rest, &[])?;
            docked.each(&parsed.words, |state, word| {
                let name = find(state, word).map(|one| one.name.clone());
                let name = name.ok_or_else(|| format!("service {word} not found"))?;
                state.swarm.services.remove(&name);
                Ok(())
            })
        }
        other => Err(Failure::Unmodelled(format!(
            "docker service {}",
            other.unwrap_or_default()
        ))),
    }
}

fn tasks(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[QUIET, FILTER, FORMAT, ("no-trunc", '\0', false)])?;
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    for word in &parsed.words {
        let state = docked.state();
        let Some(one) = find(&state, word) else {
            missing.push(word.clone());
            continue;
        };
        for host in state.hosts.values() {
            for container in host.containers.values() {
                let label = |name: &str| container.labels.get(name).map_or("", String::as_str);
                if label("com.docker.swarm.service.name") != one.name {
                    continue;
                }
                // What the managers wanted: tasks of a silent node show as they were.
                let running = container.is_running();
                let (desired, current) = if running {
                    ("Running", "Running 2 hours ago")
                } else {
                    ("Shutdown", "Shutdown 2 hours ago")
                };
                let mut passed = true;
                for filter in parsed.all("filter") {
                    passed &= match filter.split_once('=') {
                        Some(("desired-state", wanted)) => desired.eq_ignore_ascii_case(wanted),
                        Some(("node", wanted)) => host.name == wanted || host.node_id == wanted,
                        _ => return Err(Failure::Unmodelled(format!("the filter {filter}"))),
                    };
                }
                if passed {
                    rows.push(json!({
                        "ID": label("com.docker.swarm.task.id"), "Name": label("com.docker.swarm.task.name"),
                        "Image": one.image, "Node": host.name, "DesiredState": desired, "CurrentState": current,
                        "Error": "", "Ports": "",
                    }));
                }
            }
        }
    }
    let columns = [
        ("ID", "ID"),
        ("NAME", "Name"),
        ("IMAGE", "Image"),
        ("NODE", "Node"),
        ("DESIRED STATE", "DesiredState"),
        ("CURRENT STATE", "CurrentState"),
    ];
    docked.rows(&parsed, &rows, "ID", &columns)?;
    match missing.first() {
        Some(word) => Err(Failure::Real(format!("no such service: {word}"), 1)),
        None => Ok(0),
    }
}

fn scale(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[("detach", 'd', false)])?;
    for word in &parsed.words {
        let Some((name, Ok(count))) = word
            .split_once('=')
            .map(|(name, count)| (name, count.parse::<u32>()))
        else {
            return Err(Failure::Real(format!("invalid scale specifier '{word}'"), 1));
        };
        {
            let mut state = docked.state();
            let now = state.now;
            let found = find(&state, name).map(|one| one.name.clone());
            let Some(one) = found.and_then(|name| state.swarm.services.get_mut(&name)) else {
                return Err(Failure::Real(
                    format!("{name}: Error response from daemon: service {name} not found"),
                    1,
                ));
            };
            if one.mode == Mode::Global {
                return Err(Failure::Real(
                    format!("{name}: scale can only be used with replicated or replicated-job mode"),
                    1,
                ));
            }
            one.mode = Mode::Replicated(count);
            one.version += 1;
            one.updated = now;
        }
        docked.line(&format!("{name} scaled to {count}"))?;
        converge(docked, name, parsed.has("detach"))?;
    }
    Ok(0)
}

fn update(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let flags = [
        ("detach", 'd', false),
        QUIET,
        ("constraint-add", '\0', true),
        ("constraint-rm", '\0', true),
        ("replicas", '\0', true),
        ("force", '\0', false),
        ("label-add", '\0', true),
        ("label-rm", '\0', true),
    ];
    let parsed = docked.parse(arguments, &flags)?;
    let [word] = parsed.words.as_slice() else {
        return Err(Failure::Real(
            "\"docker service update\" requires exactly 1 argument.".to_owned(),
            1,
        ));
    };
    {
        let mut state = docked.state();
        let now = state.now;
        let found = find(&state, word).map(|one| one.name.clone());
        let Some(one) = found.and_then(|name| state.swarm.services.get_mut(&name)) else {
            return Err(Failure::Real(
                format!("Error response from daemon: service {word} not found"),
                1,
            ));
        };
        let mut changed = one.clone();
        changed
            .constraints
            .retain(|has| !parsed.all("constraint-rm").iter().any(|gone| same(gone, has)));
        for new in parsed.all("constraint-add") {
            if !new.contains("==") && !new.contains("!=") {
                let text = format!(
                    "Error response from daemon: rpc error: code = InvalidArgument desc = TaskSpec: Placement: invalid expression \"{new}\""
                );
                return Err(Failure::Real(text, 1));
            }
            if !changed.constraints.iter().any(|has| same(new, has)) {
                changed.constraints.push(new.clone());
            }
        }
        for label in parsed.all("label-rm") {
            changed.labels.remove(label);
        }
        for label in parsed.all("label-add") {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            changed.labels.insert(key.to_owned(), value.to_owned());
        }
        if let Some(replicas) = parsed.value("replicas") {
            if one.mode == Mode::Global {
                return Err(Failure::Real(
                    "replicas can only be used with replicated or replicated-job mode".to_owned(),
                    1,
                ));
            }
            let count = replicas.parse().map_err(|_| {
                Failure::Real(
                    format!("invalid argument \"{replicas}\" for \"--replicas\" flag"),
                    125,
                )
            })?;
            changed.mode = Mode::Replicated(count);
        }
        changed.version += 1;
        changed.updated = now;
        *one = changed;
    }
    docked.line(word)?;
    converge(docked, word, parsed.has("detach"))?;
    Ok(0)
}

/// Spaces around the operator do not make another constraint.
fn same(one: &str, two: &str) -> bool {
    let plain = |text: &str| text.replace(' ', "");
    plain(one) == plain(two)
}

/// Without `--detach` the client waits until the tasks are as wanted.
fn converge(docked: &mut Docked<'_, '_>, service: &str, detach: bool) -> Result<(), Failure> {
    if detach {
        return Ok(());
    }
    loop {
        {
            let state = docked.state();
            let Some(one) = find(&state, service) else { break };
            if state.running_tasks(&one.name) == state.placed(one).len() {
                break;
            }
        }
        docked.pause()?;
    }
    Ok(())
}

fn node_view(state: &State, one: &Node, leader: Option<&str>) -> Value {
    let manager = one.role == Role::Manager;
    let mut view = json!({
        "ID": one.id, "Version": {"Index": 9}, "CreatedAt": views::time(0), "UpdatedAt": views::time(0),
        "Spec": {
            "Role": if manager { "manager" } else { "worker" }, "Availability": one.availability, "Labels": one.labels,
        },
        "Description": {
            "Hostname": one.hostname, "Platform": {"Architecture": "x86_64", "OS": "linux"},
            "Engine": {"EngineVersion": state.hosts.get(&one.hostname).map_or("", |host| host.engine.version.as_str())},
        },
        "Status": {"State": state.node_state(one), "Addr": one.address},
        "ManagerStatus": null,
    });
    if manager {
        let up = state
            .hosts
            .get(&one.hostname)
            .is_some_and(|host| host.docker_up() && host.in_swarm);
        view["ManagerStatus"] = json!({
            "Reachability": if up { "reachable" } else { "unreachable" }, "Addr": format!("{}:2377", one.address),
            "Leader": leader == Some(one.id.as_str()),
        });
    }
    view
}

fn node_row(state: &State, one: &Node, leader: Option<&str>, own: &str) -> Value {
    let capital = |text: &str| text[..1].to_uppercase() + &text[1..];
    let view = node_view(state, one, leader);
    let status = match (&view["ManagerStatus"], leader == Some(one.id.as_str())) {
        (Value::Null, _) => String::new(),
        (_, true) => "Leader".to_owned(),
        (status, false) => capital(status["Reachability"].as_str().unwrap_or("unknown")),
    };
    json!({
        "ID": one.id, "Self": one.id == own, "Hostname": one.hostname, "Status": capital(state.node_state(one)),
        "Availability": capital(&one.availability), "ManagerStatus": status, "TLSStatus": "Ready",
        "EngineVersion": view["Description"]["Engine"]["EngineVersion"],
    })
}

pub(super) fn node(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let rest = arguments.get(1..).unwrap_or_default();
    serves(docked)?;
    match arguments.first().map(String::as_str) {
        Some("ls" | "list") => {
            let parsed = docked.parse(rest, &[QUIET, FILTER, FORMAT])?;
            let rows: Vec<Value> = {
                let state = docked.state();
                let own = host(&state, docked.call.host)?.node_id.clone();
                let leader = state.swarm_leader();
                let mut rows = Vec::new();
                for one in state.swarm.nodes.values() {
                    let mut passed = true;
                    for filter in parsed.all("filter") {
                        passed &= match filter.split_once('=') {
                            Some(("role", wanted)) => (one.role == Role::Manager) == (wanted == "manager"),
                            Some(("name", wanted)) => one.hostname.starts_with(wanted),
                            Some(("id", wanted)) => one.id.starts_with(wanted),
                            _ => return Err(Failure::Unmodelled(format!("the filter {filter}"))),
                        };
                    }
                    if passed {
                        rows.push(node_row(&state, one, leader, &own));
                    }
                }
                rows
            };
            let columns = [
                ("ID", "ID"),
                ("HOSTNAME", "Hostname"),
                ("STATUS", "Status"),
                ("AVAILABILITY", "Availability"),
                ("MANAGER STATUS", "ManagerStatus"),
                ("ENGINE VERSION", "EngineVersion"),
            ];
            docked.rows(&parsed, &rows, "ID", &columns)
        }
        Some("inspect") => {
            let parsed = docked.parse(rest, &[FORMAT_F])?;
            let (mut found, mut missing) = (Vec::new(), Vec::new());
            {
                let state = docked.state();
                let own = host(&state, docked.call.host)?.node_id.clone();
                for word in &parsed.words {
                    let word = if word == "self" { &own } else { word };
                    let one = state
                        .swarm
                        .nodes
                        .values()
                        .find(|one| one.id == *word || one.hostname == *word);
                    match one {
                        Some(one) => found.push(node_view(&state, one, state.swarm_leader())),
                        None => missing.push(format!("Error: No such node: {word}")),
                    }
                }
            }
            docked.inspected(&parsed, &found, &missing)
        }
        other => Err(Failure::Unmodelled(format!(
            "docker node {}",
            other.unwrap_or_default()
        ))),
    }
}

pub(super) fn swarm(_: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    // Leaving a swarm is how an upgrade would destroy it; nothing simulates it yet, so nothing pretends to.
    Err(Failure::Unmodelled(format!(
        "docker swarm {}",
        arguments.first().map_or("", String::as_str)
    )))
}
