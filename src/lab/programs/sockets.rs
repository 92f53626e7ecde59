//! `ss`: who listens on which TCP port of a host.

use super::args::parse;
use super::{Caller, Failure, Invocation, Tool};

/// The socket statistics of iproute2.
pub(super) struct Ss;

impl Tool for Ss {
    fn name(&self) -> &'static str {
        "ss"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let flags = [
            ("no-header", 'H', false),
            ("listening", 'l', false),
            ("numeric", 'n', false),
            ("tcp", 't', false),
            ("processes", 'p', false),
        ];
        let parsed = parse(&call.argv[1..], &flags, false)?;
        let all = flags.iter().all(|(name, ..)| parsed.has(name));
        if !all || !parsed.words.is_empty() {
            return Err(Failure::Unmodelled("ss other than -H -l -n -t -p".to_owned()));
        }
        let listeners = {
            let state = call.cluster.state();
            let host = state
                .hosts
                .get(call.host)
                .ok_or_else(|| Failure::Unmodelled(format!("the host {}", call.host)))?;
            state.listeners(host)
        };
        for (port, process) in listeners {
            let line = format!(
                "LISTEN 0      4096         0.0.0.0:{port}      0.0.0.0:*    users:((\"{process}\",pid=812,fd=3))\n"
            );
            caller.out(line.as_bytes())?;
        }
        Ok(0)
    }
}
