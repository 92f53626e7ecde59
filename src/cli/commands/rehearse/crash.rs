//! `--crash-at N` and `--all-crashes`: mkectl is lost at a record of its journal, with everything that it kept. Another home
//! goes on, or back, from the plan and the hosts alone. The end is compared with that of a run that nothing disturbed, or with
//! the cluster before.
//!
//! All runs are processes of their own, and each loss has a copy of the cluster of its own.

use super::{TICK, Twin, compare, interrupted, lab_error, matrix, roles, start, time_passes};
use crate::apply::book::Book;
use crate::apply::journal::{Record, decode};
use crate::cli::args::{FaultOptions, RehearseArgs};
use crate::cli::error::CliError;
use crate::cli::log::Level;
use crate::cli::run;
use crate::cli::{CommandResult, Env, exit, files};
use crate::lab::{Lab, Picture};
use crate::model::{Plan, Spec, Stage};
use crate::plan;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Nobody waits long for a run that is known to be dead; and a machine that does several things at once must be able to say
/// in that time that a run is alive.
const LEASE_S: u32 = 10;

/// Differences that are written out.
const SHOWN: usize = 8;

/// The signal that ends a process without a word, SIGKILL.
const KILLED: i32 = 9;

/// Rehearsals of crashes.
pub struct Crash<'a> {
    /// Where it is told.
    pub env: &'a Env,
    /// What was asked for.
    pub args: &'a RehearseArgs,
    /// What runs, and where.
    pub twin: Twin<'a>,
    /// The MKE 3 configuration, for secrets of the plan.
    pub config: &'a str,
    /// Prefixes of keys that are not compared.
    pub passing: Vec<String>,
    /// Where files are kept.
    pub work: &'a Path,
}

/// What a process is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Apply,
    Resume,
    Rollback,
}

impl Deed {
    /// As it is typed.
    fn name(self) -> &'static str {
        match self {
            Deed::Apply => "apply",
            Deed::Resume => "apply --resume",
            Deed::Rollback => "rollback",
        }
    }

    /// Part of a file name.
    fn file(self) -> &'static str {
        match self {
            Deed::Apply => "apply",
            Deed::Resume => "resume",
            Deed::Rollback => "rollback",
        }
    }
}

/// Where the output of a process goes.
#[derive(Clone, Copy)]
enum Told<'a> {
    /// To whoever rehearses.
    Here,
    /// Into a file.
    In(&'a Path),
}

/// What losses have in common.
struct Beginning {
    /// The cluster where the run begins that is lost. No time passes in it.
    lab: Lab,
    /// That run.
    deed: Deed,
    /// Records of that run when nothing disturbs it.
    records: u64,
    /// Its exit code then.
    exit: u8,
    /// The exit code of an undisturbed run forward.
    forward: u8,
    /// The cluster at the end of that.
    end: Picture,
    /// The cluster before anything ran.
    before: Picture,
}

/// What may come after a loss, in a copy of the cluster each.
const THEN: [Deed; 2] = [Deed::Resume, Deed::Rollback];

/// What a run has to end with after a loss, and what the cluster then is like.
struct Expected<'a> {
    /// What is done, and with which exit code it ends, one after another.
    deeds: Vec<(Deed, u8)>,
    picture: &'a Picture,
    /// As what the cluster then is.
    like: &'static str,
    /// In a word or two.
    how: &'static str,
}

const LIKE_BEFORE: &str = "before";
const LIKE_END: &str = "an undisturbed run left it";

impl Beginning {
    fn expected(&self, book: &Book, then: Deed, spec: &Spec) -> Expected<'_> {
        let end = |deeds, how| Expected {
            deeds,
            picture: &self.end,
            like: LIKE_END,
            how,
        };
        let before = |deeds, how| Expected {
            deeds,
            picture: &self.before,
            like: LIKE_BEFORE,
            how,
        };
        let back = exit::ROLLED_BACK.code;
        match then {
            // All was done when it was lost, so that another run finds nothing to do.
            _ if book.used_up && book.rolling_back => {
                before(vec![(then, exit::USAGE.code)], "was at its end")
            }
            _ if book.used_up => end(vec![(then, exit::USAGE.code)], "was at its end"),
            Deed::Rollback if book.crossed(spec).no_return => end(
                vec![(then, exit::UNDECIDED.code), (Deed::Resume, self.forward)],
                "refused, and resumed",
            ),
            Deed::Rollback => before(vec![(then, back)], "rolled back"),
            // What was decided stays decided.
            _ if book.rolling_back => before(vec![(then, back)], "resumed, on the way back"),
            _ => end(vec![(then, self.forward)], "resumed"),
        }
    }
}

/// What became of one loss.
struct Tried {
    at: u64,
    then: Deed,
    /// What was written last.
    written: String,
    how: String,
    wrong: Vec<String>,
    seconds: u64,
}

impl Crash<'_> {
    /// Runs it undisturbed, then with each loss, and compares.
    pub fn run(&self) -> CommandResult {
        self.may()?;
        run::runtime()?.block_on(async {
            let begin = self.begin().await?;
            match self.args.faults.crash_at {
                Some(at) => self.one(&begin, at).await,
                None => self.all(&begin).await,
            }
        })
    }

    /// Refuses stages that there are not, and ways back from where there is none.
    fn may(&self) -> Result<(), CliError> {
        let Some(until) = &self.args.until else {
            return Ok(());
        };
        let stages = &self.twin.plan.spec.stages;
        let ids = |stages: &[Stage]| {
            let ids: Vec<&str> = stages.iter().map(|stage| stage.id.as_str()).collect();
            ids.join(", ")
        };
        let Some(at) = stages.iter().position(|stage| stage.id == *until) else {
            return Err(CliError::usage(
                format!("{until} is no stage of this plan"),
                format!("use one of {}", ids(stages)),
            ));
        };
        let no_return = stages.iter().position(|stage| stage.point_of_no_return);
        match no_return {
            Some(first) if self.args.faults.way_back && at >= first => Err(CliError::usage(
                format!("there is no way back from {until}"),
                format!("use one of {}", ids(stages.get(..first).unwrap_or_default())),
            )),
            _ => Ok(()),
        }
    }

    async fn begin(&self) -> Result<Beginning, CliError> {
        let Twin {
            plan,
            facts,
            accounts,
            ..
        } = &self.twin;
        files::write(
            &self.plan(),
            &plan::write(plan).map_err(|error| CliError::bug(error.to_string()))?,
        )?;
        // Everything begins as copies of the same cluster, whose files they lie on: it has to stay.
        let lab = start(self.env, facts, *accounts, roles(plan), None).await?;
        let before = self.picture(&lab)?;
        let back = self.args.faults.way_back;
        let log = self.work.join("undisturbed.log");
        let told = match self.args.faults.all_crashes {
            true => Told::In(&log),
            false => Told::Here,
        };
        let last = plan.spec.stages.last().map(|stage| &stage.id);
        let forward = match self.until() {
            Some(until) if Some(&until) != last => exit::GATE.code,
            _ => exit::DONE.code,
        };
        let (forward_in, deed) = match back {
            true => (None, Deed::Rollback),
            false => (Some(self.copy(&lab).await?), Deed::Apply),
        };
        self.phase(&match self.until() {
            Some(stage) => format!("Run it undisturbed to the end of {stage}"),
            None => "Run it undisturbed".to_owned(),
        });
        let home = self.work.join("forward");
        let mut records = 0;
        let end = match &forward_in {
            Some(copy) => {
                let code = self.mkectl(copy, &home, Deed::Apply, None, told).await?;
                self.undisturbed(code, forward)?;
                copy.calm().await;
                records = self.journal(&home)?.len();
                self.picture(copy)?
            }
            // What is undone later begins here.
            None => {
                let code = tokio::select! {
                    code = self.mkectl(&lab, &home, Deed::Apply, None, told) => code?,
                    () = time_passes(&lab) => None,
                };
                self.undisturbed(code, forward)?;
                self.picture(&lab)?
            }
        };
        let mut exit = forward;
        if back {
            self.phase("Undo it undisturbed");
            let (copy, home) = (self.copy(&lab).await?, self.work.join("back"));
            let code = self.mkectl(&copy, &home, Deed::Rollback, None, told).await?;
            exit = exit::ROLLED_BACK.code;
            self.undisturbed(code, exit)?;
            let all = self.journal(&home)?;
            // The journal is that of both runs.
            let own = all
                .iter()
                .rposition(|record| matches!(record, Record::Start { .. }));
            records = all.len() - own.unwrap_or(0);
        }
        Ok(Beginning {
            lab,
            deed,
            records: u64::try_from(records).unwrap_or(u64::MAX),
            exit,
            forward,
            end,
            before,
        })
    }

    /// What a run that nothing disturbs has to come to.
    fn undisturbed(&self, code: Option<i32>, expected: u8) -> Result<(), CliError> {
        match code {
            Some(code) if code == i32::from(expected) => Ok(()),
            code => Err(CliError::bug(format!(
                "the undisturbed run ended with {code:?}, not with {expected}; its output is in {}",
                self.work.display()
            ))),
        }
    }

    /// `--crash-at`: everything is told.
    async fn one(&self, begin: &Beginning, at: u64) -> CommandResult {
        if at > begin.records {
            return Err(CliError::usage(
                format!(
                    "the undisturbed run wrote {} records, so nothing is lost at {at}",
                    begin.records
                ),
                "choose a lower --crash-at",
            ));
        }
        let mut good = true;
        for then in THEN {
            let tried = self.case(begin, at, then, Told::Here).await?;
            good &= tried.wrong.is_empty();
            self.tell(&tried, "");
        }
        let exit = exit::ALL.iter().find(|exit| exit.code == begin.exit);
        match good {
            true => exit
                .copied()
                .ok_or_else(|| CliError::bug("an exit code that there is not")),
            false => Ok(exit::UNDECIDED),
        }
    }

    /// `--all-crashes`: the document goes to stdout.
    async fn all(&self, begin: &Beginning) -> CommandResult {
        let options = &self.args.faults;
        let mut records: Vec<u64> = (1..=begin.records).collect();
        if let Some(most) = options.sample {
            matrix::sample(&mut records, most, options.seed);
        }
        let count = records.len() * THEN.len();
        self.phase(&format!(
            "Lose mkectl at {} of {} records of its journal, {count} cases",
            records.len(),
            begin.records
        ));
        let waiting: VecDeque<(u64, Deed)> = records
            .iter()
            .flat_map(|at| THEN.map(|then| (*at, then)))
            .collect();
        let (waiting, tried) = (Mutex::new(waiting), Mutex::new(Vec::new()));
        let lane = || async {
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((at, then)) = next else {
                    return Ok::<_, CliError>(());
                };
                let log = self.work.join(format!("{at}-{}.log", then.file()));
                let one = self.case(begin, at, then, Told::In(&log)).await?;
                let mut tried = tried.lock().unwrap_or_else(PoisonError::into_inner);
                self.tell(&one, &format!("[{}/{count}] ", tried.len() + 1));
                tried.push(one);
            }
        };
        tokio::select! {
            ended = async { tokio::try_join!(lane(), lane(), lane(), lane()) } => drop(ended?),
            () = interrupted() => {}
        }
        let mut tried = tried.into_inner().unwrap_or_else(PoisonError::into_inner);
        tried.sort_by_key(|one| (one.at, one.then == Deed::Rollback));
        let bad = tried.iter().filter(|one| !one.wrong.is_empty()).count();
        self.env
            .ui
            .out(document(self.twin.plan, begin, &tried, options).as_bytes())?;
        if bad > 0 {
            self.env.log(
                Level::Error,
                &format!(
                    "{bad} of {count} cases are not as they should be; their output is in {}",
                    self.work.display()
                ),
            );
            return Ok(exit::UNDECIDED);
        }
        Ok(match tried.len() < count {
            true => exit::INTERRUPTED,
            false => exit::DONE,
        })
    }

    /// Loses the run at a record and lets another home follow.
    async fn case(&self, begin: &Beginning, at: u64, then: Deed, told: Told<'_>) -> Result<Tried, CliError> {
        let began = Instant::now();
        let mut tried = Tried {
            at,
            then,
            written: String::new(),
            how: String::new(),
            wrong: Vec::new(),
            seconds: 0,
        };
        let homes = self.work.join(format!("{at}-{}", then.file()));
        let (lost, other) = (homes.join("lost"), homes.join("other"));
        let lab = self.copy(&begin.lab).await?;
        if matches!(told, Told::Here) {
            self.phase(&format!("Lose mkectl at record {at} of its journal"));
        }
        if let Some(code) = self.mkectl(&lab, &lost, begin.deed, Some(at), told).await? {
            tried.wrong.push(format!(
                "mkectl was not lost: it ended with {code} before record {at}"
            ));
            return Ok(tried);
        }
        let (plan, records) = (self.twin.plan, self.journal(&lost)?);
        tried.written = records.last().map_or_else(String::new, words);
        let book = Book::read(&plan.digest, &records).map_err(|error| CliError::bug(error.to_string()))?;
        fs::remove_dir_all(&lost)
            .map_err(|error| CliError::file("remove", &lost.to_string_lossy(), &error))?;

        let expected = begin.expected(&book, then, &plan.spec);
        tried.how = expected.how.to_owned();
        for (deed, code) in &expected.deeds {
            self.follow(&lab, &other, *deed, *code, told, &mut tried).await?;
        }
        self.compare(&lab, &expected, told, &mut tried).await?;
        for call in &lab.state().unmodelled {
            tried.wrong.push(format!("not simulated: {call}"));
        }
        tried.seconds = began.elapsed().as_secs();
        if tried.wrong.is_empty() {
            let _gone = fs::remove_dir_all(&homes);
        }
        Ok(tried)
    }

    /// Another home does something, and has to end with this code.
    async fn follow(
        &self,
        lab: &Lab,
        home: &Path,
        deed: Deed,
        expected: u8,
        told: Told<'_>,
        tried: &mut Tried,
    ) -> Result<(), CliError> {
        if matches!(told, Told::Here) {
            self.phase(match deed {
                Deed::Rollback => "Go back in another home, from the plan and the hosts alone",
                _ => "Go on in another home, from the plan and the hosts alone",
            });
        }
        let code = self.mkectl(lab, home, deed, None, told).await?;
        if code != Some(i32::from(expected)) {
            let code = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
            tried
                .wrong
                .push(format!("{} ended with {code}, not with {expected}", deed.name()));
        }
        Ok(())
    }

    async fn compare(
        &self,
        lab: &Lab,
        expected: &Expected<'_>,
        told: Told<'_>,
        tried: &mut Tried,
    ) -> Result<(), CliError> {
        lab.calm().await;
        let found = compare::differences(lab, expected.picture, &self.passing)
            .await
            .map_err(|error| lab_error(&error))?;
        if matches!(told, Told::Here) {
            compare::tell(self.env, expected.picture, &found, expected.like);
        }
        tried
            .wrong
            .extend(found.iter().take(SHOWN).map(ToString::to_string));
        if found.len() > SHOWN {
            tried
                .wrong
                .push(format!("and {} more differences", found.len() - SHOWN));
        }
        Ok(())
    }

    fn phase(&self, text: &str) {
        self.env.log(Level::Info, &format!("==> Running phase: {text}"));
    }

    fn tell(&self, tried: &Tried, number: &str) {
        let level = match tried.wrong.as_slice() {
            [] => Level::Info,
            _ => Level::Error,
        };
        self.env.log(
            level,
            &format!(
                "{number}lost at record {} ({}); {}, in {} s",
                tried.at,
                tried.written,
                match tried.how.as_str() {
                    "" => "it was not lost".to_owned(),
                    how => format!("{}: {how}", tried.then.name()),
                },
                tried.seconds
            ),
        );
        for wrong in &tried.wrong {
            self.env.log(level, &format!("| {wrong}"));
        }
    }

    fn picture(&self, lab: &Lab) -> Result<Picture, CliError> {
        Picture::of(lab, &self.passing).map_err(|error| lab_error(&error))
    }

    async fn copy(&self, lab: &Lab) -> Result<Lab, CliError> {
        lab.copy(Some(TICK)).await.map_err(|error| lab_error(&error))
    }

    fn plan(&self) -> String {
        self.work.join("plan.json").to_string_lossy().into_owned()
    }

    /// Where a forward run ends: `--until`, or, when everything is to be undone afterwards, the last stage that can be.
    fn until(&self) -> Option<String> {
        let stages = self.twin.plan.spec.stages.iter();
        let last = stages.take_while(|stage| !stage.point_of_no_return).last();
        match &self.args.until {
            Some(until) => Some(until.clone()),
            None if self.args.faults.way_back => last.map(|stage| stage.id.clone()),
            None => None,
        }
    }

    /// The records that a home has of the plan.
    fn journal(&self, home: &Path) -> Result<Vec<Record>, CliError> {
        let path = run::place(&home.join("state"), &self.twin.plan.digest).join("journal.jsonl");
        let decoded = decode(&files::read(&path.to_string_lossy())?);
        Ok(decoded.map_err(|error| CliError::bug(error.to_string()))?.records)
    }

    /// mkectl as a process: its exit code, none when it was killed.
    async fn mkectl(
        &self,
        lab: &Lab,
        home: &Path,
        deed: Deed,
        crash_at: Option<u64>,
        told: Told<'_>,
    ) -> Result<Option<i32>, CliError> {
        let failed = |what: &'static str, path: &Path| {
            let path = path.to_string_lossy().into_owned();
            move |error: std::io::Error| CliError::file(what, &path, &error)
        };
        fs::create_dir_all(home).map_err(failed("make", home))?;
        let places = lab.places().map_err(|error| lab_error(&error))?;
        let places = serde_json::to_vec(&places).map_err(|error| CliError::bug(error.to_string()))?;
        let hosts = home.join("hosts.json");
        files::write(&hosts.to_string_lossy(), &places)?;
        let binary = std::env::current_exe().map_err(failed("find", Path::new("mkectl")))?;
        let mut command = tokio::process::Command::new(binary);
        command
            .arg(match deed {
                Deed::Apply | Deed::Resume => "apply",
                Deed::Rollback => "rollback",
            })
            .args([&self.plan(), "--yes", "--mke3-config", self.config])
            .args(["--lease-seconds", &LEASE_S.to_string()])
            .arg("--rehearsed-at")
            .arg(&hosts)
            .arg("--state-dir")
            .arg(home.join("state"))
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        if let Some(at) = crash_at {
            command.args(["--crash-at", &at.to_string()]);
        }
        if let Told::In(log) = told {
            let log = File::options()
                .append(true)
                .create(true)
                .open(log)
                .map_err(failed("open", log))?;
            command.stderr(log);
        }
        if deed == Deed::Resume {
            command.arg("--resume");
        }
        if deed != Deed::Rollback {
            if let Some(until) = self.until() {
                command.args(["--until", &until]);
            }
            for (name, path) in &self.twin.assets {
                command.args(["--asset", &format!("{name}={}", path.display())]);
            }
            for secret in &self.twin.plan.spec.secrets {
                if let Some(variable) = secret.from.strip_prefix("env:") {
                    command.env(variable, "rehearsal");
                }
            }
        }
        if deed == Deed::Resume && matches!(told, Told::Here) {
            let to = &self.args.run;
            let given = [
                ("--config-out", &to.config_out),
                ("--output", &to.output),
                ("--events", &to.events),
            ];
            for (flag, value) in given {
                command.args(value.iter().flat_map(|value| [flag, value]));
            }
        }
        let ended = command
            .status()
            .await
            .map_err(failed("run", Path::new("mkectl")))?;
        match (ended.code(), ended.signal()) {
            (Some(code), _) => Ok(Some(code)),
            (None, Some(KILLED)) if crash_at.is_some() => Ok(None),
            (None, signal) => Err(CliError::bug(format!(
                "mkectl was ended by the signal {signal:?}"
            ))),
        }
    }
}

/// What a record says.
fn words(record: &Record) -> String {
    match record {
        Record::Start { .. } => "the run begins".to_owned(),
        Record::Intent { action, verb, .. } => format!("{action}: {} begins", word(verb)),
        Record::Result {
            action, verb, end, ..
        } => format!("{action}: {} ended: {}", word(verb), word(end)),
        Record::Retry { action, attempt, .. } => format!("{action}: attempt {attempt} is to come"),
        Record::Quarantine { host, .. } => format!("{host} is left out"),
        Record::Decision { decision, .. } => format!("decision: {}", word(decision)),
        Record::End { outcome, .. } => format!("the run ends: {outcome}"),
    }
}

/// How a record writes a choice.
fn word(choice: impl Serialize) -> String {
    match serde_json::to_value(choice) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The table, as a section of a document.
fn document(plan: &Plan, begin: &Beginning, tried: &[Tried], options: &FaultOptions) -> String {
    let back = begin.deed == Deed::Rollback;
    let mut rows: BTreeMap<u64, Vec<&Tried>> = BTreeMap::new();
    for one in tried {
        rows.entry(one.at).or_default().push(one);
    }
    let good = tried.iter().filter(|one| one.wrong.is_empty()).count();
    let whole = usize::try_from(begin.records).unwrap_or(usize::MAX);
    let share = match matrix::share(rows.len(), options.sample, whole, "records") {
        share if options.sample.is_some() => format!("{share}, seed {}", options.seed),
        share => share,
    };
    let mut text = format!(
        "### mkectl lost{}: {}\n\n{share}, {} cases; {good} ended as they should, {} did not.\n\n",
        match back {
            true => " on the way back",
            false => "",
        },
        matrix::cluster(plan),
        tried.len(),
        tried.len() - good
    );
    text.push_str("| record | written last | `apply --resume` | `rollback` | seconds |\n| --- | --- | --- | --- | --- |\n");
    for (at, row) in rows {
        let told = |one: &&Tried| match one.wrong.as_slice() {
            [] => one.how.clone(),
            wrong => format!("**{}**: {}", one.how, wrong.join("; ").replace('|', "/")),
        };
        // None where it was interrupted before.
        let ends = THEN.map(|then| {
            row.iter()
                .find(|one| one.then == then)
                .map_or_else(|| "–".to_owned(), told)
        });
        let seconds: Vec<String> = row.iter().map(|one| one.seconds.to_string()).collect();
        // What runs side by side writes in another order each time.
        let mut written: Vec<&str> = row.iter().map(|one| one.written.as_str()).collect();
        written.dedup();
        text.push_str(&format!(
            "| {at} | {} | {} | {} |\n",
            written.join("; "),
            ends.join(" | "),
            seconds.join(", ")
        ));
    }
    text
}
