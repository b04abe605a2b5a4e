//! The free blocks of one class that one user has at hand.
//!
//! A tray has two magazines: the one it works with, and a spare that is either full or empty. So a user who goes back and
//! forth over the end of one does not go to the depot each time. The first part of a tray is what C programs see as
//! `struct msf_memcache`, and work with themselves.
//!
//! One thread at a time uses a tray. Its numbers are atomics because others read them for the statistics; nobody else writes.

use super::shelf::Shelf;
use nix::errno::Errno;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::Relaxed};

/// What C sees: fields are only ever appended (`struct msf_memcache` of `msf_mempool.h`).
#[repr(C)]
#[derive(Debug)]
pub struct Hand {
    /// The bytes of this struct.
    pub size: u32,
    /// How many blocks are at hand.
    pub count: AtomicU32,
    /// How many there can be before the depot is asked.
    pub room: AtomicU32,
    /// The bytes of a block, less one: no address of a block has one of these bits.
    pub mask: u32,
    /// The blocks, the next one to be used last.
    pub slots: AtomicPtr<AtomicPtr<u8>>,
    /// Where the class begins.
    pub first: usize,
    /// How many bytes it has.
    pub span: usize,
}

#[repr(C)]
#[derive(Debug)]
pub(super) struct Tray {
    pub hand: Hand,
    loaded: AtomicU32,
    spare: AtomicU32,
    spare_count: AtomicU32,
    shelf: Arc<Shelf>,
}

impl Tray {
    /// An empty tray, counted among the shelf's from now on.
    pub fn new(shelf: &Arc<Shelf>) -> Arc<Tray> {
        let hand = Hand {
            size: size_of::<Hand>() as u32,
            count: AtomicU32::new(0),
            room: AtomicU32::new(0),
            mask: shelf.block as u32 - 1,
            slots: AtomicPtr::new(ptr::null_mut()),
            first: shelf.first(),
            span: shelf.span(),
        };
        let [loaded, spare] = [NONE, NONE].map(AtomicU32::new);
        let tray = Arc::new(Tray { hand, loaded, spare, spare_count: AtomicU32::new(0), shelf: Arc::clone(shelf) });
        shelf.enlist(&tray);
        tray
    }

    /// A block, if one is at hand.
    #[inline(always)]
    pub fn take(&self) -> Option<NonNull<u8>> {
        let left = self.hand.count.load(Relaxed).checked_sub(1)?;
        self.hand.count.store(left, Relaxed);
        let slots = self.hand.slots.load(Relaxed);
        // SAFETY: `left` is below the count, which is at most the length of the magazine the slots are of.
        let slot = unsafe { slots.add(left as usize) };
        // SAFETY: as above; magazines live as long as the shelf, which we hold.
        NonNull::new(unsafe { &*slot }.load(Relaxed))
    }

    /// Keeps a block of this class, if there is room at hand.
    #[inline(always)]
    pub fn keep(&self, block: NonNull<u8>) -> bool {
        let count = self.hand.count.load(Relaxed);
        if count >= self.hand.room.load(Relaxed) {
            return false;
        }
        let slots = self.hand.slots.load(Relaxed);
        // SAFETY: `count` is below the room, which is at most the length of the magazine the slots are of.
        let slot = unsafe { slots.add(count as usize) };
        // SAFETY: as above; magazines live as long as the shelf, which we hold.
        unsafe { &*slot }.store(block.as_ptr(), Relaxed);
        self.hand.count.store(count + 1, Relaxed);
        true
    }

    /// A block. Fails with ENOMEM when the class is used up, EINVAL when the pool is gone.
    pub fn get(&self) -> Result<NonNull<u8>, Errno> {
        match self.take() {
            Some(block) => Ok(block),
            None => {
                self.reload()?;
                self.take().ok_or(Errno::ENOMEM)
            }
        }
    }

    /// Takes a block back. It must be of this class; in a pool that is gone it is nobody's.
    pub fn put(&self, block: NonNull<u8>) {
        if !self.keep(block) && self.make_room() {
            self.keep(block);
        }
    }

    /// Whether this is a block of our class, and has been handed out before.
    pub fn is_block(&self, block: NonNull<u8>) -> bool {
        self.shelf.is_block(block.as_ptr().addr())
    }

    /// Fills `out` with blocks, or with nulls when it fails as [`Tray::get`] does.
    pub fn get_many(&self, out: &mut [*mut u8]) -> Result<(), Errno> {
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let count = self.hand.count.load(Relaxed) as usize;
            let some = count.min(rest.len());
            if let Some(slots) = self.slots(count - some..count) {
                for (place, slot) in rest.iter_mut().zip(slots.iter().rev()) {
                    *place = slot.load(Relaxed);
                }
                self.hand.count.store((count - some) as u32, Relaxed);
                filled += some;
            } else if let Err(errno) = self.reload() {
                self.put_many(out.get(..filled).unwrap_or_default());
                out.fill(ptr::null_mut());
                return Err(errno);
            }
        }
        Ok(())
    }

    /// Takes blocks of this class back.
    pub fn put_many(&self, blocks: &[*mut u8]) {
        let mut rest = blocks;
        while !rest.is_empty() {
            let (count, room) = (self.hand.count.load(Relaxed) as usize, self.hand.room.load(Relaxed) as usize);
            let (some, later) = rest.split_at((room - count).min(rest.len()));
            if let Some(slots) = self.slots(count..count + some.len()) {
                for (slot, block) in slots.iter().zip(some) {
                    slot.store(*block, Relaxed);
                }
                self.hand.count.store((count + some.len()) as u32, Relaxed);
                rest = later;
            } else if !self.make_room() {
                return;
            }
        }
    }

    /// Gives everything back to the depot.
    pub fn retire(self: &Arc<Tray>) {
        self.shelf.strike(self);
        let count = self.hand.count.swap(0, Relaxed);
        self.hand.room.store(0, Relaxed);
        for (number, count) in [(&self.loaded, count), (&self.spare, self.spare_count.swap(0, Relaxed))] {
            self.shelf.depot.store(number.swap(NONE, Relaxed), count);
        }
    }

    /// The pool is gone, and every block with it.
    pub fn close(&self) {
        self.hand.room.store(0, Relaxed);
        self.hand.count.store(0, Relaxed);
        self.spare_count.store(0, Relaxed);
        self.loaded.store(CLOSED, Relaxed);
    }

    pub fn at_hand(&self) -> usize {
        self.hand.count.load(Relaxed) as usize + self.spare_count.load(Relaxed) as usize
    }

    /// Part of the magazine we work with; none for an empty part.
    fn slots(&self, part: std::ops::Range<usize>) -> Option<&[AtomicPtr<u8>]> {
        let magazine = self.shelf.depot.magazine(self.loaded.load(Relaxed))?;
        magazine.slots.get(part).filter(|part| !part.is_empty())
    }

    /// Nothing is at hand: goes on with the spare, with a magazine of the depot, or with new blocks.
    #[cold]
    fn reload(&self) -> Result<(), Errno> {
        let loaded = self.loaded.load(Relaxed);
        if loaded == CLOSED {
            return Err(Errno::EINVAL);
        }
        let spare_count = self.spare_count.swap(0, Relaxed);
        if spare_count > 0 {
            self.load(self.spare.swap(loaded, Relaxed), spare_count);
            return Ok(());
        }
        self.shelf.count_refill();
        if let Some((number, count)) = self.shelf.depot.filled() {
            self.shelf.depot.store(loaded, 0);
            self.load(number, count);
            return Ok(());
        }
        if loaded == NONE {
            self.load(self.shelf.depot.empty().ok_or(Errno::ENOMEM)?, 0);
        }
        let number = self.loaded.load(Relaxed);
        let magazine = self.shelf.depot.magazine(number).ok_or(Errno::ENOMEM)?;
        self.load(number, self.shelf.fill(magazine)?);
        Ok(())
    }

    /// Everything at hand is full: goes on with an empty magazine. False when the pool is gone.
    #[cold]
    fn make_room(&self) -> bool {
        let loaded = self.loaded.load(Relaxed);
        if loaded == CLOSED {
            return false;
        }
        let spare_count = self.spare_count.load(Relaxed);
        let spare = self.spare.load(Relaxed);
        let next = if loaded != NONE && spare != NONE && spare_count == 0 {
            spare
        } else {
            let Some(empty) = self.shelf.depot.empty() else { return false };
            if loaded != NONE {
                self.shelf.depot.store(spare, spare_count);
            }
            empty
        };
        if loaded != NONE {
            self.spare.store(loaded, Relaxed);
            self.spare_count.store(self.hand.count.load(Relaxed), Relaxed);
        }
        self.load(next, 0);
        true
    }

    fn load(&self, number: u32, count: u32) {
        let Some(magazine) = self.shelf.depot.magazine(number) else { return };
        self.loaded.store(number, Relaxed);
        self.hand.slots.store(magazine.slots.as_ptr().cast_mut(), Relaxed);
        self.hand.room.store(magazine.slots.len() as u32, Relaxed);
        self.hand.count.store(count, Relaxed);
    }
}

/// No magazine yet. The depot knows none of this number and takes none in.
const NONE: u32 = u32::MAX;
/// No magazine any more.
const CLOSED: u32 = u32::MAX - 1;
