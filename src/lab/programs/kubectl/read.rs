//! What only reads: `get`, `version`, `api-resources`, `auth`.

use super::output::Style;
use super::{Kube, failed};
use crate::lab::model::kube::{Ask, Resource, field, labels, labels_match, name, namespace, parse_selector};
use crate::lab::programs::Failure;
use serde_json::{Value, json};

/// Objects that words of a command line mean: a resource, with names or none for all of it.
pub(super) type Meant = (Resource, Vec<String>);

/// Objects that are there, and what is to be told of the others.
pub(super) type Found = (Vec<(Resource, Value)>, Vec<Failure>);

impl Kube<'_> {
    /// Reads `pods a b`, `pod/a node/b`, `pods,nodes`.
    pub(super) fn meant(&mut self, words: &[&str]) -> Result<Vec<Meant>, Failure> {
        let Some(first) = words.first() else {
            return Err(Failure::Real(
                "error: You must specify the type of resource to get.".to_owned(),
                1,
            ));
        };
        if first.contains('/') {
            let mut all: Vec<Meant> = Vec::new();
            for word in words {
                let Some((kind, one)) = word.split_once('/') else {
                    return Err(Failure::Real(
                        "error: there is no need to specify a resource type as a separate argument when passing arguments in resource/name form".to_owned(),
                        1,
                    ));
                };
                let resource = self.resource(kind)?;
                match all.last_mut() {
                    Some((last, names)) if *last == resource => names.push(one.to_owned()),
                    _ => all.push((resource, vec![one.to_owned()])),
                }
            }
            return Ok(all);
        }
        let names: Vec<String> = words[1..].iter().map(|word| (*word).to_owned()).collect();
        let mut all = Vec::new();
        for kind in first.split(',') {
            all.push((self.resource(kind)?, names.clone()));
        }
        Ok(all)
    }

    /// The objects that are meant, as flags narrow them down; what is not there is told.
    pub(super) fn find(&mut self, meant: &[Meant]) -> Result<Found, Failure> {
        let place = self.namespace();
        let everywhere = self.parsed.has("all-namespaces");
        let selector = match self.parsed.value("selector") {
            Some(text) => Some(
                parse_selector(text)
                    .ok_or_else(|| Failure::Real(format!("error: unable to parse requirement: {text}"), 1))?,
            ),
            None => None,
        };
        let fields = self.parsed.value("field-selector").unwrap_or_default().to_owned();
        let mut found = Vec::new();
        let mut missing = Vec::new();
        for (resource, names) in meant {
            let within = (resource.namespaced && !everywhere).then(|| place.clone());
            let asked = within.clone().unwrap_or_default();
            if names.is_empty() {
                let objects = self.with(|api, user| {
                    Kube::permitted(api, user, "list", resource, &asked, "")?;
                    Ok::<_, Failure>(api.list(resource, within.as_deref()))
                })??;
                let dead = self.with(|api, _| api.dead_apis())?;
                for mut object in objects {
                    if resource.kind == "APIService" {
                        let available = !dead.iter().any(|one| one == name(&object));
                        let status = if available { "True" } else { "False" };
                        object["status"] = json!({"conditions": [{"type": "Available", "status": status}]});
                    }
                    let chosen = selector
                        .as_ref()
                        .is_none_or(|selector| labels_match(selector, &labels(&object)));
                    if chosen && fields_fit(&object, &fields) {
                        found.push((resource.clone(), object));
                    }
                }
            } else if everywhere && resource.namespaced {
                return Err(Failure::Real(
                    "error: a resource cannot be retrieved by name across all namespaces".to_owned(),
                    1,
                ));
            }
            for one in names {
                let object = self.with(|api, user| {
                    Kube::permitted(api, user, "get", resource, &asked, one)?;
                    api.get(resource, &asked, one).map_err(|refusal| failed(&refusal))
                })?;
                match object {
                    Ok(object) => found.push((resource.clone(), object)),
                    Err(Failure::Real(text, _))
                        if text.contains("NotFound") && self.parsed.has("ignore-not-found") => {}
                    Err(failure) => missing.push(failure),
                }
            }
        }
        Ok((found, missing))
    }

    pub(super) fn get(&mut self, words: &[&str]) -> Result<u8, Failure> {
        if self.parsed.has("watch") {
            return Err(Failure::Unmodelled("kubectl get --watch".to_owned()));
        }
        let from_files = self.parsed.value("filename").is_some();
        let meant = if from_files {
            Vec::new()
        } else {
            self.meant(words)?
        };
        let (mut found, missing) = if from_files {
            self.of_files()?
        } else {
            self.find(&meant)?
        };
        if let Some(path) = self.parsed.value("sort-by").map(str::to_owned) {
            found.sort_by_key(|(_, object)| super::jsonpath::render(&path, object).unwrap_or_default());
        }
        let format = self.parsed.value("output").map(str::to_owned);
        let style = Style {
            format: format.as_deref(),
            headers: !self.parsed.has("no-headers"),
            everywhere: self.parsed.has("all-namespaces"),
            labels: self.parsed.has("show-labels"),
            managed: self.parsed.has("show-managed-fields"),
            single: if from_files {
                found.len() + missing.len() == 1
            } else {
                meant.len() == 1 && meant[0].1.len() == 1
            },
            kinds: meant.len() > 1,
        };
        if found.is_empty() && missing.is_empty() && matches!(style.format, None | Some("wide")) {
            let text = if style.everywhere || !meant.iter().any(|(resource, _)| resource.namespaced) {
                "No resources found\n".to_owned()
            } else {
                format!("No resources found in {} namespace.\n", self.namespace())
            };
            if !self.parsed.has("ignore-not-found") {
                self.caller.err(text.as_bytes())?;
            }
            return Ok(0);
        }
        let none_asked_for = found.is_empty() && style.single;
        if !none_asked_for {
            self.print(&found, &style)?;
        }
        self.tell(missing)
    }

    /// The objects that files name, as they are now.
    fn of_files(&mut self) -> Result<Found, Failure> {
        let ignore = self.parsed.has("ignore-not-found");
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for (_, mut object) in self.documents()? {
            let resource = self
                .with(|api, _| api.resource_of(&object))?
                .map_err(|refusal| failed(&refusal))?;
            self.place(&mut object, &resource)?;
            let live = self.with(|api, user| {
                let (place, of) = (namespace(&object), name(&object));
                Kube::permitted(api, user, "get", &resource, place, of)?;
                api.get(&resource, place, of).map_err(|refusal| failed(&refusal))
            })?;
            match live {
                Ok(live) => found.push((resource, live)),
                Err(Failure::Real(text, _)) if ignore && text.contains("NotFound") => {}
                Err(failure) => missing.push(failure),
            }
        }
        Ok((found, missing))
    }

    /// Prints what could not be done, and ends with 1 when there is any of it.
    pub(super) fn tell(&mut self, failures: Vec<Failure>) -> Result<u8, Failure> {
        let mut status = 0;
        for failure in failures {
            match failure {
                Failure::Real(text, _) => {
                    status = 1;
                    self.caller.err(format!("{text}\n").as_bytes())?;
                }
                other => return Err(other),
            }
        }
        Ok(status)
    }

    pub(super) fn raw(&mut self) -> Result<u8, Failure> {
        let path = self.parsed.value("raw").unwrap_or_default().to_owned();
        let bare = path.split('?').next().unwrap_or_default().to_owned();
        let answer = self.with(|api, user| match bare.as_str() {
            "/readyz" | "/healthz" | "/livez" if path.contains("verbose") => Some(
                "[+]ping ok\n[+]etcd ok\n[+]poststarthook/rbac/bootstrap-roles ok\nreadyz check passed\n"
                    .to_owned(),
            ),
            "/readyz" | "/healthz" | "/livez" => Some("ok".to_owned()),
            "/version" => Some(version(&api.context().version)),
            "/api" => Some(json!({"kind": "APIVersions", "versions": ["v1"]}).to_string()),
            "/metrics" => {
                let ask = Ask {
                    verb: "get".to_owned(),
                    path: "/metrics".to_owned(),
                    ..Ask::default()
                };
                api.allows(user, &ask).then(|| {
                    let mut text = String::new();
                    for resource in api.resources() {
                        let count = api.store().count(&resource.prefix());
                        text += &format!(
                            "apiserver_storage_objects{{resource=\"{}\"}} {count}\n",
                            resource.full()
                        );
                    }
                    text
                })
            }
            _ => None,
        })?;
        match answer {
            Some(text) => {
                self.caller.out(text.as_bytes())?;
                Ok(0)
            }
            None => Err(Failure::Unmodelled(format!("get --raw {path}"))),
        }
    }

    pub(super) fn version(&mut self) -> Result<u8, Failure> {
        let server = self.with(|api, _| api.context().version.clone())?;
        if self.parsed.value("output") == Some("json") {
            let about =
                json!({"clientVersion": {"gitVersion": server}, "serverVersion": {"gitVersion": server}});
            let text = serde_json::to_string_pretty(&about).unwrap_or_default();
            self.line(&text)?;
        } else {
            self.line(&format!(
                "Client Version: {server}\nKustomize Version: v5.5.0\nServer Version: {server}"
            ))?;
        }
        Ok(0)
    }

    pub(super) fn api_resources(&mut self) -> Result<u8, Failure> {
        let (all, dead) = self.with(|api, _| (api.resources(), api.dead_apis()))?;
        let namespaced = self.parsed.value("namespaced").map(|word| word != "false");
        let group = self.parsed.value("api-group").map(str::to_owned);
        // Only these two cannot be listed or read.
        let listable = self.parsed.value("verbs").is_some();
        let rows: Vec<Resource> = all
            .into_iter()
            .filter(|one| namespaced.is_none_or(|wanted| wanted == one.namespaced))
            .filter(|one| group.as_ref().is_none_or(|wanted| *wanted == one.group))
            .filter(|one| !listable || one.kind != "Binding")
            .collect();
        if self.parsed.value("output") == Some("name") {
            for one in rows {
                self.line(&one.full())?;
            }
        } else {
            let mut table = Vec::new();
            if !self.parsed.has("no-headers") {
                table.push(
                    ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
                        .map(str::to_owned)
                        .to_vec(),
                );
            }
            for one in rows {
                table.push(vec![
                    one.plural.clone(),
                    one.short.join(","),
                    one.api_version(),
                    one.namespaced.to_string(),
                    one.kind.clone(),
                ]);
            }
            self.table(&table)?;
        }
        if dead.is_empty() {
            return Ok(0);
        }
        let names: Vec<String> = dead
            .iter()
            .map(|api| {
                let (version, group) = api.split_once('.').unwrap_or((api, ""));
                format!("{group}/{version}: stale GroupVersion discovery: {group}/{version}")
            })
            .collect();
        Err(Failure::Real(
            format!(
                "error: unable to retrieve the complete list of server APIs: {}",
                names.join(", ")
            ),
            1,
        ))
    }

    pub(super) fn can_i(&mut self, words: &[&str]) -> Result<u8, Failure> {
        let (verb, what, of) = match words {
            [verb, what] => (*verb, *what, ""),
            [verb, what, name] => (*verb, *what, *name),
            _ => {
                return Err(Failure::Real(
                    "error: you must specify two arguments: verb resource or verb resource/resourceName."
                        .to_owned(),
                    1,
                ));
            }
        };
        let (what, of) = match what.split_once('/') {
            Some((what, of)) if !what.is_empty() => (what, of),
            _ => (what, of),
        };
        let everywhere = self.parsed.has("all-namespaces");
        let place = self.namespace();
        let sub = self.parsed.value("subresource").map(str::to_owned);
        let (verb, what, of) = (verb.to_owned(), what.to_owned(), of.to_owned());
        let (yes, known) = self.with(|api, user| {
            let mut ask = Ask {
                verb: verb.clone(),
                name: of.clone(),
                ..Ask::default()
            };
            let found = api.resource(&what);
            if what.starts_with('/') {
                ask.path = what.clone();
            } else if what == "*" {
                (ask.group, ask.resource) = ("*".to_owned(), "*".to_owned());
            } else {
                let (plural, group) = what.split_once('.').unwrap_or((&what, ""));
                ask.group = found
                    .as_ref()
                    .map_or_else(|| group.to_owned(), |found| found.group.clone());
                ask.resource = found
                    .as_ref()
                    .map_or_else(|| plural.to_owned(), |found| found.plural.clone());
                if let Some(sub) = &sub {
                    ask.resource = format!("{}/{sub}", ask.resource);
                }
                if !everywhere && found.as_ref().is_none_or(|found| found.namespaced) {
                    ask.namespace.clone_from(&place);
                }
            }
            (
                api.allows(user, &ask),
                found.is_some() || what.starts_with('/') || what == "*",
            )
        })?;
        if !known {
            let text = format!("Warning: the server doesn't have a resource type '{what}'\n\n");
            self.caller.err(text.as_bytes())?;
        }
        if !self.parsed.has("quiet") {
            self.line(if yes { "yes" } else { "no" })?;
        }
        Ok(u8::from(!yes))
    }

    pub(super) fn whoami(&mut self) -> Result<u8, Failure> {
        let user = self.with(|_, user| user.clone())?;
        let object = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
            "status": {"userInfo": {"username": user.name, "groups": user.groups}},
        });
        match self.parsed.value("output").map(str::to_owned) {
            Some(format) if format.starts_with("jsonpath=") => {
                let text = super::jsonpath::render(&format["jsonpath=".len()..], &object)
                    .map_err(Failure::Unmodelled)?;
                self.caller.out(text.as_bytes())?;
            }
            Some(format) if format == "json" => self.line(&object.to_string())?,
            Some(format) => return Err(Failure::Unmodelled(format!("auth whoami -o {format}"))),
            None => self.table(&[
                vec!["ATTRIBUTE".to_owned(), "VALUE".to_owned()],
                vec!["Username".to_owned(), user.name],
                vec!["Groups".to_owned(), format!("[{}]", user.groups.join(" "))],
            ])?,
        }
        Ok(0)
    }
}

fn version(version: &str) -> String {
    let mut numbers = version.trim_start_matches('v').split('.');
    let major = numbers.next().unwrap_or_default().to_owned();
    let minor = numbers.next().unwrap_or_default().to_owned();
    let about = json!({"major": major, "minor": minor, "gitVersion": version, "platform": "linux/amd64"});
    serde_json::to_string_pretty(&about).unwrap_or_default()
}

/// Whether an object fits `--field-selector`.
fn fields_fit(object: &Value, selector: &str) -> bool {
    selector.split(',').filter(|one| !one.is_empty()).all(|one| {
        let (path, wanted, equal) = match one.split_once("!=") {
            Some((path, wanted)) => (path, wanted, false),
            None => {
                let (path, wanted) = one
                    .split_once("==")
                    .or_else(|| one.split_once('='))
                    .unwrap_or((one, ""));
                (path, wanted, true)
            }
        };
        let keys: Vec<&str> = path.split('.').collect();
        let has = field(object, &keys)
            .map(super::jsonpath::text)
            .unwrap_or_default();
        (has == wanted) == equal
    })
}
