//! `df`: how full the disks of a host are, which are not this machine's.

use super::args::parse;
use super::{Caller, Failure, Invocation, Tool};

/// Free space by path.
pub(super) struct Df;

impl Tool for Df {
    fn name(&self) -> &'static str {
        "df"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let parsed = parse(
            &call.argv[1..],
            &[
                ("portability", 'P', false),
                ("kilo", 'k', false),
                ("inodes", 'i', false),
            ],
            false,
        )?;
        let [path] = parsed.words.as_slice() else {
            return Err(Failure::Unmodelled("df of other than one path".to_owned()));
        };
        if !parsed.has("portability") || parsed.has("kilo") == parsed.has("inodes") {
            return Err(Failure::Unmodelled("df without -P and -k or -i".to_owned()));
        }
        if !caller.exists(path)? {
            return Err(Failure::Real(format!("df: {path}: No such file or directory"), 1));
        }
        let (mount, disk) = {
            let state = call.cluster.state();
            let host = state
                .hosts
                .get(call.host)
                .ok_or_else(|| Failure::Unmodelled(format!("the host {}", call.host)))?;
            let (mount, disk) = host.system.disk_of(path);
            (mount.to_owned(), disk)
        };
        let (size, free, unit) = if parsed.has("inodes") {
            (disk.inodes * 2, disk.inodes, "Inodes")
        } else {
            (disk.size / 1024, disk.free / 1024, "1024-blocks")
        };
        let used = size.saturating_sub(free);
        let text = format!(
            "Filesystem     {unit}     Used Available Capacity Mounted on\n/dev/sda1 {size} {used} {free} {}% {mount}\n",
            (used * 100).checked_div(size).unwrap_or(0)
        );
        caller.out(text.as_bytes())?;
        Ok(0)
    }
}
