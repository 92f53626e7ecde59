//! Making a plan: what was read and what an upgrade is, brought together into a [`Spec`]. Pure.

use super::converted::{Converted, convert};
use super::tables::{Tables, TablesError};
use super::{BuildError, Graph, HostView, Situation, build, digest};
use crate::catalogue::{Release, vocabulary};
use crate::convert::checks::{CheckContext, aggregate, run_checks};
use crate::convert::settings::holds_secret;
use crate::model::{
    Asset, At, Cluster, Document, From, Host, Image, Input, Intent, Keep, OutputKind, ParamSource,
    SecretFile, SecretRef, Selector, Severity, Spec, Step, To,
};
use crate::options::Options;
use crate::source::accounts::Accounts;
use crate::source::facts::Facts;
use crate::source::hosts::Hosts;
use crate::source::images::{Answer, Images, Kind};
use crate::source::mke3::{Config, Leaf};
use crate::source::{JoinedHost, join};
use std::collections::{BTreeMap, BTreeSet};

/// One input file, parsed.
#[derive(Debug)]
pub struct Source<'a, T> {
    /// File name without directories.
    pub file: &'a str,
    /// Its bytes, for the digest.
    pub bytes: &'a [u8],
    /// Its content.
    pub value: &'a T,
}

impl<T> Clone for Source<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Source<'_, T> {}

/// Everything that a plan is made of.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// `plans/upgrade/`.
    pub tables: &'a Tables,
    /// The MKE 3 configuration.
    pub config: &'a Config,
    /// hosts.yaml.
    pub hosts: Source<'a, Hosts>,
    /// Recorded facts.
    pub facts: Option<Source<'a, Facts>>,
    /// Recorded accounts.
    pub accounts: Option<Source<'a, Accounts>>,
    /// What registries hold of the list of images and charts.
    pub images: Option<Source<'a, Images>>,
    /// Content of the CA files of the registries, one after the other; empty without any.
    pub registry_cas: &'a str,
    /// Options.
    pub options: &'a Options,
    /// Assets that the user has, by name: they take the place of the release table's.
    pub assets: &'a BTreeMap<String, GivenAsset>,
}

/// An asset that the user has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenAsset {
    /// Where from, for readers: `file:NAME`.
    pub url: String,
    /// `sha256:…` of its content.
    pub digest: String,
}

/// A plan's content, and the volatile readings behind its findings.
#[derive(Clone, Debug)]
pub struct Made {
    /// Everything that decides what happens.
    pub spec: Spec,
    /// For `meta`.
    pub readings: BTreeMap<String, String>,
}

/// Why no plan can be made at all. What only keeps a plan from being applied is a finding, not an error.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// `--target-version` names no release that this build knows.
    #[error("MKE 4k {wanted} is not a release that this mkectl knows")]
    Target {
        /// As given.
        wanted: String,
        /// The releases it knows, oldest first.
        known: Vec<String>,
    },
    /// The catalogue does not unfold over this cluster: a fault of this build.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The plan cannot be written as JSON: a fault of this build.
    #[error("the plan cannot be written: {0}")]
    Json(#[from] serde_json::Error),
    /// `plans/upgrade/` cannot be used: a fault of this build.
    #[error(transparent)]
    Tables(#[from] TablesError),
}

/// Makes a plan. The same inputs give the same [`Spec`].
///
/// # Errors
///
/// [`MakeError`]; blockers are not errors.
pub fn make(inputs: &Inputs<'_>) -> Result<Made, MakeError> {
    let tables = inputs.tables;
    let facts = inputs.facts.map(|source| source.value);
    let hosts = join(inputs.hosts.value, facts);
    let source_version = facts.and_then(|facts| facts.cluster.mke_version.as_deref());
    let release = release(tables, inputs.options, source_version)?;
    let config = inputs
        .config
        .clone()
        .with_arrays(&|path| tables.settings.is_array(path));

    let converted = convert(inputs, &config, &hosts, release);
    let checks = run_checks(&CheckContext {
        config: &config,
        hosts: inputs.hosts.value,
        facts,
        images: inputs.images.map(|source| source.value),
        target: Some(release),
        releases: &tables.releases,
        options: inputs.options,
        rules: &tables.checks,
        registry: &tables.findings,
    });
    let mut graph = build(
        &tables.catalogue,
        &situation(inputs, tables, &config, &hosts, release, &converted),
    )?;

    let mut findings = converted.findings.clone();
    findings.extend(checks.findings);
    let findings = aggregate(findings);
    let assets = assets(release, &graph, inputs.assets);
    let runner = digest::digest_bytes(&tables.runner);
    graph.scripts.insert(runner.clone(), tables.runner.clone());
    let blockers = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Blocking)
        .count();
    let not_applyable = not_applyable(inputs, &graph, &assets, blockers);
    let mut unchecked = checks.unchecked;
    unchecked.sort();
    let spec = Spec {
        intent: Intent {
            applyable: not_applyable.is_empty(),
            not_applyable,
            catalogue: tables.digest.clone(),
            options: inputs.options.stored(),
        },
        cluster: cluster(inputs, release, std::mem::take(&mut graph.relied_cluster_facts)),
        inputs: read(inputs, &config),
        findings,
        unchecked,
        hosts: host_rows(&hosts, &mut graph, &converted),
        secrets: secrets(inputs, &graph, &converted),
        secret_files: secret_files(&graph, &converted),
        assets,
        images: images(inputs),
        documents: converted
            .documents
            .iter()
            .map(|(name, text)| Document {
                name: (*name).to_owned(),
                digest: digest::digest_bytes(text),
                secrets: text.contains(crate::convert::settings::SECRET_PLACEHOLDER),
            })
            .collect(),
        files: converted
            .documents
            .values()
            .map(|text| (digest::digest_bytes(text), text.clone()))
            .collect(),
        conversion: converted.conversion,
        rbac: converted.rbac,
        scripts: graph.scripts,
        runner,
        stages: graph.stages,
        budgets: graph.budgets,
        steps: graph.steps,
        actions: graph.actions,
        joints: graph.joints,
        skipped: graph.skipped,
        lines: graph.lines,
        estimate: graph.estimate,
    };
    Ok(Made {
        spec,
        readings: checks.readings,
    })
}

/// The release to go to: the one asked for, else the newest that takes the source, else (the source is unknown, or none
/// takes it, which is a blocking finding) the newest.
fn release<'a>(
    tables: &'a Tables,
    options: &Options,
    source: Option<&str>,
) -> Result<&'a Release, MakeError> {
    let known = || {
        tables
            .releases
            .releases
            .iter()
            .map(|release| release.mke.clone())
            .collect()
    };
    if let Some(wanted) = &options.target_version {
        return tables.releases.get(wanted).ok_or_else(|| MakeError::Target {
            wanted: wanted.clone(),
            known: known(),
        });
    }
    source
        .and_then(|source| tables.releases.newest_for(source))
        .or_else(|| tables.releases.releases.last())
        .ok_or_else(|| MakeError::Target {
            wanted: String::new(),
            known: known(),
        })
}

fn situation<'a>(
    inputs: &Inputs<'a>,
    tables: &'a Tables,
    config: &'a Config,
    hosts: &'a [JoinedHost<'a>],
    release: &'a Release,
    converted: &Converted,
) -> Situation<'a> {
    let names = |names: vocabulary::Names| names.iter().map(|(name, _)| (*name).to_owned()).collect();
    Situation {
        hosts: hosts
            .iter()
            .map(|host| HostView {
                id: host.id.clone(),
                role: host.role,
                entry: host.entry,
                facts: host.facts,
            })
            .collect(),
        cluster: inputs.facts.map(|facts| &facts.value.cluster),
        options: inputs.options,
        release,
        config,
        accounts: inputs.accounts.map(|accounts| accounts.value),
        balancer: &tables.ports.balancer,
        documents: converted
            .documents
            .keys()
            .map(|name| (*name).to_owned())
            .collect(),
        assets: release.assets.keys().cloned().collect(),
        secrets: names(vocabulary::SECRETS),
    }
}

fn cluster(inputs: &Inputs<'_>, release: &Release, relied: BTreeMap<String, String>) -> Cluster {
    let facts = inputs.facts.map(|facts| facts.value);
    let of_cluster = |get: fn(&Facts) -> Option<String>| facts.and_then(get).unwrap_or_default();
    Cluster {
        id: of_cluster(|facts| facts.cluster.id.clone()),
        name: inputs.options.external_address.clone(),
        external_address: inputs.options.external_address.clone(),
        from: From {
            mke: of_cluster(|facts| facts.cluster.mke_version.clone()),
            kubernetes: of_cluster(|facts| facts.cluster.kubernetes_version.clone()),
            mcr: of_cluster(|facts| {
                facts
                    .hosts
                    .iter()
                    .find_map(|host| host.docker.as_ref().and_then(|docker| docker.version.clone()))
            }),
        },
        to: To {
            mke: release.mke.clone(),
            kubernetes: release.kubernetes.clone(),
            k0s: release.k0s.clone(),
            etcd: release.etcd.clone(),
        },
        facts: relied,
    }
}

fn read(inputs: &Inputs<'_>, config: &Config) -> Vec<Input> {
    let tables = inputs.tables;
    let present = |name: &str, file: &str, digest: String| Input {
        name: name.to_owned(),
        source: "file".to_owned(),
        file: file.to_owned(),
        digest,
        unchecked: String::new(),
    };
    let absent = |name: &str, unchecked: &str| Input {
        name: name.to_owned(),
        source: "absent".to_owned(),
        file: String::new(),
        digest: String::new(),
        unchecked: unchecked.to_owned(),
    };
    // A key that is not in the table may hold a secret, and so may a list of flags, and a URL in front of its host.
    let secret = |leaf: &Leaf| {
        let path = leaf.table_path();
        path.contains("custom_")
            || holds_secret(&leaf.value)
            || tables
                .settings
                .find(&path)
                .is_none_or(|definition| definition.secret)
    };
    let mut all = vec![
        present("mke3-config", &config.file, config.redacted_digest(&secret)),
        present(
            "hosts",
            inputs.hosts.file,
            digest::digest_bytes(inputs.hosts.bytes),
        ),
        match inputs.facts {
            Some(facts) => present("facts", facts.file, digest::digest_bytes(facts.bytes)),
            None => absent(
                "facts",
                "roles, versions, health, disks and everything else about hosts and cluster",
            ),
        },
        match inputs.accounts {
            Some(accounts) => present("accounts", accounts.file, digest::digest_bytes(accounts.bytes)),
            None => absent(
                "accounts",
                "users, organizations, teams, roles, grants and LDAP settings",
            ),
        },
    ];
    let registries = [&inputs.options.image_registry, &inputs.options.chart_registry];
    match inputs.images {
        Some(images) => all.push(present("images", images.file, digest::digest_bytes(images.bytes))),
        None if registries.iter().any(|registry| registry.is_some()) => all.push(absent(
            "images",
            "whether the registries hold the images and charts, and with which digests",
        )),
        None => {}
    }
    all
}

/// One row a host. Takes what the graph found out about each, because there is much of it.
fn host_rows(hosts: &[JoinedHost<'_>], graph: &mut Graph, converted: &Converted) -> Vec<Host> {
    hosts
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let mut fields = graph
                .host_fields
                .get_mut(index)
                .map(std::mem::take)
                .unwrap_or_default();
            if let (Some(field), Some(profile)) = (
                fields.get_mut("kubelet-profile"),
                converted.profiles.get(&host.id),
            ) {
                field.clone_from(profile);
            }
            let mut host_keys = host
                .facts
                .map(|facts| facts.host_keys.clone())
                .unwrap_or_default();
            host_keys.sort();
            Host {
                role: host.role,
                host_keys,
                machine_id: host
                    .facts
                    .and_then(|facts| facts.machine_id.clone())
                    .unwrap_or_default(),
                fields,
                facts: graph
                    .relied_host_facts
                    .get_mut(index)
                    .map(std::mem::take)
                    .unwrap_or_default(),
                ..host.entry.host(&host.id)
            }
        })
        .collect()
}

/// The assets that a step takes.
fn assets(release: &Release, graph: &Graph, given: &BTreeMap<String, GivenAsset>) -> Vec<Asset> {
    let used: BTreeSet<&str> = params(graph)
        .filter_map(|source| match source {
            ParamSource::Asset(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    release
        .assets
        .iter()
        .filter(|(name, _)| used.contains(name.as_str()))
        .map(|(name, asset)| {
            let (url, digest) = match given.get(name) {
                Some(given) => (&given.url, &given.digest),
                None => (&asset.url, &asset.digest),
            };
            Asset {
                name: name.clone(),
                kind: asset.kind.clone(),
                url: url.clone(),
                digest: digest.clone(),
            }
        })
        .collect()
}

fn params(graph: &Graph) -> impl Iterator<Item = &ParamSource> {
    graph.steps.iter().flat_map(|step| step.params.values())
}

/// Images and charts, as their registries hold them.
fn images(inputs: &Inputs<'_>) -> Vec<Image> {
    let seen = inputs.images.iter().flat_map(|source| &source.value.images);
    seen.map(|seen| Image {
        name: seen.name.clone(),
        kind: Kind::of(&seen.name).word().to_owned(),
        place: seen.place.clone(),
        digest: match &seen.answer {
            Answer::Digest(digest) => digest.clone(),
            Answer::Missing(_) | Answer::Untold(_) => String::new(),
        },
    })
    .collect()
}

/// What a registry is asked with again, before anything changes.
fn registry_password(inputs: &Inputs<'_>, kind: Kind, user: &Option<String>) -> Option<SecretRef> {
    let mut seen = inputs.images.iter().flat_map(|source| &source.value.images);
    let asked = user.is_some() && seen.any(|seen| Kind::of(&seen.name) == kind);
    let word = kind.word();
    asked.then(|| SecretRef {
        name: format!("{word}-registry-password"),
        from: format!("env:MKECTL_{}_REGISTRY_PASSWORD", word.to_uppercase()),
        used_for: format!(
            "asking the {word} registry, before anything changes, for the digests of this plan"
        ),
    })
}

fn secrets(inputs: &Inputs<'_>, graph: &Graph, converted: &Converted) -> Vec<SecretRef> {
    let mut secrets = converted.secrets.clone();
    let options = inputs.options;
    secrets.extend(registry_password(
        inputs,
        Kind::Image,
        &options.image_registry_username,
    ));
    secrets.extend(registry_password(
        inputs,
        Kind::Chart,
        &options.chart_registry_username,
    ));
    for (name, meaning) in vocabulary::SECRETS {
        if params(graph).any(|source| matches!(source, ParamSource::Secret(used) if used == name)) {
            secrets.push(SecretRef {
                name: (*name).to_owned(),
                from: format!("env:MKECTL_{}", name.to_uppercase().replace('-', "_")),
                used_for: (*meaning).to_owned(),
            });
        }
    }
    secrets.sort();
    secrets.dedup();
    secrets
}

/// Every file that will hold a secret: secret outputs of steps, and what the engine writes on the operator's machine.
fn secret_files(graph: &Graph, converted: &Converted) -> Vec<SecretFile> {
    let mut files: Vec<SecretFile> = graph.steps.iter().flat_map(secret_outputs).collect();
    for step in &graph.steps {
        let (path, holds) = match step.builtin.as_deref() {
            Some("write-kubeconfig") => ("~/.mke/mke.kubeconf", "client key of the administrator"),
            Some("write-config") if converted.has_secrets("mke4.yaml") => {
                ("mke4.yaml", "secrets of the configuration")
            }
            _ => continue,
        };
        files.push(SecretFile {
            path: path.to_owned(),
            hosts: "operator".to_owned(),
            mode: "0600".to_owned(),
            holds: holds.to_owned(),
            until: "a person removes it".to_owned(),
            step: step.id.clone(),
        });
    }
    files
}

fn secret_outputs(step: &Step) -> impl Iterator<Item = SecretFile> {
    let hosts = match step.at {
        At::Subject => step.subjects.name(),
        At::Lead => Selector::Lead.name(),
        At::Operator => "operator",
    };
    step.outputs
        .iter()
        .filter(|(_, output)| output.kind == OutputKind::File && output.secret)
        .map(move |(name, output)| SecretFile {
            path: if hosts == "operator" {
                format!("OUTPUT/{}/{name}", step.id)
            } else {
                format!("R/{}/{name}", step.id)
            },
            hosts: hosts.to_owned(),
            mode: "0600".to_owned(),
            holds: step.title.clone(),
            until: match output.keep {
                Some(Keep::Commit) => "the point of no return",
                Some(Keep::Kept) => "a person removes it",
                Some(Keep::Run) | None => "the run ends",
            }
            .to_owned(),
            step: step.id.clone(),
        })
}

fn not_applyable(inputs: &Inputs<'_>, graph: &Graph, assets: &[Asset], blockers: usize) -> Vec<String> {
    let mut why = Vec::new();
    if blockers > 0 {
        why.push(format!(
            "{blockers} blocking finding{}",
            if blockers == 1 { "" } else { "s" }
        ));
    }
    if inputs.facts.is_none() {
        why.push("no facts were given, so roles and health of the hosts are unknown: add --facts".to_owned());
    } else if let Some(because) = &graph.empty_because {
        why.push(format!("there are no actions: {because}"));
    }
    if inputs.accounts.is_none() {
        why.push("no accounts were given, so users and grants would be lost: add --accounts".to_owned());
    }
    for undecided in &graph.undecided {
        let step = if undecided.step.is_empty() {
            String::new()
        } else {
            format!(" of the step {}", undecided.step)
        };
        why.push(format!(
            "the fact {}{step} is unknown on {}",
            undecided.fact,
            hosts_text(&undecided.hosts)
        ));
    }
    let unknown: Vec<&str> = assets
        .iter()
        .filter(|asset| asset.url.is_empty() || asset.digest.is_empty())
        .map(|a| a.name.as_str())
        .collect();
    if !unknown.is_empty() {
        why.push(format!(
            "the release table has no address or digest of {}: give the file{} with --asset NAME=FILE",
            unknown.join(", "),
            if unknown.len() == 1 { "" } else { "s" }
        ));
    }
    let done: BTreeSet<&str> = graph.actions.iter().map(|action| action.step.as_str()).collect();
    let steps = || graph.steps.iter().filter(|step| done.contains(step.id.as_str()));
    let missing = steps()
        .filter(|step| step.builtin.is_none() && step.script_digest.is_none())
        .count();
    if missing > 0 {
        why.push(format!(
            "this build of mkectl has no script for {missing} of {} steps",
            steps().count()
        ));
    }
    why
}

fn hosts_text(hosts: &[String]) -> String {
    if hosts.is_empty() {
        "the cluster".to_owned()
    } else {
        crate::text::fold_hosts(hosts)
    }
}
