//! Real sshd processes for tests.

use mkectl::model::{Bastion, Host};
use mkectl::ssh::auth::Keys;
use mkectl::ssh::client::{Client, Settings};
use mkectl::ssh::hostkey::Policy;
use mkectl::ssh::keyfile::AskPassphrase;
use mkectl::ssh::knownhosts::KnownHosts;
use mkectl::ssh::{ConnectError, Exec, Session, Transport};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

const SSHD: &str = "/usr/sbin/sshd";

/// Keys, servers and an agent in a directory of their own. Whatever was started ends with it.
pub struct World {
    pub dir: tempfile::TempDir,
    pub user: String,
}

pub struct Sshd {
    child: Child,
    pub port: u16,
    host_key: String,
    log: PathBuf,
}

pub struct Agent {
    child: Child,
    pub socket: PathBuf,
}

fn output(command: &mut Command) -> String {
    let out = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; apt-get install openssh-client"));
    assert!(
        out.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap()
}

impl World {
    pub fn new() -> World {
        assert!(
            Path::new(SSHD).exists(),
            "{SSHD} is missing: these tests need a real OpenSSH server; apt-get install openssh-server"
        );
        let user = output(Command::new("id").arg("-un")).trim().to_owned();
        if user == "root" {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        World {
            dir: tempfile::tempdir().unwrap(),
            user,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn keygen(&self, args: &[&str]) {
        output(Command::new("ssh-keygen").args(args).current_dir(self.dir.path()));
    }

    /// A key pair; its public key as two words.
    pub fn key(&self, name: &str, kind: &str) -> String {
        self.locked_key(name, kind, "")
    }

    pub fn locked_key(&self, name: &str, kind: &str, passphrase: &str) -> String {
        // Two rounds are enough to be encrypted, and fast without optimisation.
        self.keygen(&[
            "-q", "-t", kind, "-N", passphrase, "-a", "2", "-C", name, "-f", name,
        ]);
        self.public(name)
    }

    pub fn public(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    pub fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A server that lets in `user` (made if it is not there) with an ed25519 host key.
    pub fn sshd(&self, extra: &str) -> Sshd {
        if !self.path("user").exists() {
            self.key("user", "ed25519");
        }
        let name = format!("host{}", fs::read_dir(self.dir.path()).unwrap().count());
        self.key(&name, "ed25519");
        self.sshd_with(&name, &["user"], extra)
    }

    pub fn sshd_with(&self, host_key: &str, users: &[&str], extra: &str) -> Sshd {
        let keys: String = users.iter().map(|user| self.public(user) + "\n").collect();
        let authorized = self.path(&format!("{host_key}.authorized"));
        fs::write(&authorized, keys).unwrap();
        // Somebody may take the free port before sshd does.
        for _ in 0..5 {
            if let Some(sshd) = self.try_sshd(host_key, &authorized, extra) {
                return sshd;
            }
        }
        panic!("no sshd in five attempts");
    }

    fn try_sshd(&self, host_key: &str, authorized: &Path, extra: &str) -> Option<Sshd> {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let config = self.path(&format!("{host_key}.config"));
        // A home of its own keeps out the start-up files of whoever runs the tests. sshd takes the first value it finds, and
        // SetEnv is one value.
        let home = format!("SetEnv HOME={}", self.dir.path().display());
        let extra = if extra.contains("SetEnv") {
            extra.replace("SetEnv", &home)
        } else {
            format!("{home}\n{extra}")
        };
        fs::write(
            &config,
            format!(
                "{extra}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
                 UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
                 LogLevel VERBOSE\nUseDNS no\n",
                self.name(host_key),
                authorized.display(),
            ),
        )
        .unwrap();
        let log = self.path(&format!("{host_key}.log"));
        let mut child = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if child.try_wait().unwrap().is_some() {
                let said = fs::read_to_string(&log).unwrap();
                assert!(said.contains("Address already in use"), "sshd: {said}");
                return None;
            }
            if fs::read_to_string(&log).unwrap().contains("Server listening") {
                return Some(Sshd {
                    child,
                    port,
                    host_key: self.public(host_key),
                    log,
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("sshd does not start: {}", fs::read_to_string(&log).unwrap());
    }

    pub fn agent(&self, keys: &[&str]) -> Agent {
        let socket = self.path("agent");
        let child = Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("ssh-agent: apt-get install openssh-client");
        let agent = Agent { child, socket };
        for _ in 0..1000 {
            if agent.socket.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        for key in keys {
            agent.add(&self.path(key));
        }
        agent
    }

    pub fn host(&self, id: &str, port: u16, key: &str) -> Host {
        Host {
            id: id.to_owned(),
            role: None,
            address: "127.0.0.1".to_owned(),
            port: u32::from(port),
            user: self.user.clone(),
            key_path: if key.is_empty() {
                String::new()
            } else {
                self.name(key)
            },
            bastion: None,
            host_keys: Vec::new(),
            machine_id: String::new(),
            fields: BTreeMap::new(),
            facts: BTreeMap::new(),
        }
    }

    pub fn bastion(&self, sshd: &Sshd, through: Option<Bastion>) -> Bastion {
        Bastion {
            address: "127.0.0.1".to_owned(),
            port: u32::from(sshd.port),
            user: self.user.clone(),
            key_path: self.name("user"),
            bastion: through.map(Box::new),
        }
    }
}

/// Builds a client.
pub struct Setup {
    pub known: String,
    pub agent: Option<PathBuf>,
    pub ask: Option<AskPassphrase>,
    pub settings: Settings,
}

impl Setup {
    pub fn trusting(sshds: &[&Sshd]) -> Setup {
        Setup {
            known: sshds.iter().map(|sshd| sshd.known()).collect(),
            agent: None,
            ask: None,
            settings: Settings::default(),
        }
    }

    pub fn known(text: &str) -> Setup {
        Setup {
            known: text.to_owned(),
            ..Setup::trusting(&[])
        }
    }

    pub fn agent(mut self, agent: &Agent) -> Setup {
        self.agent = Some(agent.socket.clone());
        self
    }

    pub fn client(self) -> Client {
        let mut known = KnownHosts::default();
        known.add("known_hosts", &self.known);
        let now = || {
            SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap()
                .as_secs()
        };
        Client::new(
            self.settings,
            Policy::new(known, Arc::new(now)),
            Keys::new(None, self.agent, self.ask),
        )
    }

    pub async fn connect(self, host: &Host) -> Result<Arc<dyn Session>, ConnectError> {
        self.client().connect(host).await
    }

    /// The error of a connection that must not come about.
    pub async fn refused(self, host: &Host) -> ConnectError {
        match self.connect(host).await {
            Ok(_) => panic!("{} was let in", host.id),
            Err(error) => error,
        }
    }
}

/// The first word that a command prints.
pub async fn says(session: &dyn Session, words: &[&str]) -> String {
    let ran = session.exec(Exec::new(words.iter().copied())).await.unwrap();
    assert!(ran.success(), "{words:?}: {} {}", ran.ending(), ran.complaint());
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}

impl Sshd {
    /// Its line in known_hosts.
    pub fn known(&self) -> String {
        format!("[127.0.0.1]:{} {}\n", self.port, self.host_key)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Processes that serve a connection each: children of the one we started.
    pub fn connections(&self) -> Vec<u32> {
        let id = self.child.id();
        fs::read_to_string(format!("/proc/{id}/task/{id}/children"))
            .unwrap()
            .split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    }

    /// Sends a signal to the processes that serve connections.
    pub fn signal_connections(&self, signal: &str) -> usize {
        let pids = self.connections();
        for pid in &pids {
            signal_process(signal, *pid);
        }
        pids.len()
    }
}

fn signal_process(signal: &str, pid: u32) {
    // It may have ended by itself.
    let _ = Command::new("kill")
        .args([signal, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

impl Drop for Sshd {
    fn drop(&mut self) {
        for pid in self.connections() {
            signal_process("-CONT", pid);
            signal_process("-KILL", pid);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    pub fn add(&self, key: &Path) {
        output(
            Command::new("ssh-add")
                .arg("-q")
                .arg(key)
                .env("SSH_AUTH_SOCK", &self.socket),
        );
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Accepts connections and says `greeting`, then nothing.
pub struct Mute {
    pub port: u16,
}

impl Mute {
    pub fn start(greeting: &'static [u8]) -> Mute {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // Ends with the test's process; it holds a port and one connection.
        std::thread::spawn(move || {
            if let Ok((mut stream, _)) = listener.accept() {
                let _ = std::io::Write::write_all(&mut stream, greeting);
                hold(stream);
            }
        });
        Mute { port }
    }
}

fn hold(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while matches!(stream.read(&mut bytes), Ok(n) if n > 0) {}
}
