//! A journal at whose N-th record this process is lost: what a power cut does, for rehearsals.

use crate::apply::Fut;
use crate::apply::journal::{Kept, Store};
use std::io;

/// Ends this process, without a word to anybody, when so many records are written and before anything follows from the last.
pub struct Crashing {
    inner: Box<dyn Store>,
    left: u64,
}

impl Crashing {
    /// Writes to `inner` until `at` records are there.
    pub fn new(inner: Box<dyn Store>, at: u64) -> Crashing {
        Crashing { inner, left: at }
    }
}

impl Store for Crashing {
    fn append<'a>(&'a mut self, lines: &'a [u8]) -> Fut<'a, io::Result<()>> {
        Box::pin(async move {
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                self.inner.append(line).await?;
                self.left = self.left.saturating_sub(1);
                if self.left == 0 {
                    self.inner.sync().await?;
                    lost();
                }
            }
            Ok(())
        })
    }

    fn sync(&mut self) -> Fut<'_, io::Result<Kept>> {
        self.inner.sync()
    }
}

/// What the kernel does to a process that nobody can help any more: nothing is written, closed or told.
fn lost() -> ! {
    use rustix::process::{Signal, getpid, kill_process};
    let _killed = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}
