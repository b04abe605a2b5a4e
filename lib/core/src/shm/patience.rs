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

/// How often to look before sleeping: more when looking was worth it, less when it was not, only now and then when it never
/// is, and not at all where the other side cannot run meanwhile.
#[derive(Debug)]
pub(super) struct Spin {
    turns: Cell<u32>,
    /// How many waits more begin with sleep.
    rest: Cell<u32>,
    most: u32,
}

impl Spin {
    pub fn new() -> Spin {
        let most = if cpus::several() { MOST } else { 0 };
        Spin { turns: Cell::new(most), rest: Cell::new(0), most }
    }

    /// Looks until something is found or it has been often enough.
    #[inline]
    pub fn until<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        if self.rest.get() > 0 {
            self.rest.set(self.rest.get() - 1);
            return None;
        }
        let turns = self.turns.get();
        for _ in 0..turns {
            hint::spin_loop();
            if let Some(found) = look() {
                self.turns.set(self.most.min(turns * 2));
                return Some(found);
            }
        }
        if turns <= LEAST {
            self.rest.set(REST);
        }
        self.turns.set(self.most.min(LEAST.max(turns / 2)));
        None
    }
}

/// About 50 microseconds: ten times what a sleep and a wake-up cost.
const MOST: u32 = 2000;
/// About five: one who was asleep has answered by then. Less would never find out that looking has become worth it.
const LEAST: u32 = 200;
/// Looking in vain so seldom costs a thirtieth of what the sleeps between cost.
const REST: u32 = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn spin(most: u32) -> Spin {
        Spin { turns: Cell::new(most), rest: Cell::new(0), most }
    }

    fn looks_in_vain(spin: &Spin) -> u32 {
        let mut looks = 0;
        let found: Option<()> = spin.until(|| {
            looks += 1;
            None
        });
        assert_eq!(found, None);
        looks
    }

    #[test]
    fn looking_in_vain_is_done_less_and_less_and_then_seldom() {
        let spin = spin(MOST);
        let looks: Vec<u32> = (0..5 + REST as usize + 1).map(|_| looks_in_vain(&spin)).collect();
        assert_eq!(looks[..5], [MOST, MOST / 2, MOST / 4, MOST / 8, LEAST]);
        assert!(looks[5..5 + REST as usize].iter().all(|&looks| looks == 0));
        assert_eq!(looks[5 + REST as usize], LEAST);
    }

    #[test]
    fn success_makes_it_more_again_at_once() {
        let spin = spin(MOST);
        while looks_in_vain(&spin) != 0 {}
        while spin.rest.get() > 0 {
            looks_in_vain(&spin);
        }
        assert_eq!(spin.until(|| Some(5)), Some(5));
        assert_eq!((looks_in_vain(&spin), spin.rest.get()), (2 * LEAST, 0));
    }

    #[test]
    fn with_one_processor_nobody_looks_twice() {
        let spin = spin(0);
        assert_eq!(spin.until(|| Some(())), None);
        assert_eq!(looks_in_vain(&spin), 0);
    }

    #[test]
    fn a_time_the_clock_cannot_tell_is_for_ever() {
        assert_eq!(Wait::AtMost(Duration::MAX).end(), None);
        assert_eq!(Wait::Forever.end(), None);
    }
}
