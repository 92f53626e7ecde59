//! What happens, stage by stage, to which hosts, with gates and the two lines drawn where they are.

use super::{downtime, legend};
use crate::model::{At, Cancel, Effect, OnFailure, Spec, Stage, StageTime, Step, UndoKind};
use crate::report::doc::{Block, Line, Rule, Section, Table, Tone, Weight};
use crate::report::view::{View, about, because, unbroken};
use crate::text::{count, number};

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
            "{}, {} in all",
            count(spec.stages.len(), "stage"),
            about(times.total_s)
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

/// What a failure in a stage leads to. By itself `apply` rolls back only before the last automatic rollback; the option
/// `on-failure` decides otherwise for all stages.
fn on_failure(spec: &Spec, at: usize) -> &'static str {
    const BACK: &str = "everything is rolled back";
    const PAUSE: &str = "the run pauses for a person";
    let stage = &spec.stages[at];
    let option = spec.intent.options.get("on-failure").map(String::as_str);
    match (option, stage.failure) {
        _ if beyond(spec, at) => PAUSE,
        (Some("rollback"), _) => BACK,
        (Some("pause"), _) => PAUSE,
        (_, OnFailure::Quarantine) => "the host is left out, then the run pauses",
        (_, OnFailure::Pause) => PAUSE,
        (_, OnFailure::Rollback) => match line_stage(spec) {
            Some(line) if line < at => PAUSE,
            Some(line) if line == at => {
                "everything is rolled back before the line below; after it the run pauses for a person"
            }
            _ => BACK,
        },
    }
}

/// The stage in which automatic rollback ends.
fn line_stage(spec: &Spec) -> Option<usize> {
    let action = &spec.lines.last_automatic_rollback;
    let action = spec.actions.iter().find(|known| known.id == *action)?;
    let step = spec.steps.iter().find(|step| step.id == action.step)?;
    spec.stages.iter().position(|stage| stage.id == step.stage)
}

fn stage_blocks(view: &View, at: usize, stage: &Stage, blocks: &mut Vec<Block>) {
    let spec = view.spec;
    let gate = format!("gate/{}", stage.id);
    if stage.point_of_no_return || spec.lines.point_of_no_return == gate {
        blocks.push(Block::Rule(Rule {
            label: Line::new()
                .tone(Tone::Danger, "▲ POINT OF NO RETURN")
                .plain(" before stage ")
                .strong(format!("{} ({})", at + 1, stage.id)),
            tone: Tone::Danger,
            heavy: true,
            notes: vec![
                "up to here the upgrade can be rolled back; below this line there is no way back to MKE 3"
                    .into(),
                match spec
                    .intent
                    .options
                    .get("commit-after")
                    .filter(|after| !after.is_empty())
                {
                    None => "apply waits here until a person decides".into(),
                    Some(after) => format!("apply waits here for {after}, then goes on by itself").into(),
                },
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
    let head = Line::new()
        .strong(format!("{}. {}", at + 1, stage.title))
        .dim(format!("  {}", stage.id));
    blocks.push(Block::Heading(head));
    let mut when = Line::new();
    if let Some(time) = spec.estimate.stages.iter().find(|time| time.stage == stage.id) {
        let text = format!("{}\u{a0}–\u{a0}{}", about(time.start_s), unbroken(time.end_s));
        when = when.plain(text);
        if let Some((tone, text)) = felt(view, stage, time) {
            when = when.plain(", ").tone(tone, text);
        }
    }
    if let Some(text) = unscripted(view, stage) {
        let between = if when.is_empty() { "" } else { " · " };
        when = when.dim(between).tone(Tone::Warn, text);
    }
    let mut rule = format!("if it fails, {}", on_failure(spec, at));
    if !beyond(spec, at) {
        rule.push_str(&match stage.undo_loses.as_str() {
            "" | "nothing" => " · undoing it loses nothing".to_owned(),
            loses => format!(" · undoing it loses: {loses}"),
        });
    }
    for line in [when, Line::new().dim(rule)] {
        if !line.is_empty() {
            blocks.push(Block::Text {
                indent: 5,
                mark: None,
                line,
            });
        }
    }
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

/// What users notice of a stage. A stage that counts as downtime may run after the API answers again.
fn felt(view: &View, stage: &Stage, time: &StageTime) -> Option<(Tone, String)> {
    let (start, _) = downtime::window(view)?;
    let until = start + view.spec.estimate.api_outage_s;
    match stage.downtime {
        false => None,
        true if time.start_s >= until => Some((Tone::Warn, "service reduced".to_owned())),
        true if time.end_s > until => Some((Tone::Danger, format!("API down until {}", about(until)))),
        true => Some((Tone::Danger, "API down".to_owned())),
    }
}

/// Which steps of a stage this build has no script for: once per stage, because it may be most of them.
fn unscripted(view: &View, stage: &Stage) -> Option<String> {
    let here: Vec<&Step> = view.active().filter(|step| step.stage == stage.id).collect();
    let missing: Vec<&str> = here
        .iter()
        .filter(|step| step.builtin.is_none() && step.script_digest.is_none())
        .map(|step| step.id.as_str())
        .collect();
    match missing.len() {
        0 => None,
        1..=3 => Some(format!("no script in this build: {}", missing.join(", "))),
        n => Some(format!(
            "no script in this build for {} of {}",
            number(n),
            count(here.len(), "step")
        )),
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
        text => {
            let (why, name) = because(text);
            Line::from(format!("because {why}")).dim(name)
        }
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
    let mut time = Line::from(format!("{}{each}", about(step.estimate_s)));
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
        let (why, name) = because(&skip.because);
        let why = Line::from(why)
            .dim(name)
            .dim(format!("  on {}", view.names.describe(&hosts)));
        table.row([Line::new().dim("."), Line::new().dim(&skip.step), why]);
    }
    blocks.push(Block::Table(table));
}
