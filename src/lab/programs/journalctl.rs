//! `journalctl`: what units wrote, as far as they are simulated.

use super::args::parse;
use super::{Caller, Failure, Invocation, Tool};

/// The journal of one host.
pub(super) struct Journalctl;

impl Tool for Journalctl {
    fn name(&self) -> &'static str {
        "journalctl"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let flags = [
            ("unit", 'u', true),
            ("lines", 'n', true),
            ("output", 'o', true),
            ("no-pager", '\0', false),
        ];
        let parsed = parse(&call.argv[1..], &flags, false)?;
        let unit = parsed
            .value("unit")
            .unwrap_or_default()
            .trim_end_matches(".service");
        if !["k0scontroller", "k0sworker"].contains(&unit) {
            return Err(Failure::Unmodelled(format!("the journal of {unit:?}")));
        }
        let lines = {
            let state = call.cluster.state();
            state.k0s.journal.get(call.host).cloned().unwrap_or_default()
        };
        let last = parsed
            .value("lines")
            .and_then(|lines| lines.parse().ok())
            .unwrap_or(lines.len());
        for line in &lines[lines.len().saturating_sub(last)..] {
            caller.out(format!("{line}\n").as_bytes())?;
        }
        Ok(0)
    }
}
