//! Checks of the catalogue that look at one entry by itself: where it runs, its effect and undo, the forms of its parts.

use super::check::is_id;
use super::load::Fault;
use super::{ActionDef, Catalogue, ParamDef};
use crate::model::{At, Changes, Effect, OutputKind, UndoKind};
use std::collections::BTreeMap;

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
