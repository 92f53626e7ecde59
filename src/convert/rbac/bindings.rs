//! RoleBindings and ClusterRoleBindings. They come over with etcd; those of organizations and teams are repeated for
//! users by name, because local users of Dex carry no groups. The repetition names no group: the old object still does.

use super::codes;
use super::directory::{Directory, Login, Who, listed};
use super::grants::{Bound, called};
use super::levels::Levels;
use super::manifest::{Maker, Manifest};
use super::names::{Names, fit};
use super::tables::RbacTables;
use crate::model::{BindingRow, BoundRole, Finding, Outcome, Subject, SubjectKind};
use crate::source::accounts::{Accounts, Binding, SubjectRef};
use std::collections::{BTreeMap, BTreeSet};

/// One way to one role: a subject of a binding.
pub(crate) struct Path<'a> {
    pub who: Who,
    pub role_kind: &'a str,
    pub role: &'a str,
    pub namespace: Option<&'a str>,
}

/// Binding names that are taken, by namespace.
pub(crate) struct BindingNames(BTreeMap<Option<String>, Names>);

impl BindingNames {
    pub(crate) fn new(accounts: &Accounts) -> BindingNames {
        let mut by: BTreeMap<Option<String>, Vec<&str>> = BTreeMap::new();
        for binding in &accounts.bindings {
            by.entry(binding.namespace.clone())
                .or_default()
                .push(&binding.name);
        }
        BindingNames(
            by.into_iter()
                .map(|(namespace, names)| (namespace, Names::new(names)))
                .collect(),
        )
    }

    /// A free name like `wanted`.
    pub(crate) fn take(
        &mut self,
        namespace: Option<&str>,
        wanted: &str,
        identity: &str,
        tables: &RbacTables,
    ) -> String {
        let names = self.0.entry(namespace.map(str::to_owned)).or_default();
        names.take(wanted, "", identity, tables.data.limits)
    }
}

/// Binds a role to users: one binding, or several where they are too many for one. Returns them as `KIND [NS/]NAME`.
#[allow(clippy::too_many_arguments)]
pub(crate) fn bind(
    taken: &mut BindingNames,
    tables: &RbacTables,
    wanted: &str,
    namespace: Option<&str>,
    original: &str,
    role: (&str, &str),
    users: &[&str],
    manifests: &mut Vec<Manifest>,
) -> Vec<String> {
    let maker = Maker::new(tables);
    let most = tables.data.limits.subjects_per_binding;
    let parts = users.len().div_ceil(most).max(1);
    let mut out = Vec::with_capacity(parts);
    for part in 0..parts {
        let chunk = users
            .get(part * most..users.len().min((part + 1) * most))
            .unwrap_or_default();
        let wanted = match part {
            0 => wanted.to_owned(),
            _ => format!("{wanted}-{}", part + 1),
        };
        let identity = format!("{original}/{}/{}/{part}", role.0, role.1);
        let name = taken.take(namespace, &wanted, &identity, tables);
        out.push(match namespace {
            Some(namespace) => format!("RoleBinding {namespace}/{name}"),
            None => format!("ClusterRoleBinding {name}"),
        });
        manifests.push(maker.binding(&name, namespace, original, role, chunk));
    }
    out
}

/// Why Kubernetes cannot have such a binding.
fn invalid(binding: &Binding) -> Option<&'static str> {
    let segment = |name: &str| {
        !matches!(name, "" | "." | "..") && !name.contains(['/', '%']) && !name.chars().any(char::is_control)
    };
    if binding.role_kind != "ClusterRole" && binding.role_kind != "Role" {
        Some("its role is neither Role nor ClusterRole")
    } else if binding.role_kind == "Role" && binding.namespace.is_none() {
        Some("a ClusterRoleBinding cannot bind a Role")
    } else if !segment(&binding.role) || !segment(&binding.name) {
        Some("its name or its role's name is not legal")
    } else if binding.namespace.as_deref().is_some_and(|name| !is_label(name)) {
        Some("its namespace is not a legal name")
    } else {
        None
    }
}

fn is_label(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

type Wanted<'a> = BTreeMap<(Who, Option<&'a str>), BTreeMap<(&'a str, &'a str), Vec<usize>>>;

/// Goes through the bindings. Returns their rows and the ways to roles that they are.
#[allow(clippy::too_many_arguments)]
pub(crate) fn convert<'a>(
    accounts: &'a Accounts,
    in_cluster: Option<&[String]>,
    directory: &Directory,
    levels: &Levels,
    tables: &RbacTables,
    taken: &mut BindingNames,
    bound: &mut Bound,
    manifests: &mut Vec<Manifest>,
    findings: &mut Vec<Finding>,
) -> (Vec<BindingRow>, Vec<Path<'a>>) {
    let data = &tables.data;
    let book = &tables.findings;
    let mut order: Vec<&Binding> = accounts.bindings.iter().collect();
    order.sort_by(|a, b| {
        (&a.namespace, &a.name, &a.role_kind, &a.role, &a.subjects).cmp(&(
            &b.namespace,
            &b.name,
            &b.role_kind,
            &b.role,
            &b.subjects,
        ))
    });
    let mut rows: Vec<BindingRow> = Vec::with_capacity(order.len());
    let mut paths = Vec::new();
    let mut wanted: Wanted = BTreeMap::new();
    let known_roles: Option<BTreeSet<&str>> = in_cluster.map(|roles| {
        let all = roles
            .iter()
            .chain(&accounts.cluster_roles)
            .chain(&data.kubernetes_roles);
        all.map(String::as_str).collect()
    });
    for (index, binding) in order.iter().enumerate() {
        let place = binding.namespace.as_ref().map_or_else(
            || binding.name.clone(),
            |namespace| format!("{namespace}/{}", binding.name),
        );
        let subject = || Subject::new(SubjectKind::Grant, &place);
        let bad = invalid(binding);
        if let Some(why) = bad {
            findings.push(book.finding(
                codes::BINDING_INVALID,
                subject(),
                format!("Kubernetes has no such binding: {why}"),
            ));
        }
        let role_is_known = known_roles.as_ref().is_none_or(|known| {
            binding.role_kind != "ClusterRole"
                || known.contains(binding.role.as_str())
                || data
                    .reserved_prefixes
                    .iter()
                    .any(|prefix| binding.role.starts_with(prefix))
        });
        if bad.is_none() && !role_is_known {
            let message = format!(
                "it binds ClusterRole {}, which the cluster does not have",
                binding.role
            );
            findings.push(book.finding(codes::ROLE_MISSING, subject(), message));
        }
        let mut strangers = Vec::new();
        let mut inactive = BTreeSet::new();
        let mut levels_bound = false;
        let mut alive = false;
        let subjects: BTreeSet<&SubjectRef> = binding.subjects.iter().collect();
        for reference in subjects {
            let who = directory.resolve(reference, &data.reserved_prefixes);
            let (outcome, reason) = match (bad, who, reference) {
                (Some(why), ..) => (Outcome::Unknown, why.to_owned()),
                (None, Some(Who::User(id)), _) => {
                    let person = directory.person(id);
                    if person.login == Login::Inactive {
                        inactive.insert(directory.name(id));
                    }
                    alive |= person.carried();
                    match person.outcome() {
                        Outcome::Unsupported if person.carried() => (
                            Outcome::Converted,
                            "the binding names the user and stays; the password must be set anew".to_owned(),
                        ),
                        Outcome::Converted => (
                            Outcome::Converted,
                            "the binding names the user and stays".to_owned(),
                        ),
                        other => (
                            other,
                            "the binding stays, but nobody can log in by that name".to_owned(),
                        ),
                    }
                }
                (None, Some(who), _) => {
                    levels_bound = true;
                    alive = true;
                    let key = (who, binding.namespace.as_deref());
                    let role = (binding.role_kind.as_str(), binding.role.as_str());
                    wanted
                        .entry(key)
                        .or_default()
                        .entry(role)
                        .or_default()
                        .push(index);
                    (
                        Outcome::Converted,
                        "the group stays in the binding, and a second binding names each member".to_owned(),
                    )
                }
                (None, None, SubjectRef::ServiceAccount(_) | SubjectRef::Group(_)) => {
                    alive = true;
                    (Outcome::Converted, "the binding stays as it is".to_owned())
                }
                (None, None, _) => {
                    strangers.push(called(reference));
                    (
                        Outcome::Unknown,
                        "the accounts hold no such subject; the binding stays as it is".to_owned(),
                    )
                }
            };
            if let (Some(who), None) = (who, bad) {
                paths.push(Path {
                    who,
                    role_kind: &binding.role_kind,
                    role: &binding.role,
                    namespace: binding.namespace.as_deref(),
                });
            }
            bound.put(
                who,
                reference,
                BoundRole {
                    role: binding.role.clone(),
                    on: binding.namespace.as_ref().map_or_else(
                        || "all namespaces".to_owned(),
                        |namespace| format!("namespace {namespace}"),
                    ),
                    to: if outcome == Outcome::Converted {
                        binding.role.clone()
                    } else {
                        String::new()
                    },
                    outcome,
                    reason,
                },
            );
        }
        let most = data.limits.named_in_message;
        if !strangers.is_empty() {
            let names = listed(strangers.iter().map(String::as_str), most);
            let message = format!("it binds {names}, which the accounts do not hold");
            findings.push(book.finding(codes::SUBJECT_UNKNOWN, subject(), message));
        }
        if !inactive.is_empty() {
            let names = listed(inactive.into_iter(), most);
            let message = format!("it still binds inactive users: {names}");
            findings.push(book.finding(codes::BINDING_INACTIVE, subject(), message));
        }
        let (outcome, reason) = match (bad, alive, levels_bound) {
            (Some(why), ..) => (Outcome::Unknown, why),
            (_, _, true) => (
                Outcome::Converted,
                "comes over with etcd; members are bound one by one beside it",
            ),
            (_, true, false) => (Outcome::Converted, "comes over with etcd as it is"),
            (_, false, false) if binding.subjects.is_empty() => {
                (Outcome::Ignored, "comes over with etcd as it is; it binds nobody")
            }
            _ => (
                Outcome::Unsupported,
                "comes over with etcd, but none of its subjects can log in",
            ),
        };
        rows.push(BindingRow {
            namespace: binding.namespace.clone(),
            name: binding.name.clone(),
            role: format!("{} {}", binding.role_kind, binding.role),
            outcome,
            to: Vec::new(),
            reason: reason.to_owned(),
        });
    }

    let mut people = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for ((who, namespace), roles) in &wanted {
        let ids: Vec<u32> = directory
            .members(who)
            .iter()
            .copied()
            .filter(|id| directory.person(*id).carried())
            .collect();
        let users: Vec<&str> = ids.iter().map(|id| directory.name(*id)).collect();
        people.extend(ids);
        let level = levels.of(*who);
        for (position, (role, sources)) in roles.iter().enumerate() {
            // The documented name goes to one role per place; a binding has one role only.
            let wanted = if position == 0 {
                level.to_owned()
            } else {
                format!("{level}-{}", fit(role.1, "", data.limits))
            };
            let made = bind(
                taken,
                tables,
                &wanted,
                *namespace,
                &directory.called(*who),
                *role,
                &users,
                manifests,
            );
            for source in sources {
                rows[*source].to.extend(made.iter().cloned());
                repeated.insert(*source);
            }
        }
    }
    if !repeated.is_empty() {
        findings.push(book.finding(
            codes::GROUPS_EXPANDED,
            Subject::new(SubjectKind::Cluster, "bindings"),
            format!(
                "{} bindings of organizations and teams are repeated for {} users by name",
                repeated.len(),
                people.len()
            ),
        ));
    }
    for row in &mut rows {
        row.to.sort();
        row.to.dedup();
    }
    (rows, paths)
}
