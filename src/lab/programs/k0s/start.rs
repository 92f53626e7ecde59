//! What happens when `k0scontroller` or `k0sworker` starts and stops.

use super::install::{RUNNING, arguments};
use super::{CONFIG, DATA_DIR, pki};
use crate::lab::model::etcd::Store;
use crate::lab::model::k0s::{About, Cluster, Config, Keys, Member, Process, TokenFile, user};
use crate::lab::model::kube::controllers::network_up;
use crate::lab::model::{Active, State, id, links};
use crate::lab::programs::args::{Flag, Parsed, parse};
use crate::lab::programs::{Caller, Failure, Invocation};
use crate::lab::tools::FileOp;
use std::collections::BTreeMap;

/// Ticks until systemd starts a k0s again that ended by itself.
const RESTART: u64 = 4;

/// The binary that units start.
const BINARY: &str = "/usr/local/bin/k0s";

/// Mounts the volume of a pod, starts what runs in it, and above that its shim, unless they are there.
pub(crate) const POD: &str = r#"
volume=$1/pods/of-k0s/volumes/kubernetes.io~projected/token
grep -q " $volume " /proc/self/mountinfo || { mkdir -p "$volume" && mount -t tmpfs tmpfs "$volume"; } || exit 1
mkdir -p /run/k0s || exit 1
if [ -e /run/k0s/shim.pid ] && kill -0 "$(cat /run/k0s/shim.pid)" 2>/dev/null; then exit 0; fi
setsid sh -c 'cd "$0" && sleep 1000000 & wait' "$volume" containerd-shim-runc-v2 -namespace k8s.io -id pod \
    -address /run/k0s/containerd.sock </dev/null >/dev/null 2>&1 &
echo $! >/run/k0s/shim.pid
"#;

/// `https://172.31.0.11:2380`.
pub(super) fn peer_url(address: &str) -> String {
    if address.contains(':') {
        format!("https://[{address}]:2380")
    } else {
        format!("https://{address}:2380")
    }
}

/// Why a process ended again, or what kept the simulation from starting it.
enum Ended {
    Because(String),
    Lab(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Lab(failure)
    }
}

impl From<std::io::Error> for Ended {
    fn from(error: std::io::Error) -> Ended {
        Ended::Lab(Failure::Io(error))
    }
}

fn because<T>(text: impl Into<String>) -> Result<T, Ended> {
    Err(Ended::Because(text.into()))
}

/// Starts units again that are due: systemd does so by itself, but files of a host are in reach only while somebody asks
/// there.
pub(crate) fn catch_up(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<(), Failure> {
    let due: Vec<String> = {
        let state = call.cluster.state();
        let Some(host) = state.hosts.get(call.host) else {
            return Ok(());
        };
        host.units
            .values()
            .filter(|unit| unit.active == Active::Restarting && unit.restart_at <= state.now)
            .map(|unit| unit.name.clone())
            .collect()
    };
    due.iter().try_for_each(|unit| start(call, caller, unit))?;
    network(call, caller)
}

/// What Calico's pod leaves on a host once it runs there.
fn network(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<(), Failure> {
    const CONFIGURATION: &str = "/etc/cni/net.d/10-calico.conflist";
    let up = {
        let mut state = call.cluster.state();
        let Some((node, cluster)) = state
            .k0s_on(call.host)
            .and_then(|process| Some((process.node.clone()?, process.cluster.clone())))
        else {
            return Ok(());
        };
        let up = state.k0s_nodes(&cluster).contains_key(&node)
            && state.with_k0s(&cluster, |api| network_up(api, &node)) == Some(true);
        if let (true, Some(host)) = (up, state.hosts.get_mut(call.host)) {
            host.links.extend(links::of_calico(&node));
        }
        up
    };
    if up && !caller.exists(CONFIGURATION)? {
        caller.change(FileOp::MakeDirectory("/etc/cni/net.d".to_owned()))?;
        caller.change(FileOp::Write {
            path: CONFIGURATION.to_owned(),
            bytes: b"{\"name\": \"k8s-pod-network\", \"cniVersion\": \"0.3.1\"}\n".to_vec(),
            mode: 0o600,
        })?;
    }
    Ok(())
}

/// Starts the unit. As the real one it is active as soon as the process is there; what goes wrong then is in its journal.
pub(crate) fn start(call: &Invocation<'_>, caller: &mut dyn Caller, unit: &str) -> Result<(), Failure> {
    let path = format!("/etc/systemd/system/{unit}");
    let text = String::from_utf8_lossy(&caller.read(&path)?).into_owned();
    let executable = caller.exists(BINARY)?;
    set(call, unit, |one| one.condition_held = executable);
    if !executable {
        return Ok(());
    }
    let binary = String::from_utf8_lossy(&caller.read(BINARY)?).into_owned();
    let version = binary
        .split_once("LAB_VERSION='")
        .and_then(|(_, rest)| rest.split_once('\''))
        .map(|(version, _)| version.to_owned())
        .ok_or_else(|| Failure::Unmodelled(format!("what {BINARY} is")))?;
    let words = arguments(&text);
    let parsed = {
        let mut all: Vec<Flag> = RUNNING.to_vec();
        all.push(("data-dir", '\0', true));
        parse(words.get(1..).unwrap_or_default(), &all, false)?
    };
    let mut process = process(call, &words, &parsed, version)?;
    let done = match words.first().map(String::as_str) {
        Some("controller") => controller(call, caller, &parsed, &mut process),
        Some("worker") => worker(call, caller, &parsed, &mut process),
        _ => return Err(Failure::Unmodelled(format!("what {unit} starts"))),
    };
    match done {
        Ok(()) => {
            if process.node.is_some() {
                kubelet_files(caller, &process)?;
            }
            let mut state = call.cluster.state();
            process.since = state.now;
            state.k0s.processes.insert(call.host.to_owned(), process);
            drop(state);
            set(call, unit, |one| {
                one.active = Active::Active;
                one.pid = 4711;
            });
            Ok(())
        }
        Err(Ended::Because(why)) => {
            let mut state = call.cluster.state();
            let line = format!("Error: {why}");
            state.k0s_log(call.host, &line);
            let again = state.now + RESTART;
            drop(state);
            set(call, unit, |one| {
                one.active = Active::Restarting;
                one.restart_at = again;
            });
            Ok(())
        }
        Err(Ended::Lab(failure)) => Err(failure),
    }
}

/// Stops the process of a host, and leaves its store where it came from.
pub(crate) fn stop(call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<(), Failure> {
    let kept = call.cluster.state().end_k0s(call.host);
    if let Some((bytes, about, data)) = kept {
        store_files(caller, &data, bytes, &about)?;
    }
    for socket in ["/run/k0s/status.sock", "/run/k0s/containerd.sock"] {
        caller.change(FileOp::Remove(socket.to_owned()))?;
    }
    Ok(())
}

fn set(call: &Invocation<'_>, unit: &str, what: impl FnOnce(&mut crate::lab::model::Unit)) {
    let mut state = call.cluster.state();
    if let Some(unit) = state
        .hosts
        .get_mut(call.host)
        .and_then(|host| host.units.get_mut(unit))
    {
        what(unit);
    }
}

fn process(
    call: &Invocation<'_>,
    words: &[String],
    parsed: &Parsed,
    version: String,
) -> Result<Process, Failure> {
    let state = call.cluster.state();
    let host = state
        .hosts
        .get(call.host)
        .ok_or_else(|| Failure::Unmodelled(format!("the host {}", call.host)))?;
    let extra = parsed.value("kubelet-extra-args").unwrap_or_default();
    let mut kubelet = BTreeMap::new();
    for word in extra.split_whitespace() {
        let Some((name, value)) = word.split_once('=') else {
            return Err(Failure::Unmodelled(format!("the kubelet's argument {word}")));
        };
        kubelet.insert(name, value);
    }
    let node = kubelet
        .get("--hostname-override")
        .map_or(host.name.to_lowercase(), |name| (*name).to_owned());
    let address = kubelet
        .get("--node-ip")
        .map_or(host.address.clone(), |ip| (*ip).to_owned());
    let works = words.first().is_some_and(|role| role == "worker") || parsed.has("enable-worker");
    let data_dir = parsed.value("data-dir").unwrap_or(DATA_DIR).to_owned();
    Ok(Process {
        version,
        args: words.to_vec(),
        config: Config::default(),
        kubelet_root: parsed
            .value("kubelet-root-dir")
            .map_or_else(|| format!("{data_dir}/kubelet"), str::to_owned),
        data_dir,
        cluster: String::new(),
        member: None,
        node: works.then_some(node),
        kubelet_fault: (address != host.address).then(|| {
            format!(
                "failed to run Kubelet: node IP: \"{address}\" not found in the host's network interfaces"
            )
        }),
        address,
        profile: parsed.value("profile").unwrap_or("default").to_owned(),
        since: state.now,
        api_fault: None,
    })
}

fn store_files(caller: &mut dyn Caller, data: &str, bytes: Vec<u8>, about: &About) -> Result<(), Failure> {
    // A directory that was moved away while its etcd ran stays away.
    caller.change(FileOp::MakeDirectory(format!("{data}/etcd/member/snap")))?;
    for (name, bytes) in [("snap/db", bytes), ("lab.json", about.bytes())] {
        caller.change(FileOp::Write {
            path: format!("{data}/etcd/member/{name}"),
            bytes,
            mode: 0o600,
        })?;
    }
    Ok(())
}

fn controller(
    call: &Invocation<'_>,
    caller: &mut dyn Caller,
    parsed: &Parsed,
    process: &mut Process,
) -> Result<(), Ended> {
    let data = process.data_dir.clone();
    let path = parsed.value("config").unwrap_or(CONFIG);
    if parsed.value("config").is_some() || caller.exists(path)? {
        if !caller.exists(path)? {
            return because(format!(
                "failed to load node config: open {path}: no such file or directory"
            ));
        }
        process.config = match Config::read(&caller.read(path)?) {
            Ok(config) => config,
            Err(why) => return because(format!("failed to load node config: {why}")),
        };
    }
    let address = {
        let state = call.cluster.state();
        let host = &state.hosts[call.host];
        let address = process.config.peer_address().unwrap_or(&host.address).to_owned();
        if address != host.address {
            return because(format!(
                "etcd: listen tcp {address}:2380: bind: cannot assign requested address"
            ));
        }
        address
    };
    let member = call.host.to_owned();
    let db = format!("{data}/etcd/member/snap/db");
    let fresh = {
        let mut state = call.cluster.state();
        state.ids += 1;
        id(&format!("k0s {} {}", call.host, state.ids))
    };
    if caller.exists(&db)? {
        let bytes = caller.read(&db)?;
        let about = caller.read(&format!("{data}/etcd/member/lab.json"))?;
        let Some(about) = About::read(&about) else {
            return Err(Ended::Lab(Failure::Unmodelled(format!("what is in {data}/etcd"))));
        };
        let keys = pki::complete(caller, &data, &fresh)?;
        resume(
            &mut call.cluster.state(),
            process,
            &member,
            about,
            &bytes,
            keys,
            fresh,
        )?;
    } else if let Some(token) = parsed.value("token-file") {
        let keys = join(call, caller, token, process, &member, &address)?;
        pki::take_over(caller, &data, &keys)?;
        pki::complete(caller, &data, &fresh)?;
        let kept = {
            let mut state = call.cluster.state();
            let Some(cluster) = state.k0s.clusters.get_mut(&process.cluster) else {
                return because("etcdserver: no leader");
            };
            if let Some(own) = cluster.members.get_mut(&member) {
                own.started = true;
            }
            let members = cluster
                .members
                .iter()
                .map(|(name, one)| (name.clone(), one.peer.clone()));
            let about = About {
                name: member.clone(),
                members: members.collect(),
                cluster: Some(process.cluster.clone()),
            };
            (cluster.store.snapshot(), about)
        };
        store_files(caller, &data, kept.0, &kept.1)?;
    } else {
        let keys = pki::complete(caller, &data, &fresh)?;
        let about = About {
            name: member.clone(),
            members: BTreeMap::from([(member.clone(), peer_url(&address))]),
            cluster: None,
        };
        store_files(caller, &data, Store::new().snapshot(), &about)?;
        let bytes = Store::new().snapshot();
        resume(
            &mut call.cluster.state(),
            process,
            &member,
            about,
            &bytes,
            keys,
            fresh,
        )?;
    }
    process.member = Some(member);
    process.api_fault = api_fault(caller, &process.config)?;
    if !process.config.profiles().contains(&process.profile) {
        process.kubelet_fault = Some(format!(
            "failed to get worker config for profile {:?}",
            process.profile
        ));
    }
    for (name, bytes) in [
        ("manifests/coredns/coredns.yaml", "# coredns\n"),
        ("manifests/kubeproxy/kube-proxy.yaml", "# kube-proxy\n"),
        (
            "manifests/konnectivity/konnectivity-agent.yaml",
            "# konnectivity\n",
        ),
        ("manifests/metricserver/metric_server.yaml", "# metrics-server\n"),
        ("bin/etcd", "stand-in\n"),
        ("bin/kube-apiserver", "stand-in\n"),
    ] {
        let path = format!("{data}/{name}");
        let directory = path.rsplit_once('/').map_or("/", |(directory, _)| directory);
        caller.change(FileOp::MakeDirectory(directory.to_owned()))?;
        caller.change(FileOp::Write {
            path: path.clone(),
            bytes: bytes.into(),
            mode: 0o644,
        })?;
    }
    Ok(())
}

/// Takes part in the cluster that the data directory belongs to. What runs of it has the newest store; else the directory.
fn resume(
    state: &mut State,
    process: &mut Process,
    member: &str,
    about: About,
    bytes: &[u8],
    keys: Keys,
    fresh: String,
) -> Result<(), Ended> {
    if about.name != member {
        return because(format!(
            "etcd: error validating peerURLs: member {member:?} is not in the initial cluster ({:?} is)",
            about.name
        ));
    }
    let id = about.cluster.unwrap_or(fresh);
    if let Some(cluster) = state.k0s.clusters.get(&id) {
        if !cluster.members.contains_key(member) {
            return because("etcd: the member has been permanently removed from the cluster");
        }
        if cluster.keys.etcd_crt != keys.etcd_crt {
            return because("etcd: remote error: tls: unknown certificate authority");
        }
        process.cluster = id;
        return Ok(());
    }
    let store = match Store::from_snapshot(bytes) {
        Ok(store) => store,
        Err(_) => return because("etcd: failed to recover v3 backend from snapshot"),
    };
    let members = about
        .members
        .into_iter()
        .map(|(name, peer)| (name, Member { peer, started: true }))
        .collect();
    let cluster = Cluster {
        store,
        members,
        keys,
        quiet: None,
        silent: BTreeMap::new(),
    };
    state.k0s.clusters.insert(id.clone(), cluster);
    process.cluster = id;
    Ok(())
}

/// What files that flags name keep the API server from starting.
fn api_fault(caller: &mut dyn Caller, config: &Config) -> Result<Option<String>, Failure> {
    if let Some(flag) = config.unknown_api_flags().first() {
        return Ok(Some(format!("kube-apiserver: unknown flag: --{flag}")));
    }
    for flag in [
        "encryption-provider-config",
        "audit-policy-file",
        "admission-control-config-file",
    ] {
        if let Some(path) = config.api_flag(flag)
            && !caller.exists(path)?
        {
            return Ok(Some(format!(
                "kube-apiserver: --{flag}: open {path}: no such file or directory"
            )));
        }
    }
    Ok(None)
}

fn read_token(caller: &mut dyn Caller, path: &str, role: &str) -> Result<TokenFile, Ended> {
    if !caller.exists(path)? {
        return because(format!(
            "failed to read token file: open {path}: no such file or directory"
        ));
    }
    let word = String::from_utf8_lossy(&caller.read(path)?).into_owned();
    let file = TokenFile::unpack(&word)
        .map_err(|why| Ended::Because(format!("failed to create join client: {why}")))?;
    if file.user != user(role) {
        return because(format!(
            "wrong token type {}, expected type: {}",
            file.user,
            user(role)
        ));
    }
    Ok(file)
}

/// The controller behind a token, and its cluster, when it takes the token.
fn behind(state: &mut State, file: &TokenFile, role: &str) -> Result<String, Ended> {
    let host = state.k0s_behind(&file.server).map_err(Ended::Because)?;
    let cluster = state
        .k0s_on(&host)
        .map(|process| process.cluster.clone())
        .unwrap_or_default();
    let right = state
        .k0s
        .clusters
        .get(&cluster)
        .is_some_and(|of| of.keys.ca_crt == file.ca);
    if !right {
        return because("tls: failed to verify certificate: x509: certificate signed by unknown authority");
    }
    match state.with_k0s(&cluster, |api| file.token.is_valid(api, role)) {
        Some(true) => Ok(cluster),
        _ => because("Unauthorized: go away"),
    }
}

fn join(
    call: &Invocation<'_>,
    caller: &mut dyn Caller,
    token: &str,
    process: &mut Process,
    member: &str,
    address: &str,
) -> Result<Keys, Ended> {
    let file = read_token(caller, token, "controller")?;
    let mut state = call.cluster.state();
    let failed = |ended: Ended| match ended {
        Ended::Because(why) => Ended::Because(format!(
            "failed to join controller: failed to join existing cluster via {}: {why}",
            file.server
        )),
        other => other,
    };
    let cluster = behind(&mut state, &file, "controller").map_err(failed)?;
    state.add_member(&cluster, member, &peer_url(address)).map_err(|why| {
        Ended::Because(format!(
            "failed to sync etcd config: failed to synchronize etcd config with existing cluster via {}: {why}",
            file.server
        ))
    })?;
    let keys = state
        .k0s
        .clusters
        .get(&cluster)
        .map(|of| of.keys.clone())
        .unwrap_or_default();
    process.cluster = cluster;
    Ok(keys)
}

fn worker(
    call: &Invocation<'_>,
    caller: &mut dyn Caller,
    parsed: &Parsed,
    process: &mut Process,
) -> Result<(), Ended> {
    let data = process.data_dir.clone();
    let kubeconfig = format!("{data}/kubelet.conf");
    let (cluster, server, ca) = if caller.exists(&kubeconfig)? {
        let text = String::from_utf8_lossy(&caller.read(&kubeconfig)?).into_owned();
        let config: serde_json::Value = serde_yaml::from_str(&text).unwrap_or_default();
        let server = config["clusters"][0]["cluster"]["server"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let ca = config["clusters"][0]["cluster"]["certificate-authority-data"]
            .as_str()
            .and_then(|data| data_encoding::BASE64.decode(data.as_bytes()).ok())
            .unwrap_or_default();
        let state = call.cluster.state();
        let found = state
            .k0s
            .clusters
            .iter()
            .find(|(_, of)| of.keys.ca_crt.as_bytes() == ca);
        let cluster = found.map(|(id, _)| id.clone()).unwrap_or_default();
        (cluster, server, ca)
    } else {
        let Some(token) = parsed.value("token-file") else {
            return because(
                "neither regular nor bootstrap kubeconfig files exist and no join token given; dunno how to make kubelet authenticate to API server",
            );
        };
        let file = read_token(caller, token, "worker")?;
        let cluster = behind(&mut call.cluster.state(), &file, "worker").map_err(|ended| match ended {
            Ended::Because(why) => Ended::Because(format!("failed to bootstrap client configuration: {why}")),
            other => other,
        })?;
        (cluster, file.server, file.ca.into_bytes())
    };
    let profile = process.profile.clone();
    let known = {
        let state = call.cluster.state();
        state
            .k0s
            .processes
            .values()
            .any(|other| other.cluster == cluster && other.config.profiles().contains(&profile))
    };
    if !known {
        process.kubelet_fault = Some(format!("failed to get worker config for profile {profile:?}"));
    }
    let name = format!("system:node:{}", process.node.as_deref().unwrap_or_default());
    let text = pki::kubeconfig(&server, &ca, name.as_bytes(), name.as_bytes());
    caller.change(FileOp::MakeDirectory(data))?;
    caller.change(FileOp::Write {
        path: kubeconfig,
        bytes: text.into_bytes(),
        mode: 0o600,
    })?;
    process.cluster = cluster;
    Ok(())
}

/// Files of a kubelet and its containerd.
fn kubelet_files(caller: &mut dyn Caller, process: &Process) -> Result<(), Failure> {
    let Process {
        data_dir,
        kubelet_root,
        ..
    } = process;
    for directory in [
        format!("{kubelet_root}/pki"),
        format!("{kubelet_root}/pods"),
        format!("{data_dir}/containerd/io.containerd.metadata.v1.bolt"),
        format!("{data_dir}/bin"),
        "/run/k0s".to_owned(),
        "/etc/k0s".to_owned(),
    ] {
        caller.change(FileOp::MakeDirectory(directory))?;
    }
    for (path, text) in [
        (
            format!("{kubelet_root}/pki/kubelet-client-current.pem"),
            process.cluster.as_str(),
        ),
        (format!("{kubelet_root}/pki/kubelet.crt"), "stand-in"),
        (format!("{data_dir}/bin/kubelet"), "stand-in"),
        (format!("{data_dir}/bin/containerd"), "stand-in"),
        (
            format!("{data_dir}/containerd/io.containerd.metadata.v1.bolt/meta.db"),
            "stand-in",
        ),
        ("/etc/k0s/containerd.toml".to_owned(), "# k0s_managed=true"),
        ("/run/k0s/status.sock".to_owned(), ""),
        ("/run/k0s/containerd.sock".to_owned(), ""),
    ] {
        caller.change(FileOp::Write {
            path,
            bytes: format!("{text}\n").into_bytes(),
            mode: 0o600,
        })?;
    }
    // A pod with a volume, and the shim that outlives k0s: real processes and mounts of the host.
    caller.change(FileOp::Run {
        argv: ["sh", "-c", POD, "sh", kubelet_root].map(str::to_owned).into(),
        input: Vec::new(),
    })?;
    Ok(())
}
