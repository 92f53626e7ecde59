//! What can be undone, per stage, and what that loses.

use crate::model::{Effect, Stage, Step, UndoKind};
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::view::View;
use crate::text::number;

pub(super) fn section(view: &View) -> Option<Section> {
    let spec = view.spec;
    if spec.actions.is_empty() {
        return None;
    }
    let mut table = Table {
        show_head: true,
        ..Table::new(&["stage", "undone", "left as is", "cannot", "undo loses"])
    };
    let mut beyond = false;
    for stage in &spec.stages {
        beyond |= stage.point_of_no_return;
        let [script, none, impossible] = counts(view, stage);
        let cell = |n: usize, tone| match n {
            0 => Line::new().dim("0"),
            n => Line::new().tone(tone, number(n)),
        };
        let loses = match stage.undo_loses.as_str() {
            _ if beyond => Line::new().tone(Tone::Danger, "no way back"),
            "" | "nothing" => Line::new().tone(Tone::Good, "nothing"),
            loses => Line::new().tone(Tone::Warn, loses),
        };
        table.row([
            Line::new().strong(&stage.id),
            cell(script, Tone::Good),
            cell(none, Tone::Plain),
            cell(impossible, Tone::Danger),
            loses,
        ]);
    }
    let irreversible = view.summary.irreversible;
    let text = "undone: by the action's own script, in the inverse order; left as is: it changed nothing that must go \
                back; undoing a stage undoes all before it";
    Some(Section {
        id: "undo",
        title: "Way back".to_owned(),
        gist: match irreversible {
            0 => "every change can be undone".to_owned(),
            n => format!(
                "{} of {} actions cannot be undone",
                number(n),
                number(spec.actions.len())
            ),
        },
        weight: Weight::Risk,
        blocks: vec![
            Block::Table(table),
            Block::Gap,
            Block::text(Line::new().dim(text)),
        ],
    })
}

fn counts(view: &View, stage: &Stage) -> [usize; 3] {
    let mut counts = [0; 3];
    for step in view.spec.steps.iter().filter(|step| step.stage == stage.id) {
        counts[kind(step)] += view.of(&step.id).len();
    }
    counts
}

fn kind(step: &Step) -> usize {
    match (step.effect, step.undo.kind) {
        (_, UndoKind::Script) => 0,
        (Effect::Reads, _) | (_, UndoKind::None) => 1,
        (_, UndoKind::Impossible) => 2,
    }
}
