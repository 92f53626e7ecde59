//! What is read, in which order, and how it becomes what a recording holds.

use super::client::{Access, Client, Patience};
use super::error::{ApiError, Fault};
use super::kube::{self, Names};
use super::pages::{self, encode};
use super::{grants, wire};
use crate::source::accounts::{ACCOUNTS_KIND, Accounts, Member, Organization, SubjectRef, Team, User};
use crate::source::mke3::Config;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What to read besides version and nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// The configuration.
    pub config: bool,
    /// Users, organizations, teams, roles, grants, bindings, LDAP settings.
    pub accounts: bool,
}

/// What a live cluster told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Version of MKE, `3.8.5`; empty when it did not tell one.
    pub version: String,
    /// Id of the swarm; empty when it did not tell one.
    pub cluster_id: String,
    /// Nodes of the swarm, sorted by name.
    pub nodes: Vec<Node>,
    /// The configuration, as it came. It holds secrets.
    pub config: Option<Vec<u8>>,
    /// Accounts, in the order of a recording.
    pub accounts: Option<Accounts>,
}

/// A node, as the swarm sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// Host name.
    pub name: String,
    /// Address.
    pub address: String,
    /// `manager` or `worker`.
    pub role: String,
    /// `ready` or another state.
    pub state: String,
}

/// Reads a live cluster. The session is ended whatever happens.
///
/// # Errors
///
/// The first call that failed for good, or the one under way when the time was over.
pub async fn read(access: Access, patience: Patience, want: Want) -> Result<Live, ApiError> {
    let total = patience.total;
    let mut client = Client::new(access, patience)?;
    let result = match tokio::time::timeout(total, everything(&mut client, want)).await {
        Ok(result) => result,
        Err(_) => Err(client.error(Fault::TooLong(total))),
    };
    client.logout().await;
    result
}

async fn everything(client: &mut Client, want: Want) -> Result<Live, ApiError> {
    client.login().await?;
    administrator(client).await?;
    let mut live = Live::default();
    let (version, _): (wire::Version, _) = client.json("/version").await?;
    live.version = match version.version.split_once('/') {
        Some((_, version)) => version.to_owned(),
        None => String::new(),
    };
    let (info, _): (wire::Info, _) = client.json("/info").await?;
    live.cluster_id = info
        .swarm
        .and_then(|swarm| swarm.cluster)
        .map(|cluster| cluster.id)
        .unwrap_or_default();
    let (nodes, _): (Vec<wire::Node>, _) = client.json("/nodes").await?;
    live.nodes = nodes
        .into_iter()
        .map(|node| Node {
            name: node.description.hostname,
            address: node.status.addr,
            role: node.spec.role,
            state: node.status.state,
        })
        .collect();
    live.nodes.sort();
    if want.config {
        live.config = Some(config(client).await?);
    }
    if want.accounts {
        live.accounts = Some(accounts(client).await?);
    }
    Ok(live)
}

/// Only an administrator sees everything; others get short lists without a word.
async fn administrator(client: &mut Client) -> Result<(), ApiError> {
    let path = format!("/accounts/{}", encode(client.user()));
    let (account, _): (wire::Account, _) = client.json(&path).await?;
    if account.is_admin == Some(true) {
        Ok(())
    } else {
        Err(client.error(Fault::NotAdmin(String::new())))
    }
}

async fn config(client: &mut Client) -> Result<Vec<u8>, ApiError> {
    let answer = client.get("/api/ucp/config-toml", "application/toml").await?;
    // Its errors hold no value of it.
    match Config::parse_bytes("config-toml", &answer.body) {
        Ok(_) => Ok(answer.body),
        Err(_) if answer.body.trim_ascii_start().starts_with(b"<") => {
            let what = format!("it sends a web page (status {})", answer.status);
            Err(client.error(Fault::NotMke(what)))
        }
        Err(error) => {
            let at = error.at.map_or(String::new(), |(line, column)| {
                format!(" at line {line} column {column}")
            });
            Err(client.error(Fault::Contradiction(format!(
                "the configuration cannot be read{at}: {}",
                error.message
            ))))
        }
    }
}

async fn accounts(client: &mut Client) -> Result<Accounts, ApiError> {
    let all = pages::all::<wire::Accounts>(client, "/accounts", "filter=all&").await?;
    if !all.iter().any(|account| account.name == client.user()) {
        let why = "the list of accounts does not hold the one that asked".to_owned();
        return Err(client.error(Fault::Missing(why)));
    }
    let (ldap, synced) = ldap(client).await?;
    let (organizations, users): (Vec<_>, Vec<_>) = all.into_iter().partition(|account| account.is_org);
    let mut result = Accounts {
        kind: ACCOUNTS_KIND.to_owned(),
        format_version: "1.0".to_owned(),
        users: users.iter().map(user).collect(),
        ldap,
        ..Accounts::default()
    };
    result.users.sort_by(|a, b| a.name.cmp(&b.name));
    for account in organizations {
        result
            .organizations
            .push(organization(client, account, synced).await?);
    }
    result.organizations.sort_by(|a, b| a.name.cmp(&b.name));
    let names = names(&result);
    result.roles = grants::roles(client).await?;
    result.grants = grants::grants(client, &names).await?;
    (result.bindings, result.cluster_roles) = kube::read(client, &names).await?;
    fits(client, &result)?;
    Ok(result)
}

fn user(account: &wire::Account) -> User {
    User {
        id: account.id.clone(),
        name: account.name.clone(),
        admin: account.is_admin.unwrap_or(false),
        active: account.is_active.unwrap_or(true),
        ldap: account.is_imported,
        // The API never tells how a password is hashed.
        password: None,
    }
}

async fn organization(
    client: &mut Client,
    account: wire::Account,
    synced: bool,
) -> Result<Organization, ApiError> {
    let path = format!("/accounts/{}", encode(&account.name));
    let members = members(client, &format!("{path}/members")).await?;
    let mut teams = Vec::new();
    for team in pages::all::<wire::Teams>(client, &format!("{path}/teams"), "").await? {
        // A team is asked for by its id: names may hold slashes, which proxies take for the path's.
        let by = if team.id.is_empty() { &team.name } else { &team.id };
        let path = format!("{path}/teams/{}", encode(by));
        teams.push(Team {
            members: self::members(client, &format!("{path}/members")).await?,
            ldap_sync: synced && is_synced(client, &format!("{path}/memberSyncConfig")).await?,
            id: team.id,
            name: team.name,
        });
    }
    teams.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Organization {
        ldap_sync: synced && is_synced(client, &format!("{path}/adminMemberSyncConfig")).await?,
        id: account.id,
        name: account.name,
        members,
        teams,
    })
}

async fn members(client: &mut Client, path: &str) -> Result<Vec<Member>, ApiError> {
    let mut members: Vec<Member> = pages::all::<wire::Members>(client, path, "")
        .await?
        .into_iter()
        .map(|member| Member {
            user: member.member.name,
            admin: member.is_admin,
        })
        .collect();
    members.sort_by(|a, b| a.user.cmp(&b.user));
    Ok(members)
}

/// What the backend is not LDAP for answers 404 or 409.
async fn is_synced(client: &mut Client, path: &str) -> Result<bool, ApiError> {
    match client.json::<wire::Sync>(path).await {
        Ok((sync, _)) => Ok(sync.enable_sync),
        Err(error) if matches!(error.status(), Some(404 | 409)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Settings of the LDAP backend, and whether it is in use.
async fn ldap(client: &mut Client) -> Result<(Option<BTreeMap<String, String>>, bool), ApiError> {
    let gone = |error: &ApiError| matches!(error.status(), Some(404 | 409));
    let in_use = match client.json::<wire::Backend>("/enzi/v0/config/auth").await {
        Ok((backend, _)) => backend.backend == "ldap",
        Err(error) if gone(&error) => false,
        Err(error) => return Err(error),
    };
    if !in_use {
        return Ok((None, false));
    }
    match client.json::<Value>("/enzi/v0/config/auth/ldap").await {
        Ok((settings, _)) => {
            let mut flat = BTreeMap::new();
            flatten(&settings, String::new(), &mut flat);
            Ok((Some(flat), true))
        }
        Err(error) if gone(&error) => Ok((None, true)),
        Err(error) => Err(error),
    }
}

/// Every setting by its path, as `rbac.yaml` names them; what may be a secret only by its name.
fn flatten(value: &Value, path: String, out: &mut BTreeMap<String, String>) {
    let text = match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                flatten(value, path, out);
            }
            return;
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                flatten(value, format!("{path}[{at}]"), out);
            }
            return;
        }
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let lower = path.to_lowercase();
    let secret = ["password", "secret", "token"]
        .iter()
        .any(|word| lower.contains(word));
    if !text.is_empty() {
        out.insert(path, if secret { String::new() } else { text });
    }
}

/// Who is who, by name and by id.
fn names(accounts: &Accounts) -> Names {
    let mut ids = BTreeMap::new();
    let mut put = |id: &str, subject: SubjectRef| {
        if !id.is_empty() {
            ids.insert(id.to_owned(), subject);
        }
    };
    for user in &accounts.users {
        put(&user.id, SubjectRef::User(user.name.clone()));
    }
    for organization in &accounts.organizations {
        put(
            &organization.id,
            SubjectRef::Organization(organization.name.clone()),
        );
        for team in &organization.teams {
            put(
                &team.id,
                SubjectRef::Team(format!("{}:{}", organization.name, team.name)),
            );
        }
    }
    let organizations: BTreeSet<String> = accounts
        .organizations
        .iter()
        .map(|organization| organization.name.clone())
        .collect();
    Names { organizations, ids }
}

/// What was read is what a recording may hold: members have accounts, names are there once.
fn fits(client: &Client, accounts: &Accounts) -> Result<(), ApiError> {
    let bytes = accounts
        .to_bytes()
        .map_err(|why| client.error(Fault::Contradiction(why)))?;
    Accounts::parse("accounts", &bytes).map(drop).map_err(|error| {
        client.error(Fault::Contradiction(format!(
            "what was read does not fit together: {}",
            error.message
        )))
    })
}
