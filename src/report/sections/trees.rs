//! Organizations and teams of MKE 3 beside what MKE 4k makes of them, drawn as the product's documents draw them.

use crate::model::{BoundRole, OrganizationNode, TeamNode};
use crate::report::doc::{Block, Branch, Line, Section, Tone, Trees, Weight};
use crate::report::view::View;
use crate::text::{count, number};

/// What is drawn of each before the rest becomes a count.
struct Limits {
    organizations: usize,
    teams: usize,
    members: usize,
    roles: usize,
}

impl Limits {
    /// A small tree is drawn nearly whole; of a large one a page, because nobody reads more.
    fn of(teams: u32) -> Limits {
        match teams {
            0..=20 => Limits {
                organizations: 12,
                teams: 12,
                members: 4,
                roles: 4,
            },
            _ => Limits {
                organizations: 5,
                teams: 3,
                members: 2,
                roles: 2,
            },
        }
    }
}

pub(super) fn section(view: &View) -> Option<Section> {
    let rbac = view.spec.rbac.as_ref()?;
    if rbac.organizations.is_empty() {
        return None;
    }
    let mut trees = Trees {
        titles: ["MKE 3", "MKE 4k"],
        rows: Vec::new(),
    };
    let limits = Limits::of(rbac.counts.teams);
    for organization in rbac.organizations.iter().take(limits.organizations) {
        draw(organization, &limits, &mut trees);
    }
    if rbac.organizations.len() > limits.organizations {
        let rest = &rbac.organizations[limits.organizations..];
        let teams: usize = rest.iter().map(|organization| organization.teams.len()).sum();
        let text = format!(
            "… and {} more organizations with {}",
            number(rest.len()),
            count(teams, "team")
        );
        both(&mut trees, [0, 0], &text);
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

/// The same text on both sides.
fn both(trees: &mut Trees, depth: [usize; 2], text: &str) {
    trees.rows.push(depth.map(|depth| Branch {
        depth,
        line: Line::new().dim(text),
    }));
}

fn aggregated(name: &str) -> Line {
    if name.is_empty() {
        return Line::new().tone(Tone::Warn, "not carried over");
    }
    Line::new().strong(name).dim(" (AggregatedRole)")
}

fn draw(organization: &OrganizationNode, limits: &Limits, trees: &mut Trees) {
    trees.rows.push([
        Branch {
            depth: 0,
            line: Line::new().strong(&organization.name).dim(" (org)"),
        },
        Branch {
            depth: 0,
            line: aggregated(&organization.to),
        },
    ]);
    roles(&organization.roles, limits, [1, 1], trees);
    members(&organization.members, false, limits, [1, 1], trees);
    for team in organization.teams.iter().take(limits.teams) {
        draw_team(team, limits, trees);
    }
    if organization.teams.len() > limits.teams {
        let rest = &organization.teams[limits.teams..];
        let users: usize = rest.iter().map(|team| team.members.len()).sum();
        let text = format!(
            "… and {} more teams with {}",
            number(rest.len()),
            count(users, "membership")
        );
        both(trees, [1, 0], &text);
    }
}

/// MKE 4k knows no levels: a team stands beside its organization there.
fn draw_team(team: &TeamNode, limits: &Limits, trees: &mut Trees) {
    let left = Line::new().strong(&team.name).dim(if team.ldap {
        " (team, from LDAP)"
    } else {
        " (team)"
    });
    trees.rows.push([
        Branch { depth: 1, line: left },
        Branch {
            depth: 0,
            line: aggregated(&team.to),
        },
    ]);
    roles(&team.roles, limits, [2, 1], trees);
    members(&team.members, team.ldap, limits, [2, 1], trees);
}

fn roles(roles: &[BoundRole], limits: &Limits, depth: [usize; 2], trees: &mut Trees) {
    for role in roles.iter().take(limits.roles) {
        let before = Line::new()
            .dim("role ")
            .tone(Tone::Change, &role.role)
            .dim(" on ")
            .plain(&role.on);
        let after = match role.to.is_empty() {
            true => Line::new()
                .tone(Tone::Bad, "dropped")
                .dim(format!(": {}", role.reason)),
            false => Line::new()
                .dim("role ")
                .tone(Tone::Good, &role.to)
                .dim(" on ")
                .plain(&role.on),
        };
        trees.rows.push([
            Branch {
                depth: depth[0],
                line: before,
            },
            Branch {
                depth: depth[1],
                line: after,
            },
        ]);
    }
    if roles.len() > limits.roles {
        both(
            trees,
            depth,
            &format!("… and {} more roles", number(roles.len() - limits.roles)),
        );
    }
}

fn members(names: &[String], ldap: bool, limits: &Limits, depth: [usize; 2], trees: &mut Trees) {
    // One more than the limit is drawn rather than counted: "1 more" is as long as the name.
    let shown = if names.len() == limits.members + 1 {
        names.len()
    } else {
        limits.members
    };
    for name in names.iter().take(shown) {
        trees.rows.push(depth.map(|depth| Branch {
            depth,
            line: Line::new().plain(name).dim(" (user)"),
        }));
    }
    if names.len() > shown {
        both(
            trees,
            depth,
            &format!("… and {} more users", number(names.len() - shown)),
        );
    }
    if names.is_empty() && ldap {
        both(trees, depth, "members come from LDAP at login");
    }
}
