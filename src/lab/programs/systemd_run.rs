//! `systemd-run`: transient services. The only program that the simulation knows to run in one is
//! `systemd-socket-activate`, which listens and starts a program for every connection.

use super::args::parse;
use super::{Caller, Failure, Invocation, Tool};
use crate::lab::model::{Listener, Unit};
use crate::lab::tools::FileOp;

/// The client that makes transient units.
pub(super) struct SystemdRun;

/// What a listener is asked when it starts, to know what it will answer.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: lab\r\nAccept: */*\r\n\r\n";

/// What listens in a transient unit. Nobody calls it otherwise.
pub(super) struct SocketActivate;

impl Tool for SocketActivate {
    fn name(&self) -> &'static str {
        "systemd-socket-activate"
    }

    fn run(&self, _: &Invocation<'_>, _: &mut dyn Caller) -> Result<u8, Failure> {
        Err(Failure::Unmodelled("a listener outside a unit".to_owned()))
    }
}

impl Tool for SystemdRun {
    fn name(&self) -> &'static str {
        "systemd-run"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let flags = [
            ("unit", 'u', true),
            ("quiet", 'q', false),
            ("collect", 'G', false),
            ("property", 'p', true),
            ("description", '\0', true),
        ];
        let parsed = parse(&call.argv[1..], &flags, true)?;
        let (Some(name), true) = (parsed.value("unit"), parsed.has("collect")) else {
            return Err(Failure::Unmodelled(
                "systemd-run without --unit and --collect".to_owned(),
            ));
        };
        let name = format!("{}.service", name.trim_end_matches(".service"));
        let [program, arguments @ ..] = parsed.words.as_slice() else {
            return Err(Failure::Real("Command line to execute required.".to_owned(), 1));
        };
        if program.rsplit('/').next() != Some("systemd-socket-activate") {
            return Err(Failure::Unmodelled(format!("a service that runs {program}")));
        }
        let listen = [
            ("listen", 'l', true),
            ("accept", 'a', false),
            ("inetd", '\0', false),
        ];
        let listen = parse(arguments, &listen, true)?;
        let port = listen.value("listen").and_then(|port| port.parse::<u16>().ok());
        let (Some(port), true) = (port, listen.has("accept") && listen.has("inetd")) else {
            return Err(Failure::Unmodelled("a listener of this form".to_owned()));
        };
        let (there, taken) = {
            let state = call.cluster.state();
            let host = state
                .hosts
                .get(call.host)
                .ok_or_else(|| Failure::Unmodelled(format!("the host {}", call.host)))?;
            (
                host.units.contains_key(&name),
                state.answers(host, port).is_some(),
            )
        };
        if there {
            return Err(Failure::Real(
                format!(
                    "Failed to start transient service unit: Unit {name} was already loaded or has a fragment file."
                ),
                1,
            ));
        }
        // The service is started in any case; where the port is taken its program ends at once, and nobody keeps the unit.
        if !taken {
            let answer = caller.run(&listen.words, REQUEST)?;
            caller.change(FileOp::MakeDirectory("/run/systemd/transient".to_owned()))?;
            let mut state = call.cluster.state();
            if let Some(host) = state.hosts.get_mut(call.host) {
                let mut unit = Unit::running(&name, parsed.value("description").unwrap_or(&name), 4242);
                unit.fragment = format!("/run/systemd/transient/{name}");
                unit.transient = true;
                host.units.insert(name.clone(), unit);
                let listener = Listener {
                    unit: name.clone(),
                    answer,
                };
                host.system.listeners.insert(port, listener);
            }
        }
        if !parsed.has("quiet") {
            caller.err(format!("Running as unit: {name}\n").as_bytes())?;
        }
        Ok(0)
    }
}
