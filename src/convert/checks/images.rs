//! What registries hold of the images and charts that the upgrade needs.

use super::run::{Draft, Run};
use crate::model::{Subject, SubjectKind};
use crate::source::images::{Answer, Images, Kind, Seen, Untold};
use crate::source::registry::Place;
use crate::text::{count, sanitize};
use std::collections::BTreeMap;

/// What was asked; without it and with a registry, that is something that was not checked.
fn asked<'a>(run: &mut Run<'a>, code: &str) -> Option<&'a Images> {
    let options = run.ctx.options;
    if run.ctx.images.is_none() {
        match options.image_registry.is_some() || options.chart_registry.is_some() {
            true => run.unchecked(code, "no list of images and charts was given"),
            false => run.ok(code),
        }
    }
    run.ctx.images
}

/// `IMAGE-MISSING`: every image and chart of the list is in its registry.
pub(super) fn missing(run: &mut Run<'_>) {
    const CODE: &str = "IMAGE-MISSING";
    let Some(images) = asked(run, CODE) else {
        return;
    };
    let gone = images.images.iter().filter_map(|seen| match &seen.answer {
        Answer::Missing(said) => Some((seen, said)),
        _ => None,
    });
    let drafts: Vec<_> = gone
        .map(|(seen, said)| {
            let said = match said.as_str() {
                "" => String::new(),
                said => format!(" ({})", sanitize(said)),
            };
            let subject =
                Subject::new(SubjectKind::Asset, sanitize(&seen.name)).at(sanitize(&images.list), seen.line);
            (subject, Draft::new(format!("it is not at {}{said}", seen.place)))
        })
        .collect();
    run.verdict(CODE, drafts);
}

/// `IMAGE-UNTOLD`: the registries answered. Alike failures are one finding, because one cause stands behind them.
pub(super) fn untold(run: &mut Run<'_>) {
    const CODE: &str = "IMAGE-UNTOLD";
    let Some(images) = asked(run, CODE) else {
        return;
    };
    let mut causes: BTreeMap<(String, Kind, &Untold), Vec<&Seen>> = BTreeMap::new();
    for seen in &images.images {
        if let Answer::Untold(untold) = &seen.answer {
            let registry = Place::parse(&seen.place).map(|place| place.address.to_string());
            let registry = registry.unwrap_or_else(|_| seen.place.clone());
            causes
                .entry((registry, Kind::of(&seen.name), untold))
                .or_default()
                .push(seen);
        }
    }
    let drafts: Vec<_> = causes
        .into_iter()
        .map(|((registry, kind, untold), seen)| {
            let what = count(seen.len(), kind.word());
            let draft = Draft::new(format!(
                "{what} could not be looked up: {}",
                sanitize(&untold.why)
            ));
            let remedy = format!("{}, or leave --image-list out", sanitize(&untold.remedy));
            (Subject::new(SubjectKind::Asset, registry), draft.remedy(remedy))
        })
        .collect();
    run.verdict(CODE, drafts);
}
