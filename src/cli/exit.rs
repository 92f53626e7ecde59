//! Exit codes: the contract with scripts and approval gates. `docs/exit-codes.md` lists them; a test compares.

/// An exit code with its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// What the process returns.
    pub code: u8,
    /// What that means, in one line.
    pub meaning: &'static str,
}

macro_rules! exits {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $meaning:literal;)*) => {
        $($(#[$doc])* pub const $name: Exit = Exit { code: $code, meaning: $meaning };)*
        /// All of them, in order.
        pub const ALL: &[Exit] = &[$($name),*];
    };
}

exits! {
    /// Done.
    DONE = 0, "done";
    /// A bug in mkectl.
    BUG = 1, "a bug in mkectl: please report it";
    /// `plan` and `diff` with `--detailed-exitcode`.
    CHANGES = 2, "there are changes (only with --detailed-exitcode)";
    /// The plan is printed, and cannot be applied.
    BLOCKED = 3, "the plan has blockers; it is printed all the same";
    /// Bad usage or input.
    USAGE = 4, "bad usage, or an input file that cannot be used";
    /// The plan file cannot be used.
    PLAN_INVALID = 5, "the plan file is empty, cut off, changed, or of another format";
    /// Approval missing or refused.
    APPROVAL = 6, "an approval is missing, or was refused";
    /// Policy denied.
    POLICY = 7, "a policy denies the plan";
    /// Stale.
    STALE = 8, "the cluster, or what a registry holds, is not as the plan relied on; nothing was changed";
    /// Locked.
    LOCKED = 9, "another run holds the cluster";
    /// Failed, nothing changed.
    FAILED_CLEAN = 10, "failed, and nothing was changed";
    /// Failed after changes.
    FAILED_RESUMABLE = 11, "failed or interrupted after changes; it can be resumed";
    /// A person must decide.
    UNDECIDED = 12, "a person must decide";
    /// Rolled back.
    ROLLED_BACK = 13, "rolled back, whatever the reason";
    /// Paused at a gate.
    GATE = 14, "paused at a gate";
    /// Host unreachable or not trusted.
    UNREACHABLE = 15, "a host cannot be reached, or is not trusted";
    /// SIGINT before any change.
    INTERRUPTED = 130, "interrupted (SIGINT) before any change";
    /// SIGTERM before any change.
    TERMINATED = 143, "terminated (SIGTERM) before any change";
}
