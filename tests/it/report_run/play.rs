//! Runs of the engine to be shown: actions take about as long as the plan estimates, on a clock that stands still until
//! everybody waits, or on a real one that goes faster.

use crate::apply::world::outputs;
use mkectl::apply::book::Book;
use mkectl::apply::call::Reason;
use mkectl::apply::control::{Control, Interrupt, Policy};
use mkectl::apply::engine::{Direction, Limits};
use mkectl::apply::events::{Event, Events, Line, Stream, Subscriber};
use mkectl::apply::journal::{Journal, MemoryStore, decode};
use mkectl::apply::{ActionCall, ActionEnd, Clock, Executor, Fut, RunResult, Secret, Setup, Verb, run};
use mkectl::model::Spec;
use mkectl::options::FailurePolicy;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A clock that goes so many times faster than time.
pub struct Fast(pub Instant, pub u32);

impl Clock for Fast {
    fn elapsed(&self) -> Duration {
        self.0.elapsed() * self.1
    }

    fn timestamp(&self) -> String {
        format!("1970-01-01T00:00:00.{:03}Z", self.elapsed().as_millis() % 1000)
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Fail,
    CannotTell,
    /// So many attempts fail for a while.
    Temporary(u32),
}

/// Hosts that do what they are told.
pub struct Play {
    pub faults: Vec<(Verb, &'static str, Fault)>,
    pub speed: u32,
}

impl Play {
    fn fault(&self, call: &ActionCall) -> Option<Fault> {
        let mut faults = self.faults.iter();
        let found = faults.find(|(verb, id, _)| *verb == call.verb && *id == call.id());
        found.map(|(_, _, fault)| *fault)
    }
}

/// Some hosts are slower, always the same ones.
fn slowness(host: &str) -> u64 {
    let sum: u64 = host.bytes().map(u64::from).sum();
    80 + sum * 7919 % 50
}

impl Executor for Play {
    fn execute<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ActionEnd> {
        Box::pin(async move {
            let fault = self.fault(call);
            let ms = u64::from(call.step().estimate_s) * 10 * slowness(&call.host().id);
            let all = Duration::from_millis(ms) / self.speed;
            tokio::time::sleep(all / 3).await;
            // What a hostile host would try.
            call.seen("2 of 3 \u{1b}[31mpods\u{1b}[0m are there\r");
            call.output(Stream::Stdout, "a line of output\u{7}");
            tokio::time::sleep(all - all / 3).await;
            let reason = |message: &str| Reason {
                message: message.to_owned(),
                status: Some(1),
                stderr: vec![
                    "k0s: \u{1b}[2Jcannot reach 10.0.0.1:6443".to_owned(),
                    "join failed\u{202e}\u{1b}".to_owned(),
                ],
                untouched: false,
                common: false,
            };
            match fault {
                Some(Fault::Fail) => ActionEnd::Failed(reason("the node did not become Ready")),
                Some(Fault::CannotTell) => ActionEnd::CannotTell(reason("the probe broke")),
                Some(Fault::Temporary(times)) if call.attempt <= times => {
                    ActionEnd::Temporary(reason("the registry does not answer"))
                }
                _ => ActionEnd::Done(outputs(call)),
            }
        })
    }

    fn cancel<'a>(&'a self, _: &'a ActionCall) -> Fut<'a, ()> {
        Box::pin(async {})
    }
}

/// Keeps lines, and interrupts the run when an action begins.
#[derive(Default)]
pub struct Recorder {
    pub lines: Mutex<Vec<Line>>,
    pub interrupt_at: Option<&'static str>,
    pub stop: Mutex<Option<mpsc::UnboundedSender<Interrupt>>>,
}

impl Subscriber for Recorder {
    fn line(&self, line: &Line) {
        if let Event::ActionStart {
            action,
            verb: Verb::Run,
            ..
        } = &line.event
            && self.interrupt_at == Some(action.as_str())
            && let Some(stop) = &*self.stop.lock().unwrap()
        {
            stop.send(Interrupt::Int).unwrap();
        }
        self.lines.lock().unwrap().push(line.clone());
    }
}

/// A writer whose bytes can be looked at.
#[derive(Clone, Default)]
pub struct Buffer(pub Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A run to be shown.
pub struct Show {
    pub spec: Arc<Spec>,
    pub faults: Vec<(Verb, &'static str, Fault)>,
    pub interrupt_at: Option<&'static str>,
    pub policy: FailurePolicy,
    pub max_failed_workers: Option<u32>,
    pub until: Option<&'static str>,
    pub direction: Direction,
    pub earlier: Vec<u8>,
    pub speed: u32,
}

/// What it came to.
pub struct Shown {
    pub result: RunResult,
    pub lines: Vec<Line>,
    pub journal: Vec<u8>,
}

/// No secret of a run may be seen in anything that is written about it.
pub const POISON: &str = "p01s0n-secret-value";

impl Show {
    pub fn new(spec: &Arc<Spec>) -> Show {
        Show {
            spec: Arc::clone(spec),
            faults: Vec::new(),
            interrupt_at: None,
            policy: FailurePolicy::Auto,
            max_failed_workers: None,
            until: None,
            direction: Direction::Forward,
            earlier: Vec::new(),
            speed: 1,
        }
    }

    pub fn fault(mut self, verb: Verb, action: &'static str, fault: Fault) -> Show {
        self.faults.push((verb, action, fault));
        self
    }

    /// What earlier runs came to.
    pub fn book(&self) -> Book {
        Book::read("sha256:plan", &decode(&self.earlier).unwrap().records).unwrap()
    }

    /// Runs it for these subscribers.
    pub async fn to(self, clock: Arc<dyn Clock>, mut subscribers: Vec<Arc<dyn Subscriber>>) -> Shown {
        let (stop, control) = Control::new();
        let recorder = Arc::new(Recorder {
            interrupt_at: self.interrupt_at,
            stop: Mutex::new(Some(stop)),
            ..Recorder::default()
        });
        subscribers.push(Arc::clone(&recorder) as _);
        let store = MemoryStore::default();
        let earlier = decode(&self.earlier).unwrap();
        let journal = match self.earlier.is_empty() {
            true => Journal::new(Box::new(store.clone())),
            false => Journal::after(Box::new(store.clone()), &earlier),
        };
        let secrets = self.spec.secrets.iter().map(|it| it.name.clone());
        let secrets: BTreeMap<String, Secret> = secrets
            .chain(["backup-passphrase".to_owned()])
            .map(|name| (name, Secret::new(POISON.as_bytes().to_vec())))
            .collect();
        let mut policy = Policy::of(&self.spec);
        policy.on_failure = self.policy;
        policy.max_failed_workers = self.max_failed_workers.unwrap_or(policy.max_failed_workers);
        let result = run(Setup {
            digest: "sha256:plan".to_owned(),
            executor: Arc::new(Play {
                faults: self.faults,
                speed: self.speed,
            }),
            journal,
            earlier: earlier.records,
            token: 1,
            events: Events::new("run-1", clock, subscribers),
            control,
            secrets,
            width: self.spec.estimate.width,
            until: self.until.map(str::to_owned),
            policy,
            direction: self.direction,
            limits: Limits::default(),
            spec: self.spec,
        })
        .await
        .unwrap();
        let lines = recorder.lines.lock().unwrap().clone();
        Shown {
            result,
            lines,
            journal: store.bytes(),
        }
    }

    /// Runs it on the clock that stands still.
    pub async fn run(self) -> Shown {
        let speed = self.speed;
        self.to(Arc::new(Fast(Instant::now(), speed)), Vec::new()).await
    }
}
