//! What reaches into a container: `exec` and `cp`.
//!
//! A container has what is mounted into it, and a `/tmp` of its own that lies where Docker keeps what containers write: a
//! path in it is a path of the host. What its image holds is not simulated. Programs in containers that the simulation knows
//! answer through [`program`]; others are refused.

use super::{Docked, QUIET, host};
use crate::lab::model::etcd::{API, KV};
use crate::lab::model::{Container, Host};
use crate::lab::programs::etcd::Ctl;
use crate::lab::programs::kubectl;
use crate::lab::programs::{Caller, Failure};
use crate::lab::tools::FileOp;

/// The running or stopped container that a word means.
fn find<'a>(host: &'a Host, word: &str) -> Result<&'a Container, Failure> {
    host.find(word)
        .and_then(|name| host.containers.get(name))
        .ok_or_else(|| {
            Failure::Real(
                format!("Error response from daemon: No such container: {word}"),
                1,
            )
        })
}

/// The host's path behind a path of the container.
fn outside(host: &Host, container: &Container, path: &str) -> Option<String> {
    if path.starts_with("/tmp/") && !path.split('/').any(|part| part == "..") {
        let layer = format!(
            "{}/{}/{}/diff",
            host.engine.root, host.engine.driver, container.id
        );
        return Some(format!("{layer}{path}"));
    }
    container.mounts.iter().find_map(|mount| {
        let rest = path.strip_prefix(mount.target.trim_end_matches('/'))?;
        if !(rest.is_empty() || rest.starts_with('/')) || rest.split('/').any(|part| part == "..") {
            return None;
        }
        let source = if mount.volume {
            format!("{}/volumes/{}/_data", host.engine.root, mount.source)
        } else {
            mount.source.clone()
        };
        Some(format!("{source}{rest}"))
    })
}

pub(super) fn exec(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let flags = [
        ("interactive", 'i', false),
        ("user", 'u', true),
        ("env", 'e', true),
    ];
    let parsed = crate::lab::programs::args::parse(arguments, &flags, true)?;
    let [name, command @ ..] = parsed.words.as_slice() else {
        return Err(Failure::Real(
            "\"docker exec\" requires at least 2 arguments.".to_owned(),
            1,
        ));
    };
    let (container, on) = {
        let state = docked.state();
        let host = host(&state, docked.call.host)?;
        (find(host, name)?.clone(), host.clone())
    };
    if !container.is_running() {
        let text = format!(
            "Error response from daemon: container {} is not running",
            container.id
        );
        return Err(Failure::Real(text, 1));
    }
    if container.name == KV && command.first().is_some_and(|program| program == "etcdctl") {
        let outside = |path: &str| outside(&on, &container, path).or_else(|| own(&on, &container, path));
        let cluster = docked.call.cluster;
        let ctl = Ctl {
            host: &on.name,
            words: &command[1..],
            env: parsed.all("env"),
            outside: &outside,
            data: &format!("{}/volumes/{KV}/_data", on.engine.root),
        };
        return ctl.run(&|| cluster.state().clone(), docked.caller);
    }
    if [API, "ucp-kubelet"].contains(&container.name.as_str())
        && command.first().is_some_and(|program| program == "kubectl")
    {
        // Files that are named are files of the container.
        let files = [
            "--certificate-authority",
            "--client-certificate",
            "--client-key",
            "--kubeconfig",
        ];
        let mut words = command[1..].to_vec();
        for at in 1..words.len() {
            if files.contains(&words[at - 1].as_str())
                && let Some(path) = outside(&on, &container, &words[at])
            {
                words[at] = path;
            }
        }
        return kubectl::run(&words, docked.call, docked.caller, &kubectl::mke3);
    }
    program(docked.caller, &on, &container, command, parsed.has("interactive"))
}

/// Where a container's own files are, as the storage driver keeps them.
fn own(host: &Host, container: &Container, path: &str) -> Option<String> {
    let inside = path.starts_with("/tmp/") && !path.split('/').any(|part| part == "..");
    inside.then(|| format!("{}/overlay2/{}/diff{path}", host.engine.root, container.id))
}

/// Runs a program in a container.
fn program(
    caller: &mut dyn Caller,
    host: &Host,
    container: &Container,
    command: &[String],
    interactive: bool,
) -> Result<u8, Failure> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["true"] => Ok(0),
        ["cat"] => {
            // Without `-i` the program's input is empty.
            if interactive {
                loop {
                    let piece = caller.input()?;
                    if piece.is_empty() {
                        break;
                    }
                    caller.out(&piece)?;
                }
            }
            Ok(0)
        }
        ["rm", "-f", paths @ ..] => {
            for path in paths {
                let outside = outside(host, container, path)
                    .ok_or_else(|| Failure::Unmodelled(format!("{path}, which is not mounted")))?;
                caller.change(FileOp::Remove(outside))?;
            }
            Ok(0)
        }
        ["cat", paths @ ..] => {
            let mut status = 0;
            for path in paths {
                let outside = outside(host, container, path)
                    .or_else(|| own(host, container, path))
                    .ok_or_else(|| Failure::Unmodelled(format!("{path}, which is not mounted")))?;
                if caller.exists(&outside)? {
                    let bytes = caller.read(&outside)?;
                    caller.out(&bytes)?;
                } else {
                    status = 1;
                    caller
                        .err(format!("cat: can't open '{path}': No such file or directory\n").as_bytes())?;
                }
            }
            Ok(status)
        }
        _ => Err(Failure::Unmodelled(format!(
            "a program in {}: {}",
            container.name,
            words.join(" ")
        ))),
    }
}

/// Copies one file out of or into a container, `CONTAINER:PATH FILE` or `FILE CONTAINER:PATH`.
pub(super) fn cp(docked: &mut Docked<'_, '_>, arguments: &[String]) -> Result<u8, Failure> {
    let parsed = docked.parse(arguments, &[QUIET])?;
    let [from, to] = parsed.words.as_slice() else {
        return Err(Failure::Real(
            "\"docker cp\" requires exactly 2 arguments.".to_owned(),
            1,
        ));
    };
    let (from_inside, to_inside) = (from.split_once(':'), to.split_once(':'));
    let cwd = docked.call.cwd.trim_end_matches('/').to_owned();
    let absolute = |path: &str| {
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{cwd}/{path}")
        }
    };
    let resolve = |name: &str, path: &str| -> Result<String, Failure> {
        let state = docked.state();
        let host = host(&state, docked.call.host)?;
        let container = find(host, name)?;
        outside(host, container, path)
            .or_else(|| own(host, container, path))
            .ok_or_else(|| Failure::Unmodelled(format!("{path}, which is not mounted")))
    };
    let (source, target) = match (from_inside, to_inside) {
        (Some((name, path)), None) if to != "-" => (resolve(name, path)?, absolute(to)),
        (None, Some((name, path))) if from != "-" => (absolute(from), resolve(name, path)?),
        (Some(_), Some(_)) => {
            return Err(Failure::Real(
                "copying between containers is not supported".to_owned(),
                1,
            ));
        }
        _ => return Err(Failure::Unmodelled("docker cp of an archive".to_owned())),
    };
    if !docked.caller.exists(&source)? {
        let text = format!("Error response from daemon: Could not find the file {source}");
        return Err(Failure::Real(text, 1));
    }
    let bytes = docked.caller.read(&source)?;
    docked.caller.change(FileOp::Write {
        path: target,
        bytes,
        mode: 0o644,
    })?;
    Ok(0)
}
