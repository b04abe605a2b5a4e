//! The small blocks of one class: carved from the arena when none is free, and passed between threads by the depot.

use super::arena::{Arena, MOST_SPAN, STEP, block_of};
use super::depot::{Depot, Magazine};
use super::source::Source;
use super::statistics::SlabStatistics;
use super::tray::Tray;
use nix::errno::Errno;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Debug)]
pub(super) struct Shelf {
    class: usize,
    pub block: usize,
    arena: Arc<Arena>,
    source: Arc<Source>,
    pub depot: Depot,
    /// How many bytes of the class are open, and in use or free in some magazine.
    open: Mutex<usize>,
    carved: AtomicUsize,
    trays: Mutex<Vec<Arc<Tray>>>,
    refills: AtomicU64,
    growths: AtomicU64,
}

impl Shelf {
    pub fn new(class: usize, arena: Arc<Arena>, source: Arc<Source>) -> Shelf {
        let block = block_of(class);
        // A cache keeps at most two magazines: 128 blocks, or 128 KiB where blocks are large.
        let room = (KEPT / block).clamp(8, 64);
        let (open, trays) = (Mutex::new(0), Mutex::new(Vec::new()));
        let (carved, refills, growths) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Shelf { class, block, arena, source, depot: Depot::new(room), open, carved, trays, refills, growths }
    }

    /// Fills an empty magazine with blocks nobody has had before, and tells with how many: fewer than it has room for
    /// only at the end of the class.
    pub fn fill(&self, magazine: &Magazine) -> Result<u32, Errno> {
        let mut open = locked(&self.open);
        let carved = self.carved.load(Relaxed);
        let mut end = carved + magazine.slots.len() * self.block;
        if end > *open {
            match self.arena.open(self.class, *open, self.source.wish()) {
                Ok(unfulfilled) => {
                    self.source.tell(unfulfilled);
                    *open += STEP;
                    self.growths.fetch_add(1, Relaxed);
                }
                Err(errno) if carved == *open => return Err(errno),
                Err(_) => end = *open,
            }
        }
        let count = (end - carved) / self.block;
        // The lowest address is on top: neighbours are used one after the other.
        for (place, slot) in magazine.slots.iter().take(count).enumerate() {
            let offset = carved + (count - 1 - place) * self.block;
            slot.store(self.arena.at(self.class, offset).as_ptr(), Relaxed);
        }
        self.carved.store(end, Relaxed);
        Ok(count as u32)
    }

    /// A cache took blocks from here.
    pub fn count_refill(&self) {
        self.refills.fetch_add(1, Relaxed);
    }

    /// From now on what this tray has is counted.
    pub fn enlist(&self, tray: &Arc<Tray>) {
        locked(&self.trays).push(Arc::clone(tray));
    }

    pub fn strike(&self, tray: &Arc<Tray>) {
        locked(&self.trays).retain(|listed| !Arc::ptr_eq(listed, tray));
    }

    /// The pool is gone: nothing is at hand anywhere any more.
    pub fn close(&self) {
        for tray in std::mem::take(&mut *locked(&self.trays)) {
            tray.close();
        }
    }

    /// Whether `address` is that of a block that was handed out from here at least once.
    pub fn is_block(&self, address: usize) -> bool {
        let offset = address.wrapping_sub(self.first());
        offset < self.carved.load(Relaxed) && offset.is_multiple_of(self.block)
    }

    /// Where the class begins.
    pub fn first(&self) -> usize {
        self.arena.at(self.class, 0).as_ptr().addr()
    }

    /// How many bytes it may have.
    pub fn span(&self) -> usize {
        1 << self.arena.shift
    }

    /// The figures of a class nobody has asked for.
    pub fn unused(class: usize) -> SlabStatistics {
        let block = block_of(class);
        SlabStatistics { small: true, block, most: MOST_SPAN / block, ..SlabStatistics::default() }
    }

    pub fn statistics(&self) -> SlabStatistics {
        let trays = locked(&self.trays);
        let at_hand: usize = trays.iter().map(|tray| tray.at_hand()).sum();
        let allocated = self.carved.load(Relaxed) / self.block;
        let cached = at_hand + self.depot.resting();
        SlabStatistics {
            small: true,
            block: self.block,
            // Other threads go on meanwhile: the figures need not belong together.
            used: allocated.saturating_sub(cached),
            cached,
            allocated,
            most: self.span() / self.block,
            refills: self.refills.load(Relaxed),
            growths: self.growths.load(Relaxed),
        }
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes of a magazine's blocks, unless that were more than 64 or fewer than 8 of them.
const KEPT: usize = 64 << 10;
