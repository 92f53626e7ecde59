//! Verbs of scripts, run in a host past SSH and runner: as the runner would run them, and much faster. What a script needs
//! was brought there by a verb that went the long way.

use mkectl::apply::ActionCall;
use mkectl::apply::runner::{ActionName, Verb, Verdict};
use mkectl::lab::Lab;
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};

/// The end of the runner's own way to a script; `HOME_OF_ACTION NUMBER VERB DEADLINE SCRIPT`. Its last lines name what was
/// handed on.
const RUN: &str = r#"
    umask 077
    cat >/run/walk.script."$2" || exit 125
    mkdir -p "$1/work" "$1/walk.$2/out" || exit 125
    walk_home=$1 walk_number=$2 walk_verb=$3 walk_deadline=$4 walk_secrets=$5
    cd / || exit 125
    set -a
    . "$1/env" || exit 125
    for walk_secret in $walk_secrets; do eval "${walk_secret}_FILE=/run/walk.secrets/$walk_secret"; done
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
    MKECTL_OUT=$walk_home/walk.$walk_number/out MKECTL_WORK=$walk_home/work MKECTL_POLL=0.05 MKECTL_DEADLINE=$walk_deadline
    set +a
    sh /run/walk.script."$walk_number" "$walk_verb" </dev/null
    walk_status=$?
    rm -f /run/walk.script."$walk_number"
    for walk_out in "$walk_home/walk.$walk_number/out"/*; do
        [ ! -e "$walk_out" ] || printf '\nwalk-output %s\n' "${walk_out##*/}"
    done
    exit "$walk_status""#;

/// What a verb did.
#[derive(Clone, Debug)]
pub struct Ran {
    /// None when it was killed.
    pub status: Option<i32>,
    pub text: String,
    pub outputs: BTreeSet<String>,
}

impl Ran {
    pub fn done(&self) -> bool {
        self.status == Some(0)
    }

    pub fn verdict(&self) -> Verdict {
        match self.status {
            Some(10) => Verdict::Done,
            Some(11) => Verdict::NotDone,
            Some(12) => Verdict::Partly,
            _ => Verdict::CannotTell,
        }
    }
}

/// Directory of an action on its host.
fn home(digest: &str, call: &ActionCall) -> String {
    let plan = digest.trim_start_matches("sha256:");
    let name = ActionName::new(&call.host().id, &call.step().id);
    format!("/var/lib/mkectl/{}/actions/{name}", &plan[..16])
}

fn shell(lab: &Lab, host: &str, words: &[&str], input: &[u8]) -> std::process::Output {
    let mut command: Command = lab.entry(host).unwrap().command(["sh", "-c"].iter().chain(words));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A simulated crash kills the whole group.
        .process_group(0)
        .spawn()
        .unwrap();
    // It may be killed before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// Puts the secrets of an action where its scripts find them.
pub fn place_secrets(lab: &Lab, call: &ActionCall) {
    let host = &call.at().unwrap().id;
    for (name, secret) in &call.inputs.secrets {
        let line = "umask 077; mkdir -p /run/walk.secrets && cat >\"/run/walk.secrets/$0\"";
        assert!(shell(lab, host, &[line, name], secret.expose()).status.success());
    }
}

/// Takes away what an action kept on its host between its attempts.
pub fn forget_work(lab: &Lab, digest: &str, call: &ActionCall) {
    let line = "rm -rf \"${0:?}/work\" && mkdir \"$0/work\"";
    let done = shell(lab, &call.at().unwrap().id, &[line, &home(digest, call)], b"");
    assert!(done.status.success());
}

/// Runs one verb, at most for so many seconds of the script's own waiting.
pub fn verb(
    lab: &Lab,
    digest: &str,
    call: &ActionCall,
    (verb, number): (Verb, u32),
    script: &str,
    deadline: u32,
) -> Ran {
    let secrets: Vec<&str> = call.inputs.secrets.keys().map(String::as_str).collect();
    let words = [
        RUN,
        "sh",
        &home(digest, call),
        &number.to_string(),
        verb.name(),
        &deadline.to_string(),
        &secrets.join(" "),
    ];
    let output = shell(lab, &call.at().unwrap().id, &words, script.as_bytes());
    let mut outputs = BTreeSet::new();
    let mut text = String::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        match line.strip_prefix("walk-output ") {
            Some(name) => drop(outputs.insert(name.to_owned())),
            None if line.is_empty() => {}
            None => text.push_str(&format!("    {line}\n")),
        }
    }
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        text.push_str(&format!("    {line}\n"));
    }
    Ran {
        status: output.status.signal().map_or(output.status.code(), |_| None),
        text,
        outputs,
    }
}
