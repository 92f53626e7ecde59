//! What changes objects.

use super::output::{Style, reference};
use super::{Kube, failed};
use crate::lab::model::kube::{Api, CHART_FILE, Cascade, Patch, Resource, Wrote, name, namespace, text};
use crate::lab::programs::Failure;
use serde_json::{Map, Value, json};

/// Who writes with a kubectl that was told no other name, by its command.
const CREATE: &str = "kubectl-create";
const CLIENT_APPLY: &str = "kubectl-client-side-apply";
const SERVER_APPLY: &str = "kubectl";

impl Kube<'_> {
    fn manager(&self, standard: &str) -> String {
        self.parsed.value("field-manager").unwrap_or(standard).to_owned()
    }

    fn dry(&self) -> &'static str {
        match self.parsed.value("dry-run") {
            Some("server") => " (server dry run)",
            Some("client") => " (dry run)",
            _ => "",
        }
    }

    /// Where a document goes.
    pub(super) fn place(&self, object: &mut Value, resource: &Resource) -> Result<(), Failure> {
        if !resource.namespaced {
            return Ok(());
        }
        let own = namespace(object).to_owned();
        match self.parsed.value("namespace") {
            Some(given) if !own.is_empty() && own != given => Err(Failure::Real(
                format!(
                    "error: the namespace from the provided object \"{own}\" does not match the namespace \"{given}\". You must pass '--namespace={own}' to perform this operation."
                ),
                1,
            )),
            _ => {
                if own.is_empty() {
                    object["metadata"]["namespace"] = json!(self.namespace());
                }
                Ok(())
            }
        }
    }

    /// The controller of Charts reads files of its host, and the model cannot: so it is told here whether one is there.
    fn look_for_chart(&mut self, object: &mut Value) -> Result<(), Failure> {
        let path = text(object, &["spec", "chartName"]).to_owned();
        if object["kind"] == "Chart" && path.starts_with('/') && self.caller.exists(&path)? {
            object["metadata"]["annotations"][CHART_FILE] = json!(path);
        }
        Ok(())
    }

    /// Does something with each document; what fails is told, and the others are done all the same.
    fn each(
        &mut self,
        mut act: impl FnMut(&mut Self, Value, &Resource, &str) -> Result<String, Failure>,
    ) -> Result<u8, Failure> {
        let mut failures = Vec::new();
        for (file, mut object) in self.documents()? {
            let resource = self.with(|api, _| api.resource_of(&object))?;
            let resource = match resource {
                Ok(resource) => resource,
                Err(refusal) => {
                    let text = format!(
                        "error: resource mapping not found for name: \"{}\" namespace: \"{}\" from \"{file}\": {}\nensure CRDs are installed first",
                        name(&object),
                        namespace(&object),
                        refusal.message
                    );
                    failures.push(Failure::Real(text, 1));
                    continue;
                }
            };
            self.place(&mut object, &resource)?;
            self.look_for_chart(&mut object)?;
            match act(self, object, &resource, &file) {
                Ok(line) => self.said(&line)?,
                Err(failure @ Failure::Real(..)) => failures.push(failure),
                Err(other) => return Err(other),
            }
        }
        self.tell(failures)
    }

    /// Prints the object where `-o` wants more than its name.
    fn shows(&mut self, resource: &Resource, object: &Value) -> Result<bool, Failure> {
        let Some(format) = self.parsed.value("output").map(str::to_owned) else {
            return Ok(false);
        };
        if format == "name" {
            return Ok(false);
        }
        let style = Style {
            format: Some(&format),
            headers: true,
            everywhere: false,
            labels: false,
            managed: false,
            single: true,
            kinds: false,
        };
        self.print(&[(resource.clone(), object.clone())], &style)?;
        Ok(true)
    }

    fn said(&mut self, line: &str) -> Result<(), Failure> {
        if line.is_empty() {
            return Ok(());
        }
        match self.parsed.value("output") {
            // `-o name` says no more than what it was.
            Some("name") => {
                let first = line.split(' ').next().unwrap_or_default().to_owned();
                self.line(&first)
            }
            _ => self.line(line),
        }
    }

    pub(super) fn create(&mut self, words: &[&str]) -> Result<u8, Failure> {
        let manager = self.manager(CREATE);
        let dry = self.dry();
        match words {
            [] => self.each(|kube, object, resource, file| {
                let made = kube.with(|api, user| {
                    Kube::permitted(api, user, "create", resource, namespace(&object), name(&object))?;
                    api.create(object.clone(), &manager).map_err(|refusal| {
                        let text = refusal.text();
                        let text = match text.split_once("): ") {
                            Some((head, why)) => format!("{head}): error when creating \"{file}\": {why}"),
                            None => text,
                        };
                        Failure::Real(text, 1)
                    })
                })??;
                if kube.shows(resource, &made)? {
                    return Ok(String::new());
                }
                Ok(format!("{} created{dry}", reference(resource, name(&made))))
            }),
            ["namespace" | "ns", new] => {
                let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": new}});
                self.with(|api, _| api.create(object.clone(), &manager))?
                    .map_err(|refusal| failed(&refusal))?;
                self.said(&format!("namespace/{new} created{dry}"))?;
                Ok(0)
            }
            other => Err(Failure::Unmodelled(format!("kubectl create {}", other.join(" ")))),
        }
    }

    pub(super) fn apply(&mut self) -> Result<u8, Failure> {
        let server = self.parsed.has("server-side");
        let manager = self.manager(if server { SERVER_APPLY } else { CLIENT_APPLY });
        let force = !server || self.parsed.has("force-conflicts");
        let dry = self.dry();
        self.each(|kube, object, resource, file| {
            let wrote = kube.with(|api, user| {
                Kube::permitted(api, user, "patch", resource, namespace(&object), name(&object))?;
                api.apply(object.clone(), &manager, force).map_err(|refusal| {
                    if refusal.reason == "ApplyConflict" {
                        return Failure::Real(
                            format!(
                                "error: {}\nPlease review the fields above--they currently have other managers. Here\nare the ways you can resolve this warning:\n* If you intend to manage all of these fields, please re-run the apply\n  command with the `--force-conflicts` flag.\n* If you do not intend to manage all of the fields, please edit your\n  manifest to remove references to the fields that should keep their\n  current managers.\n* You may co-own fields by updating your manifest to match the existing\n  value; in this case, you'll become the manager if the other manager(s)\n  stop managing the field (remove it from their configuration).\nSee https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts",
                                refusal.message
                            ),
                            1,
                        );
                    }
                    let text = refusal.text();
                    let text = match text.split_once("): ") {
                        Some((head, why)) if !server => format!("{head}): error when applying patch to \"{file}\": {why}"),
                        _ => text,
                    };
                    Failure::Real(text, 1)
                })
            })??;
            let word = match wrote.1 {
                _ if server => "serverside-applied",
                Wrote::Created => "created",
                Wrote::Changed => "configured",
                Wrote::Unchanged => "unchanged",
            };
            Ok(format!("{} {word}{dry}", reference(resource, name(&object))))
        })
    }

    pub(super) fn replace(&mut self) -> Result<u8, Failure> {
        let manager = self.manager("kubectl-replace");
        let (force, dry) = (self.parsed.has("force"), self.dry());
        self.each(|kube, object, resource, file| {
            kube.with(|api, user| {
                Kube::permitted(api, user, "update", resource, namespace(&object), name(&object))?;
                let done = if force {
                    // A forced replacement deletes first.
                    let _ = api.delete(
                        resource,
                        namespace(&object),
                        name(&object),
                        Cascade::Background,
                        true,
                    );
                    api.create(object.clone(), &manager)
                } else {
                    api.update(object.clone(), &manager)
                };
                done.map_err(|refusal| {
                    let text = refusal.text();
                    let text = match text.split_once("): ") {
                        Some((head, why)) => format!("{head}): error when replacing \"{file}\": {why}"),
                        None => text,
                    };
                    Failure::Real(text, 1)
                })
            })??;
            Ok(format!("{} replaced{dry}", reference(resource, name(&object))))
        })
    }

    pub(super) fn delete(&mut self, words: &[&str]) -> Result<u8, Failure> {
        let cascade = match self.parsed.value("cascade") {
            None | Some("background" | "true") => Cascade::Background,
            Some("foreground") => Cascade::Foreground,
            Some("orphan" | "false") => Cascade::Orphan,
            Some(other) => return Err(Failure::Unmodelled(format!("--cascade={other}"))),
        };
        let force = self.parsed.has("force");
        if force {
            self.caller.err(b"Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.\n")?;
        }
        let (objects, mut failures) = if self.parsed.value("filename").is_some() {
            let mut found = Vec::new();
            for (_, mut object) in self.documents()? {
                let resource = self
                    .with(|api, _| api.resource_of(&object))?
                    .map_err(|refusal| failed(&refusal))?;
                self.place(&mut object, &resource)?;
                found.push((resource, object));
            }
            (found, Vec::new())
        } else {
            let meant = self.meant(words)?;
            let named = meant.iter().all(|(_, names)| !names.is_empty());
            if !named
                && !self.parsed.has("all")
                && self.parsed.value("selector").is_none()
                && self.parsed.value("field-selector").is_none()
            {
                return Err(Failure::Real(
                    "error: resource(s) were provided, but no name was specified".to_owned(),
                    1,
                ));
            }
            self.find(&meant)?
        };
        let mut gone = Vec::new();
        for (resource, object) in objects {
            let (place, of) = (namespace(&object).to_owned(), name(&object).to_owned());
            let done = self.with(|api, user| {
                Kube::permitted(api, user, "delete", &resource, &place, &of)?;
                api.delete(&resource, &place, &of, cascade, force)
                    .map_err(|refusal| failed(&refusal))
            })?;
            match done {
                Ok(()) => {
                    let how = if force { "force deleted" } else { "deleted" };
                    let shown = reference(&resource, &of);
                    let shown = shown.replacen('/', " \"", 1) + "\"";
                    let dry = self.dry();
                    if self.parsed.value("output") == Some("name") {
                        self.line(&reference(&resource, &of))?;
                    } else {
                        self.line(&format!("{shown} {how}{dry}"))?;
                    }
                    gone.push((
                        resource,
                        place,
                        of,
                        text(&object, &["metadata", "uid"]).to_owned(),
                    ));
                }
                Err(Failure::Real(text, _))
                    if text.contains("NotFound") && self.parsed.has("ignore-not-found") => {}
                Err(failure) => failures.push(failure),
            }
        }
        let waits = self.parsed.value("wait") != Some("false") && !force && self.dry().is_empty();
        if waits {
            self.until_gone(gone)?;
        }
        self.tell(failures)
    }

    /// Waits until objects with these uids are gone.
    fn until_gone(&mut self, gone: Vec<(Resource, String, String, String)>) -> Result<(), Failure> {
        let limit = self.limit("timeout");
        let begun = std::time::Instant::now();
        for (resource, place, of, uid) in gone {
            loop {
                let there = self.with(|api, _| {
                    api.get(&resource, &place, &of)
                        .is_ok_and(|object| text(&object, &["metadata", "uid"]) == uid)
                })?;
                if !there {
                    break;
                }
                if limit.is_some_and(|limit| begun.elapsed() >= limit) {
                    let text = format!(
                        "error: timed out waiting for the condition on {}/{of}",
                        resource.plural
                    );
                    return Err(Failure::Real(text, 1));
                }
                self.pause()?;
            }
        }
        Ok(())
    }

    pub(super) fn patch(&mut self, words: &[&str]) -> Result<u8, Failure> {
        let how = match self.parsed.value("type") {
            None | Some("strategic") => Patch::Strategic,
            Some("merge") => Patch::Merge,
            Some("json") => Patch::Json,
            Some(other) => return Err(Failure::Unmodelled(format!("patch --type={other}"))),
        };
        let given = match self.parsed.value("patch-file").map(str::to_owned) {
            Some(file) => String::from_utf8_lossy(&self.caller.read(&file)?).into_owned(),
            None => self.parsed.value("patch").unwrap_or_default().to_owned(),
        };
        let body: Value = serde_yaml::from_str(&given)
            .map_err(|error| Failure::Real(format!("error: unable to parse \"{given}\": {error}"), 1))?;
        let manager = self.manager("kubectl-patch");
        self.each_named(words, "patch", "patched", |api, resource, place, of| {
            api.patch(resource, place, of, &body, how, &manager)
                .map(|(_, wrote)| wrote)
        })
    }

    /// Does something with every object that words and flags mean.
    fn each_named(
        &mut self,
        words: &[&str],
        verb: &str,
        done: &str,
        mut act: impl FnMut(
            &mut Api<'_>,
            &Resource,
            &str,
            &str,
        ) -> Result<Wrote, crate::lab::model::kube::Refusal>,
    ) -> Result<u8, Failure> {
        let meant = self.meant(words)?;
        let (found, mut failures) = self.find(&meant)?;
        for (resource, object) in found {
            let (place, of) = (namespace(&object).to_owned(), name(&object).to_owned());
            let wrote = self.with(|api, user| {
                Kube::permitted(api, user, verb, &resource, &place, &of)?;
                act(api, &resource, &place, &of).map_err(|refusal| failed(&refusal))
            })?;
            match wrote {
                Ok(wrote) => {
                    let none = match (wrote, done) {
                        (Wrote::Unchanged, "labeled" | "unlabeled") => "not labeled",
                        (Wrote::Unchanged, "patched") => "patched (no change)",
                        (Wrote::Unchanged, "cordoned" | "uncordoned") => "already ",
                        _ => done,
                    };
                    let none = if none == "already " {
                        format!("already {done}")
                    } else {
                        none.to_owned()
                    };
                    let line = format!("{} {none}{}", reference(&resource, &of), self.dry());
                    self.said(&line)?;
                }
                Err(failure) => failures.push(failure),
            }
        }
        self.tell(failures)
    }

    /// `label` and `annotate`.
    pub(super) fn mark(&mut self, words: &[&str], what: &str, set: &str, unset: &str) -> Result<u8, Failure> {
        let is_change = |word: &str| word.contains('=') || word.ends_with('-');
        let (changes, objects): (Vec<&str>, Vec<&str>) = words
            .iter()
            .enumerate()
            .partition_map(|at, word| at > 0 && is_change(word));
        let mut patch = Map::new();
        for change in &changes {
            match change.split_once('=') {
                Some((key, value)) => patch.insert(key.to_owned(), json!(value)),
                None => patch.insert(change.trim_end_matches('-').to_owned(), Value::Null),
            };
        }
        if patch.is_empty() {
            return Err(Failure::Real(
                format!(
                    "error: at least one {} update is required",
                    what.trim_end_matches('s')
                ),
                1,
            ));
        }
        let overwrite = self.parsed.has("overwrite");
        let removes = patch.values().all(Value::is_null);
        let manager = self.manager(if what == "labels" {
            "kubectl-label"
        } else {
            "kubectl-annotate"
        });
        let mut refused = None;
        let status = self.each_named(
            &objects,
            "patch",
            if removes { unset } else { set },
            |api, resource, place, of| {
                let old = api.get(resource, place, of)?;
                for (key, value) in &patch {
                    let has = old["metadata"][what].get(key);
                    if !overwrite && !value.is_null() && has.is_some_and(|has| has != value) {
                        refused = Some(format!(
                            "error: '{key}' already has a value ({}), and --overwrite is false",
                            has.and_then(Value::as_str).unwrap_or_default()
                        ));
                        return Ok(Wrote::Unchanged);
                    }
                }
                let body = json!({"metadata": {what: patch.clone()}});
                api.patch(resource, place, of, &body, Patch::Merge, &manager)
                    .map(|(_, wrote)| wrote)
            },
        )?;
        match refused {
            Some(text) => Err(Failure::Real(text, 1)),
            None => Ok(status),
        }
    }

    pub(super) fn taint(&mut self, words: &[&str]) -> Result<u8, Failure> {
        let is_change = |word: &str| word.contains(':') || word.ends_with('-') || word.contains('=');
        let (changes, objects): (Vec<&str>, Vec<&str>) = words
            .iter()
            .enumerate()
            .partition_map(|at, word| at > 0 && is_change(word));
        let overwrite = self.parsed.has("overwrite");
        let manager = self.manager("kubectl-taint");
        let mut refused = None;
        let removes = changes.iter().all(|change| change.ends_with('-'));
        let done = if removes { "untainted" } else { "tainted" };
        let status = self.each_named(&objects, "patch", done, |api, resource, place, of| {
            let old = api.get(resource, place, of)?;
            let mut taints = old["spec"]["taints"].as_array().cloned().unwrap_or_default();
            for change in &changes {
                if let Some(gone) = change.strip_suffix('-') {
                    let (key, effect) = gone.split_once(':').unwrap_or((gone, ""));
                    let key = key.split('=').next().unwrap_or(key);
                    let before = taints.len();
                    taints.retain(|taint| {
                        taint["key"] != key || (!effect.is_empty() && taint["effect"] != effect)
                    });
                    if taints.len() == before {
                        refused = Some(format!("error: taint \"{gone}\" not found"));
                    }
                    continue;
                }
                let (rest, effect) = change.rsplit_once(':').unwrap_or((change, ""));
                let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
                let same = |taint: &Value| taint["key"] == key && taint["effect"] == effect;
                if taints.iter().any(same) && !overwrite {
                    refused = Some(format!(
                        "error: node {of} already has {key} taint(s) with same effect(s) and --overwrite is false"
                    ));
                    continue;
                }
                taints.retain(|taint| !same(taint));
                taints.push(json!({"key": key, "value": value, "effect": effect}));
            }
            if refused.is_some() {
                return Ok(Wrote::Unchanged);
            }
            let body = json!({"spec": {"taints": taints}});
            api.patch(resource, place, of, &body, Patch::Merge, &manager)
                .map(|(_, wrote)| wrote)
        })?;
        match refused {
            Some(text) => Err(Failure::Real(text, 1)),
            None => Ok(status),
        }
    }

    pub(super) fn cordon(&mut self, nodes: &[&str], on: bool) -> Result<u8, Failure> {
        let mut words = vec!["nodes"];
        words.extend(nodes.iter().map(|node| {
            node.strip_prefix("node/")
                .or_else(|| node.strip_prefix("nodes/"))
                .unwrap_or(node)
        }));
        if words.len() == 1 && self.parsed.value("selector").is_none() {
            return Err(Failure::Real(
                "error: must provide a node name or label selector".to_owned(),
                1,
            ));
        }
        let done = if on { "cordoned" } else { "uncordoned" };
        self.each_named(&words, "patch", done, |api, resource, place, of| {
            let body = if on {
                json!({"spec": {"unschedulable": true}})
            } else {
                json!({"spec": {"unschedulable": null}})
            };
            api.patch(resource, place, of, &body, Patch::Strategic, "kubectl-cordon")
                .map(|(_, wrote)| wrote)
        })
    }
}

/// Splits words in two, by place and content.
trait Split<'a> {
    fn partition_map(self, changes: impl Fn(usize, &str) -> bool) -> (Vec<&'a str>, Vec<&'a str>);
}

impl<'a, 'b: 'a, I: Iterator<Item = (usize, &'a &'b str)>> Split<'b> for I {
    fn partition_map(self, changes: impl Fn(usize, &str) -> bool) -> (Vec<&'b str>, Vec<&'b str>) {
        let (mut yes, mut no) = (Vec::new(), Vec::new());
        for (at, word) in self {
            if changes(at, word) {
                yes.push(*word);
            } else {
                no.push(*word);
            }
        }
        (yes, no)
    }
}
