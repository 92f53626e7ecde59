//! What an action changed on its host, held against what the plan says it changes.

use mkectl::apply::ActionCall;
use mkectl::lab::Lab;
use mkectl::lab::model::kube::{self, Api};
use std::collections::{BTreeMap, BTreeSet};

/// Kinds of objects that controllers make and remove by themselves.
const PASSING: &[&str] = &[
    "controllerrevisions",
    "endpoints",
    "endpointslices",
    "events",
    "jobs",
    "leases",
    "pods",
    "replicasets",
];

/// By its names, `resource/namespace/name` with and without the group: what clients on hosts decided about an object.
type Objects = BTreeMap<[String; 2], Vec<String>>;

/// A host at some moment, and the objects of the cluster.
pub struct Seen {
    /// By store: MKE 3's, and those of k0s.
    objects: BTreeMap<String, Objects>,
    files: BTreeSet<String>,
    /// Those that are no directories.
    regular: BTreeSet<String>,
    units: BTreeMap<String, String>,
    containers: BTreeMap<String, String>,
    services: BTreeMap<String, String>,
}

impl Seen {
    pub fn now(lab: &Lab, host: &str) -> Seen {
        let files: BTreeSet<String> = lab
            .changes(host)
            .unwrap()
            .into_iter()
            .map(|change| change.path)
            .collect();
        let layers: Vec<&str> = files
            .iter()
            .map(String::as_str)
            .filter(|path| path.starts_with("/var/lib/docker/overlay2/"))
            .collect();
        let regular = regular(lab, host, &layers);
        let mut state = lab.state();
        let context = state.mke3_context();
        let mut objects = BTreeMap::from([(
            "MKE 3".to_owned(),
            objects(&Api::new(&mut state.etcd.store, &context)),
        )]);
        let clusters: BTreeSet<String> = state
            .hosts
            .keys()
            .filter_map(|host| Some(state.k0s_on(host)?.cluster.clone()))
            .collect();
        for cluster in clusters {
            if let Some(found) = state.with_k0s(&cluster, |api| self::objects(api)) {
                objects.insert(cluster, found);
            }
        }
        let known = &state.hosts[host];
        Seen {
            objects,
            files,
            regular,
            units: known
                .units
                .iter()
                .map(|(name, unit)| (name.clone(), format!("{:?} {:?}", unit.active, unit.enablement)))
                .collect(),
            containers: known
                .containers
                .iter()
                .map(|(name, one)| (name.clone(), format!("{:?} {:?}", one.phase, one.restart)))
                .collect(),
            services: state
                .swarm
                .services
                .iter()
                .map(|(name, one)| (name.clone(), format!("{:?} {:?}", one.mode, one.constraints)))
                .collect(),
        }
    }

    /// What is other later, and not among the changes of the step.
    pub fn undeclared(&self, later: &Seen, call: &ActionCall) -> Vec<String> {
        let step = call.step();
        let own = "/var/lib/mkectl/";
        let mut found = Vec::new();
        for path in later.files.symmetric_difference(&self.files) {
            let beside = |place: &str| path.strip_prefix(own).is_some_and(|rest| rest.starts_with(place));
            let free = path.starts_with(own) && path[own.len()..].len() >= 16
                // Who may run anything here is the runner's business, and common to all plans.
                || beside("tokens")
                || beside("lease")
                || own.starts_with(path.as_str())
                || path == "/var/lib/mkectl"
                || path.starts_with("/run/")
                || path == "/run"
                // What a container writes, and be it a file that is gone again, leaves its directory in the container's layer.
                || path == "/var/lib/docker/overlay2"
                || path.starts_with("/var/lib/docker/overlay2/") && !later.regular.contains(path)
                // What the container engine keeps follows from what is done to containers.
                || path.starts_with("/var/lib/docker") && !step.changes.containers.is_empty();
            let declared = step.changes.files.iter().any(|pattern| {
                let pattern = filled(pattern, call);
                within(&pattern, path)
            });
            if !free && !declared {
                found.push(format!("the file {path}"));
            }
        }
        // A control plane that starts makes objects of its own.
        let starts = step.changes.units.iter().any(|unit| unit.starts_with("k0s"));
        for (store, before) in self.objects.iter().filter(|_| !starts) {
            let Some(after) = later.objects.get(store) else {
                continue;
            };
            let names: BTreeSet<&[String; 2]> = before.keys().chain(after.keys()).collect();
            for names in names {
                let free = step.changes.objects.iter().any(|pattern| {
                    let pattern = filled(pattern, call);
                    names.iter().any(|name| matches(&pattern, name))
                });
                let same = match (before.get(names), after.get(names)) {
                    (None, Some(decided)) => decided.is_empty(),
                    (before, after) => before == after,
                };
                if !free && !same {
                    found.push(format!("the object {} of {store}", names[0]));
                }
            }
        }
        let maps = [
            ("unit", &self.units, &later.units, &step.changes.units),
            (
                "container",
                &self.containers,
                &later.containers,
                &step.changes.containers,
            ),
            ("service", &self.services, &later.services, &step.changes.services),
        ];
        for (kind, before, after, declared) in maps {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                if before.get(name) != after.get(name) && !declared.iter().any(|glob| matches(glob, name)) {
                    found.push(format!(
                        "the {kind} {name} ({:?} → {:?})",
                        before.get(name),
                        after.get(name)
                    ));
                }
            }
        }
        found
    }
}

/// Of these paths of a host, those that are no directories.
fn regular(lab: &Lab, host: &str, paths: &[&str]) -> BTreeSet<String> {
    if paths.is_empty() {
        return BTreeSet::new();
    }
    let line = "while read -r path; do [ -d \"$path\" ] || echo \"$path\"; done";
    let ran = crate::simulated::sh(lab, host, line, format!("{}\n", paths.join("\n")).as_bytes());
    ran.out.lines().map(str::to_owned).collect()
}

/// All objects that do not come and go by themselves, with the fields that `kubectl` decided, under whatever name.
fn objects(api: &Api<'_>) -> Objects {
    let mut found = Objects::new();
    let resources = api.resources();
    for resource in resources
        .iter()
        .filter(|one| !PASSING.contains(&one.plural.as_str()))
    {
        for object in api.list(resource, None) {
            let decided = object["metadata"]["managedFields"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|entry| {
                    let manager = entry["manager"].as_str().unwrap_or_default();
                    manager == "mkectl" || manager.starts_with("kubectl")
                })
                .map(|entry| format!("{} {}", entry["manager"], entry["fieldsV1"]))
                .collect();
            let place = match kube::namespace(&object) {
                "" => kube::name(&object).to_owned(),
                namespace => format!("{namespace}/{}", kube::name(&object)),
            };
            let names = [&resource.plural, &resource.full()].map(|kind| format!("{kind}/{place}"));
            found.insert(names, decided);
        }
    }
    found
}

/// `$NAME` in a pattern is the parameter.
fn filled(pattern: &str, call: &ActionCall) -> String {
    let mut text = pattern.to_owned();
    for (name, value) in &call.inputs.env {
        text = text.replace(&format!("${name}"), value);
    }
    text
}

/// Whether a path is what a pattern names, lies in the directory that it names, or leads there.
fn within(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('/') {
        Some(directory) => {
            matches(directory, path)
                || matches(&format!("{directory}/*"), path)
                || matches(&format!("{directory}.mkectl-*"), path)
                || directory.starts_with(&format!("{path}/"))
        }
        None => {
            matches(pattern, path)
                || matches(&format!("{pattern}.mkectl-*"), path)
                || pattern.starts_with(&format!("{path}/"))
        }
    }
}

/// `*` stands for anything.
fn matches(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
