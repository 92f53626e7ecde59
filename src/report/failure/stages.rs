//! What was done of each stage, and what was undone.

use super::View;
use crate::model::{Action, UndoKind};
use crate::report::doc::{Block, Line, Table, Tone};
use crate::text::number;

impl View<'_> {
    /// What was done of each stage, and what was not; after a rollback what was undone.
    pub(super) fn stages(&self) -> Vec<Block> {
        let mut table = Table::new(&["", "stage", "done", "not done"]);
        for stage in &self.spec.stages {
            let of = |it: &&Action| {
                self.steps
                    .get(it.step.as_str())
                    .is_some_and(|step| step.stage == stage.id)
            };
            let mine: Vec<&Action> = self.spec.actions.iter().filter(of).collect();
            if mine.is_empty() {
                continue;
            }
            let (tone, mark, done, rest) = match self.back() {
                false => self.forward(&mine),
                true => self.backward(&mine),
            };
            table.row([
                Line::new().tone(tone, mark),
                Line::from(stage.title.as_str()),
                Line::from(done),
                Line::new().dim(rest),
            ]);
        }
        vec![Block::Table(table)]
    }

    fn forward(&self, mine: &[&Action]) -> (Tone, &'static str, String, String) {
        let book = &self.result.book;
        let n = |is: &dyn Fn(&Action) -> bool| mine.iter().filter(|it| is(it)).count();
        let done = n(&|it| book.done.contains_key(&it.id));
        let failed = n(&|it| book.failed.contains_key(&it.id));
        let untouched = n(&|it| !book.intents.contains(&it.id) && !book.left_out.contains(&it.host));
        let out = n(&|it| !book.intents.contains(&it.id) && book.left_out.contains(&it.host));
        let open = mine.len().saturating_sub(done + failed + untouched + out);
        let rest = counted(&[
            (failed, "failed"),
            (open, "begun"),
            (out, "left out"),
            (untouched, "not begun"),
        ]);
        let (tone, mark) = match () {
            () if failed > 0 => (Tone::Danger, "✗"),
            () if done == mine.len() => (Tone::Good, "✓"),
            () if untouched == mine.len() => (Tone::Dim, "·"),
            () => (Tone::Warn, "!"),
        };
        let done = format!("{} of {}", number(done), number(mine.len()));
        (tone, mark, done, rest)
    }

    fn backward(&self, mine: &[&Action]) -> (Tone, &'static str, String, String) {
        let book = &self.result.book;
        let has_undo = |it: &Action| {
            let step = self.steps.get(it.step.as_str());
            step.is_some_and(|step| step.undo.kind == UndoKind::Script)
        };
        let n = |is: &dyn Fn(&Action) -> bool| mine.iter().filter(|it| is(it)).count();
        let undone = n(&|it| book.undone.contains(&it.id));
        let nothing = n(&|it| book.intents.contains(&it.id) && !has_undo(it));
        let left = n(&|it| book.intents.contains(&it.id) && has_undo(it) && !book.undone.contains(&it.id));
        let rest = counted(&[(left, "not undone"), (nothing, "with nothing to undo")]);
        let (tone, mark) = match () {
            () if left > 0 => (Tone::Danger, "✗"),
            () if undone + nothing == 0 => return (Tone::Dim, "·", "not begun".to_owned(), rest),
            () => (Tone::Good, "✓"),
        };
        (tone, mark, format!("{} undone", number(undone)), rest)
    }
}

/// `1 failed, 5 not begun`, without what there is none of.
fn counted(parts: &[(usize, &str)]) -> String {
    let parts = parts.iter().filter(|(n, _)| *n > 0);
    let parts: Vec<String> = parts.map(|(n, what)| format!("{} {what}", number(*n))).collect();
    parts.join(", ")
}
