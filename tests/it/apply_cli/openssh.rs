//! Real OpenSSH servers in front of simulated hosts: each connection is served by an `sshd -i` that runs inside the host, with
//! the host's own root, accounts, login shell and sudo.

use mkectl::lab::Lab;
use mkectl::lab::sandbox::Entry;
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const SSHD: &str = "/usr/sbin/sshd";

/// What one host's server is like.
pub struct Server {
    /// Kind of its host key.
    pub key: &'static str,
    /// Who logs in.
    pub user: &'static str,
    /// Their login shell.
    pub shell: &'static str,
    /// Lines of sshd_config.
    pub config: &'static str,
    /// Their start-up file.
    pub bashrc: &'static str,
}

/// A listener on loopback. It ends with the test's process; the servers it starts end with their connections.
pub struct OpenSsh {
    pub port: u16,
    pub fingerprint: String,
    pub log: PathBuf,
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Makes a host key; the answer is its fingerprint.
fn host_key(directory: &Path, name: &str, kind: &str) -> String {
    let path = directory.join(name);
    run(Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", "", "-C", name, "-f"])
        .arg(&path));
    let line = run(Command::new("ssh-keygen").arg("-lf").arg(&path));
    line.split(' ').nth(1).unwrap().to_owned()
}

impl OpenSsh {
    /// Puts a server into a host, which lets in `client`.
    pub fn in_host(lab: &Lab, host: &str, client: &str, directory: &Path, server: &Server) -> OpenSsh {
        assert!(
            Path::new(SSHD).exists(),
            "{SSHD} is missing: apt-get install openssh-server"
        );
        let name = format!("host-key-{host}");
        let fingerprint = host_key(directory, &name, server.key);
        let entry = lab.entry(host).unwrap();
        let put = |path: &str, mode: &str, bytes: &[u8]| {
            let line = format!("mkdir -p \"$(dirname {path})\" && cat >{path} && chmod {mode} {path}");
            let mut child = entry
                .command(["sh", "-c", &line])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(bytes).unwrap();
            assert!(child.wait().unwrap().success(), "{host}: {path}");
        };
        let home = if server.user == "root" {
            "/root"
        } else {
            "/home/deploy"
        };
        put(
            "/etc/ssh/lab_key",
            "600",
            &fs::read(directory.join(&name)).unwrap(),
        );
        put("/etc/ssh/lab_authorized", "644", client.as_bytes());
        put(
            "/etc/ssh/lab_config",
            "600",
            format!(
                "{}\nHostKey /etc/ssh/lab_key\nAuthorizedKeysFile /etc/ssh/lab_authorized\nPidFile none\nUsePAM no\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\n\
                 UseDNS no\nLogLevel VERBOSE\n",
                server.config
            )
            .as_bytes(),
        );
        put("/etc/ssh/lab_banner", "644", b"Authorised use only.\n");
        put(&format!("{home}/.bashrc"), "644", server.bashrc.as_bytes());
        put(
            "/etc/sudoers",
            "440",
            b"Defaults secure_path=\"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\nroot ALL=(ALL) ALL\ndeploy ALL=(ALL) NOPASSWD: ALL\n",
        );
        put("/etc/pam.d/sudo", "644", b"auth sufficient pam_permit.so\naccount sufficient pam_permit.so\nsession optional pam_permit.so\n");
        let accounts = format!(
            "mkdir -p /run/sshd && sed -i '/^sshd:/d; /^root:/d' /etc/passwd && \
             {{ echo 'sshd:x:109:65534::/run/sshd:/usr/sbin/nologin'; echo 'root:x:0:0:root:/root:{root}'; \
             echo 'deploy:x:4711:4711::/home/deploy:{shell}'; }} >>/etc/passwd && \
             echo 'deploy:x:4711:' >>/etc/group && \
             for who in root deploy sshd; do echo \"$who:NP:20000:0:99999:7:::\"; done >/etc/shadow && \
             chmod 640 /etc/shadow && chown -R 4711:4711 /home",
            root = if server.user == "root" {
                server.shell
            } else {
                "/bin/sh"
            },
            shell = server.shell,
        );
        run(&mut entry.command(["sh", "-c", &format!("mkdir -p /home && {accounts}")]));
        OpenSsh::listen(Some(entry), directory, host, fingerprint, "/etc/ssh/lab_config")
    }

    /// A server on this machine, for connections that go through it.
    pub fn bastion(client: &str, directory: &Path) -> OpenSsh {
        let fingerprint = host_key(directory, "host-key-bastion", "ed25519");
        fs::create_dir_all("/run/sshd").unwrap();
        fs::write(directory.join("authorized"), client).unwrap();
        let config = directory.join("bastion_config");
        let text = format!(
            "HostKey {0}/host-key-bastion\nAuthorizedKeysFile {0}/authorized\nStrictModes no\nUsePAM no\nPidFile none\n\
             PermitRootLogin yes\nUseDNS no\nLogLevel VERBOSE\n",
            directory.display()
        );
        fs::write(&config, text).unwrap();
        OpenSsh::listen(None, directory, "bastion", fingerprint, &config.to_string_lossy())
    }

    fn listen(
        entry: Option<Entry>,
        directory: &Path,
        name: &str,
        fingerprint: String,
        config: &str,
    ) -> OpenSsh {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = directory.join(format!("sshd-{name}.log"));
        let (config, to) = (config.to_owned(), log.clone());
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // A connection that cannot be served is closed, which the client tells.
                let _ = serve(entry, stream, &config, &to);
            }
        });
        OpenSsh {
            port,
            fingerprint,
            log,
        }
    }
}

fn serve(entry: Option<Entry>, stream: TcpStream, config: &str, log: &Path) -> std::io::Result<()> {
    let log = fs::File::options().append(true).create(true).open(log)?;
    let words = [SSHD, "-i", "-e", "-f", config];
    let mut command = match entry {
        Some(entry) => entry.command(words),
        None => {
            let mut command = Command::new(SSHD);
            command.args(&words[1..]);
            command
        }
    };
    let mut child = command
        .stdin(OwnedFd::from(stream.try_clone()?))
        .stdout(OwnedFd::from(stream))
        .stderr(log)
        .spawn()?;
    std::thread::spawn(move || child.wait());
    Ok(())
}
