//! A directory of the runner, and a shell to run it in.

use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const SHELLS: [&str; 3] = ["dash", "bash", "busybox"];

pub const NORMAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub struct Bench {
    pub shell: &'static str,
    _dir: TempDir,
    root: String,
    path: String,
    sh: PathBuf,
}

pub fn program() -> String {
    mkectl::catalogue::Bundle::embedded()
        .text("runner.sh")
        .unwrap()
        .to_owned()
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub fn is_root() -> bool {
    let out = Command::new("id").arg("-u").output().unwrap();
    out.stdout == b"0\n"
}

/// The answer without its frame.
pub fn stdout(out: &Output) -> String {
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let text = text
        .strip_prefix("mkectl-runner-answer\n")
        .unwrap_or_else(|| panic!("no answer: {out:?}"));
    text.strip_suffix("mkectl-runner-end\n")
        .unwrap_or_else(|| panic!("no end: {out:?}"))
        .to_owned()
}

/// Word of the state in an answer about an attempt.
pub fn field(answer: &str, at: usize) -> String {
    let line = answer.lines().next().unwrap_or_default();
    let state = line
        .strip_prefix("attempt ")
        .unwrap_or_else(|| panic!("{answer}"));
    state.split(' ').nth(at).unwrap_or_default().to_owned()
}

fn find(program: &str) -> PathBuf {
    let out = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{program} is missing: .ci/install test installs it"
    );
    String::from_utf8(out.stdout).unwrap().trim().into()
}

impl Bench {
    pub fn new(shell: &'static str) -> Bench {
        let dir = TempDir::new().unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let real = find(shell);
        let mut path = bin.to_string_lossy().into_owned();
        if shell == "busybox" {
            let list = Command::new(&real).arg("--list").output().unwrap();
            for applet in String::from_utf8(list.stdout).unwrap().lines() {
                symlink(&real, bin.join(applet)).unwrap();
            }
        } else {
            symlink(&real, bin.join("sh")).unwrap();
            path = format!("{path}:{NORMAL}");
        }
        let root = dir.path().join("0123456789abcdef");
        fs::DirBuilder::new().mode(0o700).create(&root).unwrap();
        fs::write(root.join("runner"), program()).unwrap();
        Bench {
            shell,
            root: root.to_string_lossy().into_owned(),
            path,
            sh: bin.join("sh"),
            _dir: dir,
        }
    }

    pub fn root(&self) -> &str {
        &self.root
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn sh(&self) -> &PathBuf {
        &self.sh
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.sh);
        command
            .arg(format!("{}/runner", self.root))
            .args(words)
            .env_clear()
            .env("PATH", &self.path)
            .env("OF_THE_CALLER", "must not be seen")
            .env("MKECTL_PLANTED", "must not be seen")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn call(&self, words: &[&str], input: &[u8]) -> Output {
        let mut child = self.command(words).spawn().unwrap();
        // One that refuses does not read.
        let _ = child.stdin.take().unwrap().write_all(input);
        child.wait_with_output().unwrap()
    }

    pub fn ok(&self, words: &[&str]) -> String {
        let out = self.call(words, b"");
        assert!(out.status.success(), "{} {words:?}: {out:?}", self.shell);
        stdout(&out)
    }

    fn put(&self, path: &str, text: &str) {
        let out = self.call(&["put", path, "0600", &sha256(text.as_bytes())], text.as_bytes());
        assert!(out.status.success(), "{path}: {out:?}");
    }

    pub fn deliver(&self, action: &str, script: &str, conf: &str, params: &[(&str, &str)]) {
        let hash = sha256(script.as_bytes());
        self.put(&format!("scripts/{hash}.sh"), script);
        self.put(
            &format!("actions/{action}/conf"),
            &format!("script {hash}\npath {}\n{conf}end\n", self.path),
        );
        let env: String = params
            .iter()
            .map(|(name, value)| format!("{name}='{}'\n", value.replace('\'', "'\\''")))
            .collect();
        self.put(&format!("actions/{action}/env"), &env);
    }

    /// Delivers a secret and tells where it must be.
    pub fn secret(&self, action: &str, attempt: &str, name: &str, value: &[u8]) -> PathBuf {
        let mut input = sha256(value).into_bytes();
        input.push(b'\n');
        input.extend_from_slice(value);
        let out = self.call(
            &["put", &format!("secrets/{action}/{attempt}/{name}"), "0600", "-"],
            &input,
        );
        assert!(out.status.success(), "{out:?}");
        let inside = format!("mkectl/{}/{action}/{attempt}/{name}", self.root.replace('/', "-"));
        ["/run", "/dev/shm"]
            .map(|place| PathBuf::from(place).join(&inside))
            .into_iter()
            .find(|path| path.exists())
            .expect("the secret is in memory")
    }

    pub fn read(&self, action: &str, verb: &str, number: u32, what: &str) -> String {
        let mut all = Vec::new();
        loop {
            let out = self.call(
                &[
                    "read",
                    action,
                    verb,
                    &number.to_string(),
                    what,
                    &all.len().to_string(),
                    "65536",
                ],
                b"",
            );
            assert!(out.status.success(), "{out:?}");
            let answer = out.stdout.strip_prefix(b"mkectl-runner-answer\n").unwrap();
            let end = answer.iter().position(|byte| *byte == b'\n').unwrap();
            let header = String::from_utf8(answer[..end].to_vec()).unwrap();
            let words: Vec<&str> = header.split(' ').collect();
            let length: usize = words[1].parse().unwrap();
            all.extend_from_slice(&answer[end + 1..end + 1 + length]);
            assert_eq!(&answer[end + 1 + length..], b"\nmkectl-runner-end\n");
            if length == 0 || all.len() as u64 >= words[2].parse::<u64>().unwrap() {
                return String::from_utf8(all).unwrap();
            }
        }
    }

    /// A file that the script wrote into its run directory; empty when there is none.
    pub fn work(&self, action: &str, name: &str) -> String {
        fs::read_to_string(format!("{}/actions/{action}/work/{name}", self.root)).unwrap_or_default()
    }

    pub fn attempt(&self, action: &str, attempt: &str) -> PathBuf {
        PathBuf::from(format!("{}/actions/{action}/{attempt}", self.root))
    }

    pub fn eventually(&self, what: &str, test: impl Fn() -> bool) {
        let begun = Instant::now();
        while !test() {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{}: no {what}",
                self.shell
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Ids of processes that belong to this directory: by command line or by the mark in their environment.
    pub fn processes(&self) -> Vec<u32> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap() {
            let path = entry.unwrap().path();
            let Some(pid) = path
                .file_name()
                .and_then(|name| name.to_str()?.parse::<u32>().ok())
            else {
                continue;
            };
            let ours = ["environ", "cmdline"].iter().any(|file| {
                let bytes = fs::read(path.join(file)).unwrap_or_default();
                bytes
                    .windows(self.root.len())
                    .any(|window| window == self.root.as_bytes())
            });
            if ours {
                found.push(pid);
            }
        }
        found
    }

    pub fn expect_nothing_left(&self) {
        self.eventually("end of all processes", || self.processes().is_empty());
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).output();
        }
        for place in ["/run", "/dev/shm"] {
            let _ = fs::remove_dir_all(format!("{place}/mkectl/{}", self.root.replace('/', "-")));
        }
    }
}
