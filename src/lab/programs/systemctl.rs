//! `systemctl`: units of one host. Drop-ins are read from the host's `/etc/systemd/system` at `daemon-reload`, as systemd does.

use super::args::parse;
use super::k0s;
use super::{Caller, Failure, Invocation, Tool};
use crate::lab::model::{Active, Enablement, Host, State, Trouble, Unit};
use crate::lab::tools::FileOp;
use std::collections::BTreeMap;

/// Where an administrator's units and drop-ins are.
const UNITS: &str = "/etc/systemd/system";

/// The systemd client and the manager behind it.
pub(super) struct Systemctl;

fn full(name: &str) -> String {
    if name.contains('.') {
        name.to_owned()
    } else {
        format!("{name}.service")
    }
}

fn host<'a>(state: &'a mut State, call: &Invocation<'_>) -> Result<&'a mut Host, Failure> {
    state
        .hosts
        .get_mut(call.host)
        .ok_or_else(|| Failure::Unmodelled(format!("the host {}", call.host)))
}

fn unit(call: &Invocation<'_>, name: &str) -> Result<Option<Unit>, Failure> {
    Ok(host(&mut call.cluster.state(), call)?.units.get(name).cloned())
}

/// Units whose processes are simulated by [`k0s`].
fn is_k0s(unit: &str) -> bool {
    matches!(unit, "k0scontroller.service" | "k0sworker.service")
}

/// Starts a unit with its conditions looked up in the host's files.
pub(super) fn start(call: &Invocation<'_>, caller: &mut dyn Caller, name: &str) -> Result<(), Failure> {
    if is_k0s(name)
        && let Some(unit) = unit(call, name)?
        && unit.enablement != Enablement::Masked
    {
        if unit.is_active() {
            return Ok(());
        }
        return k0s::start(call, caller, name);
    }
    // Files are asked for while nothing is locked: the caller may be slow, or gone.
    let (paths, root) = {
        let mut state = call.cluster.state();
        let host = host(&mut state, call)?;
        let paths: Vec<String> = host
            .units
            .values()
            .flat_map(|unit| &unit.conditions)
            .map(|condition| condition.trim_start_matches('!').to_owned())
            .collect();
        (paths, host.engine.root.clone())
    };
    let mut there = BTreeMap::new();
    for path in paths {
        let exists = caller.exists(&path)?;
        there.insert(path, exists);
    }
    let swarm = caller.exists(&format!("{root}/swarm/docker-state.json"))?;
    let mut state = call.cluster.state();
    let now = state.now;
    let holds = |path: &str| there.get(path).copied().unwrap_or(false);
    host(&mut state, call)?
        .start_unit(name, &holds, swarm, now)
        .map_err(|trouble| match trouble {
            Trouble::NotFound(unit) => {
                Failure::Real(format!("Failed to start {unit}: Unit {unit} not found."), 5)
            }
            Trouble::Masked(unit) => {
                Failure::Real(format!("Failed to start {unit}: Unit {unit} is masked."), 1)
            }
            Trouble::Unknown(unit) => Failure::Unmodelled(format!("what {unit} does")),
        })
}

fn stop(call: &Invocation<'_>, caller: &mut dyn Caller, name: &str) -> Result<(), Failure> {
    if is_k0s(name) && unit(call, name)?.is_some() {
        k0s::stop(call, caller)?;
        if let Some(unit) = host(&mut call.cluster.state(), call)?.units.get_mut(name) {
            unit.active = Active::Inactive;
        }
        return Ok(());
    }
    let trigger = {
        let mut state = call.cluster.state();
        let now = state.now;
        let host = host(&mut state, call)?;
        host.stop_unit(name, now)
            .map_err(|_| Failure::Real(format!("Failed to stop {name}: Unit {name} not loaded."), 5))?;
        host.trigger_of(name).map(str::to_owned)
    };
    if let Some(socket) = trigger {
        let text = format!("Warning: Stopping {name}, but it can still be activated by:\n  {socket}\n");
        caller.err(text.as_bytes())?;
    }
    Ok(())
}

/// Reads drop-ins and unit files again.
pub(super) fn reload(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<(), Failure> {
    let names = caller.list(UNITS)?;
    let mut loaded = BTreeMap::new();
    let mut files = Vec::new();
    for name in names {
        if let Some(unit) = name.strip_suffix(".d") {
            let mut drop_ins = Vec::new();
            let mut conditions = Vec::new();
            for file in caller.list(&format!("{UNITS}/{name}"))? {
                if file.ends_with(".conf") {
                    let path = format!("{UNITS}/{name}/{file}");
                    conditions.extend(read_conditions(&caller.read(&path)?));
                    drop_ins.push(path);
                }
            }
            loaded.insert(unit.to_owned(), (drop_ins, conditions));
        } else if name.ends_with(".service") || name.ends_with(".socket") || name.ends_with(".timer") {
            files.push(name);
        }
    }
    let mut state = call.cluster.state();
    let host = host(&mut state, call)?;
    host.units
        .retain(|name, unit| unit.known || unit.is_active() || files.contains(name));
    for name in files {
        host.units.entry(name.clone()).or_insert_with(|| Unit {
            active: Active::Inactive,
            enablement: Enablement::Disabled,
            fragment: format!("{UNITS}/{name}"),
            known: false,
            pid: 0,
            ..Unit::running(&name, &name, 0)
        });
    }
    for unit in host.units.values_mut() {
        (unit.drop_ins, unit.conditions) = loaded.get(&unit.name).cloned().unwrap_or_default();
    }
    Ok(())
}

/// `ConditionPathExists=` of the `[Unit]` section. An empty one forgets those before it.
fn read_conditions(bytes: &[u8]) -> Vec<String> {
    let mut conditions = Vec::new();
    let mut section = String::new();
    for line in String::from_utf8_lossy(bytes).lines() {
        let line = line.trim();
        if line.starts_with('[') {
            section = line.to_owned();
        } else if let ("[Unit]", Some(path)) = (section.as_str(), line.strip_prefix("ConditionPathExists=")) {
            if path.is_empty() {
                conditions.clear();
            } else {
                conditions.push(path.to_owned());
            }
        }
    }
    conditions
}

fn properties(unit: &Unit) -> Vec<(&'static str, String)> {
    let sub = match (unit.active, unit.name.ends_with(".socket")) {
        (Active::Active, true) => "listening",
        (Active::Active, false) => "running",
        (Active::Inactive, _) => "dead",
        (Active::Failed, _) => "failed",
        (Active::Restarting, _) => "auto-restart",
    };
    let masked = unit.enablement == Enablement::Masked;
    vec![
        ("Id", unit.name.clone()),
        ("Description", unit.description.clone()),
        ("LoadState", if masked { "masked" } else { "loaded" }.to_owned()),
        ("ActiveState", unit.active.word().to_owned()),
        ("SubState", sub.to_owned()),
        ("UnitFileState", unit.enablement.word().to_owned()),
        ("FragmentPath", unit.fragment.clone()),
        ("DropInPaths", unit.drop_ins.join(" ")),
        (
            "ConditionResult",
            if unit.condition_held { "yes" } else { "no" }.to_owned(),
        ),
        ("MainPID", if unit.is_active() { unit.pid } else { 0 }.to_string()),
        (
            "Result",
            if unit.active == Active::Failed {
                "trigger-limit-hit"
            } else {
                "success"
            }
            .to_owned(),
        ),
    ]
}

fn missing(name: &str) -> Vec<(&'static str, String)> {
    let mut unit = Unit::running(name, name, 0);
    unit.active = Active::Inactive;
    let mut all = properties(&unit);
    for (key, value) in &mut all {
        match *key {
            "LoadState" => *value = "not-found".to_owned(),
            "UnitFileState" | "FragmentPath" => value.clear(),
            "ConditionResult" => *value = "no".to_owned(),
            _ => {}
        }
    }
    all
}

pub(super) fn enable(
    call: &Invocation<'_>,
    caller: &mut dyn Caller,
    name: &str,
    on: bool,
) -> Result<(), Failure> {
    let Some(unit) = unit(call, name)? else {
        let verb = if on { "enable" } else { "disable" };
        return Err(Failure::Real(
            format!("Failed to {verb} unit: Unit file {name} does not exist."),
            1,
        ));
    };
    if unit.enablement == Enablement::Masked && on {
        return Err(Failure::Real(
            format!("Failed to enable unit: Unit file {UNITS}/{name} is masked."),
            1,
        ));
    }
    let wants = format!("{UNITS}/{}.wants", unit.wanted_by);
    let link = format!("{wants}/{name}");
    if on && unit.enablement != Enablement::Enabled {
        caller.change(FileOp::MakeDirectory(wants))?;
        caller.change(FileOp::Link {
            path: link.clone(),
            target: unit.fragment.clone(),
        })?;
        caller.err(format!("Created symlink {link} → {}.\n", unit.fragment).as_bytes())?;
    } else if !on && unit.enablement == Enablement::Enabled {
        caller.change(FileOp::Remove(link.clone()))?;
        caller.err(format!("Removed {link}.\n").as_bytes())?;
    }
    if let Some(unit) = host(&mut call.cluster.state(), call)?.units.get_mut(name)
        && unit.enablement != Enablement::Masked
    {
        unit.enablement = if on {
            Enablement::Enabled
        } else {
            Enablement::Disabled
        };
    }
    Ok(())
}

fn mask(call: &Invocation<'_>, caller: &mut dyn Caller, name: &str, on: bool) -> Result<(), Failure> {
    let path = format!("{UNITS}/{name}");
    let Some(unit) = unit(call, name)? else {
        return Err(Failure::Real(
            format!("Unit {name} does not exist, proceeding anyway."),
            1,
        ));
    };
    if on {
        if unit.fragment == path {
            return Err(Failure::Real(
                format!("Failed to mask unit: File {path} already exists."),
                1,
            ));
        }
        caller.change(FileOp::Link {
            path,
            target: "/dev/null".to_owned(),
        })?;
    } else if unit.enablement == Enablement::Masked {
        caller.change(FileOp::Remove(path))?;
    }
    let mut state = call.cluster.state();
    if let Some(unit) = host(&mut state, call)?.units.get_mut(name) {
        if on {
            unit.enablement = Enablement::Masked;
        } else if unit.enablement == Enablement::Masked {
            unit.enablement = Enablement::Enabled;
        }
    }
    Ok(())
}

impl Tool for Systemctl {
    fn name(&self) -> &'static str {
        "systemctl"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let flags = [
            ("quiet", 'q', false),
            ("now", '\0', false),
            ("no-pager", '\0', false),
            ("no-block", '\0', false),
            ("property", 'p', true),
            ("value", '\0', false),
        ];
        let parsed = parse(&call.argv[1..], &flags, false)?;
        k0s::catch_up(call, caller)?;
        let verb = parsed.words.first().map_or("", String::as_str);
        let names: Vec<String> = parsed.words.iter().skip(1).map(|name| full(name)).collect();
        if names.is_empty() && !matches!(verb, "daemon-reload" | "is-system-running" | "reset-failed") {
            return Err(match verb {
                "start" | "stop" | "restart" | "enable" | "disable" | "mask" | "unmask" | "is-active"
                | "is-enabled" => Failure::Real("Too few arguments.".to_owned(), 1),
                other => Failure::Unmodelled(format!("systemctl {other} without units")),
            });
        }
        match verb {
            "daemon-reload" => reload(call, caller).map(|()| 0),
            "is-system-running" => {
                caller.out(b"running\n")?;
                Ok(0)
            }
            "reset-failed" => {
                for unit in host(&mut call.cluster.state(), call)?.units.values_mut() {
                    if unit.active == Active::Failed && (names.is_empty() || names.contains(&unit.name)) {
                        unit.active = Active::Inactive;
                    }
                }
                Ok(0)
            }
            "start" => names
                .iter()
                .try_for_each(|name| start(call, caller, name))
                .map(|()| 0),
            "stop" => names
                .iter()
                .try_for_each(|name| stop(call, caller, name))
                .map(|()| 0),
            "restart" => {
                for name in &names {
                    if is_k0s(name) && unit(call, name)?.is_some() {
                        stop(call, caller, name)?;
                    } else if unit(call, name)?.is_some_and(|unit| unit.is_active()) {
                        let mut state = call.cluster.state();
                        let now = state.now;
                        // It is there, so stopping cannot fail.
                        let _ = host(&mut state, call)?.stop_unit(name, now);
                    }
                    start(call, caller, name)?;
                }
                Ok(0)
            }
            "enable" | "disable" => {
                for name in &names {
                    enable(call, caller, name, verb == "enable")?;
                    if parsed.has("now") {
                        if verb == "enable" {
                            start(call, caller, name)?
                        } else {
                            stop(call, caller, name)?
                        }
                    }
                }
                Ok(0)
            }
            "mask" | "unmask" => {
                for name in &names {
                    mask(call, caller, name, verb == "mask")?;
                    if parsed.has("now") && verb == "mask" {
                        stop(call, caller, name)?;
                    }
                }
                Ok(0)
            }
            "is-active" | "is-failed" => {
                let mut any = false;
                let mut known = false;
                for name in &names {
                    let unit = unit(call, name)?;
                    known |= unit.is_some();
                    let active = unit.map_or(Active::Inactive, |unit| unit.active);
                    any |= active
                        == if verb == "is-active" {
                            Active::Active
                        } else {
                            Active::Failed
                        };
                    if !parsed.has("quiet") {
                        caller.out(format!("{}\n", active.word()).as_bytes())?;
                    }
                }
                Ok(match (any, verb, known) {
                    (true, _, _) => 0,
                    (false, "is-failed", _) => 1,
                    (false, _, true) => 3,
                    (false, _, false) => 4,
                })
            }
            "is-enabled" => {
                let mut status = 1;
                for name in &names {
                    let Some(unit) = unit(call, name)? else {
                        let text =
                            format!("Failed to get unit file state for {name}: No such file or directory");
                        return Err(Failure::Real(text, 1));
                    };
                    if unit.enablement == Enablement::Enabled {
                        status = 0;
                    }
                    if !parsed.has("quiet") {
                        caller.out(format!("{}\n", unit.enablement.word()).as_bytes())?;
                    }
                }
                Ok(status)
            }
            "show" => {
                let wanted: Vec<&str> = parsed
                    .all("property")
                    .iter()
                    .flat_map(|list| list.split(','))
                    .collect();
                for (at, name) in names.iter().enumerate() {
                    let all = unit(call, name)?.map_or_else(|| missing(name), |unit| properties(&unit));
                    if let Some(other) = wanted.iter().find(|key| !all.iter().any(|(has, _)| has == *key)) {
                        return Err(Failure::Unmodelled(format!("the property {other}")));
                    }
                    if at > 0 {
                        caller.out(b"\n")?;
                    }
                    for (key, value) in all
                        .iter()
                        .filter(|(key, _)| wanted.is_empty() || wanted.contains(key))
                    {
                        let line = if parsed.has("value") {
                            format!("{value}\n")
                        } else {
                            format!("{key}={value}\n")
                        };
                        caller.out(line.as_bytes())?;
                    }
                }
                Ok(0)
            }
            other => Err(Failure::Unmodelled(format!("systemctl {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::read_conditions;

    #[test]
    fn only_conditions_of_the_unit_section_count() {
        let text = b"[Unit]\nConditionPathExists=/a\nConditionPathExists=\nConditionPathExists=!/b\n[Service]\nConditionPathExists=/c\n";
        assert_eq!(read_conditions(text), ["!/b"]);
    }
}
