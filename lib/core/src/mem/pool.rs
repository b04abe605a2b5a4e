//! Pools of blocks, callable from any thread.
//!
//! C holds handles and tickets, not addresses of ours: both are looked up here, so one that outlived its pool finds
//! nobody. Blocks of 16 KiB and more come from slabs, under a lock each; smaller ones from the shelves (see
//! [`super::local`]). Neither gives memory back before the pool is destroyed; untouched blocks occupy none.

use super::arena::{Arena, CLASSES};
use super::blocks::{MOST_POOLS, POOL_TURNS, Ticket};
use super::region::Wish;
use super::shelf::Shelf;
use super::slab::{PLANS, Slab, SlabPlan};
use super::source::Source;
use super::statistics::SlabStatistics;
use crate::sys::node;
use nix::errno::Errno;
use std::cell::Cell;
use std::fmt::Write;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

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
    /// In the order in which they were added: a ticket names a place here.
    slabs: [OnceLock<Mutex<Slab>>; MOST_SLABS],
    /// Size and place of each slab, the smallest first.
    order: RwLock<Vec<(usize, usize)>>,
    small: OnceLock<Small>,
    pub(super) flags: Flags,
    source: Arc<Source>,
    place: usize,
    turn: u32,
}

/// The classes below the slabs; made when the first of them is asked for.
#[derive(Debug)]
pub(super) struct Small {
    pub arena: Arc<Arena>,
    pub shelves: [Arc<Shelf>; CLASSES],
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
        pools.push(Entry { pool: None, turn: 0, owner: 0 });
    }
    let entry = pools.get_mut(place).ok_or(Errno::ENOMEM)?;
    entry.owner = OWNER.get();
    entry.turn = entry.turn.wrapping_add(1) & POOL_TURNS as u32;
    let pool = Pool::new(flags, wish, place, entry.turn);
    for plan in PLANS {
        pool.add_slab(plan)?;
    }
    let handle = pool.handle();
    entry.pool = Some(Arc::new(pool));
    Ok(handle)
}

/// The pool with this handle; `None` when it was destroyed or never existed.
pub fn lookup(handle: usize) -> Option<Arc<Pool>> {
    let place = (handle & 0x3fff).checked_sub(1)?;
    by_place(place).filter(|pool| pool.handle() == handle)
}

/// Pools that this thread makes from now on belong to `owner`, whatever that stands for; 0 is nobody. Gives the one before.
pub fn set_owner(owner: u32) -> u32 {
    OWNER.replace(owner)
}

/// How many bytes the pools of `owner` have for their blocks.
pub fn owned(owner: u32) -> u64 {
    let pools: Vec<Arc<Pool>> = {
        let pools = POOLS.read().unwrap_or_else(PoisonError::into_inner);
        pools.iter().filter(|entry| entry.owner == owner).filter_map(|entry| entry.pool.clone()).collect()
    };
    let bytes =
        |pool: &Arc<Pool>| pool.statistics().iter().map(|size| size.block as u64 * size.allocated as u64).sum::<u64>();
    pools.iter().map(bytes).sum()
}

/// Unmaps every block of the pool, also those that are out. False when there is no such pool.
pub fn destroy(handle: usize) -> bool {
    let Some(place) = (handle & 0x3fff).checked_sub(1) else { return false };
    let mut pools = POOLS.write().unwrap_or_else(PoisonError::into_inner);
    let Some(entry) = pools.get_mut(place) else { return false };
    let removed = entry.pool.take_if(|pool| pool.handle() == handle);
    drop(pools);
    // Unmapping is done outside the lock.
    let Some(pool) = removed else { return false };
    DESTROYED.fetch_add(1, Ordering::Release);
    pool.close();
    true
}

/// How many pools were destroyed so far: what a thread remembers of a pool is good while this stays the same.
#[inline(always)]
pub(super) fn destroyed() -> usize {
    DESTROYED.load(Ordering::Acquire)
}

/// Gives a block back. False when the ticket is no longer good: given back already, or its pool is gone.
pub fn free(ticket: Ticket) -> bool {
    by_place(usize::from(ticket.pool)).is_some_and(|pool| pool.give_back(ticket))
}

impl Pool {
    fn new(flags: Flags, wish: Wish, place: usize, turn: u32) -> Pool {
        let slabs = std::array::from_fn(|_| OnceLock::new());
        let (order, small, source) = (RwLock::new(Vec::new()), OnceLock::new(), Arc::new(Source::new(wish)));
        Pool { slabs, order, small, flags, source, place, turn }
    }

    /// Adds a slab, and the blocks it is to have from the beginning.
    ///
    /// Fails with EEXIST when there is one of that size, EINVAL for a plan that makes no sense, ENOMEM when there is no
    /// memory or the pool has six slabs.
    pub fn add_slab(&self, plan: SlabPlan) -> Result<(), Errno> {
        let mut slab = Slab::new(plan)?;
        let mut order = self.order.write().unwrap_or_else(PoisonError::into_inner);
        if order.iter().any(|(size, _)| *size == plan.block) {
            return Err(Errno::EEXIST);
        }
        let place = order.len();
        let free = self.slabs.get(place).ok_or(Errno::ENOMEM)?;
        slab.stock(plan.least, &self.source)?;
        free.set(Mutex::new(slab)).map_err(|_| Errno::ENOMEM)?;
        let at = order.partition_point(|(size, _)| *size < plan.block);
        order.insert(at, (plan.block, place));
        Ok(())
    }

    /// Hands out the smallest free block of at least `length` bytes from the slabs.
    ///
    /// Fails with EINVAL when no block is that large (or `length` is 0), ENOMEM when all are out.
    pub fn take(&self, length: usize) -> Result<Block, Errno> {
        let order = self.order.read().unwrap_or_else(PoisonError::into_inner);
        let first = order.partition_point(|(size, _)| *size < length);
        let fitting = order.get(first..).filter(|fitting| length > 0 && !fitting.is_empty()).ok_or(Errno::EINVAL)?;
        let tried = if self.flags.smallest_only { 1 } else { fitting.len() };
        fitting.iter().take(tried).find_map(|(_, place)| self.take_from(*place)).ok_or(Errno::ENOMEM)
    }

    /// The figures of every size: the small classes, then the slabs, each with the smallest first.
    pub fn statistics(&self) -> Vec<SlabStatistics> {
        let unused = (0..CLASSES).map(Shelf::unused);
        let small: Vec<SlabStatistics> = match self.small.get() {
            Some(small) => small.shelves.iter().map(|shelf| shelf.statistics()).collect(),
            None => unused.collect(),
        };
        let order = self.order.read().unwrap_or_else(PoisonError::into_inner);
        let slabs = order.iter().filter_map(|(_, place)| Some(locked(self.slabs.get(*place)?.get()?).statistics()));
        small.into_iter().chain(slabs).collect()
    }

    /// A line per slab between two rules, and below them one for each small class that is in use.
    pub fn describe(&self) -> String {
        let rule = "-".repeat(48);
        let (small, slabs): (Vec<_>, Vec<_>) = self.statistics().into_iter().partition(|one| one.small);
        let mut text = format!("{rule}\n");
        for (index, one) in slabs.iter().chain(small.iter().filter(|one| one.allocated > 0)).enumerate() {
            let SlabStatistics { block, used, allocated, most, cached, .. } = *one;
            let cached = if one.small { format!(", cached:{cached}") } else { String::new() };
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "pool:{:#x} - slab[{index}]: size:{block}, used:{used}, alloced:{allocated}, max_alloc:{most}{cached}",
                self.handle()
            );
        }
        text + &rule
    }

    /// The small classes. Fails with ENOMEM when there are no addresses for them.
    pub(super) fn small(&self) -> Result<&Small, Errno> {
        if let Some(small) = self.small.get() {
            return Ok(small);
        }
        let arena = Arc::new(Arena::new()?);
        let shelf = |class| Arc::new(Shelf::new(class, Arc::clone(&arena), Arc::clone(&self.source)));
        let shelves = std::array::from_fn(shelf);
        // Another thread may have been faster: then ours is unmapped again.
        Ok(self.small.get_or_init(|| Small { arena, shelves }))
    }

    /// Gives the slab's block back that begins at `address`. False when there is none, or it is not out.
    pub(super) fn give_back_at(&self, address: usize) -> bool {
        let slabs = self.slabs.iter().filter_map(OnceLock::get);
        slabs.filter_map(|slab| locked(slab).give_back_at(address)).any(|was_out| was_out)
    }

    /// Unmaps everything. Threads that have used the pool keep what describes it until they notice.
    fn close(&self) {
        self.slabs.iter().filter_map(OnceLock::get).for_each(|slab| locked(slab).close());
        if let Some(small) = self.small.get() {
            small.shelves.iter().for_each(|shelf| shelf.close());
            small.arena.close();
        }
    }

    fn take_from(&self, place: usize) -> Option<Block> {
        let (start, block, turn) = locked(self.slabs.get(place)?.get()?).take(&self.source)?;
        let ticket = Ticket { pool: self.place as u16, pool_turn: self.turn, slab: place as u8, block, turn };
        Some(Block { start, ticket, registered: self.flags.register })
    }

    fn give_back(&self, ticket: Ticket) -> bool {
        let Some(slab) = self.slabs.get(usize::from(ticket.slab)).and_then(OnceLock::get) else { return false };
        self.turn == ticket.pool_turn && locked(slab).give_back(ticket.block, ticket.turn)
    }

    pub(super) fn handle(&self) -> usize {
        (self.place + 1) | (self.turn as usize) << 14
    }
}

/// A place for a pool; its turn tells the pools apart that were there one after the other.
struct Entry {
    pool: Option<Arc<Pool>>,
    turn: u32,
    /// Of the thread that made it.
    owner: u32,
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
static DESTROYED: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OWNER: Cell<u32> = const { Cell::new(0) };
}

/// Most slabs of a pool.
const MOST_SLABS: usize = 6;

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
            let all: Vec<Block> = (0..24576).map(|_| pool.take(1).unwrap()).collect();
            assert!(all.iter().all(|block| block.ticket.slab == 0));
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
    fn slabs_of_ones_own_are_used_by_size() {
        let (handle, pool) = pool(0x10);
        let plan = SlabPlan { block: 3000, least: 2, most: 3, quantum: 1, align: 8 };
        pool.add_slab(plan).unwrap();
        assert_eq!(pool.add_slab(plan).unwrap_err(), Errno::EEXIST);
        assert_eq!(pool.add_slab(SlabPlan { align: 3, ..plan }).unwrap_err(), Errno::EINVAL);
        pool.add_slab(SlabPlan { block: 2 << 20, ..plan }).unwrap();
        assert_eq!(pool.add_slab(SlabPlan { block: 3 << 20, ..plan }).unwrap_err(), Errno::ENOMEM);
        let blocks: Vec<Block> = (0..3).map(|_| pool.take(2000).unwrap()).collect();
        assert_eq!(pool.take(2000).unwrap_err(), Errno::ENOMEM);
        assert!(pool.take((1 << 20) + 1).is_ok());
        assert!(free(blocks[1].ticket) && !free(blocks[1].ticket));
        let sizes: Vec<usize> = pool.statistics().iter().filter(|one| !one.small).map(|one| one.block).collect();
        assert_eq!(sizes, [3000, 16384, 65536, 262144, 1 << 20, 2 << 20]);
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
