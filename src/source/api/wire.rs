//! Answers of the API as they come. Fields that nothing is made of are left out, unknown ones passed over: MKE may add some.

use serde::{Deserialize, Serialize};

/// The body of a login.
pub(super) fn login(username: &str, password: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct Login<'a> {
        username: &'a str,
        password: &'a str,
    }
    // A structure of two strings can always be written.
    serde_json::to_vec(&Login { username, password }).unwrap_or_default()
}

/// The answer to a login.
#[derive(Deserialize)]
pub(super) struct Token {
    pub auth_token: String,
}

/// What an error says: in the form of the auth service, else of Docker.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Errors {
    #[serde(default)]
    errors: Vec<One>,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Deserialize)]
struct One {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Errors {
    /// Reads a body; one of another form says nothing.
    pub(super) fn of(body: &[u8]) -> Errors {
        serde_json::from_slice(body).unwrap_or_default()
    }

    pub(super) fn any(&self) -> bool {
        !self.errors.is_empty() || !self.message.is_empty()
    }

    pub(super) fn has(&self, code: &str) -> bool {
        self.errors.iter().any(|one| one.code == code)
    }

    /// Code and message of the first, or the message.
    pub(super) fn text(&self) -> String {
        match self.errors.first() {
            Some(one) => [one.code.as_str(), one.message.as_str()]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(": "),
            None => self.message.clone(),
        }
    }
}

/// A user or organization.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    pub name: String,
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub is_org: bool,
    #[serde(default)]
    pub is_admin: Option<bool>,
    #[serde(default)]
    pub is_active: Option<bool>,
    #[serde(default)]
    pub is_imported: bool,
}

/// A page of accounts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Accounts {
    pub accounts: Option<Vec<Account>>,
    #[serde(default)]
    pub users_count: Option<u64>,
    #[serde(default)]
    pub orgs_count: Option<u64>,
    #[serde(default)]
    pub next_page_start: String,
}

/// A team.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Team {
    pub name: String,
    #[serde(default)]
    pub id: String,
}

/// A page of teams.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Teams {
    pub teams: Option<Vec<Team>>,
    #[serde(default)]
    pub next_page_start: String,
}

/// A member of an organization or team.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Member {
    pub member: Account,
    #[serde(default)]
    pub is_admin: bool,
}

/// A page of members.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Members {
    pub members: Option<Vec<Member>>,
    #[serde(default)]
    pub next_page_start: String,
}

/// Whether LDAP decides who is a member.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sync {
    #[serde(default)]
    pub enable_sync: bool,
}

/// Which backend the auth service has.
#[derive(Debug, Deserialize)]
pub(super) struct Backend {
    #[serde(default)]
    pub backend: String,
}

/// A role of Swarm.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Role {
    pub id: String,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub system_role: bool,
}

/// A grant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Grant {
    #[serde(rename = "subjectID")]
    pub subject: String,
    #[serde(rename = "objectID")]
    pub object: String,
    #[serde(rename = "roleID")]
    pub role: String,
    #[serde(rename = "collectionPath", default)]
    pub path: String,
}

/// Grants.
#[derive(Debug, Deserialize)]
pub(super) struct Grants {
    pub grants: Option<Vec<Grant>>,
    #[serde(rename = "nextPageStart", default)]
    pub next_page_start: String,
}

/// `GET /version`. UCP answers in the place of the Docker Engine: `ucp/3.8.5`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Version {
    #[serde(default)]
    pub version: String,
}

/// `GET /info`, as far as it is about the swarm.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Info {
    #[serde(default)]
    pub swarm: Option<InfoSwarm>,
}

/// The swarm of an engine.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InfoSwarm {
    #[serde(default)]
    pub cluster: Option<InfoCluster>,
}

/// The cluster of a swarm.
#[derive(Debug, Deserialize)]
pub(super) struct InfoCluster {
    #[serde(rename = "ID", default)]
    pub id: String,
}

/// A node of the swarm.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Node {
    #[serde(default)]
    pub spec: NodeSpec,
    #[serde(default)]
    pub description: NodeDescription,
    #[serde(default)]
    pub status: NodeStatus,
}

/// What a node is to be.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NodeSpec {
    #[serde(default)]
    pub role: String,
}

/// What a node is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NodeDescription {
    #[serde(default)]
    pub hostname: String,
}

/// How a node is.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NodeStatus {
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub addr: String,
}
