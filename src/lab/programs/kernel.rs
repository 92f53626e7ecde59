//! `sysctl` and `modprobe`.

use super::args::parse;
use super::{Caller, Failure, Invocation, Tool};
use crate::lab::model::{Host, State};

/// Kernel settings.
pub(super) struct Sysctl;

/// Kernel modules.
pub(super) struct Modprobe;

/// The mode of SELinux.
pub(super) struct Getenforce;

fn host<'a>(state: &'a mut State, call: &Invocation<'_>) -> Result<&'a mut Host, Failure> {
    state
        .hosts
        .get_mut(call.host)
        .ok_or_else(|| Failure::Unmodelled(format!("the host {}", call.host)))
}

impl Tool for Sysctl {
    fn name(&self) -> &'static str {
        "sysctl"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let flags = [
            ("values", 'n', false),
            ("quiet", 'q', false),
            ("write", 'w', false),
            ("ignore", 'e', false),
        ];
        let parsed = parse(&call.argv[1..], &flags, false)?;
        if parsed.words.is_empty() {
            return Err(Failure::Unmodelled("sysctl without a key".to_owned()));
        }
        let mut status = 0;
        for word in &parsed.words {
            let (key, value) = match word.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None if parsed.has("write") => {
                    return Err(Failure::Real(
                        format!("sysctl: \"{word}\" must be of the form name=value"),
                        1,
                    ));
                }
                None => (word.as_str(), None),
            };
            let shown = {
                let mut state = call.cluster.state();
                match host(&mut state, call)?.system.sysctls.get_mut(key) {
                    None => None,
                    Some(held) => {
                        if let Some(value) = value {
                            value.clone_into(held);
                        }
                        Some(held.clone())
                    }
                }
            };
            match shown {
                None if parsed.has("ignore") => {}
                None => {
                    status = 1;
                    let path = key.replace('.', "/");
                    let text = format!("sysctl: cannot stat /proc/sys/{path}: No such file or directory\n");
                    caller.err(text.as_bytes())?;
                }
                Some(_) if parsed.has("quiet") && value.is_some() => {}
                Some(held) if parsed.has("values") => caller.out(format!("{held}\n").as_bytes())?,
                Some(held) => caller.out(format!("{key} = {held}\n").as_bytes())?,
            }
        }
        Ok(status)
    }
}

impl Tool for Modprobe {
    fn name(&self) -> &'static str {
        "modprobe"
    }

    fn run(&self, call: &Invocation<'_>, _: &mut dyn Caller) -> Result<u8, Failure> {
        let flags = [("quiet", 'q', false), ("dry-run", 'n', false)];
        let parsed = parse(&call.argv[1..], &flags, false)?;
        let [module] = parsed.words.as_slice() else {
            return Err(Failure::Unmodelled(
                "modprobe of other than one module".to_owned(),
            ));
        };
        let mut state = call.cluster.state();
        let host = host(&mut state, call)?;
        let kernel = host.kernel.clone();
        let there = if parsed.has("dry-run") {
            !host.system.lacks.contains(module)
        } else {
            host.system.load(module)
        };
        if there {
            return Ok(0);
        }
        Err(Failure::Real(
            format!("modprobe: FATAL: Module {module} not found in directory /lib/modules/{kernel}"),
            1,
        ))
    }
}

impl Tool for Getenforce {
    fn name(&self) -> &'static str {
        "getenforce"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let mode = host(&mut call.cluster.state(), call)?.system.selinux.clone();
        let mut letters = mode.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        let text: String = first.into_iter().chain(letters).collect();
        caller.out(format!("{text}\n").as_bytes())?;
        Ok(0)
    }
}
