//! How long to wait, and how: looking again and again for a moment, then asleep.

use crate::sys::{cpus, sync::hint};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a call may wait for the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Try,
    /// So long.
    AtMost(Duration),
    /// Until it can be done, or the other side is gone.
    Forever,
}

impl Wait {
    /// When it is over; none when never.
    pub(super) fn end(self) -> Option<Instant> {
        match self {
            Wait::Try => Some(Instant::now()),
            // What the clock cannot tell is for ever.
            Wait::AtMost(time) => Instant::now().checked_add(time),
            Wait::Forever => None,
        }
    }
}

/// How often to look before sleeping: more when looking was worth it, less when it was not, and not at all where the
/// other side cannot run meanwhile.
#[derive(Debug)]
pub(super) struct Spin {
    turns: Cell<u32>,
    most: u32,
}

impl Spin {
    pub fn new() -> Spin {
        let most = if cpus::several() { MOST } else { 0 };
        Spin { turns: Cell::new(most), most }
    }

    /// Looks until something is found or it has been often enough.
    #[inline]
    pub fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        for _ in 0..self.turns.get() {
            hint::spin_loop();
            if let Some(found) = look() {
                self.turns.set(self.most.min(self.turns.get() * 2));
                return Some(found);
            }
        }
        self.turns.set(self.most.min(LEAST.max(self.turns.get() / 2)));
        None
    }
}

/// About 50 microseconds: twice what a sleep and a wake-up cost.
const MOST: u32 = 2000;
/// About one: enough to find out that it has become worth it.
const LEAST: u32 = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_in_vain_is_done_less_and_less_and_success_makes_it_more_again() {
        let spin = Spin { turns: Cell::new(MOST), most: MOST };
        let mut looks = 0;
        for _ in 0..20 {
            looks = 0;
            let found: Option<()> = spin.until(|| {
                looks += 1;
                None
            });
            assert_eq!(found, None);
        }
        assert_eq!(looks, LEAST);
        assert_eq!(spin.until(|| Some(5)), Some(5));
        assert_eq!(spin.turns.get(), 2 * LEAST);
    }

    #[test]
    fn with_one_processor_nobody_looks_twice() {
        let spin = Spin { turns: Cell::new(0), most: 0 };
        assert_eq!(spin.until(|| Some(())), None);
        assert_eq!(spin.turns.get(), 0);
    }

    #[test]
    fn a_time_the_clock_cannot_tell_is_for_ever() {
        assert_eq!(Wait::AtMost(Duration::MAX).end(), None);
        assert_eq!(Wait::Forever.end(), None);
    }
}
