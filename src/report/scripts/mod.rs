//! The exact bytes of one action with its environment, and the commands to finish or undo a stage by hand.

mod runbook;

pub use runbook::{Direction, runbook};

use super::doc::{Block, Line, Table, Tone};
use super::page::{Page, Style};
use crate::model::{Action, At, Host, OutputKind, ParamSource, Plan, Selector, Step, UndoKind};
use crate::text::{count, is_unsafe, visible};
use std::collections::BTreeMap;
use thiserror::Error;

/// A name that the plan does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotFound {
    /// No such action.
    #[error("the plan has no action {id:?}{hint}; `mkectl show` lists them, an id is HOST/STEP")]
    Action {
        /// What was asked for.
        id: String,
        /// `, did you mean …`, or nothing.
        hint: String,
    },
    /// No such stage.
    #[error("the plan has no stage {id:?}; it has {known}")]
    Stage {
        /// What was asked for.
        id: String,
        /// Those that it has.
        known: String,
    },
}

/// Where a variable of a script gets its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Known now.
    Known(String),
    /// Known when the upgrade runs: an output, the path of a file or asset; in words.
    Later(String),
    /// Path of a file that holds a secret while the action runs; in words which. `once` when it comes from another
    /// action, and then an undo does not get it.
    Secret {
        /// Which secret.
        what: String,
        /// It comes from another action.
        once: bool,
    },
}

/// One action, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionScript<'a> {
    /// The action.
    pub action: &'a Action,
    /// Its step.
    pub step: &'a Step,
    /// The host where it executes; absent on the operator's machine.
    pub runs_on: Option<&'a Host>,
    /// The exact bytes of the script; absent for acts of the engine and for scripts that this build does not have.
    pub script: Option<&'a str>,
    /// Environment by name. A secret is never a value: the script gets the path of a file, in `NAME_FILE`.
    pub environment: BTreeMap<String, Value>,
}

/// Resolves one action.
///
/// # Errors
///
/// [`NotFound::Action`], with the nearest id when one is near.
pub fn action<'a>(plan: &'a Plan, id: &str) -> Result<ActionScript<'a>, NotFound> {
    let spec = &plan.spec;
    let found = spec.actions.iter().find(|action| action.id == id);
    let step = found.and_then(|action| spec.steps.iter().find(|step| step.id == action.step));
    match (found, step) {
        (Some(action), Some(step)) => Ok(resolve(plan, action, step)),
        _ => Err(NotFound::Action {
            id: id.to_owned(),
            hint: hint(plan, id),
        }),
    }
}

fn hint(plan: &Plan, id: &str) -> String {
    plan.spec
        .actions
        .iter()
        .map(|action| (strsim::damerau_levenshtein(&action.id, id), action))
        .min_by_key(|(distance, action)| (*distance, action.id.as_str()))
        .filter(|(distance, action)| *distance * 3 <= action.id.chars().count())
        .map_or(String::new(), |(_, action)| {
            format!(", did you mean {:?}", action.id)
        })
}

fn resolve<'a>(plan: &'a Plan, action: &'a Action, step: &'a Step) -> ActionScript<'a> {
    let spec = &plan.spec;
    let host = |id: &str| spec.hosts.iter().find(|host| host.id == id);
    let subject = host(&action.host);
    let lead = spec
        .steps
        .iter()
        .filter(|step| step.subjects == Selector::Lead)
        .find_map(|step| spec.actions.iter().find(|action| action.step == step.id))
        .and_then(|action| host(&action.host));
    let digest = |name: &str| {
        spec.documents
            .iter()
            .find(|document| document.name == name)
            .map(|found| &found.digest)
    };
    let environment = step
        .params
        .iter()
        .map(|(name, source)| {
            let value = match source {
                ParamSource::Literal(text) => Value::Known(text.clone()),
                ParamSource::Host(field) => match subject.and_then(|host| host.fields.get(field)) {
                    Some(text) => Value::Known(text.clone()),
                    None => Value::Later(format!("field {field} of the host, which the plan does not hold")),
                },
                ParamSource::File(file) => Value::Later(format!(
                    "path of {file}, {}",
                    digest(file).map_or("missing", String::as_str)
                )),
                ParamSource::Asset(asset) => {
                    let known = spec
                        .assets
                        .iter()
                        .find(|known| known.name == *asset)
                        .map(|known| &known.digest);
                    let digest = known
                        .filter(|digest| !digest.is_empty())
                        .map_or("digest not known", String::as_str);
                    Value::Later(format!("path of the asset {asset}, {digest}"))
                }
                ParamSource::Secret(secret) => {
                    let from = spec
                        .secrets
                        .iter()
                        .find(|known| known.name == *secret)
                        .map(|known| &known.from);
                    let from = from.map_or("nowhere", String::as_str);
                    Value::Secret {
                        what: format!("{secret} from {from}"),
                        once: false,
                    }
                }
                ParamSource::Output(output) if secret_output(plan, output) => Value::Secret {
                    what: format!("output {output}"),
                    once: true,
                },
                ParamSource::Output(output) => Value::Later(format!("output {output}")),
            };
            let secret = matches!(value, Value::Secret { .. });
            (
                if secret {
                    format!("{name}_FILE")
                } else {
                    name.clone()
                },
                value,
            )
        })
        .collect();
    ActionScript {
        action,
        step,
        runs_on: match step.at {
            At::Subject => subject,
            At::Lead => lead,
            At::Operator => None,
        },
        script: step
            .script_digest
            .as_ref()
            .and_then(|digest| spec.scripts.get(digest))
            .map(String::as_str),
        environment,
    }
}

/// True when `STEP.OUTPUT` names a secret.
fn secret_output(plan: &Plan, output: &str) -> bool {
    let Some((step, name)) = output.split_once('.') else {
        return false;
    };
    let step = plan.spec.steps.iter().find(|known| known.id == step);
    step.and_then(|step| step.outputs.get(name))
        .is_some_and(|output| output.kind == OutputKind::Secret)
}

/// One action for a person: where it runs, its environment, its script. Characters that could do harm on a terminal are
/// shown as `\u{1b}`; a line says so, and [`action`] gives the exact bytes.
///
/// # Errors
///
/// [`NotFound::Action`].
pub fn render(plan: &Plan, id: &str, style: &Style) -> Result<String, NotFound> {
    let found = action(plan, id)?;
    let step = found.step;
    let mut page = Page::new(style);
    page.heading(&found.action.id, &step.title);
    let place = match (step.at, found.runs_on) {
        (At::Operator, _) => Line::from("the operator's machine"),
        (_, Some(host)) => Line::new()
            .strong(&host.id)
            .dim(format!("  {}@{}:{}", host.user, host.address, host.port)),
        (_, None) => Line::new().tone(Tone::Warn, "a host that the plan does not hold"),
    };
    let script = match (&step.script, &step.script_digest, &step.builtin) {
        (Some(name), Some(digest), _) => Line::new().strong(name).dim(format!("  {digest}")),
        (Some(name), None, _) => Line::new()
            .strong(name)
            .tone(Tone::Warn, "  is not part of this build"),
        (None, _, Some(builtin)) => Line::from(format!("none: {builtin} is an act of mkectl itself")),
        (None, _, None) => Line::new().tone(Tone::Warn, "none"),
    };
    let undo = match step.undo.kind {
        UndoKind::Script => Line::from("by the undo function of the script"),
        UndoKind::None => Line::from("nothing to undo"),
        UndoKind::Impossible => Line::new()
            .tone(Tone::Danger, "impossible")
            .plain(format!(": {}", step.undo.why)),
    };
    let mut blocks = vec![
        Block::Gap,
        Block::Facts(vec![
            ("runs on", place),
            ("script", script),
            ("undo", undo),
            ("needs", needs(found.action)),
        ]),
    ];
    if !found.environment.is_empty() {
        blocks.push(Block::Heading(Line::new().info("environment")));
        let mut table = Table::new(&["variable", "value"]);
        for (name, value) in &found.environment {
            table.row([
                Line::new().strong(name),
                match value {
                    Value::Known(text) => Line::from(text.as_str()),
                    Value::Later(words) => Line::new().dim(format!("at apply: {words}")),
                    Value::Secret { what, .. } => {
                        Line::new().dim(format!("at apply: path of a file with {what}"))
                    }
                },
            ]);
        }
        blocks.push(Block::Table(table));
    }
    page.blocks(&blocks);
    page.gap();
    let mut out = page.finish();
    if let Some(script) = found.script {
        let unsafe_count = script
            .chars()
            .filter(|c| !matches!(c, '\n' | '\t') && is_unsafe(*c))
            .count();
        if unsafe_count > 0 {
            let text = format!("{} shown escaped", count(unsafe_count, "character"));
            out.push_str(&format!("# {text}\n"));
        }
        out.push_str(&visible(script));
        if !script.ends_with('\n') {
            out.push('\n');
        }
    }
    Ok(out)
}

fn needs(action: &Action) -> Line {
    if action.needs.is_empty() {
        Line::new().dim("nothing")
    } else {
        Line::from(super::view::some(&action.needs, 6, "id"))
    }
}
