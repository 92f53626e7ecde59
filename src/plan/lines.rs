//! The two lines of an upgrade: where an automatic rollback ends, and where there is no way back.

use super::expand::Expansion;
use super::schedule::{Schedule, Workload};
use crate::catalogue::Catalogue;
use crate::model::Lines;

/// The earliest action of the simulated run after which users can write through the new API, and the gate before the first
/// thing that cannot be undone. A line that no action of this plan crosses is empty.
pub fn lines(
    catalogue: &Catalogue,
    expansion: &Expansion,
    load: &Workload<'_>,
    schedule: &Schedule,
) -> Lines {
    let mut lines = Lines::default();
    let rows = load.indexed.rows;
    for &action in &schedule.order {
        let Some(step) = load.indexed.step(action).filter(|step| step.users_write) else {
            continue;
        };
        let index = catalogue.actions.iter().position(|action| action.id == step.id);
        let because = index.and_then(|index| {
            let subjects = catalogue.actions[index].subjects;
            let place = expansion.selection.place(subjects, load.host[action as usize])?;
            expansion.users_write[index].get(place as usize)?.clone()
        });
        if let Some(because) = because {
            lines.last_automatic_rollback = load.indexed.id(action).to_owned();
            lines.last_automatic_rollback_because = because.to_string();
            break;
        }
    }
    let gates = rows.stages.iter().filter(|stage| stage.point_of_no_return);
    let mut gates = gates.map(|stage| format!("gate/{}", stage.id));
    if let Some(gate) = gates.find(|gate| rows.joints.iter().any(|joint| joint.id == *gate)) {
        lines.point_of_no_return = gate;
    }
    lines
}
