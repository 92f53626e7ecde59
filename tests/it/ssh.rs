//! The SSH transport without a server: quoting against real shells, what is kept of output, and the pool over connections
//! in memory with a clock that stands still.

use mkectl::model::Host;
use mkectl::ssh::output::{Kept, clean};
use mkectl::ssh::pool::{Limits, Pool};
use mkectl::ssh::quote::{QuoteError, line};
use mkectl::ssh::{ConnectError, Exec, Fut, Ran, Session, SessionError, Transport};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn words_through(shell: &str, words: &[String]) -> Vec<String> {
    let mut all = vec!["printf".to_owned(), "%s\\0".to_owned()];
    all.extend_from_slice(words);
    let out = Command::new(shell)
        .args(["-c", &line(&all).unwrap()])
        .output()
        .unwrap_or_else(|error| panic!("{shell}: {error}"));
    assert!(out.status.success(), "{shell} {words:?}: {out:?}");
    let text = String::from_utf8(out.stdout).unwrap();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Characters that mean something to some shell, among plain ones.
fn word() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(
        " \t\n\r'\"\\$`!#*?[]{}()<>|&;~=%^@+:,./-_aZ09é→\u{1b}\u{7f}\u{2028}"
            .chars()
            .collect::<Vec<char>>(),
    );
    let any = any::<char>().prop_filter("no program can be given a NUL", |c| *c != '\0');
    prop::collection::vec(prop_oneof![3 => odd, 1 => any], 0..12)
        .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn words_survive_real_shells(words in prop::collection::vec(word(), 1..6)) {
        for shell in ["sh", "dash", "bash"] {
            prop_assert_eq!(&words_through(shell, &words), &words, "{}", shell);
        }
    }

    #[test]
    fn what_is_kept_is_the_beginning_and_the_end(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        limit in 0_usize..200,
    ) {
        let mut kept = Kept::new(limit);
        for piece in &pieces {
            kept.push(piece);
        }
        let whole = pieces.concat();
        let truncated = kept.truncated();
        let bytes = kept.into_bytes();
        prop_assert_eq!(truncated, whole.len() > limit);
        if truncated {
            let (head, tail) = (limit - limit / 2, limit / 2);
            let mut expected = whole[..head].to_vec();
            expected.extend(format!("\n[… {} bytes left out …]\n", whole.len() - limit).bytes());
            expected.extend(&whole[whole.len() - tail..]);
            prop_assert_eq!(bytes, expected);
        } else {
            prop_assert_eq!(bytes, whole);
        }
    }

    #[test]
    fn clean_text_has_no_control_characters(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = clean(&bytes);
        prop_assert!(text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{:?}", text);
        prop_assert_eq!(clean(text.as_bytes()), text);
    }
}

#[test]
fn plain_words_stay_plain() {
    let words = [
        "sudo",
        "-n",
        "sh",
        "/var/lib/mkectl/0123456789abcdef/runner",
        "start",
        "worker-7.drain",
        "run",
        "1",
    ];
    assert_eq!(line(&words).unwrap(), words.join(" "));
    assert_eq!(
        line(&["echo", "it's", "", "a\\b"]).unwrap(),
        "echo 'it'\"'\"'s' '' 'a'\"\\\\\"'b'"
    );
    // What would be an assignment or a keyword in front is a command's name here.
    assert_eq!(line(&["A=b", "while"]).unwrap(), "'A=b' while");
    assert_eq!(line(&["while"]).unwrap(), "'while'");
    assert_eq!(line::<&str>(&[]), Err(QuoteError::Empty));
    assert_eq!(line(&["a", "b\0"]), Err(QuoteError::Nul(2)));
}

#[test]
fn escape_sequences_go_whole() {
    for (raw, shown) in [
        ("a\u{1b}[1;31mb\u{1b}[0mc", "abc"),
        ("a\u{1b}]0;title\u{7}b", "ab"),
        ("a\u{1b}]8;;http://x\u{1b}\\b", "ab"),
        ("a\u{1b}Pq#0\u{1b}\\b", "ab"),
        ("a\u{9b}31mb", "ab"),
        ("a\u{1b}]never ends\nb", "a\nb"),
        ("good\rbad", "good\nbad"),
        ("a\r\nb\tc", "a\nb\tc"),
        ("\u{202e}gnp.exe", "gnp.exe"),
        ("a\u{8}\u{0}b\u{1b}", "ab"),
    ] {
        assert_eq!(clean(raw.as_bytes()), shown, "{raw:?}");
    }
    assert_eq!(clean(b"\xff\xfe"), "\u{fffd}\u{fffd}");
}

/// Hosts in memory.
#[derive(Default)]
struct Memory {
    /// Answers to connect, first to last; afterwards all succeed.
    refusals: Mutex<Vec<ConnectError>>,
    opening: AtomicUsize,
    most_opening: AtomicUsize,
    open: Arc<AtomicUsize>,
    most_open: AtomicUsize,
    attempts: AtomicUsize,
    /// Commands at a time on one connection.
    sessions: usize,
    most_running: Arc<AtomicUsize>,
    sessions_made: Mutex<Vec<Arc<Connection>>>,
}

struct Connection {
    closed: AtomicBool,
    limit: usize,
    running: AtomicUsize,
    most_running: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Connection {
    fn end(&self) {
        if !self.closed.swap(true, Ordering::SeqCst) {
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Session for Connection {
    fn exec<'a>(&'a self, request: Exec<'a>) -> Fut<'a, Result<Ran, SessionError>> {
        Box::pin(async move {
            if self.is_closed() {
                return Err(lost(false));
            }
            if self.running.fetch_add(1, Ordering::SeqCst) >= self.limit {
                self.running.fetch_sub(1, Ordering::SeqCst);
                return Err(SessionError::TooManySessions {
                    host: "h".into(),
                    why: "full".into(),
                });
            }
            self.most_running
                .fetch_max(self.running.load(Ordering::SeqCst), Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            if request.words == ["cut"] {
                self.end();
                return Err(lost(true));
            }
            Ok(Ran {
                status: Some(0),
                ..Ran::default()
            })
        })
    }
    fn close<'a>(&'a self) -> Fut<'a, ()> {
        Box::pin(async { self.end() })
    }
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }
}

fn lost(started: bool) -> SessionError {
    SessionError::Lost {
        host: "h".into(),
        started,
        why: "cut".into(),
    }
}

impl Transport for Memory {
    fn connect<'a>(&'a self, _host: &'a Host) -> Fut<'a, Result<Arc<dyn Session>, ConnectError>> {
        Box::pin(async move {
            self.attempts.fetch_add(1, Ordering::SeqCst);
            let opening = self.opening.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_opening.fetch_max(opening, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.opening.fetch_sub(1, Ordering::SeqCst);
            if let Some(error) = self.refusals.lock().unwrap().pop() {
                return Err(error);
            }
            let open = self.open.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_open.fetch_max(open, Ordering::SeqCst);
            let connection = Arc::new(Connection {
                closed: AtomicBool::new(false),
                limit: self.sessions,
                running: AtomicUsize::new(0),
                most_running: self.most_running.clone(),
                open: self.open.clone(),
            });
            self.sessions_made.lock().unwrap().push(connection.clone());
            Ok(connection as Arc<dyn Session>)
        })
    }
}

fn host(id: &str) -> Host {
    Host {
        id: id.to_owned(),
        role: None,
        address: "192.0.2.1".to_owned(),
        port: 22,
        user: "root".to_owned(),
        key_path: "key".to_owned(),
        bastion: None,
        host_keys: Vec::new(),
        machine_id: String::new(),
        fields: BTreeMap::new(),
        facts: BTreeMap::new(),
    }
}

fn memory(sessions: usize, limits: Limits) -> (Arc<Memory>, Pool) {
    let memory = Arc::new(Memory {
        sessions,
        ..Memory::default()
    });
    (memory.clone(), Pool::new(memory, limits))
}

fn refused() -> ConnectError {
    ConnectError::Refused {
        endpoint: "h:22".into(),
    }
}

async fn run_all(pool: &Pool, hosts: usize, each: usize) {
    let mut running = tokio::task::JoinSet::new();
    for n in 0..hosts * each {
        let (pool, host) = (pool.clone(), host(&format!("h{}", n % hosts)));
        running.spawn(async move {
            let lease = pool.session(&host).await.unwrap();
            assert!(lease.exec(Exec::new(["true"])).await.unwrap().success());
        });
    }
    assert_eq!(running.join_all().await.len(), hosts * each);
}

#[tokio::test(start_paused = true)]
async fn the_pool_holds_to_its_limits_and_uses_them() {
    let limits = Limits {
        connections: 5,
        sessions: 3,
        ramp: 2,
        ..Limits::default()
    };
    let (memory, pool) = memory(100, limits);
    run_all(&pool, 20, 6).await;
    assert_eq!(memory.most_opening.load(Ordering::SeqCst), 2);
    assert_eq!(memory.most_open.load(Ordering::SeqCst), 5);
    assert_eq!(memory.most_running.load(Ordering::SeqCst), 3);
    assert_eq!(pool.connections(), 5);
    // A host whose connection is kept is not connected to again.
    let attempts = memory.attempts.load(Ordering::SeqCst);
    pool.close().await;
    assert_eq!((pool.connections(), memory.open.load(Ordering::SeqCst)), (0, 0));
    run_all(&pool, 5, 1).await;
    run_all(&pool, 5, 4).await;
    assert_eq!(memory.attempts.load(Ordering::SeqCst), attempts + 5);
}

#[tokio::test(start_paused = true)]
async fn the_number_of_sessions_is_learned() {
    let (memory, pool) = memory(1, Limits::default());
    run_all(&pool, 1, 10).await;
    assert_eq!(memory.most_running.load(Ordering::SeqCst), 1);
    assert_eq!(memory.attempts.load(Ordering::SeqCst), 1);
    // A host that never has one is given up, with the error of the host.
    let (_, pool) = self::memory(0, Limits::default());
    let lease = pool.session(&host("h")).await.unwrap();
    let error = lease.exec(Exec::new(["true"])).await.unwrap_err();
    assert!(matches!(error, SessionError::TooManySessions { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn connecting_is_tried_again_only_where_it_can_help() {
    let limits = Limits {
        attempts: 4,
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(3),
        ..Limits::default()
    };
    let (memory, pool) = memory(8, limits);
    *memory.refusals.lock().unwrap() = vec![refused(), refused(), refused()];
    let started = tokio::time::Instant::now();
    drop(pool.session(&host("h")).await.unwrap());
    // Pauses of up to 1, 2 and 3 seconds, each at least half, and four attempts of a tenth.
    let took = started.elapsed().as_secs_f64();
    assert!((3.4..=6.41).contains(&took), "{took}");
    assert_eq!(memory.attempts.load(Ordering::SeqCst), 4);

    *memory.refusals.lock().unwrap() = vec![refused(), refused(), refused(), refused()];
    let Err(error) = pool.session(&host("never")).await else {
        panic!("connected");
    };
    assert!(
        matches!(error, ConnectError::GaveUp { attempts: 4, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("refuses connections"), "{error}");

    let attempts = memory.attempts.load(Ordering::SeqCst);
    memory.refusals.lock().unwrap().push(ConnectError::AuthFailed {
        user: "root".into(),
        endpoint: "h:22".into(),
        why: "no".into(),
        tried: vec![],
        banner: String::new(),
    });
    assert!(pool.session(&host("locked")).await.is_err());
    assert_eq!(
        memory.attempts.load(Ordering::SeqCst),
        attempts + 1,
        "keys do not mend themselves"
    );
    assert_eq!(
        pool.connections(),
        1,
        "failures give their place in the budget back"
    );
}

#[tokio::test(start_paused = true)]
async fn a_command_that_may_have_run_is_not_sent_again() {
    let (memory, pool) = memory(8, Limits::default());
    let lease = pool.session(&host("h")).await.unwrap();
    let error = lease.exec(Exec::new(["cut"])).await.unwrap_err();
    assert!(error.is_transport() && error.may_have_run());
    assert_eq!(memory.attempts.load(Ordering::SeqCst), 1);
    assert!(lease.exec(Exec::new(["true"])).await.unwrap().success());
    assert_eq!(memory.attempts.load(Ordering::SeqCst), 2);
    // Cut while idle: nothing has run, so the next command opens it again by itself.
    for connection in memory.sessions_made.lock().unwrap().iter() {
        connection.end();
    }
    assert!(lease.exec(Exec::new(["true"])).await.unwrap().success());
    assert_eq!(memory.attempts.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_waiting_leaves_nothing_behind() {
    let limits = Limits {
        connections: 1,
        ..Limits::default()
    };
    let (_, pool) = memory(8, limits);
    let first = pool.session(&host("a")).await.unwrap();
    let waiting = tokio::time::timeout(Duration::from_secs(5), pool.session(&host("b"))).await;
    assert!(waiting.is_err(), "the only place is taken");
    drop(first);
    // The idle connection of a makes room for b, and b's for a again.
    for id in ["b", "a", "b"] {
        let lease = tokio::time::timeout(Duration::from_secs(5), pool.session(&host(id)))
            .await
            .unwrap()
            .unwrap();
        assert!(lease.exec(Exec::new(["true"])).await.unwrap().success());
    }
}
