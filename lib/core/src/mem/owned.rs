//! Pools as Rust programs use them: owned, with blocks that go back by themselves.

use super::local;
use super::pool::{Flags, Pool, create, destroy, lookup};
use super::slab::SlabPlan;
use super::statistics::SlabStatistics;
use nix::errno::Errno;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

/// A pool of blocks from 32 B to 1 MiB, shared by all threads that have it; its memory is unmapped when it is dropped.
///
/// ```
/// use msf_core::mem::{Flags, OwnedPool};
///
/// let pool = OwnedPool::new(Flags { huge: true, ..Flags::default() }, None)?;
/// let mut packet = pool.get(1500)?;
/// packet[..5].copy_from_slice(b"hello");
/// std::thread::scope(|scope| {
///     // Another thread may drop it; the block comes back all the same.
///     scope.spawn(move || assert_eq!(&packet[..5], b"hello"));
/// });
/// assert!(pool.statistics().iter().all(|one| one.used == 0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct OwnedPool {
    pool: Arc<Pool>,
    handle: usize,
}

impl OwnedPool {
    /// A pool with slabs of 16 KiB, 64 KiB, 256 KiB and 1 MiB. `node` counts with [`Flags::numa`]; `None` is the node that runs
    /// this thread.
    ///
    /// Fails with EINVAL when there is no such node, ENOMEM when there are too many pools.
    pub fn new(flags: Flags, node: Option<u32>) -> io::Result<OwnedPool> {
        let node = node.map_or(Ok(-1), i32::try_from).map_err(|_| Errno::EINVAL)?;
        let handle = create(node, flags)?;
        let pool = lookup(handle).ok_or(Errno::ENOMEM)?;
        Ok(OwnedPool { pool, handle })
    }

    /// Adds a slab of another size; there may be six.
    ///
    /// Fails with EEXIST when there is one of that size, EINVAL for a plan that makes no sense, ENOMEM.
    pub fn add_slab(&self, plan: SlabPlan) -> io::Result<()> {
        Ok(self.pool.add_slab(plan)?)
    }

    /// A block of at least `length` bytes, shown as exactly that many. What is in it is what its last user left.
    ///
    /// Fails with EINVAL when no block is that large (or `length` is 0), ENOMEM when all are out.
    pub fn get(&self, length: usize) -> io::Result<Chunk<'_>> {
        let start = match local::at_hand(self.handle, length) {
            Some(start) => start,
            None => local::get(self.handle, length)?,
        };
        Ok(Chunk { start, length, pool: self })
    }

    /// The figures of every size: the small classes, then the slabs, each with the smallest first.
    pub fn statistics(&self) -> Vec<SlabStatistics> {
        self.pool.statistics()
    }
}

impl Drop for OwnedPool {
    fn drop(&mut self) {
        destroy(self.handle);
    }
}

/// A block of a pool; goes back to it when dropped, on whichever thread that is.
#[derive(Debug)]
pub struct Chunk<'a> {
    start: NonNull<u8>,
    length: usize,
    pool: &'a OwnedPool,
}

// SAFETY: a chunk is its owner's alone, and the pool takes blocks back on any thread.
unsafe impl Send for Chunk<'_> {}
// SAFETY: a shared chunk can only be read.
unsafe impl Sync for Chunk<'_> {}

impl Deref for Chunk<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the block has at least `length` bytes, zeroed by the system once, and the pool outlives us.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl DerefMut for Chunk<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and the block is ours alone.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Chunk<'_> {
    fn drop(&mut self) {
        if !local::keep_at_hand(self.pool.handle, self.start) {
            // It is a block of this pool and out, so it is taken.
            let _ = local::put(self.pool.handle, self.start);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn pool() -> OwnedPool {
        OwnedPool::new(Flags::default(), None).unwrap()
    }

    fn figures(pool: &OwnedPool, block: usize) -> SlabStatistics {
        *pool.statistics().iter().find(|one| one.block == block).unwrap()
    }

    #[test]
    fn blocks_of_every_size_are_apart_and_aligned() {
        let pool = pool();
        let mut chunks: Vec<Chunk> = Vec::new();
        for length in [1, 31, 32, 33, 100, 1000, 1024, 5000, 8192, 8193, 100_000, 1 << 20] {
            for _ in 0..100.min((4 << 20) / length) {
                let mut chunk = pool.get(length).unwrap();
                let align = length.next_power_of_two().clamp(32, 4096);
                assert_eq!(chunk.start.as_ptr().addr() % align, 0, "{length}");
                chunk.fill(length as u8);
                chunks.push(chunk);
            }
        }
        assert!(chunks.iter().all(|chunk| chunk.iter().all(|byte| *byte == chunk.len() as u8)));
        let starts: HashSet<_> = chunks.iter().map(|chunk| chunk.start).collect();
        assert_eq!(starts.len(), chunks.len());
        drop(chunks);
        assert!(pool.statistics().iter().all(|one| one.used == 0));
        assert_eq!(pool.get(0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(pool.get((1 << 20) + 1).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn a_thread_that_ends_leaves_nothing_behind() {
        let pool = pool();
        for _ in 0..20 {
            std::thread::scope(|scope| {
                let use_it = || drop((0..100).map(|_| pool.get(64).unwrap()).collect::<Vec<_>>());
                // Joined by hand: a scope does not wait for what a thread does at its very end.
                scope.spawn(use_it).join().unwrap();
            });
        }
        let all = figures(&pool, 64);
        assert_eq!((all.used, all.cached), (0, all.allocated));
        assert!(all.allocated <= 192, "{all:?}");
    }

    #[test]
    fn what_others_free_is_used_again() {
        let pool = pool();
        let (send, receive) = std::sync::mpsc::sync_channel::<Chunk>(64);
        std::thread::scope(|scope| {
            scope.spawn(|| receive.into_iter().for_each(drop));
            for number in 0..50_000u32 {
                let mut chunk = pool.get(200).unwrap();
                chunk[..4].copy_from_slice(&number.to_ne_bytes());
                send.send(chunk).unwrap();
            }
            drop(send);
        });
        let all = figures(&pool, 256);
        assert_eq!(all.used, 0);
        assert!(all.allocated < 1000, "{all:?}");
    }

    #[test]
    fn threads_that_free_what_others_took_never_share_a_block() {
        let pool = pool();
        let bench: std::sync::Mutex<Vec<Chunk>> = std::sync::Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for seed in 1..5u32 {
                let (pool, bench) = (&pool, &bench);
                scope.spawn(move || {
                    let mut state = seed;
                    for _ in 0..10_000 {
                        state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                        let length = 4 + (state >> 16) as usize % 300;
                        let mut chunk = pool.get(length).unwrap();
                        chunk.fill(state as u8);
                        let mut bench = bench.lock().unwrap();
                        bench.push(chunk);
                        let other = (state >> 8) as usize % bench.len();
                        let other = if bench.len() > 500 { bench.swap_remove(other) } else { continue };
                        drop(bench);
                        assert!(other.iter().all(|byte| *byte == other[0]));
                    }
                });
            }
        });
        assert!(bench.lock().unwrap().iter().all(|chunk| chunk.iter().all(|byte| *byte == chunk[0])));
        bench.lock().unwrap().clear();
        drop(bench);
        assert!(pool.statistics().iter().all(|one| one.used == 0), "{:?}", pool.statistics());
    }

    #[test]
    fn a_foreign_address_is_refused() {
        let (ours, theirs) = (pool(), pool());
        for length in [100, 20_000] {
            let (chunk, other) = (ours.get(length).unwrap(), theirs.get(length).unwrap());
            let inside = chunk.start.map_addr(|address| address.saturating_add(8));
            for wrong in [other.start, inside, NonNull::from(&length).cast()] {
                assert_eq!(local::put(ours.handle, wrong), Err(Errno::EINVAL));
                assert!(!local::keep_at_hand(ours.handle, wrong));
            }
        }
        assert_eq!(local::put(4711 << 14 | 5, NonNull::from(&4711).cast()), Err(Errno::EINVAL));
    }

    #[test]
    fn all_of_many_or_none() {
        let pool = pool();
        let mut out = [std::ptr::null_mut(); 300];
        local::get_many(pool.handle, 48, &mut out).unwrap();
        assert_eq!(out.iter().collect::<HashSet<_>>().len(), 300);
        assert_eq!(figures(&pool, 64).used, 300);
        local::put_many(pool.handle, &out).unwrap();
        assert_eq!(figures(&pool, 64).used, 0);
        assert_eq!(local::get_many(pool.handle, 2 << 20, &mut out), Err(Errno::EINVAL));
        local::get_many(pool.handle, 20_000, &mut out).unwrap();
        assert_eq!(figures(&pool, 65536).used, 300);
        local::put_many(pool.handle, &out).unwrap();
        assert_eq!(local::put_many(pool.handle, &out[..1]), Err(Errno::EINVAL));
        assert_eq!(figures(&pool, 65536).used, 0);
    }

    #[test]
    fn a_cache_of_a_destroyed_pool_has_nothing() {
        let handle = create(-1, Flags::default()).unwrap();
        let cache = lookup(handle).unwrap().cache(500).unwrap();
        let block = cache.get().unwrap();
        local::put(handle, local::get(handle, 500).unwrap()).unwrap();
        cache.put(block);
        destroy(handle);
        assert_eq!(cache.get().unwrap_err(), Errno::EINVAL);
        assert_eq!(local::at_hand(handle, 500), None);
        assert_eq!(local::get(handle, 500).unwrap_err(), Errno::EINVAL);
    }
}
