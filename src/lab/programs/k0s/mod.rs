//! `k0s`: the command line. What a unit does when it starts is in `start`.

mod backup;
mod install;
mod kube;
mod pki;
mod start;

pub(crate) use start::POD;
pub(super) use start::{catch_up, start, stop};

use super::args::{Flag, Parsed, parse};
use super::{Caller, Failure, Invocation, Tool};
use crate::lab::model::k0s::{Config, Process, Token, TokenFile};
use crate::lab::tools::FileOp;
use serde_json::{Value, json};

/// Where k0s keeps everything unless told otherwise.
const DATA_DIR: &str = "/var/lib/k0s";

/// Where its configuration is unless told otherwise.
const CONFIG: &str = "/etc/k0s/k0s.yaml";

/// Flags that every command takes.
const COMMON: [Flag; 4] = [
    ("data-dir", '\0', true),
    ("debug", 'd', false),
    ("verbose", 'v', false),
    ("status-socket", '\0', true),
];

/// The binary that an upgrade brings.
pub(super) struct K0s;

fn refuse<T>(text: impl AsRef<str>) -> Result<T, Failure> {
    Err(Failure::Real(format!("Error: {}", text.as_ref()), 1))
}

/// The version of the binary that called: each says its own.
fn version(call: &Invocation<'_>) -> Result<String, Failure> {
    call.env
        .iter()
        .find(|(name, _)| name == "LAB_VERSION")
        .map(|(_, version)| version.clone())
        .ok_or_else(|| Failure::Unmodelled("k0s without a version".to_owned()))
}

fn flags(call: &Invocation<'_>, skip: usize, own: &[Flag]) -> Result<Parsed, Failure> {
    let all: Vec<Flag> = COMMON.iter().chain(own).copied().collect();
    parse(&call.argv[skip..], &all, false)
}

fn data_dir(parsed: &Parsed) -> &str {
    parsed.value("data-dir").unwrap_or(DATA_DIR)
}

/// The process of this host.
fn process(call: &Invocation<'_>) -> Result<Process, Failure> {
    match call.cluster.state().k0s_on(call.host) {
        Some(process) => Ok(process.clone()),
        None => refuse("failed to get k0s status: k0s is not running"),
    }
}

/// Reads a configuration: that at `--config`, else the usual one, else what k0s starts from.
fn config(caller: &mut dyn Caller, given: Option<&str>) -> Result<Config, Failure> {
    let path = given.unwrap_or(CONFIG);
    if given.is_none() && !caller.exists(path)? {
        return Ok(Config::default());
    }
    if !caller.exists(path)? {
        return refuse(format!(
            "failed to read config: open {path}: no such file or directory"
        ));
    }
    Config::read(&caller.read(path)?).or_else(refuse)
}

fn seconds(text: &str) -> Option<u64> {
    let mut total = 0;
    let mut number = String::new();
    for letter in text.chars() {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        let factor = match letter {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total += number.parse::<u64>().ok()? * factor;
        number.clear();
    }
    number.is_empty().then_some(total)
}

fn token(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
    let own = [
        ("role", '\0', true),
        ("expiry", '\0', true),
        ("valid", '\0', true),
        ("cert", '\0', true),
        ("url", '\0', true),
        ("out", '\0', true),
    ];
    let parsed = flags(call, 3, &own)?;
    let role = parsed.value("role").unwrap_or("worker");
    if !["controller", "worker"].contains(&role) {
        return refuse(format!(
            "unsupported role \"{role}\"; supported roles are \"controller\" and \"worker\""
        ));
    }
    let lasts = parsed.value("expiry").or(parsed.value("valid")).unwrap_or("0s");
    let Some(lasts) = seconds(lasts) else {
        return refuse(format!("time: invalid duration \"{lasts}\""));
    };
    let new = || {
        let mut state = call.cluster.state();
        state.ids += 1;
        let token = Token::new(&format!("{} {}", state.now, state.ids));
        let until = (lasts > 0).then(|| crate::lab::model::kube::time(state.now + lasts));
        let object = token.object(role, until.as_deref());
        (token, object)
    };
    match call.argv[2].as_str() {
        "pre-shared" => {
            let (Some(cert), Some(server)) = (parsed.value("cert"), parsed.value("url")) else {
                return refuse("required flag(s) \"cert\", \"url\" not set");
            };
            if !caller.exists(cert)? {
                return refuse(format!(
                    "error reading certificate: open {cert}: no such file or directory"
                ));
            }
            let ca = String::from_utf8_lossy(&caller.read(cert)?).into_owned();
            let out = parsed.value("out").unwrap_or(".");
            let (token, object) = new();
            let file = TokenFile {
                server: server.to_owned(),
                ca,
                user: crate::lab::model::k0s::user(role).to_owned(),
                token: token.clone(),
            };
            for (name, bytes) in [
                (format!("bootstrap-token-{}.yaml", token.id), object.to_string()),
                (format!("token_{}", token.id), file.pack()),
            ] {
                caller.change(FileOp::Write {
                    path: format!("{out}/{name}"),
                    bytes: bytes.into_bytes(),
                    mode: 0o640,
                })?;
            }
            Ok(0)
        }
        "create" => {
            let process = process(call)?;
            if !process.controls() {
                return refuse("failed to get k0s status: not a controller");
            }
            let ca = format!("{}/pki/ca.crt", process.data_dir);
            let ca = String::from_utf8_lossy(&caller.read(&ca)?).into_owned();
            let host = process.config.external_address().unwrap_or(&process.address);
            let port = if role == "controller" { 9443 } else { 6443 };
            let (token, object) = new();
            let server = format!("https://{host}:{port}");
            api(call, |api| api.create(object, "k0s"))?;
            let file = TokenFile {
                server,
                ca,
                user: crate::lab::model::k0s::user(role).to_owned(),
                token,
            };
            caller.out(format!("{}\n", file.pack()).as_bytes())?;
            Ok(0)
        }
        "invalidate" => {
            for id in &parsed.words {
                let name = format!("bootstrap-token-{id}");
                api(call, |api| {
                    let Some(secrets) = api.resource("secrets") else {
                        return Ok(());
                    };
                    api.delete(
                        &secrets,
                        "kube-system",
                        &name,
                        crate::lab::model::kube::Cascade::Background,
                        false,
                    )
                })?;
                caller.out(format!("token {id} deleted successfully\n").as_bytes())?;
            }
            Ok(0)
        }
        other => Err(Failure::Unmodelled(format!("k0s token {other}"))),
    }
}

/// Asks the API server of this host.
fn api<T>(
    call: &Invocation<'_>,
    what: impl FnOnce(&mut crate::lab::model::kube::Api<'_>) -> Result<T, crate::lab::model::kube::Refusal>,
) -> Result<T, Failure> {
    let mut state = call.cluster.state();
    let cluster = match state.k0s_api(call.host) {
        Ok(process) => process.cluster.clone(),
        Err(why) => {
            return refuse(format!(
                "Get \"https://localhost:6443/api\": dial tcp 127.0.0.1:6443: {why}"
            ));
        }
    };
    match state.with_k0s(&cluster, what) {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(refusal)) => refuse(refusal.message),
        None => refuse("k0s is not running"),
    }
}

fn etcd(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
    let parsed = flags(call, 3, &[("peer-address", '\0', true)])?;
    let process = process(call)?;
    if !process.controls() {
        return refuse("can't list etcd cluster members: no etcd on a worker");
    }
    match call.argv[2].as_str() {
        "member-list" => {
            let state = call.cluster.state();
            if let Err(why) = state.k0s_api(call.host)
                && why.contains("no leader")
            {
                return refuse("can't list etcd cluster members: context deadline exceeded");
            }
            let members: serde_json::Map<String, Value> = state
                .k0s
                .clusters
                .get(&process.cluster)
                .into_iter()
                .flat_map(|cluster| &cluster.members)
                .map(|(name, member)| {
                    // A member that never ran has told nobody its name.
                    let name = if member.started {
                        name.clone()
                    } else {
                        String::new()
                    };
                    (name, json!(member.peer))
                })
                .collect();
            drop(state);
            caller.out(format!("{}\n", json!({"members": members})).as_bytes())?;
            Ok(0)
        }
        "leave" => {
            let address = match parsed.value("peer-address").or(process.config.peer_address()) {
                Some(address) => address.to_owned(),
                None => {
                    return refuse("can't leave etcd cluster: this node doesn't have an etcd peer address");
                }
            };
            let peer = start::peer_url(&address);
            match call.cluster.state().remove_member(&process.cluster, &peer) {
                Ok(()) => {}
                Err(why) => return refuse(why),
            }
            caller.err(b"level=info msg=\"Successfully deleted\"\n")?;
            Ok(0)
        }
        other => Err(Failure::Unmodelled(format!("k0s etcd {other}"))),
    }
}

fn status(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
    let parsed = flags(call, 2, &[("out", 'o', true)])?;
    let Some(process) = call.cluster.state().k0s_on(call.host).cloned() else {
        return refuse(
            "status: can't get \"status\" via \"/run/k0s/status.sock\": dial unix /run/k0s/status.sock: connect: no such file or directory",
        );
    };
    let role = if process.controls() {
        "controller"
    } else {
        "worker"
    };
    let unit = format!("/etc/systemd/system/k0s{role}.service");
    let text = match parsed.value("out") {
        Some("json") => serde_json::to_string_pretty(&json!({
            "Version": process.version, "Pid": 4711, "PPid": 1, "Role": role, "SysInit": "linux-systemd",
            "StubFile": unit, "Output": "", "Workloads": process.node.is_some(), "SingleNode": false,
            "Args": process.args, "ClusterConfig": process.config.document(),
            "K0sVars": {"DataDir": process.data_dir, "KubeletRootDir": process.kubelet_root},
        }))
        .unwrap_or_default(),
        None => format!(
            "Version: {}\nProcess ID: 4711\nRole: {role}\nWorkloads: {}\nSingleNode: false\nInit System: linux-systemd\nService file: {unit}",
            process.version,
            process.node.is_some()
        ),
        Some(other) => return Err(Failure::Unmodelled(format!("k0s status -o {other}"))),
    };
    caller.out(format!("{text}\n").as_bytes())?;
    Ok(0)
}

/// Images that a control plane of this configuration runs.
fn images(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
    let parsed = flags(call, 3, &[("all", '\0', false), ("config", 'c', true)])?;
    let config = config(caller, parsed.value("config"))?;
    let repository = config.document()["spec"]["images"]["repository"]
        .as_str()
        .unwrap_or("quay.io")
        .to_owned();
    let kube = version(call)?;
    let kube = kube.split('+').next().unwrap_or_default().to_owned();
    let mut list = [
        format!("{repository}/k0sproject/apiserver-network-proxy-agent:v0.31.0"),
        format!("{repository}/k0sproject/coredns:1.12.2"),
        format!("{repository}/k0sproject/kube-proxy:{kube}"),
        format!("{repository}/k0sproject/metrics-server:v0.7.2-0"),
        format!("{repository}/k0sproject/pause:3.10.1"),
    ];
    list.sort();
    caller.out(format!("{}\n", list.join("\n")).as_bytes())?;
    Ok(0)
}

fn sysinfo(caller: &mut dyn Caller) -> Result<u8, Failure> {
    caller.out(
        b"Total memory: 16.0 GiB (pass)\nFile system of /var/lib/k0s: ext4 (pass)\nOperating system: Linux (pass)\n  Control Groups: version 2 (pass)\n  modprobe: /usr/sbin/modprobe (pass)\n",
    )?;
    Ok(0)
}

fn kubeconfig(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
    let parsed = flags(call, 3, &[])?;
    if call.argv[2] != "admin" {
        return Err(Failure::Unmodelled(format!("k0s kubeconfig {}", call.argv[2])));
    }
    let pki = format!("{}/pki", data_dir(&parsed));
    let config = config(caller, None)?;
    let path = format!("{pki}/admin.crt");
    if !caller.exists(&path)? {
        return refuse(format!(
            "admin PKI file \"{path}\" not found, check if the control plane is initialized on this node"
        ));
    }
    let read = |caller: &mut dyn Caller, name: &str| caller.read(&format!("{pki}/{name}"));
    let (ca, crt, key) = (
        read(caller, "ca.crt")?,
        read(caller, "admin.crt")?,
        read(caller, "admin.key")?,
    );
    let address = call.cluster.state().hosts[call.host].address.clone();
    let host = config.external_address().unwrap_or(&address);
    let text = pki::kubeconfig(&format!("https://{host}:6443"), &ca, &crt, &key);
    caller.out(text.as_bytes())?;
    Ok(0)
}

impl Tool for K0s {
    fn name(&self) -> &'static str {
        "k0s"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        start::catch_up(call, caller)?;
        let word = |at: usize| call.argv.get(at).map_or("", String::as_str);
        match (word(1), word(2)) {
            ("version", _) => {
                caller.out(format!("{}\n", version(call)?).as_bytes())?;
                Ok(0)
            }
            ("sysinfo", _) => sysinfo(caller),
            ("config", "validate") => {
                let parsed = flags(call, 3, &[("config", 'c', true)])?;
                config(caller, parsed.value("config")).map(|_| 0)
            }
            ("config", "create") => {
                caller.out(b"apiVersion: k0s.k0sproject.io/v1beta1\nkind: ClusterConfig\nmetadata:\n  name: k0s\nspec: {}\n")?;
                Ok(0)
            }
            ("install", _) => install::install(call, caller),
            ("status", _) => status(call, caller),
            ("token", "create" | "invalidate" | "pre-shared") => token(call, caller),
            ("etcd", "member-list" | "leave") => etcd(call, caller),
            ("airgap", "list-images") => images(call, caller),
            ("kubeconfig", _) => kubeconfig(call, caller),
            ("backup", _) => backup::backup(call, caller),
            ("kubectl" | "kc", _) => kube::kubectl(call, caller),
            (first, second) => Err(Failure::Unmodelled(format!("k0s {first} {second}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations_are_those_of_go() {
        assert_eq!(seconds("30m"), Some(1800));
        assert_eq!(seconds("1h30m"), Some(5400));
        assert_eq!(seconds("10"), None);
        assert_eq!(seconds("1d"), None);
    }
}
