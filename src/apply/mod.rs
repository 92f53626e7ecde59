//! Apply: what a plan says is done on its hosts. Uses the plan's model and SSH; knows nothing of how a plan is made.

pub mod runner;
