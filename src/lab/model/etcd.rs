//! etcd: a store of keys with revisions, and the cluster of them that MKE 3 runs in its `ucp-kv` containers.

use super::State;
use super::kube::{Api, set_condition};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

/// First line of a snapshot.
const MAGIC: &str = "mkectl lab etcd 3\n";

/// What a snapshot is padded to before its hash, as pages of the real file are.
const PAGE: usize = 4096;

/// A key's value and its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value: JSON where it is an object of Kubernetes.
    pub bytes: Vec<u8>,
    /// Revision of its creation.
    pub created: u64,
    /// Revision of its last change.
    pub modified: u64,
    /// Changes since its creation, from 1.
    pub version: u64,
    read: Read,
}

/// The value as JSON, once somebody asked for it: controllers look at every object at every tick.
#[derive(Debug, Default)]
struct Read(OnceLock<Option<Arc<Value>>>);

impl Clone for Read {
    fn clone(&self) -> Read {
        let read = OnceLock::new();
        if let Some(known) = self.0.get() {
            // It is new, so nobody was faster.
            let _ = read.set(known.clone());
        }
        Read(read)
    }
}

impl PartialEq for Read {
    /// It follows from the bytes.
    fn eq(&self, _: &Read) -> bool {
        true
    }
}

impl Eq for Read {}

impl Entry {
    /// The value, where it is JSON.
    pub fn value(&self) -> Option<&Value> {
        self.read
            .0
            .get_or_init(|| serde_json::from_slice(&self.bytes).ok().map(Arc::new))
            .as_deref()
    }
}

/// A store. All members of a cluster have the same one, so there is one value for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    revision: u64,
    /// Keys that were written or deleted and not compacted, which a real file holds as well.
    history: u64,
    keys: BTreeMap<String, Entry>,
}

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spoilt {
    /// They are none at all, or cut off.
    NoSnapshot,
    /// The hash at the end is that of other bytes.
    Hash {
        /// The hash at the end.
        expected: Vec<u8>,
        /// The hash of what is there.
        got: Vec<u8>,
    },
}

impl Default for Store {
    fn default() -> Store {
        Store::new()
    }
}

impl Store {
    /// An empty store. Its first revision is 1, as etcd has it.
    pub fn new() -> Store {
        Store {
            revision: 1,
            history: 0,
            keys: BTreeMap::new(),
        }
    }

    /// Revision of the last change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// One key.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.keys.get(key)
    }

    /// Keys that begin with `prefix`, sorted.
    pub fn range<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        self.keys
            .range(prefix.to_owned()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, entry)| (key.as_str(), entry))
    }

    /// Number of keys that begin with `prefix`.
    pub fn count(&self, prefix: &str) -> usize {
        self.range(prefix).count()
    }

    /// Writes a key. The answer is the new revision.
    pub fn put(&mut self, key: &str, bytes: Vec<u8>) -> u64 {
        self.revision += 1;
        self.history += 1;
        let revision = self.revision;
        let entry = self.keys.entry(key.to_owned()).or_insert_with(|| Entry {
            bytes: Vec::new(),
            created: revision,
            modified: revision,
            version: 0,
            read: Read::default(),
        });
        entry.read = Read::default();
        entry.bytes = bytes;
        entry.modified = revision;
        entry.version += 1;
        revision
    }

    /// Removes a key. The answer is the new revision; none when there was no such key.
    pub fn delete(&mut self, key: &str) -> Option<u64> {
        self.keys.remove(key)?;
        self.revision += 1;
        self.history += 1;
        Some(self.revision)
    }

    /// Number that is the same for the same content and revision: `hashkv`.
    pub fn hash(&self) -> u32 {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(self.revision.to_be_bytes());
        for (key, entry) in &self.keys {
            hash.update(key.as_bytes());
            hash.update([0]);
            hash.update(&entry.bytes);
            hash.update(entry.modified.to_be_bytes());
        }
        let digest = hash.finalize();
        u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
    }

    /// `totalKey` of a snapshot's status: as etcd counts, every revision that the file holds, and not the keys there are.
    pub fn total_keys(&self) -> u64 {
        self.history + 6
    }

    /// Bytes of the database.
    pub fn size(&self) -> u64 {
        let bytes: usize = self
            .keys
            .iter()
            .map(|(key, entry)| key.len() + entry.bytes.len() + 64)
            .sum();
        bytes.next_multiple_of(PAGE) as u64
    }

    /// The whole store as the bytes of a snapshot, with a SHA-256 of them at the end.
    pub fn snapshot(&self) -> Vec<u8> {
        use sha2::{Digest, Sha256};
        let mut bytes = MAGIC.as_bytes().to_vec();
        let line = format!("{} {} {}\n", self.revision, self.history, self.keys.len());
        bytes.extend_from_slice(line.as_bytes());
        for (key, entry) in &self.keys {
            let line = format!(
                "{} {} {} {} {}\n",
                key.len(),
                entry.bytes.len(),
                entry.created,
                entry.modified,
                entry.version
            );
            bytes.extend_from_slice(line.as_bytes());
            bytes.extend_from_slice(key.as_bytes());
            bytes.push(b'\n');
            bytes.extend_from_slice(&entry.bytes);
            bytes.push(b'\n');
        }
        bytes.resize(bytes.len().next_multiple_of(PAGE), 0);
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        bytes
    }

    /// Reads what [`Store::snapshot`] made.
    ///
    /// # Errors
    /// When the bytes are no snapshot, cut off, or changed since.
    pub fn from_snapshot(bytes: &[u8]) -> Result<Store, Spoilt> {
        use sha2::{Digest, Sha256};
        if !bytes.starts_with(MAGIC.as_bytes()) || bytes.len() % PAGE != 32 {
            return Err(Spoilt::NoSnapshot);
        }
        let (content, expected) = bytes.split_at(bytes.len() - 32);
        let got = Sha256::digest(content).to_vec();
        if got != expected {
            return Err(Spoilt::Hash {
                expected: expected.to_vec(),
                got,
            });
        }
        read(&content[MAGIC.len()..]).ok_or(Spoilt::NoSnapshot)
    }
}

/// The numbers of the next line, and what follows it.
fn numbers<const N: usize>(bytes: &[u8]) -> Option<([u64; N], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(bytes.get(..end)?).ok()?;
    let mut found = [0; N];
    let mut words = line.split(' ');
    for number in &mut found {
        *number = words.next()?.parse().ok()?;
    }
    Some((found, bytes.get(end + 1..)?))
}

fn read(bytes: &[u8]) -> Option<Store> {
    let ([revision, history, count], mut rest) = numbers::<3>(bytes)?;
    let mut keys = BTreeMap::new();
    for _ in 0..count {
        let ([key, value, created, modified, version], after) = numbers::<5>(rest)?;
        let (key, value) = (usize::try_from(key).ok()?, usize::try_from(value).ok()?);
        let name = std::str::from_utf8(after.get(..key)?).ok()?.to_owned();
        let after = after.get(key + 1..)?;
        let entry = Entry {
            bytes: after.get(..value)?.to_vec(),
            created,
            modified,
            version,
            read: Read::default(),
        };
        keys.insert(name, entry);
        rest = after.get(value + 1..)?;
    }
    Some(Store {
        revision,
        history,
        keys,
    })
}

/// A member of MKE 3's etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Id, as `member list` prints it.
    pub id: u64,
    /// Name.
    pub name: String,
    /// Address between members.
    pub peer: String,
    /// Address for clients.
    pub client: String,
    /// Its data are not those of the others.
    pub strays: bool,
}

/// MKE 3's etcd: one member on every manager, up while the container `ucp-kv` runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mke3Etcd {
    /// What the members hold.
    pub store: Store,
    /// Members by host.
    pub members: BTreeMap<String, Member>,
    /// Host of the leader when there was one last.
    pub leader: String,
    /// Grows with every election.
    pub term: u64,
    /// Alarms, such as `NOSPACE`.
    pub alarms: BTreeSet<String>,
    /// Bytes that the real database has, where that is known.
    pub size: u64,
}

/// Ticks after which a silent node is no longer taken for ready.
const SILENCE: u64 = 5;

/// Container of a member.
pub const KV: &str = "ucp-kv";

/// Container of an API server.
pub const API: &str = "ucp-kube-apiserver";

impl State {
    /// Whether a container of MKE 3 runs on a host.
    pub fn runs(&self, host: &str, container: &str) -> bool {
        self.hosts.get(host).is_some_and(|host| {
            host.docker_up()
                && host
                    .containers
                    .get(container)
                    .is_some_and(super::Container::is_running)
        })
    }

    /// Hosts whose member of MKE 3's etcd is up.
    pub fn etcd_up(&self) -> BTreeSet<&str> {
        self.etcd
            .members
            .keys()
            .map(String::as_str)
            .filter(|host| self.runs(host, KV))
            .collect()
    }

    /// Whether MKE 3's etcd takes reads and writes: more than half of its members are up.
    pub fn etcd_has_quorum(&self) -> bool {
        self.etcd_up().len() * 2 > self.etcd.members.len()
    }

    /// Host of the leader of MKE 3's etcd; none without a quorum.
    pub fn etcd_leader(&self) -> Option<&str> {
        if !self.etcd_has_quorum() {
            return None;
        }
        let up = self.etcd_up();
        up.get(self.etcd.leader.as_str()).or_else(|| up.first()).copied()
    }

    /// Host of an API server of MKE 3 that answers; the first in the order of names.
    pub fn mke3_api(&self) -> Option<&str> {
        if !self.etcd_has_quorum() {
            return None;
        }
        self.etcd
            .members
            .keys()
            .map(String::as_str)
            .find(|host| self.runs(host, API))
    }

    /// Elections, and what API servers write while nobody asks: leases of nodes, and whether those are ready.
    pub(super) fn tick_etcd(&mut self) {
        let leader = self.etcd_leader().map(str::to_owned);
        if let Some(leader) = leader
            && leader != self.etcd.leader
        {
            self.etcd.leader = leader;
            self.etcd.term += 1;
        }
        if self.mke3_api().is_none() {
            return;
        }
        let context = self.mke3_context();
        let watched = self
            .hosts
            .keys()
            .any(|host| self.runs(host, "ucp-kube-controller-manager"));
        let mut api = Api::new(&mut self.etcd.store, &context);
        let time = context.time();
        for mut node in api.all("nodes") {
            let name = super::kube::name(&node).to_owned();
            let lease = format!("/registry/leases/kube-node-lease/{name}");
            if context.live.contains(&name) {
                if let Some(entry) = api.store.get(&lease)
                    && let Ok(mut lease_of) = serde_json::from_slice::<Value>(&entry.bytes)
                {
                    lease_of["spec"]["renewTime"] = json!(time);
                    lease_of["spec"]["tick"] = json!(context.now);
                    let bytes = lease_of.to_string().into_bytes();
                    api.store.put(&lease, bytes);
                }
                set_condition(&mut node, "Ready", "True", "KubeletReady", "", &time);
                api.write_status(&node);
            } else if watched {
                let heard = api
                    .store
                    .get(&lease)
                    .and_then(|entry| serde_json::from_slice::<Value>(&entry.bytes).ok())
                    .and_then(|lease| lease["spec"]["tick"].as_u64())
                    .unwrap_or(0);
                if heard + SILENCE < context.now {
                    set_condition(
                        &mut node,
                        "Ready",
                        "Unknown",
                        "NodeStatusUnknown",
                        "Kubelet stopped posting node status.",
                        &time,
                    );
                    api.write_status(&node);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        let mut store = Store::new();
        store.put("/registry/a/1", b"one".to_vec());
        store.put("/registry/a/2", b"two\nlines".to_vec());
        store.put("/registry/b", Vec::new());
        store.put("/registry/a/1", b"more".to_vec());
        store.delete("/registry/b");
        store
    }

    #[test]
    fn every_change_is_a_revision() {
        let mut store = store();
        assert_eq!(store.revision(), 6);
        let one = store.get("/registry/a/1").unwrap();
        assert_eq!((one.created, one.modified, one.version), (2, 5, 2));
        assert_eq!(store.delete("/registry/b"), None);
        assert_eq!(store.revision(), 6, "nothing was deleted");
        assert_eq!(store.count("/registry/a/"), 2);
        assert_eq!(store.count("/registry/b"), 0);
        assert!(store.total_keys() > 5, "deleted keys count as well");
    }

    #[test]
    fn a_snapshot_is_the_store_and_shows_when_it_was_changed() {
        let store = store();
        let bytes = store.snapshot();
        assert_eq!(bytes.len() % 512, 32);
        assert_eq!(Store::from_snapshot(&bytes).unwrap(), store);
        assert_eq!(Store::from_snapshot(&bytes).unwrap().hash(), store.hash());
        let mut changed = bytes.clone();
        changed[MAGIC.len() + 40] ^= 1;
        assert!(matches!(Store::from_snapshot(&changed), Err(Spoilt::Hash { .. })));
        assert_eq!(
            Store::from_snapshot(&bytes[..bytes.len() - 40]),
            Err(Spoilt::NoSnapshot)
        );
        assert_eq!(Store::from_snapshot(b"no"), Err(Spoilt::NoSnapshot));
    }
}
