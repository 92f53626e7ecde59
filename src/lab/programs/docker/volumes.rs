//! Volumes: real directories under the engine's root.

use super::{Docked, FILTER, FORMAT, FORMAT_F, QUIET, host};
use crate::lab::programs::Failure;
use crate::lab::tools::FileOp;
use serde_json::{Value, json};

pub(super) fn volume(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let rest = arguments.get(1..).unwrap_or_default();
    match arguments.first().map(String::as_str) {
        Some("ls" | "list") => list(docked, rest),
        Some("inspect") => inspect(docked, rest),
        Some("create") => create(docked, rest),
        Some("rm" | "remove") => remove(docked, rest),
        other => Err(Failure::Unmodelled(format!(
            "docker volume {}",
            other.unwrap_or_default()
        ))),
    }
}

fn directory(docked: &Docked<'_, '_>) -> Result<String, Failure> {
    let state = docked.state();
    Ok(format!("{}/volumes", host(&state, docked.call.host)?.engine.root))
}

fn view(directory: &str, name: &str) -> Value {
    json!({
        "Name": name, "Driver": "local", "Mountpoint": format!("{directory}/{name}/_data"), "Scope": "local",
        "Labels": null, "Options": null, "CreatedAt": "2026-01-01T00:00:00Z",
    })
}

fn is_name(name: &str) -> bool {
    name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

fn list(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[QUIET, FILTER, FORMAT])?;
    let directory = directory(docked)?;
    let mut rows = Vec::new();
    for name in docked.caller.list(&directory)? {
        let mut passed = is_name(&name) && docked.caller.exists(&format!("{directory}/{name}/_data"))?;
        for filter in parsed.all("filter") {
            passed &= match filter.split_once('=') {
                Some(("name", part)) => name.contains(part),
                _ => return Err(Failure::Unmodelled(format!("the filter {filter}"))),
            };
        }
        if passed {
            rows.push(view(&directory, &name));
        }
    }
    docked.rows(
        &parsed,
        &rows,
        "Name",
        &[("DRIVER", "Driver"), ("VOLUME NAME", "Name")],
    )
}

fn inspect(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[FORMAT_F])?;
    let directory = directory(docked)?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &parsed.words {
        if is_name(name) && docked.caller.exists(&format!("{directory}/{name}/_data"))? {
            found.push(view(&directory, name));
        } else {
            missing.push(format!("Error response from daemon: get {name}: no such volume"));
        }
    }
    docked.inspected(&parsed, &found, &missing)
}

fn create(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[])?;
    let [name] = parsed.words.as_slice() else {
        return Err(Failure::Unmodelled(
            "docker volume create without a name".to_owned(),
        ));
    };
    if !is_name(name) {
        return Err(Failure::Real(
            format!(
                "Error response from daemon: create {name}: \"{name}\" includes invalid characters for a local volume name"
            ),
            1,
        ));
    }
    let path = format!("{}/{name}/_data", directory(docked)?);
    docked.caller.change(FileOp::MakeDirectory(path))?;
    docked.line(name)?;
    Ok(0)
}

fn remove(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[("force", 'f', false)])?;
    let directory = directory(docked)?;
    let mut status = 0;
    for name in &parsed.words {
        let user = {
            let state = docked.state();
            let host = host(&state, docked.call.host)?;
            host.containers
                .values()
                .find(|one| {
                    one.mounts
                        .iter()
                        .any(|mount| mount.volume && mount.source == *name)
                })
                .map(|one| one.id.clone())
        };
        let there = is_name(name) && docked.caller.exists(&format!("{directory}/{name}"))?;
        let refused = match user {
            Some(id) => Some(format!("remove {name}: volume is in use - [{id}]")),
            None if !there && !parsed.has("force") => Some(format!("get {name}: no such volume")),
            None => None,
        };
        if let Some(text) = refused {
            status = 1;
            docked
                .caller
                .err(format!("Error response from daemon: {text}\n").as_bytes())?;
            continue;
        }
        if there {
            docked
                .caller
                .change(FileOp::Remove(format!("{directory}/{name}")))?;
        }
        docked.line(name)?;
    }
    Ok(status)
}
