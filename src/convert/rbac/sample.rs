//! A sample of who may do what, as lines for a script: users with their groups, places, what is asked, and which answers the
//! plan changes. The same questions are asked of MKE 3 and of what it became.

use super::bindings::Path;
use super::changes::Resolved;
use super::directory::{Directory, Login};
use super::tables::RbacTables;
use std::collections::BTreeSet;

/// The place that stands for all namespaces.
const EVERYWHERE: &str = "-";

/// The group of everybody who has logged in.
const AUTHENTICATED: &str = "system:authenticated";

/// The lines, each of words with blanks between:
///
/// - `user NAME GROUPS`: a JSON list of the groups under MKE 3
/// - `place NAMESPACE`, `-` for all
/// - `ask VERB GROUP RESOURCE cluster|namespace`, `-` for the core group
/// - `gains USER NAMESPACE`, `loses USER NAMESPACE`: answers of this user there may become yes, or no
///
/// The choice depends on names alone: users with grants come first, then the order of their hashes.
pub(crate) fn lines(directory: &Directory, paths: &[Path], tables: &RbacTables) -> String {
    let data = &tables.data.access_sample;
    let users = users(directory, paths, data.users);
    if users.is_empty() {
        return String::new();
    }
    let mut out = String::new();
    for id in &users {
        let groups = serde_json::to_string(&groups(directory, *id)).unwrap_or_default();
        out.push_str(&format!("user {} {groups}\n", directory.name(*id)));
    }
    let mut places: Vec<&str> = paths.iter().filter_map(|path| path.namespace).collect();
    places.push("default");
    places.sort_by_key(|place| (hash(place), *place));
    places.dedup();
    for place in
        std::iter::once(EVERYWHERE).chain(places.into_iter().filter(|place| plain(place)).take(data.places))
    {
        out.push_str(&format!("place {place}\n"));
    }
    for ask in &data.asks {
        let group = if ask.group.is_empty() { "-" } else { &ask.group };
        let scope = if ask.cluster { "cluster" } else { "namespace" };
        out.push_str(&format!("ask {} {group} {} {scope}\n", ask.verb, ask.resource));
    }
    for (word, id, place) in differences(directory, paths, &users) {
        out.push_str(&format!("{word} {} {place}\n", directory.name(id)));
    }
    out
}

fn hash(text: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).into()
}

/// A word that a shell script can carry about. MKE 3 allows no others.
fn plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || "\"\\|".contains(c))
}

fn users(directory: &Directory, paths: &[Path], most: usize) -> BTreeSet<u32> {
    let granted: BTreeSet<u32> = paths
        .iter()
        .flat_map(|path| directory.members(&path.who))
        .copied()
        .collect();
    let mut all: Vec<(bool, [u8; 32], u32)> = (0_u32..)
        .zip(&directory.people)
        .filter(|(_, person)| {
            person.used_mke3()
                && !matches!(person.login, Login::BadName | Login::Duplicate)
                && plain(&person.user.name)
        })
        .map(|(id, person)| {
            let idle = !person.user.admin && !granted.contains(&id);
            (idle, hash(&person.user.name), id)
        })
        .collect();
    all.sort_unstable();
    all.into_iter().take(most).map(|(_, _, id)| id).collect()
}

/// The groups by which MKE 3 knows a user: organizations, and teams as `organization:team`.
fn groups(directory: &Directory, id: u32) -> Vec<String> {
    let mut groups = vec![AUTHENTICATED.to_owned()];
    for org in &directory.orgs {
        if org.people.binary_search(&id).is_ok() {
            groups.push(org.name.to_owned());
        }
        for team in &org.teams {
            if team.people.binary_search(&id).is_ok() {
                groups.push(format!("{}:{}", org.name, team.name));
            }
        }
    }
    groups
}

fn differences<'p>(
    directory: &Directory,
    paths: &[Path<'p>],
    users: &BTreeSet<u32>,
) -> BTreeSet<(&'static str, u32, &'p str)> {
    let resolved = Resolved::new(directory, paths);
    let mut out = BTreeSet::new();
    for path in paths {
        let place = path.namespace.unwrap_or(EVERYWHERE);
        for id in directory
            .members(&path.who)
            .iter()
            .filter(|id| users.contains(id))
        {
            match resolved.holds(*id, path) {
                (false, true) => out.insert(("gains", *id, place)),
                (true, false) => out.insert(("loses", *id, place)),
                _ => false,
            };
        }
    }
    // An administrator had everything, and has nothing who is not carried over.
    for id in users {
        let person = directory.person(*id);
        if person.user.admin && !person.carried() {
            out.insert(("loses", *id, EVERYWHERE));
        }
    }
    out
}
