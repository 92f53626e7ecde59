//! `--fail` and `--drop-connection`: which action of the plan, on which simulated host, in which way.

use crate::apply::runner::{ActionName, Verb};
use crate::apply::scheduler::Frame;
use crate::cli::args::FaultOptions;
use crate::cli::error::CliError;
use crate::lab::fault::{Fault, FaultKind};
use crate::model::{Action, At, Cancel, Plan, Step};

/// A fault, and the action that it is about.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where the lab lets it strike.
    pub fault: Fault,
    /// The action.
    pub action: String,
    /// The action runs on past its deadline rather than being interrupted.
    pub uninterruptible: bool,
}

/// The faults that were asked for.
///
/// # Errors
///
/// Exit 4 when the plan has no such action, with the nearest one, or when there is no such fault.
pub fn wanted(plan: &Plan, options: &FaultOptions) -> Result<Vec<Wanted>, CliError> {
    let mut all = Vec::new();
    for text in &options.fail {
        let (action, kind) = match text.split_once(':') {
            Some((action, name)) => (action, kind(name)?),
            None => (text.as_str(), FaultKind::Fail),
        };
        all.push(at(plan, action, kind)?);
    }
    for action in &options.drop_connection {
        all.push(at(plan, action, FaultKind::Drop)?);
    }
    Ok(all)
}

/// Whether the plan has all these steps.
///
/// # Errors
///
/// Exit 4 with the nearest one.
pub fn known_steps(plan: &Plan, steps: &[String]) -> Result<(), CliError> {
    let known = |id: &String| plan.spec.steps.iter().any(|step| step.id == *id);
    match steps.iter().find(|id| !known(id)) {
        None => Ok(()),
        Some(id) => Err(CliError::usage(
            format!("the plan has no step {id:?}"),
            nearest(plan, id),
        )),
    }
}

fn kind(name: &str) -> Result<FaultKind, CliError> {
    FaultKind::named(name).ok_or_else(|| {
        let names: Vec<&str> = FaultKind::ALL.iter().map(|kind| kind.name()).collect();
        CliError::usage(
            format!("there is no fault {name:?}"),
            format!("use one of {}", names.join(", ")),
        )
    })
}

fn at(plan: &Plan, text: &str, kind: FaultKind) -> Result<Wanted, CliError> {
    let spec = &plan.spec;
    let found = spec.actions.iter().find(|action| match text.contains('/') {
        true => action.id == text,
        // A step alone is its first action.
        false => action.step == text,
    });
    let Some(action) = found else {
        return Err(CliError::usage(
            format!("the plan has no action {text:?}"),
            nearest(plan, text),
        ));
    };
    of(plan, action, kind, Verb::Run).ok_or_else(|| {
        CliError::usage(
            format!(
                "{} runs on the operator's machine, where nothing is simulated",
                action.id
            ),
            "choose an action of a host; `mkectl show PLAN --scripts` lists them",
        )
    })
}

/// A fault of one action while this verb of it runs; none for what runs on the operator's machine.
pub fn of(plan: &Plan, action: &Action, kind: FaultKind, verb: Verb) -> Option<Wanted> {
    let spec = &plan.spec;
    let step: &Step = spec.steps.iter().find(|step| step.id == action.step)?;
    let host = match step.at {
        At::Subject => action.host.clone(),
        At::Lead => {
            let lead = Frame::forward(spec).lead()?;
            spec.hosts.get(lead as usize)?.id.clone()
        }
        At::Operator => return None,
    };
    Some(Wanted {
        fault: Fault {
            host,
            action: ActionName::new(&action.host, &step.id).to_string(),
            verb: verb.name().to_owned(),
            kind,
        },
        action: action.id.clone(),
        uninterruptible: step.cancel == Cancel::Never,
    })
}

fn nearest(plan: &Plan, text: &str) -> String {
    let spec = &plan.spec;
    let ids = spec.actions.iter().map(|action| action.id.as_str());
    let steps = spec.steps.iter().map(|step| step.id.as_str());
    let candidates: Vec<&str> = match text.contains('/') {
        true => ids.collect(),
        false => steps.collect(),
    };
    let near = candidates
        .into_iter()
        .min_by_key(|name| (strsim::damerau_levenshtein(name, text), *name));
    match near {
        Some(name) => format!("the nearest one is {name:?}; `HOST/STEP`, or a step alone for its first host"),
        None => "this plan has no actions".to_owned(),
    }
}
