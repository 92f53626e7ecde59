//! Commands to finish or undo a stage by hand.

use super::{ActionScript, NotFound, Value, resolve};
use crate::model::{Action, Effect, Plan, Stage, Step, UndoKind};
use crate::report::doc::{Block, Tone};
use crate::report::page::{Page, Style};
use crate::text::{is_unsafe, sanitize};
use std::collections::{BTreeMap, BTreeSet};

/// Stands in a command for what only the person who runs it can know.
const PLACEHOLDER: &str = "REPLACE-ME";

/// What a runbook is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Finish the stage.
    Finish,
    /// Undo it.
    Undo,
}

/// Numbered commands to finish or undo a stage by hand, for when mkectl cannot be used: as far as the plan has scripts,
/// and what is missing is named. Commands are not broken into lines of `style.width`, because they are copied.
///
/// # Errors
///
/// [`NotFound::Stage`].
pub fn runbook(plan: &Plan, stage: &str, direction: Direction, style: &Style) -> Result<String, NotFound> {
    let stages = &plan.spec.stages;
    let Some(stage) = stages.iter().find(|known| known.id == stage) else {
        let known: Vec<&str> = stages.iter().map(|stage| stage.id.as_str()).collect();
        return Err(NotFound::Stage {
            id: stage.to_owned(),
            known: known.join(", "),
        });
    };
    let verb = if direction == Direction::Finish {
        "finish"
    } else {
        "undo"
    };
    let mut page = Page::new(style);
    page.heading(&format!("By hand: {verb} {}", stage.id), &stage.title);
    let mut blocks = vec![Block::Gap];
    for line in preface(stage, direction) {
        blocks.push(Block::item(Tone::Warn, "!", line));
    }
    page.blocks(&blocks);
    let mut out = page.finish();
    let order = order(plan, stage, direction);
    out.push_str(&fetch(&order));
    let mut number = 0;
    for entry in &order {
        number += 1;
        out.push_str(&command(number, entry, direction));
    }
    if order.is_empty() {
        out.push_str("\nNothing to do: this stage has no actions");
        out.push_str(if plan.spec.actions.is_empty() {
            " in this plan.\n"
        } else {
            " of that kind.\n"
        });
    }
    Ok(out)
}

fn preface(stage: &Stage, direction: Direction) -> Vec<String> {
    let mut lines = vec![
        "use this only when mkectl cannot run; its probes and its journal protect you, these commands do not"
            .to_owned(),
        "one after the other, in this order; stop at the first that fails".to_owned(),
        format!(
            "{PLACEHOLDER} stands for what this plan cannot know; each command says above it what that is"
        ),
    ];
    if direction == Direction::Undo {
        lines.push(format!("stages after {} must be undone first", stage.id));
        if !stage.undo_loses.is_empty() {
            lines.push(format!("it loses: {}", stage.undo_loses));
        }
    } else if stage.point_of_no_return {
        lines.push("this stage lies behind the point of no return".to_owned());
    }
    lines
}

/// The actions of a stage so that each stands after those that it needs; for an undo, turned round.
fn order<'a>(plan: &'a Plan, stage: &Stage, direction: Direction) -> Vec<ActionScript<'a>> {
    let spec = &plan.spec;
    let steps: BTreeMap<&str, &Step> = spec
        .steps
        .iter()
        .filter(|step| step.stage == stage.id)
        .map(|step| (step.id.as_str(), step))
        .collect();
    let joints: BTreeMap<&str, &[String]> = spec
        .joints
        .iter()
        .map(|joint| (joint.id.as_str(), joint.needs.as_slice()))
        .collect();
    let actions: BTreeMap<&str, &Action> = spec
        .actions
        .iter()
        .map(|action| (action.id.as_str(), action))
        .collect();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut out = Vec::new();
    for root in spec
        .actions
        .iter()
        .filter(|action| steps.contains_key(action.step.as_str()))
    {
        // Depth first with a stack of its own: a chain may be as long as the plan.
        let mut stack: Vec<(&str, bool)> = vec![(&root.id, false)];
        while let Some((id, done)) = stack.pop() {
            if done {
                if let Some(action) = actions.get(id)
                    && let Some(step) = steps.get(action.step.as_str())
                {
                    out.push(resolve(plan, action, step));
                }
                continue;
            }
            if !seen.insert(id) {
                continue;
            }
            stack.push((id, true));
            let needs = actions
                .get(id)
                .map(|action| action.needs.as_slice())
                .or(joints.get(id).copied());
            stack.extend(
                needs
                    .unwrap_or_default()
                    .iter()
                    .rev()
                    .map(|need| (need.as_str(), false)),
            );
        }
    }
    if direction == Direction::Undo {
        out.retain(|entry| entry.step.effect != Effect::Reads || entry.step.undo.kind == UndoKind::Script);
        out.reverse();
    }
    out
}

/// Commands that take the scripts out of the plan and check them.
fn fetch(order: &[ActionScript]) -> String {
    let scripts: BTreeMap<&str, &str> = order
        .iter()
        .filter(|entry| entry.script.is_some())
        .filter_map(|entry| {
            Some((
                entry.step.script.as_deref()?,
                entry.step.script_digest.as_deref()?,
            ))
        })
        .collect();
    let mut out = String::new();
    for (name, digest) in scripts
        .iter()
        .filter(|(name, digest)| plain(name) && plain(digest))
    {
        let hash = digest.strip_prefix("sha256:").unwrap_or(digest);
        out.push_str(&format!(
            "\n  jq -j '.spec.scripts[\"{digest}\"]' plan.json > {name} && echo '{hash}  {name}' | sha256sum -c"
        ));
    }
    if out.is_empty() {
        out
    } else {
        format!("\nFirst, on this machine: the scripts, exactly as in the plan.\n{out}\n")
    }
}

/// True for a word that a shell and a jq path take as it is.
fn plain(word: &str) -> bool {
    !word.is_empty()
        && !word.starts_with('-')
        && word
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '@' | '/' | '+' | '~'))
}

fn command(number: usize, entry: &ActionScript, direction: Direction) -> String {
    let mut out = String::from("\n");
    // Nothing in a command needs to be made harmless, because only harmless words get into one.
    let mut say = |text: &str| {
        out.push_str(&sanitize(text));
        out.push('\n');
    };
    say(&format!("{number}. {}  {}", entry.action.id, entry.step.title));
    if direction == Direction::Undo && entry.step.undo.kind != UndoKind::Script {
        say(&match entry.step.undo.kind {
            UndoKind::Impossible => format!("   cannot be undone: {}", entry.step.undo.why),
            _ => "   nothing to undo".to_owned(),
        });
        return out;
    }
    let (Some(_), Some(name), Some(host)) = (entry.script, entry.step.script.as_deref(), entry.runs_on)
    else {
        say("   by other means: this plan has no script for it");
        return out;
    };
    let mut words = Vec::new();
    for (name, value) in &entry.environment {
        match value {
            Value::Known(text) if text.chars().any(is_unsafe) => {
                say(&format!(
                    "   {name}: its value holds characters that cannot be shown; take it from the plan"
                ));
                words.push(format!("{name}={PLACEHOLDER}"));
            }
            Value::Known(text) => words.push(format!("{name}={}", quote(text))),
            Value::Secret { once: true, .. } if direction == Direction::Undo => {}
            Value::Secret { what, .. } => {
                say(&format!(
                    "   {name}: path on that host of a file, mode 0600, that holds {what}"
                ));
                words.push(format!("{name}={PLACEHOLDER}"));
            }
            Value::Later(source) => {
                say(&format!("   {name}: {source}"));
                words.push(format!("{name}={PLACEHOLDER}"));
            }
        }
    }
    let work = format!("/var/lib/mkectl/by-hand/{}", entry.action.id);
    words.push(format!("MKECTL_WORK={work} MKECTL_OUT={work}"));
    let parts = [name, &work, &host.user, &host.address];
    if !parts
        .into_iter()
        .chain(entry.environment.keys().map(String::as_str))
        .all(plain)
    {
        say("   a name in it cannot be written into a command");
        return out;
    }
    let verb = if direction == Direction::Finish {
        "run"
    } else {
        "undo"
    };
    let remote = format!(
        "sudo -n mkdir -p {work} && sudo -n env {} sh -s {verb}",
        words.join(" ")
    );
    say(&format!(
        "   ssh -p {} {}@{} {} < {name}",
        host.port,
        host.user,
        host.address,
        quote(&remote)
    ));
    say(match direction {
        Direction::Finish => "   then the same with probe instead of run: it must exit with 10 (done)",
        Direction::Undo => "   then the same with probe instead of undo: it must exit with 11 (not done)",
    });
    out
}

/// A word in single quotes, for a POSIX shell.
fn quote(word: &str) -> String {
    if plain(word) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
