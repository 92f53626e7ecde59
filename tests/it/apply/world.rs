//! Hosts in memory: attempts take their time whether somebody watches or not, and whoever breaks a rule is written down.
use mkectl::apply::call::Reason;
use mkectl::apply::outputs::{FileOutput, OutputValue};
use mkectl::apply::{ActionCall, ActionEnd, Clock, Executor, Fut, Secret, Verb};
use mkectl::model::{Bytes, Effect, OutputKind, Role, Selector, Spec, Step, UndoKind, ValueType};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::time::Instant;

/// The paused clock.
pub struct Paused(pub Instant);

impl Clock for Paused {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn timestamp(&self) -> String {
        format!("1970-01-01T00:00:00.{:03}Z", self.0.elapsed().as_millis() % 1000)
    }
}

/// What goes wrong with an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Fail,
    NotAsPlanned,
    /// The same, and it is not about one host alone.
    Common,
    CannotTell,
    /// The first so many attempts fail for a while.
    Temporary(u32),
    /// The first so many attempts fail.
    Failed(u32),
    /// The first so many looks do not reach the host.
    Unreachable(u32),
    /// No look reaches the host, and each takes longer than one should wait for it.
    Frozen,
    /// It never ends.
    Hang,
    /// It hands on something else than it should.
    WrongOutput,
}

#[derive(Clone, Debug)]
struct Attempt {
    ends: Instant,
    end: Option<Fault>,
    concluded: bool,
}

#[derive(Default)]
struct State {
    attempts: BTreeMap<(Verb, String, u32), Attempt>,
    /// Actions that may have done something and were not undone.
    touched: BTreeSet<String>,
    /// Actions that are done and were not undone.
    applied: BTreeSet<String>,
    undone: BTreeSet<String>,
    looks: BTreeMap<String, u32>,
    log: Vec<(Verb, String, u32)>,
    violations: Vec<String>,
    left_out: BTreeSet<String>,
    cancelled: Vec<String>,
}

pub struct World {
    spec: Arc<Spec>,
    faults: BTreeMap<(Verb, String), Fault>,
    steps: HashMap<String, Step>,
    roles: HashMap<String, Option<Role>>,
    /// What must have ended before each action: actions only, joints looked through.
    needs: &'static HashMap<String, BTreeSet<String>>,
    /// Everything that comes after each action.
    after: &'static HashMap<String, BTreeSet<String>>,
    state: Mutex<State>,
}

impl World {
    /// Hosts for the one plan that all tests share.
    pub fn new(spec: &Arc<Spec>, faults: &[(Verb, &str, Fault)]) -> Arc<World> {
        type Order = HashMap<String, BTreeSet<String>>;
        static ORDER: OnceLock<(Order, Order)> = OnceLock::new();
        let (needs, after) = ORDER.get_or_init(|| (needs(spec), after(spec)));
        Arc::new(World {
            spec: Arc::clone(spec),
            faults: faults
                .iter()
                .map(|(verb, id, fault)| ((*verb, (*id).to_owned()), *fault))
                .collect(),
            steps: spec.steps.iter().map(|it| (it.id.clone(), it.clone())).collect(),
            roles: spec.hosts.iter().map(|it| (it.id.clone(), it.role)).collect(),
            needs,
            after,
            state: Mutex::default(),
        })
    }

    /// Attempts in the order of their starts.
    pub fn log(&self) -> Vec<(Verb, String, u32)> {
        self.state.lock().unwrap().log.clone()
    }

    pub fn violations(&self) -> Vec<String> {
        self.state.lock().unwrap().violations.clone()
    }

    /// A host that nobody waits for any more.
    pub fn leave_out(&self, host: &str) {
        self.state.lock().unwrap().left_out.insert(host.to_owned());
    }

    pub fn applied(&self) -> BTreeSet<String> {
        let mut state = self.state.lock().unwrap();
        self.conclude(&mut state);
        state.applied.clone()
    }

    /// Actions with an undo that left something behind.
    pub fn leftovers(&self) -> Vec<String> {
        let mut state = self.state.lock().unwrap();
        self.conclude(&mut state);
        let has_undo = |id: &&String| self.step(id).undo.kind == UndoKind::Script;
        state.touched.iter().filter(has_undo).cloned().collect()
    }

    pub fn cancelled(&self) -> Vec<String> {
        self.state.lock().unwrap().cancelled.clone()
    }

    fn step(&self, id: &str) -> &Step {
        &self.steps[id.rsplit('/').next().unwrap()]
    }

    /// What happened while nobody looked.
    fn conclude(&self, state: &mut State) {
        let now = Instant::now();
        let mut ended = Vec::new();
        for ((verb, id, _), attempt) in &mut state.attempts {
            if attempt.ends <= now && !attempt.concluded {
                attempt.concluded = true;
                if matches!(attempt.end, None | Some(Fault::WrongOutput)) {
                    ended.push((*verb, id.clone()));
                }
            }
        }
        for (verb, id) in ended {
            match verb {
                Verb::Run => {
                    state.applied.insert(id);
                }
                Verb::Undo => {
                    state.applied.remove(&id);
                    state.touched.remove(&id);
                    state.undone.insert(id);
                }
            }
        }
    }

    fn fault(&self, call: &ActionCall) -> Option<Fault> {
        self.faults.get(&(call.verb, call.id().to_owned())).copied()
    }

    fn knows(&self, call: &ActionCall) -> bool {
        let key = (call.verb, call.id().to_owned(), call.attempt);
        self.state.lock().unwrap().attempts.contains_key(&key)
    }

    /// Begins an attempt, unless it has begun; says when it ends and how.
    fn begin(&self, call: &ActionCall) -> Attempt {
        let mut state = self.state.lock().unwrap();
        self.conclude(&mut state);
        let key = (call.verb, call.id().to_owned(), call.attempt);
        if let Some(known) = state.attempts.get(&key) {
            let known = known.clone();
            if !call.doubtful() {
                state.violations.push(format!("{call:?} begins twice"));
            }
            return known;
        }
        self.check(call, &mut state);
        let mut seconds = u64::from(call.step().estimate_s);
        let end = match self.fault(call) {
            Some(Fault::Temporary(times) | Fault::Failed(times)) if call.attempt > times => None,
            Some(Fault::Unreachable(_)) => None,
            Some(Fault::Hang) => {
                seconds = u64::from(u32::MAX);
                Some(Fault::Hang)
            }
            fault => fault,
        };
        let attempt = Attempt {
            ends: Instant::now() + Duration::from_secs(seconds),
            end,
            concluded: false,
        };
        state.log.push((call.verb, call.id().to_owned(), call.attempt));
        if call.verb == Verb::Run {
            state.touched.insert(call.id().to_owned());
        }
        state.attempts.insert(key, attempt.clone());
        attempt
    }

    fn check(&self, call: &ActionCall, state: &mut State) {
        let mut wrong = Vec::new();
        let id = call.id();
        let now = Instant::now();
        let running = |verb: Verb, other: &str| {
            let mut attempts = state.attempts.iter();
            attempts.any(|((known, it, _), attempt)| {
                *known == verb && it == other && attempt.ends > now && !attempt.concluded
            })
        };
        match call.verb {
            Verb::Run => {
                for need in &self.needs[id] {
                    let host = need.split('/').next().unwrap();
                    if !state.applied.contains(need) && !state.left_out.contains(host) {
                        wrong.push(format!("{id} begins before {need} is done"));
                    }
                }
                for budget in &self.spec.budgets {
                    if !self.takes(id, &budget.id, budget.counts) {
                        continue;
                    }
                    let mut held: BTreeSet<&str> = state
                        .touched
                        .iter()
                        .map(String::as_str)
                        .filter(|it| {
                            self.holds(it, &budget.id, budget.counts, state, || running(Verb::Run, it))
                        })
                        .collect();
                    held.insert(id);
                    if held.len() > budget.capacity as usize {
                        wrong.push(format!("{id} begins while {held:?} hold {}", budget.id));
                    }
                }
            }
            Verb::Undo => {
                for later in &self.after[id] {
                    if self.step(later).undo.kind == UndoKind::Script && state.touched.contains(later) {
                        wrong.push(format!("{id} is undone before {later}"));
                    }
                }
                if running(Verb::Run, id) {
                    wrong.push(format!("{id} is undone while it runs"));
                }
            }
        }
        if call.step().effect != Effect::Reads {
            let going = |attempt: &Attempt| attempt.ends > now && !attempt.concluded;
            let others = state.attempts.iter().filter(|(_, attempt)| going(attempt));
            for ((verb, other, _), _) in others {
                let same = other.split('/').next() == id.split('/').next();
                let changes = self.step(other).effect != Effect::Reads;
                if same && changes && other != id {
                    wrong.push(format!(
                        "{id} begins while {verb:?} {other} changes the same host"
                    ));
                }
            }
        }
        state.violations.extend(wrong);
    }

    fn takes(&self, id: &str, budget: &str, counts: Selector) -> bool {
        let role = self.roles[id.split('/').next().unwrap()];
        let counted = match counts {
            Selector::Hosts => true,
            Selector::Managers => role == Some(Role::Manager),
            Selector::Workers => role == Some(Role::Worker),
            other => panic!("no budget counts {other:?}"),
        };
        counted && self.step(id).budgets.iter().any(|take| take.take == budget)
    }

    fn holds(
        &self,
        id: &str,
        budget: &str,
        counts: Selector,
        state: &State,
        running: impl Fn() -> bool,
    ) -> bool {
        let host = id.split('/').next().unwrap();
        if !self.takes(id, budget, counts) || state.left_out.contains(host) {
            return false;
        }
        let mut takes = self.step(id).budgets.iter().filter(|take| take.take == budget);
        let until = takes.find_map(|take| take.until.as_ref());
        match until.map(|step| format!("{host}/{step}")) {
            Some(end) if self.needs.contains_key(&end) => !state.applied.contains(&end),
            _ => running(),
        }
    }
}

/// What an action hands on, as its step declares it.
pub fn outputs(call: &ActionCall) -> BTreeMap<String, OutputValue> {
    if call.verb == Verb::Undo {
        return BTreeMap::new();
    }
    let made = call.step().outputs.iter().map(|(name, output)| {
        let value = match output.kind {
            OutputKind::Secret => OutputValue::Secret(Secret::new(POISON.as_bytes().to_vec())),
            OutputKind::File => OutputValue::File(FileOutput {
                host: call.at().map(|host| host.id.clone()).unwrap_or_default(),
                path: format!("/var/lib/mkectl/{}/{name}", call.id()),
                size: Bytes(1),
                sha256: format!("sha256:{}", "ab".repeat(32)),
            }),
            OutputKind::Value => OutputValue::Value(match output.value_type {
                Some(ValueType::Integer) => "42".to_owned(),
                Some(ValueType::Sha256) => "cd".repeat(32),
                Some(ValueType::Version) => "1.2.3".to_owned(),
                Some(ValueType::Address) => "10.0.0.1".to_owned(),
                Some(ValueType::Word) | None => "word".to_owned(),
            }),
        };
        (name.clone(), value)
    });
    made.collect()
}

/// What no journal and no event may hold.
pub const POISON: &str = "p01s0n-secret-value";

impl Executor for World {
    fn execute<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ActionEnd> {
        Box::pin(async move {
            if self.fault(call) == Some(Fault::Frozen) {
                tokio::time::sleep(Duration::from_secs(700)).await;
                return ActionEnd::Unreachable(Reason::new("no answer"));
            }
            if let Some(Fault::Unreachable(times)) = self.fault(call) {
                let mut state = self.state.lock().unwrap();
                let looks = state.looks.entry(call.id().to_owned()).or_default();
                *looks += 1;
                if *looks <= times {
                    return ActionEnd::Unreachable(Reason::new("no route to host"));
                }
            }
            if !call.inputs.missing.is_empty() && !self.knows(call) {
                return ActionEnd::Cancelled(Reason {
                    untouched: true,
                    ..Reason::new("it never began")
                });
            }
            let attempt = self.begin(call);
            call.seen("the work is under way");
            tokio::time::sleep_until(attempt.ends).await;
            self.conclude(&mut self.state.lock().unwrap());
            let reason = |text: &str| Reason {
                message: text.to_owned(),
                status: Some(1),
                stderr: vec!["it broke".to_owned()],
                untouched: false,
                common: false,
            };
            match attempt.end {
                None => ActionEnd::Done(outputs(call)),
                Some(Fault::WrongOutput) => {
                    let mut outputs = outputs(call);
                    outputs.insert("surprise".to_owned(), OutputValue::Value("x".to_owned()));
                    ActionEnd::Done(outputs)
                }
                Some(Fault::Temporary(_)) => ActionEnd::Temporary(reason("not now")),
                Some(Fault::NotAsPlanned) => ActionEnd::NotAsPlanned(reason("another cluster")),
                Some(Fault::Common) => ActionEnd::NotAsPlanned(Reason {
                    common: true,
                    ..reason("another cluster")
                }),
                Some(Fault::CannotTell) => ActionEnd::CannotTell(reason("the probe broke")),
                Some(_) => ActionEnd::Failed(reason("it broke")),
            }
        })
    }

    fn cancel<'a>(&'a self, call: &'a ActionCall) -> Fut<'a, ()> {
        Box::pin(async move {
            let key = (call.verb, call.id().to_owned(), call.attempt);
            let mut state = self.state.lock().unwrap();
            self.conclude(&mut state);
            state.cancelled.push(call.id().to_owned());
            if let Some(attempt) = state.attempts.get_mut(&key) {
                attempt.concluded = true;
            }
        })
    }
}

fn needs(spec: &Spec) -> HashMap<String, BTreeSet<String>> {
    let joints: HashMap<&str, &Vec<String>> =
        spec.joints.iter().map(|it| (it.id.as_str(), &it.needs)).collect();
    let mut needs = HashMap::new();
    for action in &spec.actions {
        let mut found = BTreeSet::new();
        let mut open: Vec<&String> = action.needs.iter().collect();
        while let Some(need) = open.pop() {
            match joints.get(need.as_str()) {
                Some(more) => open.extend(more.iter()),
                None => {
                    found.insert(need.clone());
                }
            }
        }
        needs.insert(action.id.clone(), found);
    }
    needs
}

fn after(spec: &Spec) -> HashMap<String, BTreeSet<String>> {
    let needs = needs(spec);
    let mut after: HashMap<String, BTreeSet<String>> = HashMap::new();
    for action in &spec.actions {
        let mut open: Vec<&String> = needs[&action.id].iter().collect();
        let mut seen = BTreeSet::new();
        while let Some(need) = open.pop() {
            if seen.insert(need) {
                after.entry(need.clone()).or_default().insert(action.id.clone());
                open.extend(needs[need].iter());
            }
        }
        after.entry(action.id.clone()).or_default();
    }
    after
}
