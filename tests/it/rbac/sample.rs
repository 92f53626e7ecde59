//! The sample of who may do what: bounded, the same for the same accounts, and true about what the plan changes.

use super::*;

fn lines<'r>(result: &'r RbacResult, word: &str) -> Vec<&'r str> {
    let of = result.access.lines();
    of.filter(|line| line.split(' ').next() == Some(word)).collect()
}

#[test]
fn users_are_asked_about_with_their_groups_and_differences_are_named() {
    let mut outside = org("acme", vec![team("dev \"x\"", &["tina"])], &["olga"]);
    // A member of the team whom the organization does not list.
    outside.members.retain(|member| member.user != "tina");
    let lost = User {
        ldap: true,
        ..user("lena")
    };
    let inactive = User {
        active: false,
        ..user("ivan")
    };
    let accounts = Accounts {
        users: vec![
            admin("root"),
            user("olga"),
            user("tina"),
            lost,
            inactive,
            user("a b"),
        ],
        organizations: vec![outside, org("other", vec![team("ops", &["lena"])], &[])],
        bindings: vec![
            binding(
                "one",
                Some("shop"),
                "edit",
                vec![SubjectRef::Organization("acme".into())],
            ),
            binding("two", None, "view", vec![SubjectRef::Team("other:ops".into())]),
        ],
        ..Accounts::default()
    };
    let result = convert(&accounts);
    let mut users = lines(&result, "user");
    users.sort_unstable();
    assert_eq!(
        users,
        [
            r#"user lena ["system:authenticated","other","other:ops"]"#,
            r#"user olga ["system:authenticated","acme"]"#,
            r#"user root ["system:authenticated"]"#,
            r#"user tina ["system:authenticated","acme:dev \"x\""]"#,
        ]
    );
    let mut places = lines(&result, "place");
    places.sort_unstable();
    assert_eq!(places, ["place -", "place default", "place shop"]);
    assert_eq!(lines(&result, "gains"), ["gains tina shop"]);
    assert_eq!(lines(&result, "loses"), ["loses lena -"]);
    assert!(lines(&result, "ask").contains(&"ask delete apps deployments namespace"));
    assert!(lines(&result, "ask").contains(&"ask list - nodes cluster"));
}

#[test]
fn it_is_bounded_and_does_not_depend_on_the_order() {
    let names: Vec<String> = (0..500).map(|n| format!("user-{n}")).collect();
    let mut accounts = Accounts {
        users: names.iter().map(|name| user(name)).collect(),
        bindings: (0..200)
            .map(|n| {
                let who = SubjectRef::User(format!("user-{}", 300 + n % 5));
                binding("b", Some(&format!("ns-{n}")), "view", vec![who])
            })
            .collect(),
        ..Accounts::default()
    };
    let one = convert(&accounts);
    let (users, places) = (lines(&one, "user").len(), lines(&one, "place").len());
    assert!(
        (5..=50).contains(&users) && (2..=20).contains(&places),
        "{users} {places}"
    );
    // Those with grants are in it.
    for n in 300..305 {
        assert!(one.access.contains(&format!("user user-{n} ")), "{}", one.access);
    }
    accounts.users.reverse();
    accounts.bindings.reverse();
    assert_eq!(one.access, convert(&accounts).access);
    assert_eq!(convert(&Accounts::default()).access, "");
}
