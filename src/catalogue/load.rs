//! Reads `catalogue.yaml`: YAML to [`raw`] types, defaults worked out, then the checks of `check` and `order`.

use super::error::did_you_mean;
use super::lines::{Lines, anchor};
use super::{
    ActionDef, BudgetDef, Bundle, Capacity, Catalogue, CatalogueError, Need, ParamDef, StageDef, UsersWrite,
};
use super::{check, form, order, raw};
use crate::model::{Changes, Effect, Output, Take, Undo, UndoKind};
use std::collections::{BTreeMap, BTreeSet};

/// Name of the file within the bundle.
pub(crate) const FILE: &str = "catalogue.yaml";
const SCRIPTS: &str = "scripts/";

/// What is wrong with an entry of the file, before it has a place.
pub(crate) struct Fault {
    /// `stages`, `budgets` or `actions`.
    pub section: &'static str,
    /// Entry.
    pub id: String,
    /// The word that the fault is about; empty for the entry as a whole.
    pub word: String,
    /// Which of several entries with that id, from 0.
    pub occurrence: usize,
    pub problem: String,
    pub remedy: String,
}

impl Fault {
    pub(crate) fn action(id: &str, word: &str, problem: String, remedy: impl Into<String>) -> Fault {
        Fault {
            section: "actions",
            id: id.to_owned(),
            word: word.to_owned(),
            occurrence: 0,
            problem: format!("action {id} {problem}"),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn entry(
        section: &'static str,
        id: &str,
        problem: String,
        remedy: impl Into<String>,
    ) -> Fault {
        Fault {
            section,
            id: id.to_owned(),
            word: String::new(),
            occurrence: 0,
            problem,
            remedy: remedy.into(),
        }
    }

    fn placed(self, lines: &Lines<'_>) -> CatalogueError {
        let line = match self.occurrence {
            0 => lines.within(self.section, &self.id, &self.word),
            n => lines.nth(self.section, &self.id, n),
        };
        CatalogueError::new(FILE, line, self.problem, self.remedy)
    }
}

impl Catalogue {
    /// Reads and checks the catalogue of a bundle. The second value is what is odd but harmless, one sentence each.
    ///
    /// A script that an action names and the bundle lacks is not an error: [`Catalogue::missing_scripts`] lists it, and
    /// plans that use it are not applyable.
    pub fn load(bundle: &Bundle) -> Result<(Catalogue, Vec<String>), CatalogueError> {
        let Some(text) = bundle.text(FILE) else {
            return Err(CatalogueError::new(
                FILE,
                0,
                "is missing or not UTF-8",
                "put it there",
            ));
        };
        if let Some(line) = anchor(text) {
            return Err(CatalogueError::new(
                FILE,
                line,
                "an anchor or alias",
                "repeat what it stands for; quote a text that begins with & or *",
            ));
        }
        let file: raw::File =
            serde_yaml::with::singleton_map_recursive::deserialize(serde_yaml::Deserializer::from_str(text))
                .map_err(|error| CatalogueError::yaml(FILE, &error))?;
        let lines = Lines::new(text);
        if file.schema != 1 {
            return Err(CatalogueError::new(
                FILE,
                1,
                format!("schema {} is not known to this build", file.schema),
                "use schema 1",
            ));
        }
        let scripts = scripts(bundle)?;
        let undone_by: BTreeMap<String, String> = file
            .actions
            .iter()
            .filter_map(|action| match &action.undo {
                Some(raw::Undo::By(other)) => Some((action.id.clone(), other.clone())),
                _ => None,
            })
            .collect();
        let catalogue = Catalogue {
            stages: file.stages.into_iter().map(stage).collect(),
            budgets: file.budgets.into_iter().map(budget).collect(),
            actions: file.actions.into_iter().map(|raw| action(raw, &lines)).collect(),
            scripts,
        };
        let placed = |fault: Fault| fault.placed(&lines);
        check::names(&catalogue).map_err(placed)?;
        form::shapes(&catalogue, &undone_by).map_err(placed)?;
        check::assets(&catalogue, bundle, placed)?;
        check::scripts(&catalogue, placed)?;
        let order = order::Order::of(&catalogue).map_err(placed)?;
        order.check(&catalogue, &undone_by).map_err(placed)?;
        let warnings = check::unused(&catalogue);
        Ok((catalogue, warnings))
    }

    /// Scripts that actions name and the bundle lacks, sorted.
    pub fn missing_scripts(&self) -> Vec<&str> {
        let named: BTreeSet<&str> = self
            .actions
            .iter()
            .filter_map(|action| action.script.as_deref())
            .filter(|name| !self.scripts.contains_key(*name))
            .collect();
        named.into_iter().collect()
    }
}

/// The scripts, with each line `. lib/NAME.sh` replaced by that file: what runs on a host is one file, and the plan has
/// every byte of it.
fn scripts(bundle: &Bundle) -> Result<BTreeMap<String, String>, CatalogueError> {
    let mut scripts = BTreeMap::new();
    for path in bundle.names() {
        let Some(name) = path.strip_prefix(SCRIPTS) else {
            continue;
        };
        if name.starts_with('.') || name.starts_with("lib/") {
            continue;
        }
        let Some(text) = bundle.text(path) else {
            return Err(CatalogueError::new(path, 0, "is not UTF-8", "save it as UTF-8"));
        };
        let mut whole = String::with_capacity(text.len());
        for (at, line) in (1u32..).zip(text.split_inclusive('\n')) {
            match line.trim_end().strip_prefix(". lib/") {
                None => whole.push_str(line),
                Some(file) => {
                    let common = bundle.text(&format!("{SCRIPTS}lib/{file}")).ok_or_else(|| {
                        CatalogueError::new(
                            path,
                            at,
                            format!("uses lib/{file}, which is not there"),
                            "name a file of scripts/lib/",
                        )
                    })?;
                    whole.push_str(common);
                }
            }
        }
        scripts.insert(name.to_owned(), whole);
    }
    Ok(scripts)
}

fn stage(raw: raw::Stage) -> StageDef {
    StageDef {
        id: raw.id,
        title: raw.title,
        downtime: raw.downtime,
        failure: raw.failure,
        gate: matches!(raw.gate, Some(raw::Gate::Before)) || raw.point_of_no_return,
        point_of_no_return: raw.point_of_no_return,
        undo_loses: raw.undo_loses,
    }
}

fn budget(raw: raw::Budget) -> BudgetDef {
    BudgetDef {
        id: raw.id,
        counts: raw.counts,
        capacity: match raw.capacity {
            raw::Capacity::Fixed(number) => Capacity::Fixed(number),
            raw::Capacity::Option(name) => Capacity::Option(name),
        },
    }
}

fn action(raw: raw::Action, lines: &Lines<'_>) -> ActionDef {
    let undo = match (raw.undo, raw.effect) {
        (Some(raw::Undo::Script), _) | (None, Effect::Changes) => (UndoKind::Script, String::new()),
        (Some(raw::Undo::None), _) | (None, Effect::Reads) => (UndoKind::None, String::new()),
        (Some(raw::Undo::By(other)), _) => (UndoKind::None, format!("goes with the undo of {other}")),
        (Some(raw::Undo::Impossible(why)), _) => (UndoKind::Impossible, why),
        (None, Effect::Destroys) => (UndoKind::Impossible, String::new()),
    };
    let users_write = raw.users_write.map(|name| match name.as_str() {
        "always" => UsersWrite::Always,
        _ => UsersWrite::When(name),
    });
    let outputs = raw
        .outputs
        .0
        .into_iter()
        .map(|(name, output)| {
            let output = Output {
                kind: output.kind,
                value_type: output.value_type,
                max: output.max.map(|size| size.0),
                secret: output.secret,
                keep: output.keep,
            };
            (name, output)
        })
        .collect();
    let line = lines.of("actions", &raw.id);
    ActionDef {
        line,
        stage: raw.stage,
        title: raw.title,
        subjects: raw.subjects,
        at: raw.at,
        when: raw.when,
        unless: raw.unless,
        needs: raw.needs.into_iter().map(need).collect(),
        budgets: raw
            .budgets
            .into_iter()
            .map(|take| Take {
                take: take.take,
                until: take.until,
            })
            .collect(),
        script: raw.script,
        builtin: raw.builtin,
        params: raw
            .params
            .0
            .into_iter()
            .map(|(name, source)| (name, param(source)))
            .collect(),
        outputs,
        effect: raw.effect,
        undo: Undo {
            kind: undo.0,
            why: undo.1,
        },
        changes: Changes {
            files: raw.changes.files,
            units: raw.changes.units,
            containers: raw.changes.containers,
            services: raw.changes.services,
            volumes: raw.changes.volumes,
            objects: raw.changes.objects,
        },
        cancel: raw.cancel,
        users_write,
        relies: raw.relies,
        repeatable: raw.repeatable,
        timeout_s: raw.timeout.0,
        retry: raw.retry,
        estimate_s: raw.estimate.0,
        id: raw.id,
    }
}

fn need(raw: raw::Need) -> Need {
    match raw {
        raw::Need::Same(id) => Need::Same(id),
        raw::Need::All(id) => Need::All(id),
    }
}

fn param(raw: raw::Param) -> ParamDef {
    match raw {
        raw::Param::Literal(text) => ParamDef::Literal(text),
        raw::Param::Option(name) => ParamDef::Option(name),
        raw::Param::Value(name) => ParamDef::Value(name),
        raw::Param::Host(name) => ParamDef::Host(name),
        raw::Param::File(name) => ParamDef::File(name),
        raw::Param::Asset(name) => ParamDef::Asset(name),
        raw::Param::Secret(name) => ParamDef::Secret(name),
        raw::Param::Output(name) => ParamDef::Output(name),
    }
}

/// The remedy for an unknown action.
pub(crate) fn like_action(catalogue: &Catalogue, wrong: &str) -> String {
    did_you_mean(wrong, catalogue.actions.iter().map(|action| action.id.as_str()))
}
