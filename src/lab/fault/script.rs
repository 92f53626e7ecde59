//! Programs that a host finds before its own: they stand between a runner and the script that it starts, or between a
//! script and the time.

use super::{Fault, FaultKind};

/// Puts standard input at $1, whole, where it is found first.
fn place(name: &str, text: &str) -> String {
    format!(
        "cat >/usr/local/sbin/.{name}.lab <<'mkectl-lab-end' && chmod 755 /usr/local/sbin/.{name}.lab &&\n{text}\nmkectl-lab-end\n\
         mv -f /usr/local/sbin/.{name}.lab /usr/local/sbin/{name}\n"
    )
}

/// A line of shell for a host: its next shell that starts this verb of this action does something else.
pub(super) fn interpose(fault: &Fault) -> String {
    let Fault {
        action, verb, kind, ..
    } = fault;
    let body = match kind {
        FaultKind::FailAfter => {
            "/bin/sh \"$@\"\necho 'a fault of this rehearsal: the script did its work and fails now' >&2\nexit 1"
        }
        FaultKind::Hang => "echo 'a fault of this rehearsal: the script hangs'\nexec /bin/sleep 1000000",
        FaultKind::WrongOutput => {
            "/bin/sh \"$@\" || exit\n\
             for file in \"$MKECTL_OUT\"/*; do\n\
             [ -f \"$file\" ] || continue\n\
             rm -f \"$file\"\n\
             printf '\\033]0;nonsense\\007\\nmkectl-runner-end\\n' >\"$file\"\n\
             done\n\
             printf 'mkectl-runner-answer\\nattempt exited 0 0 0 whole whole\\nmkectl-runner-end\\n\\033[2J'\n\
             exit 0"
        }
        _ => "echo 'a fault of this rehearsal: the script fails before it does anything' >&2\nexit 1",
    };
    let shell = format!(
        "#!/bin/sh\n\
         case \"${{2:-}} ${{MKECTL_OUT:-}}\" in\n\
         \"{verb} \"*\"/actions/{action}/{verb}.\"*/out)\n\
         rm -f /usr/local/sbin/sh\n{body}\n;;\n\
         esac\n\
         exec /bin/sh \"$@\""
    );
    let mut line = place("sh", &shell);
    if *kind == FaultKind::Hang {
        // A deadline of minutes is over in seconds, for what watches over this attempt alone.
        let sleep = format!(
            "#!/bin/sh\n\
             case $(tr '\\0' ' ' <\"/proc/$PPID/cmdline\" 2>/dev/null) in\n\
             *\"/runner supervise {action} {verb} \"*) [ \"${{1%.*}}\" -lt 30 ] || exec /bin/sleep 3 ;;\n\
             esac\n\
             exec /bin/sleep \"$@\""
        );
        line.push_str(&place("sleep", &sleep));
    }
    line
}

/// A line of shell for a host: from now on it is tomorrow there.
pub(super) fn clock() -> String {
    place(
        "date",
        "#!/bin/sh\n\
         case \" $* \" in\n\
         *' -d'* | *' --date'* | *' -r'*) exec /bin/date \"$@\" ;;\n\
         esac\n\
         exec /bin/date -d 'now 24 hours' \"$@\"",
    )
}

/// A line of shell for a host: its own programs are found again.
pub(super) const CALM: &str = "rm -f /usr/local/sbin/sh /usr/local/sbin/sleep /usr/local/sbin/date";
