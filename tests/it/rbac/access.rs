//! Bindings and grants, and who gains and loses.

use super::*;
use mkectl::model::Outcome;
use std::collections::BTreeMap;

fn changes(result: &RbacResult) -> Vec<(&str, bool, &str, u32)> {
    result
        .rbac
        .changes
        .iter()
        .map(|row| (row.who.as_str(), row.gains, row.what.as_str(), row.users))
        .collect()
}

#[test]
fn a_second_role_in_one_place_gets_the_roles_name_behind() {
    let acme = || SubjectRef::Group("acme".into());
    let accounts = Accounts {
        users: vec![user("bob")],
        organizations: vec![org("acme", vec![], &["bob"])],
        bindings: vec![
            binding("one", Some("dev"), "edit", vec![acme()]),
            binding("two", Some("dev"), "view", vec![acme()]),
            binding("three", Some("prod"), "view", vec![acme()]),
            binding(
                "four",
                Some("prod"),
                "view",
                vec![SubjectRef::Organization("acme".into())],
            ),
        ],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    let made: Vec<_> = ids(&result)
        .into_iter()
        .filter(|id| id.starts_with("RoleBinding"))
        .collect();
    assert_eq!(
        made,
        [
            "RoleBinding dev/acme-org",
            "RoleBinding dev/acme-org-view",
            "RoleBinding prod/acme-org"
        ]
    );
    assert_eq!(
        manifest(&result, "RoleBinding dev/acme-org-view")["roleRef"]["name"],
        "view"
    );
    let to: BTreeMap<&str, &[String]> = result
        .rbac
        .bindings
        .iter()
        .map(|row| (row.name.as_str(), row.to.as_slice()))
        .collect();
    assert_eq!(to["three"], ["RoleBinding prod/acme-org"]);
    assert_eq!(to["four"], to["three"]);
}

#[test]
fn a_binding_that_exists_is_never_overwritten() {
    let accounts = Accounts {
        users: vec![admin("root"), user("bob")],
        organizations: vec![org("acme", vec![], &["bob"])],
        bindings: vec![
            binding(
                "acme-org",
                None,
                "view",
                vec![SubjectRef::Organization("acme".into())],
            ),
            binding("mke-admins", None, "view", vec![SubjectRef::User("bob".into())]),
        ],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    let made: Vec<_> = ids(&result)
        .into_iter()
        .filter(|id| id.starts_with("ClusterRoleBinding"))
        .collect();
    assert_eq!(made.len(), 2);
    assert!(
        !made.contains(&"ClusterRoleBinding acme-org".to_owned()),
        "{made:?}"
    );
    assert!(
        !made.contains(&"ClusterRoleBinding mke-admins".to_owned()),
        "{made:?}"
    );
}

#[test]
fn inactive_and_ldap_members_are_not_bound() {
    let mut accounts = Accounts {
        users: vec![
            user("bob"),
            User {
                active: false,
                ..user("gone")
            },
            User {
                ldap: true,
                ..user("ldap")
            },
        ],
        organizations: vec![org(
            "acme",
            vec![Team {
                ldap_sync: true,
                ..team("dev", &["bob", "gone", "ldap"])
            }],
            &[],
        )],
        bindings: vec![
            binding("b", None, "view", vec![SubjectRef::Team("acme:dev".into())]),
            binding("direct", None, "view", vec![SubjectRef::User("gone".into())]),
        ],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    assert_eq!(
        subjects(&manifest(&result, "ClusterRoleBinding dev-team")),
        ["bob"]
    );
    assert_eq!(found(&result.findings, "RBAC-LDAP-TEAM").len(), 1);
    assert!(
        found(&result.findings, "RBAC-BINDING-INACTIVE")[0]
            .message
            .contains("gone")
    );
    assert_eq!(
        changes(&result),
        [
            ("team acme/dev", false, "view in all namespaces", 1),
            (
                "user gone",
                false,
                "their account: inactive ones are not made again",
                1
            ),
            ("user ldap", false, "login, until LDAP is configured in MKE 4k", 1),
        ]
    );
    assert_eq!(result.rbac.bindings[1].outcome, Outcome::Unsupported);

    accounts.ldap = Some(BTreeMap::from([(
        "serverURL".to_owned(),
        "ldaps://ldap".to_owned(),
    )]));
    let result = convert(&accounts);
    assert_eq!(
        subjects(&manifest(&result, "ClusterRoleBinding dev-team")),
        ["bob", "ldap"]
    );
    assert_eq!(person(&result, "ldap").outcome, Outcome::Converted);
    assert_eq!(
        changes(&result),
        [(
            "user gone",
            false,
            "their account: inactive ones are not made again",
            1
        )]
    );
}

#[test]
fn what_somebody_holds_by_another_way_is_neither_lost_nor_gained() {
    // `eve` is in a team but not recorded in the organization; `bob` is too, and holds view by name already.
    let mut acme = org("acme", vec![], &["ann"]);
    acme.teams = vec![team("dev", &["bob", "eve"])];
    let accounts = Accounts {
        users: vec![user("ann"), user("bob"), user("eve")],
        organizations: vec![acme],
        bindings: vec![
            binding(
                "org",
                Some("prod"),
                "view",
                vec![SubjectRef::Organization("acme".into())],
            ),
            binding("bob", None, "view", vec![SubjectRef::User("bob".into())]),
        ],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    assert_eq!(
        changes(&result),
        [(
            "team acme/dev",
            true,
            "view in namespace prod, through organization acme",
            1
        )]
    );
    assert_eq!(
        subjects(&manifest(&result, "RoleBinding prod/acme-org")),
        ["ann", "bob", "eve"]
    );
}

#[test]
fn swarm_grants_are_lost_per_subject_and_administrators_lose_none() {
    let shared = |name: &str| grant(SubjectRef::User(name.into()), "scheduler", "/Shared");
    let private = |name: &str| {
        grant(
            SubjectRef::User(name.into()),
            "restrictedcontrol",
            &format!("/Shared/Private/{name}"),
        )
    };
    let accounts = Accounts {
        users: vec![admin("root"), user("bob"), user("eve")],
        organizations: vec![org("acme", vec![team("dev", &["bob", "root"])], &[])],
        grants: vec![
            shared("root"),
            shared("bob"),
            shared("eve"),
            private("bob"),
            private("eve"),
            grant(SubjectRef::User("eve".into()), "fullcontrol", "/prod"),
            grant(SubjectRef::Team("acme:dev".into()), "viewonly", "/prod"),
            grant(SubjectRef::User("nobody".into()), "viewonly", "/prod"),
            grant(
                SubjectRef::ServiceAccount("ns:builder".into()),
                "viewonly",
                "kubernetesnamespaces",
            ),
        ],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    assert_eq!(
        changes(&result),
        [
            ("team acme/dev", false, "View Only on /prod", 1),
            ("user eve", false, "Full Control on /prod", 1),
            (
                "users",
                false,
                "Restricted Control on their private collection",
                2
            ),
            ("users", false, "Scheduler on /Shared", 2),
        ]
    );
    let loose: Vec<_> = result
        .rbac
        .loose
        .iter()
        .map(|row| (row.subject.as_str(), row.role.outcome))
        .collect();
    assert_eq!(
        loose,
        [
            ("service account ns:builder", Outcome::Unsupported),
            ("user nobody", Outcome::Retired)
        ]
    );
    assert_eq!(found(&result.findings, "RBAC-NAMESPACE-GRANT").len(), 1);
    let in_tree: usize = result
        .rbac
        .users
        .iter()
        .map(|row| {
            row.roles
                .iter()
                .filter(|role| role.role != "administrator")
                .count()
        })
        .sum();
    assert_eq!(
        in_tree + 1 + loose.len(),
        accounts.grants.len(),
        "one row for each grant"
    );
}

#[test]
fn users_who_may_create_pods_gain_privileged_ones() {
    let accounts = Accounts {
        users: vec![admin("root"), user("bob"), user("eve")],
        bindings: vec![
            binding(
                "a",
                Some("dev"),
                "edit",
                vec![SubjectRef::User("bob".into()), SubjectRef::User("root".into())],
            ),
            binding("b", Some("dev"), "view", vec![SubjectRef::User("eve".into())]),
        ],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    assert_eq!(
        changes(&result),
        [("users", true, "privileged pods, wherever they may create pods", 1)]
    );
    assert_eq!(found(&result.findings, "RBAC-PRIVILEGED-PODS").len(), 1);
}

#[test]
fn strange_bindings_are_kept_or_named_and_nothing_is_made_from_them() {
    let accounts = Accounts {
        users: vec![user("bob")],
        organizations: vec![org("acme", vec![], &["bob"])],
        bindings: vec![
            binding(
                "cloud",
                None,
                "view",
                vec![SubjectRef::Group("system:authenticated".into())],
            ),
            binding("ghost", None, "view", vec![SubjectRef::User("ghost".into())]),
            binding(
                "slash/name",
                None,
                "view",
                vec![SubjectRef::Organization("acme".into())],
            ),
            Binding {
                role_kind: "Role".into(),
                ..binding(
                    "no-namespace",
                    None,
                    "deployer",
                    vec![SubjectRef::Organization("acme".into())],
                )
            },
            binding("dangling", None, "deleted", vec![SubjectRef::User("bob".into())]),
            binding(
                "sa",
                Some("ci"),
                "edit",
                vec![SubjectRef::ServiceAccount("ci:builder".into())],
            ),
        ],
        ..Accounts::default()
    };
    let result = convert_rbac(&accounts, Some(&[]), &tables());
    assert!(
        !ids(&result).iter().any(|id| id.contains("Binding")),
        "{:?}",
        ids(&result)
    );
    let outcomes: BTreeMap<_, _> = result
        .rbac
        .bindings
        .iter()
        .map(|row| (row.name.as_str(), row.outcome))
        .collect();
    assert_eq!(outcomes["cloud"], Outcome::Converted);
    assert_eq!(outcomes["ghost"], Outcome::Unsupported);
    assert_eq!(outcomes["slash/name"], Outcome::Unknown);
    assert_eq!(outcomes["no-namespace"], Outcome::Unknown);
    assert_eq!(outcomes["sa"], Outcome::Converted);
    assert_eq!(found(&result.findings, "RBAC-BINDING-INVALID").len(), 2);
    assert_eq!(
        found(&result.findings, "RBAC-SUBJECT-UNKNOWN")[0].subject.name,
        "ghost"
    );
    assert_eq!(
        found(&result.findings, "RBAC-ROLE-MISSING")[0].subject.name,
        "dangling"
    );
    let loose: Vec<_> = result.rbac.loose.iter().map(|row| row.subject.as_str()).collect();
    assert_eq!(
        loose,
        [
            "group system:authenticated",
            "service account ci:builder",
            "user ghost"
        ]
    );
}

#[test]
fn accounts_may_be_named_by_id() {
    let accounts = Accounts {
        users: vec![user("bob")],
        organizations: vec![Organization {
            id: "0d1".into(),
            ..org(
                "acme",
                vec![Team {
                    id: "7e4".into(),
                    ..team("dev", &["bob"])
                }],
                &[],
            )
        }],
        bindings: vec![binding(
            "b",
            None,
            "view",
            vec![
                SubjectRef::Group("0d1:7e4".into()),
                SubjectRef::User("id-of-bob".into()),
            ],
        )],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    assert_eq!(
        subjects(&manifest(&result, "ClusterRoleBinding dev-team")),
        ["bob"]
    );
    assert!(result.rbac.loose.is_empty());
}

#[test]
fn members_that_are_no_users_are_named() {
    let accounts = Accounts {
        users: vec![user("bob")],
        organizations: vec![org("acme", vec![team("dev", &["bob", "lost"])], &[])],
        bindings: vec![binding(
            "b",
            None,
            "view",
            vec![SubjectRef::Team("acme:dev".into())],
        )],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    assert_eq!(
        subjects(&manifest(&result, "ClusterRoleBinding dev-team")),
        ["bob"]
    );
    assert_eq!(result.rbac.organizations[0].teams[0].members, ["bob", "lost"]);
    assert!(
        found(&result.findings, "RBAC-MEMBER-UNKNOWN")[0]
            .message
            .ends_with("lost")
    );
}

/// 12,000 users in 300 teams, each user in ten of them, one binding per team and one for the organization.
#[test]
fn twelve_thousand_users_take_no_time() {
    let names: Vec<String> = (0..12_000).map(|i| format!("user-{i:05}")).collect();
    let teams: Vec<Team> = (0..300_usize)
        .map(|t| {
            let inside: Vec<&str> = names
                .iter()
                .enumerate()
                .filter(|(i, _)| (0..10).any(|k| (i + k * 31) % 300 == t))
                .map(|(_, name)| name.as_str())
                .collect();
            team(&format!("team-{t}"), &inside)
        })
        .collect();
    let mut bindings: Vec<Binding> = (0..300)
        .map(|t| {
            binding(
                &format!("b{t}"),
                Some("dev"),
                "edit",
                vec![SubjectRef::Team(format!("big:team-{t}"))],
            )
        })
        .collect();
    bindings.push(binding(
        "all",
        None,
        "view",
        vec![SubjectRef::Organization("big".into())],
    ));
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let accounts = Accounts {
        users: names.iter().map(|name| user(name)).collect(),
        organizations: vec![Organization {
            name: "big".into(),
            members: members(&all),
            teams,
            ..Organization::default()
        }],
        grants: names
            .iter()
            .map(|name| grant(SubjectRef::User(name.clone()), "scheduler", "/Shared"))
            .collect(),
        bindings,
        ..Accounts::default()
    };
    let start = std::time::Instant::now();
    let result = convert(&accounts);
    let took = start.elapsed();
    assert_eq!(result.rbac.users.len(), 12_000);
    assert_eq!(result.secrets.len(), 12_000);
    // An object in etcd is limited in size, so the organization's binding comes in parts that together name all.
    let parts: Vec<Json> = (1..=6)
        .map(|part| {
            manifest(
                &result,
                &if part == 1 {
                    "ClusterRoleBinding big-org".to_owned()
                } else {
                    format!("ClusterRoleBinding big-org-{part}")
                },
            )
        })
        .collect();
    assert_eq!(
        parts.iter().map(|part| subjects(part).len()).sum::<usize>(),
        12_000
    );
    assert!(parts.iter().all(|part| part.to_string().len() < 512 * 1024));
    // Quadratic work would be minutes even here; the bound is wide because tests run unoptimized beside others.
    assert!(took.as_secs() < 60, "{took:?}");
}
