//! Reading a live cluster over MKE 3's API: the simulated one serves recorded accounts, and what is read is what was recorded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::support::repo;
use mkectl::lab::api::{Authority, Server, Setup};
use mkectl::source::accounts::{Accounts, Grant, Member, Organization, SubjectRef, Team, User};
use mkectl::source::api::{Access, Address, ApiError, Fault, Kind, Live, Password, Patience, Want, read};
use mkectl::source::facts::Facts;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const NAME: &str = "mke.rehearsal.test";
const PASSWORD: &str = "correct horse battery staple";

pub const EVERYTHING: Want = Want {
    config: true,
    accounts: true,
};

fn facts() -> Facts {
    Facts::parse(
        "facts.json",
        &fs::read(repo("testdata/clusters/three-managers/facts.json")).unwrap(),
    )
    .unwrap()
}

fn recorded(cluster: &str) -> (Vec<u8>, Accounts) {
    let at = |name: &str| fs::read(repo(&format!("testdata/clusters/{cluster}/{name}"))).unwrap();
    (
        at("mke3.toml"),
        Accounts::parse("accounts.json", &at("accounts.json")).unwrap(),
    )
}

async fn serve(config: Vec<u8>, accounts: Accounts) -> Server {
    let setup = Setup {
        name: NAME.to_owned(),
        config,
        accounts,
        password: PASSWORD.to_owned(),
    };
    Server::alone(&facts(), setup).await.unwrap()
}

pub fn access(at: SocketAddr, user: &str, password: &str) -> Access {
    Access {
        address: Address::parse(NAME).unwrap(),
        connect_to: Some(at),
        ca: Authority::of_mke3().unwrap().pem().as_bytes().to_vec(),
        user: user.to_owned(),
        password: Password::new(password.to_owned()),
    }
}

pub fn impatient() -> Patience {
    Patience {
        connect: Duration::from_secs(2),
        call: Duration::from_millis(400),
        total: Duration::from_secs(20),
        attempts: 3,
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(20),
        largest: 64 << 20,
    }
}

/// In a run of tests the machine is busy: only what never answers may be waited for in vain.
fn patient() -> Patience {
    Patience {
        call: Duration::from_secs(30),
        total: Duration::from_secs(120),
        ..impatient()
    }
}

async fn read_all(server: &Server) -> Result<Live, ApiError> {
    read(access(server.address(), "admin", PASSWORD), patient(), EVERYTHING).await
}

/// A recording as the API can tell it: how passwords are hashed it never tells, and its lists are sorted.
fn told(mut accounts: Accounts) -> Accounts {
    for user in &mut accounts.users {
        user.password = None;
    }
    accounts.users.sort_by(|a, b| a.name.cmp(&b.name));
    let sort = |members: &mut Vec<Member>| members.sort_by(|a, b| a.user.cmp(&b.user));
    for organization in &mut accounts.organizations {
        sort(&mut organization.members);
        organization.teams.sort_by(|a, b| a.name.cmp(&b.name));
        for team in &mut organization.teams {
            sort(&mut team.members);
        }
    }
    accounts.organizations.sort_by(|a, b| a.name.cmp(&b.name));
    accounts.roles.sort_by(|a, b| a.id.cmp(&b.id));
    let key = |grant: &Grant| {
        (
            grant.subject.clone(),
            grant.role.clone(),
            grant.collection.clone(),
        )
    };
    accounts.grants.sort_by_key(key);
    accounts
        .bindings
        .sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    accounts.cluster_roles.sort();
    // Secrets are told by name only.
    accounts
}

/// What every simulated cluster has besides what was recorded.
fn without_own(mut accounts: Accounts) -> Accounts {
    let own = ["cluster-admin", "deployer", "entire-company:development:view"];
    accounts.bindings.retain(|binding| {
        !(own.contains(&binding.name.as_str()) && binding.namespace.as_deref() != Some("dev"))
    });
    let mut roles = facts().cluster.objects.unwrap().cluster_roles.unwrap();
    roles.extend(["calico-node", "cluster-admin", "edit", "shop-editor", "view"].map(str::to_owned));
    accounts.cluster_roles.retain(|role| !roles.contains(role));
    if let Some(ldap) = &mut accounts.ldap {
        ldap.remove("readerPassword");
    }
    accounts
}

async fn comes_back(cluster: &str) {
    let (config, accounts) = recorded(cluster);
    let server = serve(config.clone(), accounts.clone()).await;
    let live = read_all(&server).await.unwrap();
    assert_eq!(live.config.as_deref(), Some(config.as_slice()));
    assert_eq!(without_own(live.accounts.unwrap()), without_own(told(accounts)));
    assert_eq!(live.version, facts().cluster.mke_version.unwrap());
    assert_eq!(live.cluster_id, facts().cluster.id.unwrap());
    assert_eq!(live.nodes.len(), facts().hosts.len());
    assert!(live.nodes.iter().all(|node| node.state == "ready"));
    assert_eq!(server.sessions(), 0, "the session was not ended");
    let calls = server.calls();
    assert_eq!(calls.iter().filter(|call| *call == "POST /auth/login").count(), 1);
    assert!(
        calls
            .iter()
            .all(|call| call.starts_with("GET ") || call == "POST /auth/login" || call == "POST /id/logout")
    );
}

#[tokio::test]
async fn a_cluster_is_read_as_it_was_recorded() {
    comes_back("three-managers").await;
}

/// LDAP, names of every script, teams with slashes and colons, and two teams of one name.
#[tokio::test]
async fn names_that_break_naive_code_come_back() {
    comes_back("everything").await;
}

#[tokio::test]
async fn names_in_paths_and_headers_are_only_names() {
    let (config, mut accounts) = recorded("three-managers");
    let names = [
        "a$b@c",
        "..",
        "query?x=1&y",
        "hash#1",
        "per%2fcent",
        "ünïcode",
        "王伟",
        "a+b",
        "tail/",
    ];
    let ids = |at: usize, what: &str| format!("00000000-0000-4000-8000-{what}{at:08}");
    let mut teams = Vec::new();
    for (at, name) in names.iter().enumerate() {
        accounts.users.push(User {
            id: ids(at, "aaaa"),
            name: (*name).to_owned(),
            active: true,
            ..User::default()
        });
        teams.push(Team {
            // Old servers give no ids, so some are asked for by name.
            id: if at % 2 == 0 {
                ids(at, "bbbb")
            } else {
                String::new()
            },
            name: format!("Team: {name} / {at}"),
            members: vec![Member {
                user: (*name).to_owned(),
                admin: at == 0,
            }],
            ldap_sync: false,
        });
    }
    accounts.organizations.push(Organization {
        id: ids(0, "cccc"),
        name: "o$rg@x".to_owned(),
        members: Vec::new(),
        teams,
        ldap_sync: false,
    });
    accounts.grants.push(Grant {
        subject: SubjectRef::ServiceAccount("ci:run:ner".to_owned()),
        role: "viewonly".to_owned(),
        collection: "/Shared".to_owned(),
    });
    let server = serve(config, accounts.clone()).await;
    let live = read_all(&server).await.unwrap();
    assert_eq!(without_own(live.accounts.unwrap()), without_own(told(accounts)));
}

/// Everybody is read, in pages that the server's own default would cut after ten.
#[tokio::test]
async fn twelve_thousand_users_are_read() {
    let (config, mut accounts) = recorded("three-managers");
    let mut everybody = Vec::new();
    for at in 0..12_000 {
        let name = format!("user{at:05}");
        everybody.push(Member {
            user: name.clone(),
            admin: false,
        });
        accounts.users.push(User {
            id: format!("00000000-0000-4000-9000-{at:012}"),
            name,
            active: at % 7 != 0,
            ldap: at % 3 == 0,
            ..User::default()
        });
    }
    accounts.organizations[0].members.extend(everybody.clone());
    accounts.organizations.push(Organization {
        id: "00000000-0000-4000-a000-000000000000".to_owned(),
        name: "crowd".to_owned(),
        members: everybody,
        ..Organization::default()
    });
    let server = serve(config, accounts.clone()).await;
    let began = Instant::now();
    let live = read_all(&server).await.unwrap().accounts.unwrap();
    assert_eq!(live.users.len(), accounts.users.len());
    assert_eq!(without_own(live), without_own(told(accounts)));
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[tokio::test]
async fn a_session_that_ends_is_begun_anew() {
    let (config, accounts) = recorded("three-managers");
    let server = serve(config, accounts).await;
    let reading = read_all(&server);
    let ending = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            server.end_sessions();
        }
    };
    let (live, ()) = tokio::join!(reading, ending);
    assert_eq!(live.unwrap().accounts.unwrap().users.len(), 7);
    assert_eq!(server.sessions(), 0);
}

#[tokio::test]
async fn who_may_not_read_is_told_why() {
    let (config, accounts) = recorded("three-managers");
    let server = serve(config, accounts).await;
    let cases = [
        (
            "admin",
            "hunter2",
            "user name or password is wrong",
            "POST /auth/login",
        ),
        (
            "nobody",
            PASSWORD,
            "user name or password is wrong",
            "POST /auth/login",
        ),
        (
            "dave",
            PASSWORD,
            "the account may not log in: it is inactive or locked",
            "POST /auth/login",
        ),
        (
            "bob",
            PASSWORD,
            "the account is no administrator of MKE",
            "GET /accounts/bob",
        ),
    ];
    for (user, password, text, call) in cases {
        let logins = |server: &Server| {
            server
                .calls()
                .iter()
                .filter(|call| *call == "POST /auth/login")
                .count()
        };
        let before = logins(&server);
        let error = read(access(server.address(), user, password), patient(), EVERYTHING)
            .await
            .unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(text), "{shown}");
        assert_eq!(
            (error.call.as_str(), error.kind()),
            (call, Kind::Input),
            "{shown}"
        );
        assert!(!shown.contains(password), "{shown}");
        assert_eq!(logins(&server), before + 1, "a wrong password is tried once");
        assert_eq!(server.sessions(), 0);
    }
}

#[tokio::test]
async fn a_certificate_of_somebody_else_gets_nothing() {
    let (config, accounts) = recorded("three-managers");
    let server = serve(config, accounts).await;
    let mut stranger = access(server.address(), "admin", PASSWORD);
    stranger.ca = Authority::stranger().unwrap().pem().as_bytes().to_vec();
    let error = read(stranger, patient(), EVERYTHING).await.unwrap_err();
    assert_eq!(
        (error.fault.clone(), error.kind()),
        (Fault::Stranger, Kind::Unreachable)
    );
    let mut other = access(server.address(), "admin", PASSWORD);
    other.address = Address::parse("other.example.com").unwrap();
    let error = read(other, patient(), EVERYTHING).await.unwrap_err();
    assert!(error.to_string().contains("it names"), "{error}");
    assert!(error.to_string().contains(NAME), "{error}");
    assert_eq!(server.calls(), Vec::<String>::new());
}
