//! What the API answers: in the forms and with the habits of MKE 3, from accounts, configuration and the cluster's state.

use crate::lab::model::{Cluster, State};
use crate::model::Role;
use crate::source::accounts::{Accounts, Member, Organization, SubjectRef, Team, User};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Entries of a page when nobody asks for more, and at most.
const PAGE: (usize, usize) = (10, 65536);
/// Sessions of one user; one more ends the oldest.
const SESSIONS: usize = 10;

/// What an API is started with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Name that its certificate bears besides those of loopback.
    pub name: String,
    /// The configuration.
    pub config: Vec<u8>,
    /// Accounts.
    pub accounts: Accounts,
    /// What every user's password is.
    pub password: String,
}

/// The state behind the API.
#[derive(Debug)]
pub(super) struct Service {
    setup: Setup,
    cluster: Arc<Cluster>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Tokens and their users, oldest first.
    sessions: Vec<(String, String)>,
    made: u64,
    calls: Vec<String>,
}

/// Status, body, and where the next page starts.
struct Reply {
    status: u16,
    body: Vec<u8>,
    kind: &'static str,
    next: String,
}

impl Reply {
    fn json(status: u16, body: &Value) -> Reply {
        Reply {
            status,
            body: body.to_string().into_bytes(),
            kind: "application/json",
            next: String::new(),
        }
    }

    fn ok(body: &Value) -> Reply {
        Reply::json(200, body)
    }

    /// As the auth service says it.
    fn refuse(status: u16, code: &str, message: &str) -> Reply {
        Reply::json(status, &json!({"errors": [{"code": code, "message": message}]}))
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut builder = Response::builder()
            .status(self.status)
            .header(CONTENT_TYPE, self.kind);
        if !self.next.is_empty() {
            // Names are written as they are, not as ASCII.
            builder = builder.header("X-Next-Page-Start", self.next.as_bytes());
        }
        builder.body(Full::from(self.body)).unwrap_or_default()
    }
}

/// A path's parts and a query, decoded.
struct Target {
    parts: Vec<String>,
    query: BTreeMap<String, String>,
}

impl Target {
    fn of(path: &str, query: &str) -> Target {
        Target {
            parts: path.split('/').skip(1).map(decode).collect(),
            query: query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| (name.to_owned(), decode(&value.replace('+', " "))))
                .collect(),
        }
    }

    fn get(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

fn decode(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let pair = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if *first == b'%' => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => out.push(*first),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

impl Service {
    pub(super) fn new(setup: Setup, cluster: Arc<Cluster>) -> Service {
        Service {
            setup,
            cluster,
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every change is one assignment or push.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn sessions(&self) -> usize {
        self.inner().sessions.len()
    }

    pub(super) fn end_sessions(&self) {
        self.inner().sessions.clear();
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.inner().calls.clone()
    }

    /// Whether a manager has a controller that runs.
    pub(super) fn is_up(&self) -> bool {
        let state = self.cluster.state();
        state
            .hosts
            .values()
            .any(|host| host.role == Role::Manager && state.runs(&host.name, "ucp-controller"))
    }

    pub(super) fn answer(&self, head: &Parts, body: &[u8]) -> Response<Full<Bytes>> {
        let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
        self.inner().calls.push(format!("{} {path}", head.method));
        let target = Target::of(path, query);
        let token = head
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .unwrap_or_default();
        self.route(&head.method, path, &target, token, body)
            .into_response()
    }

    fn route(&self, method: &Method, path: &str, target: &Target, token: &str, body: &[u8]) -> Reply {
        let parts: Vec<&str> = target.parts.iter().map(String::as_str).collect();
        match (method, parts.as_slice()) {
            (&Method::GET, ["_ping"]) => {
                return Reply {
                    kind: "text/plain",
                    body: b"OK".to_vec(),
                    ..Reply::ok(&Value::Null)
                };
            }
            (&Method::POST, ["auth", "login"]) => return self.login(body),
            _ => {}
        }
        let user = self
            .inner()
            .sessions
            .iter()
            .find(|(known, _)| known == token)
            .map(|(_, user)| user.clone());
        let Some(user) = user else {
            return Reply::refuse(401, "AUTHENTICATION_REQUIRED", "authentication required");
        };
        if (method, path) == (&Method::POST, "/id/logout") {
            self.inner().sessions.retain(|(known, _)| known != token);
            return Reply {
                body: Vec::new(),
                ..Reply::json(204, &Value::Null)
            };
        }
        if method != Method::GET {
            return Reply::json(405, &json!({"message": "method not allowed"}));
        }
        let admin = self.user(&user).is_some_and(|user| user.admin);
        if !admin && parts.as_slice() != ["accounts", user.as_str()] {
            return Reply::refuse(403, "NOT_AUTHORIZED", "you are not authorized");
        }
        self.get(&parts, target)
    }

    fn login(&self, body: &[u8]) -> Reply {
        let Ok(given) = serde_json::from_slice::<Value>(body) else {
            return Reply::refuse(400, "INVALID_JSON", "the body is not JSON");
        };
        let (name, password) = (given["username"].as_str(), given["password"].as_str());
        let user = name.and_then(|name| self.user(name));
        let Some(user) = user.filter(|_| password == Some(self.setup.password.as_str())) else {
            let text = "invalid username or password";
            return Reply::refuse(401, "INVALID_AUTHENTICATION_CREDENTIALS", text);
        };
        if !user.active {
            return Reply::refuse(401, "INACTIVE_ACCOUNT", "the account is inactive");
        }
        let mut inner = self.inner();
        inner.made += 1;
        let token = crate::lab::model::mke3_id(&format!("session {} of {}", inner.made, user.name));
        inner.sessions.push((token.clone(), user.name.clone()));
        let own = inner
            .sessions
            .iter()
            .filter(|(_, name)| *name == user.name)
            .count();
        if own > SESSIONS
            && let Some(at) = inner.sessions.iter().position(|(_, name)| *name == user.name)
        {
            inner.sessions.remove(at);
        }
        Reply::ok(&json!({"auth_token": token}))
    }

    fn user(&self, name: &str) -> Option<&User> {
        self.setup.accounts.users.iter().find(|user| user.name == name)
    }

    fn organization(&self, name: &str) -> Option<&Organization> {
        let all = &self.setup.accounts.organizations;
        all.iter().find(|one| one.name == name || one.id == name)
    }

    fn get(&self, parts: &[&str], target: &Target) -> Reply {
        // The auth service is there under a name of its own too.
        let parts = match parts {
            ["enzi", "v0", "accounts", ..] => &parts[2..],
            _ => parts,
        };
        match parts {
            ["version"] => Reply::ok(&self.version()),
            ["info"] => Reply::ok(&self.info()),
            ["nodes"] => Reply::ok(&nodes(&self.cluster.state())),
            ["api", "ucp", "config-toml"] => Reply {
                kind: "application/toml",
                body: self.setup.config.clone(),
                ..Reply::ok(&Value::Null)
            },
            ["accounts"] => self.accounts(target),
            ["accounts", name] => match (self.user(name), self.organization(name)) {
                (Some(user), _) => Reply::ok(&account(user)),
                (None, Some(organization)) => Reply::ok(&as_account(organization)),
                _ => Reply::refuse(404, "NO_SUCH_ACCOUNT", "there is no such account"),
            },
            ["accounts", name, rest @ ..] => match self.organization(name) {
                Some(organization) => self.of_organization(organization, rest, target),
                None => Reply::refuse(404, "NO_SUCH_ACCOUNT", "there is no such account"),
            },
            ["roles"] => Reply::ok(&self.roles()),
            ["collectionGrants"] => self.grants(target),
            ["enzi", "v0", "config", "auth"] => {
                let ldap = self.setup.accounts.ldap.is_some();
                Reply::ok(&json!({"backend": if ldap { "ldap" } else { "managed" }}))
            }
            ["enzi", "v0", "config", "auth", "ldap"] => Reply::ok(&self.ldap()),
            ["apis", "rbac.authorization.k8s.io", "v1", plural] => self.kubernetes(plural, target),
            _ => Reply::json(404, &json!({"message": "page not found"})),
        }
    }

    fn version(&self) -> Value {
        let state = self.cluster.state();
        let version = state
            .hosts
            .values()
            .filter_map(|host| host.containers.get("ucp-controller"))
            .find_map(|one| one.labels.get("com.docker.ucp.version").cloned())
            .unwrap_or_default();
        json!({"Version": format!("ucp/{version}"), "ApiVersion": "1.43", "Os": "linux", "Arch": "amd64"})
    }

    fn info(&self) -> Value {
        let state = self.cluster.state();
        json!({"ServerVersion": self.version_text(&state), "Swarm": {"Cluster": {"ID": state.swarm.id},
            "Nodes": state.swarm.nodes.len()}})
    }

    fn version_text(&self, state: &State) -> String {
        format!("ucp/{}", state.kubernetes)
    }

    /// One page of a list: what is asked for, and where the next starts. `start` is the first of the page.
    fn page<'a, T>(items: &'a [T], target: &Target, name: fn(&T) -> &str) -> (&'a [T], String) {
        let limit = match target.get("limit").parse::<usize>() {
            Ok(limit) if limit > 0 => limit.min(PAGE.1),
            _ => PAGE.0,
        };
        let start = target.get("start");
        let from = if start.is_empty() {
            0
        } else {
            items
                .iter()
                .position(|item| name(item) >= start)
                .unwrap_or(items.len())
        };
        let to = (from + limit).min(items.len());
        let next = items.get(to).map_or(String::new(), |item| name(item).to_owned());
        (&items[from..to], next)
    }

    fn listed(key: &str, values: Vec<Value>, next: String) -> Reply {
        let body = json!({key: values, "resourceCount": values.len(), "nextPageStart": next});
        Reply {
            next,
            ..Reply::ok(&body)
        }
    }

    fn accounts(&self, target: &Target) -> Reply {
        let mut all: Vec<(String, Value)> = Vec::new();
        let filter = target.get("filter");
        if !matches!(filter, "orgs") {
            let users = self.setup.accounts.users.iter();
            all.extend(users.map(|user| (user.name.clone(), account(user))));
        }
        if !matches!(
            filter,
            "users" | "admins" | "non-admins" | "active-users" | "inactive-users"
        ) {
            let organizations = self.setup.accounts.organizations.iter();
            all.extend(organizations.map(|one| (one.name.clone(), as_account(one))));
        }
        all.sort_by(|a, b| a.0.cmp(&b.0));
        let (page, next) = Service::page(&all, target, |one| one.0.as_str());
        let values: Vec<Value> = page.iter().map(|one| one.1.clone()).collect();
        let body = json!({
            "usersCount": self.setup.accounts.users.len(), "orgsCount": self.setup.accounts.organizations.len(),
            "resourceCount": values.len(), "nextPageStart": next, "accounts": values,
        });
        Reply {
            next,
            ..Reply::ok(&body)
        }
    }

    fn of_organization(&self, organization: &Organization, parts: &[&str], target: &Target) -> Reply {
        match parts {
            ["members"] => self.members(&organization.members, target),
            ["adminMemberSyncConfig"] => self.sync(organization.ldap_sync),
            ["teams"] => {
                let mut teams: Vec<&Team> = organization.teams.iter().collect();
                teams.sort_by(|a, b| a.name.cmp(&b.name));
                let (page, next) = Service::page(&teams, target, |team| team.name.as_str());
                let values = page
                    .iter()
                    .map(|team| {
                        json!({"orgID": organization.id, "name": team.name, "id": team.id, "description": "",
                            "membersCount": team.members.len()})
                    })
                    .collect();
                Service::listed("teams", values, next)
            }
            ["teams", name, rest @ ..] => {
                let wanted = |team: &&Team| team.name == *name || team.id == *name;
                let Some(team) = organization.teams.iter().find(wanted) else {
                    return Reply::refuse(404, "NO_SUCH_TEAM", "there is no such team");
                };
                match rest {
                    ["members"] => self.members(&team.members, target),
                    ["memberSyncConfig"] => self.sync(team.ldap_sync),
                    _ => Reply::refuse(404, "HANDLER_NOT_FOUND", "there is no such page"),
                }
            }
            _ => Reply::refuse(404, "HANDLER_NOT_FOUND", "there is no such page"),
        }
    }

    fn members(&self, members: &[Member], target: &Target) -> Reply {
        let mut sorted: Vec<&Member> = members.iter().collect();
        sorted.sort_by(|a, b| a.user.cmp(&b.user));
        let (page, next) = Service::page(&sorted, target, |member| member.user.as_str());
        let values = page
            .iter()
            .map(|member| {
                let about = self.user(&member.user).map(account).unwrap_or_default();
                json!({"member": about, "isAdmin": member.admin, "isPublic": false})
            })
            .collect();
        Service::listed("members", values, next)
    }

    fn sync(&self, on: bool) -> Reply {
        if self.setup.accounts.ldap.is_none() {
            return Reply::refuse(409, "LDAP_REQUIRED", "the backend is not LDAP");
        }
        Reply::ok(
            &json!({"enableSync": on, "selectGroupMembers": true, "groupDN": "", "groupMemberAttr": "member"}),
        )
    }

    fn roles(&self) -> Value {
        let roles = self.setup.accounts.roles.iter();
        roles
            .map(|role| json!({"id": role.id, "name": role.name, "system_role": role.system, "operations": {}}))
            .collect()
    }

    fn grants(&self, target: &Target) -> Reply {
        let all: Vec<(String, Value)> = self
            .setup
            .accounts
            .grants
            .iter()
            .enumerate()
            .map(|(at, grant)| {
                let object = if grant.collection.starts_with('/') {
                    crate::lab::model::mke3_id(&grant.collection)[..32].to_owned()
                } else {
                    grant.collection.clone()
                };
                let path = if grant.collection.starts_with('/') { grant.collection.as_str() } else { "" };
                let value = json!({"subjectID": self.id_of(&grant.subject), "objectID": object, "roleID": grant.role,
                    "collectionPath": path});
                (format!("{at:08}"), value)
            })
            .collect();
        let (page, next) = Service::page(&all, target, |one| one.0.as_str());
        let values: Vec<Value> = page.iter().map(|one| one.1.clone()).collect();
        let body = json!({"grants": values, "subjects": [], "nextPageStart": next});
        Reply {
            next,
            ..Reply::ok(&body)
        }
    }

    fn id_of(&self, subject: &SubjectRef) -> String {
        let found = match subject {
            SubjectRef::User(name) => self.user(name).map(|user| user.id.clone()),
            SubjectRef::Organization(name) => self.organization(name).map(|one| one.id.clone()),
            SubjectRef::Team(name) => name.split_once(':').and_then(|(organization, team)| {
                let organization = self.organization(organization)?;
                let team = organization.teams.iter().find(|one| one.name == team)?;
                Some(team.id.clone())
            }),
            SubjectRef::ServiceAccount(name) => Some(format!("system:serviceaccount:{name}")),
            SubjectRef::Group(_) => None,
        };
        let (SubjectRef::User(name)
        | SubjectRef::Organization(name)
        | SubjectRef::Team(name)
        | SubjectRef::ServiceAccount(name)
        | SubjectRef::Group(name)) = subject;
        found.unwrap_or_else(|| name.clone())
    }

    /// The settings as they are nested there, the reader's password among them.
    fn ldap(&self) -> Value {
        let mut whole = json!({"readerPassword": "lab-reader-password"});
        for (key, value) in self.setup.accounts.ldap.iter().flatten() {
            let value = match value.as_str() {
                "true" => json!(true),
                "false" => json!(false),
                text => json!(text),
            };
            match key.split_once("[0].") {
                Some((list, field)) => {
                    if whole.get(list).is_none() {
                        whole[list] = json!([{}]);
                    }
                    whole[list][0][field] = value;
                }
                None => whole[key] = value,
            }
        }
        whole
    }

    fn kubernetes(&self, plural: &str, target: &Target) -> Reply {
        let known: BTreeSet<&str> = ["clusterroles", "clusterrolebindings", "rolebindings"].into();
        if !known.contains(plural) {
            let text = "the server could not find the requested resource";
            return Reply::json(
                404,
                &json!({"kind": "Status", "status": "Failure", "message": text}),
            );
        }
        let items = self.cluster.state().list_mke3(plural);
        let limit = target.get("limit").parse().unwrap_or(usize::MAX).max(1);
        let from = target.get("continue").parse().unwrap_or(0).min(items.len());
        let to = from.saturating_add(limit).min(items.len());
        let next = if to < items.len() {
            to.to_string()
        } else {
            String::new()
        };
        Reply::ok(
            &json!({"kind": "List", "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"continue": next}, "items": items[from..to]}),
        )
    }
}

fn account(user: &User) -> Value {
    json!({"name": user.name, "id": user.id, "fullName": "", "isOrg": false, "isAdmin": user.admin, "isActive": user.active,
        "isImported": user.ldap, "onDemand": false, "otpEnabled": false})
}

fn as_account(organization: &Organization) -> Value {
    json!({"name": organization.name, "id": organization.id, "fullName": "", "isOrg": true,
        "membersCount": organization.members.len(), "teamsCount": organization.teams.len()})
}

fn nodes(state: &State) -> Value {
    state
        .swarm
        .nodes
        .values()
        .map(|node| {
            let role = if node.role == Role::Manager { "manager" } else { "worker" };
            let up = state.hosts.get(&node.hostname).is_some_and(|host| host.docker_up());
            json!({"ID": node.id, "Spec": {"Role": role, "Availability": node.availability, "Labels": node.labels},
                "Description": {"Hostname": node.hostname, "Platform": {"Architecture": "x86_64", "OS": "linux"}},
                "Status": {"State": if up { "ready" } else { "down" }, "Addr": node.address}})
        })
        .collect()
}
