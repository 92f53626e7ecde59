//! `--crash-at N`: mkectl is lost at a record of its journal, with everything that it kept, and another home goes on from the
//! plan and the hosts alone. The end is compared with that of a run that nothing disturbed.

use super::{TICK, Twin, compare, lab_error, roles, secrets, settings, start};
use crate::apply::Outcome;
use crate::apply::engine::{Direction, Limits};
use crate::cli::args::RehearseArgs;
use crate::cli::error::CliError;
use crate::cli::log::Level;
use crate::cli::run::{self, Done, Earlier, LocalOperator, Run, State, seconds_since_1970};
use crate::cli::{CommandResult, Env, exit, files};
use crate::lab::{Lab, Picture};
use crate::model::Plan;
use crate::plan;
use russh::keys::ssh_key::LineEnding;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

/// Nobody waits long for a run that is known to be dead.
const LEASE_S: u32 = 3;

/// A rehearsal of a crash.
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
    /// The record.
    pub at: u64,
}

impl Crash<'_> {
    /// Runs it undisturbed, then with the crash, and compares.
    pub fn run(&self) -> CommandResult {
        run::runtime()?.block_on(self.both())
    }

    async fn both(&self) -> CommandResult {
        let Twin {
            plan,
            facts,
            accounts,
            ..
        } = &self.twin;
        // Both begin as copies of the same cluster, whose files they lie on: it has to stay.
        let lab = start(self.env, facts, *accounts, roles(plan), None).await?;
        let (first, second) = (self.copy(&lab).await?, self.copy(&lab).await?);
        let plan = for_hosts(plan, &second)?;
        let name = self.work.join("plan.json").to_string_lossy().into_owned();
        files::write(
            &name,
            &plan::write(&plan).map_err(|error| CliError::bug(error.to_string()))?,
        )?;

        self.env.log(Level::Info, "==> Running phase: Run it undisturbed");
        let undisturbed = self.go(&first, &plan, "undisturbed", Earlier::None).await?;
        first.calm().await;
        let end = Picture::of(&first, &self.passing).map_err(|error| lab_error(&error))?;
        drop(first);

        self.env.log(
            Level::Info,
            &format!(
                "==> Running phase: Run it until mkectl is lost at record {} of its journal",
                self.at
            ),
        );
        let home = self.work.join("lost");
        self.lost(&second, &name, &home).await?;
        fs::remove_dir_all(&home)
            .map_err(|error| CliError::file("remove", &home.to_string_lossy(), &error))?;
        self.env.log(
            Level::Info,
            "==> Running phase: Go on in another home, from the plan and the hosts alone",
        );
        let done = self.go(&second, &plan, "another-home", Earlier::Resume).await?;
        second.calm().await;
        let found = compare::differences(&second, &end, &self.passing)
            .await
            .map_err(|error| lab_error(&error))?;
        compare::tell(self.env, &end, &found, "an undisturbed run left it");
        let closed = run::close(
            self.env,
            &plan,
            &done,
            &run::Results {
                plan: &name,
                config_out: self.args.run.config_out.as_deref(),
                output: self.args.run.output.as_deref(),
                kept: None,
            },
        );
        match found.is_empty() && outcome(&done) == outcome(&undisturbed) {
            true => closed,
            false => closed.map(|_| exit::UNDECIDED),
        }
    }

    async fn copy(&self, lab: &Lab) -> Result<Lab, CliError> {
        lab.copy(Some(TICK)).await.map_err(|error| lab_error(&error))
    }

    /// A run in this process, in a home of its own.
    async fn go(&self, lab: &Lab, plan: &Plan, home: &str, earlier: Earlier) -> Result<Done, CliError> {
        let home = self.work.join(home);
        let state = State::open(&home, &plan.digest)?;
        let operator = LocalOperator {
            assets: self.twin.assets.clone(),
            ..LocalOperator::new(&state, home.join("mke"), None)
        };
        let transport = lab
            .transport(Arc::new(seconds_since_1970))
            .map_err(|error| lab_error(&error))?;
        run::run(
            self.env,
            Run {
                plan,
                transport,
                state,
                operator,
                secrets: secrets(plan),
                width: plan.spec.estimate.width.max(1),
                until: self.args.until.clone(),
                direction: Direction::Forward,
                earlier,
                lease_s: LEASE_S,
                crash_at: None,
                settings: settings(),
                limits: Limits::default(),
                events: None,
            },
        )
        .await
    }

    /// `mkectl apply` as a process, which ends itself when the record is written.
    async fn lost(&self, lab: &Lab, plan: &str, home: &Path) -> Result<(), CliError> {
        let failed = |what: &'static str, path: &Path| {
            let path = path.to_string_lossy().into_owned();
            move |error: std::io::Error| CliError::file(what, &path, &error)
        };
        fs::create_dir_all(home).map_err(failed("make", home))?;
        let key = home.join("id_rehearsal");
        let text = lab
            .client_key()
            .to_openssh(LineEnding::LF)
            .map_err(|error| CliError::bug(error.to_string()))?;
        files::write(&key.to_string_lossy(), text.as_bytes())?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).map_err(failed("change", &key))?;
        let binary = std::env::current_exe().map_err(failed("find", Path::new("mkectl")))?;
        let mut command = tokio::process::Command::new(binary);
        command
            .args(["apply", plan, "--yes", "--mke3-config", self.config])
            .args(["--lease-seconds", &LEASE_S.to_string()])
            .args(["--crash-at", &self.at.to_string()])
            .arg("--state-dir")
            .arg(home.join("state"))
            .env("HOME", home)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if let Some(until) = &self.args.until {
            command.args(["--until", until]);
        }
        for (name, path) in &self.twin.assets {
            command.args(["--asset", &format!("{name}={}", path.display())]);
        }
        for secret in &self.twin.plan.spec.secrets {
            if let Some(variable) = secret.from.strip_prefix("env:") {
                command.env(variable, "rehearsal");
            }
        }
        let ended = command
            .status()
            .await
            .map_err(failed("run", Path::new("mkectl")))?;
        if ended.signal().is_some() {
            return Ok(());
        }
        Err(CliError::usage(
            format!(
                "mkectl was not lost: its run ended with {} before record {} of its journal",
                ended.code().unwrap_or_default(),
                self.at
            ),
            "choose a lower --crash-at",
        ))
    }
}

fn outcome(done: &Done) -> &Outcome {
    &done.result.outcome
}

/// The plan for the hosts of this lab, as any machine can reach them: their addresses, ports and keys.
fn for_hosts(plan: &Plan, lab: &Lab) -> Result<Plan, CliError> {
    let mut plan = plan.clone();
    for host in &mut plan.spec.hosts {
        let server = lab.server(&host.id).map_err(|error| lab_error(&error))?;
        host.address = server.address().ip().to_string();
        host.port = u32::from(server.address().port());
        host.key_path = "~/id_rehearsal".to_owned();
        host.bastion = None;
        host.host_keys = vec![server.fingerprint()];
    }
    plan.digest = plan::digest::digest(&plan.spec).map_err(|error| CliError::bug(error.to_string()))?;
    Ok(plan)
}
