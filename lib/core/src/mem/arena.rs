//! The addresses of a pool's small blocks: one range, cut into an equal part for each class.
//!
//! Where a block lies says which class it is of, and whether it is the pool's at all. The range is reserved once, and opened
//! for use 2 MiB at a time.

use super::huge::HUGE_PAGE;
use super::region::{Region, Wish};
use nix::errno::Errno;
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

#[derive(Debug)]
pub(super) struct Arena {
    /// None once the pool is destroyed.
    region: Mutex<Option<Region>>,
    start: NonNull<u8>,
    /// A class has 2 to the power of this many bytes.
    pub shift: u32,
}

// SAFETY: the address is a number to whoever has it; what it points at is guarded by who was handed the block.
unsafe impl Send for Arena {}
// SAFETY: as above.
unsafe impl Sync for Arena {}

impl Arena {
    /// Reserves addresses for `CLASSES` classes: 1 GiB for each (32 MiB where addresses have 32 bits), or what there is
    /// where less is allowed.
    pub fn new() -> Result<Arena, Errno> {
        let mut shift = MOST_SHIFT;
        loop {
            // One step more than is used: the range begins where a huge page does.
            match Region::reserve((CLASSES << shift) + STEP) {
                Ok(region) => {
                    let start = region.at(region.at(0).align_offset(STEP));
                    return Ok(Arena { region: Mutex::new(Some(region)), start, shift });
                }
                Err(errno) if shift == LEAST_SHIFT => return Err(errno),
                Err(_) => shift -= 1,
            }
        }
    }

    /// Opens the step of `class` that begins at `offset`. Inside, why a wish was not fulfilled.
    ///
    /// Fails with ENOMEM when the class is used up, EINVAL when the arena is closed.
    pub fn open(&self, class: usize, offset: usize, wish: Wish) -> Result<Option<String>, Errno> {
        if offset >= 1 << self.shift {
            return Err(Errno::ENOMEM);
        }
        let region = self.region.lock().unwrap_or_else(PoisonError::into_inner);
        let region = region.as_ref().ok_or(Errno::EINVAL)?;
        region.open(self.at(class, offset), STEP, wish)
    }

    /// Unmaps everything.
    pub fn close(&self) {
        let region = self.region.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(region);
    }

    /// The address `offset` bytes into a class.
    pub fn at(&self, class: usize, offset: usize) -> NonNull<u8> {
        let offset = (class << self.shift) + offset;
        // SAFETY: classes and the offsets inside them lie in the reserved range.
        unsafe { self.start.add(offset) }
    }

    /// Where the first class begins, as a number.
    pub fn first(&self) -> usize {
        self.start.as_ptr().addr()
    }
}

/// The class for blocks of `length` bytes (at least 1), if there is one.
#[inline(always)]
pub(super) fn class_for(length: usize) -> Option<usize> {
    let bits = usize::BITS - length.wrapping_sub(1).leading_zeros();
    let class = bits.saturating_sub(LEAST_BITS) as usize;
    (class < CLASSES).then_some(class)
}

/// The bytes of a block of `class`.
#[inline(always)]
pub(super) fn block_of(class: usize) -> usize {
    1 << (LEAST_BITS as usize + class)
}

/// How many sizes there are: 32 B, 64 B … 8 KiB.
pub(super) const CLASSES: usize = 9;
/// How much is opened at once: a huge page.
pub(super) const STEP: usize = HUGE_PAGE;
/// The bytes of a class, unless there are no addresses for that many.
pub(super) const MOST_SPAN: usize = 1 << MOST_SHIFT;
const LEAST_BITS: u32 = 5;
const MOST_SHIFT: u32 = if cfg!(target_pointer_width = "64") { 30 } else { 25 };
const LEAST_SHIFT: u32 = STEP.ilog2();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_gets_the_smallest_class_it_fits() {
        let class = [(1, 0), (32, 0), (33, 1), (64, 1), (65, 2), (1024, 5), (1025, 6), (8192, 8)];
        for (length, expected) in class {
            assert_eq!(class_for(length), Some(expected), "{length}");
            assert!(block_of(expected) >= length && (expected == 0 || block_of(expected - 1) < length));
        }
        assert_eq!([class_for(0), class_for(8193), class_for(usize::MAX)], [None; 3]);
    }

    #[test]
    fn a_step_is_opened_once_and_not_behind_the_end() {
        for wish in [Wish::Plain, Wish::Huge, Wish::Node(0)] {
            let arena = Arena::new().unwrap();
            assert_eq!(arena.first() % STEP, 0);
            arena.open(3, 0, wish).unwrap();
            // SAFETY: the step was opened on the line above and is ours.
            unsafe { arena.at(3, STEP - 1).write(7) };
            arena.open(3, STEP, wish).unwrap();
            // SAFETY: it is still open.
            assert_eq!(unsafe { arena.at(3, STEP - 1).read() }, 7);
            assert_eq!(arena.open(3, 1 << arena.shift, wish).unwrap_err(), Errno::ENOMEM);
            arena.close();
            assert_eq!(arena.open(3, 2 * STEP, wish).unwrap_err(), Errno::EINVAL);
        }
    }
}
