//! Which hosts each selector of the catalogue means in this cluster.

use super::situation::{HostView, Situation};
use crate::model::{Role, Selector};

const SELECTORS: [Selector; 7] = [
    Selector::Hosts,
    Selector::Managers,
    Selector::Workers,
    Selector::Lead,
    Selector::Spare,
    Selector::OtherManagers,
    Selector::Joiners,
];

/// The hosts of every selector, as positions in the order of hosts.yaml. Hosts without a role are in none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    hosts: [Vec<u32>; 7],
    place: [Vec<Option<u32>>; 7],
    lead: Option<u32>,
}

impl Selection {
    /// Chooses lead and spare and sorts the hosts under their selectors.
    ///
    /// The lead is the first manager that was not found unreachable or down in the swarm, or just the first one when none
    /// is left. The spare is a manager that is neither the lead nor the swarm's leader; where there is no such one, it is
    /// the lead when another manager leads the swarm, else the other manager, else the only one. Who leads the swarm can
    /// change at any time, so it decides nothing that the plan would have to hold on to.
    pub fn choose(situation: &Situation<'_>) -> Selection {
        let managers: Vec<(u32, &HostView<'_>)> = (0u32..)
            .zip(&situation.hosts)
            .filter(|(_, host)| host.role == Some(Role::Manager))
            .collect();
        let lead = managers
            .iter()
            .find(|(_, host)| eligible(host))
            .or(managers.first())
            .map(|(index, _)| *index);
        let spare = managers
            .iter()
            .find(|(index, host)| Some(*index) != lead && !leads_swarm(host))
            .or(managers.iter().find(|(_, host)| !leads_swarm(host)))
            .or(managers.first())
            .map(|(index, _)| *index);
        let roles: Vec<Option<Role>> = situation.hosts.iter().map(|host| host.role).collect();
        Selection::new(&roles, lead, spare)
    }

    /// Sorts hosts under their selectors when lead and spare are known.
    pub fn new(roles: &[Option<Role>], lead: Option<u32>, spare: Option<u32>) -> Selection {
        let mut selection = Selection {
            lead,
            ..Selection::default()
        };
        for (slot, selector) in SELECTORS.iter().enumerate() {
            let place = &mut selection.place[slot];
            for (index, role) in (0u32..).zip(roles) {
                let manager = *role == Some(Role::Manager);
                let is_lead = lead == Some(index);
                let within = role.is_some()
                    && match selector {
                        Selector::Hosts => true,
                        Selector::Managers => manager,
                        Selector::Workers => !manager,
                        Selector::Lead => is_lead,
                        Selector::Spare => spare == Some(index),
                        Selector::OtherManagers => manager && !is_lead,
                        Selector::Joiners => !is_lead,
                    };
                place.push(within.then_some(selection.hosts[slot].len() as u32));
                if within {
                    selection.hosts[slot].push(index);
                }
            }
        }
        selection
    }

    /// The hosts of a selector, in the order of hosts.yaml.
    pub fn hosts(&self, selector: Selector) -> &[u32] {
        &self.hosts[slot(selector)]
    }

    /// Where a host stands among those of a selector; `None` when it is not among them.
    pub fn place(&self, selector: Selector, host: u32) -> Option<u32> {
        self.place[slot(selector)].get(host as usize).copied().flatten()
    }

    /// The first k0s controller.
    pub fn lead(&self) -> Option<u32> {
        self.lead
    }
}

fn slot(selector: Selector) -> usize {
    match selector {
        Selector::Hosts => 0,
        Selector::Managers => 1,
        Selector::Workers => 2,
        Selector::Lead => 3,
        Selector::Spare => 4,
        Selector::OtherManagers => 5,
        Selector::Joiners => 6,
    }
}

fn eligible(host: &HostView<'_>) -> bool {
    let Some(facts) = host.facts else { return true };
    let state = facts.swarm.as_ref().and_then(|swarm| swarm.state.as_deref());
    facts.unreachable.is_none() && state != Some("down")
}

fn leads_swarm(host: &HostView<'_>) -> bool {
    host.facts
        .and_then(|facts| facts.swarm.as_ref())
        .and_then(|swarm| swarm.leader)
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixture::Fixture;

    #[test]
    fn a_manager_that_is_down_does_not_lead() {
        let mut fixture = Fixture::cluster(3, 1);
        fixture.facts[0].unreachable = Some("no route to host".to_owned());
        fixture.facts[1].swarm.get_or_insert_default().state = Some("down".to_owned());
        let selection = Selection::choose(&fixture.situation());
        assert_eq!(selection.lead(), Some(2));
        assert_eq!(selection.hosts(Selector::OtherManagers), [0, 1]);
        assert_eq!(selection.hosts(Selector::Joiners), [0, 1, 3]);
        assert_eq!(selection.place(Selector::Joiners, 3), Some(2));
        assert_eq!(selection.place(Selector::Joiners, 2), None);
    }

    #[test]
    fn the_spare_avoids_lead_and_swarm_leader_as_far_as_it_can() {
        let spare = |managers: usize, leader: usize| {
            let mut fixture = Fixture::cluster(managers, 0);
            fixture.facts[leader].swarm.get_or_insert_default().leader = Some(true);
            Selection::choose(&fixture.situation())
                .hosts(Selector::Spare)
                .to_vec()
        };
        assert_eq!(spare(3, 1), [2]);
        assert_eq!(spare(3, 0), [1]);
        assert_eq!(spare(2, 1), [0]);
        assert_eq!(spare(2, 0), [1]);
        assert_eq!(spare(1, 0), [0]);
    }

    #[test]
    fn a_host_without_a_role_is_in_no_selector() {
        let selection = Selection::new(&[Some(Role::Manager), None, Some(Role::Worker)], Some(0), Some(0));
        for selector in SELECTORS {
            assert_eq!(selection.place(selector, 1), None, "{selector:?}");
        }
        assert_eq!(selection.hosts(Selector::Hosts), [0, 2]);
    }
}
