//! Organizations and teams of MKE 3 beside what MKE 4k makes of them, drawn as the product's documents draw them.

use crate::model::{BoundRole, OrganizationNode, TeamNode};
use crate::report::doc::{Block, Branch, Line, Section, Tone, Trees, Weight};
use crate::report::view::View;
use crate::text::{count, number};

/// What is drawn of each before the rest becomes a count.
const ORGANIZATIONS: usize = 12;
const TEAMS: usize = 10;
const MEMBERS: usize = 4;
const ROLES: usize = 4;

pub(super) fn section(view: &View) -> Option<Section> {
    let rbac = view.spec.rbac.as_ref()?;
    if rbac.organizations.is_empty() {
        return None;
    }
    let mut trees = Trees { titles: ["MKE 3", "MKE 4k"], rows: Vec::new() };
    for organization in rbac.organizations.iter().take(ORGANIZATIONS) {
        draw(organization, &mut trees);
    }
    if rbac.organizations.len() > ORGANIZATIONS {
        let rest = &rbac.organizations[ORGANIZATIONS..];
        let teams: usize = rest.iter().map(|organization| organization.teams.len()).sum();
        let text = format!("… and {} more organizations with {}", number(rest.len()), count(teams, "team"));
        both(&mut trees, ["└── ", "    "], ["└── ", "    "], &text);
    }
    let counts = &rbac.counts;
    Some(Section {
        id: "trees",
        title: "Organizations and teams".to_owned(),
        gist: format!(
            "{}, {}, {}",
            count(counts.organizations as usize, "organization"),
            count(counts.teams as usize, "team"),
            count(counts.users as usize, "user")
        ),
        weight: Weight::Normal,
        blocks: vec![Block::Trees(trees)],
    })
}

fn both(trees: &mut Trees, left: [&'static str; 2], right: [&'static str; 2], text: &str) {
    let branch = |[prefix, hang]: [&'static str; 2]| Branch { prefix, hang, line: Line::new().dim(text) };
    trees.rows.push([branch(left), branch(right)]);
}

fn aggregated(name: &str) -> Line {
    if name.is_empty() {
        return Line::new().tone(Tone::Warn, "not carried over");
    }
    Line::new().strong(name).dim(" (AggregatedRole)")
}

fn draw(organization: &OrganizationNode, trees: &mut Trees) {
    let node = ["├── ", "│   "];
    trees.rows.push([
        Branch {
            prefix: node[0],
            hang: node[1],
            line: Line::new().strong(&organization.name).dim(" (org)"),
        },
        Branch { prefix: node[0], hang: node[1], line: aggregated(&organization.to) },
    ]);
    let inner = ["│   ├── ", "│   │   "];
    roles(&organization.roles, inner, inner, trees);
    members(&organization.members, false, inner, inner, trees);
    for team in organization.teams.iter().take(TEAMS) {
        draw_team(team, trees);
    }
    if organization.teams.len() > TEAMS {
        let rest = &organization.teams[TEAMS..];
        let users: usize = rest.iter().map(|team| team.members.len()).sum();
        let text = format!("… and {} more teams with {}", number(rest.len()), count(users, "membership"));
        both(trees, inner, ["├── ", "│   "], &text);
    }
}

fn draw_team(team: &TeamNode, trees: &mut Trees) {
    let left = Line::new().strong(&team.name).dim(if team.ldap { " (team, from LDAP)" } else { " (team)" });
    trees.rows.push([
        Branch { prefix: "│   ├── ", hang: "│   │   ", line: left },
        Branch { prefix: "├── ", hang: "│   ", line: aggregated(&team.to) },
    ]);
    let (left, right) = (["│   │   ├── ", "│   │   │   "], ["│   ├── ", "│   │   "]);
    roles(&team.roles, left, right, trees);
    members(&team.members, team.ldap, left, right, trees);
}

fn roles(roles: &[BoundRole], left: [&'static str; 2], right: [&'static str; 2], trees: &mut Trees) {
    for role in roles.iter().take(ROLES) {
        let before = Line::new().dim("role ").tone(Tone::Change, &role.role).dim(" on ").plain(&role.on);
        let after = match role.to.is_empty() {
            true => Line::new().tone(Tone::Bad, "dropped").dim(format!(": {}", role.reason)),
            false => Line::new().dim("role ").tone(Tone::Good, &role.to),
        };
        trees.rows.push([
            Branch { prefix: left[0], hang: left[1], line: before },
            Branch { prefix: right[0], hang: right[1], line: after },
        ]);
    }
    if roles.len() > ROLES {
        both(trees, left, right, &format!("… and {} more roles", number(roles.len() - ROLES)));
    }
}

fn members(names: &[String], ldap: bool, left: [&'static str; 2], right: [&'static str; 2], trees: &mut Trees) {
    // One more than the limit is drawn rather than counted: "1 more" is as long as the name.
    let shown = if names.len() == MEMBERS + 1 { names.len() } else { MEMBERS };
    for name in names.iter().take(shown) {
        let line = || Line::new().plain(name).dim(" (user)");
        trees.rows.push([
            Branch { prefix: left[0], hang: left[1], line: line() },
            Branch { prefix: right[0], hang: right[1], line: line() },
        ]);
    }
    if names.len() > shown {
        both(trees, left, right, &format!("… and {} more users", number(names.len() - shown)));
    }
    if names.is_empty() && ldap {
        both(trees, left, right, "members come from LDAP at login");
    }
}
