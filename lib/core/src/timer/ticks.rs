//! Instants as ticks of a wheel, and back.

use super::wheel::Tick;
use std::time::{Duration, Instant};

/// A tick is 2^18 ns.
pub(crate) const TICK: u32 = 18;

/// Ticks since some beginning.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    begin: Instant,
}

impl Ticks {
    /// `now` is where time begins.
    pub fn new(now: Instant) -> Ticks {
        Ticks { begin: now }
    }

    /// Nanoseconds since the beginning.
    pub fn nanoseconds(&self, at: Instant) -> u64 {
        nanoseconds(at.saturating_duration_since(self.begin))
    }

    /// The first tick that does not begin before `at`.
    pub fn not_before(&self, at: Instant) -> Tick {
        tick_not_before(self.nanoseconds(at))
    }

    /// The tick that `now` is in.
    pub fn passed(&self, now: Instant) -> Tick {
        self.nanoseconds(now) >> TICK
    }

    /// When a tick begins.
    pub fn instant(&self, tick: Tick) -> Instant {
        let since = Duration::from_nanos(tick.saturating_mul(1 << TICK));
        // An instant the clock cannot name is one no clock reaches: any far one serves.
        self.begin.checked_add(since).unwrap_or(self.begin + Duration::from_secs(1 << 30))
    }
}

/// 584 years at most; what is later may as well be then.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(duration.subsec_nanos()))
}

/// The first tick that does not begin before so many nanoseconds have passed.
pub(crate) fn tick_not_before(nanoseconds: u64) -> Tick {
    nanoseconds.saturating_add((1 << TICK) - 1) >> TICK
}
