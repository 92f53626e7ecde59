//! `--lb-hook`: a program of this machine that turns the load balancer to the new API, before hosts wait for that.

use crate::apply::Fut;
use crate::apply::call::{ActionCall, ActionEnd, Executor, Reason, Verb};
use crate::cli::Env;
use crate::cli::log::Level;
use crate::model::{ParamSource, Role, Spec, Step};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// What the program may take.
const LIMIT: Duration = Duration::from_secs(600);

/// The script that waits for the load balancer.
const BEFORE: &str = "lb-verify.sh";

/// Its parameter with the ports that it waits for.
const PORTS: &str = "PORTS";

/// Lines of its output that are shown when it fails.
const TAIL: usize = 12;

/// The program.
#[derive(Clone, Debug)]
pub struct Hook {
    /// As the operator typed it, for `sh -c`.
    pub command: String,
    /// What it may take.
    pub limit: Duration,
}

impl Hook {
    /// A hook with the usual deadline.
    pub fn new(command: String) -> Hook {
        Hook {
            command,
            limit: LIMIT,
        }
    }

    /// Runs it once. The words that a shell sees are the operator's; what comes from the plan are values of the environment.
    ///
    /// # Errors
    ///
    /// One sentence, and the last lines of what it printed.
    async fn run(&self, spec: &Spec, step: &Step) -> Result<Vec<String>, Reason> {
        let ports = match step.params.get(PORTS) {
            Some(ParamSource::Literal(ports)) => ports.as_str(),
            // A plan whose script knows them by itself.
            _ => "",
        };
        let managers: Vec<&str> = spec
            .hosts
            .iter()
            .filter(|host| host.role == Some(Role::Manager))
            .map(|host| {
                host.fields
                    .get("private-address")
                    .unwrap_or(&host.address)
                    .as_str()
            })
            .collect();
        let child = Command::new("/bin/sh")
            .args(["-c", &self.command])
            .env("MKECTL_EXTERNAL_ADDRESS", &spec.cluster.external_address)
            .env("MKECTL_MANAGERS", managers.join(" "))
            .env("MKECTL_PORTS", ports)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own: what it started ends with it, and Ctrl-C is for us.
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let failed = |message: String| Reason {
            untouched: true,
            ..Reason::new(message)
        };
        let child =
            child.map_err(|error| failed(format!("the program of --lb-hook cannot be started: {error}")))?;
        let group = child.id();
        let output = match timeout(self.limit, child.wait_with_output()).await {
            Ok(output) => {
                output.map_err(|error| failed(format!("the program of --lb-hook was lost: {error}")))?
            }
            Err(_) => {
                if let Some(group) = group {
                    // Whatever it left behind; where nothing is, there is nobody to complain.
                    let _ = Command::new("kill")
                        .args(["-KILL", "--", &format!("-{group}")])
                        .stderr(Stdio::null())
                        .status()
                        .await;
                }
                let seconds = self.limit.as_secs();
                return Err(failed(format!(
                    "the program of --lb-hook was ended because it ran for more than {seconds} seconds"
                )));
            }
        };
        let mut lines: Vec<String> = [output.stdout, output.stderr]
            .iter()
            .flat_map(|bytes| {
                crate::ssh::output::clean(bytes)
                    .lines()
                    .map(crate::text::sanitize)
                    .collect::<Vec<_>>()
            })
            .collect();
        if lines.len() > TAIL {
            lines.drain(..lines.len() - TAIL);
        }
        if output.status.success() {
            return Ok(lines);
        }
        Err(Reason {
            status: output.status.code().and_then(|code| u32::try_from(code).ok()),
            stderr: lines,
            ..failed(format!("the program of --lb-hook failed with {}", output.status))
        })
    }
}

/// An executor with a hook before the first look at the load balancer.
pub struct Hooked {
    inner: Arc<dyn Executor>,
    hook: Hook,
    env: Env,
    /// It ran and succeeded. Held while it runs: every host waits for it.
    done: Mutex<bool>,
}

impl Hooked {
    /// Puts a hook before an executor.
    pub fn new(inner: Arc<dyn Executor>, hook: Hook, env: Env) -> Hooked {
        Hooked {
            inner,
            hook,
            env,
            done: Mutex::new(false),
        }
    }
}

impl Executor for Hooked {
    fn execute<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ActionEnd> {
        Box::pin(async move {
            if call.verb == Verb::Run && call.step().script.as_deref() == Some(BEFORE) {
                let mut done = self.done.lock().await;
                if !*done {
                    self.env.log(
                        Level::Info,
                        &format!(
                            "running the program of --lb-hook: the load balancer {} must lead to the new API",
                            call.spec().cluster.external_address
                        ),
                    );
                    match self.hook.run(call.spec(), call.step()).await {
                        Ok(lines) => {
                            for line in lines {
                                self.env.log(Level::Info, &format!("[lb-hook] {line}"));
                            }
                            *done = true;
                        }
                        Err(reason) => return ActionEnd::Failed(reason),
                    }
                }
            }
            self.inner.execute(call).await
        })
    }

    fn cancel<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ()> {
        self.inner.cancel(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        let bytes = std::fs::read(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/plans/examples/minimal.json"
        ))
        .unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let spec = value.get("spec").cloned().unwrap_or(value);
        serde_json::from_value(spec).unwrap()
    }

    fn step(spec: &Spec) -> &Step {
        let found = spec
            .steps
            .iter()
            .find(|step| step.script.as_deref() == Some(BEFORE));
        found.unwrap()
    }

    fn hook(command: &str, limit: u64) -> Hook {
        Hook {
            limit: Duration::from_secs(limit),
            ..Hook::new(command.to_owned())
        }
    }

    #[tokio::test]
    async fn it_learns_of_the_plan_by_its_environment_alone() {
        let mut spec = spec();
        spec.cluster.external_address = "$(touch /tmp/never)".to_owned();
        let said = hook(
            "echo \"$MKECTL_EXTERNAL_ADDRESS|$MKECTL_PORTS|$MKECTL_MANAGERS\"",
            20,
        )
        .run(&spec, step(&spec))
        .await
        .unwrap();
        assert_eq!(said, ["$(touch /tmp/never)|6443 9443 8132|172.31.0.10"]);
    }

    #[tokio::test]
    async fn what_fails_or_hangs_says_so() {
        let spec = spec();
        let reason = hook("echo no such pool >&2; exit 3", 20)
            .run(&spec, step(&spec))
            .await
            .unwrap_err();
        assert_eq!(
            reason.message,
            "the program of --lb-hook failed with exit status: 3"
        );
        assert_eq!(
            (reason.status, reason.stderr),
            (Some(3), vec!["no such pool".to_owned()])
        );
        let reason = hook("sleep 30 & wait", 1)
            .run(&spec, step(&spec))
            .await
            .unwrap_err();
        assert!(reason.message.contains("more than 1 seconds"), "{reason}");
    }
}
