//! The two steps in which the real tool tells of a rollback: first what the upgrade did, then what went before it.
//!
//! Undos of both may run side by side; a step is told to begin when the one before it is over.

use crate::report::progress::Progress;

/// What went before the first gate is preparation.
const NAMES: [&str; 2] = ["Rollback Upgrade Tasks", "Rollback Pre Upgrade Tasks"];

pub(super) struct Rollback {
    /// Which of [`NAMES`] there is something to undo of.
    steps: Vec<usize>,
    /// The step that was told to have begun.
    at: Option<usize>,
    /// Whether each stage is preparation.
    preparation: Vec<bool>,
}

impl Rollback {
    pub(super) fn new(progress: &Progress) -> Rollback {
        let stages = &progress.spec.stages;
        let gate = stages.iter().position(|stage| stage.gate).unwrap_or(stages.len());
        let mut rollback = Rollback {
            steps: Vec::new(),
            at: None,
            preparation: (0..stages.len()).map(|stage| stage < gate).collect(),
        };
        rollback.steps = (0..NAMES.len())
            .filter(|step| rollback.undos(progress, *step).0 > 0)
            .collect();
        rollback
    }

    /// How many undos a step has, and how many of them are done.
    fn undos(&self, progress: &Progress, step: usize) -> (usize, usize) {
        let rows = progress.steps.iter().zip(&progress.stage);
        let mine = rows.filter(|(_, stage)| self.preparation[**stage] == (step == 1));
        mine.fold((0, 0), |(all, done), (row, _)| {
            (all + row.tally.all, done + row.tally.done)
        })
    }

    /// What is new.
    pub(super) fn news(&mut self, progress: &Progress) -> Vec<String> {
        let mut lines = Vec::new();
        let all = self.steps.len();
        loop {
            let next = match self.at {
                Some(at) if at >= all => return lines,
                Some(at) => {
                    let (undos, done) = self.undos(progress, self.steps[at]);
                    if done < undos {
                        return lines;
                    }
                    lines.push(format!("[{}] Completed", NAMES[self.steps[at]]));
                    at + 1
                }
                None => 0,
            };
            self.at = Some(next);
            if let Some(step) = self.steps.get(next) {
                lines.push(format!("Step {} of {all}: [{}]", next + 1, NAMES[*step]));
            }
        }
    }
}
