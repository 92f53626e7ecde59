//! Everything a person reads of a plan, and of a run.
//!
//! `sections` turns a plan into a [`doc::Section`] list once: what is said, in which order, and how much it matters. The
//! forms differ only in how they write that: [`diff`] for terminals, [`markdown`] for comments with a size limit,
//! [`html`] for a page. [`graph`], [`scripts`], [`documents`], [`findings`] and [`diff_plans`] show one part each.
//!
//! Every text of a plan goes through [`crate::text::sanitize`] when it becomes a [`doc::Span`]; there is no other way
//! into a report. Nothing here looks at anything but its arguments, so the same plan gives the same bytes.

pub mod diff;
pub mod diff_plans;
pub mod doc;
pub mod documents;
pub mod event_lines;
pub mod failure;
pub mod findings;
pub mod graph;
pub mod html;
mod layout;
pub mod live;
pub mod logline;
pub mod markdown;
mod page;
mod progress;
pub mod run_report;
pub mod scripts;
mod sections;
pub mod upgrade_summary;
mod view;

pub use page::Style;
pub use view::Summary;
