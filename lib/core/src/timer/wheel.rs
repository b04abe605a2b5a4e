//! A timer wheel: starting, stopping and firing cost the same however many timers run.
//!
//! Time is counted in ticks of 2^18 ns (about a quarter of a millisecond). 2048 ticks are a revolution. A ring of two
//! revolutions has one list per tick: the timers of this revolution and the next. Whatever is later lies in `far`, one
//! list per revolution, and moves into the ring while the revolution before its own passes: with every look the part
//! that is due by then, so that a million timers of one second do not stop the loop for all of them at once. What lies
//! beyond `far`'s last revolution waits there and is filed again.
//!
//! A far timer that is put off stays where it is: it is filed again when the turn of its list comes, like any other. A
//! timeout that is put off again and again, as most are, costs no more than the note of its time.
//!
//! With many timers their cost is that of memory, so a node is a quarter of a cache line and has no neighbours (see
//! [`Lists`]); whoever has several to start lets them be fetched together ([`Wheel::fetch`]). What a
//! batch runs through is inlined by force: the library is built for size. Lists keep no order; a tick's timers are put
//! into theirs when they are due.
//!
//! Invariants: every timer of the present revolution is in the ring, at the list of its own tick. No timer is due before
//! the tick or the revolution in whose list it lies.

use super::bits::Bits;
use super::lists::Lists;
use std::collections::BinaryHeap;
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
/// How many are moved together.
const BATCH: u64 = 32;
const NONE: u32 = u32::MAX;
/// The list of a timer that does not run.
const NOWHERE: u16 = u16::MAX >> 1;
/// The list of a timer that is due and waits for its turn.
const DUE: u16 = NOWHERE - 1;
/// Beside the list: the owner's mark.
const MARK: u16 = 1 << 15;
/// The last tick there is: in two thousand years.
const LAST: Tick = (1 << 48) - 1;

/// A timer, running or not.
#[derive(Debug)]
struct Node {
    /// Where in its list it is; in one that was given back, the next such.
    place: u32,
    /// How many starts there had been before its own.
    order: u32,
    at_low: u32,
    at_high: u16,
    /// In which list it is: of the ring, or (from `RING` on) of `far`, or `NOWHERE`; and the mark.
    list: u16,
}

impl Node {
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

/// Timers, by tick. A timer is a slot that its owner takes, starts and stops as often as he likes, and gives back.
#[derive(Debug)]
pub(crate) struct Wheel<T> {
    nodes: Vec<Node>,
    /// What each timer carries. Only firing looks at it.
    payloads: Vec<T>,
    free: u32,
    running: usize,
    /// All timers before this tick have fired.
    at: Tick,
    /// The first tick that has not been looked at; no timer is started for an earlier one.
    open: Tick,
    /// The ring's, then those of `far`.
    lists: Lists,
    /// Which lists are not empty.
    ring: Bits,
    far: Bits,
    /// Timers of one tick that are due, the next one last: how many starts ago each was started, and its slot. Some may
    /// have been stopped or started since.
    due: Vec<(u32, u32)>,
    /// How many timers have been started.
    started: u32,
}

impl<T: Copy> Wheel<T> {
    pub fn new() -> Wheel<T> {
        Wheel {
            nodes: Vec::new(),
            payloads: Vec::new(),
            free: NONE,
            running: 0,
            at: 0,
            open: 0,
            lists: Lists::new(RING + FAR as usize),
            ring: Bits::new(RING),
            far: Bits::new(FAR as usize),
            due: Vec::new(),
            started: 0,
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
            self.payloads.push(payload(None));
            self.nodes.push(Node { place: NONE, order: 0, at_low: 0, at_high: 0, list: NOWHERE });
            return (self.nodes.len() - 1) as u32;
        }
        self.free = self.nodes[slot as usize].place;
        let kept = &mut self.payloads[slot as usize];
        *kept = payload(Some(*kept));
        slot
    }

    /// Gives a timer back; it is stopped if it runs.
    pub fn give_back(&mut self, slot: u32) {
        self.stop(slot);
        let node = &mut self.nodes[slot as usize];
        (node.list, node.place) = (NOWHERE, self.free);
        self.free = slot;
    }

    /// Whether there ever was such a slot.
    #[inline(always)]
    pub fn has(&self, slot: u32) -> bool {
        (slot as usize) < self.nodes.len()
    }

    /// What the timer carries; `None` when there never was such a slot.
    pub fn payload(&self, slot: u32) -> Option<T> {
        self.payloads.get(slot as usize).copied()
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
        let at = at.clamp(self.open, LAST);
        let node = &mut self.nodes[slot as usize];
        (node.at_low, node.at_high, node.order) = (at as u32, (at >> 32) as u16, self.started);
        self.started = self.started.wrapping_add(1);
        let list = usize::from(node.list());
        if (RING..RING + FAR as usize).contains(&list) && self.ahead(list - RING) <= (at >> REVOLUTION) - self.here() {
            return;
        }
        self.stop(slot);
        self.running += 1;
        self.file(slot);
    }

    /// Stops the timer; false when it did not run.
    #[inline(always)]
    pub fn stop(&mut self, slot: u32) -> bool {
        let node = &mut self.nodes[slot as usize];
        match node.list() {
            NOWHERE => return false,
            DUE => node.put(NOWHERE),
            _ => self.unlink(slot),
        }
        self.running -= 1;
        true
    }

    /// Has the caches fetch what starting or stopping these timers will touch: all of it at once, instead of one after
    /// the other.
    #[inline(always)]
    pub fn fetch(&self, slots: impl Iterator<Item = u32>) {
        black_box(slots.fold(0, |seen, slot| seen ^ self.nodes.get(slot as usize).map_or(0, |node| node.at_low)));
    }

    /// Stops the earliest timer due at tick `now` and names it; `None` when there is no more. From the first call on,
    /// timers started for `now` or earlier count for the tick after it.
    pub fn pop(&mut self, now: Tick) -> Option<u32> {
        let now = now.min(LAST - 1);
        self.open = self.open.max(now + 1);
        loop {
            while let Some((_, slot)) = self.due.pop() {
                if self.is_due(slot) {
                    self.stop(slot);
                    return Some(slot);
                }
            }
            self.advance(now)?;
        }
    }

    /// Goes on to the next tick that has timers and takes them out; `None` when `now` comes first.
    fn advance(&mut self, now: Tick) -> Option<()> {
        loop {
            let turn_over = (self.here() + 1) << REVOLUTION;
            if let Some(at) = self.next_in_ring()
                && at <= now
                && at < turn_over
            {
                self.at = at;
                self.take_out(ring_list(at));
                return Some(());
            }
            if now < self.at {
                return None;
            }
            if now + 1 < turn_over {
                let (passed, left) = (now + 1 - self.at, turn_over - self.at);
                self.at = now + 1;
                let waiting = u64::from(self.lists.len(far_list(self.here() + 1)));
                self.approach(waiting * passed / left + LEAST);
                return None;
            }
            self.turn_over(turn_over, now);
        }
    }

    /// Takes out the timers of a list as due, in the order in which they were started.
    fn take_out(&mut self, list: usize) {
        while let Some(slot) = self.lists.pop(list) {
            let node = &mut self.nodes[slot as usize];
            node.put(DUE);
            self.due.push((self.started.wrapping_sub(node.order), slot));
            // It is wanted soon, and until then there is time to fetch it.
            black_box(self.payloads.get(slot as usize).copied());
        }
        self.ring.clear(list);
        // From the top of a list comes first what was started last, or first if it came from `far`, unless something was
        // removed or put off. (Any of the sorts would do; a heap's is a tenth of the others' code.)
        if self.due.first() > self.due.last() {
            self.due.reverse();
        }
        if !self.due.is_sorted() {
            self.due = BinaryHeap::from(std::mem::take(&mut self.due)).into_sorted_vec();
        }
    }

    fn is_due(&self, slot: u32) -> bool {
        self.nodes[slot as usize].list() == DUE
    }

    /// When to look again: not later than the earliest timer, perhaps earlier.
    pub fn next(&self) -> Option<Tick> {
        if self.due.iter().any(|&(_, slot)| self.is_due(slot)) {
            return Some(self.at);
        }
        let near = self.next_in_ring();
        let revolution = self.here();
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
        let place = self.far.next(far_place(self.here() + 1))?;
        Some(self.ahead(place))
    }

    /// How many revolutions ahead (at least one) the far timers of a place are filed.
    fn ahead(&self, place: usize) -> u64 {
        (place as u64).wrapping_sub(self.here() + 1) % FAR + 1
    }

    /// The present revolution.
    fn here(&self) -> u64 {
        self.at >> REVOLUTION
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

    /// Moves at most `limit` timers of the next revolution from `far` into the ring, or on, when they were put off.
    fn approach(&mut self, mut limit: u64) {
        let place = far_place(self.here() + 1);
        while limit > 0 && self.lists.len(RING + place) > 0 {
            let mut slots = [0; BATCH as usize];
            let mut count = 0;
            for slot in slots.iter_mut().take(limit.min(BATCH) as usize) {
                let Some(top) = self.lists.pop(RING + place) else { break };
                *slot = top;
                count += 1;
            }
            self.fetch(slots.iter().copied());
            slots.iter().take(count).for_each(|&slot| self.file(slot));
            limit -= count as u64;
        }
        if self.lists.len(RING + place) == 0 {
            self.far.clear(place);
        }
    }

    /// Puts the node into the list of its tick, or of its revolution when that is further away.
    fn file(&mut self, slot: u32) {
        let here = self.here();
        let node = &mut self.nodes[slot as usize];
        let (at, revolution) = (node.at(), node.at() >> REVOLUTION);
        let list = if revolution <= here + 1 {
            self.ring.set(ring_list(at));
            ring_list(at)
        } else {
            let place = far_place(revolution.min(here + FAR));
            self.far.set(place);
            RING + place
        };
        node.put(list as u16);
        node.place = self.lists.push(list, slot);
    }

    fn unlink(&mut self, slot: u32) {
        let node = &mut self.nodes[slot as usize];
        let (place, list) = (node.place, usize::from(node.list()));
        node.put(NOWHERE);
        if let Some(moved) = self.lists.remove(list, place) {
            self.nodes[moved as usize].place = place;
        }
        if self.lists.len(list) == 0 {
            if list < RING { self.ring.clear(list) } else { self.far.clear(list - RING) }
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
    fn a_node_is_a_quarter_of_a_cache_line() {
        assert_eq!(size_of::<Node>(), 16);
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
            let before = wheel.lists.len(far_list(3));
            assert_eq!(wheel.pop(now), None);
            let moved = u64::from(before - wheel.lists.len(far_list(3)));
            assert!(moved <= many / 2048 + 2 * LEAST, "moved {moved} in tick {now}");
        }
        assert_eq!(wheel.lists.len(far_list(3)), 0);
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
    fn what_is_due_can_be_stopped_and_started_until_it_is_its_turn() {
        let mut wheel = Wheel::new();
        let slots: Vec<u32> = (0..5u64).map(|payload| wheel.take(|_| payload)).collect();
        slots.iter().for_each(|&slot| wheel.start(slot, 3));
        assert_eq!((wheel.pop(5), wheel.running()), (Some(slots[0]), 4));
        assert!(wheel.stop(slots[1]));
        assert!(!wheel.stop(slots[1]));
        wheel.start(slots[2], 9);
        wheel.give_back(slots[3]);
        // One is left, and the loop may not sleep over it.
        assert!(wheel.next().unwrap() <= 5);
        assert_eq!((wheel.pop(5), wheel.pop(5), wheel.running()), (Some(slots[4]), None, 1));
        assert_eq!(wheel.pop(9), Some(slots[2]));
        assert_eq!((wheel.pop(9), wheel.next()), (None, None));
    }

    #[test]
    fn a_far_timer_that_is_put_off_stays_where_it_is_until_its_list_has_its_turn() {
        let mut wheel = Wheel::new();
        let slots: Vec<u32> = (0..3u64).map(|payload| wheel.take(|_| payload)).collect();
        slots.iter().for_each(|&slot| wheel.start(slot, 5 << REVOLUTION));
        wheel.start(slots[0], 7 << REVOLUTION);
        wheel.start(slots[1], (7 << REVOLUTION) + 1);
        wheel.start(slots[0], (7 << REVOLUTION) + 1);
        assert_eq!((wheel.lists.len(far_list(5)), wheel.running()), (3, 3));
        // Sooner is another matter.
        wheel.start(slots[2], 4 << REVOLUTION);
        assert_eq!((wheel.lists.len(far_list(5)), wheel.lists.len(far_list(4))), (2, 1));
        assert_eq!(wheel.pop((4 << REVOLUTION) + 9), Some(slots[2]));
        assert_eq!(wheel.pop((5 << REVOLUTION) + 9), None);
        assert_eq!((wheel.lists.len(far_list(5)), wheel.lists.len(far_list(7))), (0, 2));
        let fired: Vec<_> = std::iter::from_fn(|| wheel.pop((7 << REVOLUTION) + 9)).collect();
        assert_eq!(fired, [slots[1], slots[0]]);
        assert_eq!((wheel.running(), wheel.next()), (0, None));
    }

    #[test]
    fn a_tick_keeps_its_order_when_something_is_removed_from_it() {
        let mut wheel = Wheel::new();
        let slots: Vec<u32> = (0..100u64).map(|payload| wheel.take(|_| payload)).collect();
        slots.iter().for_each(|&slot| wheel.start(slot, 30));
        assert!(slots.iter().step_by(3).all(|&slot| wheel.stop(slot)));
        let fired: Vec<_> = std::iter::from_fn(|| wheel.pop(30)).collect();
        assert_eq!(fired, slots.iter().copied().filter(|slot| slot % 3 != 0).collect::<Vec<_>>());
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
