//! Timers of one loop: who armed what for when. Owns no clock; time is an argument.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::time::Instant;

/// Names one armed timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId(u64);

/// The armed timers.
#[derive(Debug)]
pub struct Timers {
    heap: BinaryHeap<Reverse<(Instant, TimerId, u64)>>,
    live: HashSet<TimerId>,
    last: u64,
}

impl Timers {
    /// None armed; `now` is where time begins.
    pub fn new(_now: Instant) -> Timers {
        Timers { heap: BinaryHeap::new(), live: HashSet::new(), last: 0 }
    }

    /// Arms a one-shot timer.
    pub fn arm(&mut self, at: Instant, key: u64) -> TimerId {
        self.last += 1;
        let id = TimerId(self.last);
        self.live.insert(id);
        self.heap.push(Reverse((at, id, key)));
        id
    }

    /// Disarms; false when it has fired or was disarmed before.
    pub fn disarm(&mut self, timer: TimerId) -> bool {
        self.live.remove(&timer)
    }

    /// When the loop must look again; never later than the earliest timer, perhaps earlier.
    pub fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// Moves the keys of all timers due at `now` to `due`, in order of their times.
    pub fn expire(&mut self, now: Instant, due: &mut Vec<u64>) {
        while let Some(Reverse((at, ..))) = self.heap.peek() {
            if *at > now {
                return;
            }
            if let Some(Reverse((_, id, key))) = self.heap.pop()
                && self.live.remove(&id)
            {
                due.push(key);
            }
        }
    }
}
