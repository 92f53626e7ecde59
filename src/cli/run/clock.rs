//! The clock of a run.

use crate::apply::Clock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The clocks of this machine.
pub struct WallClock(Instant);

impl WallClock {
    /// Counts from a moment.
    pub fn since(start: Instant) -> WallClock {
        WallClock(start)
    }
}

impl Clock for WallClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn timestamp(&self) -> String {
        jiff::Timestamp::now()
            .strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
            .to_string()
    }
}

/// For certificates that expire, and for numbers of runs.
pub fn seconds_since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// For clocks of hosts, which are compared with this one.
pub fn milliseconds_since_1970() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
