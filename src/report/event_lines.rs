//! `--events`: the stream of a run as JSON lines.

use crate::apply::events::{Line, Subscriber};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Writes every event as one line of JSON, and flushes it: a reader that follows the file sees everything up to the last
/// moment of a run that was killed. `mkectl schema events` describes a line.
pub struct EventLines(Mutex<Out>);

struct Out {
    out: Box<dyn Write + Send>,
    error: Option<Arc<io::Error>>,
}

impl EventLines {
    /// A writer to a file that was opened for it, or to stdout.
    pub fn new(out: Box<dyn Write + Send>) -> EventLines {
        EventLines(Mutex::new(Out { out, error: None }))
    }

    /// Why nothing was written from some line on, when that is so. The run does not stop for it: the journal has
    /// everything that a run needs to go on.
    pub fn error(&self) -> Option<Arc<io::Error>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .error
            .clone()
    }
}

impl Subscriber for EventLines {
    fn line(&self, line: &Line) {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // After a line that could not be written another one would only hide the gap.
        if out.error.is_some() {
            return;
        }
        let text = line.json() + "\n";
        if let Err(error) = out.out.write_all(text.as_bytes()).and_then(|()| out.out.flush()) {
            out.error = Some(Arc::new(error));
        }
    }
}
