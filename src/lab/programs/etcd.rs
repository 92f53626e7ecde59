//! `etcdctl`, as it lies in MKE 3's `ucp-kv`, and `etcdutl`, which works on files.

use super::args::{Flag, Parsed, parse};
use super::{Caller, Failure, Invocation, Tool};
use crate::lab::model::State;
use crate::lab::model::etcd::{Member, Spoilt, Store};
use crate::lab::model::objects::DATA;
use crate::lab::tools::FileOp;
use serde_json::{Value, json};

/// What MKE 3 runs.
const VERSION: &str = "3.5.18";

/// Largest number of bytes that is written at once.
const PIECE: usize = 16 << 20;

const FLAGS: &[Flag] = &[
    ("endpoints", '\0', true),
    ("cacert", '\0', true),
    ("cert", '\0', true),
    ("key", '\0', true),
    ("write-out", 'w', true),
    ("cluster", '\0', false),
    ("command-timeout", '\0', true),
    ("dial-timeout", '\0', true),
    ("insecure-skip-tls-verify", '\0', false),
    ("prefix", '\0', false),
    ("from-key", '\0', false),
    ("keys-only", '\0', false),
    ("count-only", '\0', false),
    ("print-value-only", '\0', false),
    ("limit", '\0', true),
    ("rev", '\0', true),
    ("consistency", '\0', true),
    ("hex", '\0', false),
    ("order", '\0', true),
    ("sort-by", '\0', true),
];

/// One call of `etcdctl` in the container of a member.
pub(super) struct Ctl<'a> {
    /// The host of the member.
    pub host: &'a str,
    /// Words after `etcdctl`.
    pub words: &'a [String],
    /// Variables given to the container's program, `NAME=value`.
    pub env: &'a [String],
    /// Path in the host of a path in the container, where something is mounted.
    pub outside: &'a dyn Fn(&str) -> Option<String>,
    /// The container's volume with the data of the member, as a path of the host.
    pub data: &'a str,
}

fn error(text: &str) -> Failure {
    Failure::Real(format!("Error: {text}"), 1)
}

fn deadline() -> Failure {
    Failure::Real(
        "{\"level\":\"warn\",\"msg\":\"retrying of unary invoker failed\",\"error\":\"rpc error: code = DeadlineExceeded desc = latest balancer error: last connection error: connection error\"}\nError: context deadline exceeded".to_owned(),
        1,
    )
}

fn header(state: &State, member: &Member, revision: bool) -> Value {
    let mut header = json!({
        "cluster_id": 14_841_639_068_965_178_418_u64, "member_id": member.id, "raft_term": state.etcd.term,
    });
    if revision {
        header["revision"] = json!(state.etcd.store.revision());
    }
    header
}

fn raft_index(state: &State) -> u64 {
    state.etcd.store.revision() * 3 / 2 + 100
}

fn hash(state: &State, member: &Member) -> u32 {
    state.etcd.store.hash() ^ u32::from(member.strays)
}

/// Bytes as people read them: `432 MB`.
fn human(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

impl Ctl<'_> {
    /// Answers it.
    pub fn run(&self, state: &dyn Fn() -> State, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let parsed = parse(self.words, FLAGS, false)?;
        let words: Vec<&str> = parsed.words.iter().map(String::as_str).collect();
        if words == ["version"] {
            caller.out(format!("etcdctl version: {VERSION}\nAPI version: 3.5\n").as_bytes())?;
            return Ok(0);
        }
        self.connect(&parsed, caller)?;
        let state = state();
        match words.as_slice() {
            ["endpoint", "status"] => self.status(&state, &parsed, caller),
            ["endpoint", "health"] => self.health(&state, &parsed, caller),
            ["endpoint", "hashkv"] => self.hashkv(&state, &parsed, caller),
            ["alarm", "list"] => {
                self.quorum(&state)?;
                let member = self.own(&state)?;
                for alarm in &state.etcd.alarms {
                    caller.out(format!("memberID:{} alarm:{alarm} \n", member.id).as_bytes())?;
                }
                Ok(0)
            }
            ["auth", "status"] => {
                self.quorum(&state)?;
                caller.out(b"Authentication Status: false\nAuthRevision: 1\n")?;
                Ok(0)
            }
            ["member", "list"] => self.members(&state, &parsed, caller),
            ["get", range @ ..] => self.get(&state, &parsed, range, caller),
            ["snapshot", "save", path] => self.save(&state, path, caller),
            other => Err(Failure::Unmodelled(format!("etcdctl {}", other.join(" ")))),
        }
    }

    /// A client without the right certificates, or of a member without data, waits in vain.
    fn connect(&self, parsed: &Parsed, caller: &mut dyn Caller) -> Result<(), Failure> {
        let given = |flag: &str, variable: &str| {
            parsed.value(flag).map(str::to_owned).or_else(|| {
                self.env.iter().find_map(|one| {
                    one.strip_prefix(variable)
                        .and_then(|rest| rest.strip_prefix('='))
                        .map(str::to_owned)
                })
            })
        };
        let endpoints =
            given("endpoints", "ETCDCTL_ENDPOINTS").unwrap_or_else(|| "127.0.0.1:2379".to_owned());
        let right = endpoints
            .split(',')
            .all(|one| one.starts_with("https://") && (one.ends_with(":12379") || one.ends_with(":2379")));
        for (flag, variable) in [
            ("cacert", "ETCDCTL_CACERT"),
            ("cert", "ETCDCTL_CERT"),
            ("key", "ETCDCTL_KEY"),
        ] {
            let Some(path) = given(flag, variable) else {
                return Err(deadline());
            };
            let there = match (self.outside)(&path) {
                Some(outside) => caller.exists(&outside)?,
                None => false,
            };
            if !there {
                return Err(error(&format!("open {path}: no such file or directory")));
            }
        }
        if !right || !caller.exists(&format!("{}/{DATA}", self.data))? {
            return Err(deadline());
        }
        Ok(())
    }

    fn own<'s>(&self, state: &'s State) -> Result<&'s Member, Failure> {
        state
            .etcd
            .members
            .get(self.host)
            .ok_or_else(|| Failure::Unmodelled("a member of etcd on a worker".to_owned()))
    }

    fn quorum(&self, state: &State) -> Result<(), Failure> {
        if state.etcd_has_quorum() {
            Ok(())
        } else {
            Err(deadline())
        }
    }

    /// The members that are asked, with whether each is up.
    fn asked<'s>(
        &self,
        state: &'s State,
        parsed: &Parsed,
    ) -> Result<Vec<(String, &'s Member, bool)>, Failure> {
        let up = state.etcd_up();
        if !parsed.has("cluster") {
            let endpoint = parsed
                .value("endpoints")
                .unwrap_or("https://127.0.0.1:12379")
                .to_owned();
            return Ok(vec![(endpoint, self.own(state)?, true)]);
        }
        // The list of members is asked of the cluster first.
        self.quorum(state)?;
        Ok(state
            .etcd
            .members
            .iter()
            .map(|(host, member)| (member.client.clone(), member, up.contains(host.as_str())))
            .collect())
    }

    fn status(&self, state: &State, parsed: &Parsed, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let leader = state
            .etcd_leader()
            .and_then(|host| state.etcd.members.get(host))
            .map_or(0, |member| member.id);
        let size = state.etcd.size.max(state.etcd.store.size());
        let mut failed = false;
        let mut all = Vec::new();
        for (endpoint, member, up) in self.asked(state, parsed)? {
            if !up {
                failed = true;
                caller.err(
                    format!("Failed to get the status of endpoint {endpoint} (context deadline exceeded)\n")
                        .as_bytes(),
                )?;
                continue;
            }
            all.push(json!({"Endpoint": endpoint, "Status": {
                "header": header(state, member, true), "version": VERSION, "dbSize": size, "leader": leader,
                "raftIndex": raft_index(state), "raftTerm": state.etcd.term, "raftAppliedIndex": raft_index(state),
                "dbSizeInUse": size,
            }}));
        }
        match parsed.value("write-out") {
            Some("json") => caller.out(format!("{}\n", Value::Array(all)).as_bytes())?,
            Some("fields") => {
                for one in &all {
                    let status = &one["Status"];
                    let text = format!(
                        "\"ClusterID\" : {}\n\"MemberID\" : {}\n\"Revision\" : {}\n\"RaftTerm\" : {}\n\"Version\" : \"{VERSION}\"\n\"DBSize\" : {size}\n\"Leader\" : {leader}\n\"IsLearner\" : false\n\"RaftIndex\" : {}\n\"RaftTerm\" : {}\n\"RaftAppliedIndex\" : {}\n\"Errors\" : []\n\"Endpoint\" : {}\n\n",
                        status["header"]["cluster_id"],
                        status["header"]["member_id"],
                        status["header"]["revision"],
                        state.etcd.term,
                        raft_index(state),
                        state.etcd.term,
                        raft_index(state),
                        one["Endpoint"]
                    );
                    caller.out(text.as_bytes())?;
                }
            }
            None | Some("simple") => {
                for one in &all {
                    let id = one["Status"]["header"]["member_id"].as_u64().unwrap_or(0);
                    let index = raft_index(state);
                    let text = format!(
                        "{}, {id:x}, {VERSION}, {}, {}, false, {}, {index}, {index}, \n",
                        one["Endpoint"].as_str().unwrap_or_default(),
                        human(size),
                        id == leader,
                        state.etcd.term
                    );
                    caller.out(text.as_bytes())?;
                }
            }
            Some(other) => return Err(Failure::Unmodelled(format!("endpoint status -w {other}"))),
        }
        Ok(u8::from(failed))
    }

    fn health(&self, state: &State, parsed: &Parsed, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let quorum = state.etcd_has_quorum();
        let mut rows = Vec::new();
        for (endpoint, _, up) in self.asked(state, parsed)? {
            rows.push((endpoint, up && quorum && state.etcd.alarms.is_empty()));
        }
        let healthy = rows.iter().all(|(_, healthy)| *healthy);
        if parsed.value("write-out") == Some("json") {
            let list: Vec<Value> = rows
                .iter()
                .map(|(endpoint, healthy)| json!({"endpoint": endpoint, "health": healthy, "took": "2.3ms"}))
                .collect();
            caller.out(format!("{}\n", Value::Array(list)).as_bytes())?;
        } else {
            for (endpoint, healthy) in rows {
                if healthy {
                    let text =
                        format!("{endpoint} is healthy: successfully committed proposal: took = 2.3ms\n");
                    caller.out(text.as_bytes())?;
                } else {
                    let text = format!(
                        "{endpoint} is unhealthy: failed to commit proposal: context deadline exceeded\n"
                    );
                    caller.err(text.as_bytes())?;
                }
            }
        }
        if healthy {
            Ok(0)
        } else {
            Err(error("unhealthy cluster"))
        }
    }

    fn hashkv(&self, state: &State, parsed: &Parsed, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let mut list = Vec::new();
        for (endpoint, member, up) in self.asked(state, parsed)? {
            if !up {
                return Err(error(&format!(
                    "Failed to get the hash of endpoint {endpoint} (context deadline exceeded)"
                )));
            }
            let hash = hash(state, member);
            match parsed.value("write-out") {
                Some("json") => list.push(json!({"Endpoint": endpoint, "HashKV": {
                    "header": header(state, member, true), "hash": hash, "compact_revision": 1}})),
                Some("fields") => {
                    let text = format!(
                        "\"Endpoint\" : \"{endpoint}\"\n\"Hash\" : {hash}\n\"HashRevision\" : {}\n\"CompactRevision\" : 1\n\n",
                        state.etcd.store.revision()
                    );
                    caller.out(text.as_bytes())?;
                }
                None | Some("simple") => {
                    let text = format!("{endpoint}, {hash}, {}\n", state.etcd.store.revision());
                    caller.out(text.as_bytes())?;
                }
                Some(other) => return Err(Failure::Unmodelled(format!("endpoint hashkv -w {other}"))),
            }
        }
        if parsed.value("write-out") == Some("json") {
            caller.out(format!("{}\n", Value::Array(list)).as_bytes())?;
        }
        Ok(0)
    }

    fn members(&self, state: &State, parsed: &Parsed, caller: &mut dyn Caller) -> Result<u8, Failure> {
        self.quorum(state)?;
        let members = state.etcd.members.values();
        match parsed.value("write-out") {
            Some("json") => {
                let list: Vec<Value> = members
                    .map(|one| json!({"ID": one.id, "name": one.name, "peerURLs": [one.peer], "clientURLs": [one.client]}))
                    .collect();
                let own = self.own(state)?;
                let text = json!({"header": header(state, own, false), "members": list});
                caller.out(format!("{text}\n").as_bytes())?;
            }
            None | Some("simple") => {
                for one in members {
                    let text = format!(
                        "{:x}, started, {}, {}, {}, false\n",
                        one.id, one.name, one.peer, one.client
                    );
                    caller.out(text.as_bytes())?;
                }
            }
            Some(other) => return Err(Failure::Unmodelled(format!("member list -w {other}"))),
        }
        Ok(0)
    }

    fn get(
        &self,
        state: &State,
        parsed: &Parsed,
        range: &[&str],
        caller: &mut dyn Caller,
    ) -> Result<u8, Failure> {
        if parsed.value("consistency") != Some("s") {
            self.quorum(state)?;
        }
        let store = &state.etcd.store;
        let [key, end @ ..] = range else {
            return Err(error(
                "get command needs one argument as key and an optional argument as range_end",
            ));
        };
        let end = end.first().copied();
        let mut found: Vec<(&str, &crate::lab::model::etcd::Entry)> = match end {
            None if parsed.has("prefix") => store.range(key).collect(),
            None if parsed.has("from-key") => store.range("").filter(|(one, _)| one >= key).collect(),
            None => store.range(key).filter(|(one, _)| one == key).collect(),
            Some(end) => store
                .range("")
                .filter(|(one, _)| one >= key && *one < end)
                .collect(),
        };
        let count = found.len();
        match (parsed.value("sort-by"), parsed.value("order")) {
            (None | Some("KEY"), None | Some("ASCEND")) => {}
            (Some("MODIFY"), order @ (None | Some("ASCEND" | "DESCEND"))) => {
                found.sort_by_key(|(_, entry)| entry.modified);
                if order == Some("DESCEND") {
                    found.reverse();
                }
            }
            (by, order) => return Err(Failure::Unmodelled(format!("get sorted by {by:?} {order:?}"))),
        }
        if let Some(limit) = parsed.value("limit").and_then(|limit| limit.parse().ok()) {
            let limit: usize = limit;
            if limit > 0 {
                found.truncate(limit);
            }
        }
        let base64 = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
        match parsed.value("write-out") {
            Some("json") => {
                let list: Vec<Value> = found
                    .iter()
                    .map(|(key, entry)| {
                        let mut one = json!({"key": base64(key.as_bytes()), "create_revision": entry.created,
                            "mod_revision": entry.modified, "version": entry.version});
                        if !parsed.has("keys-only") {
                            one["value"] = json!(base64(&entry.bytes));
                        }
                        one
                    })
                    .collect();
                let mut text = json!({"header": header(state, self.own(state)?, true), "count": count});
                if !parsed.has("count-only") {
                    text["kvs"] = Value::Array(list);
                }
                caller.out(format!("{text}\n").as_bytes())?;
            }
            Some("fields") => {
                let own = self.own(state)?;
                let text = format!(
                    "\"ClusterID\" : 14841639068965178418\n\"MemberID\" : {}\n\"Revision\" : {}\n\"RaftTerm\" : {}\n",
                    own.id,
                    store.revision(),
                    state.etcd.term
                );
                caller.out(text.as_bytes())?;
                if !parsed.has("count-only") {
                    for (key, entry) in &found {
                        let text = format!(
                            "\"Key\" : {key:?}\n\"CreateRevision\" : {}\n\"ModRevision\" : {}\n\"Version\" : {}\n\"Value\" : {:?}\n\"Lease\" : 0\n",
                            entry.created,
                            entry.modified,
                            entry.version,
                            String::from_utf8_lossy(&entry.bytes)
                        );
                        caller.out(text.as_bytes())?;
                    }
                }
                caller.out(format!("\"More\" : false\n\"Count\" : {count}\n").as_bytes())?;
            }
            None | Some("simple") => {
                if parsed.has("count-only") {
                    return Err(error("--count-only is only for `--write-out=fields`"));
                }
                let mut text = Vec::new();
                for (key, entry) in found {
                    if !parsed.has("print-value-only") {
                        text.extend_from_slice(key.as_bytes());
                        text.push(b'\n');
                    }
                    if !parsed.has("keys-only") {
                        text.extend_from_slice(&entry.bytes);
                    }
                    text.push(b'\n');
                }
                caller.out(&text)?;
            }
            Some(other) => return Err(Failure::Unmodelled(format!("get -w {other}"))),
        }
        Ok(0)
    }

    fn save(&self, state: &State, path: &str, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let outside = (self.outside)(path)
            .ok_or_else(|| Failure::Unmodelled(format!("{path}, which is nowhere in the container")))?;
        let bytes = state.etcd.store.snapshot();
        caller.err(b"{\"level\":\"info\",\"msg\":\"created temporary db file\"}\n")?;
        if let Some((parent, _)) = outside.rsplit_once('/') {
            caller.change(FileOp::MakeDirectory(parent.to_owned()))?;
        }
        write(caller, &outside, &bytes, 0o600)?;
        caller.out(format!("Snapshot saved at {path}\n").as_bytes())?;
        Ok(0)
    }
}

/// Writes a file that may be larger than what goes over the line at once.
fn write(caller: &mut dyn Caller, path: &str, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    if bytes.len() > PIECE {
        return Err(Failure::Unmodelled("a store of more than 16 MiB".to_owned()));
    }
    let op = FileOp::Write {
        path: path.to_owned(),
        bytes: bytes.to_vec(),
        mode,
    };
    Ok(caller.change(op)?)
}

/// `etcdutl`.
pub(super) struct Etcdutl;

impl Tool for Etcdutl {
    fn name(&self) -> &'static str {
        "etcdutl"
    }

    fn run(&self, call: &Invocation<'_>, caller: &mut dyn Caller) -> Result<u8, Failure> {
        let flags = [
            ("write-out", 'w', true),
            ("name", '\0', true),
            ("initial-cluster", '\0', true),
            ("initial-cluster-token", '\0', true),
            ("initial-advertise-peer-urls", '\0', true),
            ("data-dir", '\0', true),
            ("wal-dir", '\0', true),
            ("skip-hash-check", '\0', false),
            ("bump-revision", '\0', true),
            ("mark-compacted", '\0', false),
        ];
        let parsed = parse(&call.argv[1..], &flags, false)?;
        let words: Vec<&str> = parsed.words.iter().map(String::as_str).collect();
        let absolute = |path: &str| {
            if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("{}/{path}", call.cwd.trim_end_matches('/'))
            }
        };
        match words.as_slice() {
            ["version"] => {
                let version = call
                    .env
                    .iter()
                    .find(|(name, _)| name == "LAB_VERSION")
                    .map_or(VERSION, |(_, version)| version.as_str());
                caller.out(format!("etcdutl version: {version}\nAPI version: 3.5\n").as_bytes())?;
                Ok(0)
            }
            ["snapshot", "status", file] => status(&parsed, &absolute(file), caller),
            ["snapshot", "restore", file] => restore(&parsed, &absolute(file), &absolute, caller),
            other => Err(Failure::Unmodelled(format!("etcdutl {}", other.join(" ")))),
        }
    }
}

fn load(file: &str, caller: &mut dyn Caller) -> Result<Vec<u8>, Failure> {
    if !caller.exists(file)? {
        return Err(error(&format!("stat {file}: no such file or directory")));
    }
    Ok(caller.read(file)?)
}

fn status(parsed: &Parsed, file: &str, caller: &mut dyn Caller) -> Result<u8, Failure> {
    let bytes = load(file, caller)?;
    let store = Store::from_snapshot(&bytes)
        .map_err(|_| error("snapshot file integrity check failed. 1 errors found.\npage 3: already freed"))?;
    let (hash, revision, keys, size) = (
        store.hash(),
        store.revision(),
        store.total_keys(),
        bytes.len() - 32,
    );
    let text = match parsed.value("write-out") {
        Some("json") => format!(
            "{}\n",
            json!({"hash": hash, "revision": revision, "totalKey": keys, "totalSize": size, "version": "3.5.0"})
        ),
        Some("fields") => format!(
            "\"Hash\" : {hash}\n\"Revision\" : {revision}\n\"Keys\" : {keys}\n\"Size\" : {size}\n\"Version\" : \"3.5.0\"\n"
        ),
        Some("table") => return Err(Failure::Unmodelled("-w table".to_owned())),
        _ => format!("{hash:x}, {revision}, {keys}, {}\n", human(size as u64)),
    };
    caller.out(text.as_bytes())?;
    Ok(0)
}

fn restore(
    parsed: &Parsed,
    file: &str,
    absolute: &dyn Fn(&str) -> String,
    caller: &mut dyn Caller,
) -> Result<u8, Failure> {
    let bytes = load(file, caller)?;
    let name = parsed.value("name").unwrap_or("default");
    let directory = absolute(parsed.value("data-dir").unwrap_or(&format!("{name}.etcd")));
    if caller.exists(&directory)? && !caller.list(&directory)?.is_empty() {
        return Err(error(&format!(
            "data-dir \"{directory}\" not empty or could not be read"
        )));
    }
    let store = match Store::from_snapshot(&bytes) {
        Ok(store) => store,
        Err(Spoilt::Hash { expected, got }) => {
            return Err(error(&format!("expected sha256 {expected:?}, got {got:?}")));
        }
        Err(Spoilt::NoSnapshot) => {
            return Err(error("snapshot missing hash but --skip-hash-check=false"));
        }
    };
    let cluster = parsed
        .value("initial-cluster")
        .unwrap_or("default=http://localhost:2380");
    let peers = parsed
        .value("initial-advertise-peer-urls")
        .unwrap_or("http://localhost:2380");
    let own = cluster
        .split(',')
        .filter_map(|one| one.split_once('='))
        .find(|(other, _)| *other == name);
    match own {
        None => {
            return Err(error(&format!(
                "couldn't find local name \"{name}\" in the initial cluster configuration"
            )));
        }
        Some((_, urls)) if urls != peers => {
            return Err(error(&format!(
                "--initial-cluster has {name}={urls} but missing from --initial-advertise-peer-urls={peers}"
            )));
        }
        Some(_) => {}
    }
    let about = json!({"name": name, "initialCluster": cluster, "peerUrls": [peers]});
    for part in ["member/snap", "member/wal"] {
        caller.change(FileOp::MakeDirectory(format!("{directory}/{part}")))?;
    }
    write(caller, &format!("{directory}/{DATA}"), &store.snapshot(), 0o600)?;
    write(
        caller,
        &format!("{directory}/member/lab.json"),
        format!("{about}\n").as_bytes(),
        0o600,
    )?;
    caller.err(b"{\"level\":\"info\",\"msg\":\"restored snapshot\"}\n")?;
    Ok(0)
}
