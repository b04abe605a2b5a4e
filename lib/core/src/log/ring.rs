//! A ring of records in shared memory: one thread writes at the head, whoever holds the logger's lock reads at the tail.
//!
//! Positions count bytes, modulo 2^32, and are only ever moved by their owner. An entry lies in one piece, so its size
//! comes first: where it would not fit before the end of the ring, a mark says "go on at the start". A record exists once
//! the head has been stored: a process that is killed before leaves nothing, one that is killed after leaves all of it.

use crate::sys::sync::atomic::{AtomicU32, Ordering};
use std::ptr::NonNull;
use std::slice;

/// The part of a ring that both sides look at, as it is in the file. The head has a cache line of its own.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Positions {
    head: AtomicU32,
    /// Records that found no room (policy "drop").
    dropped: AtomicU32,
    _apart: [u32; 14],
    tail: AtomicU32,
    /// Where the tail will be when what is being written now is in the log.
    moved: AtomicU32,
    /// How many of `dropped` the log tells of.
    told: AtomicU32,
}

/// Where the next entry goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The offset of a mark that sends the reader to the start of the ring.
    pub mark: Option<u32>,
    /// The offset of the entry.
    pub at: u32,
    next: u32,
    /// More than half of the ring is waiting to be read.
    pub filling: bool,
}

/// What the writing side remembers of the positions, to read the other's cache line as rarely as can be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Producer {
    head: u32,
    tail: u32,
}

impl Positions {
    #[cfg(all(test, feature = "loom"))]
    pub fn new() -> Positions {
        let zero = || AtomicU32::new(0);
        Positions { head: zero(), dropped: zero(), _apart: [0; 14], tail: zero(), moved: zero(), told: zero() }
    }

    /// What a thread begins with that takes the ring over from another one.
    pub fn producer(&self) -> Producer {
        Producer { head: self.head.load(Ordering::Acquire), tail: self.tail.load(Ordering::Acquire) }
    }

    /// Makes the entry of the claim one that the reader sees.
    #[inline]
    pub fn publish(&self, producer: &mut Producer, claim: Claim) {
        producer.head = claim.next;
        self.head.store(claim.next, Ordering::Release);
    }

    /// Counts a record that found no room.
    pub fn drop_one(&self) {
        // One writer: no read-modify-write is needed, but the shared ring's writers change under a lock.
        self.dropped.store(self.dropped.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// What may be read: from where to where.
    pub fn waiting(&self) -> (u32, u32) {
        let head = self.head.load(Ordering::Acquire);
        (self.tail.load(Ordering::Relaxed), head)
    }

    /// Gives everything before `to` back to the writer.
    pub fn release(&self, to: u32) {
        self.tail.store(to, Ordering::Release);
    }

    /// Says how far the reader is about to have read.
    pub fn intend(&self, to: u32) {
        self.moved.store(to, Ordering::Relaxed);
    }

    /// How far the reader was about to have read.
    pub fn intended(&self) -> u32 {
        self.moved.load(Ordering::Relaxed)
    }

    /// Records dropped that the log does not tell of yet.
    pub fn untold(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed).wrapping_sub(self.told.load(Ordering::Relaxed))
    }

    /// The log tells of `count` more.
    pub fn tell(&self, count: u32) {
        self.told.store(self.told.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
    }

    /// How many records were dropped in all.
    pub fn dropped(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Producer {
    /// Room for `need` bytes (a multiple of 8, at most half of `capacity`) in one piece; None while there is none.
    #[inline]
    pub fn claim(&mut self, positions: &Positions, need: u32, capacity: u32) -> Option<Claim> {
        let offset = self.head & (capacity - 1);
        let skip = if offset + need > capacity { capacity - offset } else { 0 };
        let next = self.head.wrapping_add(skip).wrapping_add(need);
        if next.wrapping_sub(self.tail) > capacity / 2 {
            self.tail = positions.tail.load(Ordering::Acquire);
            if next.wrapping_sub(self.tail) > capacity {
                return None;
            }
        }
        let filling = next.wrapping_sub(self.tail) > capacity / 2;
        let mark = (skip > 0).then_some(offset);
        Some(Claim { mark, at: if skip > 0 { 0 } else { offset }, next, filling })
    }
}

/// A ring of `capacity` bytes (a power of two) behind its positions, in a mapping that lives as long as whoever uses it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    positions: NonNull<Positions>,
    data: NonNull<u8>,
    capacity: u32,
}

// SAFETY: positions are atomics, and of the data each side touches only what the positions give it.
unsafe impl Send for Ring {}
// SAFETY: as above.
unsafe impl Sync for Ring {}

impl Ring {
    /// # Safety
    /// `positions` and `capacity` bytes from `data` on are in one live mapping that outlives every use of the ring.
    pub unsafe fn new(positions: NonNull<Positions>, data: NonNull<u8>, capacity: u32) -> Ring {
        debug_assert!(capacity.is_power_of_two());
        Ring { positions, data, capacity }
    }

    pub fn positions(&self) -> &Positions {
        // SAFETY: mapped and aligned, says `new`; only atomics are in there.
        unsafe { self.positions.as_ref() }
    }

    /// Looks at every page once: the kernel then maps many with one fault, where each first write would be one.
    pub fn touch(&self) {
        for page in (0..self.capacity).step_by(4096) {
            // SAFETY: inside the ring.
            let place = unsafe { self.data.add(page as usize) };
            // SAFETY: mapped; what is there does not matter.
            std::hint::black_box(unsafe { place.read_volatile() });
        }
    }

    /// The largest entry there always is room for, once the ring is empty.
    pub fn largest(&self) -> usize {
        self.capacity as usize / 2
    }

    /// Puts an entry of `need` bytes, which `fill` writes, into the ring: whether it is more than half full now. None when
    /// there is no room.
    ///
    /// # Safety
    /// The caller is the ring's only writer now, and `producer` is what the last one left.
    #[inline]
    pub unsafe fn push(&self, producer: &mut Producer, need: usize, fill: impl FnOnce(&mut [u8])) -> Option<bool> {
        debug_assert!(need.is_multiple_of(8) && need <= self.largest());
        let claim = producer.claim(self.positions(), need as u32, self.capacity)?;
        if let Some(mark) = claim.mark {
            // SAFETY: the claim says that 8 bytes at least from there on are the writer's.
            let place = unsafe { self.data.add(mark as usize) };
            // SAFETY: inside the mapping, and a multiple of 8 away from its page's start.
            unsafe { place.cast::<u32>().write(TO_THE_START) };
        }
        // SAFETY: the claimed piece ends before the ring does.
        let place = unsafe { self.data.add(claim.at as usize) };
        // SAFETY: nobody else reads or writes these bytes until they are published.
        fill(unsafe { slice::from_raw_parts_mut(place.as_ptr(), need) });
        self.positions().publish(producer, claim);
        Some(claim.filling)
    }

    /// The entry at `from`, which is before `to`, and where the next one is. None when what is there makes no sense: the
    /// ring was found in a file, and anybody may have written that.
    pub fn entry(&self, from: u32, to: u32) -> Option<(&[u8], u32)> {
        let mut at = from;
        let mut size = self.size_at(at)?;
        if size == TO_THE_START {
            at = at.wrapping_add(self.capacity - (at & (self.capacity - 1)));
            size = self.size_at(at)?;
        }
        let offset = at & (self.capacity - 1);
        let next = at.wrapping_add(size);
        let sound = size >= 8 && size.is_multiple_of(8) && size <= self.capacity - offset;
        if !sound || next.wrapping_sub(from) > to.wrapping_sub(from) {
            return None;
        }
        // SAFETY: `offset + size` is not behind the ring's end.
        let place = unsafe { self.data.add(offset as usize) };
        // SAFETY: published and not released yet, so the writer does not touch it.
        Some((unsafe { slice::from_raw_parts(place.as_ptr(), size as usize) }, next))
    }

    /// Whether `from` and `to` can be a tail and a head.
    pub fn is_sound(&self, from: u32, to: u32) -> bool {
        to.wrapping_sub(from) <= self.capacity && from.is_multiple_of(8) && to.is_multiple_of(8)
    }

    fn size_at(&self, at: u32) -> Option<u32> {
        if !at.is_multiple_of(8) {
            return None;
        }
        // SAFETY: masked, so inside the ring.
        let place = unsafe { self.data.add((at & (self.capacity - 1)) as usize) };
        // SAFETY: a multiple of 8 from the start of a page, and inside the mapping.
        Some(unsafe { place.cast::<u32>().read() })
    }
}

const TO_THE_START: u32 = u32::MAX;

#[cfg(test)]
#[cfg(not(feature = "loom"))]
mod tests {
    use super::*;
    use crate::sys::Map;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::fs::File;

    const CAPACITY: u32 = 16384;

    fn ring() -> (Map, Ring) {
        let file = File::from(memfd_create("ring", MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(4096 + u64::from(CAPACITY)).unwrap();
        let map = Map::shared(&file, 4096 + CAPACITY as usize).unwrap();
        let start = map.start();
        // SAFETY: the mapping is longer than that.
        let data = unsafe { start.add(4096) };
        // SAFETY: the mapping is that long, and returned beside the ring.
        let ring = unsafe { Ring::new(start.cast(), data, CAPACITY) };
        (map, ring)
    }

    fn push(ring: &Ring, producer: &mut Producer, size: usize, letter: u8) -> Option<bool> {
        let fill = |entry: &mut [u8]| {
            entry.fill(letter);
            entry[..4].copy_from_slice(&(size as u32).to_ne_bytes());
        };
        // SAFETY: one test, one thread, one ring.
        unsafe { ring.push(producer, size, fill) }
    }

    fn pop(ring: &Ring) -> Option<(usize, u8)> {
        let (tail, head) = ring.positions().waiting();
        if tail == head {
            return None;
        }
        let (entry, next) = ring.entry(tail, head).unwrap();
        assert!(entry[4..].iter().all(|byte| *byte == entry[4]));
        let found = (entry.len(), entry[4]);
        ring.positions().release(next);
        Some(found)
    }

    #[test]
    fn entries_of_all_sizes_come_out_as_they_went_in_around_the_end() {
        let (_map, ring) = ring();
        let mut producer = ring.positions().producer();
        let mut expected = std::collections::VecDeque::new();
        let mut size = 8;
        for round in 0..100_000u32 {
            size = (size * 7 + 24) % 5000 / 8 * 8 + 8;
            while push(&ring, &mut producer, size, round as u8).is_none() {
                assert_eq!(pop(&ring), expected.pop_front());
            }
            expected.push_back((size, round as u8));
        }
        while let Some(one) = expected.pop_front() {
            assert_eq!(pop(&ring), Some(one));
        }
        assert_eq!(pop(&ring), None);
    }

    #[test]
    fn half_of_the_ring_always_fits_into_an_empty_one() {
        let (_map, ring) = ring();
        let mut producer = ring.positions().producer();
        for step in 0..4096 {
            assert!(push(&ring, &mut producer, 8 + step % 64 * 8, 1).is_some());
            assert!(pop(&ring).is_some());
            assert!(push(&ring, &mut producer, ring.largest(), 2).is_some());
            assert_eq!(pop(&ring), Some((ring.largest(), 2)));
        }
    }

    #[test]
    fn what_makes_no_sense_is_no_entry() {
        let (map, ring) = ring();
        let mut producer = ring.positions().producer();
        push(&ring, &mut producer, 64, 1);
        // SAFETY: the ring's first entry begins there.
        let size = unsafe { map.start().add(4096) }.cast::<u32>();
        for wrong in [0, 4, 7, 72, CAPACITY + 8, u32::MAX - 7, TO_THE_START] {
            // SAFETY: inside the mapping.
            unsafe { size.write(wrong) };
            assert!(ring.entry(0, 64).is_none(), "{wrong}");
        }
        assert!(ring.entry(3, 64).is_none());
        assert!(ring.is_sound(0, 64) && !ring.is_sound(64, 0) && !ring.is_sound(0, CAPACITY + 8));
    }
}

#[cfg(all(test, feature = "loom"))]
mod models;
