//! Pools of blocks of 16 KiB, 64 KiB, 256 KiB and 1 MiB, callable from any thread.
//!
//! C holds handles and tickets, not addresses of ours: both are looked up here, so one that outlived its pool finds
//! nobody. A slab maps 128 blocks at a time and never gives them back before the pool is destroyed; untouched blocks
//! occupy no memory.

use super::blocks::{Blocks, MOST_BLOCKS, MOST_POOLS, POOL_TURNS, Ticket};
use super::region::{Region, Wish};
use crate::log::Level;
use crate::sys::node;
use nix::errno::Errno;
use std::fmt::Write;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// What a pool is asked for, as bits of the C interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Blocks carry a memory registration.
    pub register: bool,
    /// Huge pages, where the system has any.
    pub huge: bool,
    /// Pages of one NUMA node, where the system has any.
    pub numa: bool,
    /// No larger block where the fitting size is used up.
    pub smallest_only: bool,
}

impl Flags {
    /// From the numbers of `enum msf_mempool_flag`.
    ///
    /// The number of USE_SMALLEST_SLAB has always been 0x16, which is three bits; 0x10 is the one that counts, and the
    /// other two are taken as if they were meant.
    pub fn from_bits(bits: u32) -> Flags {
        let is_set = |bit| bits & bit != 0;
        Flags { register: is_set(0x01), huge: is_set(0x02), numa: is_set(0x04), smallest_only: is_set(0x10) }
    }
}

/// A pool, found by its handle.
#[derive(Debug)]
pub struct Pool {
    slabs: [Mutex<Slab>; SIZES.len()],
    flags: Flags,
    wish: Wish,
    place: usize,
    turn: u32,
    told: AtomicBool,
}

/// A block that was handed out.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Where it is.
    pub start: NonNull<u8>,
    /// What gives it back.
    pub ticket: Ticket,
    /// Whether it carries a registration.
    pub registered: bool,
}

/// Makes a pool and tells its handle, which is never 0. Node −1 is the one that runs this thread.
///
/// Fails with EINVAL when `flags` ask for a NUMA node that does not exist, ENOMEM when there are too many pools.
pub fn create(node_id: i32, flags: Flags) -> Result<usize, Errno> {
    let wish = match flags {
        Flags { huge: true, .. } => Wish::Huge,
        Flags { numa: true, .. } => Wish::Node(node(node_id)?),
        _ => Wish::Plain,
    };
    let mut pools = POOLS.write().unwrap_or_else(PoisonError::into_inner);
    let place = pools.iter().position(|entry| entry.pool.is_none()).unwrap_or(pools.len());
    if place >= MOST_POOLS {
        return Err(Errno::ENOMEM);
    }
    if place == pools.len() {
        pools.push(Entry { pool: None, turn: 0 });
    }
    let entry = pools.get_mut(place).ok_or(Errno::ENOMEM)?;
    entry.turn = entry.turn.wrapping_add(1) & POOL_TURNS as u32;
    let slabs = SIZES.map(|size| Mutex::new(Slab::new(size)));
    let pool = Arc::new(Pool { slabs, flags, wish, place, turn: entry.turn, told: AtomicBool::new(false) });
    let handle = pool.handle();
    entry.pool = Some(pool);
    Ok(handle)
}

/// The pool with this handle; `None` when it was destroyed or never existed.
pub fn lookup(handle: usize) -> Option<Arc<Pool>> {
    let place = (handle & 0x3fff).checked_sub(1)?;
    by_place(place).filter(|pool| pool.handle() == handle)
}

/// Unmaps every block of the pool, also those that are out. False when there is no such pool.
pub fn destroy(handle: usize) -> bool {
    let Some(place) = (handle & 0x3fff).checked_sub(1) else { return false };
    let mut pools = POOLS.write().unwrap_or_else(PoisonError::into_inner);
    let Some(entry) = pools.get_mut(place) else { return false };
    let removed = entry.pool.take_if(|pool| pool.handle() == handle);
    drop(pools);
    // Unmapping is done outside the lock; a call that is in the pool right now keeps it until it leaves.
    removed.is_some()
}

/// Gives a block back. False when the ticket is no longer good: given back already, or its pool is gone.
pub fn free(ticket: Ticket) -> bool {
    by_place(usize::from(ticket.pool)).is_some_and(|pool| pool.give_back(ticket))
}

impl Pool {
    /// Hands out the smallest free block of at least `length` bytes.
    ///
    /// Fails with EINVAL when no block is that large (or `length` is 0), ENOMEM when all are out.
    pub fn take(&self, length: usize) -> Result<Block, Errno> {
        let first = SIZES.iter().position(|size| length > 0 && length <= *size).ok_or(Errno::EINVAL)?;
        let last = if self.flags.smallest_only { first } else { SIZES.len() - 1 };
        (first..=last).find_map(|index| self.take_from(index)).ok_or(Errno::ENOMEM)
    }

    /// A line per slab, between two rules.
    pub fn describe(&self) -> String {
        let mut text = format!("{}\n", "-".repeat(48));
        for (index, slab) in self.slabs.iter().enumerate() {
            let slab = locked(slab);
            let (out, there) = (slab.blocks.out(), slab.blocks.there());
            let size = slab.size;
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "pool:{:#x} - slab[{index}]: size:{size}, used:{out}, alloced:{there}, max_alloc:{MOST}",
                self.handle()
            );
        }
        text + &"-".repeat(48)
    }

    fn take_from(&self, index: usize) -> Option<Block> {
        let mut slab = locked(self.slabs.get(index)?);
        let (number, turn) = match slab.blocks.take() {
            Some(taken) => taken,
            None => {
                self.tell(slab.grow(self.wish)?);
                slab.blocks.take()?
            }
        };
        let ticket = Ticket { pool: self.place as u16, pool_turn: self.turn, slab: index as u8, block: number, turn };
        Some(Block { start: slab.address(number)?, ticket, registered: self.flags.register })
    }

    fn give_back(&self, ticket: Ticket) -> bool {
        let Some(slab) = self.slabs.get(usize::from(ticket.slab)) else { return false };
        self.turn == ticket.pool_turn && locked(slab).blocks.give_back(ticket.block, ticket.turn)
    }

    /// A wish that was not fulfilled is worth one record, not one per mapping.
    fn tell(&self, unfulfilled: Option<String>) {
        if let Some(why) = unfulfilled
            && !self.told.swap(true, Ordering::Relaxed)
        {
            crate::log!(Level::Info, "MEMPOOL", "{why}");
        }
    }

    fn handle(&self) -> usize {
        (self.place + 1) | (self.turn as usize) << 14
    }
}

/// All blocks of one size.
#[derive(Debug)]
struct Slab {
    size: usize,
    blocks: Blocks,
    /// Each mapping with the number of its first block, in rising order.
    regions: Vec<(u32, Region)>,
}

impl Slab {
    fn new(size: usize) -> Slab {
        Slab { size, blocks: Blocks::new(MOST), regions: Vec::new() }
    }

    /// Maps more blocks: 128, or as many as there is still address space for. `None` when there is none, or no more
    /// blocks are allowed; inside, why a wish was not fulfilled.
    fn grow(&mut self, wish: Wish) -> Option<Option<String>> {
        let mut count = self.blocks.room().min(AT_ONCE);
        while count > 0 {
            if let Ok((region, unfulfilled)) = Region::map(count as usize * self.size, wish) {
                self.regions.push((self.blocks.there(), region));
                self.blocks.grow(count);
                return Some(unfulfilled);
            }
            count /= 2;
        }
        None
    }

    fn address(&self, number: u32) -> Option<NonNull<u8>> {
        let at = self.regions.partition_point(|(first, _)| *first <= number).checked_sub(1)?;
        let (first, region) = self.regions.get(at)?;
        Some(region.at((number - first) as usize * self.size))
    }
}

/// A place for a pool; its turn tells the pools apart that were there one after the other.
struct Entry {
    pool: Option<Arc<Pool>>,
    turn: u32,
}

fn by_place(place: usize) -> Option<Arc<Pool>> {
    POOLS.read().unwrap_or_else(PoisonError::into_inner).get(place)?.pool.clone()
}

fn locked(slab: &Mutex<Slab>) -> MutexGuard<'_, Slab> {
    slab.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of a NUMA node a caller named; −1 is the one he runs on.
fn node(id: i32) -> Result<u32, Errno> {
    match u32::try_from(id) {
        Ok(number) if node::exists(number) => Ok(number),
        Err(_) if id == -1 => Ok(node::current()),
        _ => Err(Errno::EINVAL),
    }
}

static POOLS: RwLock<Vec<Entry>> = RwLock::new(Vec::new());

/// The sizes of the blocks in bytes, smallest first.
const SIZES: [usize; 4] = [16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// How many blocks are mapped at once.
const AT_ONCE: u32 = 128;
/// Most blocks of one size.
const MOST: u32 = 24576;
const _: () = assert!(MOST <= MOST_BLOCKS);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn pool(bits: u32) -> (usize, Arc<Pool>) {
        let handle = create(-1, Flags::from_bits(bits)).unwrap();
        (handle, lookup(handle).unwrap())
    }

    #[test]
    fn blocks_do_not_overlap_and_fit_their_length() {
        let (handle, pool) = pool(0);
        let mut starts = HashSet::new();
        for length in [1, 16384, 16385, 65536, 65537, 1 << 20] {
            let block = pool.take(length).unwrap();
            // SAFETY: the block has at least `length` bytes and is ours.
            unsafe { block.start.write_bytes(0xa5, length) };
            assert!(starts.insert(block.start));
        }
        assert_eq!(pool.take(0).unwrap_err(), Errno::EINVAL);
        assert_eq!(pool.take((1 << 20) + 1).unwrap_err(), Errno::EINVAL);
        assert!(destroy(handle));
    }

    #[test]
    fn a_pool_that_is_gone_is_noticed() {
        let (handle, pool) = pool(0);
        let block = pool.take(100).unwrap();
        drop(pool);
        assert!(destroy(handle));
        assert!(!destroy(handle));
        assert!(lookup(handle).is_none());
        assert!(!free(block.ticket));
    }

    #[test]
    fn a_size_that_is_used_up_borrows_from_the_next_one_unless_forbidden() {
        let (handle, generous) = pool(0);
        let (other_handle, strict) = pool(0x10);
        for pool in [&generous, &strict] {
            let mut slab = locked(&pool.slabs[0]);
            slab.blocks = Blocks::new(0);
        }
        assert_eq!(generous.take(1).unwrap().ticket.slab, 1);
        assert_eq!(strict.take(1).unwrap_err(), Errno::ENOMEM);
        destroy(handle);
        destroy(other_handle);
    }

    #[test]
    fn flags_that_cannot_be_honoured_do_not_fail() {
        // The demo's flags and node: huge pages, and an id that is no node at all.
        let handle = create(0x12, Flags::from_bits(0x02)).unwrap();
        assert!(lookup(handle).unwrap().take(1 << 20).is_ok());
        destroy(handle);
        assert_eq!(create(999, Flags::from_bits(0x04)).unwrap_err(), Errno::EINVAL);
        let (handle, pool) = pool(0x04);
        assert!(pool.take(1).is_ok());
        destroy(handle);
    }

    #[test]
    fn the_description_has_a_line_per_size() {
        let (handle, pool) = pool(0);
        let block = pool.take(1).unwrap();
        let text = pool.describe();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6);
        assert_eq!(lines[0], "-".repeat(48));
        assert!(lines[1].ends_with("slab[0]: size:16384, used:1, alloced:128, max_alloc:24576"), "{text}");
        assert!(free(block.ticket));
        assert!(pool.describe().contains("slab[0]: size:16384, used:0, alloced:128"));
        destroy(handle);
    }

    #[test]
    fn many_threads_share_a_pool() {
        let (handle, pool) = pool(0);
        std::thread::scope(|scope| {
            for mark in 0..4u8 {
                let pool = &pool;
                scope.spawn(move || {
                    for _ in 0..500 {
                        let block = pool.take(16384).unwrap();
                        // SAFETY: the block is this thread's until it is given back.
                        unsafe { block.start.write(mark) };
                        std::thread::yield_now();
                        // SAFETY: as above.
                        assert_eq!(unsafe { block.start.read() }, mark);
                        assert!(free(block.ticket));
                    }
                });
            }
        });
        assert!(pool.describe().contains("slab[0]: size:16384, used:0"));
        destroy(handle);
    }
}
