//! The API client in front of a server that misbehaves: each fault within a deadline, with a message and exit code of its own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use crate::api::{EVERYTHING, access, impatient};
use mkectl::lab::api::{Authority, Identity};
use mkectl::source::api::{ApiError, Fault, Kind, read};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const PASSWORD: &str = "hunter2-poison";
const TOKEN: &str = "token-poison";

/// What the server does with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// A whole response, as it is.
    Raw(String),
    /// Answers: status, headers, body.
    Answer(u16, &'static str, String),
    /// Answers with a length that is longer than what comes.
    Truncate,
    /// Closes the connection.
    Close,
    /// Says nothing.
    Hang,
    /// Sends a byte now and then, for ever.
    Trickle,
    /// Sends what is no HTTP.
    Noise,
}

pub fn json(status: u16, body: &str) -> Act {
    Act::Answer(status, "Content-Type: application/json\r\n", body.to_owned())
}

/// What a healthy MKE answers to a path, with as little as is needed.
fn healthy(line: &str) -> Act {
    let path = line.split(' ').nth(1).unwrap_or_default();
    match path.split('?').next().unwrap_or_default() {
        "/auth/login" => json(200, &format!("{{\"auth_token\":\"{TOKEN}\"}}")),
        "/id/logout" => json(200, "{}"),
        "/accounts/admin" => json(200, r#"{"name":"admin","id":"1","isAdmin":true}"#),
        "/version" => json(200, r#"{"Version":"ucp/3.8.5"}"#),
        "/info" => json(200, r#"{"Swarm":{"Cluster":{"ID":"abc"}}}"#),
        "/nodes" | "/roles" => json(200, "[]"),
        "/api/ucp/config-toml" => Act::Answer(
            200,
            "Content-Type: application/toml\r\n",
            "[cluster_config]\n  calico_kdd = true\n".to_owned(),
        ),
        "/accounts" => json(
            200,
            r#"{"accounts":[{"name":"admin","id":"1","isAdmin":true}],"nextPageStart":""}"#,
        ),
        "/enzi/v0/config/auth" => json(200, r#"{"backend":"managed"}"#),
        "/collectionGrants" => json(200, r#"{"grants":[]}"#),
        path if path.starts_with("/apis/") => json(200, r#"{"items":[]}"#),
        _ => json(404, r#"{"message":"page not found"}"#),
    }
}

/// A server with a certificate of its own choice; ends when dropped.
pub struct Bad {
    pub address: SocketAddr,
    pub calls: Arc<Mutex<Vec<String>>>,
    /// `Authorization` of each call, empty without.
    pub authorizations: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Bad {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bad {
    pub async fn start(
        identity: Option<Identity>,
        script: impl Fn(usize, &str) -> Act + Send + Sync + 'static,
    ) -> Bad {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let authorizations = Arc::new(Mutex::new(Vec::new()));
        let (script, seen, count) = (Arc::new(script), calls.clone(), Arc::new(AtomicUsize::new(0)));
        let told = authorizations.clone();
        let tls = identity.map(|identity| TlsAcceptor::from(identity.server().unwrap()));
        let task = tokio::spawn(async move {
            // More connections than any test makes.
            for _ in 0..500 {
                let (socket, _) = listener.accept().await.unwrap();
                let (script, seen, count, tls) = (script.clone(), seen.clone(), count.clone(), tls.clone());
                let told = told.clone();
                tokio::spawn(async move {
                    let Some(tls) = tls else {
                        let mut socket = socket;
                        let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await;
                        return;
                    };
                    let Ok(stream) = tls.accept(socket).await else {
                        return;
                    };
                    let mut stream = BufReader::new(stream);
                    while let Some((line, authorization)) = request(&mut stream).await {
                        seen.lock().unwrap().push(line.clone());
                        told.lock().unwrap().push(authorization);
                        let act = script(count.fetch_add(1, Ordering::SeqCst), &line);
                        if !perform(stream.get_mut(), act).await {
                            return;
                        }
                    }
                });
            }
        });
        Bad {
            address,
            calls,
            authorizations,
            task,
        }
    }

    /// A server of the cluster that does this to every call whose path begins so, and is healthy otherwise.
    async fn at(path: &'static str, act: Act) -> Bad {
        Bad::start(Some(identity()), move |_, line| {
            let asked = line.split(' ').nth(1).unwrap_or_default();
            if asked.split('?').next() == Some(path) {
                act.clone()
            } else {
                healthy(line)
            }
        })
        .await
    }

    async fn error(&self) -> ApiError {
        let began = Instant::now();
        let error = read(access(self.address, "admin", PASSWORD), impatient(), EVERYTHING)
            .await
            .unwrap_err();
        assert!(
            began.elapsed() < Duration::from_secs(25),
            "{error} after {:?}",
            began.elapsed()
        );
        for secret in [PASSWORD, TOKEN] {
            assert!(
                !format!("{error} {error:?} {}", error.remedy()).contains(secret),
                "{error}"
            );
        }
        error
    }

    fn count(&self, start: &str) -> usize {
        self.calls
            .lock()
            .unwrap()
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    }
}

pub fn identity() -> Identity {
    Authority::of_mke3()
        .unwrap()
        .issue(&["mke.rehearsal.test".to_owned()])
        .unwrap()
}

/// The first line of a request, read to its end.
/// The first line, and who asks.
async fn request(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<(String, String)> {
    let mut first = String::new();
    if stream.read_line(&mut first).await.ok()? == 0 {
        return None;
    }
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.to_lowercase().starts_with("authorization:") {
            authorization = line["authorization:".len()..].trim().to_owned();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((first.trim().to_owned(), authorization))
}

/// Whether the connection goes on.
async fn perform(stream: &mut (impl AsyncWriteExt + Unpin), act: Act) -> bool {
    let head = |status: u16, headers: &str, length: usize| {
        format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n")
    };
    let text = match act {
        Act::Answer(status, headers, body) => format!("{}{body}", head(status, headers, body.len())),
        Act::Raw(text) => text,
        Act::Truncate => format!("{}{{\"accounts\":[{{\"na", head(200, "", 1000)),
        Act::Noise => "\u{1}\u{2} this is not HTTP\r\n\r\n".to_owned(),
        Act::Close => return false,
        Act::Hang => {
            tokio::time::sleep(Duration::from_secs(30)).await;
            return false;
        }
        Act::Trickle => {
            let mut left = stream.write_all(head(200, "", 1 << 20).as_bytes()).await.is_ok();
            for _ in 0..600 {
                left = left && stream.write_all(b" ").await.is_ok() && stream.flush().await.is_ok();
                tokio::time::sleep(Duration::from_millis(50)).await;
                if !left {
                    break;
                }
            }
            return false;
        }
    };
    let whole = text.contains("Content-Length: 1000");
    stream.write_all(text.as_bytes()).await.is_ok() && stream.flush().await.is_ok() && !whole
}

#[tokio::test]
async fn a_healthy_server_is_read_to_the_end() {
    let bad = Bad::start(Some(identity()), |_, line| healthy(line)).await;
    let live = read(access(bad.address, "admin", PASSWORD), impatient(), EVERYTHING)
        .await
        .unwrap();
    assert_eq!(live.accounts.unwrap().users.len(), 1);
    assert_eq!(
        (bad.count("POST /auth/login"), bad.count("POST /id/logout")),
        (1, 1)
    );
}

/// Call by call: the fault, how often it was tried, and whom it concerns.
#[tokio::test]
async fn every_fault_has_its_message_and_kind() {
    let html = Act::Answer(
        200,
        "Content-Type: text/html\r\n",
        "<!doctype html><p>Welcome".to_owned(),
    );
    let echo = format!(r#"{{"errors":[{{"code":"X","message":"you sent {PASSWORD} and {TOKEN}"}}]}}"#);
    let cases: Vec<(&'static str, Act, &str, Kind, u32)> = vec![
        (
            "/accounts",
            json(401, r#"{"message":"no"}"#),
            "the session was refused, and so was the one after it",
            Kind::Broken,
            1,
        ),
        (
            "/accounts",
            json(403, r#"{"errors":[{"code":"NOT_AUTHORIZED"}]}"#),
            "no administrator of MKE (NOT_AUTHORIZED)",
            Kind::Input,
            1,
        ),
        (
            "/accounts",
            json(500, &echo),
            "MKE answered with status 500",
            Kind::Broken,
            3,
        ),
        (
            "/accounts",
            json(503, r#"{"errors":[{"code":"WORKER_UNAVAILABLE"}]}"#),
            "status 503 (WORKER_UNAVAILABLE)",
            Kind::Broken,
            3,
        ),
        ("/accounts", json(418, "{}"), "status 418", Kind::Broken, 1),
        (
            "/accounts",
            Act::Hang,
            "no answer within 400 ms",
            Kind::Unreachable,
            3,
        ),
        (
            "/accounts",
            Act::Trickle,
            "no answer within 400 ms",
            Kind::Unreachable,
            3,
        ),
        (
            "/accounts",
            Act::Truncate,
            "the connection ended before the answer did",
            Kind::Unreachable,
            3,
        ),
        (
            "/accounts",
            Act::Close,
            "the connection ended before the answer did",
            Kind::Unreachable,
            3,
        ),
        (
            "/accounts",
            json(200, r#"{"accounts":[{"name":"#),
            "the connection ended before the answer did",
            Kind::Unreachable,
            3,
        ),
        (
            "/accounts",
            Act::Noise,
            "what listens there does not speak HTTP",
            Kind::Input,
            1,
        ),
        (
            "/accounts",
            html.clone(),
            "what answers there is not MKE: it sends a web page",
            Kind::Input,
            1,
        ),
        (
            "/accounts",
            json(200, r#"{"accounts":[{"id":4}]}"#),
            "is not the JSON that was asked for: a field is missing or of another type, at line 1",
            Kind::Broken,
            1,
        ),
        (
            "/accounts",
            json(200, r#"{"accounts":[]}"#),
            "the list of accounts does not hold the one that asked",
            Kind::Broken,
            1,
        ),
        (
            "/accounts",
            json(
                200,
                r#"{"usersCount":40,"orgsCount":1,"accounts":[{"name":"admin","isAdmin":true}]}"#,
            ),
            "MKE counts 41 entries and listed 1",
            Kind::Broken,
            1,
        ),
        (
            "/accounts",
            json(200, r#"{"accounts":[{"name":"admin"}],"nextPageStart":"admin"}"#),
            "the pages do not end",
            Kind::Broken,
            1,
        ),
        (
            "/accounts",
            Act::Answer(
                302,
                "Location: https://sso.example.com/?next=1\r\n",
                String::new(),
            ),
            "is not MKE: it sends us on to https://sso.example.com/",
            Kind::Input,
            1,
        ),
        (
            "/accounts/admin",
            json(200, r#"{"name":"admin","isAdmin":false}"#),
            "no administrator",
            Kind::Input,
            1,
        ),
        (
            "/auth/login",
            json(404, "{}"),
            "is not MKE: it knows no login (status 404)",
            Kind::Input,
            1,
        ),
        (
            "/auth/login",
            html.clone(),
            "is not MKE: it sends a web page",
            Kind::Input,
            1,
        ),
        (
            "/auth/login",
            json(200, "{}"),
            "there is no auth_token in it",
            Kind::Broken,
            1,
        ),
        (
            "/auth/login",
            json(
                401,
                r#"{"errors":[{"code":"INVALID_AUTHENTICATION_CREDENTIALS"}]}"#,
            ),
            "user name or password is wrong",
            Kind::Input,
            1,
        ),
        (
            "/auth/login",
            json(401, r#"{"message":"account is locked"}"#),
            "the account may not log in",
            Kind::Input,
            1,
        ),
        (
            "/auth/login",
            json(401, &echo),
            "user name or password is wrong",
            Kind::Input,
            1,
        ),
        (
            "/auth/login",
            json(502, "bad gateway"),
            "MKE answered with status 502",
            Kind::Broken,
            3,
        ),
        (
            "/api/ucp/config-toml",
            html,
            "is not MKE: it sends a web page",
            Kind::Input,
            1,
        ),
        (
            "/api/ucp/config-toml",
            json(200, "[auth]\npassword = \"hunter2-poison"),
            "the configuration cannot be read at line 2",
            Kind::Broken,
            1,
        ),
        (
            "/apis/rbac.authorization.k8s.io/v1/rolebindings",
            json(404, "{}"),
            "the bindings of Kubernetes cannot be read here: MKE answered with status 404",
            Kind::Broken,
            1,
        ),
    ];
    for (path, act, text, kind, attempts) in cases {
        let bad = Bad::at(path, act.clone()).await;
        let error = bad.error().await;
        let shown = error.to_string();
        assert!(shown.contains(text), "{path} {act:?}: {shown}");
        assert!(shown.contains(&format!(" {path}: ")), "{path} {act:?}: {shown}");
        assert_eq!(
            (error.kind(), error.attempts),
            (kind, attempts),
            "{path} {act:?}: {shown}"
        );
        let logged_in = path != "/auth/login";
        assert_eq!(bad.count("POST /id/logout") > 0, logged_in, "{path} {act:?}");
    }
}

#[tokio::test]
async fn pages_without_end_end() {
    let bad = Bad::start(Some(identity()), |at, line| {
        if line.starts_with("GET /accounts?") {
            let body = format!(r#"{{"accounts":[{{"name":"admin","isAdmin":true}},{{"name":"u{at}"}}],"nextPageStart":"u{at}"}}"#);
            json(200, &body)
        } else {
            healthy(line)
        }
    })
    .await;
    let error = bad.error().await;
    assert!(
        matches!(error.fault, Fault::EndlessPages(_) | Fault::TooLong(_)),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_not_kept() {
    let bad = Bad::at("/nodes", json(200, &" ".repeat(3 << 20))).await;
    let mut patience = impatient();
    patience.largest = 2 << 20;
    let error = read(access(bad.address, "admin", PASSWORD), patience, EVERYTHING)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("the answer is larger than 2 MiB"),
        "{error}"
    );
}

#[tokio::test]
async fn everything_together_has_a_deadline() {
    let bad = Bad::at("/nodes", Act::Hang).await;
    let mut patience = impatient();
    patience.call = Duration::from_secs(20);
    patience.total = Duration::from_millis(500);
    let began = Instant::now();
    let error = read(access(bad.address, "admin", PASSWORD), patience, EVERYTHING)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("GET /nodes: everything together was not read within 500 ms"),
        "{error}"
    );
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(bad.count("POST /id/logout"), 1);
}

/// A server that goes away in the middle, and comes back.
#[tokio::test]
async fn short_trouble_is_sat_out() {
    for trouble in [
        Act::Close,
        json(503, "{}"),
        Act::Truncate,
        json(500, "{}"),
        json(429, "{}"),
    ] {
        let shown = format!("{trouble:?}");
        // Every third request fails.
        let bad = Bad::start(Some(identity()), move |at, line| {
            if at % 3 == 2 {
                trouble.clone()
            } else {
                healthy(line)
            }
        })
        .await;
        let live = read(access(bad.address, "admin", PASSWORD), impatient(), EVERYTHING).await;
        assert!(live.is_ok(), "{shown}: {live:?}");
    }
}

#[tokio::test]
async fn nobody_there_and_somebody_else_there() {
    let gone = {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        listener.local_addr().unwrap()
    };
    let error = read(access(gone, "admin", PASSWORD), impatient(), EVERYTHING)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("no connection: connection refused"),
        "{error}"
    );
    assert_eq!((error.kind(), error.attempts), (Kind::Unreachable, 3));

    let ssh = Bad::start(None, |_, _| Act::Close).await;
    let error = ssh.error().await;
    assert_eq!(
        (error.fault.clone(), error.kind()),
        (Fault::NotTls, Kind::Input),
        "{error}"
    );

    let other = Authority::stranger()
        .unwrap()
        .issue(&["mke.rehearsal.test".to_owned()])
        .unwrap();
    let foreign = Bad::start(Some(other), |_, line| healthy(line)).await;
    let error = foreign.error().await;
    assert_eq!(
        (error.fault.clone(), error.kind()),
        (Fault::Stranger, Kind::Unreachable),
        "{error}"
    );
    assert_eq!(foreign.count(""), 0, "nothing may be sent to a stranger");

    // Accepts, and then says nothing: the handshake has a deadline.
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut patience = impatient();
    patience.connect = Duration::from_millis(300);
    let silent = listener.local_addr().unwrap();
    let error = read(access(silent, "admin", PASSWORD), patience, EVERYTHING)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no answer within 300 ms (tried 3 times)"),
        "{error}"
    );

    let mut unknown = access(gone, "admin", PASSWORD);
    unknown.connect_to = None;
    unknown.address = mkectl::source::api::Address::parse("no-such-host.invalid").unwrap();
    let error = read(unknown, impatient(), EVERYTHING).await.unwrap_err();
    assert!(error.to_string().contains("the name leads nowhere"), "{error}");
    assert_eq!(error.kind(), Kind::Input);
}
