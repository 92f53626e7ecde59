//! Executes actions on the hosts of the plan: delivers what a script needs, then probe, run and verify, or undo.
//!
//! What has begun on a host goes on there whatever happens here; so an attempt that may have begun is looked for first,
//! and attended to where it is found.

mod carry;
pub(in crate::apply) mod host;
mod operator;

pub use host::{HostFault, Reached, reach};
pub use operator::{Fetched, Held, Operator, OperatorError};

use super::Fut;
use super::call::{ActionCall, ActionEnd, Executor, Reason, Verb as Way};
use super::events::Stream;
use super::outputs::{Delivery, FileOutput, OutputValue, VALUE_LIMIT};
use super::runner::{
    ActionName, Attempt, AttemptState, HostRunner, How, Lost, Outcome, Refusal, Report, RunnerError,
    Settings, Task, Token, Verb, Verdict,
};
use super::secret::Secret;
use crate::model::{Cancel, Effect, Host, OutputKind, SECRET_PLACEHOLDER, Spec, UndoKind};
use crate::ssh::pool::Pool;
use carry::{hex, sha256};
use host::Hosts;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Seconds that one request waits on the host; then what the script printed meanwhile is fetched.
const LOOK_S: u32 = 2;

/// A secret output is at most so many bytes.
const SECRET_LIMIT: u64 = 64 * 1024;

/// Lines of stderr that a failure shows.
const TAIL: usize = 12;

/// Takes everything that hosts print, raw.
pub trait HostLog: Send + Sync {
    /// A piece of what a verb of an action wrote on a host. Must not fail: a log that cannot be written must not stop an
    /// upgrade.
    fn write(&self, host: &str, attempt: &str, stream: Stream, bytes: &[u8]);
}

/// What a [`Remote`] is made of.
pub struct Parts {
    /// The plan.
    pub spec: Arc<Spec>,
    /// Its digest, `sha256:…`.
    pub digest: String,
    /// Connections.
    pub pool: Pool,
    /// How scripts are run.
    pub settings: Settings,
    /// Fencing token of this run.
    pub token: Token,
    /// What is done on the operator's machine.
    pub operator: Arc<dyn Operator>,
    /// Where output goes.
    pub log: Arc<dyn HostLog>,
    /// Secrets of the plan by name, for documents that have placeholders.
    pub secrets: BTreeMap<String, Secret>,
}

/// The executor for real hosts, and for those of a rehearsal.
pub struct Remote {
    spec: Arc<Spec>,
    hosts: Arc<Hosts>,
    token: Token,
    operator: Arc<dyn Operator>,
    log: Arc<dyn HostLog>,
    secrets: BTreeMap<String, Secret>,
    /// What runs now, by action.
    current: Mutex<BTreeMap<String, Attempt>>,
}

/// How an attempt at one verb went wrong before or beside the script.
#[derive(Debug)]
enum Fault {
    Runner(RunnerError),
    Host(HostFault),
    Operator(OperatorError),
    Plan(String),
}

impl From<RunnerError> for Fault {
    fn from(error: RunnerError) -> Fault {
        Fault::Runner(error)
    }
}

impl From<HostFault> for Fault {
    fn from(error: HostFault) -> Fault {
        Fault::Host(error)
    }
}

impl From<OperatorError> for Fault {
    fn from(error: OperatorError) -> Fault {
        Fault::Operator(error)
    }
}

impl From<Fault> for ActionEnd {
    fn from(fault: Fault) -> ActionEnd {
        match fault {
            Fault::Runner(RunnerError::Session(error)) if error.is_transport() => {
                ActionEnd::Unreachable(Reason::new(error.to_string()))
            }
            Fault::Runner(
                error @ RunnerError::Refused {
                    // Room can be made, and another attempt ends; what was delivered goes with a restart of the host, which
                    // may come between any two requests.
                    why: Refusal::Busy | Refusal::DiskFull | Refusal::Missing | Refusal::Unwritable,
                    ..
                },
            ) => ActionEnd::Temporary(Reason::new(error.to_string())),
            // Somebody ended the request: a restart of the host, when the connection has not noticed yet. What it was
            // about is looked for by the next attempt.
            Fault::Runner(error @ RunnerError::NoAnswer { .. }) => {
                ActionEnd::Temporary(Reason::new(error.to_string()))
            }
            // Nothing was started, and what becomes of this run its journal will tell.
            Fault::Runner(
                error @ RunnerError::Refused {
                    why: Refusal::Token, ..
                },
            ) => ActionEnd::Cancelled(Reason {
                untouched: true,
                ..Reason::new(error.to_string())
            }),
            // Somebody may make room before the next attempt.
            Fault::Runner(error @ RunnerError::Keep(_)) => {
                ActionEnd::Temporary(Reason::new(error.to_string()))
            }
            Fault::Runner(error) => ActionEnd::Failed(Reason::new(error.to_string())),
            Fault::Host(fault) if fault.is_transient() => {
                ActionEnd::Unreachable(Reason::new(fault.to_string()))
            }
            Fault::Host(fault) => ActionEnd::Failed(Reason::new(fault.to_string())),
            Fault::Operator(error) if error.temporary => ActionEnd::Temporary(Reason::new(error.message)),
            Fault::Operator(error) => ActionEnd::Failed(Reason::new(error.message)),
            Fault::Plan(why) => ActionEnd::Failed(Reason::new(why)),
        }
    }
}

/// A verb that was run by itself.
#[derive(Clone, Debug)]
pub struct Exercised {
    /// What became of it.
    pub state: AttemptState,
    /// The last lines of its stdout.
    pub stdout: Vec<String>,
    /// The last lines of its stderr.
    pub stderr: Vec<String>,
}

/// One action on its host.
struct Job<'a> {
    call: &'a ActionCall,
    host: &'a Host,
    runner: HostRunner,
    name: ActionName,
}

/// A verb that has ended.
struct Ran {
    attempt: Attempt,
    report: Report,
    stderr: Vec<String>,
    said: Vec<String>,
}

impl Remote {
    /// An executor. Nothing is connected yet.
    pub fn new(parts: Parts) -> Remote {
        Remote {
            hosts: Arc::new(Hosts::new(
                &parts.spec,
                &parts.digest,
                parts.pool,
                parts.settings,
                Some(parts.token),
            )),
            spec: parts.spec,
            token: parts.token,
            operator: parts.operator,
            log: parts.log,
            secrets: parts.secrets,
            current: Mutex::default(),
        }
    }

    /// Puts the runner on every host of the plan, which refuses lower tokens from then on: whoever had the cluster before
    /// gets nothing started any more, wherever he wakes up.
    pub async fn fence(&self) -> Vec<(String, Result<(), HostFault>)> {
        self.hosts.fence(&self.spec).await
    }

    /// The bytes of an output that lies on a host.
    ///
    /// # Errors
    ///
    /// One sentence when it cannot be had, or is not what was recorded, or is larger than `most`.
    pub async fn fetch(&self, file: &FileOutput, most: u64) -> Result<Vec<u8>, String> {
        if file.size.0 > most {
            return Err(format!(
                "{} has {} bytes, and {most} are allowed",
                file.path, file.size.0
            ));
        }
        let mut bytes = Vec::new();
        self.copy(file, &mut bytes).await?;
        Ok(bytes)
    }

    /// Copies an output that lies on a host into a writer.
    ///
    /// # Errors
    ///
    /// One sentence.
    pub async fn copy(&self, file: &FileOutput, to: &mut (dyn std::io::Write + Send)) -> Result<(), String> {
        let host = self
            .spec
            .hosts
            .iter()
            .find(|host| host.id == file.host)
            .ok_or_else(|| format!("{} is no host of this plan", file.host))?;
        let runner = self.hosts.runner(host).await.map_err(|error| error.to_string())?;
        carry::copy(&runner, file, to)
            .await
            .map_err(|error| error.to_string())
    }

    /// Runs one verb of an action by itself, as attempt `number` of that verb, and with another script than the plan's where
    /// one is given. For whoever looks closer at scripts than a run does.
    ///
    /// # Errors
    ///
    /// When it could not be run at all.
    pub async fn exercise(
        &self,
        call: &ActionCall,
        verb: Verb,
        number: u32,
        script: Option<&str>,
    ) -> Result<Exercised, Reason> {
        let one = async {
            let host = call
                .at()
                .ok_or_else(|| Fault::Plan(format!("{} runs on the operator's machine", call.id())))?;
            let script = script
                .or_else(|| call.script())
                .ok_or_else(|| Fault::Plan(format!("the plan has no script for {}", call.step().id)))?;
            let job = self.job(call, host, script).await?;
            self.verb(&job, verb, number).await
        };
        match one.await {
            Ok(ran) => Ok(Exercised {
                state: ran.report.state,
                stdout: ran.said,
                stderr: ran.stderr,
            }),
            Err(fault) => match ActionEnd::from(fault) {
                ActionEnd::Unreachable(reason)
                | ActionEnd::Temporary(reason)
                | ActionEnd::Failed(reason)
                | ActionEnd::NotAsPlanned(reason)
                | ActionEnd::CannotTell(reason)
                | ActionEnd::StillRunning(reason)
                | ActionEnd::Cancelled(reason) => Err(reason),
                ActionEnd::Done(_) => Err(Reason::new("it ended before it began")),
            },
        }
    }

    fn note(&self, call: &ActionCall, attempt: Option<&Attempt>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        match attempt {
            Some(attempt) => current.insert(call.id().to_owned(), attempt.clone()),
            None => current.remove(call.id()),
        };
    }

    /// Puts everything on the host that the script needs.
    async fn job<'a>(&self, call: &'a ActionCall, host: &'a Host, script: &str) -> Result<Job<'a>, Fault> {
        let runner = self.hosts.runner(host).await?;
        runner.deliver_scripts(&[script.as_bytes()]).await?;
        let mut params = call.inputs.env.clone();
        for (name, delivery) in &call.inputs.files {
            let path = self.deliver(&runner, host, delivery, call.verb).await?;
            params.insert(name.clone(), path);
        }
        let task = Task {
            script: sha256(script.as_bytes()),
            params,
            secrets: call.inputs.secrets.keys().cloned().collect(),
            timeout: Duration::from_secs(u64::from(call.step().timeout_s)),
            cancel: call.step().cancel,
        };
        let name = ActionName::new(&call.host().id, &call.step().id);
        runner.prepare(&name, &task).await?;
        Ok(Job {
            call,
            host,
            runner,
            name,
        })
    }

    /// Brings a file to the host; its path there.
    async fn deliver(
        &self,
        runner: &HostRunner,
        host: &Host,
        delivery: &Delivery,
        way: Way,
    ) -> Result<String, Fault> {
        match delivery {
            Delivery::Output(file) if file.host == host.id => Ok(file.path.clone()),
            Delivery::Output(file) => {
                let hash = hex(&file.sha256);
                let bytes = if file.host.is_empty() {
                    self.operator.open(file).await?
                } else {
                    let from = self
                        .spec
                        .hosts
                        .iter()
                        .find(|known| known.id == file.host)
                        .ok_or_else(|| Fault::Plan(format!("{} is no host of this plan", file.host)))?;
                    let from = self.hosts.runner(from).await?;
                    let mut spool = self.operator.spool()?;
                    carry::copy(&from, file, &mut spool).await?;
                    spool.rewind()?
                };
                carry::put(runner, &hash, &bytes, false).await?;
                Ok(runner.file_path(&hash))
            }
            Delivery::Asset { name } => {
                let asset = self
                    .spec
                    .assets
                    .iter()
                    .find(|asset| asset.name == *name)
                    .ok_or_else(|| Fault::Plan(format!("the plan has no asset {name}")))?;
                let hash = hex(&asset.digest);
                if way == Way::Undo {
                    // What was brought is there; what was not is nothing to undo with.
                    return Ok(runner.file_path(&hash));
                }
                let bytes = self.operator.asset(asset).await?;
                carry::put(runner, &hash, &bytes, asset.kind == "binary").await?;
                Ok(runner.file_path(&hash))
            }
            Delivery::Document {
                name,
                digest,
                secrets,
            } => {
                let text = self
                    .spec
                    .files
                    .get(digest)
                    .ok_or_else(|| Fault::Plan(format!("the plan has no bytes of {name}")))?;
                let text = if *secrets {
                    self.filled(name, text, way)?
                } else {
                    text.clone()
                };
                let hash = sha256(text.as_bytes());
                carry::put(runner, &hash, &Fetched::Bytes(text.into_bytes()), false).await?;
                Ok(runner.file_path(&hash))
            }
        }
    }

    /// A document with its secrets.
    fn filled(&self, name: &str, text: &str, way: Way) -> Result<String, Fault> {
        let mut whole = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(SECRET_PLACEHOLDER) {
            whole.push_str(&rest[..at]);
            rest = &rest[at + SECRET_PLACEHOLDER.len()..];
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c))
                .unwrap_or(rest.len());
            let name_of = &rest[..end];
            let Some(secret) = self.secrets.get(name_of) else {
                let on_host = self
                    .spec
                    .secrets
                    .iter()
                    .any(|secret| secret.name == name_of && secret.from.starts_with("host:"));
                // A way back needs no secrets: nobody should have to look for them then.
                if !on_host && way == Way::Run {
                    return Err(Fault::Plan(format!(
                        "{name} needs the secret {name_of}, which is not there"
                    )));
                }
                // It lies on the host, and the script puts it in.
                whole.push_str(SECRET_PLACEHOLDER);
                whole.push_str(name_of);
                rest = &rest[end..];
                continue;
            };
            let value = std::str::from_utf8(secret.expose())
                .map_err(|_| Fault::Plan(format!("the secret {name_of} for {name} is not UTF-8")))?;
            whole.push_str(value);
            rest = &rest[end..];
        }
        whole.push_str(rest);
        Ok(whole)
    }

    /// Runs one verb to its end, or attends to one that has begun.
    async fn verb(&self, job: &Job<'_>, verb: Verb, number: u32) -> Result<Ran, Fault> {
        let attempt = Attempt {
            action: job.name.clone(),
            verb,
            number,
        };
        self.note(job.call, Some(&attempt));
        let result = self.follow(job, &attempt).await;
        self.note(job.call, None);
        result
    }

    async fn follow(&self, job: &Job<'_>, attempt: &Attempt) -> Result<Ran, Fault> {
        let secrets: BTreeMap<String, &[u8]> = job
            .call
            .inputs
            .secrets
            .iter()
            .map(|(name, secret)| (name.clone(), secret.expose()))
            .collect();
        // An attempt that the host knows gets no secrets again: they would be left behind.
        if !secrets.is_empty() && job.runner.wait(attempt, 0).await?.state == AttemptState::Unknown {
            job.runner.put_secrets(attempt, &secrets).await?;
        }
        let mut lines = Lines::new(job, attempt, &*self.log);
        let mut report = job.runner.start(attempt, self.token, LOOK_S).await?;
        job.call.heard();
        while report.state == AttemptState::Running {
            // While nothing reads, the host keeps what is printed: nothing blocks.
            lines.fetch(job, attempt, false).await?;
            report = job.runner.wait(attempt, LOOK_S).await?;
            job.call.heard();
        }
        lines.fetch(job, attempt, true).await?;
        let (said, stderr) = lines.tails();
        Ok(Ran {
            attempt: attempt.clone(),
            report,
            stderr,
            said,
        })
    }

    async fn forward(&self, job: &Job<'_>) -> Result<ActionEnd, Fault> {
        let call = job.call;
        let step = call.step();
        // Each attempt of the engine has room for three probes.
        let probe = |which: u32| call.attempt * 4 + which;
        let begun = Attempt {
            action: job.name.clone(),
            verb: Verb::Run,
            number: call.attempt,
        };
        let known = call.doubtful() && job.runner.wait(&begun, 0).await?.state != AttemptState::Unknown;
        if !known {
            if !call.inputs.missing.is_empty() {
                return Ok(ActionEnd::Cancelled(Reason {
                    untouched: true,
                    ..Reason::new(
                        "it had not begun, and what it needs went with the memory of the run that was killed",
                    )
                }));
            }
            if !step.repeatable {
                let ran = self.verb(job, Verb::Probe, probe(0)).await?;
                if let Some(end) = cut_off(&ran) {
                    return Ok(end);
                }
                match verdict(&ran) {
                    // What it hands on is only to be had by running it once more, which does no harm.
                    Verdict::Done if step.outputs.is_empty() => return Ok(ActionEnd::Done(BTreeMap::new())),
                    Verdict::Done | Verdict::NotDone | Verdict::Partly => {}
                    Verdict::CannotTell => {
                        return Ok(ActionEnd::CannotTell(reason(
                            "its probe cannot tell whether it is done",
                            &ran,
                        )));
                    }
                }
            }
        }
        let ran = self.verb(job, Verb::Run, call.attempt).await?;
        let outcome = match &ran.report.state {
            AttemptState::Ended(ended) => ended.outcome(),
            AttemptState::Lost(Lost::NeverStarted) => {
                return Ok(ActionEnd::Temporary(Reason {
                    untouched: true,
                    ..Reason::new("it did not start on its host")
                }));
            }
            AttemptState::Lost(_) | AttemptState::Running | AttemptState::Unknown => {
                return self.after_loss(job, &ran, probe(2)).await;
            }
        };
        match outcome {
            Outcome::Done => {}
            Outcome::Temporary => {
                return Ok(ActionEnd::Temporary(reason(
                    "it says that it may work later",
                    &ran,
                )));
            }
            Outcome::NotAsAssumed => {
                return Ok(ActionEnd::NotAsPlanned(reason(
                    "the host is not as the plan took it to be",
                    &ran,
                )));
            }
            Outcome::Cancelled => {
                return Ok(ActionEnd::Cancelled(reason("it was cancelled on its host", &ran)));
            }
            Outcome::NotRun => {
                return Ok(ActionEnd::Temporary(reason(
                    "it could not be run on its host",
                    &ran,
                )));
            }
            Outcome::Failed(status) => {
                let mut why = reason(&format!("it failed with status {status}"), &ran);
                if let Ok(after) = self.verb(job, Verb::Probe, probe(2)).await {
                    why.untouched = verdict(&after) == Verdict::NotDone;
                }
                return Ok(ActionEnd::Failed(why));
            }
        }
        if let Some(end) = self.verified(job, probe(1)).await? {
            return Ok(end);
        }
        Ok(ActionEnd::Done(self.outputs(job, &ran).await?))
    }

    /// The runner or the host died under it: only the probe can tell what it did.
    async fn after_loss(&self, job: &Job<'_>, ran: &Ran, number: u32) -> Result<ActionEnd, Fault> {
        let why = match ran.report.state {
            AttemptState::Lost(Lost::Reboot) => "its host was restarted while it ran",
            _ => "it was killed on its host",
        };
        let after = self.verb(job, Verb::Probe, number).await?;
        Ok(match verdict(&after) {
            Verdict::CannotTell => ActionEnd::CannotTell(reason(
                &format!("{why}, and its probe cannot tell what it did"),
                &after,
            )),
            verdict => ActionEnd::Temporary(Reason {
                untouched: verdict == Verdict::NotDone,
                ..reason(why, ran)
            }),
        })
    }

    /// Whether what ran did what it should; `None` when it did.
    async fn verified(&self, job: &Job<'_>, number: u32) -> Result<Option<ActionEnd>, Fault> {
        if !has_verify(job.call.script().unwrap_or_default()) {
            // What only reads leaves nothing behind that a probe could find.
            if job.call.step().effect == Effect::Reads {
                return Ok(None);
            }
            let ran = self.verb(job, Verb::Probe, number).await?;
            if let Some(end) = cut_off(&ran) {
                return Ok(Some(end));
            }
            return Ok(match verdict(&ran) {
                Verdict::Done => None,
                Verdict::CannotTell => Some(ActionEnd::CannotTell(reason(
                    "it ran, and its probe cannot tell whether it is done",
                    &ran,
                ))),
                Verdict::NotDone | Verdict::Partly => Some(ActionEnd::Failed(reason(
                    "it ran, and its probe says that it is not done",
                    &ran,
                ))),
            });
        }
        let ran = self.verb(job, Verb::Verify, job.call.attempt).await?;
        Ok(match &ran.report.state {
            AttemptState::Ended(ended) => match ended.outcome() {
                Outcome::Done => None,
                Outcome::Temporary | Outcome::NotRun => Some(ActionEnd::Temporary(reason(
                    "it ran, and could not be verified yet",
                    &ran,
                ))),
                Outcome::NotAsAssumed => Some(ActionEnd::NotAsPlanned(reason(
                    "it ran, and the host is not as the plan took it to be",
                    &ran,
                ))),
                Outcome::Cancelled => Some(ActionEnd::Cancelled(reason(
                    "its verification was cancelled",
                    &ran,
                ))),
                Outcome::Failed(status) => Some(ActionEnd::Failed(reason(
                    &format!("it ran, and its verification failed with status {status}"),
                    &ran,
                ))),
            },
            _ => Some(ActionEnd::Temporary(reason(
                "it ran, and its verification was lost",
                &ran,
            ))),
        })
    }

    async fn outputs(&self, job: &Job<'_>, ran: &Ran) -> Result<BTreeMap<String, OutputValue>, Fault> {
        let mut values = BTreeMap::new();
        for (name, output) in &job.call.step().outputs {
            let value = match output.kind {
                OutputKind::Value => {
                    let most = VALUE_LIMIT as u64 + 1;
                    let bytes = job
                        .runner
                        .read_value(&ran.attempt, &ran.report, name, most)
                        .await?;
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    OutputValue::Value(text.strip_suffix('\n').unwrap_or(&text).to_owned())
                }
                OutputKind::Secret => {
                    let bytes = job
                        .runner
                        .read_value(&ran.attempt, &ran.report, name, SECRET_LIMIT)
                        .await?;
                    OutputValue::Secret(Secret::new(bytes))
                }
                OutputKind::File => {
                    let Some(file) = ran.report.outputs.get(name) else {
                        // The engine says that it is missing.
                        continue;
                    };
                    OutputValue::File(FileOutput {
                        host: job.host.id.clone(),
                        path: job.runner.output_path(&ran.attempt, name),
                        size: crate::model::Bytes(file.size),
                        sha256: format!("sha256:{}", file.sha256),
                    })
                }
            };
            values.insert(name.clone(), value);
        }
        Ok(values)
    }

    async fn back(&self, job: &Job<'_>) -> Result<ActionEnd, Fault> {
        let step = job.call.step();
        if step.undo.kind != UndoKind::Script {
            return Ok(ActionEnd::Done(BTreeMap::new()));
        }
        let ran = self.verb(job, Verb::Undo, job.call.attempt).await?;
        let AttemptState::Ended(ended) = &ran.report.state else {
            return Ok(ActionEnd::Temporary(reason(
                "its undo was killed on its host",
                &ran,
            )));
        };
        match ended.outcome() {
            Outcome::Done => {}
            Outcome::Temporary | Outcome::NotRun => {
                return Ok(ActionEnd::Temporary(reason(
                    "its undo says that it may work later",
                    &ran,
                )));
            }
            Outcome::NotAsAssumed => {
                return Ok(ActionEnd::NotAsPlanned(reason(
                    "its undo finds the host other than it was left",
                    &ran,
                )));
            }
            Outcome::Cancelled => return Ok(ActionEnd::Cancelled(reason("its undo was cancelled", &ran))),
            Outcome::Failed(status) => {
                return Ok(ActionEnd::Failed(reason(
                    &format!("its undo failed with status {status}"),
                    &ran,
                )));
            }
        }
        if step.effect == Effect::Reads {
            return Ok(ActionEnd::Done(BTreeMap::new()));
        }
        let number = job.call.attempt * 4 + 3;
        let after = self.verb(job, Verb::Probe, number).await?;
        if let Some(end) = cut_off(&after) {
            return Ok(end);
        }
        Ok(match verdict(&after) {
            Verdict::NotDone => ActionEnd::Done(BTreeMap::new()),
            Verdict::Done | Verdict::Partly => ActionEnd::Failed(reason(
                "its undo ran, and its probe says that it is not undone",
                &after,
            )),
            Verdict::CannotTell => ActionEnd::CannotTell(reason(
                "its undo ran, and its probe cannot tell whether it is undone",
                &after,
            )),
        })
    }

    async fn on_host(&self, call: &ActionCall, host: &Host) -> Result<ActionEnd, Fault> {
        let script = call
            .script()
            .ok_or_else(|| Fault::Plan(format!("the plan has no script for {}", call.step().id)))?;
        let job = self.job(call, host, script).await?;
        match call.verb {
            Way::Run => self.forward(&job).await,
            Way::Undo => self.back(&job).await,
        }
    }
}

impl Executor for Remote {
    fn execute<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ActionEnd> {
        Box::pin(async move {
            match call.at() {
                Some(host) => self.on_host(call, host).await.unwrap_or_else(ActionEnd::from),
                None => self.operator.perform(call, self).await,
            }
        })
    }

    fn cancel<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ()> {
        Box::pin(async move {
            let current = {
                let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
                current.get(call.id()).cloned()
            };
            // What an earlier run started is known by its number alone: that process may be gone.
            let attempt = current.unwrap_or_else(|| Attempt {
                action: ActionName::new(&call.host().id, &call.step().id),
                verb: match call.verb {
                    Way::Run => Verb::Run,
                    Way::Undo => Verb::Undo,
                },
                number: call.attempt,
            });
            if let Some(host) = call.at()
                && let Ok(runner) = self.hosts.runner(host).await
            {
                // What became of it, the next probe says.
                let _ = match call.step().cancel {
                    Cancel::Never => runner.ended(&attempt).await,
                    _ => runner.cancel(&attempt, self.token).await,
                };
            }
            self.note(call, None);
        })
    }
}

fn verdict(ran: &Ran) -> Verdict {
    match &ran.report.state {
        AttemptState::Ended(ended) => ended.verdict(),
        _ => Verdict::CannotTell,
    }
}

/// A probe that was killed, or went with its host, has not answered: it is asked again. That is no probe that cannot tell.
fn cut_off(ran: &Ran) -> Option<ActionEnd> {
    /// The shell's status for what a signal ended begins above this.
    const BY_SIGNAL: u32 = 128;
    let cut_off = match &ran.report.state {
        AttemptState::Lost(_) => true,
        AttemptState::Ended(ended) => ended.how == How::Exited && ended.status > BY_SIGNAL,
        AttemptState::Unknown | AttemptState::Running => false,
    };
    cut_off.then(|| ActionEnd::Temporary(reason("its probe was killed on its host", ran)))
}

/// What is told of a verb that did not end well: the last of what it wrote for people.
fn reason(message: &str, ran: &Ran) -> Reason {
    let status = match &ran.report.state {
        AttemptState::Ended(ended) => Some(ended.status),
        _ => None,
    };
    Reason {
        message: message.to_owned(),
        status,
        stderr: if ran.stderr.is_empty() {
            ran.said.clone()
        } else {
            ran.stderr.clone()
        },
        untouched: false,
        common: false,
    }
}

/// Whether a script has the function `verify`.
fn has_verify(script: &str) -> bool {
    script.lines().any(|line| {
        line.strip_prefix("verify")
            .is_some_and(|rest| rest.trim_start().starts_with("()"))
    })
}

/// What a verb prints, as it comes.
struct Lines<'a> {
    call: &'a ActionCall,
    log: &'a dyn HostLog,
    host: String,
    label: String,
    streams: [Tail; 2],
    /// Probes and verifications are read, and not shown as they come.
    shown: bool,
}

#[derive(Default)]
struct Tail {
    offset: u64,
    part: Vec<u8>,
    last: std::collections::VecDeque<String>,
}

impl<'a> Lines<'a> {
    fn new(job: &Job<'a>, attempt: &Attempt, log: &'a dyn HostLog) -> Lines<'a> {
        Lines {
            call: job.call,
            log,
            host: job.host.id.clone(),
            label: attempt.to_string(),
            streams: [Tail::default(), Tail::default()],
            shown: attempt.verb != Verb::Probe,
        }
    }

    async fn fetch(&mut self, job: &Job<'_>, attempt: &Attempt, end: bool) -> Result<(), RunnerError> {
        for (at, stream) in [(0, crate::ssh::Stream::Stdout), (1, crate::ssh::Stream::Stderr)] {
            loop {
                let offset = self.streams[at].offset;
                let (bytes, total) = job
                    .runner
                    .read_output(attempt, stream, offset, 256 * 1024)
                    .await?;
                self.streams[at].offset += bytes.len() as u64;
                let seen = self.streams[at].offset;
                let empty = bytes.is_empty();
                self.take(at, &bytes);
                if empty || seen >= total {
                    break;
                }
            }
            if end {
                let part = std::mem::take(&mut self.streams[at].part);
                if !part.is_empty() {
                    self.line(at, &part);
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, at: usize, bytes: &[u8]) {
        let stream = if at == 0 { Stream::Stdout } else { Stream::Stderr };
        if bytes.is_empty() {
            return;
        }
        self.log.write(&self.host, &self.label, stream, bytes);
        let mut part = std::mem::take(&mut self.streams[at].part);
        part.extend_from_slice(bytes);
        let mut rest = part.as_slice();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = rest[..end].to_vec();
            rest = &rest[end + 1..];
            self.line(at, &line);
        }
        // A line without an end must not grow without bound.
        let keep = rest.len().min(64 * 1024);
        self.streams[at].part = rest[..keep].to_vec();
    }

    fn line(&mut self, at: usize, bytes: &[u8]) {
        let text = crate::ssh::output::clean(bytes);
        let tail = &mut self.streams[at].last;
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(text.clone());
        if self.shown {
            let stream = if at == 0 { Stream::Stdout } else { Stream::Stderr };
            self.call.output(stream, &text);
            if at == 0 {
                self.call.seen(&text);
            }
        }
    }

    fn tails(self) -> (Vec<String>, Vec<String>) {
        let [out, err] = self.streams;
        (out.last.into(), err.last.into())
    }
}

#[cfg(test)]
mod tests;
