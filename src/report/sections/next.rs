//! What stands in the way, what was not looked at, and what to do now.

use super::glance::{short, verdict};
use crate::report::doc::{Block, Line, Section, Table, Tone, Weight};
use crate::report::view::{View, some};
use crate::text::{count, number};

/// Reasons that are written out.
const REASONS: usize = 20;

/// Why the plan is not applyable.
pub(super) fn obstacles(view: &View) -> Option<Section> {
    let intent = &view.spec.intent;
    let missing: Vec<&str> = view
        .without_script()
        .iter()
        .map(|step| step.id.as_str())
        .collect();
    let undigested: Vec<&str> = view
        .spec
        .assets
        .iter()
        .filter(|asset| asset.digest.is_empty())
        .map(|asset| asset.name.as_str())
        .collect();
    if intent.applyable {
        return None;
    }
    let mut blocks: Vec<Block> = Vec::new();
    for reason in intent.not_applyable.iter().take(REASONS) {
        blocks.push(Block::item(Tone::Danger, "✗", reason.as_str()));
    }
    if intent.not_applyable.len() > REASONS {
        let text = format!("… and {} more", number(intent.not_applyable.len() - REASONS));
        blocks.push(Block::text(Line::new().dim(text)));
    }
    // When most steps lack one, which ones says nothing; each stage says how many of its own.
    let missing = if 2 * missing.len() > view.active().count() {
        Vec::new()
    } else {
        missing
    };
    for (list, noun, what) in [
        (missing, "step", "without a script in this build"),
        (undigested, "asset", "without a digest in the release table"),
    ] {
        // A reason that names them already says it better.
        let said = |name: &&str| intent.not_applyable.iter().any(|reason| reason.contains(*name));
        if !list.is_empty() && !list.iter().all(said) {
            let line = Line::new()
                .plain(format!("{} {what}: ", count(list.len(), noun)))
                .dim(some(&list, 12, noun));
            blocks.push(Block::item(Tone::Dim, "·", line));
        }
    }
    if blocks.is_empty() {
        blocks.push(Block::text("the plan gives no reason"));
    }
    Some(Section {
        id: "not-applyable",
        title: "Why it cannot be applied".to_owned(),
        gist: String::new(),
        weight: Weight::Always,
        blocks,
    })
}

/// What was read, and what was not.
pub(super) fn inputs(view: &View) -> Option<Section> {
    let inputs = &view.spec.inputs;
    if inputs.is_empty() {
        return None;
    }
    let open = inputs.iter().filter(|input| !input.unchecked.is_empty()).count();
    let mut table = Table::new(&["", "input", "source", "digest or what was not checked"]);
    for input in inputs {
        let file = if input.file.is_empty() {
            String::new()
        } else {
            format!(" {}", input.file)
        };
        let source = Line::from(format!("{}{file}", input.source));
        if input.unchecked.is_empty() {
            let mark = Line::new().tone(Tone::Good, "✓");
            let digest = Line::new().dim(short(&input.digest));
            table.row([mark, Line::new().strong(&input.name), source, digest]);
        } else {
            let mark = Line::new().tone(Tone::Warn, "!");
            let text = Line::new()
                .tone(Tone::Warn, "not checked: ")
                .plain(&input.unchecked);
            table.row([mark, Line::new().strong(&input.name), source, text]);
        }
    }
    Some(Section {
        id: "inputs",
        title: "What was read".to_owned(),
        gist: match open {
            0 => "every input was given".to_owned(),
            n => format!("{} not given", count(n, "input")),
        },
        weight: if open > 0 { Weight::Risk } else { Weight::Detail },
        blocks: vec![Block::Table(table)],
    })
}

/// What to do now.
pub(super) fn section(view: &View) -> Option<Section> {
    let file = view.file();
    let example = view.spec.actions.iter().find(|action| {
        view.spec
            .steps
            .iter()
            .any(|step| step.id == action.step && step.script_digest.is_some())
    });
    let command = |text: String| Line::new().info(text);
    let saved = Line::from(format!("{file} stands for the saved plan; "))
        .info(format!("mkectl plan … -o {file}"))
        .plain(" saves it");
    let mut facts: Vec<(&'static str, Line)> = vec![("the file", saved)];
    if let Some(action) = example {
        let text = format!("mkectl show {file} --scripts {}", action.id);
        facts.push(("exact bytes", command(text)));
    }
    facts.push((
        "for the ticket",
        command(format!("mkectl show {file} --format html")),
    ));
    if view.spec.intent.applyable {
        facts.push(("approve", command(format!("mkectl approve {file}"))));
        facts.push(("run", command(format!("mkectl apply {file}"))));
    } else {
        let code = view.findings(crate::model::Severity::Blocking).next();
        if let Some(finding) = code {
            facts.push(("understand", command(format!("mkectl explain {}", finding.code))));
        }
        facts.push((
            "then",
            Line::from("remove what stands in the way and run ")
                .info("mkectl plan")
                .plain(" again"),
        ));
    }
    let (applyable, verdict) = verdict(view);
    let tone = if applyable { Tone::Good } else { Tone::Danger };
    let line = Line::new()
        .strong(view.summary.sentence())
        .plain(" ")
        .tone(tone, format!("It is {verdict}."));
    Some(Section {
        id: "next",
        title: "Next".to_owned(),
        gist: format!("this is plan {}", short(&view.plan.digest)),
        weight: Weight::Normal,
        blocks: vec![Block::text(line), Block::Gap, Block::Facts(facts)],
    })
}
