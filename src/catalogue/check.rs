//! Checks of the catalogue that look at one entry at a time: names, forms, effects, scripts.

use super::error::did_you_mean;
use super::load::{Fault, like_action};
use super::vocabulary::{self, Names};
use super::{ActionDef, Bundle, Capacity, Catalogue, CatalogueError, ParamDef, Releases, UsersWrite};
use crate::model::{At, Changes, Effect, Keep, OutputKind, UndoKind};
use std::collections::{BTreeMap, BTreeSet};

fn is_id(text: &str) -> bool {
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

/// Every entry has a form that makes sense by itself.
pub(crate) fn shapes(catalogue: &Catalogue, undone_by: &BTreeMap<String, String>) -> Result<(), Fault> {
    let mut ends = catalogue.stages.iter().filter(|stage| stage.point_of_no_return);
    let first = ends.next();
    let end = match (first, ends.next()) {
        (Some(stage), None) => stage,
        (None, _) => {
            let last = catalogue.stages.last().map_or("", |stage| stage.id.as_str());
            return Err(Fault::entry(
                "stages",
                last,
                "no stage is the point of no return".to_owned(),
                "mark exactly one with point_of_no_return: true",
            ));
        }
        (Some(_), Some(second)) => {
            return Err(Fault::entry(
                "stages",
                &second.id,
                format!("stage {} is a second point of no return", second.id),
                "mark exactly one",
            ));
        }
    };
    let place = |id: &str| catalogue.stages.iter().position(|stage| stage.id == id);
    for action in &catalogue.actions {
        let before_end = place(&action.stage) < place(&end.id);
        where_it_runs(action)?;
        effect(action, before_end, undone_by.contains_key(&action.id))?;
        params(action)?;
        outputs(action)?;
        changes(action)?;
        if let Some(name) = action.when.iter().find(|name| action.unless.contains(name)) {
            return Err(Fault::action(
                &action.id,
                name,
                format!("asks for {name} in when and in unless, so it never runs"),
                "remove one of them",
            ));
        }
        if action.title.contains(['$', '{', '\n']) {
            return Err(Fault::action(
                &action.id,
                "title",
                "has variables in its title".to_owned(),
                "the title is one plain sentence, the host stands beside it",
            ));
        }
    }
    Ok(())
}

fn where_it_runs(action: &ActionDef) -> Result<(), Fault> {
    let fault = |word: &str, problem: &str, remedy: &str| {
        Err(Fault::action(&action.id, word, problem.to_owned(), remedy))
    };
    match (&action.script, &action.builtin, action.at) {
        (Some(_), Some(_), _) => fault("builtin", "has a script and a builtin", "keep one of them"),
        (None, None, _) => fault("", "has neither script nor builtin", "name one of them"),
        (Some(_), None, At::Operator) => fault(
            "script",
            "runs a script on the operator's machine",
            "scripts run on hosts only: use a builtin, or at: lead",
        ),
        (None, Some(_), At::Subject | At::Lead) => fault(
            "builtin",
            "runs a builtin on a host",
            "builtins run on the operator's machine only: add at: operator, or use a script",
        ),
        (Some(name), None, _) if !name.strip_suffix(".sh").is_some_and(is_id) => fault(
            name,
            "names a script in an unexpected form",
            "name a file of scripts/, such as stop-node.sh",
        ),
        _ => Ok(()),
    }
}

fn effect(action: &ActionDef, before_end: bool, goes_with_another: bool) -> Result<(), Fault> {
    let fault = |word: &str, problem: &str, remedy: &str| {
        Err(Fault::action(&action.id, word, problem.to_owned(), remedy))
    };
    match (action.effect, action.undo.kind) {
        (Effect::Destroys, _) if before_end => fault(
            "effect",
            "destroys before the point of no return",
            "move it behind that stage, or let it move things aside and be undone",
        ),
        (Effect::Destroys, UndoKind::Script | UndoKind::None) => fault(
            "undo",
            "destroys and says that it can be undone",
            "write undo: {impossible: WHY}, or effect: changes",
        ),
        (Effect::Destroys, UndoKind::Impossible) if action.undo.why.is_empty() => fault(
            "effect",
            "destroys and does not say why it cannot be undone",
            "write undo: {impossible: WHY}",
        ),
        (Effect::Changes, UndoKind::Impossible) if before_end => fault(
            "undo",
            "changes something before the point of no return and cannot be undone",
            "write an undo, or move it behind that stage",
        ),
        (Effect::Changes, UndoKind::None) if !goes_with_another => fault(
            "undo",
            "changes something and has no undo",
            "write an undo, or undo: {by: ACTION} when that earlier action's undo covers it",
        ),
        (Effect::Reads, UndoKind::Impossible) => fault(
            "undo",
            "only reads and says that it cannot be undone",
            "remove undo, or correct effect",
        ),
        (Effect::Reads, _) if !action.changes.is_empty() => fault(
            "changes",
            "only reads and lists changes",
            "remove changes, or write effect: changes",
        ),
        (Effect::Changes | Effect::Destroys, _) if action.changes.is_empty() => fault(
            "effect",
            "does not say what it may alter",
            "list it under changes: the plan prints it and rehearsals hold the script to it",
        ),
        _ => Ok(()),
    }
}

fn params(action: &ActionDef) -> Result<(), Fault> {
    for name in action.params.keys() {
        let good = name.starts_with(|c: char| c.is_ascii_uppercase())
            && name
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if !good || name.starts_with("MKECTL_") {
            return Err(Fault::action(
                &action.id,
                name,
                format!("has a param with the name {name:?}"),
                "use capital letters, digits and _, a letter first, and not MKECTL_ at the beginning",
            ));
        }
    }
    Ok(())
}

fn outputs(action: &ActionDef) -> Result<(), Fault> {
    for (name, output) in &action.outputs {
        let fault = |problem: String, remedy: &str| Err(Fault::action(&action.id, name, problem, remedy));
        if !is_id(name) {
            return fault(
                format!("has an output with the name {name:?}"),
                "use lower-case letters, digits and dashes, a letter first",
            );
        }
        let file = output.max.is_some() || output.keep.is_some() || output.secret;
        match output.kind {
            OutputKind::Value if output.value_type.is_none() || file => {
                return fault(
                    format!("has the value {name} in an unexpected form"),
                    "a value has a type and nothing else",
                );
            }
            OutputKind::File
                if output.max.is_none() || output.keep.is_none() || output.value_type.is_some() =>
            {
                return fault(
                    format!("has the file {name} in an unexpected form"),
                    "a file has max and keep, and secret: true where it holds any",
                );
            }
            OutputKind::Secret if output.value_type.is_some() || file => {
                return fault(
                    format!("has the secret {name} in an unexpected form"),
                    "a secret lives in memory and has no further keys",
                );
            }
            OutputKind::Secret if !action.repeatable => {
                return fault(
                    format!("hands on the secret {name} and is not repeatable"),
                    "a secret is lost when a run stops, so the action must be repeatable: true, or hand on a secret file",
                );
            }
            _ => {}
        }
    }
    Ok(())
}

fn globs(changes: &Changes) -> impl Iterator<Item = &String> {
    let Changes {
        files,
        units,
        containers,
        services,
        volumes,
        objects,
    } = changes;
    [files, units, containers, services, volumes, objects]
        .into_iter()
        .flatten()
}

fn changes(action: &ActionDef) -> Result<(), Fault> {
    for glob in globs(&action.changes) {
        for part in glob.split('$').skip(1) {
            let end = part
                .find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))
                .unwrap_or(part.len());
            let name = &part[..end];
            let known = matches!(
                action.params.get(name),
                Some(ParamDef::Literal(_) | ParamDef::Option(_) | ParamDef::Value(_) | ParamDef::Host(_))
            );
            if !known {
                return Err(Fault::action(
                    &action.id,
                    glob,
                    format!("lists the change {glob:?} with ${name}, which is no param known when planning"),
                    "use one of its own params from a literal, option, value or host field",
                ));
            }
        }
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
