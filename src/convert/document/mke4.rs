//! `mke4.yaml`.

use crate::catalogue::{Bundle, Release};
use crate::convert::settings::path::prune;
use crate::convert::settings::{Merge, TableError, Write, data};
use crate::model::{Bastion, Component, Role};
use crate::options::Options;
use crate::source::hosts::HostEntry;
use crate::yaml::{self, Node};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Flags per component, names without dashes.
pub type ComponentArgs = BTreeMap<Component, BTreeMap<String, String>>;

/// The default documents per schema generation, from `mke4-defaults-*.yaml`.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentDefaults {
    by_schema: BTreeMap<String, Defaults>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    document: Node,
    calico: Node,
}

impl DocumentDefaults {
    /// Loads every generation of the bundle.
    pub fn load(bundle: &Bundle) -> Result<DocumentDefaults, TableError> {
        let mut by_schema = BTreeMap::new();
        for file in bundle.names() {
            let schema = file
                .strip_prefix("mke4-defaults-")
                .and_then(|rest| rest.strip_suffix(".yaml"));
            if let Some(schema) = schema {
                by_schema.insert(schema.to_owned(), data(bundle, file)?);
            }
        }
        match by_schema.is_empty() {
            true => Err(TableError::new("mke4-defaults-*.yaml", "missing from the bundle")),
            false => Ok(DocumentDefaults { by_schema }),
        }
    }

    /// The schema generations, sorted.
    pub fn schemas(&self) -> impl Iterator<Item = &str> {
        self.by_schema.keys().map(String::as_str)
    }

    /// The generation of a release; the newest one for a release whose generation has no file.
    fn of(&self, release: &Release) -> Option<&Defaults> {
        self.by_schema
            .get(&release.schema)
            .or_else(|| self.by_schema.values().next_back())
    }
}

/// A host as `mke4.yaml` lists it.
#[derive(Clone, Debug, PartialEq)]
pub struct DocumentHost<'a> {
    /// Its entry of hosts.yaml.
    pub entry: &'a HostEntry,
    /// Its role, from facts or the entry; without one the document says `worker` for nobody and leaves the key out.
    pub role: Option<Role>,
    /// The kubelet profile that its label chose.
    pub profile: Option<&'a str>,
}

/// Everything that a document is made of.
#[derive(Clone, Debug)]
pub struct DocumentInput<'a> {
    /// What the settings write.
    pub writes: &'a [Write],
    /// What the custom flags become.
    pub args: &'a ComponentArgs,
    /// `spec.kubelet.customProfiles`: a list of `{name, values}`.
    pub profiles: &'a Node,
    /// Hosts in the order of hosts.yaml.
    pub hosts: &'a [DocumentHost<'a>],
    /// Root directory of the kubelet on every host.
    pub kubelet_root: &'a str,
    /// Name of the secret that holds the license; the token is empty without one.
    pub license: Option<&'a str>,
}

/// The default `mke4.yaml` of a release, with two example hosts, as `mkectl init` prints it.
pub fn default_mke4(defaults: &DocumentDefaults, release: &Release) -> Node {
    let mut document = start(defaults, release);
    let example = |role: &str, address: &str| {
        let mut ssh = Node::map();
        ssh.insert("address", address.into());
        ssh.insert("keyPath", "/absolute/path/to/private/key.pem".into());
        ssh.insert("port", Node::Int(22));
        ssh.insert("user", "ubuntu".into());
        let mut host = Node::map();
        host.insert("role", role.into());
        host.insert("ssh", ssh);
        host
    };
    let hosts = vec![
        example("controller+worker", "1.1.1.1"),
        example("worker", "2.2.2.2"),
    ];
    document.entry("spec").insert("hosts", Node::List(hosts));
    document
}

fn start(defaults: &DocumentDefaults, release: &Release) -> Node {
    let mut document = defaults
        .of(release)
        .map_or_else(Node::map, |found| found.document.clone());
    document
        .entry("spec")
        .insert("version", Node::Str(format!("v{}", release.mke)));
    document
}

/// The `mke4.yaml` that a conversion gives: complete, every key that nothing touched at its default.
pub fn mke4_document(
    defaults: &DocumentDefaults,
    release: &Release,
    options: &Options,
    input: &DocumentInput,
) -> Node {
    let mut document = start(defaults, release);
    apply_options(&mut document, options);
    apply_writes(&mut document, input.writes);
    apply_args(&mut document, input.args);
    let spec = document.entry("spec");
    if !input.profiles.items().is_empty() {
        spec.entry("kubelet")
            .insert("customProfiles", input.profiles.clone());
    }
    spec.insert("hosts", Node::List(input.hosts.iter().map(host).collect()));
    let token = input.license.map_or(String::new(), |name| {
        format!("{}{name}", crate::convert::settings::SECRET_PLACEHOLDER)
    });
    spec.entry("license").insert("token", Node::Str(token));
    prune(&mut document);
    if let Some(found) = defaults.of(release) {
        write_calico_values(&mut document, &found.calico, input.kubelet_root);
    }
    document
}

fn apply_options(document: &mut Node, options: &Options) {
    const DATA_DIR: &str = "/var/lib/k0s/";
    let spec = document.entry("spec");
    spec.entry("airgap")
        .insert("enabled", Node::Bool(options.airgapped));
    let api = spec.entry("apiServer");
    api.insert("externalAddress", Node::Str(options.external_address.clone()));
    move_paths(
        api,
        DATA_DIR,
        &format!("{}/", options.data_dir.trim_end_matches('/')),
    );
    if spec.get("k8sProviderSpecs").is_some() {
        spec.entry("k8sProviderSpecs")
            .insert("dataDir", Node::Str(options.data_dir.clone()));
    }
    let registries = spec.entry("registries");
    for (key, url) in [
        ("imageRegistry", &options.image_registry),
        ("chartRegistry", &options.chart_registry),
    ] {
        if let Some(url) = url {
            registries.entry(key).insert("url", Node::Str(url.clone()));
        }
    }
}

/// Paths below the default data directory follow it.
fn move_paths(node: &mut Node, from: &str, to: &str) {
    match node {
        Node::Str(text) => {
            if let Some(rest) = text.strip_prefix(from) {
                *text = format!("{to}{rest}");
            }
        }
        Node::Map(map) => map.values_mut().for_each(|value| move_paths(value, from, to)),
        _ => {}
    }
}

fn apply_writes(document: &mut Node, writes: &[Write]) {
    let mut merged = std::collections::BTreeSet::new();
    for write in writes {
        let mut value = write.value.clone();
        if write.merge == Some(Merge::And) && !merged.insert(write.path.clone()) {
            let before = write.path.get(document).and_then(Node::as_bool);
            value = Node::Bool(before.unwrap_or(true) && value.as_bool().unwrap_or(true));
        }
        write.path.set(document, value);
    }
}

fn apply_args(document: &mut Node, args: &ComponentArgs) {
    for (component, args) in args.iter().filter(|(_, args)| !args.is_empty()) {
        let spec = document.entry("spec");
        let part = match component {
            Component::KubeApiserver => spec.entry("apiServer"),
            Component::KubeControllerManager => spec.entry("controllerManager"),
            Component::KubeScheduler => spec.entry("scheduler"),
            Component::Kubelet => spec.entry("kubelet"),
            Component::KubeProxy => spec.entry("network").entry("kubeProxy"),
        };
        let extra = part.entry("extraArgs");
        for (name, value) in args {
            extra.insert(name, Node::Str(value.clone()));
        }
    }
}

fn host(host: &DocumentHost) -> Node {
    let entry = host.entry;
    let mut node = Node::map();
    if let Some(role) = host.role.or(entry.role) {
        let role = match role {
            Role::Manager => "controller+worker",
            Role::Worker => "worker",
        };
        node.insert("role", role.into());
    }
    let mut ssh = connection(&entry.address, entry.port, &entry.user, &entry.key_path);
    if let Some(through) = &entry.bastion {
        ssh.insert("bastion", bastion(through));
    }
    node.insert("ssh", ssh);
    for (key, value) in [
        ("privateAddress", &entry.private_address),
        ("privateInterface", &entry.private_interface),
        ("hostname", &entry.hostname),
    ] {
        if let Some(value) = value {
            node.insert(key, Node::Str(value.clone()));
        }
    }
    if entry.no_taints {
        node.insert("noTaints", Node::Bool(true));
    }
    let mut flags: Vec<Node> = entry.install_flags.iter().cloned().map(Node::Str).collect();
    let chosen = entry
        .install_flags
        .iter()
        .any(|flag| flag.starts_with("--profile"));
    if let (Some(profile), false) = (host.profile, chosen) {
        flags.push(Node::Str(format!("--profile={profile}")));
    }
    if !flags.is_empty() {
        node.insert("installFlags", Node::List(flags));
    }
    node
}

/// A bastion, and the one before it.
fn bastion(bastion: &Bastion) -> Node {
    let mut node = connection(&bastion.address, bastion.port, &bastion.user, &bastion.key_path);
    if let Some(before) = &bastion.bastion {
        node.insert("bastion", self::bastion(before));
    }
    node
}

fn connection(address: &str, port: u32, user: &str, key_path: &str) -> Node {
    let mut node = Node::map();
    node.insert("address", address.into());
    node.insert("keyPath", key_path.into());
    node.insert("port", port.into());
    node.insert("user", user.into());
    node
}

/// Values of the Calico chart are YAML inside a string, and MKE 4k asks for the plug-in path in its first line: Calico's CSI
/// driver is found by the kubelet under the kubelet's own root. That root is the one of MKE 3 and not the one that MKE 4k
/// would take, so they are written whether or not a setting changes them.
fn write_calico_values(document: &mut Node, base: &Node, kubelet_root: &str) {
    let providers = document.entry("spec").entry("network").entry("providers");
    let Node::List(providers) = providers else { return };
    for provider in providers {
        if provider.get("provider").and_then(Node::as_str) != Some("calico") {
            continue;
        }
        let mut values = base.clone();
        if let Some(set @ Node::Map(_)) = provider.at(&["extraConfig", "values.yaml"]) {
            overlay(&mut values, set);
        }
        let text = format!(
            "kubeletVolumePluginPath: {}\n{}",
            yaml::flow(&Node::Str(kubelet_root.to_owned())),
            yaml::write(&values).trim_end()
        );
        provider
            .entry("extraConfig")
            .insert("values.yaml", Node::Str(text));
    }
}

/// Writes every leaf of `over` into `under`; lists are replaced.
pub(super) fn overlay(under: &mut Node, over: &Node) {
    match over {
        Node::Map(map) => {
            if !matches!(under, Node::Map(_)) {
                *under = Node::map();
            }
            for (key, value) in map {
                overlay(under.entry(key), value);
            }
        }
        other => *under = other.clone(),
    }
}
