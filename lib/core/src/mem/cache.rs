//! A cache of one block size that its user holds himself: no lookup of the thread or the pool stands before a block.

use super::arena::class_for;
use super::pool::Pool;
use super::tray::{Hand, Tray};
use nix::errno::Errno;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;

/// Free blocks of one size, for one thread at a time. What is in it goes back to the pool when it is dropped.
///
/// It does not keep the pool from being destroyed; it is empty from then on.
#[derive(Debug)]
pub struct Cache {
    tray: Arc<Tray>,
    one_thread: PhantomData<Cell<u8>>,
}

impl Pool {
    /// A cache of blocks of at least `length` bytes, at most 8 KiB. Fails with EINVAL for other lengths, ENOMEM.
    pub fn cache(&self, length: usize) -> Result<Cache, Errno> {
        let class = class_for(length).ok_or(Errno::EINVAL)?;
        let shelf = self.small()?.shelves.get(class).ok_or(Errno::EINVAL)?;
        Ok(Cache { tray: Tray::new(shelf), one_thread: PhantomData })
    }
}

impl Cache {
    /// A block. Fails with ENOMEM when the class is used up, EINVAL when the pool is gone.
    pub fn get(&self) -> Result<NonNull<u8>, Errno> {
        self.tray.get()
    }

    /// Takes a block back, from whichever cache or thread it came. What is not a block of this size and pool is refused.
    pub fn put(&self, block: NonNull<u8>) -> bool {
        let is_ours = self.tray.is_block(block);
        if is_ours {
            self.tray.put(block);
        }
        is_ours
    }

    /// Fills `out` with blocks, or with nulls when it fails as [`Cache::get`] does.
    pub fn get_many(&self, out: &mut [*mut u8]) -> Result<(), Errno> {
        self.tray.get_many(out)
    }

    /// Takes blocks back. False when one of them is not of this size and pool: then all stay with the caller.
    pub fn put_many(&self, blocks: &[*mut u8]) -> bool {
        let are_ours = blocks.iter().all(|block| NonNull::new(*block).is_some_and(|block| self.tray.is_block(block)));
        if are_ours {
            self.tray.put_many(blocks);
        }
        are_ours
    }

    /// Gives the cache out of the hands of Rust; [`Cache::from_raw`] takes it back.
    pub fn into_raw(self) -> NonNull<Hand> {
        // Nothing is dropped, so the pointer keeps our share of the tray.
        let tray = Arc::as_ptr(&self.tray).cast_mut().cast();
        std::mem::forget(self);
        // SAFETY: an Arc's address is never null.
        unsafe { NonNull::new_unchecked(tray) }
    }

    /// Takes back what [`Cache::into_raw`] gave out.
    ///
    /// # Safety
    /// `hand` came from `into_raw`, is not taken back twice, and nobody else is in it.
    pub unsafe fn from_raw(hand: NonNull<Hand>) -> Cache {
        // SAFETY: the caller says that it came from `Arc::into_raw` above; a hand is the first field of its tray.
        let tray = unsafe { Arc::from_raw(hand.as_ptr().cast::<Tray>()) };
        Cache { tray, one_thread: PhantomData }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.tray.retire();
    }
}
