//! The second look: when a run comes to a stage behind a gate, or to the point of no return, the facts that what is still to run relies on are read again.
//!
//! The first action of the stage waits for it, and so do all others of the stage. What the run itself has changed since is no
//! drift: the events of the run tell how far it came.

use super::stale::{self, Told};
use crate::apply::Fut;
use crate::apply::book::Book;
use crate::apply::call::{ActionCall, ActionEnd, Executor, Reason, Verb};
use crate::apply::events::{EndKind, Event, Line, Subscriber};
use crate::cli::Env;
use crate::cli::log::Level;
use crate::model::{Spec, Stage};
use crate::plan::staleness::Progress;
use crate::ssh::pool::Pool;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Differences that a refusal names; the rest is counted.
const SHOWN: usize = 6;

/// How far a run came, from its journal and then from its events.
pub struct Seen(Mutex<State>);

struct State {
    book: Book,
    /// This run has done something since its start, when facts were compared last.
    ran: bool,
}

impl Seen {
    /// What earlier runs did.
    pub fn new(book: &Book) -> Seen {
        Seen(Mutex::new(State {
            book: book.clone(),
            ran: false,
        }))
    }

    fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Subscriber for Seen {
    fn line(&self, line: &Line) {
        self.with(|state| match &line.event {
            Event::ActionStart {
                action,
                verb: Verb::Run,
                ..
            } => {
                state.book.intents.insert(action.clone());
            }
            Event::ActionEnd {
                action,
                verb: Verb::Run,
                end,
                ..
            } => {
                state.ran = true;
                if *end == EndKind::Done {
                    state.book.done.insert(action.clone(), BTreeMap::new());
                }
            }
            Event::HostQuarantined { host, .. } => {
                state.book.left_out.insert(host.clone());
            }
            _ => {}
        });
    }
}

impl Progress for Seen {
    fn is_over(&self, action: &str) -> bool {
        self.with(|state| Told(&state.book).is_over(action))
    }

    fn is_begun(&self, action: &str) -> bool {
        self.with(|state| Told(&state.book).is_begun(action))
    }
}

/// What a look at a gate came to.
#[derive(Clone)]
enum Verdict {
    Open,
    Refused(Reason),
    /// Some hosts could not be asked: it is looked again.
    Unreachable(Reason),
}

type Look = watch::Receiver<Option<Verdict>>;

/// An executor with a second look before each stage behind a gate.
pub struct Gated {
    inner: Arc<dyn Executor>,
    env: Env,
    spec: Arc<Spec>,
    pool: Pool,
    width: u32,
    seen: Arc<Seen>,
    /// By stage; one that was passed, in this run or an earlier one, is not looked at again.
    looks: Mutex<BTreeMap<String, Look>>,
}

impl Gated {
    /// Puts the looks before an executor.
    pub fn new(
        inner: Arc<dyn Executor>,
        env: Env,
        spec: Arc<Spec>,
        pool: Pool,
        width: u32,
        seen: Arc<Seen>,
    ) -> Gated {
        let passed = |stage: &str| {
            let mut steps = spec.steps.iter().filter(|step| step.stage == stage);
            steps.any(|step| {
                let mut actions = spec.actions.iter().filter(|action| action.step == step.id);
                actions.any(|action| seen.is_begun(&action.id))
            })
        };
        let behind = spec
            .stages
            .iter()
            .filter(|stage| is_behind(stage) && passed(&stage.id));
        let looks = behind.map(|stage| (stage.id.clone(), watch::channel(Some(Verdict::Open)).1));
        Gated {
            looks: Mutex::new(looks.collect()),
            inner,
            env,
            spec,
            pool,
            width,
            seen,
        }
    }

    /// The look before a stage, which is begun where it was not yet. Its task goes on when an action stops waiting for it.
    fn look(&self, stage: &str) -> Look {
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(look) = looks.get(stage) {
            return look.clone();
        }
        // Right after the start of the run nothing is to be read again.
        let (told, look) = watch::channel((!self.seen.with(|state| state.ran)).then_some(Verdict::Open));
        looks.insert(stage.to_owned(), look.clone());
        if told.borrow().is_none() {
            let (env, spec, pool) = (self.env.clone(), self.spec.clone(), self.pool.clone());
            let (seen, width, stage) = (self.seen.clone(), self.width, stage.to_owned());
            tokio::spawn(async move {
                let verdict = verdict(&env, &spec, &seen, &pool, width, &stage).await;
                told.send_replace(Some(verdict));
            });
        }
        look
    }
}

/// Facts are looked at again before this stage.
fn is_behind(stage: &Stage) -> bool {
    stage.gate || stage.point_of_no_return
}

async fn verdict(env: &Env, spec: &Spec, seen: &Seen, pool: &Pool, width: u32, stage: &str) -> Verdict {
    env.log(
        Level::Info,
        &format!("==> Running phase: Compare facts with the plan before the stage {stage}"),
    );
    let reason = |message: String| Reason {
        untouched: true,
        common: true,
        ..Reason::new(message)
    };
    let found = match stale::found(env, spec, seen, pool, width).await {
        Ok(found) => found,
        Err(error) => return Verdict::Refused(reason(error.message)),
    };
    if !found.unreachable.is_empty() {
        let why = found.unreachable.join("; ");
        return Verdict::Unreachable(reason(format!(
            "facts cannot be compared before the stage {stage}: {why}"
        )));
    }
    if found.fatal.is_empty() {
        return Verdict::Open;
    }
    let mut texts: Vec<String> = found.fatal.iter().take(SHOWN).map(ToString::to_string).collect();
    if let Some(more) = found.fatal.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        texts.push(format!("and {}", crate::text::count(more, "more difference")));
    }
    Verdict::Refused(reason(format!(
        "the stage {stage} was not begun, because the cluster is not as this plan relied on: {}",
        texts.join("; ")
    )))
}

impl Executor for Gated {
    fn execute<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ActionEnd> {
        Box::pin(async move {
            let stage = &call.step().stage;
            let mut stages = self.spec.stages.iter();
            let gate = stages.any(|known| known.id == *stage && is_behind(known));
            if gate && call.verb == Verb::Run {
                let mut look = self.look(stage);
                let verdict = look.wait_for(Option::is_some).await.map(|told| told.clone());
                match verdict {
                    Ok(Some(Verdict::Open)) => {}
                    Ok(Some(Verdict::Refused(reason))) => return ActionEnd::NotAsPlanned(reason),
                    Ok(Some(Verdict::Unreachable(reason))) => {
                        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
                        // Who comes later may wait for the next look already.
                        if looks.get(stage).is_some_and(|known| known.same_channel(&look)) {
                            looks.remove(stage);
                        }
                        return ActionEnd::Unreachable(reason);
                    }
                    Ok(None) | Err(_) => {
                        return ActionEnd::Failed(Reason {
                            untouched: true,
                            ..Reason::new("the look at the gate was lost")
                        });
                    }
                }
            }
            self.inner.execute(call).await
        })
    }

    fn cancel<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ()> {
        self.inner.cancel(call)
    }
}
