//! Budgets: amounts resolved to the integer that the plan stores, and how it came about.

use super::error::BuildError;
use super::selection::Selection;
use crate::catalogue::{BudgetDef, Capacity};
use crate::model::{Budget, Selector};
use crate::options::{Amount, Options};

/// Resolves a budget: a percentage is of the hosts that it counts, rounded down; nothing is ever less than 1.
pub fn resolve(budget: &BudgetDef, options: &Options, selection: &Selection) -> Result<Budget, BuildError> {
    let hosts = selection.hosts(budget.counts).len() as u32;
    let (capacity, because) = match &budget.capacity {
        Capacity::Fixed(capacity) => (*capacity, "always".to_owned()),
        Capacity::Option(option) => match options.amount(option) {
            Some(Amount::Count(count)) => (count, format!("option {option}")),
            Some(Amount::Percent(percent)) => (
                (u64::from(hosts) * u64::from(percent) / 100).min(u64::from(u32::MAX)) as u32,
                format!("{percent} % of {hosts} {}", plural(budget.counts, hosts)),
            ),
            None => {
                return Err(BuildError::Capacity {
                    budget: budget.id.clone(),
                    option: option.clone(),
                });
            }
        },
    };
    let least = if capacity == 0 { ", at least 1" } else { "" };
    Ok(Budget {
        id: budget.id.clone(),
        counts: budget.counts,
        capacity: capacity.max(1),
        because: format!("{because}{least}"),
    })
}

fn plural(selector: Selector, count: u32) -> &'static str {
    match (selector, count) {
        (Selector::Hosts, 1) => "host",
        (Selector::Hosts, _) => "hosts",
        (Selector::Managers | Selector::Lead | Selector::Spare, 1) => "manager",
        (Selector::Managers | Selector::Lead | Selector::Spare, _) => "managers",
        (Selector::Workers, 1) => "worker",
        (Selector::Workers, _) => "workers",
        (Selector::OtherManagers, 1) => "other manager",
        (Selector::OtherManagers, _) => "other managers",
        (Selector::Joiners, 1) => "joining host",
        (Selector::Joiners, _) => "joining hosts",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    fn resolved(workers: usize, amount: Amount) -> (u32, String) {
        let roles = vec![Some(Role::Worker); workers];
        let options = Options {
            worker_disruption: amount,
            ..Options::default()
        };
        let budget = BudgetDef {
            id: "workers-down".to_owned(),
            counts: Selector::Workers,
            capacity: Capacity::Option("worker-disruption".to_owned()),
        };
        let budget = resolve(&budget, &options, &Selection::new(&roles, None, None)).unwrap();
        (budget.capacity, budget.because)
    }

    #[test]
    fn percentages_are_rounded_down_and_never_nothing() {
        assert_eq!(
            resolved(2, Amount::Percent(10)),
            (1, "10 % of 2 workers, at least 1".to_owned())
        );
        assert_eq!(
            resolved(39, Amount::Percent(10)),
            (3, "10 % of 39 workers".to_owned())
        );
        assert_eq!(
            resolved(1, Amount::Percent(100)),
            (1, "100 % of 1 worker".to_owned())
        );
        assert_eq!(
            resolved(9, Amount::Count(4)),
            (4, "option worker-disruption".to_owned())
        );
        assert_eq!(
            resolved(9, Amount::Count(0)),
            (1, "option worker-disruption, at least 1".to_owned())
        );
    }

    #[test]
    fn an_option_that_is_no_amount_is_refused() {
        let budget = BudgetDef {
            id: "b".to_owned(),
            counts: Selector::Hosts,
            capacity: Capacity::Option("data-dir".to_owned()),
        };
        let error = resolve(&budget, &Options::default(), &Selection::default()).unwrap_err();
        assert!(error.to_string().contains("budget b: data-dir"), "{error}");
    }
}
