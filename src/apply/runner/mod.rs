//! Client of the host-side runner (`plans/upgrade/runner.sh`): scripts run on hosts whether or not we stay connected.
//!
//! Every request can be repeated without harm, so a lost connection is answered by asking again: what ran goes on, and an
//! attempt that was started before is not started twice. What the host has recorded is the truth about what happened
//! there; nothing here guesses.

mod answer;
mod claim;
mod names;
mod state;
mod task;

pub use answer::{Refusal, RunnerError};
pub use claim::{Ask, Claim, Claimed, Heard, HolderEnd, Phase, Taken};
pub use names::{ActionName, Attempt, Token, Verb};
pub use state::{AttemptState, Ended, HostState, How, Kept, Lost, Outcome, OutputFile, Report, Verdict};
pub use task::{Detach, Settings, Task, TaskError};

use crate::model::Cancel;
use crate::ssh::sudo::Privilege;
use crate::ssh::transfer::{TransferError, Upload, upload};
use crate::ssh::{Exec, Fut, Input, KEEP, Session};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::time::{sleep, timeout};

/// Seconds that one request waits on the host for the end of an attempt.
const POLL_S: u32 = 20;

/// What a request may take beyond what it waits for on the host.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

/// Bytes of a file that one request brings.
const PIECE: u64 = 1024 * 1024;

/// How often a request is repeated when the connection is lost, and the pauses between. Opening connections again, with
/// pauses of its own, is the pool's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Repetitions in a row.
    pub repeats: u32,
    /// Pause before the first; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            repeats: 10,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(15),
        }
    }
}

/// Opens what is to be sent, from its beginning: a second time when the connection was lost.
pub type Open<'a> =
    dyn Fn() -> Fut<'static, io::Result<Box<dyn AsyncRead + Send + Unpin>>> + Send + Sync + 'a;

/// The content of a file to deliver.
pub enum Content<'a> {
    /// Bytes in memory.
    Bytes(&'a [u8]),
    /// Anything that can be opened and read.
    Reader(&'a Open<'a>),
}

/// The runner of one host.
pub struct HostRunner {
    session: Arc<dyn Session>,
    privilege: Privilege,
    root: String,
    program: Arc<str>,
    settings: Settings,
    patience: Patience,
    delivered: Arc<Delivered>,
}

/// What is known to be on a host: paths with the hashes of what lies there.
#[derive(Debug, Default)]
pub struct Delivered(Mutex<BTreeSet<(String, String)>>);

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

impl HostRunner {
    /// The runner in the directory `root` (`/var/lib/mkectl/<first 16 digits of the plan's digest>`). `program` is the text
    /// of `runner.sh`. A [`crate::ssh::pool::Lease`] is a session that reconnects.
    pub fn new(
        session: Arc<dyn Session>,
        privilege: Privilege,
        root: impl Into<String>,
        program: Arc<str>,
        settings: Settings,
    ) -> HostRunner {
        HostRunner {
            session,
            privilege,
            root: root.into(),
            program,
            settings,
            patience: Patience::default(),
            delivered: Arc::default(),
        }
    }

    /// The same, with what an earlier runner of the same host and directory knew to be there.
    #[must_use]
    pub fn knowing(mut self, delivered: Arc<Delivered>) -> HostRunner {
        self.delivered = delivered;
        self
    }

    /// The same with this patience.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> HostRunner {
        self.patience = patience;
        self
    }

    /// The directory of the plan on the host.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// Path of a delivered file on the host, for a parameter.
    pub fn file_path(&self, sha256: &str) -> String {
        format!("{}/files/{sha256}", self.root)
    }

    /// Path of an output on the host that made it.
    pub fn output_path(&self, attempt: &Attempt, name: &str) -> String {
        let Attempt { action, verb, number } = attempt;
        format!(
            "{}/actions/{action}/{}.{number}/out/{name}",
            self.root,
            verb.name()
        )
    }

    /// Makes the directory, closed to others, and puts the runner into it unless this very one is there.
    pub async fn bootstrap(&self) -> Result<(), RunnerError> {
        let words = self.privilege.words(["install", "-d", "-m", "0700", &self.root]);
        let mut lost = 0;
        loop {
            let result = async {
                let ran = self.session.exec(Exec::new(words.clone())).await?;
                if !ran.success() {
                    if self.privilege == Privilege::Sudo
                        && let Some(fault) = crate::ssh::sudo::classify(&ran)
                    {
                        return Err(RunnerError::Sudo(fault));
                    }
                    return Err(RunnerError::NoAnswer {
                        call: "install",
                        why: format!("{}: {}", ran.ending(), ran.complaint()),
                    });
                }
                let file = Upload::bytes(format!("{}/runner", self.root), 0o700, self.program.as_bytes());
                upload(&*self.session, self.privilege, file).await?;
                Ok(())
            }
            .await;
            match result {
                Err(RunnerError::Session(error) | RunnerError::Install(TransferError::Session(error)))
                    if error.is_transport() && lost < self.patience.repeats =>
                {
                    self.pause(lost).await;
                    lost += 1;
                }
                result => return result,
            }
        }
    }

    /// Puts scripts on the host, those that are not there yet.
    pub async fn deliver_scripts(&self, scripts: &[&[u8]]) -> Result<(), RunnerError> {
        let files: Vec<(String, String, Content<'_>)> = scripts
            .iter()
            .map(|bytes| {
                let hash = sha256(bytes);
                (format!("scripts/{hash}.sh"), hash, Content::Bytes(bytes))
            })
            .collect();
        self.deliver(&files, "0600").await
    }

    /// Puts files on the host, those that are not there yet. `executable` for programs. See [`HostRunner::file_path`].
    pub async fn deliver_files(
        &self,
        files: Vec<(String, Content<'_>)>,
        executable: bool,
    ) -> Result<(), RunnerError> {
        let files: Vec<(String, String, Content<'_>)> = files
            .into_iter()
            .map(|(hash, content)| (format!("files/{hash}"), hash, content))
            .collect();
        self.deliver(&files, if executable { "0700" } else { "0600" })
            .await
    }

    async fn deliver(&self, files: &[(String, String, Content<'_>)], mode: &str) -> Result<(), RunnerError> {
        let mut ask = String::new();
        for (path, hash, _) in files {
            task::check_hash(hash)?;
            if !self.knows(path, hash) {
                ask.push_str(&format!("{hash} {path}\n"));
            }
        }
        if ask.is_empty() {
            return Ok(());
        }
        let body = self
            .call(
                "missing",
                &[],
                Some(&Content::Bytes(ask.as_bytes())),
                ask.len() + KEEP,
                None,
            )
            .await?;
        let text = answer::lines("missing", &body)?;
        let missing: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("missing "))
            .collect();
        for (path, hash, content) in files {
            if missing.contains(path.as_str()) {
                self.put(path, mode, hash, content).await?;
            }
            self.learn(path, hash);
        }
        Ok(())
    }

    fn knows(&self, path: &str, hash: &str) -> bool {
        let delivered = self.delivered.0.lock().unwrap_or_else(PoisonError::into_inner);
        delivered.contains(&(path.to_owned(), hash.to_owned()))
    }

    /// One path holds one file.
    fn learn(&self, path: &str, hash: &str) {
        let mut delivered = self.delivered.0.lock().unwrap_or_else(PoisonError::into_inner);
        delivered.retain(|(known, _)| known != path);
        delivered.insert((path.to_owned(), hash.to_owned()));
    }

    async fn put(
        &self,
        path: &str,
        mode: &str,
        hash: &str,
        content: &Content<'_>,
    ) -> Result<(), RunnerError> {
        let words = [path.to_owned(), mode.to_owned(), hash.to_owned()];
        let body = self.call("put", &words, Some(content), KEEP, None).await?;
        answer::lines("put", &body).map(drop)
    }

    /// Puts what an action needs on the host, if it is not there: once for all its verbs and attempts.
    pub async fn prepare(&self, action: &ActionName, task: &Task) -> Result<(), RunnerError> {
        let files = [("env", task.env()?), ("conf", task.conf(&self.settings)?)];
        for (name, text) in files {
            let path = format!("actions/{action}/{name}");
            let hash = sha256(text.as_bytes());
            if !self.knows(&path, &hash) {
                self.put(&path, "0600", &hash, &Content::Bytes(text.as_bytes()))
                    .await?;
                self.learn(&path, &hash);
            }
        }
        Ok(())
    }

    /// Puts the secrets of an attempt into the host's memory. They are removed when it ends.
    pub async fn put_secrets(
        &self,
        attempt: &Attempt,
        secrets: &BTreeMap<String, impl AsRef<[u8]>>,
    ) -> Result<(), RunnerError> {
        for (name, value) in secrets {
            task::check_param(name)?;
            let Attempt { action, verb, number } = attempt;
            let path = format!("secrets/{action}/{}.{number}/{name}", verb.name());
            let value = value.as_ref();
            // The hash too goes over standard input: in an argument it would let others try out short secrets.
            let mut bytes = sha256(value).into_bytes();
            bytes.push(b'\n');
            bytes.extend_from_slice(value);
            self.put(&path, "0600", "-", &Content::Bytes(&bytes)).await?;
        }
        Ok(())
    }

    /// Starts an attempt, unless it was started before, and waits up to `seconds` (9999 at most) for its end.
    pub async fn start(&self, attempt: &Attempt, token: Token, seconds: u32) -> Result<Report, RunnerError> {
        let mut words = attempt.words().to_vec();
        words.extend([token.number().to_string(), seconds.min(9999).to_string()]);
        self.report("start", &words, seconds).await
    }

    /// Waits up to `seconds` (9999 at most) for the end of an attempt.
    pub async fn wait(&self, attempt: &Attempt, seconds: u32) -> Result<Report, RunnerError> {
        let mut words = attempt.words().to_vec();
        words.push(seconds.min(9999).to_string());
        self.report("wait", &words, seconds).await
    }

    /// Ends an attempt: TERM, the grace of the settings, KILL. Answers with what became of it.
    pub async fn cancel(&self, attempt: &Attempt, token: Token) -> Result<Report, RunnerError> {
        let mut words = attempt.words().to_vec();
        words.push(token.number().to_string());
        self.report("cancel", &words, self.settings.grace_s.saturating_add(20))
            .await
    }

    /// Waits until an attempt does not run, for as long as that takes. Answers with what became of it.
    pub async fn ended(&self, attempt: &Attempt) -> Result<Report, RunnerError> {
        loop {
            let report = self.wait(attempt, POLL_S).await?;
            if report.state != AttemptState::Running {
                return Ok(report);
            }
        }
    }

    /// Runs an attempt to its end: prepares, starts or attaches, follows. Scripts and files were delivered before. An
    /// attempt that is known to the host is not started again, and its secrets are not sent again.
    pub async fn perform(
        &self,
        attempt: &Attempt,
        task: &Task,
        secrets: &BTreeMap<String, impl AsRef<[u8]>>,
        token: Token,
    ) -> Result<Report, RunnerError> {
        self.prepare(&attempt.action, task).await?;
        let fresh = secrets.is_empty() || self.wait(attempt, 0).await?.state == AttemptState::Unknown;
        if fresh {
            self.put_secrets(attempt, secrets).await?;
        }
        let report = self.start(attempt, token, POLL_S).await?;
        self.follow(attempt, task, report).await
    }

    /// Waits for the end of an attempt, for as long as the runner may let it go on.
    pub async fn follow(
        &self,
        attempt: &Attempt,
        task: &Task,
        mut report: Report,
    ) -> Result<Report, RunnerError> {
        let end = async {
            while report.state == AttemptState::Running {
                report = self.wait(attempt, POLL_S).await?;
            }
            Ok(report)
        };
        if task.cancel == Cancel::Never {
            return end.await;
        }
        let grace = Duration::from_secs(u64::from(self.settings.grace_s));
        match timeout(task.timeout + 2 * grace + ANSWER_LIMIT, end).await {
            Ok(result) => result,
            Err(_) => Err(RunnerError::Overdue(attempt.to_string())),
        }
    }

    /// Bytes of `stdout` or `stderr` from `offset` on, at most `PIECE`, and how many there are.
    pub async fn read_output(
        &self,
        attempt: &Attempt,
        stream: crate::ssh::Stream,
        offset: u64,
        length: u64,
    ) -> Result<(Vec<u8>, u64), RunnerError> {
        let what = match stream {
            crate::ssh::Stream::Stdout => "stdout",
            crate::ssh::Stream::Stderr => "stderr",
        };
        self.read(attempt, what, offset, length).await
    }

    async fn read(
        &self,
        attempt: &Attempt,
        what: &str,
        offset: u64,
        length: u64,
    ) -> Result<(Vec<u8>, u64), RunnerError> {
        let length = length.min(PIECE);
        let mut words = attempt.words().to_vec();
        words.extend([what.to_owned(), offset.to_string(), length.to_string()]);
        let keep = usize::try_from(length).unwrap_or(usize::MAX / 4) * 2 + 4 * KEEP;
        let body = self.call("read", &words, None, keep, Some(ANSWER_LIMIT)).await?;
        answer::data("read", &body)
    }

    /// An output in memory, checked against the hash that the runner recorded. Longer ones than `most` are refused.
    pub async fn read_value(
        &self,
        attempt: &Attempt,
        report: &Report,
        name: &str,
        most: u64,
    ) -> Result<Vec<u8>, RunnerError> {
        let mut bytes = Vec::new();
        let file = self.recorded(attempt, report, name)?;
        if file.size > most {
            return Err(RunnerError::NoOutput {
                attempt: attempt.to_string(),
                name: name.to_owned(),
                why: format!("it has {} bytes, and {most} are allowed", file.size),
            });
        }
        self.copy_output(attempt, report, name, &mut bytes).await?;
        Ok(bytes)
    }

    /// Copies an output into a writer, checked against the hash that the runner recorded; a lost connection goes on where
    /// it was.
    pub async fn copy_output(
        &self,
        attempt: &Attempt,
        report: &Report,
        name: &str,
        writer: &mut (dyn io::Write + Send),
    ) -> Result<(), RunnerError> {
        let file = self.recorded(attempt, report, name)?;
        self.copy_recorded(attempt, name, file.size, &file.sha256, writer)
            .await
    }

    /// Copies an output by its path on the host, as [`HostRunner::output_path`] gave it, into a writer; it must have this
    /// size and hash.
    pub async fn copy_file(
        &self,
        path: &str,
        size: u64,
        sha256: &str,
        writer: &mut (dyn io::Write + Send),
    ) -> Result<(), RunnerError> {
        let (attempt, name) = Attempt::of_output(&self.root, path).ok_or_else(|| RunnerError::NoOutput {
            attempt: path.to_owned(),
            name: String::new(),
            why: "this is not where outputs lie".to_owned(),
        })?;
        self.copy_recorded(&attempt, &name, size, sha256, writer).await
    }

    async fn copy_recorded(
        &self,
        attempt: &Attempt,
        name: &str,
        size: u64,
        sha256: &str,
        writer: &mut (dyn io::Write + Send),
    ) -> Result<(), RunnerError> {
        let (mut offset, mut hash) = (0, Sha256::new());
        while offset < size {
            let (piece, _) = self
                .read(attempt, &format!("out/{name}"), offset, size - offset)
                .await?;
            if piece.is_empty() {
                break;
            }
            hash.update(&piece);
            offset += piece.len() as u64;
            writer.write_all(&piece).map_err(RunnerError::Keep)?;
        }
        let found = HEXLOWER.encode(&hash.finalize());
        if found == sha256 {
            Ok(())
        } else {
            Err(RunnerError::Output {
                attempt: attempt.to_string(),
                name: name.to_owned(),
                expected: sha256.to_owned(),
                found,
            })
        }
    }

    fn recorded<'r>(
        &self,
        attempt: &Attempt,
        report: &'r Report,
        name: &str,
    ) -> Result<&'r OutputFile, RunnerError> {
        report.outputs.get(name).ok_or_else(|| RunnerError::NoOutput {
            attempt: attempt.to_string(),
            name: name.to_owned(),
            why: "the script did not write it".to_owned(),
        })
    }

    /// All that the host knows of this plan.
    pub async fn state(&self) -> Result<HostState, RunnerError> {
        let body = self
            .call("state", &[], None, 16 * 1024 * 1024, Some(ANSWER_LIMIT))
            .await?;
        let text = answer::lines("state", &body)?;
        state::parse_host(&text).ok_or_else(|| odd("state", &text))
    }

    /// From now on the host refuses lower tokens. Fails with [`Refusal::Token`] when it has seen a higher one.
    pub async fn fence(&self, token: Token) -> Result<Token, RunnerError> {
        let words = [token.number().to_string()];
        let body = self.call("fence", &words, None, KEEP, Some(ANSWER_LIMIT)).await?;
        let text = answer::lines("fence", &body)?;
        text.lines()
            .next()
            .and_then(state::parse_token)
            .ok_or_else(|| odd("fence", &text))
    }

    /// Removes what a broken run may have left: secrets of attempts that do not run, halves of uploads. Not while anything
    /// is being delivered.
    pub async fn sweep(&self) -> Result<(), RunnerError> {
        let body = self.call("sweep", &[], None, KEEP, Some(ANSWER_LIMIT)).await?;
        answer::lines("sweep", &body).map(drop)
    }

    async fn report(
        &self,
        call: &'static str,
        words: &[String],
        seconds: u32,
    ) -> Result<Report, RunnerError> {
        let limit = ANSWER_LIMIT + Duration::from_secs(u64::from(seconds));
        let body = self.call(call, words, None, 4 * KEEP, Some(limit)).await?;
        let text = answer::lines(call, &body)?;
        state::parse_report(&text).ok_or_else(|| odd(call, &text))
    }

    /// One request; again when the connection was lost, since every request can be repeated.
    async fn call(
        &self,
        call: &'static str,
        arguments: &[String],
        input: Option<&Content<'_>>,
        keep: usize,
        limit: Option<Duration>,
    ) -> Result<Vec<u8>, RunnerError> {
        let program = format!("{}/runner", self.root);
        let words = ["sh", &program, call]
            .into_iter()
            .chain(arguments.iter().map(String::as_str));
        let words = self.privilege.words(words);
        let mut lost = 0;
        loop {
            let stdin = match input {
                None => Input::None,
                Some(Content::Bytes(bytes)) => Input::Bytes(bytes),
                Some(Content::Reader(open)) => Input::Reader(open().await?),
            };
            let ending = self
                .session
                .exec(Exec::new(words.clone()).stdin(stdin).keep(keep));
            let result = match limit {
                // An answer that does not come is a connection that was lost and has not noticed.
                Some(limit) => timeout(limit, ending).await.ok(),
                None => Some(ending.await),
            };
            match result {
                Some(Ok(ran))
                    if ran.status.is_none() && ran.signal.is_none() && lost < self.patience.repeats => {}
                Some(Ok(ran)) => return answer::unwrap(call, &ran, self.privilege),
                Some(Err(error)) if error.is_transport() && lost < self.patience.repeats => {}
                Some(Err(error)) => return Err(error.into()),
                None if lost < self.patience.repeats => {}
                None => {
                    return Err(RunnerError::NoAnswer {
                        call,
                        why: "it does not come".to_owned(),
                    });
                }
            }
            self.pause(lost).await;
            lost += 1;
        }
    }

    async fn pause(&self, lost: u32) {
        let pause = self.patience.first_pause.saturating_mul(1 << lost.min(16));
        sleep(pause.min(self.patience.longest_pause)).await;
    }
}

fn odd(call: &'static str, text: &str) -> RunnerError {
    let first = text.lines().next().unwrap_or_default();
    RunnerError::NoAnswer {
        call,
        why: format!("it is not understood: {}", crate::text::sanitize(first)),
    }
}
