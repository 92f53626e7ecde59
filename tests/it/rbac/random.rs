//! Random accounts: one outcome each, legal and unique names, no panic.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-c]{1,2}",
        2 => "[a-zA-Z@$._ /:-]{0,8}",
        1 => "[\\p{Ll}\\p{Lo}0-9$@._-]{1,12}",
        1 => "[a-z-]{55,100}",
        1 => Just("view".to_owned()),
        1 => Just("system:masters".to_owned()),
        1 => any::<String>(),
    ]
}

fn subject() -> impl Strategy<Value = SubjectRef> {
    prop_oneof![
        name().prop_map(SubjectRef::User),
        name().prop_map(SubjectRef::Organization),
        (name(), name()).prop_map(|(org, team)| SubjectRef::Team(format!("{org}:{team}"))),
        name().prop_map(SubjectRef::Group),
        name().prop_map(SubjectRef::ServiceAccount),
    ]
}

fn a_user() -> impl Strategy<Value = User> {
    let password = proptest::option::of(prop_oneof![
        Just("bcrypt"),
        Just("pbkdf2"),
        Just("none"),
        Just("odd")
    ]);
    (name(), any::<[bool; 3]>(), password).prop_map(|(name, [admin, active, ldap], password)| User {
        id: String::new(),
        name,
        admin,
        active,
        ldap,
        password: password.map(str::to_owned),
    })
}

fn some_members() -> impl Strategy<Value = Vec<Member>> {
    vec(
        (name(), any::<bool>()).prop_map(|(user, admin)| Member { user, admin }),
        0..4,
    )
}

fn an_org() -> impl Strategy<Value = Organization> {
    let team = (name(), some_members(), any::<bool>()).prop_map(|(name, members, ldap_sync)| Team {
        id: String::new(),
        name,
        members,
        ldap_sync,
    });
    (name(), some_members(), vec(team, 0..4)).prop_map(|(name, members, teams)| Organization {
        name,
        members,
        teams,
        ..Organization::default()
    })
}

fn a_binding() -> impl Strategy<Value = Binding> {
    let kind = prop_oneof![3 => Just("ClusterRole"), 1 => Just("Role"), 1 => Just("Other")];
    let namespace = proptest::option::of(prop_oneof![3 => "[ab]", 1 => name()]);
    (name(), namespace, kind, name(), vec(subject(), 0..4)).prop_map(
        |(name, namespace, role_kind, role, subjects)| Binding {
            name,
            namespace,
            role_kind: role_kind.to_owned(),
            role,
            subjects,
        },
    )
}

fn accounts() -> impl Strategy<Value = Accounts> {
    (
        vec(a_user(), 0..8),
        vec(an_org(), 0..5),
        vec(
            (name(), name()).prop_map(|(id, name)| SwarmRole {
                id,
                name,
                system: false,
            }),
            0..4,
        ),
        vec(
            (subject(), name(), name()).prop_map(|(subject, role, collection)| Grant {
                subject,
                role,
                collection,
            }),
            0..5,
        ),
        vec(a_binding(), 0..6),
        vec(
            prop_oneof![
                name(),
                name().prop_map(|name| format!("{name}-team")),
                Just("none".to_owned())
            ],
            0..4,
        ),
        any::<bool>(),
    )
        .prop_map(
            |(users, organizations, roles, grants, bindings, cluster_roles, ldap)| Accounts {
                users,
                organizations,
                roles,
                grants,
                bindings,
                cluster_roles,
                ldap: ldap.then(Default::default),
                ..Accounts::default()
            },
        )
}

fn is_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn everything_has_one_outcome_and_a_name_of_its_own(accounts in accounts()) {
        let result = convert(&accounts);
        check_manifests(&result);

        let rows: Vec<&str> = result.rbac.users.iter().map(|row| row.name.as_str()).collect();
        let names: Vec<&str> = accounts.users.iter().map(|user| user.name.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
        prop_assert_eq!(rows, names);
        let orgs: Vec<&str> = result.rbac.organizations.iter().map(|row| row.name.as_str()).collect();
        let names: Vec<&str> = accounts.organizations.iter().map(|org| org.name.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
        prop_assert_eq!(orgs, names);
        let teams: Vec<(&str, &str)> = result.rbac.organizations.iter().flat_map(|org| org.teams.iter().map(|team| (org.name.as_str(), team.name.as_str()))).collect();
        let names: Vec<(&str, &str)> = accounts.organizations.iter().flat_map(|org| org.teams.iter().map(|team| (org.name.as_str(), team.name.as_str()))).collect::<BTreeSet<_>>().into_iter().collect();
        prop_assert_eq!(teams, names);
        prop_assert_eq!(result.rbac.bindings.len(), accounts.bindings.len());

        // Each grant, and each subject of each binding, is one row somewhere; `administrator` is a row of ours.
        let bound = |roles: &[mkectl::model::BoundRole]| roles.iter().filter(|role| role.role != "administrator" || role.on != "the cluster").count();
        let in_tree: usize = result.rbac.users.iter().map(|row| bound(&row.roles)).sum::<usize>()
            + result.rbac.organizations.iter().map(|org| bound(&org.roles) + org.teams.iter().map(|team| bound(&team.roles)).sum::<usize>()).sum::<usize>();
        let wanted = accounts.grants.len()
            + accounts.bindings.iter().map(|binding| binding.subjects.iter().collect::<BTreeSet<_>>().len()).sum::<usize>();
        prop_assert_eq!(in_tree + result.rbac.loose.len(), wanted);

        // Names are legal, unique, and nobody else's.
        let targets: Vec<&str> = result.rbac.organizations.iter().flat_map(|org| std::iter::once(org.to.as_str()).chain(org.teams.iter().map(|team| team.to.as_str())))
            .chain(result.rbac.roles.iter().map(|role| role.to.as_str())).collect();
        for target in &targets {
            prop_assert!(is_label(target), "{:?}", target);
            prop_assert!(!accounts.cluster_roles.iter().any(|taken| taken == target), "{} is taken", target);
            prop_assert!(!["view", "edit", "admin", "cluster-admin"].contains(target));
        }
        prop_assert_eq!(targets.iter().collect::<BTreeSet<_>>().len(), targets.len());
        let ids = ids(&result);
        prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        for binding in &accounts.bindings {
            let id = match &binding.namespace {
                Some(namespace) => format!("RoleBinding {namespace}/{}", binding.name),
                None => format!("ClusterRoleBinding {}", binding.name),
            };
            prop_assert!(!ids.contains(&id), "{} exists", id);
        }

        // Nobody is bound who was inactive, and nobody under a name of Kubernetes' own.
        for (id, manifest) in ids.iter().zip(&result.manifests).filter(|(id, _)| id.contains("Binding")) {
            let value = manifest.to_value().unwrap();
            for name in subjects(&value) {
                prop_assert!(!name.starts_with("system:"), "{} binds {}", id, name);
                prop_assert!(accounts.users.iter().any(|user| user.name == name && user.active), "{} binds {}", id, name);
            }
        }

        // A second run, and one over the reversed input, say the same.
        let mut reversed = accounts.clone();
        reversed.users.reverse();
        reversed.bindings.reverse();
        reversed.grants.reverse();
        reversed.cluster_roles.reverse();
        reversed.organizations.reverse();
        reversed.roles.reverse();
        prop_assert_eq!(convert(&reversed), result);
    }
}
