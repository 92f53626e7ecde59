//! The stand-in's side: runs inside a simulated host.

use super::wire::{self, Call, FileDone, FileOp, Kind};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

/// Where the model listens, inside a host.
pub(crate) const SOCKET: &str = "/.lab/socket";

/// What the programs look at; nothing else of the environment leaves the host.
const ENVIRONMENT: &[&str] = &[
    "DOCKER_HOST",
    "ETCDCTL_API",
    "ETCDCTL_CACERT",
    "ETCDCTL_CERT",
    "ETCDCTL_ENDPOINTS",
    "ETCDCTL_KEY",
    "HOME",
    "KUBECONFIG",
    "LAB_VERSION",
    "UCP_PASSPHRASE",
];

/// Status when the lab itself fails, which none of the programs uses.
const LAB_FAILED: u8 = 98;

/// Stands in for the program that this process was called as.
pub fn main() -> ExitCode {
    let mut argv: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if let Some(first) = argv.first_mut() {
        *first = first.rsplit('/').next().unwrap_or_default().to_owned();
    }
    if argv.first().is_some_and(|name| name == "sudo") {
        return sudo(&argv[1..]);
    }
    if argv.first().is_some_and(|name| name == "openssl") && argv.get(1).is_none_or(|word| word != "s_client")
    {
        // Only connections are simulated. This machine's openssl does the rest.
        let failed = Command::new("/usr/bin/openssl").args(&argv[1..]).exec();
        let _ = writeln!(io::stderr(), "openssl: {failed}");
        return ExitCode::from(127);
    }
    match talk(argv) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            // Standard error may be closed, and then there is nobody to tell.
            let _ = writeln!(
                io::stderr(),
                "mkectl lab: the simulated cluster does not answer: {error}"
            );
            ExitCode::from(LAB_FAILED)
        }
    }
}

/// Users of a simulated host are root already: `sudo -n [--] COMMAND…` runs it.
fn sudo(words: &[String]) -> ExitCode {
    let words = match words {
        [n, rest @ ..] if n == "-n" => rest,
        rest => rest,
    };
    let words = match words {
        [dashes, rest @ ..] if dashes == "--" => rest,
        rest => rest,
    };
    let reason = match words {
        [program, arguments @ ..] if !program.starts_with('-') => {
            Command::new(program).args(arguments).exec().to_string()
        }
        _ => "only `sudo -n COMMAND` is simulated".to_owned(),
    };
    let _ = writeln!(
        io::stderr(),
        "sudo: {}: {reason}",
        words.first().map_or("", String::as_str)
    );
    ExitCode::from(1)
}

fn talk(argv: Vec<String>) -> io::Result<u8> {
    let mut socket = UnixStream::connect(SOCKET)?;
    let call = Call {
        argv,
        cwd: std::env::current_dir()?.to_string_lossy().into_owned(),
        env: ENVIRONMENT
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
            .collect(),
    };
    wire::send(&mut socket, Kind::Call, &serde_json::to_vec(&call)?)?;
    loop {
        let (kind, bytes) = wire::receive(&mut socket)?;
        match kind {
            Kind::Output => print(&mut io::stdout(), &bytes)?,
            Kind::Error => print(&mut io::stderr(), &bytes)?,
            Kind::Input => {
                let mut piece = vec![0; 1 << 16];
                let read = io::stdin().read(&mut piece)?;
                wire::send(&mut socket, Kind::Input, &piece[..read])?;
            }
            Kind::File => {
                let done = perform(&serde_json::from_slice(&bytes)?);
                wire::send(&mut socket, Kind::File, &serde_json::to_vec(&done)?)?;
            }
            Kind::Exit => return Ok(bytes.first().copied().unwrap_or(LAB_FAILED)),
            Kind::Kill => {
                // Whatever called the program goes with it, as in a crash.
                let _ = Command::new("kill").args(["-KILL", "0"]).status();
                return Ok(LAB_FAILED);
            }
            Kind::Call => return Err(io::Error::other("the model called back")),
        }
    }
}

fn print(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

fn perform(op: &FileOp) -> FileDone {
    let done = match op {
        FileOp::Read(path) => fs::read(path).map(FileDone::Bytes),
        FileOp::Exists(path) => Ok(FileDone::Is(fs::symlink_metadata(path).is_ok())),
        FileOp::List(path) => list(path).map(FileDone::Names),
        FileOp::Write { path, bytes, mode } => write(path, bytes, *mode).map(|()| FileDone::Done),
        FileOp::MakeDirectory(path) => fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path)
            .map(|()| FileDone::Done),
        FileOp::Remove(path) => remove(path).map(|()| FileDone::Done),
        FileOp::Link { path, target } => link(path, target).map(|()| FileDone::Done),
        FileOp::Rename { from, to } => fs::rename(from, to).map(|()| FileDone::Done),
        FileOp::Run { argv, input } => run(argv, input).map(FileDone::Bytes),
    };
    done.unwrap_or_else(|error| FileDone::Failed(error.to_string()))
}

/// Runs a program that reads little and prints little: neither waits for the other.
fn run(argv: &[String], input: &[u8]) -> io::Result<Vec<u8>> {
    let [program, arguments @ ..] = argv else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input ends the pipe, and that is its affair.
        let _ = stdin.write_all(input);
    }
    Ok(child.wait_with_output()?.stdout)
}

fn list(path: &str) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn write(path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
    let beside = format!("{path}.lab-{}", std::process::id());
    fs::write(&beside, bytes)?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(mode))?;
    fs::rename(&beside, path)
}

fn remove(path: &str) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn link(path: &str, target: &str) -> io::Result<()> {
    remove(path)?;
    std::os::unix::fs::symlink(target, path)
}
