//! Containers: list, look at, start, stop, change, remove.

use super::{Docked, FILTER, FORMAT, FORMAT_F, QUIET, host, host_mut, views};
use crate::lab::model::{Container, Host, Phase, Restart, State};
use crate::lab::programs::Failure;
use serde_json::Value;

/// Whether a `--filter` lets a container through.
fn passes(host: &Host, one: &Container, filter: &str) -> Result<bool, Failure> {
    let (key, wanted) = filter
        .split_once('=')
        .ok_or_else(|| Failure::Real(format!("invalid argument \"{filter}\" for \"-f, --filter\" flag: bad format of filter (expected name=value)"), 125))?;
    Ok(match key {
        "name" => {
            let (start, pattern) = wanted
                .strip_prefix('^')
                .map_or((false, wanted), |rest| (true, rest));
            let (end, pattern) = pattern
                .strip_suffix('$')
                .map_or((false, pattern), |rest| (true, rest));
            let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
            if pattern.contains(['*', '[', '(', '|', '+', '?', '\\', '^', '$']) {
                return Err(Failure::Unmodelled(format!(
                    "the expression {wanted} in a filter"
                )));
            }
            match (start, end) {
                (true, true) => one.name == pattern,
                (true, false) => one.name.starts_with(pattern),
                (false, true) => one.name.ends_with(pattern),
                (false, false) => one.name.contains(pattern),
            }
        }
        "id" => one.id.starts_with(wanted),
        "status" => match wanted {
            "running" => one.is_running(),
            "exited" => matches!(one.phase, Phase::Exited(_)),
            "created" => one.phase == Phase::Created,
            "paused" | "dead" | "restarting" | "removing" => false,
            _ => {
                return Err(Failure::Real(
                    format!("Error response from daemon: invalid filter 'status={wanted}'"),
                    1,
                ));
            }
        },
        "label" => match wanted.split_once('=') {
            Some((label, value)) => one.labels.get(label).is_some_and(|has| has == value),
            None => one.labels.contains_key(wanted),
        },
        "ancestor" => one.image == wanted || host.images.get(&one.image).is_some_and(|id| id == wanted),
        "volume" => one
            .mounts
            .iter()
            .any(|mount| mount.source == wanted || mount.target == wanted),
        _ => return Err(Failure::Unmodelled(format!("the filter {key}"))),
    })
}

pub(super) fn ps(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let flags = [
        ("all", 'a', false),
        QUIET,
        FILTER,
        FORMAT,
        ("no-trunc", '\0', false),
    ];
    let parsed = docked.parse(arguments, &flags)?;
    if let Some(word) = parsed.words.first() {
        return Err(Failure::Real(
            format!("\"docker ps\" accepts no arguments: {word}"),
            1,
        ));
    }
    let mut rows = Vec::new();
    {
        let state = docked.state();
        let host = host(&state, docked.call.host)?;
        let filters = parsed.all("filter");
        let all = parsed.has("all") || filters.iter().any(|filter| filter.starts_with("status="));
        // Filters of one key widen, those of different keys narrow; labels always narrow.
        for one in host.containers.values() {
            let mut passed = all || one.is_running();
            for filter in filters {
                let key = filter.split('=').next().unwrap_or_default();
                let mut any = false;
                for other in filters
                    .iter()
                    .filter(|other| other.split('=').next() == Some(key))
                {
                    any |= passes(host, one, other)?;
                }
                passed &= if key == "label" {
                    passes(host, one, filter)?
                } else {
                    any
                };
            }
            if passed {
                let mut row = views::row(one);
                if parsed.has("no-trunc") {
                    row["ID"] = one.id.clone().into();
                }
                rows.push(row);
            }
        }
    }
    let columns = [
        ("CONTAINER ID", "ID"),
        ("IMAGE", "Image"),
        ("COMMAND", "Command"),
        ("CREATED", "RunningFor"),
        ("STATUS", "Status"),
        ("PORTS", "Ports"),
        ("NAMES", "Names"),
    ];
    docked.rows(&parsed, &rows, "ID", &columns)
}

pub(super) fn inspect(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[FORMAT_F, ("type", '\0', true)])?;
    if parsed.value("type").is_some_and(|kind| kind != "container") {
        return Err(Failure::Unmodelled("inspect of another type".to_owned()));
    }
    let (mut found, mut missing): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    {
        let state = docked.state();
        let host = host(&state, docked.call.host)?;
        for word in &parsed.words {
            match host.find(word).and_then(|name| host.containers.get(name)) {
                Some(one) => found.push(views::container(host, one)),
                None => missing.push(format!("Error: No such object: {word}")),
            }
        }
    }
    docked.inspected(&parsed, &found, &missing)
}

/// Applies a change to each named container.
fn change(
    docked: &mut Docked<'_, '_>,
    names: &[String],
    act: impl Fn(&mut Container, u64) -> Result<(), String>,
) -> Result<u8, Failure> {
    let host = docked.call.host;
    docked.each(names, |state: &mut State, word| {
        let now = state.now;
        let host = host_mut(state, host).map_err(|_| "no such host".to_owned())?;
        let name = host.find(word).map(str::to_owned);
        let one = name.and_then(|name| host.containers.get_mut(&name));
        act(one.ok_or_else(|| format!("No such container: {word}"))?, now)
    })
}

pub(super) fn start(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[])?;
    change(docked, &parsed.words, |one, now| {
        one.start(now);
        Ok(())
    })
}

fn seconds(value: Option<&str>) -> Result<(), Failure> {
    match value.map(str::parse::<i32>) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(_)) => Err(Failure::Real(
            "invalid argument for \"-t, --time\" flag".to_owned(),
            125,
        )),
    }
}

pub(super) fn stop(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(
        arguments,
        &[
            ("time", 't', true),
            ("timeout", '\0', true),
            ("signal", 's', true),
        ],
    )?;
    seconds(parsed.value("time").or(parsed.value("timeout")))?;
    change(docked, &parsed.words, |one, now| {
        one.end(0, true, now);
        Ok(())
    })
}

pub(super) fn restart(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[("time", 't', true), ("timeout", '\0', true)])?;
    seconds(parsed.value("time").or(parsed.value("timeout")))?;
    change(docked, &parsed.words, |one, now| {
        one.end(0, true, now);
        one.start(now);
        Ok(())
    })
}

pub(super) fn kill(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[("signal", 's', true)])?;
    let status = match parsed.value("signal").unwrap_or("KILL").trim_start_matches("SIG") {
        "KILL" | "9" => 137,
        "TERM" | "15" => 143,
        "INT" | "2" => 130,
        other => return Err(Failure::Unmodelled(format!("the signal {other}"))),
    };
    change(docked, &parsed.words, |one, now| {
        if !one.is_running() {
            return Err(format!(
                "cannot kill container: {}: container {} is not running",
                one.name, one.id
            ));
        }
        one.end(status, true, now);
        Ok(())
    })
}

pub(super) fn update(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[("restart", '\0', true)])?;
    let Some(policy) = parsed.value("restart") else {
        return Err(Failure::Real(
            "you must provide one or more flags when using this command.".to_owned(),
            1,
        ));
    };
    let (name, maximum) = policy.split_once(':').unwrap_or((policy, "0"));
    let restart = Restart {
        name: name.to_owned(),
        maximum: maximum.parse().map_err(|_| {
            Failure::Real(
                "invalid restart policy format: maximum retry count must be an integer".to_owned(),
                125,
            )
        })?,
    };
    if !["no", "always", "unless-stopped", "on-failure"].contains(&name) {
        return Err(Failure::Real(
            format!(
                "Error response from daemon: invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            ),
            1,
        ));
    }
    change(docked, &parsed.words, |one, _| {
        one.restart = restart.clone();
        Ok(())
    })
}

pub(super) fn remove(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[("force", 'f', false)])?;
    let (on, force) = (docked.call.host, parsed.has("force"));
    docked.each(&parsed.words, |state, word| {
        let host = host_mut(state, on).map_err(|_| "no such host".to_owned())?;
        let name = host.find(word).map(str::to_owned);
        let Some(one) = name.as_ref().and_then(|name| host.containers.get(name)) else {
            return if force { Ok(()) } else { Err(format!("No such container: {word}")) };
        };
        if one.is_running() && !force {
            return Err(format!(
                "cannot remove container \"/{}\": container is running: stop the container before removing or force remove",
                one.name
            ));
        }
        let name = one.name.clone();
        host.containers.remove(&name);
        Ok(())
    })
}

pub(super) fn wait(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[])?;
    let mut status = 0;
    for word in &parsed.words {
        loop {
            let phase = {
                let state = docked.state();
                let host = host(&state, docked.call.host)?;
                host.find(word)
                    .and_then(|name| host.containers.get(name))
                    .map(|one| one.phase)
            };
            match phase {
                None => {
                    status = 1;
                    docked
                        .caller
                        .err(format!("Error response from daemon: No such container: {word}\n").as_bytes())?;
                    break;
                }
                Some(Phase::Exited(code)) => {
                    docked.line(&code.to_string())?;
                    break;
                }
                Some(_) => docked.pause()?,
            }
        }
    }
    Ok(status)
}
