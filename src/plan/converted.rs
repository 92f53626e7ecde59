//! All conversions of one cluster, and the documents they give.

use super::make::Inputs;
use crate::catalogue::Release;
use crate::convert::document::{
    ComponentArgs, DocumentHost, DocumentInput, K0sFiles, k0s_document, k0s_problems, mke4_document,
};
use crate::convert::flags::{FlagInput, HostLabels, convert_flags, raw_flags};
use crate::convert::ports::convert_ports;
use crate::convert::rbac::auth::convert_auth;
use crate::convert::rbac::{RbacResult, convert_rbac};
use crate::convert::settings::{SECRET_PLACEHOLDER, SETTING_INVALID, SettingsTable, Write, convert_settings};
use crate::model::{Conversion, Finding, PortFate, PortRow, Rbac, Role, SecretRef, Subject};
use crate::source::JoinedHost;
use crate::source::mke3::Config;
use crate::yaml::{self, Node};
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of everything.
#[derive(Debug)]
pub struct Converted {
    /// Rows of settings, flags and ports.
    pub conversion: Conversion,
    /// Rows of users, organizations, teams and grants; absent without accounts.
    pub rbac: Option<Rbac>,
    /// Findings of all conversions, not sorted.
    pub findings: Vec<Finding>,
    /// Secrets by reference.
    pub secrets: Vec<SecretRef>,
    /// Generated documents by name.
    pub documents: BTreeMap<&'static str, String>,
    /// The worker profile of every host, by host id.
    pub profiles: BTreeMap<String, String>,
}

impl Converted {
    /// Whether a document has placeholders for secrets.
    pub fn has_secrets(&self, document: &str) -> bool {
        self.documents
            .get(document)
            .is_some_and(|text| text.contains(SECRET_PLACEHOLDER))
    }
}

/// Converts everything. Never fails: what cannot be used is a row and a finding.
pub fn convert(
    inputs: &Inputs<'_>,
    config: &Config,
    hosts: &[JoinedHost<'_>],
    release: &Release,
) -> Converted {
    let tables = inputs.tables;
    let facts = inputs.facts.map(|facts| facts.value);
    let accounts = inputs.accounts.map(|accounts| accounts.value);

    let settings = convert_settings(&tables.settings, config, release, inputs.options);
    let labels = facts.map(|_| labels(hosts));
    let raw = raw_flags(&tables.flags, config);
    let flags = convert_flags(
        &tables.flags,
        &FlagInput {
            file: &config.file,
            flags: &raw,
            labels: labels.as_ref(),
            source_minor: facts.and_then(|facts| facts.cluster.kubernetes_version.as_deref()),
            target_minor: &release.kubernetes,
        },
    );
    let auth = convert_auth(
        config,
        accounts,
        &inputs.options.external_address,
        &release.mke,
        &tables.rbac,
    );
    let in_cluster = facts.and_then(|facts| facts.cluster.objects.as_ref()?.cluster_roles.as_deref());
    let rbac = accounts.map(|accounts| convert_rbac(accounts, in_cluster, &tables.rbac));
    let (ports, port_findings, gateway) =
        convert_ports(&tables.ports, config, inputs.options, release, facts);

    let mut writes = settings.writes.clone();
    let later = flags.fields.iter().cloned().chain(auth.values.clone());
    // Paths come from tables that were checked when they were loaded; one that is not a path writes nothing.
    writes.extend(later.filter_map(|(path, value)| Write::set(&path, value).ok()));
    let gateway = gateway.map_or(Vec::new(), |ports| {
        vec![("http", ports.http), ("https", ports.https)]
    });
    writes.extend(gateway.into_iter().filter_map(|(name, port)| {
        Write::set(&format!("spec.gatewayMKEIngress.nodePorts.{name}"), port.into()).ok()
    }));
    let profiles = profiles(inputs, hosts, &flags.host_profiles);
    let mke4 = mke4(
        inputs,
        config,
        release,
        hosts,
        &writes,
        &flags.extra_args,
        &flags.profiles,
        &flags.host_profiles,
    );
    let mut findings = flags.findings;
    findings.extend(auth.findings);
    findings.extend(port_findings);
    let documents = documents(inputs, release, hosts, &mke4, &ports, rbac.as_ref());
    findings.extend(k0s_problems(
        &tables.k0s,
        &tables.settings,
        &k0s(inputs, hosts, &mke4, true),
        release,
    ));

    let mut rows = settings.rows;
    rows.extend(auth.settings);
    let mut secrets = [settings.secrets, flags.secrets, auth.secrets].concat();
    let rbac = rbac.map(|rbac| {
        findings.extend(rbac.findings);
        secrets.extend(rbac.secrets);
        rbac.rbac
    });
    Converted {
        findings: said_once(&tables.settings, settings.findings, findings),
        conversion: Conversion {
            settings: rows,
            flags: flags.rows,
            ports,
        },
        rbac,
        secrets,
        documents,
        profiles,
    }
}

/// Findings of the settings table and of the other conversions, without what would be said twice: a loss that another
/// conversion describes with more, and conclusions from a value that is refused anyway.
fn said_once(table: &SettingsTable, settings: Vec<Finding>, mut others: Vec<Finding>) -> Vec<Finding> {
    let refused: BTreeSet<Subject> = settings
        .iter()
        .filter(|finding| finding.code == SETTING_INVALID)
        .map(|finding| finding.subject.clone())
        .collect();
    others.retain(|finding| !refused.contains(&finding.subject));
    let said: BTreeSet<String> = others.iter().map(|finding| finding.code.clone()).collect();
    let kept = settings.into_iter().filter(|finding| {
        table
            .said_by
            .get(&finding.code)
            .is_none_or(|better| better.is_disjoint(&said))
    });
    let mut findings: Vec<Finding> = kept.collect();
    findings.append(&mut others);
    findings
}

/// Labels of every host: what Kubernetes says, else what hosts.yaml says.
fn labels(hosts: &[JoinedHost<'_>]) -> HostLabels {
    hosts
        .iter()
        .map(|host| {
            let mut labels = host.entry.labels.clone();
            if let Some(node) = host.facts.and_then(|facts| facts.node.as_ref()) {
                labels.extend(node.labels.clone());
            }
            (host.id.clone(), labels)
        })
        .collect()
}

/// The worker profile of each host with a known role: its own, else the one of its role.
fn profiles(
    inputs: &Inputs<'_>,
    hosts: &[JoinedHost<'_>],
    chosen: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let k0s = &inputs.tables.k0s;
    hosts
        .iter()
        .filter_map(|host| {
            let given = host
                .entry
                .install_flags
                .iter()
                .find_map(|flag| flag.strip_prefix("--profile="));
            let profile = match (given, chosen.get(&host.id), host.role) {
                (Some(given), _, _) => given,
                (None, Some(chosen), _) => chosen,
                (None, None, Some(Role::Manager)) => k0s.manager_profile(),
                (None, None, Some(Role::Worker)) => k0s.worker_profile(),
                (None, None, None) => return None,
            };
            Some((host.id.clone(), profile.to_owned()))
        })
        .collect()
}

#[allow(clippy::too_many_arguments)]
fn mke4(
    inputs: &Inputs<'_>,
    config: &Config,
    release: &Release,
    hosts: &[JoinedHost<'_>],
    writes: &[Write],
    args: &ComponentArgs,
    profiles: &BTreeMap<String, Node>,
    host_profiles: &BTreeMap<String, String>,
) -> Node {
    let profiles = profiles
        .iter()
        .map(|(name, values)| {
            let mut profile = Node::map();
            profile.insert("name", Node::Str(name.clone()));
            profile.insert("values", values.clone());
            profile
        })
        .collect();
    let hosts: Vec<DocumentHost<'_>> = hosts
        .iter()
        .map(|host| DocumentHost {
            entry: host.entry,
            role: host.role,
            profile: host_profiles.get(&host.id).map(String::as_str),
        })
        .collect();
    mke4_document(
        &inputs.tables.mke4,
        release,
        inputs.options,
        &DocumentInput {
            writes,
            args,
            profiles: &Node::List(profiles),
            hosts: &hosts,
            kubelet_root: &super::values::kubelet_root_of(config),
            license: None,
        },
    )
}

fn k0s(inputs: &Inputs<'_>, hosts: &[JoinedHost<'_>], mke4: &Node, hold: bool) -> Node {
    let mut controllers = Vec::new();
    for host in hosts.iter().filter(|host| host.role == Some(Role::Manager)) {
        controllers.push(host.entry.address.clone());
        let recorded = host.facts.and_then(|facts| facts.private_address.clone());
        controllers.extend(host.entry.private_address.clone().or(recorded));
    }
    k0s_document(&inputs.tables.k0s, mke4, &controllers, K0sFiles::default(), hold)
}

fn documents(
    inputs: &Inputs<'_>,
    release: &Release,
    hosts: &[JoinedHost<'_>],
    mke4: &Node,
    ports: &[PortRow],
    accounts: Option<&RbacResult>,
) -> BTreeMap<&'static str, String> {
    let lines = |rows: Vec<String>| rows.into_iter().map(|row| row + "\n").collect::<String>();
    let port_lines = |wanted: fn(&PortRow) -> bool, with_hosts: bool| {
        let rows = ports.iter().filter(|row| wanted(row)).map(|row| {
            let hosts = if with_hosts {
                format!(" {}", row.hosts)
            } else {
                String::new()
            };
            format!("{}/{}{hosts}", row.port, row.protocol)
        });
        lines(rows.collect())
    };
    let rbac = accounts
        .into_iter()
        .flat_map(|accounts| &accounts.manifests)
        .filter_map(|manifest| manifest.to_node().ok())
        .map(|node| format!("---\n{}", yaml::write(&node)))
        .collect::<String>();
    BTreeMap::from([
        (
            "access.txt",
            accounts
                .map(|accounts| accounts.access.clone())
                .unwrap_or_default(),
        ),
        ("calico-values.yaml", calico_values(mke4)),
        ("k0s-released.yaml", yaml::write(&k0s(inputs, hosts, mke4, false))),
        ("k0s.yaml", yaml::write(&k0s(inputs, hosts, mke4, true))),
        ("mke3-objects.txt", inputs.tables.mke3.objects_text()),
        ("mke3-volumes.txt", inputs.tables.mke3.volumes_text()),
        ("mke4.yaml", yaml::write(mke4)),
        (
            "ports-retired.txt",
            port_lines(|row| row.fate == PortFate::Retired, false),
        ),
        ("ports.txt", port_lines(|row| row.fate != PortFate::Retired, true)),
        ("rbac.yaml", rbac),
        ("registry-cas.pem", inputs.registry_cas.to_owned()),
        (
            "unreadable-versions.txt",
            lines(inputs.tables.checks.unreadable(&release.kubernetes)),
        ),
    ])
}

/// The values of the Tigera operator, as mke4.yaml has them for its Calico provider.
fn calico_values(mke4: &Node) -> String {
    let providers = mke4
        .at(&["spec", "network", "providers"])
        .map(Node::items)
        .unwrap_or_default();
    providers
        .iter()
        .find(|provider| provider.get("provider").and_then(Node::as_str) == Some("calico"))
        .and_then(|provider| provider.at(&["extraConfig", "values.yaml"]))
        .and_then(Node::as_str)
        .unwrap_or_default()
        .to_owned()
}
