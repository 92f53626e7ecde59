//! A plan on a terminal.

use super::page::{Page, Style};
use super::sections;
use super::view::View;
use crate::model::Plan;

/// The whole plan for a person: what stops it, what happens, for how long, what is lost, what to do next.
///
/// With `style.width` of 80 or more no line is wider than that. The text holds no escape sequence without `style.color`
/// and, of characters from the plan, none that [`crate::text::is_unsafe`] names.
pub fn render(plan: &Plan, style: &Style) -> String {
    let view = View::new(plan);
    let mut page = opening(&view, style);
    for section in sections::all(&view) {
        page.section(&section);
    }
    page.finish()
}

/// The plan at a glance: what it is, what stops it, how long it takes. For a question or the head of a run.
pub fn summary(plan: &Plan, style: &Style) -> String {
    opening(&View::new(plan), style).finish()
}

fn opening(view: &View<'_>, style: &Style) -> Page {
    let mut page = Page::new(style);
    let (title, gist) = sections::title(view);
    page.heading(&title, &gist);
    page.gap();
    page.blocks(&sections::glance(view));
    page
}
