//! Names and objects of the tree.

use super::*;
use mkectl::convert::rbac::dex_object_name;
use mkectl::model::{Outcome, Severity};

/// The tree of the public page on RBAC upgrades.
fn documented() -> Accounts {
    let company = org(
        "entire-company",
        vec![
            team("development", &["bob"]),
            team("production", &["bob", "bill"]),
            team("sales", &[]),
        ],
        &[],
    );
    Accounts {
        users: vec![admin("admin"), user("bob"), user("bill")],
        organizations: vec![company],
        bindings: vec![
            binding(
                "company-view",
                None,
                "view",
                vec![SubjectRef::Organization("entire-company".into())],
            ),
            binding(
                "dev-edit",
                Some("dev"),
                "edit",
                vec![SubjectRef::Team("entire-company:development".into())],
            ),
        ],
        ..Accounts::default()
    }
}

#[test]
fn the_documented_tree_has_the_documented_names() {
    let result = convert(&documented());
    assert_eq!(
        ids(&result),
        [
            "ClusterRole development-team",
            "ClusterRole entire-company-org",
            "ClusterRole none",
            "ClusterRole production-team",
            "ClusterRole sales-team",
            "ClusterRoleBinding entire-company-org",
            "ClusterRoleBinding mke-admins",
            format!("Password mke/{}", dex_object_name("admin")).as_str(),
            format!("Password mke/{}", dex_object_name("bill")).as_str(),
            format!("Password mke/{}", dex_object_name("bob")).as_str(),
            "RoleBinding dev/development-team",
        ]
        .map(str::to_owned)
        .to_vec()
        .into_iter()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
    );
    let view = manifest(&result, "ClusterRoleBinding entire-company-org");
    assert_eq!(view["roleRef"]["name"], "view");
    assert_eq!(
        subjects(&view),
        ["bill", "bob"],
        "members of teams inherit what the organization holds"
    );
    let edit = manifest(&result, "RoleBinding dev/development-team");
    assert_eq!(edit["roleRef"]["name"], "edit");
    assert_eq!(subjects(&edit), ["bob"]);
    assert_eq!(
        subjects(&manifest(&result, "ClusterRoleBinding mke-admins")),
        ["admin"]
    );
    let team = manifest(&result, "ClusterRole sales-team");
    assert_eq!(
        team["aggregationRule"]["clusterRoleSelectors"],
        serde_json::json!([{"matchLabels": {"mkectl.mirantis.com/role": "none"}}])
    );
    assert_eq!(
        team["metadata"]["labels"]["mkectl.mirantis.com/organization"],
        "entire-company-org"
    );
    let none = manifest(&result, "ClusterRole none");
    assert_eq!(none["metadata"]["labels"]["mkectl.mirantis.com/role"], "none");
    assert_eq!(none["rules"], serde_json::json!([]));
    check_manifests(&result);

    let rbac = &result.rbac;
    assert_eq!(
        (
            rbac.counts.users,
            rbac.counts.admins,
            rbac.counts.organizations,
            rbac.counts.teams
        ),
        (3, 1, 1, 3)
    );
    assert_eq!(rbac.counts.grants, 2);
    let company = &rbac.organizations[0];
    assert_eq!(company.to, "entire-company-org");
    let teams: Vec<_> = company
        .teams
        .iter()
        .map(|team| (team.name.as_str(), team.to.as_str(), team.members.len()))
        .collect();
    assert_eq!(
        teams,
        [
            ("development", "development-team", 1),
            ("production", "production-team", 2),
            ("sales", "sales-team", 0)
        ]
    );
    assert!(company.members.is_empty());
    assert_eq!(company.roles[0].to, "view");
    assert_eq!(rbac.bindings[0].to, ["ClusterRoleBinding entire-company-org"]);
    assert_eq!(rbac.bindings[1].to, ["RoleBinding dev/development-team"]);
}

#[test]
fn conversion_does_not_depend_on_the_order_of_the_input() {
    let accounts = documented();
    let mut shuffled = accounts.clone();
    shuffled.users.reverse();
    shuffled.bindings.reverse();
    shuffled.organizations[0].teams.reverse();
    shuffled.organizations[0].members.reverse();
    assert_eq!(convert(&accounts), convert(&shuffled));
}

#[test]
fn passwords_are_references_under_dex_names() {
    let result = convert(&documented());
    let password = manifest(&result, "Password mke/mfsg22lozpzjzzeeeirsk");
    assert_eq!(password["email"], "admin");
    assert_eq!(password["username"], "admin");
    assert_eq!(password["userID"], "id-of-admin");
    assert_eq!(
        password["hash"],
        "mkectl-secret:password-hash-mfsg22lozpzjzzeeeirsk"
    );
    assert_eq!(person(&result, "admin").to, "dex password mfsg22lozpzjzzeeeirsk");
    let secret = result
        .secrets
        .iter()
        .find(|secret| secret.name == "password-hash-mfsg22lozpzjzzeeeirsk")
        .unwrap();
    assert_eq!(secret.from, "host:R/password-hashes/mfsg22lozpzjzzeeeirsk");
    assert_eq!(result.secrets.len(), 3);
}

#[test]
fn each_kind_of_user_has_its_fate() {
    let accounts = Accounts {
        users: vec![
            User {
                password: Some("pbkdf2".into()),
                ..admin("reset")
            },
            User {
                active: false,
                ..admin("gone")
            },
            User {
                ldap: true,
                password: None,
                ..user("ldap")
            },
            User {
                password: None,
                ..user("unknown")
            },
            User {
                password: Some("none".into()),
                ..user("sso")
            },
            User {
                password: Some("scrypt".into()),
                ..user("strange")
            },
            user("system:admin"),
            user("twice"),
            user("twice"),
            user("fine"),
        ],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    let outcomes: Vec<_> = result
        .rbac
        .users
        .iter()
        .map(|row| (row.name.as_str(), row.outcome, row.to.is_empty()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("fine", Outcome::Converted, false),
            ("gone", Outcome::Ignored, true),
            ("ldap", Outcome::Unsupported, true),
            ("reset", Outcome::Unsupported, true),
            ("sso", Outcome::Converted, false),
            ("strange", Outcome::Unsupported, true),
            ("system:admin", Outcome::Blocking, true),
            ("twice", Outcome::Blocking, true),
            ("unknown", Outcome::Converted, false),
        ]
    );
    let passwords: Vec<_> = ids(&result)
        .into_iter()
        .filter(|id| id.starts_with("Password"))
        .collect();
    assert_eq!(passwords.len(), 2, "only fine and unknown get one: {passwords:?}");
    assert_eq!(
        subjects(&manifest(&result, "ClusterRoleBinding mke-admins")),
        ["reset"],
        "gone is inactive"
    );
    let severity = |code: &str| {
        found(&result.findings, code)
            .first()
            .map(|finding| finding.severity)
    };
    assert_eq!(severity("RBAC-PASSWORD-RESET"), Some(Severity::Warning));
    assert_eq!(severity("RBAC-USER-INACTIVE"), Some(Severity::Info));
    assert_eq!(severity("RBAC-USER-NAME"), Some(Severity::Blocking));
    assert_eq!(severity("RBAC-DUPLICATE"), Some(Severity::Blocking));
    assert_eq!(severity("RBAC-LDAP-USERS"), Some(Severity::Warning));
    assert_eq!(severity("RBAC-NO-ADMIN"), Some(Severity::Warning));
    assert_eq!(
        found(&result.findings, "RBAC-PASSWORD-RESET")[0].message,
        "2 users with a password that Dex cannot check: reset, strange"
    );
    check_manifests(&result);
}

#[test]
fn teams_of_one_name_are_told_apart_and_others_keep_the_documented_name() {
    let accounts = Accounts {
        organizations: vec![
            org("a", vec![team("dev", &[]), team("ops", &[])], &[]),
            org("b", vec![team("dev", &[])], &[]),
        ],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    let name = |org: usize, team: usize| result.rbac.organizations[org].teams[team].to.as_str();
    assert_eq!(
        (name(0, 0), name(0, 1), name(1, 0)),
        ("a-dev-team", "ops-team", "b-dev-team")
    );
    assert_eq!(found(&result.findings, "RBAC-NAME-COLLISION").len(), 2);
}

#[test]
fn qualified_names_that_collide_get_a_hash() {
    let accounts = Accounts {
        organizations: vec![
            org("a", vec![team("b-c", &[]), team("c", &[])], &[]),
            org("a-b", vec![team("b-c", &[]), team("c", &[])], &[]),
        ],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    let mut names: Vec<_> = result
        .rbac
        .organizations
        .iter()
        .flat_map(|org| &org.teams)
        .map(|team| team.to.as_str())
        .collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(names.len(), before, "{names:?}");
    assert!(
        names.contains(&"a-c-team") && names.contains(&"a-b-b-c-team"),
        "{names:?}"
    );
}

#[test]
fn roles_of_the_cluster_are_never_overwritten() {
    let accounts = Accounts {
        organizations: vec![org("acme", vec![team("dev", &[])], &[])],
        roles: vec![
            swarm_role("1", "view", false),
            swarm_role("2", "Deploy Stacks", false),
            swarm_role("3", "mine", false),
        ],
        cluster_roles: vec!["acme-org".into(), "none".into()],
        ..Accounts::default()
    };
    let in_cluster = vec!["dev-team".to_owned(), "mine".to_owned()];
    let result = convert_rbac(&accounts, Some(&in_cluster), &tables());
    let made: Vec<String> = result
        .manifests
        .iter()
        .filter(|manifest| matches!(manifest, Manifest::ClusterRole(_)))
        .map(|manifest| manifest.id().2.to_owned())
        .collect();
    for taken in [
        "view",
        "edit",
        "admin",
        "cluster-admin",
        "acme-org",
        "none",
        "dev-team",
        "mine",
    ] {
        assert!(!made.iter().any(|name| name == taken), "{taken} in {made:?}");
    }
    assert!(made.contains(&"acme-dev-team".to_owned()), "{made:?}");
    assert!(
        made.iter()
            .any(|name| name.starts_with("acme-") && name.ends_with("-org")),
        "{made:?}"
    );
    assert!(made.iter().any(|name| name.starts_with("view-")), "{made:?}");
    assert!(
        made.iter().any(|name| name.starts_with("deploy-stacks-")),
        "{made:?}"
    );
    let subjects: Vec<_> = found(&result.findings, "RBAC-NAME-COLLISION")
        .iter()
        .map(|finding| finding.subject.name.clone())
        .collect();
    assert_eq!(subjects, ["acme", "acme/dev", "mine", "view"]);
    check_manifests(&result);
}

#[test]
fn swarm_roles_are_made_again_empty_and_selected_where_they_were_granted() {
    let accounts = Accounts {
        users: vec![user("bob")],
        organizations: vec![org("acme", vec![team("dev", &["bob"])], &[])],
        roles: vec![
            swarm_role("none", "None", true),
            swarm_role("restrictedcontrol", "Restricted Control", true),
        ],
        grants: vec![grant(
            SubjectRef::Team("acme:dev".into()),
            "restrictedcontrol",
            "/Shared/dev",
        )],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    let role = manifest(&result, "ClusterRole restrictedcontrol");
    assert_eq!(role["rules"], serde_json::json!([]));
    assert_eq!(
        role["metadata"]["annotations"]["mkectl.mirantis.com/mke3-name"],
        "Restricted Control"
    );
    let selector = |id: &str| {
        manifest(&result, id)["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"]["mkectl.mirantis.com/role"].clone()
    };
    assert_eq!(selector("ClusterRole dev-team"), "restrictedcontrol");
    assert_eq!(selector("ClusterRole acme-org"), "none");
    let row = &result.rbac.organizations[0].teams[0].roles[0];
    assert_eq!(
        (row.outcome, row.to.as_str(), row.role.as_str()),
        (Outcome::Retired, "", "Restricted Control")
    );
    assert_eq!(result.rbac.roles.len(), 2);
    check_manifests(&result);
}

#[test]
fn renamed_teams_are_reported_and_keep_their_name_in_an_annotation() {
    let accounts = Accounts {
        organizations: vec![org("acme", vec![team("Platform Team/EU", &[])], &[])],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    let to = &result.rbac.organizations[0].teams[0].to;
    assert!(
        to.starts_with("platform-team-eu-") && to.ends_with("-team"),
        "{to}"
    );
    let object = manifest(&result, &format!("ClusterRole {to}"));
    assert_eq!(
        object["metadata"]["annotations"]["mkectl.mirantis.com/mke3-name"],
        "Platform Team/EU"
    );
    let finding = found(&result.findings, "RBAC-NAME-CHANGED")[0];
    assert_eq!(finding.subject.name, "acme/Platform Team/EU");
    assert!(finding.message.contains(to.as_str()), "{}", finding.message);
}

#[test]
fn objects_become_yaml_trees() {
    use mkectl::yaml::Node;
    let result = convert(&documented());
    let place = ids(&result)
        .iter()
        .position(|id| id == "RoleBinding dev/development-team")
        .unwrap();
    let Node::Map(map) = result.manifests[place].to_node().unwrap() else {
        panic!("not a mapping")
    };
    assert_eq!(map["kind"], Node::Str("RoleBinding".to_owned()));
    let Node::List(subjects) = &map["subjects"] else {
        panic!("not a list")
    };
    assert_eq!(subjects.len(), 1);
    assert_eq!(
        mkectl::convert::rbac::to_node(serde_json::json!([null, true, 7, "x"])),
        Node::List(vec![
            Node::Null,
            Node::Bool(true),
            Node::Int(7),
            Node::Str("x".to_owned())
        ])
    );
}
