//! The model's side: answers the stand-ins of one host.

use super::wire::{self, Call as Called, FileDone, FileOp, Kind};
use crate::lab::model::Cluster;
use crate::lab::programs::{self, Files, Invocation, Terminal};
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Answers on the socket of one host until dropped.
#[derive(Debug)]
pub(crate) struct Service {
    path: PathBuf,
    ending: Arc<AtomicBool>,
    accept: Option<JoinHandle<()>>,
}

impl Service {
    /// Listens at `path` for the stand-ins of `host`. Whoever reaches the socket is that host, so none can speak for another.
    pub(crate) fn start(path: &Path, host: &str, cluster: Arc<Cluster>) -> io::Result<Service> {
        let listener = UnixListener::bind(path)?;
        let ending = Arc::new(AtomicBool::new(false));
        let (stop, host) = (ending.clone(), host.to_owned());
        let accept = thread::spawn(move || {
            for connection in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(connection) = connection else { continue };
                let (host, cluster) = (host.clone(), cluster.clone());
                thread::spawn(move || {
                    // A stand-in that was killed breaks its connection, and there is nobody to tell.
                    let _ = answer(connection, &host, &cluster);
                });
            }
        });
        Ok(Service {
            path: path.to_owned(),
            ending,
            accept: Some(accept),
        })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        let woken = UnixStream::connect(&self.path).is_ok();
        if let (true, Some(accept)) = (woken, self.accept.take()) {
            let _ = accept.join();
        }
    }
}

fn answer(mut socket: UnixStream, host: &str, cluster: &Cluster) -> io::Result<()> {
    let (kind, bytes) = wire::receive(&mut socket)?;
    if kind != Kind::Call {
        return Err(io::Error::other("a stand-in starts with its call"));
    }
    let called: Called = serde_json::from_slice(&bytes)?;
    let mut line = Line { socket };
    let crash = crash(cluster, host);
    if crash == Some(false) {
        return wire::send(&mut line.socket, Kind::Kill, &[]);
    }
    let status = programs::run(
        &mut Invocation {
            host,
            argv: &called.argv,
            cwd: &called.cwd,
            env: &called.env,
            cluster,
        },
        &mut line,
    )?;
    if crash == Some(true) {
        return wire::send(&mut line.socket, Kind::Kill, &[]);
    }
    wire::send(&mut line.socket, Kind::Exit, &[status])
}

/// Whether this call is the one at which its host's script dies, and if so whether its work is done before.
fn crash(cluster: &Cluster, host: &str) -> Option<bool> {
    let mut state = cluster.state();
    let crash = state.crash.as_mut().filter(|crash| crash.host == host)?;
    if crash.calls > 0 {
        crash.calls -= 1;
        return None;
    }
    state.crash.take().map(|crash| crash.after)
}

/// The far end of a stand-in.
struct Line {
    socket: UnixStream,
}

impl Line {
    fn file(&mut self, op: FileOp) -> io::Result<FileDone> {
        wire::send(&mut self.socket, Kind::File, &serde_json::to_vec(&op)?)?;
        match wire::receive(&mut self.socket)? {
            (Kind::File, bytes) => match serde_json::from_slice(&bytes)? {
                FileDone::Failed(reason) => Err(io::Error::other(reason)),
                done => Ok(done),
            },
            _ => Err(io::Error::other("a stand-in answered out of turn")),
        }
    }
}

impl Terminal for Line {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes
            .chunks(wire::PIECE)
            .try_for_each(|piece| wire::send(&mut self.socket, Kind::Output, piece))
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes
            .chunks(wire::PIECE)
            .try_for_each(|piece| wire::send(&mut self.socket, Kind::Error, piece))
    }

    fn input(&mut self) -> io::Result<Vec<u8>> {
        wire::send(&mut self.socket, Kind::Input, &[])?;
        match wire::receive(&mut self.socket)? {
            (Kind::Input, bytes) => Ok(bytes),
            _ => Err(io::Error::other("a stand-in answered out of turn")),
        }
    }
}

impl Files for Line {
    fn read(&mut self, path: &str) -> io::Result<Vec<u8>> {
        match self.file(FileOp::Read(path.to_owned()))? {
            FileDone::Bytes(bytes) => Ok(bytes),
            _ => Err(io::Error::other("a stand-in answered out of turn")),
        }
    }

    fn exists(&mut self, path: &str) -> io::Result<bool> {
        match self.file(FileOp::Exists(path.to_owned()))? {
            FileDone::Is(there) => Ok(there),
            _ => Err(io::Error::other("a stand-in answered out of turn")),
        }
    }

    fn list(&mut self, path: &str) -> io::Result<Vec<String>> {
        match self.file(FileOp::List(path.to_owned()))? {
            FileDone::Names(names) => Ok(names),
            _ => Err(io::Error::other("a stand-in answered out of turn")),
        }
    }

    fn run(&mut self, argv: &[String], input: &[u8]) -> io::Result<Vec<u8>> {
        let op = FileOp::Run {
            argv: argv.to_vec(),
            input: input.to_vec(),
        };
        match self.file(op)? {
            FileDone::Bytes(bytes) => Ok(bytes),
            _ => Err(io::Error::other("a stand-in answered out of turn")),
        }
    }

    fn change(&mut self, op: FileOp) -> io::Result<()> {
        self.file(op).map(|_| ())
    }
}
