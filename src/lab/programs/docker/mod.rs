//! `docker`: the commands that operators and scripts use on an MKE 3 node.

mod containers;
mod images;
mod inside;
mod objects;
mod run;
mod swarm;
mod views;
mod volumes;

use super::args::{Flag, Parsed, parse};
use super::{Caller, Failure, Invocation, Tool, systemctl, template};
use crate::lab::model::{Host, State};
use serde_json::Value;
use std::sync::MutexGuard;
use std::time::Duration;

/// The Docker client and the engine behind it.
pub(super) struct Docker;

const NO_DAEMON: &str =
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";

/// One call, with the engine known to answer.
struct Docked<'a, 'b> {
    call: &'a Invocation<'b>,
    caller: &'a mut dyn Caller,
}

impl Tool for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let parsed = parse(&call.argv[1..], &[("host", 'H', true)], true)?;
        if parsed
            .value("host")
            .is_some_and(|host| host != "unix:///var/run/docker.sock")
        {
            return Err(Failure::Unmodelled("another engine".to_owned()));
        }
        let mut words: Vec<&str> = parsed.words.iter().map(String::as_str).collect();
        // `docker container X` and `docker X` are the same for most of X.
        if words.first() == Some(&"container") {
            words.remove(0);
            if words.first() == Some(&"ls") || words.first() == Some(&"list") {
                words[0] = "ps";
            }
        }
        let given: Vec<String> = words.iter().skip(1).map(|word| (*word).to_owned()).collect();
        let command = words.first().copied().unwrap_or_default();
        connect(call, caller)?;
        let mut docked = Docked { call, caller };
        let docked = &mut docked;
        match command {
            "version" => views::version(docked, &given),
            "info" => views::info(docked, &given),
            "ps" => containers::ps(docked, &given),
            "inspect" => containers::inspect(docked, &given),
            "start" => containers::start(docked, &given),
            "stop" => containers::stop(docked, &given),
            "kill" => containers::kill(docked, &given),
            "restart" => containers::restart(docked, &given),
            "update" => containers::update(docked, &given),
            "rm" => containers::remove(docked, &given),
            "wait" => containers::wait(docked, &given),
            "exec" => inside::exec(docked, &given),
            "cp" => inside::cp(docked, &given),
            "image" => images::image(docked, &given),
            "images" => images::list(docked, &given),
            "load" => images::load(docked, &given),
            "pull" => images::pull(docked, &given),
            "rmi" => images::remove(docked, &given),
            "save" => images::save(docked, &given),
            "run" => run::run(docked, &given),
            "config" | "network" | "secret" => objects::object(docked, command, &given),
            "stack" => objects::stack(docked, &given),
            "system" => views::system(docked, &given),
            "volume" => volumes::volume(docked, &given),
            "service" => swarm::service(docked, &given),
            "node" => swarm::node(docked, &given),
            "swarm" => swarm::swarm(docked, &given),
            other => Err(Failure::Unmodelled(format!("docker {other}"))),
        }
    }
}

/// Reaches the engine: where it is down and its socket is up, systemd starts it first.
fn connect(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<(), Failure> {
    let down = || Failure::Real(NO_DAEMON.to_owned(), 1);
    let (up, socket) = {
        let state = call.cluster.state();
        let host = host(&state, call.host)?;
        (
            host.docker_up(),
            host.trigger_of("docker.service").map(str::to_owned),
        )
    };
    if up {
        return Ok(());
    }
    let Some(socket) = socket else { return Err(down()) };
    systemctl::start(call, caller, "docker.service")?;
    let mut state = call.cluster.state();
    let host = host_mut(&mut state, call.host)?;
    if host.docker_up() {
        return Ok(());
    }
    // A service that its condition keeps down is asked for again and again, until systemd gives the socket up.
    if let Some(socket) = host.units.get_mut(&socket) {
        socket.active = crate::lab::model::Active::Failed;
    }
    Err(down())
}

fn host<'a>(state: &'a State, name: &str) -> Result<&'a Host, Failure> {
    state
        .hosts
        .get(name)
        .ok_or_else(|| Failure::Unmodelled(format!("the host {name}")))
}

fn host_mut<'a>(state: &'a mut State, name: &str) -> Result<&'a mut Host, Failure> {
    state
        .hosts
        .get_mut(name)
        .ok_or_else(|| Failure::Unmodelled(format!("the host {name}")))
}

impl Docked<'_, '_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.call.cluster.state()
    }

    fn parse(&self, arguments: &[String], flags: &[Flag]) -> Result<Parsed, Failure> {
        parse(arguments, flags, false)
    }

    /// Waits for the next tick. A caller that has gone meanwhile cannot be asked, which ends the wait.
    fn pause(&mut self) -> Result<(), Failure> {
        self.caller.exists("/")?;
        self.call.cluster.wait(Duration::from_secs(1));
        Ok(())
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.caller.out(format!("{text}\n").as_bytes())?)
    }

    /// Prints rows: ids alone, by template, or as a table of some columns.
    fn rows(
        &mut self,
        parsed: &Parsed,
        rows: &[Value],
        id: &str,
        columns: &[(&str, &str)],
    ) -> Result<u8, Failure> {
        if parsed.has("quiet") {
            for row in rows {
                self.line(&template::text(&row[id]))?;
            }
            return Ok(0);
        }
        match parsed.value("format") {
            None | Some("table") => self.table(rows, columns, true),
            Some("json") => self.templated("{{json .}}", rows),
            Some(format) if format.starts_with("table ") => {
                Err(Failure::Unmodelled("--format table …".to_owned()))
            }
            Some(format) => self.templated(format, rows),
        }
    }

    fn templated(&mut self, format: &str, rows: &[Value]) -> Result<u8, Failure> {
        for row in rows {
            let text = template::render(format, row).map_err(|error| Failure::Real(error, 64))?;
            self.line(&text)?;
        }
        Ok(0)
    }

    fn table(&mut self, rows: &[Value], columns: &[(&str, &str)], heads: bool) -> Result<u8, Failure> {
        let mut lines: Vec<Vec<String>> = Vec::new();
        if heads {
            lines.push(columns.iter().map(|(head, _)| (*head).to_owned()).collect());
        }
        for row in rows {
            lines.push(
                columns
                    .iter()
                    .map(|(_, key)| template::text(&row[*key]))
                    .collect(),
            );
        }
        let widths: Vec<usize> = (0..columns.len())
            .map(|at| lines.iter().map(|line| line[at].len()).max().unwrap_or(0))
            .collect();
        for line in lines {
            let cells: Vec<String> = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            self.line(cells.join("   ").trim_end())?;
        }
        Ok(0)
    }

    /// Prints what `inspect` prints: by template, or all as one JSON list. `missing` names were not found.
    fn inspected(&mut self, parsed: &Parsed, found: &[Value], missing: &[String]) -> Result<u8, Failure> {
        match parsed.value("format") {
            None | Some("json") => {
                let list = Value::from(found.to_vec());
                let text = serde_json::to_string_pretty(&list)
                    .map_err(|error| Failure::Unmodelled(error.to_string()))?;
                self.line(&text)?;
            }
            Some(format) => {
                for one in found {
                    let text = template::render(format, one).map_err(|error| Failure::Real(error, 64))?;
                    self.line(&text)?;
                }
            }
        }
        for text in missing {
            self.caller.err(format!("{text}\n").as_bytes())?;
        }
        Ok(u8::from(!missing.is_empty()))
    }

    /// Does something to each named thing, as Docker does: prints what was done, goes on after an error, ends with 1.
    fn each(
        &mut self,
        names: &[String],
        mut act: impl FnMut(&mut State, &str) -> Result<(), String>,
    ) -> Result<u8, Failure> {
        if names.is_empty() {
            return Err(Failure::Real("requires at least 1 argument.".to_owned(), 1));
        }
        let mut status = 0;
        for name in names {
            let done = act(&mut self.state(), name);
            match done {
                Ok(()) => self.line(name)?,
                Err(text) => {
                    status = 1;
                    self.caller
                        .err(format!("Error response from daemon: {text}\n").as_bytes())?;
                }
            }
        }
        Ok(status)
    }
}

/// Two flags that nearly every listing has.
const QUIET: Flag = ("quiet", 'q', false);
const FILTER: Flag = ("filter", 'f', true);
const FORMAT: Flag = ("format", '\0', true);
const FORMAT_F: Flag = ("format", 'f', true);
