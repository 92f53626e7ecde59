//! Named conditions: what `when`, `unless` and `users_write` of the catalogue may say.
//!
//! Three-valued: a condition that would need a fact nobody recorded answers [`Missing`], never "no".

use super::facts::{Look, Missing};
use crate::model::Selector;
use crate::source::mke3::Value;

/// The answer of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It holds.
    pub holds: bool,
    /// What was seen, as a reader of the plan would say it: `3 managers`.
    pub because: String,
}

/// A condition of the catalogue's vocabulary.
#[derive(Clone, Copy)]
pub struct Condition {
    /// Name in catalogue.yaml.
    pub name: &'static str,
    /// It looks at the subject; otherwise one answer serves all hosts.
    pub per_host: bool,
    /// The condition itself: pure.
    pub eval: fn(&mut Look<'_>) -> Result<Verdict, Missing>,
}

/// All conditions.
pub static CONDITIONS: &[Condition] = &[
    Condition {
        name: "managers-run-user-pods",
        per_host: false,
        eval: managers_run_user_pods,
    },
    Condition {
        name: "single-manager",
        per_host: false,
        eval: single_manager,
    },
    Condition {
        name: "swarm-workloads",
        per_host: false,
        eval: swarm_workloads,
    },
];

/// MKE 3 setting that lets administrators schedule on managers; off unless set.
const ADMIN_SCHEDULING: &str = "scheduling_configuration.enable_admin_ucp_scheduling";

fn verdict(holds: bool, because: impl Into<String>) -> Result<Verdict, Missing> {
    Ok(Verdict {
        holds,
        because: because.into(),
    })
}

/// A user pod runs on at least one manager, or may be scheduled there: by MKE 3's setting for administrators, or because a
/// manager has no taint that keeps pods off.
fn managers_run_user_pods(look: &mut Look<'_>) -> Result<Verdict, Missing> {
    let setting = look.situation().config.get(ADMIN_SCHEDULING);
    if setting.is_some_and(|leaf| leaf.value == Value::Bool(true)) {
        return verdict(true, format!("{ADMIN_SCHEDULING} is true"));
    }
    let mut missing = None;
    for &manager in look.selection().hosts(Selector::Managers) {
        for (fact, holds) in [
            ("node.user-pods", "runs user pods"),
            ("node.takes-user-pods", "has no taint against user pods"),
        ] {
            match look.about(manager, |look| look.fact(fact)) {
                Ok(text) if text == "true" => {
                    let host = &look.situation().hosts[manager as usize].id;
                    return verdict(true, format!("{host} {holds}"));
                }
                Ok(_) => {}
                Err(fact) => missing = missing.or(Some(fact)),
            }
        }
    }
    match missing {
        Some(missing) => Err(missing),
        None => verdict(false, "no manager runs user pods, and taints keep them off"),
    }
}

/// The cluster has exactly one manager.
fn single_manager(look: &mut Look<'_>) -> Result<Verdict, Missing> {
    let hosts = &look.situation().hosts;
    let managers = look.selection().hosts(Selector::Managers).len();
    let unknown = hosts.iter().any(|host| host.role.is_none());
    match managers {
        0 | 1 if unknown => Err(Missing("role".to_owned())),
        1 => verdict(true, "1 manager"),
        _ => verdict(false, format!("{managers} managers")),
    }
}

/// The swarm runs services that are not MKE's.
fn swarm_workloads(look: &mut Look<'_>) -> Result<Verdict, Missing> {
    let services = look.fact("cluster.user-services")?;
    match services.split(',').filter(|name| !name.is_empty()).count() {
        0 => verdict(false, "every swarm service is MKE's"),
        1 => verdict(true, format!("swarm service {services} is not MKE's")),
        n => verdict(true, format!("{n} swarm services are not MKE's")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::Fixture;
    use crate::plan::selection::Selection;
    use crate::source::mke3::{Leaf, Segment};

    fn ask(
        fixture: &Fixture,
        eval: fn(&mut Look<'_>) -> Result<Verdict, Missing>,
    ) -> Result<Verdict, Missing> {
        let situation = fixture.situation();
        let selection = Selection::choose(&situation);
        eval(&mut Look::new(&situation, &selection, None))
    }

    fn node(fixture: &mut Fixture, host: usize, pods: Option<u32>, taints: Option<&str>) {
        let node = fixture.facts[host].node.get_or_insert_default();
        node.user_pods = pods;
        node.taints = taints.map(|taint| vec![taint.to_owned()]);
    }

    #[test]
    fn user_pods_on_managers() {
        let mut fixture = Fixture::cluster(2, 1);
        let missing = Err(Missing("node.user-pods".to_owned()));
        assert_eq!(ask(&fixture, managers_run_user_pods), missing);
        node(
            &mut fixture,
            0,
            Some(0),
            Some("com.docker.ucp.manager:NoSchedule"),
        );
        assert_eq!(
            ask(&fixture, managers_run_user_pods),
            missing,
            "m2 is still unknown"
        );
        node(
            &mut fixture,
            1,
            Some(0),
            Some("com.docker.ucp.manager:NoSchedule"),
        );
        assert!(!ask(&fixture, managers_run_user_pods).unwrap().holds);
        node(&mut fixture, 1, Some(0), Some("a=b:PreferNoSchedule"));
        let open = ask(&fixture, managers_run_user_pods).unwrap();
        assert!(open.holds);
        assert_eq!(open.because, "m2 has no taint against user pods");
        node(&mut fixture, 1, Some(3), None);
        assert_eq!(
            ask(&fixture, managers_run_user_pods).unwrap().because,
            "m2 runs user pods"
        );
    }

    #[test]
    fn admin_scheduling_decides_without_facts() {
        let mut fixture = Fixture::cluster(1, 0);
        fixture.config.leaves.push(Leaf {
            path: ADMIN_SCHEDULING
                .split('.')
                .map(|key| Segment::Key(key.to_owned()))
                .collect(),
            value: Value::Bool(true),
            line: 1,
            column: 1,
        });
        assert!(ask(&fixture, managers_run_user_pods).unwrap().holds);
    }

    #[test]
    fn one_manager_or_more() {
        assert!(ask(&Fixture::cluster(1, 3), single_manager).unwrap().holds);
        assert!(!ask(&Fixture::cluster(3, 0), single_manager).unwrap().holds);
        let mut fixture = Fixture::cluster(1, 1);
        fixture.roles[1] = None;
        assert_eq!(ask(&fixture, single_manager), Err(Missing("role".to_owned())));
    }

    #[test]
    fn services_of_users() {
        let mut fixture = Fixture::cluster(1, 0);
        let missing = Err(Missing("cluster.user-services".to_owned()));
        assert_eq!(ask(&fixture, swarm_workloads), missing);
        fixture.cluster.user_services = Some(Vec::new());
        assert!(!ask(&fixture, swarm_workloads).unwrap().holds);
        fixture.cluster.user_services = Some(vec!["web".to_owned()]);
        assert!(ask(&fixture, swarm_workloads).unwrap().holds);
    }
}
