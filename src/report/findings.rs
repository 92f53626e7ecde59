//! What `mkectl explain CODE` prints.

use super::doc::{Block, Line, Tone};
use super::page::{Page, Style};
use crate::model::Severity;

/// The long text of a finding. `text` may hold several paragraphs, divided by empty lines; all is wrapped to the width.
pub fn explain(
    code: &str,
    title: &str,
    severity: Severity,
    text: &str,
    remedy: &str,
    style: &Style,
) -> String {
    let mut page = Page::new(style);
    page.heading(code, title);
    let (tone, word) = match severity {
        Severity::Blocking => (Tone::Danger, "blocking: nothing can be applied while it is there"),
        Severity::Warning => (Tone::Warn, "warning: a person should decide"),
        Severity::Info => (Tone::Info, "note: worth knowing"),
    };
    let mut blocks = vec![Block::Gap, Block::text(Line::new().tone(tone, word)), Block::Gap];
    for paragraph in text
        .replace("\r\n", "\n")
        .split("\n\n")
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        blocks.push(Block::text(paragraph));
        blocks.push(Block::Gap);
    }
    if !remedy.trim().is_empty() {
        blocks.push(Block::text(Line::new().strong("What to do")));
        for paragraph in remedy
            .split("\n\n")
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            blocks.push(Block::text(Line::new().tone(Tone::Good, "→ ").plain(paragraph)));
        }
    }
    page.blocks(&blocks);
    page.finish()
}
