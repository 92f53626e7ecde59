//! `kubectl`, wherever it comes from: `k0s kubectl`, and the one in the images of MKE 3.

mod change;
mod jsonpath;
mod output;
mod read;
mod wait;

use super::args::{Flag, Parsed, parse};
use super::{Caller, Failure, Invocation};
use crate::lab::model::State;
use crate::lab::model::kube::{Api, Ask, Refusal, Resource, User, tokens};
use serde_json::Value;

/// Which server a call is for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    /// Content of the kubeconfig that was named.
    pub kubeconfig: Option<String>,
    /// `--server`.
    pub server: Option<String>,
}

/// What somebody wants of an API.
pub(crate) type Request<'a> = dyn FnMut(&mut Api<'_>, &User) + 'a;

/// Finds the API server for a target, with the user that the kubeconfig names, and lets the request work on it.
pub(crate) type Reach<'a> = dyn Fn(&mut State, &Target, &mut Request<'_>) -> Result<(), Failure> + 'a;

/// What kubectl says when nothing listens.
pub(crate) fn refused(server: &str) -> Failure {
    Failure::Real(
        format!(
            "The connection to the server {server} was refused - did you specify the right host or port?"
        ),
        1,
    )
}

const FLAGS: &[Flag] = &[
    ("all", '\0', false),
    ("all-namespaces", 'A', false),
    ("allow-missing-template-keys", '\0', true),
    ("api-group", '\0', true),
    ("as", '\0', true),
    ("as-group", '\0', true),
    ("cascade", '\0', true),
    ("certificate-authority", '\0', true),
    ("chunk-size", '\0', true),
    ("client-certificate", '\0', true),
    ("client-key", '\0', true),
    ("dry-run", '\0', true),
    ("field-manager", '\0', true),
    ("field-selector", '\0', true),
    ("filename", 'f', true),
    ("for", '\0', true),
    ("force", '\0', false),
    ("force-conflicts", '\0', false),
    ("grace-period", '\0', true),
    ("ignore-not-found", '\0', false),
    ("insecure-skip-tls-verify", '\0', false),
    ("kubeconfig", '\0', true),
    ("namespace", 'n', true),
    ("namespaced", '\0', true),
    ("no-headers", '\0', false),
    ("output", 'o', true),
    ("overwrite", '\0', false),
    ("patch", 'p', true),
    ("patch-file", '\0', true),
    ("quiet", 'q', false),
    ("raw", '\0', true),
    ("request-timeout", '\0', true),
    ("selector", 'l', true),
    ("server", 's', true),
    ("sort-by", '\0', true),
    ("server-side", '\0', false),
    ("show-labels", '\0', false),
    ("show-managed-fields", '\0', false),
    ("subresource", '\0', true),
    ("timeout", '\0', true),
    ("token", '\0', true),
    ("type", '\0', true),
    ("validate", '\0', true),
    ("verbs", '\0', true),
    ("wait", '\0', false),
    ("watch", 'w', false),
];

/// One call.
struct Kube<'a> {
    call: &'a Invocation<'a>,
    caller: &'a mut dyn Caller,
    reach: &'a Reach<'a>,
    target: Target,
    parsed: Parsed,
    certificate: Option<String>,
    token: Option<String>,
}

/// Answers a call of kubectl; `arguments` without its name.
pub(crate) fn run(
    arguments: &[String],
    call: &Invocation<'_>,
    caller: &mut dyn Caller,
    reach: &Reach<'_>,
) -> Result<u8, Failure> {
    let parsed = parse(arguments, FLAGS, false)?;
    let mut target = Target {
        kubeconfig: None,
        server: parsed.value("server").map(str::to_owned),
    };
    let named = parsed.value("kubeconfig").map(str::to_owned).or_else(|| {
        call.env
            .iter()
            .find(|(name, value)| name == "KUBECONFIG" && !value.is_empty())
            .map(|(_, value)| value.clone())
    });
    if let Some(path) = named {
        if !caller.exists(&path)? {
            return Err(Failure::Real(
                format!("error: stat {path}: no such file or directory"),
                1,
            ));
        }
        target.kubeconfig = Some(String::from_utf8_lossy(&caller.read(&path)?).into_owned());
    }
    let configured: Value = target
        .kubeconfig
        .as_deref()
        .and_then(|text| serde_yaml::from_str(text).ok())
        .unwrap_or_default();
    let configured = &configured["users"][0]["user"];
    let mut certificate = None;
    let path = parsed
        .value("client-certificate")
        .or(configured["client-certificate"].as_str());
    if let Some(path) = path {
        if !caller.exists(path)? {
            let text = format!(
                "error: unable to read client-cert {path} for kubernetes: open {path}: no such file or directory"
            );
            return Err(Failure::Real(text, 1));
        }
        certificate = Some(String::from_utf8_lossy(&caller.read(path)?).into_owned());
    }
    let token = parsed
        .value("token")
        .or(configured["token"].as_str())
        .map(str::to_owned);
    let mut kube = Kube {
        token,
        call,
        caller,
        reach,
        target,
        parsed,
        certificate,
    };
    kube.dispatch()
}

fn failed(refusal: &Refusal) -> Failure {
    Failure::Real(refusal.text(), 1)
}

fn unauthorized() -> Failure {
    Failure::Real(
        "error: You must be logged in to the server (Unauthorized)".to_owned(),
        1,
    )
}

impl Kube<'_> {
    fn dispatch(&mut self) -> Result<u8, Failure> {
        let words = self.parsed.words.clone();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["get"] if self.parsed.value("raw").is_some() => self.raw(),
            ["get", rest @ ..] => self.get(rest),
            ["version", ..] => self.version(),
            ["api-resources"] => self.api_resources(),
            ["auth", "can-i", rest @ ..] => self.can_i(rest),
            ["auth", "whoami"] => self.whoami(),
            ["create", rest @ ..] => self.create(rest),
            ["apply"] => self.apply(),
            ["replace"] => self.replace(),
            ["delete", rest @ ..] => self.delete(rest),
            ["patch", rest @ ..] => self.patch(rest),
            ["label", rest @ ..] => self.mark(rest, "labels", "labeled", "unlabeled"),
            ["annotate", rest @ ..] => self.mark(rest, "annotations", "annotated", "annotated"),
            ["taint", rest @ ..] => self.taint(rest),
            ["cordon", nodes @ ..] => self.cordon(nodes, true),
            ["uncordon", nodes @ ..] => self.cordon(nodes, false),
            ["wait", rest @ ..] => self.wait(rest),
            ["rollout", "status", rest @ ..] => self.rollout(rest),
            other => Err(Failure::Unmodelled(format!("kubectl {}", other.join(" ")))),
        }
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(self.caller.out(format!("{text}\n").as_bytes())?)
    }

    /// Lets `what` work on the API, as whoever the flags say. What a dry run changes is thrown away.
    fn with<T>(&mut self, mut what: impl FnMut(&mut Api<'_>, &User) -> T) -> Result<T, Failure> {
        let mut answer = None;
        let dry = matches!(self.parsed.value("dry-run"), Some("server" | "client"));
        let (token, certificate) = (self.token.as_deref(), self.certificate.as_deref());
        let (as_user, as_groups) = (self.parsed.value("as"), self.parsed.all("as-group"));
        let mut state = self.call.cluster.state();
        (self.reach)(&mut state, &self.target, &mut |api, configured| {
            let user = match (token, certificate) {
                (Some(token), _) => api.authenticate(token),
                (None, Some(certificate)) => tokens::issuer(certificate)
                    .filter(|issuer| api.context().client_cas.contains(issuer))
                    .and_then(|_| tokens::holder(certificate)),
                (None, None) => Some(configured.clone()),
            };
            let Some(mut user) = user else { return };
            if let Some(name) = as_user {
                user = impersonated(name, as_groups);
            }
            if dry {
                let mut copy = api.store().clone();
                let context = api.context().clone();
                answer = Some(what(&mut Api::new(&mut copy, &context), &user));
            } else {
                answer = Some(what(api, &user));
            }
        })?;
        answer.ok_or_else(unauthorized)
    }

    /// The resource that a word means. Discovery tells of aggregated APIs that do not answer.
    fn resource(&mut self, word: &str) -> Result<Resource, Failure> {
        let word = word.to_owned();
        let (found, dead) = self.with(|api, _| (api.resource(&word), api.dead_apis()))?;
        for api in dead {
            let (version, group) = api.split_once('.').unwrap_or((&api, ""));
            let text = format!(
                "E0101 00:00:00.000000       1 memcache.go:287] \"Unhandled Error\" err=\"couldn't get resource list for {group}/{version}: the server is currently unable to handle the request\"\n"
            );
            self.caller.err(text.as_bytes())?;
        }
        found.ok_or_else(|| {
            Failure::Real(
                format!("error: the server doesn't have a resource type \"{word}\""),
                1,
            )
        })
    }

    fn namespace(&self) -> String {
        self.parsed.value("namespace").unwrap_or("default").to_owned()
    }

    /// Waits for the next tick. A caller that has gone meanwhile cannot be asked, which ends the wait.
    fn pause(&mut self) -> Result<(), Failure> {
        self.caller.exists("/")?;
        self.call.cluster.wait(std::time::Duration::from_millis(200));
        Ok(())
    }

    /// The documents of all files that were given.
    fn documents(&mut self) -> Result<Vec<(String, Value)>, Failure> {
        let mut found = Vec::new();
        for file in self.parsed.all("filename").to_vec() {
            let (label, bytes) = if file == "-" {
                let mut bytes = Vec::new();
                loop {
                    let piece = self.caller.input()?;
                    if piece.is_empty() {
                        break;
                    }
                    bytes.extend(piece);
                }
                ("STDIN".to_owned(), bytes)
            } else {
                if !self.caller.exists(&file)? {
                    return Err(Failure::Real(
                        format!("error: the path \"{file}\" does not exist"),
                        1,
                    ));
                }
                (file.clone(), self.caller.read(&file)?)
            };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            for document in serde_yaml::Deserializer::from_str(&text) {
                let value: Value = serde::Deserialize::deserialize(document).map_err(|error| {
                    Failure::Real(
                        format!("error: error parsing {label}: error converting YAML to JSON: yaml: {error}"),
                        1,
                    )
                })?;
                match value["kind"].as_str() {
                    _ if value.is_null() => {}
                    Some("List") => {
                        let items = value["items"].as_array().cloned().unwrap_or_default();
                        found.extend(items.into_iter().map(|item| (label.clone(), item)));
                    }
                    Some(_) => found.push((label.clone(), value)),
                    None => {
                        let text = format!(
                            "error: unable to decode \"{label}\": Object 'Kind' is missing in '{value}'"
                        );
                        return Err(Failure::Real(text, 1));
                    }
                }
            }
        }
        if found.is_empty() {
            return Err(Failure::Real("error: no objects passed".to_owned(), 1));
        }
        Ok(found)
    }

    /// Whether the user may do this; the text when not.
    fn permitted(
        api: &Api<'_>,
        user: &User,
        verb: &str,
        resource: &Resource,
        namespace: &str,
        name: &str,
    ) -> Result<(), Failure> {
        let ask = Ask {
            verb: verb.to_owned(),
            group: resource.group.clone(),
            resource: resource.plural.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            path: String::new(),
        };
        // Kubelets have an authorizer of their own: their node, and what its pods need to be seen.
        let kubelet = user
            .name
            .strip_prefix("system:node:")
            .filter(|_| user.groups.iter().any(|group| group == "system:nodes"));
        let as_node = kubelet.is_some_and(|node| {
            let reads = matches!(verb, "get" | "list" | "watch");
            (resource.kind == "Node" && (reads || name == node)) || (resource.kind == "Pod" && reads)
        });
        if as_node || api.allows(user, &ask) {
            return Ok(());
        }
        let place = if namespace.is_empty() {
            " at the cluster scope".to_owned()
        } else {
            format!(" in the namespace \"{namespace}\"")
        };
        let of = if name.is_empty() {
            String::new()
        } else {
            format!(" \"{name}\"")
        };
        let text = format!(
            "Error from server (Forbidden): {}{of} is forbidden: User \"{}\" cannot {verb} resource \"{}\" in API group \"{}\"{place}",
            resource.full(),
            user.name,
            resource.plural,
            resource.group
        );
        Err(Failure::Real(text, 1))
    }
}

/// Who `--as` means.
fn impersonated(name: &str, groups: &[String]) -> User {
    if let Some((namespace, account)) = name
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'))
        && groups.is_empty()
    {
        return User::account(namespace, account);
    }
    let mut groups = groups.to_vec();
    groups.push("system:authenticated".to_owned());
    User {
        name: name.to_owned(),
        groups,
    }
}

/// Reaches MKE 3's own API server, as `kubectl` in one of its images does.
pub(crate) fn mke3(state: &mut State, _: &Target, request: &mut Request<'_>) -> Result<(), Failure> {
    if state.mke3_api().is_none() {
        return Err(refused("127.0.0.1:6443"));
    }
    let context = state.mke3_context();
    request(
        &mut Api::new(&mut state.etcd.store, &context),
        &User::administrator(),
    );
    Ok(())
}
