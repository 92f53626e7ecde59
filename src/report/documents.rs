//! The text of a generated document.

use super::doc::{Block, Line, Tone};
use super::page::{Page, Style};
pub use super::scripts::NotFound;
use super::sections;
use crate::model::Plan;
use crate::text::{bytes, visible};

/// The exact text of a generated document, such as `mke4.yaml`. Secrets are not in it: `mkectl-secret:NAME` stands for each.
///
/// # Errors
///
/// [`NotFound::Document`].
pub fn text<'a>(plan: &'a Plan, name: &str) -> Result<&'a str, NotFound> {
    let spec = &plan.spec;
    spec.documents
        .iter()
        .find(|document| document.name == name)
        .and_then(|document| spec.files.get(&document.digest))
        .map(String::as_str)
        .ok_or_else(|| NotFound::Document {
            name: name.to_owned(),
            known: match spec.documents.is_empty() {
                true => "none".to_owned(),
                false => {
                    let names: Vec<&str> = spec.documents.iter().map(|known| known.name.as_str()).collect();
                    names.join(", ")
                }
            },
        })
}

/// A document for a person: what it is, then its text. Characters that could do harm on a terminal are shown as `\u{1b}`;
/// [`text`] gives the exact bytes.
///
/// # Errors
///
/// [`NotFound::Document`].
pub fn render(plan: &Plan, name: &str, style: &Style) -> Result<String, NotFound> {
    let found = text(plan, name)?;
    let document = plan.spec.documents.iter().find(|document| document.name == name);
    let mut page = Page::new(style);
    let digest = document.map_or(String::new(), |document| sections::short(&document.digest));
    page.heading(name, &format!("{}, {digest}", bytes(found.len() as u64)));
    if document.is_some_and(|document| document.secrets) {
        page.blocks(&[Block::item(
            Tone::Warn,
            "!",
            Line::from("mkectl-secret:NAME stands for a secret that apply fills in"),
        )]);
    }
    page.gap();
    let mut out = page.finish();
    out.push_str(&visible(found));
    if !found.is_empty() && !found.ends_with('\n') {
        out.push('\n');
    }
    Ok(out)
}
