//! Why a catalogue cannot be unfolded over a cluster.

use thiserror::Error;

/// A catalogue or situation that makes no graph. Displays where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// Something about one action of the catalogue.
    #[error("catalogue.yaml:{line}: action {action}: {problem}")]
    Action {
        /// Id of the action.
        action: String,
        /// Its line in catalogue.yaml; 0 when made by hand.
        line: u32,
        /// What is wrong.
        #[source]
        problem: Problem,
    },
    /// A budget whose size cannot be told.
    #[error(
        "catalogue.yaml: budget {budget}: {option} is not an option that gives an amount; name one that does, or use fixed"
    )]
    Capacity {
        /// Id of the budget.
        budget: String,
        /// The option it names.
        option: String,
    },
    /// Two hosts with one id, or an id that joints use.
    #[error("host {host:?}: {why}; give the host another hostname in hosts.yaml")]
    HostId {
        /// The id.
        host: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Actions that wait for each other.
    #[error("catalogue.yaml: action {action} waits for itself; remove one of the needs around it")]
    Cycle {
        /// One action of the cycle.
        action: String,
    },
    /// A simulated run that came to a halt.
    #[error("catalogue.yaml: action {action} can never take its budgets; shorten what holds them (until)")]
    Deadlock {
        /// Id of the first instance that never started.
        action: String,
    },
}

/// What is wrong with an action.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// No such stage.
    #[error("stage {0} does not exist; add it or correct the name")]
    Stage(String),
    /// No such action.
    #[error("needs {0}, which does not exist; add it or correct the name")]
    Need(String),
    /// A need on a later stage.
    #[error("needs {0}, which belongs to a later stage; move one of them")]
    LaterStage(String),
    /// `same` on an action that is not about this host.
    #[error(
        "needs the same host's {0}, which is not about all of its hosts; use all, or widen the for of {0}"
    )]
    NoSame(String),
    /// No such condition.
    #[error("condition {0} does not exist; see docs/catalogue.md for the names")]
    Condition(String),
    /// No such source of a parameter.
    #[error("parameter {parameter}: {kind} {name} does not exist; see docs/catalogue.md for the names")]
    Source {
        /// The parameter.
        parameter: String,
        /// Option, value, host field, document, asset, secret.
        kind: &'static str,
        /// The name that is unknown.
        name: String,
    },
    /// An output that cannot be had.
    #[error("parameter {parameter}: output {output} {why}")]
    Output {
        /// The parameter.
        parameter: String,
        /// `ACTION.OUTPUT`.
        output: String,
        /// Why, and what to do.
        why: String,
    },
    /// A fact in `relies` that has no name.
    #[error("relies on {0}, which is no fact; see docs/catalogue.md for the names")]
    Fact(String),
    /// A budget that does not exist.
    #[error("takes budget {0}, which does not exist; add it or correct the name")]
    Budget(String),
}
