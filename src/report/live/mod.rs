//! The live view on a terminal: stages that run, what runs in them, how far everything is and how long it still takes.
//!
//! What there is to see is worked out by `Progress` and `render`, which are pure; a thread of its own draws it with
//! indicatif several times a second, so that times go on while nothing happens, and the run never waits for the terminal.

mod eta;
mod notices;
mod render;

use super::doc::Block;
use super::page::{Page, Style};
use super::progress::Progress;
use crate::apply::Clock;
use crate::apply::book::Book;
use crate::apply::events::{Line, Subscriber};
use crate::apply::scheduler::Frame;
use crate::apply::{Verb, events};
use crate::model::Spec;
use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use render::{Eta, render};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two drawings when nothing happens.
const TICK: Duration = Duration::from_millis(125);
/// Between two looks at how long it still takes, at least.
const ETA_EVERY_MS: u64 = 1000;
/// And at least so many times as long as the last look took: with ten thousand hosts a look is work.
const ETA_SHARE: u64 = 25;

/// The view at a moment, without a terminal: what [`Live`] draws.
pub struct Screen {
    progress: Progress,
    width: u32,
}

impl Screen {
    /// The view of a run that has not begun; see [`Setup`].
    pub fn new(spec: Arc<Spec>, earlier: &Book, until: Option<&str>, width: u32) -> Screen {
        Screen {
            progress: Progress::new(spec, earlier, until),
            width,
        }
    }

    /// Takes an event in. Gives what goes above the view and stays; mostly nothing.
    pub fn take(&mut self, line: &Line, style: &Style) -> String {
        let news = self.progress.take(line);
        let blocks = notices::of(&self.progress, line, &news);
        Above::Blocks(blocks).text(style)
    }

    /// The lines of the view at a moment, at most twelve; none is wider than `style.width`.
    pub fn lines(&self, now_ms: u64, style: &Style) -> Vec<String> {
        let eta = Eta {
            left_ms: self.left_ms(now_ms),
        };
        render(&self.progress, eta, now_ms, style)
    }

    /// Milliseconds until everything has ended.
    pub fn left_ms(&self, now_ms: u64) -> Option<u64> {
        let spec = Arc::clone(&self.progress.spec);
        let frame = match self.progress.verb {
            Verb::Run => Frame::forward(&spec),
            Verb::Undo => Frame::backward(&spec, &self.progress.begun()).ok()?,
        };
        let indexed = frame.indexed().ok()?;
        let mut way = eta::Way::new(&frame, &indexed, &self.progress, self.width);
        Some(way.left_ms(&eta::times(&self.progress, now_ms)))
    }
}

/// Everything that a live view takes.
pub struct Setup<'a> {
    /// The plan.
    pub spec: Arc<Spec>,
    /// What earlier runs of the plan came to; the default for the first.
    pub earlier: &'a Book,
    /// The stage after which the run stops.
    pub until: Option<&'a str>,
    /// Connections at once.
    pub width: u32,
    /// The clock of the run's events.
    pub clock: Arc<dyn Clock>,
    /// The terminal.
    pub term: Term,
    /// How to draw on it; the width is asked for again whenever something is drawn.
    pub style: Style,
}

/// A live view, for a terminal: anywhere else nothing is drawn. [`Live::finish`] it before anything else is written there.
pub struct Live {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<Shown>,
    changed: Condvar,
    clock: Arc<dyn Clock>,
    term: Term,
    style: Style,
    width: u32,
}

struct Shown {
    progress: Progress,
    /// What is to be written above the view.
    above: Vec<Above>,
    closing: bool,
}

enum Above {
    Blocks(Vec<Block>),
    Text(String),
}

impl Live {
    /// A view that draws from now on, until the run ends or [`Live::finish`] is called.
    pub fn start(setup: Setup<'_>) -> Arc<Live> {
        let shared = Arc::new(Shared {
            state: Mutex::new(Shown {
                progress: Progress::new(setup.spec, setup.earlier, setup.until),
                above: Vec::new(),
                closing: false,
            }),
            changed: Condvar::new(),
            clock: setup.clock,
            term: setup.term,
            style: setup.style,
            width: setup.width,
        });
        let drawn = Arc::clone(&shared);
        Arc::new(Live {
            shared,
            thread: Mutex::new(Some(std::thread::spawn(move || drawn.draw()))),
        })
    }

    /// Writes a text above the view, such as a log line; it ends with a line break or gets one. Once the run has ended or the
    /// view is finished nobody writes it any more: the terminal is free then.
    pub fn print(&self, text: &str) {
        let mut shown = self.shared.lock();
        shown
            .above
            .push(Above::Text(text.trim_end_matches('\n').to_owned()));
        drop(shown);
        self.shared.changed.notify_one();
    }

    /// Draws what there is to say, takes the view away and leaves the terminal to others.
    pub fn finish(&self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A view that broke must not break the run.
            let _ = thread.join();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Subscriber for Live {
    fn line(&self, line: &Line) {
        let mut shown = self.shared.lock();
        let news = shown.progress.take(line);
        let blocks = notices::of(&shown.progress, line, &news);
        let urgent = !blocks.is_empty();
        if urgent {
            shown.above.push(Above::Blocks(blocks));
        }
        drop(shown);
        if urgent {
            self.shared.changed.notify_one();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        events::millis(self.clock.elapsed())
    }

    /// The style for the terminal as wide as it is now.
    fn style(&self) -> Style {
        let columns = self.term.size_checked().map(|(_, columns)| usize::from(columns));
        Style {
            // The last column stays free: some terminals begin a new line when it is written.
            width: columns.unwrap_or(self.style.width).saturating_sub(1).max(20),
            ..self.style
        }
    }

    fn draw(&self) {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term(self.term.clone(), 20));
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bar.set_style(style);
        }
        let spec = Arc::clone(&self.lock().progress.spec);
        let mut go_on = self.way(Some(&Frame::forward(&spec)), Verb::Run, &bar);
        if go_on {
            let begun = self.lock().progress.begun();
            go_on = self.way(Frame::backward(&spec, &begun).ok().as_ref(), Verb::Undo, &bar);
        }
        debug_assert!(!go_on, "a run turns once");
        bar.finish_and_clear();
    }

    /// Draws one way of the run; true when the other begins.
    fn way(&self, frame: Option<&Frame<'_>>, verb: Verb, bar: &ProgressBar) -> bool {
        let indexed = frame.and_then(|frame| frame.indexed().ok());
        let mut way = match (frame, &indexed) {
            (Some(frame), Some(indexed)) => {
                Some(eta::Way::new(frame, indexed, &self.lock().progress, self.width))
            }
            _ => None,
        };
        // When the end was last worked out, and what it was.
        let mut known: Option<(u64, u64)> = None;
        let mut next_ms = 0;
        loop {
            let now_ms = self.now_ms();
            let mut shown = self.lock();
            let above = std::mem::take(&mut shown.above);
            let over = shown.closing || shown.progress.ended;
            let turned = shown.progress.verb != verb;
            let due = now_ms >= next_ms && !over && !turned && shown.progress.began_ms.is_some();
            let times = (due && way.is_some()).then(|| eta::times(&shown.progress, now_ms));
            let eta = Eta {
                left_ms: known.map(|(at, left)| left.saturating_sub(now_ms.saturating_sub(at))),
            };
            let style = self.style();
            let lines = match shown.progress.began_ms {
                Some(_) if !over => render(&shown.progress, eta, now_ms, &style),
                _ => Vec::new(),
            };
            drop(shown);
            for above in above {
                bar.println(above.text(&style));
            }
            bar.set_message(lines.join("\n"));
            if over || turned {
                return turned && !over;
            }
            if let (Some(times), Some(way)) = (times, &mut way) {
                known = Some((now_ms, way.left_ms(&times)));
                let cost = self.now_ms().saturating_sub(now_ms);
                next_ms = now_ms + ETA_EVERY_MS.max(cost * ETA_SHARE);
            }
            let shown = self.lock();
            if shown.above.is_empty() && !shown.closing {
                // Waking for nothing only means drawing once more.
                let _ = self.changed.wait_timeout(shown, TICK);
            }
        }
    }
}

impl Above {
    fn text(self, style: &Style) -> String {
        match self {
            Above::Text(text) => text,
            Above::Blocks(blocks) => {
                let mut page = Page::new(style);
                page.blocks(&blocks);
                page.finish().trim_end_matches('\n').to_owned()
            }
        }
    }
}
