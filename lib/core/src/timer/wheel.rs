//! A timer wheel: starting, stopping and firing cost the same however many timers run.
//!
//! Time is counted in ticks of 2^18 ns (about a quarter of a millisecond). 2048 ticks are a revolution. A ring of two
//! revolutions has one list per tick: the timers of this revolution and the next. Whatever is later lies in `far`, one
//! list per revolution, and moves into the ring while the revolution before its own passes: with every look the part
//! that is due by then, so that a million timers of one second do not stop the loop for all of them at once. What lies
//! beyond `far`'s last revolution waits there and is filed again.
//!
//! With many timers their cost is that of memory, so a node is half a cache line, holds what firing it needs, and
//! whoever has several to start lets them be fetched together ([`Wheel::fetch`]). What a batch runs through is inlined by
//! force: the library is built for size.
//!
//! Invariant: every timer of the present revolution is in the ring, at the list of its own tick.

use super::bits::Bits;
use std::hint::black_box;

/// The number of a tick since the wheel began.
pub(crate) type Tick = u64;

/// Ticks of one revolution, as a power of two.
const REVOLUTION: u32 = 11;
const RING: usize = 2 << REVOLUTION;
/// How many revolutions ahead `far` reaches: nine minutes.
const FAR: u64 = 1024;
/// How many far timers one look moves into the ring at least.
const LEAST: u64 = 32;
const NONE: u32 = u32::MAX;
/// The list of a timer that does not run.
const NOWHERE: u16 = u16::MAX >> 1;
/// The list of a timer that was taken out as due and has not been claimed.
const DUE: u16 = NOWHERE - 1;
/// Beside the list: the owner's mark.
const MARK: u16 = 1 << 15;
/// The last tick there is: in two thousand years.
const LAST: Tick = (1 << 48) - 1;

/// A timer, running or not.
#[derive(Debug)]
struct Node<T> {
    payload: T,
    next: u32,
    previous: u32,
    at_low: u32,
    at_high: u16,
    /// In which list it is: of the ring, or (from `RING` on) of `far`, or `NOWHERE`; and the mark.
    list: u16,
}

impl<T> Node<T> {
    fn at(&self) -> Tick {
        u64::from(self.at_high) << 32 | u64::from(self.at_low)
    }

    fn list(&self) -> u16 {
        self.list & !MARK
    }

    fn put(&mut self, list: u16) {
        self.list = self.list & MARK | list;
    }
}

#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
}

const EMPTY: List = List { first: NONE, last: NONE };

/// Timers, by tick. A timer is a slot that its owner takes, starts and stops as often as he likes, and gives back.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    nodes: Vec<Node<T>>,
    free: u32,
    running: usize,
    /// All timers before this tick have fired.
    at: Tick,
    /// The first tick that has not been looked at; no timer is started for an earlier one.
    open: Tick,
    /// The lists of the ring, then those of `far`.
    lists: Vec<List>,
    /// How many each list of `far` holds.
    waiting: Vec<u32>,
    ring: Bits,
    far: Bits,
}

impl<T: Copy> Wheel<T> {
    pub fn new() -> Wheel<T> {
        Wheel {
            nodes: Vec::new(),
            free: NONE,
            running: 0,
            at: 0,
            open: 0,
            lists: vec![EMPTY; RING + FAR as usize],
            waiting: vec![0; FAR as usize],
            ring: Bits::new(RING),
            far: Bits::new(FAR as usize),
        }
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.running
    }

    /// A timer that does not run yet. `payload` gets what the slot held before, if it was ever used.
    pub fn take(&mut self, payload: impl FnOnce(Option<T>) -> T) -> u32 {
        let slot = self.free;
        if slot == NONE {
            let payload = payload(None);
            self.nodes.push(Node { payload, next: NONE, previous: NONE, at_low: 0, at_high: 0, list: NOWHERE });
            return (self.nodes.len() - 1) as u32;
        }
        let node = &mut self.nodes[slot as usize];
        self.free = node.next;
        node.payload = payload(Some(node.payload));
        slot
    }

    /// Gives a timer back; it is stopped if it runs.
    pub fn give_back(&mut self, slot: u32) {
        self.stop(slot);
        let node = &mut self.nodes[slot as usize];
        (node.list, node.next) = (NOWHERE, self.free);
        self.free = slot;
    }

    /// Whether there ever was such a slot.
    #[inline(always)]
    pub fn has(&self, slot: u32) -> bool {
        (slot as usize) < self.nodes.len()
    }

    /// What the timer carries; `None` when there never was such a slot.
    pub fn payload(&self, slot: u32) -> Option<T> {
        self.nodes.get(slot as usize).map(|node| node.payload)
    }

    /// A bit beside the timer for its owner to keep something in; not set in a timer just taken.
    #[inline(always)]
    pub fn is_marked(&self, slot: u32) -> bool {
        self.nodes[slot as usize].list & MARK != 0
    }

    pub fn mark(&mut self, slot: u32, marked: bool) {
        let node = &mut self.nodes[slot as usize];
        node.list = node.list() | if marked { MARK } else { 0 };
    }

    /// Has the timer fire at tick `at`, or at the first one that has not been looked at; not any more when it was
    /// going to.
    #[inline(always)]
    pub fn start(&mut self, slot: u32, at: Tick) {
        self.stop(slot);
        let at = at.clamp(self.open, LAST);
        let node = &mut self.nodes[slot as usize];
        (node.at_low, node.at_high) = (at as u32, (at >> 32) as u16);
        self.running += 1;
        // Behind those that wait to be moved into the same list of the ring: they were here first.
        let next = (self.at >> REVOLUTION) + 1;
        let crowded = at >> REVOLUTION == next && self.lists[far_list(next)].first != NONE;
        self.file(slot, crowded);
    }

    /// Stops the timer; false when it did not run.
    #[inline(always)]
    pub fn stop(&mut self, slot: u32) -> bool {
        let node = &mut self.nodes[slot as usize];
        match node.list() {
            NOWHERE => return false,
            DUE => node.put(NOWHERE),
            _ => {
                self.unlink(slot);
                self.running -= 1;
            }
        }
        true
    }

    /// Takes out at most `limit` timers that are due at tick `now`, the earliest first. Each still runs until it is
    /// claimed.
    pub fn take_due(&mut self, now: Tick, limit: usize, due: &mut impl Extend<u32>) {
        due.extend((0..limit).map_while(|_| {
            let slot = self.pop(now)?;
            self.nodes[slot as usize].put(DUE);
            Some(slot)
        }));
    }

    /// Stops a timer that was taken out as due; `None` when it has been stopped or started since.
    pub fn claim(&mut self, slot: u32) -> Option<T> {
        let node = &mut self.nodes[slot as usize];
        (node.list() == DUE).then(|| {
            node.put(NOWHERE);
            node.payload
        })
    }

    /// Has the caches fetch what starting or stopping these timers will touch: all of it at once, instead of one after
    /// the other.
    pub fn fetch(&self, slots: impl Iterator<Item = u32> + Clone) {
        let mut seen = 0;
        for slot in slots.clone() {
            seen ^= self.nodes[slot as usize].next;
        }
        for slot in slots {
            let node = &self.nodes[slot as usize];
            for neighbour in [node.next, node.previous] {
                seen ^= self.nodes.get(neighbour as usize).map_or(0, |node| node.next);
            }
        }
        black_box(seen);
    }

    /// Stops the earliest timer due at tick `now` and names it; `None` when there is no more. From the first call on,
    /// timers started for `now` or earlier count for the tick after it.
    pub fn pop(&mut self, now: Tick) -> Option<u32> {
        let now = now.min(LAST - 1);
        self.open = self.open.max(now + 1);
        loop {
            let turn_over = ((self.at >> REVOLUTION) + 1) << REVOLUTION;
            if let Some(at) = self.next_in_ring()
                && at <= now
                && at < turn_over
            {
                self.at = at;
                let slot = self.lists[ring_list(at)].first;
                self.unlink(slot);
                self.running -= 1;
                return Some(slot);
            }
            if now < self.at {
                return None;
            }
            if now + 1 < turn_over {
                let (passed, left) = (now + 1 - self.at, turn_over - self.at);
                self.at = now + 1;
                let waiting = u64::from(self.waiting[far_place((self.at >> REVOLUTION) + 1)]);
                self.approach(waiting * passed / left + LEAST);
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
        self.approach(u64::MAX);
        self.at = start;
        if self.next_in_ring().is_none() {
            let last = now >> REVOLUTION;
            let here = start >> REVOLUTION;
            let empty = self.next_far().map_or(last, |ahead| here + ahead - 1);
            self.at = start.max(empty.min(last) << REVOLUTION);
        }
    }

    /// Moves at most `limit` timers of the next revolution from `far` into the ring.
    fn approach(&mut self, limit: u64) {
        let list = far_list((self.at >> REVOLUTION) + 1);
        for _ in 0..limit {
            let slot = self.lists[list].first;
            if slot == NONE {
                return;
            }
            self.unlink(slot);
            self.file(slot, false);
        }
    }

    /// Links the node into the list of its tick, or of its revolution when that is further away (or `crowded`).
    #[inline(always)]
    fn file(&mut self, slot: u32, crowded: bool) {
        let at = self.nodes[slot as usize].at();
        let (here, revolution) = (self.at >> REVOLUTION, at >> REVOLUTION);
        let list = if revolution <= here + 1 && !crowded {
            self.ring.set(ring_list(at));
            ring_list(at)
        } else {
            let place = far_place(revolution.min(here + FAR));
            self.waiting[place] += 1;
            self.far.set(place);
            RING + place
        };
        let last = std::mem::replace(&mut self.lists[list].last, slot);
        match last {
            NONE => self.lists[list].first = slot,
            last => self.nodes[last as usize].next = slot,
        }
        let node = &mut self.nodes[slot as usize];
        (node.next, node.previous) = (NONE, last);
        node.put(list as u16);
    }

    #[inline(always)]
    fn unlink(&mut self, slot: u32) {
        let node = &mut self.nodes[slot as usize];
        let (next, previous, list) = (node.next, node.previous, usize::from(node.list()));
        node.put(NOWHERE);
        match previous {
            NONE => self.lists[list].first = next,
            previous => self.nodes[previous as usize].next = next,
        }
        match next {
            NONE => self.lists[list].last = previous,
            next => self.nodes[next as usize].previous = previous,
        }
        let empty = self.lists[list].first == NONE;
        if list >= RING {
            self.waiting[list - RING] -= 1;
            if empty {
                self.far.clear(list - RING);
            }
        } else if empty {
            self.ring.clear(list);
        }
    }
}

fn ring_list(at: Tick) -> usize {
    (at % RING as u64) as usize
}

fn far_place(revolution: u64) -> usize {
    (revolution % FAR) as usize
}

fn far_list(revolution: u64) -> usize {
    RING + far_place(revolution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_half_a_cache_line() {
        assert_eq!(size_of::<Node<(usize, usize)>>(), if cfg!(target_pointer_width = "64") { 32 } else { 24 });
        assert_eq!(size_of::<Node<(u64, u32)>>(), 32);
    }

    #[test]
    fn no_look_moves_more_than_its_share() {
        let many = if cfg!(miri) { 1000 } else { 100_000 };
        let mut wheel = Wheel::new();
        let far = (3 << REVOLUTION) + 7;
        for payload in 0..many {
            let slot = wheel.take(|_| payload);
            wheel.start(slot, far + payload % 1000);
        }
        // Into the revolution before theirs, and then tick by tick.
        assert_eq!(wheel.pop(2 << REVOLUTION), None);
        for now in (2 << REVOLUTION)..(3 << REVOLUTION) - 1 {
            let before = wheel.waiting[far_place(3)];
            assert_eq!(wheel.pop(now), None);
            let moved = u64::from(before - wheel.waiting[far_place(3)]);
            assert!(moved <= many / 2048 + 2 * LEAST, "moved {moved} in tick {now}");
        }
        assert_eq!(wheel.waiting[far_place(3)], 0);
        let fired = std::iter::from_fn(|| wheel.pop(far + 2000)).count();
        assert_eq!((fired as u64, wheel.running(), wheel.next()), (many, 0, None));
    }

    #[test]
    fn a_newcomer_does_not_overtake_those_who_wait_for_the_same_tick() {
        let mut wheel = Wheel::new();
        let far = (2 << REVOLUTION) + 5;
        for payload in 0..500u64 {
            let slot = wheel.take(|_| payload);
            wheel.start(slot, far);
        }
        assert_eq!(wheel.pop(1 << REVOLUTION), None);
        let slot = wheel.take(|_| 500);
        wheel.start(slot, far);
        let order: Vec<_> = std::iter::from_fn(|| wheel.pop(far).and_then(|slot| wheel.payload(slot))).collect();
        assert_eq!(order, (0..=500).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_due_can_be_stopped_and_started_until_it_is_claimed() {
        let mut wheel = Wheel::new();
        let slots: Vec<u32> = (0..4u64).map(|payload| wheel.take(|_| payload)).collect();
        slots.iter().for_each(|&slot| wheel.start(slot, 3));
        let mut due = Vec::new();
        wheel.take_due(5, 9, &mut due);
        assert_eq!((due.len(), wheel.running()), (4, 0));
        assert!(wheel.stop(due[1]));
        assert!(!wheel.stop(due[1]));
        wheel.start(due[2], 9);
        wheel.give_back(due[3]);
        let claimed: Vec<_> = due.iter().filter_map(|&slot| wheel.claim(slot)).collect();
        assert_eq!(claimed, [0]);
        assert_eq!((wheel.claim(due[0]), wheel.running()), (None, 1));
        assert_eq!(wheel.pop(9), Some(due[2]));
    }

    #[test]
    fn slots_are_used_again_and_marks_do_not_stay() {
        let mut wheel = Wheel::new();
        let slot = wheel.take(|old| {
            assert_eq!(old, None);
            1
        });
        wheel.mark(slot, true);
        wheel.start(slot, 3);
        assert!(wheel.is_marked(slot));
        wheel.give_back(slot);
        assert_eq!((wheel.running(), wheel.next()), (0, None));
        assert_eq!(wheel.take(|old| old.unwrap() + 1), slot);
        assert!(!wheel.is_marked(slot));
        assert_eq!(wheel.payload(slot), Some(2));
        assert_eq!(wheel.payload(slot + 1), None);
    }
}
