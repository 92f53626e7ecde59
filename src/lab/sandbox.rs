//! The root of one simulated host: an overlay over this machine's programs in namespaces of its own.
//!
//! `init.sh` builds it and says how it is kept apart. What commands change lands in the upper directories, which
//! `changes` reads back. What is not limited is use of processor, memory and disk.

use super::changes::{self, Change, Layer};
use super::error::{LabError, file};
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const INIT: &str = include_str!("init.sh");
const BASE: &str = include_str!("base.sh");

/// Mounts each of its arguments. The directories are part of what the host holds at first.
const MOUNT: &str = r#"for directory; do
    mount -t tmpfs -o size=1m,mode=755 tmpfs "$directory" && echo token >"$directory/token" || exit 1
done"#;

/// What the kernel needs to allow, for people.
const REMEDY: &str = "run as root outside a container, or as an ordinary user where unprivileged user namespaces are on \
                      (sysctl user.max_user_namespaces above 0, kernel.apparmor_restrict_unprivileged_userns 0, \
                      kernel 5.11 or newer), with TMPDIR on a disk that is not itself an overlay";

/// `PATH` of every command in a simulated host. The stand-ins lie in its first directory.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How a simulated host is kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// By root of this machine: file owners in the host are free.
    Root,
    /// By an ordinary user (or root who acts as one): everything in the host belongs to root, and directories of this
    /// machine's `/usr` other than `/usr/local` and `/usr/libexec` cannot be written.
    User,
}

impl Isolation {
    /// The strongest that the current user can ask for.
    pub fn best() -> Isolation {
        let root = fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0);
        if root { Isolation::Root } else { Isolation::User }
    }
}

/// Makes the layer that all hosts of a lab share in `directory`.
///
/// # Errors
/// When a program is missing or the directory cannot be written.
pub fn make_base(directory: &Path) -> Result<(), LabError> {
    let ran = Command::new("sh")
        .args(["-c", BASE, "sh"])
        .arg(directory)
        .output()
        .map_err(|source| LabError::Program {
            program: "sh",
            source,
        })?;
    if ran.status.success() {
        return Ok(());
    }
    Err(LabError::File {
        doing: "make the layer that simulated hosts share in",
        path: directory.to_owned(),
        source: std::io::Error::other(String::from_utf8_lossy(&ran.stderr).trim().to_owned()),
    })
}

/// What a host is made from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Directory of the host; `seed/` in it is what the host holds at first, everything else is made.
    pub directory: PathBuf,
    /// The layer from [`make_base`].
    pub base: PathBuf,
    /// The program that stand-ins are links to, as `/.lab/mkectl`.
    pub binary: PathBuf,
    /// The socket on which the model listens, as `/.lab/socket`.
    pub socket: PathBuf,
    /// Host name.
    pub name: String,
    /// Private address with prefix length, put on the loopback interface; may be empty.
    pub address: String,
    /// Directories that are mounts of their own in memory, with something in them.
    pub mounts: Vec<String>,
    /// How it is kept apart.
    pub isolation: Isolation,
}

/// A running host. Ends, with every process in it, when dropped and when the process that started it ends, however that
/// ends.
#[derive(Debug)]
pub struct Sandbox {
    entry: Entry,
    layers: Vec<Layer>,
    outer: Child,
    stdin: Option<ChildStdin>,
}

/// How commands get into a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Process 1 of the host, as this machine numbers it.
    pid: u32,
    /// The process that holds the outer user namespace.
    outer: u32,
    isolation: Isolation,
}

impl Entry {
    /// A command of the host: `words` run as its root, in `/`, with nothing of this process's environment.
    pub fn command<S: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--preserve-credentials");
        if self.isolation == Isolation::User {
            // Only in its own user namespace may an ordinary user enter the others.
            command.args(["--user", "--target"]).arg(self.outer.to_string());
            command.args(["--", "nsenter", "--preserve-credentials"]);
        }
        command.args([
            "--user", "--mount", "--pid", "--net", "--uts", "--ipc", "--target",
        ]);
        command.arg(self.pid.to_string());
        command.args(["--", "env", "-i", &format!("PATH={PATH}")]);
        command.args([
            "HOME=/root",
            "USER=root",
            "LOGNAME=root",
            "SHELL=/bin/sh",
            "PWD=/",
        ]);
        command.args(words);
        command.env_clear().env("PATH", PATH);
        command
    }

    /// The host's root directory as this machine sees it. Absolute links in it lead to this machine's files: look, never
    /// follow.
    pub(super) fn view(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.pid))
    }
}

impl Sandbox {
    /// Builds the root and starts process 1.
    ///
    /// # Errors
    /// [`LabError::Refused`] when the system does not allow it; else what is missing.
    pub fn start(setup: &Setup) -> Result<Sandbox, LabError> {
        plain(&setup.directory)?;
        plain(&setup.base)?;
        for directory in ["seed/usr/local", "upper", "work", "root"] {
            let path = setup.directory.join(directory);
            fs::create_dir_all(&path).map_err(file("create", path))?;
        }
        let mut command = Command::new("unshare");
        if setup.isolation == Isolation::User {
            command.args(["--user", "--map-root-user"]);
        }
        let options = match setup.isolation {
            Isolation::Root => "",
            Isolation::User => "userxattr,",
        };
        command
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--propagation",
                "private",
            ])
            .args(["sh", "-c", INIT, "sh"])
            .args([&setup.directory, &setup.base, &setup.binary, &setup.socket])
            .args([
                &setup.name,
                &setup.address,
                options,
                &super::tools::BROUGHT.join(" "),
            ])
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut outer = command.spawn().map_err(|source| LabError::Program {
            program: "unshare",
            source,
        })?;
        let stdin = outer.stdin.take();
        match first_line(&mut outer) {
            Ok(pid) => {
                let sandbox = Sandbox {
                    entry: Entry {
                        pid,
                        outer: outer.id(),
                        isolation: setup.isolation,
                    },
                    layers: changes::layers(&setup.directory, &setup.base),
                    outer,
                    stdin,
                };
                sandbox.mount(&setup.mounts)?;
                Ok(sandbox)
            }
            Err(reason) => {
                // It may have ended by itself, which is what is wanted.
                let _ = outer.kill();
                let _ = outer.wait();
                Err(LabError::Refused {
                    reason,
                    remedy: REMEDY,
                })
            }
        }
    }

    /// Mounts directories in memory, as a command of the host could: it may unmount them again.
    fn mount(&self, directories: &[String]) -> Result<(), LabError> {
        if directories.is_empty() {
            return Ok(());
        }
        let words = ["sh", "-c", MOUNT, "sh"].into_iter().map(str::to_owned);
        let ran = self
            .entry
            .command(words.chain(directories.iter().cloned()))
            .stdin(Stdio::null())
            .output()
            .map_err(|source| LabError::Program {
                program: "nsenter",
                source,
            })?;
        if ran.status.success() {
            return Ok(());
        }
        Err(LabError::Refused {
            reason: String::from_utf8_lossy(&ran.stderr).trim().to_owned(),
            remedy: REMEDY,
        })
    }

    /// How commands get in.
    pub fn entry(&self) -> Entry {
        self.entry
    }

    /// What commands changed since the start: files added, changed and removed, sorted by path. `/run`, `/tmp` and `/dev` are
    /// in memory and not listed; a file written again with what it had is not listed either.
    ///
    /// # Errors
    /// When the host has ended or a directory cannot be read.
    pub fn changes(&self) -> Result<Vec<Change>, LabError> {
        changes::read(&self.layers, &self.entry.view())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Process 1 ends with its input; killing what waits for it is for the case that it is stuck.
        drop(self.stdin.take());
        let _ = self.outer.kill();
        let _ = self.outer.wait();
    }
}

/// Overlay options are separated by commas and layers by colons, so paths may have neither.
fn plain(path: &Path) -> Result<(), LabError> {
    let text = path.to_string_lossy();
    if path.is_absolute() && !text.contains([':', ',', '\\', '"', '\n']) {
        return Ok(());
    }
    Err(LabError::File {
        doing: "use",
        path: path.to_owned(),
        source: std::io::Error::other("the path has characters that overlay mounts cannot hold; set TMPDIR"),
    })
}

/// Waits for `ready PID`; else what the start said on standard error.
fn first_line(outer: &mut Child) -> Result<u32, String> {
    let (Some(stdout), Some(mut stderr)) = (outer.stdout.take(), outer.stderr.take()) else {
        return Err("no pipes".to_owned());
    };
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line).map(|_| line);
        // Nobody listens any more when the deadline has passed.
        let _ = send.send(read);
    });
    let failed = |outer: &mut Child, stderr: &mut dyn Read| {
        let _ = outer.kill();
        let mut said = String::new();
        let _ = stderr.read_to_string(&mut said);
        said.lines().next().unwrap_or("it said nothing").trim().to_owned()
    };
    match receive.recv_timeout(Duration::from_secs(60)) {
        Ok(Ok(line)) => match line.trim().strip_prefix("ready ").map(str::parse) {
            Some(Ok(pid)) => Ok(pid),
            _ => Err(failed(outer, &mut stderr)),
        },
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!(
            "not ready within a minute: {}",
            failed(outer, &mut stderr)
        )),
    }
}

/// Deletes a directory of the lab, also where an overlay left directories that even their owner cannot list.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    fn open(path: &Path) -> std::io::Result<()> {
        let about = fs::symlink_metadata(path)?;
        if about.is_dir() {
            if about.mode() & 0o700 != 0o700 {
                fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
            }
            for entry in fs::read_dir(path)? {
                open(&entry?.path())?;
            }
        }
        Ok(())
    }
    open(path)?;
    fs::remove_dir_all(path)
}
