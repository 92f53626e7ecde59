//! Apply: runs the actions of a plan, and undoes them.
//!
//! A pure core decides (what may start: [`scheduler`]; what a failure or a signal leads to: [`control`]; what a journal
//! says: [`journal`], [`copies`] and [`book`]), and one loop, [`engine`], asks it, writes the journal and calls an
//! [`Executor`]. Who may run at all is kept on the managers: [`lease`] and [`keeping`].
//! Time, files and connections come in from outside.

pub mod book;
pub mod call;
pub mod control;
pub mod copies;
pub mod engine;
pub mod events;
pub mod journal;
pub mod keeping;
pub mod lease;
pub mod outputs;
mod places;
pub mod remote;
mod result;
pub mod runner;
pub mod scheduler;
pub mod secret;
mod task;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub use book::Book;
pub use call::{ActionCall, ActionEnd, Executor, Reason, Verb};
pub use engine::{Outcome, RunError, RunResult, Setup, run};
pub use secret::Secret;

/// A boxed future, so that traits with asynchronous functions can be objects.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where time comes from: the library reads no clock by itself.
pub trait Clock: Send + Sync {
    /// Time since some moment before the run; never goes back.
    fn elapsed(&self) -> Duration;
    /// Wall-clock time for readers, RFC 3339 in UTC.
    fn timestamp(&self) -> String;
}
