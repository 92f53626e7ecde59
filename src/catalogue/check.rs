//! Checks of the catalogue that look names up: those of the vocabulary, of other entries, of assets and of scripts.

use super::error::did_you_mean;
use super::load::{Fault, like_action};
use super::vocabulary::{self, Names};
use super::{ActionDef, Bundle, Capacity, Catalogue, CatalogueError, ParamDef, Releases, UsersWrite};
use crate::model::{Keep, OutputKind, UndoKind};
use std::collections::BTreeSet;

pub(crate) fn is_id(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn known_in(names: Names, name: &str, what: &str) -> Result<(), (String, String)> {
    if vocabulary::has(names, name) {
        return Ok(());
    }
    Err((
        format!("names the unknown {what} {name}"),
        did_you_mean(name, names.iter().map(|(known, _)| *known)),
    ))
}

fn unique<'a>(section: &'static str, what: &str, ids: impl Iterator<Item = &'a str>) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !is_id(id) {
            return Err(Fault::entry(
                section,
                id,
                format!("{what} {id:?} is not an id"),
                "use lower-case letters, digits and dashes, a letter first",
            ));
        }
        if !seen.insert(id) {
            let mut fault = Fault::entry(
                section,
                id,
                format!("{what} {id} stands twice"),
                "rename or remove one of them",
            );
            fault.occurrence = 1;
            return Err(fault);
        }
    }
    Ok(())
}

/// Every name that is used is known, and every id is one and stands once.
pub(crate) fn names(catalogue: &Catalogue) -> Result<(), Fault> {
    unique(
        "stages",
        "stage",
        catalogue.stages.iter().map(|stage| stage.id.as_str()),
    )?;
    unique(
        "budgets",
        "budget",
        catalogue.budgets.iter().map(|budget| budget.id.as_str()),
    )?;
    unique(
        "actions",
        "action",
        catalogue.actions.iter().map(|action| action.id.as_str()),
    )?;
    for budget in &catalogue.budgets {
        let fault = |problem, remedy: String| Err(Fault::entry("budgets", &budget.id, problem, remedy));
        match &budget.capacity {
            Capacity::Fixed(0) => {
                return fault(
                    format!("budget {} has no capacity", budget.id),
                    "give it at least 1, or no action that takes it could ever run".to_owned(),
                );
            }
            Capacity::Option(name) if !vocabulary::AMOUNTS.contains(&name.as_str()) => {
                return fault(
                    format!(
                        "budget {} takes its capacity from {name}, which is no amount",
                        budget.id
                    ),
                    did_you_mean(name, vocabulary::AMOUNTS.iter().copied()),
                );
            }
            _ => {}
        }
    }
    catalogue
        .actions
        .iter()
        .try_for_each(|action| action_names(catalogue, action))
}

fn action_names(catalogue: &Catalogue, action: &ActionDef) -> Result<(), Fault> {
    let fault =
        |word: &str, (problem, remedy): (String, String)| Fault::action(&action.id, word, problem, remedy);
    if !catalogue.stages.iter().any(|stage| stage.id == action.stage) {
        let known = catalogue.stages.iter().map(|stage| stage.id.as_str());
        let problem = format!("is in the unknown stage {}", action.stage);
        return Err(fault(
            &action.stage,
            (problem, did_you_mean(&action.stage, known)),
        ));
    }
    for name in action.when.iter().chain(&action.unless) {
        known_in(vocabulary::CONDITIONS, name, "condition").map_err(|e| fault(name, e))?;
    }
    if let Some(UsersWrite::When(name)) = &action.users_write {
        known_in(vocabulary::CONDITIONS, name, "condition").map_err(|e| fault(name, e))?;
    }
    for need in &action.needs {
        if catalogue.action(need.action()).is_none() {
            let problem = format!("needs the unknown action {}", need.action());
            return Err(fault(
                need.action(),
                (problem, like_action(catalogue, need.action())),
            ));
        }
    }
    for take in &action.budgets {
        if !catalogue.budgets.iter().any(|budget| budget.id == take.take) {
            let known = catalogue.budgets.iter().map(|budget| budget.id.as_str());
            let problem = format!("takes the unknown budget {}", take.take);
            return Err(fault(&take.take, (problem, did_you_mean(&take.take, known))));
        }
        if let Some(until) = &take.until
            && catalogue.action(until).is_none()
        {
            let problem = format!("holds {} until the unknown action {until}", take.take);
            return Err(fault(until, (problem, like_action(catalogue, until))));
        }
    }
    for source in action.params.values() {
        let (names, name, what) = match source {
            ParamDef::Literal(_) | ParamDef::Asset(_) => continue,
            ParamDef::Option(name) => (vocabulary::OPTIONS, name, "option"),
            ParamDef::Value(name) => (vocabulary::VALUES, name, "value"),
            ParamDef::Host(name) => (vocabulary::HOST_FIELDS, name, "host field"),
            ParamDef::File(name) => (vocabulary::DOCUMENTS, name, "document"),
            ParamDef::Secret(name) => (vocabulary::SECRETS, name, "secret"),
            ParamDef::Output(name) => {
                output_name(catalogue, name).map_err(|e| fault(name, e))?;
                continue;
            }
        };
        known_in(names, name, what).map_err(|e| fault(name, e))?;
    }
    if let Some(name) = &action.builtin {
        known_in(vocabulary::BUILTINS, name, "builtin").map_err(|e| fault(name, e))?;
    }
    for name in &action.relies {
        known_in(vocabulary::FACTS, name, "fact").map_err(|e| fault(name, e))?;
    }
    Ok(())
}

fn output_name(catalogue: &Catalogue, name: &str) -> Result<(), (String, String)> {
    let Some((producer, output)) = name.split_once('.') else {
        return Err((
            format!("reads {name}, which is no output"),
            "write ACTION.OUTPUT".to_owned(),
        ));
    };
    let Some(producer) = catalogue.action(producer) else {
        return Err((
            format!("reads an output of the unknown action {producer}"),
            like_action(catalogue, producer),
        ));
    };
    if !producer.outputs.contains_key(output) {
        return Err((
            format!("reads the unknown output {output} of {}", producer.id),
            did_you_mean(output, producer.outputs.keys().map(String::as_str)),
        ));
    }
    Ok(())
}

/// Every asset is one of some release.
pub(crate) fn assets(
    catalogue: &Catalogue,
    bundle: &Bundle,
    placed: impl Fn(Fault) -> CatalogueError,
) -> Result<(), CatalogueError> {
    let used: Vec<(&ActionDef, &str)> = catalogue
        .actions
        .iter()
        .flat_map(|action| {
            action.params.values().filter_map(move |source| match source {
                ParamDef::Asset(name) => Some((action, name.as_str())),
                _ => None,
            })
        })
        .collect();
    if used.is_empty() {
        return Ok(());
    }
    let releases = Releases::load(bundle)?;
    let known: BTreeSet<&str> = releases
        .releases
        .iter()
        .flat_map(|release| release.assets.keys().map(String::as_str))
        .collect();
    for (action, name) in used {
        if !known.contains(name) {
            return Err(placed(Fault::action(
                &action.id,
                name,
                format!("names the unknown asset {name}"),
                did_you_mean(name, known),
            )));
        }
    }
    Ok(())
}

/// True when the script defines this shell function: `name()` at the beginning of a line.
fn defines(script: &str, function: &str) -> bool {
    script.lines().any(|line| {
        line.strip_prefix(function)
            .is_some_and(|rest| rest.trim_start().starts_with('('))
    })
}

/// Every script that is there is used and has the functions that its actions need.
pub(crate) fn scripts(
    catalogue: &Catalogue,
    placed: impl Fn(Fault) -> CatalogueError,
) -> Result<(), CatalogueError> {
    for name in catalogue.scripts.keys() {
        if !catalogue
            .actions
            .iter()
            .any(|action| action.script.as_ref() == Some(name))
        {
            return Err(CatalogueError::new(
                &format!("scripts/{name}"),
                0,
                "no action uses this script",
                "name it in catalogue.yaml, or remove it",
            ));
        }
    }
    for action in &catalogue.actions {
        let Some(name) = &action.script else { continue };
        let Some(text) = catalogue.scripts.get(name) else {
            continue;
        };
        let mut needed = vec!["probe", "run"];
        if action.undo.kind == UndoKind::Script {
            needed.push("undo");
        }
        for function in needed {
            if !defines(text, function) {
                return Err(placed(Fault::action(
                    &action.id,
                    name,
                    format!("uses {name}, which has no function {function}"),
                    format!("add {function}() to plans/upgrade/scripts/{name}"),
                )));
            }
        }
    }
    Ok(())
}

/// What is odd but harmless: outputs that nobody reads, budgets that nobody takes.
pub(crate) fn unused(catalogue: &Catalogue) -> Vec<String> {
    let mut read: BTreeSet<&str> = BTreeSet::new();
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    for action in &catalogue.actions {
        taken.extend(action.budgets.iter().map(|take| take.take.as_str()));
        read.extend(action.params.values().filter_map(|source| match source {
            ParamDef::Output(name) => Some(name.as_str()),
            _ => None,
        }));
    }
    let mut warnings = Vec::new();
    for action in &catalogue.actions {
        for (name, output) in &action.outputs {
            // An undo gets the outputs of its own action, and a file that outlives the run is kept for a person.
            let for_itself = action.undo.kind == UndoKind::Script && output.kind != OutputKind::Secret;
            let for_a_person = matches!(output.keep, Some(Keep::Commit | Keep::Kept));
            if !for_itself && !for_a_person && !read.contains(format!("{}.{name}", action.id).as_str()) {
                warnings.push(format!(
                    "catalogue.yaml:{}: nobody reads the output {name} of {}",
                    action.line, action.id
                ));
            }
        }
    }
    for budget in &catalogue.budgets {
        if !taken.contains(budget.id.as_str()) {
            warnings.push(format!(
                "catalogue.yaml: no action takes the budget {}",
                budget.id
            ));
        }
    }
    warnings
}
