//! What happens, stage by stage, to which hosts, with gates and the two lines drawn where they are.

use super::legend;
use crate::model::{At, Cancel, Effect, OnFailure, Spec, Stage, Step, UndoKind};
use crate::report::doc::{Block, Line, Rule, Section, Table, Tone, Weight};
use crate::report::view::View;
use crate::text::{count, duration, number};

pub(super) fn section(view: &View) -> Option<Section> {
    let spec = view.spec;
    if spec.actions.is_empty() {
        let text = "no actions: without facts the roles of the hosts are not known, so this plan holds the conversion and \
                    the findings only";
        return Some(Section {
            id: "stages",
            title: "What happens".to_owned(),
            gist: String::new(),
            weight: Weight::Risk,
            blocks: vec![Block::text(text)],
        });
    }
    let mut blocks = vec![Block::text(signs(view))];
    for (at, stage) in spec.stages.iter().enumerate() {
        stage_blocks(view, at, stage, &mut blocks);
    }
    skipped(view, &mut blocks);
    let times = &spec.estimate;
    Some(Section {
        id: "stages",
        title: format!("What happens ({})", count(spec.actions.len(), "action")),
        gist: format!(
            "{}, ≈\u{a0}{} in all",
            count(spec.stages.len(), "stage"),
            duration(times.total_s.into())
        ),
        weight: Weight::Risk,
        blocks,
    })
}

fn sign(step: &Step) -> (&'static str, Tone) {
    match (step.effect, step.undo.kind) {
        (Effect::Reads, _) => ("·", Tone::Dim),
        (Effect::Changes, UndoKind::Impossible) => ("!", Tone::Danger),
        (Effect::Changes, _) => ("~", Tone::Change),
        (Effect::Destroys, _) => ("✗", Tone::Danger),
    }
}

fn signs(view: &View) -> Line {
    let used: Vec<&str> = view
        .spec
        .steps
        .iter()
        .filter(|s| !view.of(&s.id).is_empty())
        .map(|s| sign(s).0)
        .collect();
    let all = [
        ("·", Tone::Dim, "reads"),
        ("~", Tone::Change, "changes, can be undone"),
        ("!", Tone::Danger, "changes, cannot be undone"),
        ("✗", Tone::Danger, "destroys"),
    ];
    let shown: Vec<(&str, Tone, &str)> = all.into_iter().filter(|(sign, ..)| used.contains(sign)).collect();
    legend(&shown)
}

fn failure(policy: OnFailure) -> &'static str {
    match policy {
        OnFailure::Rollback => "everything is rolled back",
        OnFailure::Quarantine => "the host is left out, then the run pauses",
        OnFailure::Pause => "the run pauses for a person",
    }
}

fn stage_blocks(view: &View, at: usize, stage: &Stage, blocks: &mut Vec<Block>) {
    let spec = view.spec;
    let gate = format!("gate/{}", stage.id);
    if stage.point_of_no_return || spec.lines.point_of_no_return == gate {
        blocks.push(Block::Rule(Rule {
            label: Line::new()
                .tone(Tone::Danger, "▲ POINT OF NO RETURN")
                .plain(" before ")
                .strong(&stage.title),
            tone: Tone::Danger,
            heavy: true,
            notes: vec![
                "apply waits here for a person; what is done below this line cannot be undone".into(),
            ],
        }));
    } else if stage.gate {
        let before = at.checked_sub(1).and_then(|before| spec.stages.get(before));
        let stop = before.map_or(String::new(), |before| {
            format!(": --until {} stops here", before.id)
        });
        blocks.push(Block::Rule(Rule {
            label: Line::new().info("gate").dim(stop),
            tone: Tone::Info,
            heavy: false,
            notes: Vec::new(),
        }));
    }
    let mut head = Line::new()
        .strong(format!("{}. {}", at + 1, stage.title))
        .dim(format!("  {}", stage.id));
    if let Some(time) = spec.estimate.stages.iter().find(|time| time.stage == stage.id) {
        let (start, end) = (u64::from(time.start_s), u64::from(time.end_s));
        head = head.dim(format!("  ≈\u{a0}{} – {}", duration(start), duration(end)));
    }
    if stage.downtime {
        head = head.plain("  ").tone(Tone::Danger, "API down");
    }
    blocks.push(Block::Heading(head));
    let loses = match stage.undo_loses.as_str() {
        "" => "nothing",
        loses => loses,
    };
    let mut rule = format!("if it fails, {}", failure(stage.failure));
    if !beyond(spec, at) {
        rule.push_str(&format!(" · undoing it loses: {loses}"));
    }
    blocks.push(Block::Text {
        indent: 5,
        mark: None,
        line: Line::new().dim(rule),
    });
    let mut table = table();
    for step in spec
        .steps
        .iter()
        .filter(|step| step.stage == stage.id && !view.of(&step.id).is_empty())
    {
        if let Some(rule) = first_line(view, step) {
            if !table.rows.is_empty() {
                blocks.push(Block::Table(std::mem::replace(&mut table, self::table())));
            }
            blocks.push(rule);
        }
        table.row(cells(view, step));
        for note in notes(view, step) {
            table.note(note);
        }
    }
    if table.rows.is_empty() {
        blocks.push(Block::Text {
            indent: 5,
            mark: None,
            line: Line::new().dim("nothing left to do here"),
        });
    } else {
        blocks.push(Block::Table(table));
    }
}

/// True from the point of no return on.
fn beyond(spec: &Spec, at: usize) -> bool {
    spec.stages[..=at].iter().any(|stage| stage.point_of_no_return)
}

fn table() -> Table {
    Table {
        indent: 5,
        stack: Some(4),
        ..Table::new(&["", "step", "where", "time", "what"])
    }
}

/// The line before the first step whose action ends automatic rollback.
fn first_line(view: &View, step: &Step) -> Option<Block> {
    let lines = &view.spec.lines;
    let action = lines.last_automatic_rollback.as_str();
    if action.is_empty() || !view.of(&step.id).iter().any(|known| known.id == action) {
        return None;
    }
    let because = match lines.last_automatic_rollback_because.as_str() {
        "" => Line::new(),
        because => Line::from(format!("because {because}")),
    };
    let after = "from here on users may write through the new API: a rollback is a person's decision and loses those writes";
    Some(Block::Rule(Rule {
        label: Line::new()
            .tone(Tone::Warn, "▲ LAST AUTOMATIC ROLLBACK")
            .plain(" before ")
            .strong(action),
        tone: Tone::Warn,
        heavy: true,
        notes: [because, after.into()]
            .into_iter()
            .filter(|line| !line.is_empty())
            .collect(),
    }))
}

fn cells(view: &View, step: &Step) -> [Line; 5] {
    let (mark, tone) = sign(step);
    let actions = view.of(&step.id);
    let mut place = Line::from(view.hosts_of(&step.id));
    match step.at {
        At::Subject => {}
        At::Lead => place = place.dim(", run on the lead"),
        At::Operator => place = Line::new().dim("operator's machine"),
    }
    let each = if actions.len() > 1 { " each" } else { "" };
    let mut time = Line::from(format!("≈\u{a0}{}{each}", duration(step.estimate_s.into())));
    if let Some(width) = at_once(view, step, actions.len()) {
        time = time.dim(format!(", {} at once", number(width)));
    }
    [
        Line::new().tone(tone, mark),
        Line::new().strong(&step.id),
        place,
        time,
        Line::from(step.title.as_str()),
    ]
}

/// The tightest budget of a step, when it is tighter than its hosts are many.
fn at_once(view: &View, step: &Step, hosts: usize) -> Option<usize> {
    step.budgets
        .iter()
        .filter_map(|take| view.spec.budgets.iter().find(|budget| budget.id == take.take))
        .map(|budget| budget.capacity as usize)
        .min()
        .filter(|capacity| *capacity < hosts)
}

fn notes(view: &View, step: &Step) -> Vec<Line> {
    let mut notes = Vec::new();
    if step.effect != Effect::Reads && step.undo.kind == UndoKind::Impossible && !step.undo.why.is_empty() {
        notes.push(
            Line::new()
                .tone(Tone::Danger, "cannot be undone: ")
                .plain(&step.undo.why),
        );
    }
    if step.cancel == Cancel::Never {
        notes.push(Line::new().tone(Tone::Warn, "must not be interrupted"));
    }
    let mut missing: Vec<&str> = view
        .of(&step.id)
        .iter()
        .filter_map(|a| a.undecided.as_deref())
        .collect();
    missing.sort_unstable();
    missing.dedup();
    if !missing.is_empty() {
        notes.push(
            Line::new()
                .tone(Tone::Warn, "undecided, a fact is missing: ")
                .plain(missing.join(", ")),
        );
    }
    if step.script.is_some() && step.script_digest.is_none() {
        notes.push(Line::new().tone(Tone::Warn, "its script is not part of this build"));
    }
    notes
}

fn skipped(view: &View, blocks: &mut Vec<Block>) {
    if view.spec.skipped.is_empty() {
        return;
    }
    blocks.push(Block::Heading(Line::new().info("not needed here")));
    let mut table = Table {
        indent: 5,
        stack: Some(2),
        ..Table::new(&["", "step", "why"])
    };
    for skip in &view.spec.skipped {
        let hosts: Vec<&str> = skip.hosts.iter().map(String::as_str).collect();
        let why = Line::from(skip.because.as_str()).dim(format!("  ({})", view.names.describe(&hosts)));
        table.row([Line::new().dim("."), Line::new().dim(&skip.step), why]);
    }
    blocks.push(Block::Table(table));
}
