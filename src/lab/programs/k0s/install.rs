//! `k0s install`: users and the unit, as a real file of the host.

use super::{DATA_DIR, config, flags, refuse};
use crate::lab::programs::args::{Flag, Parsed};
use crate::lab::programs::{Caller, Failure, Invocation, systemctl};
use crate::lab::tools::FileOp;

/// Flags of a k0s that runs.
pub(super) const RUNNING: [Flag; 15] = [
    ("config", 'c', true),
    ("disable-components", '\0', true),
    ("enable-dynamic-config", '\0', false),
    ("enable-metrics-scraper", '\0', false),
    ("enable-worker", '\0', false),
    ("feature-gates", '\0', true),
    ("iptables-mode", '\0', true),
    ("kubelet-extra-args", '\0', true),
    ("kubelet-root-dir", '\0', true),
    ("labels", '\0', true),
    ("no-taints", '\0', false),
    ("profile", '\0', true),
    ("single", '\0', false),
    ("taints", '\0', true),
    ("token-file", '\0', true),
];

/// Users that parts of a controller run as.
const USERS: [&str; 4] = ["etcd", "kube-apiserver", "konnectivity-server", "kube-scheduler"];

/// As systemd wants it in `ExecStart=`.
fn escape(word: &str) -> String {
    word.replace('\\', "\\\\")
        .replace(' ', "\\x20")
        .replace('"', "\\\"")
}

/// The arguments behind `ExecStart=`, without the program.
pub(super) fn arguments(unit: &str) -> Vec<String> {
    unit.lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .map(|word| {
            word.replace("\\x20", " ")
                .replace("\\\"", "\"")
                .replace("\\\\", "\\")
        })
        .collect()
}

fn given(parsed: &Parsed) -> Vec<String> {
    let mut words = Vec::new();
    for (name, _, takes) in RUNNING.iter().chain(&[("data-dir", '\0', true)]) {
        for value in parsed.all(name) {
            words.push(match takes {
                true => format!("--{name}={value}"),
                false => format!("--{name}=true"),
            });
        }
    }
    words.sort();
    words
}

/// Makes the users that are missing. Where the root of the host may not be anybody else, there are none.
fn users(caller: &mut dyn Caller, data: &str) -> Result<(), Failure> {
    let map = caller.read("/proc/self/uid_map")?;
    let alone = String::from_utf8_lossy(&map)
        .split_whitespace()
        .nth(2)
        .is_none_or(|count| count == "1");
    if alone {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&caller.read("/etc/passwd")?).into_owned();
    let before = text.len();
    for (at, user) in USERS.iter().enumerate() {
        if !text.lines().any(|line| line.starts_with(&format!("{user}:"))) {
            text.push_str(&format!(
                "{user}:x:{}:65534::{data}:/usr/sbin/nologin\n",
                990 - at
            ));
        }
    }
    if text.len() > before {
        caller.change(FileOp::Write {
            path: "/etc/passwd".to_owned(),
            bytes: text.into_bytes(),
            mode: 0o644,
        })?;
    }
    Ok(())
}

pub(super) fn install(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
    let role = call.argv.get(2).map_or("", String::as_str);
    if !["controller", "worker"].contains(&role) {
        return Err(Failure::Unmodelled(format!("k0s install {role}")));
    }
    let mut own = RUNNING.to_vec();
    own.extend([("force", '\0', false), ("env", 'e', true)]);
    let parsed = flags(call, 3, &own)?;
    for path in ["data-dir", "kubelet-root-dir", "config", "token-file"] {
        if parsed.value(path).is_some_and(|value| !value.starts_with('/')) {
            return Err(Failure::Unmodelled(format!("a relative --{path}")));
        }
    }
    if role == "controller" {
        config(caller, parsed.value("config"))?;
        users(caller, parsed.value("data-dir").unwrap_or(DATA_DIR))?;
    }
    let unit = format!("k0s{role}.service");
    let path = format!("/etc/systemd/system/{unit}");
    if caller.exists(&path)? && !parsed.has("force") {
        return refuse(format!(
            "failed to install {role} service: Init already exists: {path}"
        ));
    }
    let words: Vec<String> = std::iter::once(role.to_owned())
        .chain(given(&parsed))
        .map(|word| escape(&word))
        .collect();
    let text = format!(
        "[Unit]\nDescription=k0s - Zero Friction Kubernetes\nDocumentation=https://docs.k0sproject.io\nConditionFileIsExecutable=/usr/local/bin/k0s\n\nAfter=network-online.target\nWants=network-online.target\n\n[Service]\nStartLimitInterval=5\nStartLimitBurst=10\nExecStart=/usr/local/bin/k0s {}\n\nRestartSec=10\nDelegate=yes\nKillMode=process\nLimitCORE=infinity\nTasksMax=infinity\nTimeoutStartSec=0\nLimitNOFILE=999999\nRestart=always\n\n[Install]\nWantedBy=multi-user.target\n",
        words.join(" ")
    );
    caller.change(FileOp::MakeDirectory("/etc/systemd/system".to_owned()))?;
    caller.change(FileOp::Write {
        path,
        bytes: text.into_bytes(),
        mode: 0o644,
    })?;
    // The library behind it enables the unit and has systemd load it.
    systemctl::reload(call, caller)?;
    systemctl::enable(call, caller, &unit, true)?;
    caller.err(format!("level=info msg=\"Installing k0s{role} service\"\n").as_bytes())?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::{arguments, escape};

    #[test]
    fn arguments_survive_the_unit() {
        let words = ["controller", "--kubelet-extra-args=--a=b --c=d"];
        let line = format!(
            "[Service]\nExecStart=/usr/local/bin/k0s {} {}\n",
            escape(words[0]),
            escape(words[1])
        );
        assert_eq!(arguments(&line), words);
    }
}
