//! A timer wheel: arming, disarming and firing cost the same however many timers are armed.
//!
//! Time is counted in ticks of 2^18 ns (about a quarter of a millisecond). 2048 ticks are a revolution. A ring of two
//! revolutions has one list per tick: the timers of this revolution and the next. Whatever is later lies in `far`, one
//! list per revolution, and moves into the ring while the revolution before its own passes: a bounded number per look
//! ([`BATCH`]), so that a million timers of one second do not stop the loop for all of them at once. What lies beyond
//! `far`'s last revolution waits there and is filed again.
//!
//! Invariant: every timer of the present revolution is in the ring, at the list of its own tick.

use super::bits::Bits;

/// The number of a tick since the wheel began.
pub(super) type Tick = u64;

/// Ticks of one revolution, as a power of two.
const REVOLUTION: u32 = 11;
const RING: usize = 2 << REVOLUTION;
/// How many revolutions ahead `far` reaches: nine minutes.
const FAR: u64 = 1024;
/// How many far timers one look moves into the ring.
const BATCH: usize = 4096;
const NONE: u32 = u32::MAX;

/// Names one armed timer: its slot, and how often that slot had been used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TimerId {
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
struct Node {
    at: Tick,
    key: u64,
    next: u32,
    previous: u32,
    /// In which list it is: of the ring, or (from `RING` on) of `far`. `NONE` when the slot is free.
    list: u32,
    generation: u32,
}

/// The armed timers, by tick.
#[derive(Debug)]
pub(super) struct Wheel {
    nodes: Vec<Node>,
    free: u32,
    armed: usize,
    /// All timers before this tick have fired.
    at: Tick,
    /// The first tick that has not been looked at; before it nothing can be armed.
    open: Tick,
    /// First node of every list of the ring, then of every list of `far`. The lists are circular.
    heads: Vec<u32>,
    ring: Bits,
    far: Bits,
}

impl Wheel {
    pub fn new() -> Wheel {
        Wheel {
            nodes: Vec::new(),
            free: NONE,
            armed: 0,
            at: 0,
            open: 0,
            heads: vec![NONE; RING + FAR as usize],
            ring: Bits::new(RING),
            far: Bits::new(FAR as usize),
        }
    }

    pub fn len(&self) -> usize {
        self.armed
    }

    /// Arms a timer for tick `at`, or for the first tick that has not been looked at.
    pub fn arm(&mut self, at: Tick, key: u64) -> TimerId {
        let slot = self.take_slot();
        let at = at.max(self.open);
        let node = &mut self.nodes[slot as usize];
        (node.at, node.key) = (at, key);
        let id = TimerId { slot, generation: node.generation };
        self.file(slot);
        self.armed += 1;
        id
    }

    /// Disarms; false when the timer has fired or was disarmed before.
    pub fn disarm(&mut self, timer: TimerId) -> bool {
        match self.nodes.get(timer.slot as usize) {
            Some(node) if node.generation == timer.generation && node.list != NONE => {}
            _ => return false,
        }
        self.unlink(timer.slot);
        self.give_back(timer.slot);
        true
    }

    /// Takes out the key of the earliest timer due at tick `now`; `None` when all of them have been taken. From the
    /// first call on, timers armed for `now` or earlier count for the tick after it.
    pub fn pop(&mut self, now: Tick) -> Option<u64> {
        self.open = self.open.max(now + 1);
        loop {
            let turn_over = ((self.at >> REVOLUTION) + 1) << REVOLUTION;
            if let Some(at) = self.next_in_ring()
                && at <= now
                && at < turn_over
            {
                self.at = at;
                let slot = self.heads[ring_list(at)];
                let key = self.nodes[slot as usize].key;
                self.unlink(slot);
                self.give_back(slot);
                return Some(key);
            }
            if now < self.at {
                return None;
            }
            if now + 1 < turn_over {
                self.at = now + 1;
                self.approach(BATCH);
                return None;
            }
            self.turn_over(turn_over, now);
        }
    }

    /// When to look again: not later than the earliest timer, perhaps earlier.
    pub fn next(&self) -> Option<Tick> {
        let near = self.next_in_ring();
        let revolution = self.at >> REVOLUTION;
        let far = self.next_far().map(|ahead| match ahead {
            // More are to be moved than one look does: again a millisecond later.
            1 => self.at + 4,
            _ => (revolution + ahead - 1) << REVOLUTION,
        });
        match (near, far) {
            (Some(near), Some(far)) => Some(near.min(far)),
            (near, far) => near.or(far),
        }
    }

    fn next_in_ring(&self) -> Option<Tick> {
        let here = ring_list(self.at);
        let list = self.ring.next(here)?;
        Some(self.at + ((list + RING - here) % RING) as u64)
    }

    /// How many revolutions ahead (at least one) the first far timers are filed.
    fn next_far(&self) -> Option<u64> {
        let first = ((self.at >> REVOLUTION) + 1) % FAR;
        let list = self.far.next(first as usize)? as u64;
        Some((list + FAR - first) % FAR + 1)
    }

    /// Moves to `start`, where the next revolution begins, or past empty revolutions towards `now`.
    fn turn_over(&mut self, start: Tick, now: Tick) {
        self.approach(usize::MAX);
        self.at = start;
        if self.next_in_ring().is_none() {
            let last = now >> REVOLUTION;
            let here = start >> REVOLUTION;
            let empty = self.next_far().map_or(last, |ahead| here + ahead - 1);
            self.at = start.max(empty.min(last) << REVOLUTION);
        }
    }

    /// Moves at most `limit` timers of the next revolution from `far` into the ring.
    fn approach(&mut self, limit: usize) {
        let list = far_list((self.at >> REVOLUTION) + 1);
        for _ in 0..limit {
            let slot = self.heads[list];
            if slot == NONE {
                return;
            }
            self.unlink(slot);
            self.file(slot);
        }
    }

    /// Links the node into the list of its tick.
    fn file(&mut self, slot: u32) {
        let at = self.nodes[slot as usize].at;
        let (here, revolution) = (self.at >> REVOLUTION, at >> REVOLUTION);
        let list = if revolution <= here + 1 {
            self.ring.set(ring_list(at));
            ring_list(at)
        } else {
            let revolution = revolution.min(here + FAR);
            self.far.set((revolution % FAR) as usize);
            far_list(revolution)
        };
        let head = self.heads[list];
        let (next, previous) = if head == NONE {
            self.heads[list] = slot;
            (slot, slot)
        } else {
            (head, std::mem::replace(&mut self.nodes[head as usize].previous, slot))
        };
        if previous != slot {
            self.nodes[previous as usize].next = slot;
        }
        let node = &mut self.nodes[slot as usize];
        (node.next, node.previous, node.list) = (next, previous, list as u32);
    }

    fn unlink(&mut self, slot: u32) {
        let Node { next, previous, list, .. } = self.nodes[slot as usize];
        let list = list as usize;
        if next == slot {
            self.heads[list] = NONE;
            if list < RING {
                self.ring.clear(list)
            } else {
                self.far.clear(list - RING)
            }
            return;
        }
        self.nodes[previous as usize].next = next;
        self.nodes[next as usize].previous = previous;
        if self.heads[list] == slot {
            self.heads[list] = next;
        }
    }

    fn take_slot(&mut self) -> u32 {
        let slot = self.free;
        if slot != NONE {
            self.free = self.nodes[slot as usize].next;
            return slot;
        }
        self.nodes.push(Node { at: 0, key: 0, next: NONE, previous: NONE, list: NONE, generation: 0 });
        (self.nodes.len() - 1) as u32
    }

    fn give_back(&mut self, slot: u32) {
        let node = &mut self.nodes[slot as usize];
        node.generation = node.generation.wrapping_add(1);
        (node.list, node.next) = (NONE, self.free);
        self.free = slot;
        self.armed -= 1;
    }
}

fn ring_list(at: Tick) -> usize {
    (at % RING as u64) as usize
}

fn far_list(revolution: u64) -> usize {
    RING + (revolution % FAR) as usize
}
