//! The calling thread's caches of small blocks, one set for each pool it uses.
//!
//! They make `get` and `put` a matter of a few instructions: the set used last is found without a lookup, and is good as long
//! as no pool has been destroyed since. What a thread has cached goes back to the pool when the thread ends.

use super::arena::{CLASSES, class_for};
use super::pool::{Pool, destroyed, lookup};
use super::tray::Tray;
use nix::errno::Errno;
use std::cell::{Cell, RefCell};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::Arc;

/// A block of at least `length` bytes from the pool with this handle, if one is at hand.
#[inline(always)]
pub fn at_hand(handle: usize, length: usize) -> Option<NonNull<u8>> {
    let class = class_for(length)?;
    hot(handle)?.trays.get(class)?.take()
}

/// Takes a block back that is the pool's, if there is room at hand and it is small.
#[inline(always)]
pub fn keep_at_hand(handle: usize, block: NonNull<u8>) -> bool {
    hot(handle).is_some_and(|local| local.tray_of(block).is_some_and(|tray| tray.keep(block)))
}

/// A block of at least `length` bytes from the pool with this handle.
///
/// Fails with EINVAL when there is no such pool or no block is that large (or `length` is 0), ENOMEM when all are out.
pub fn get(handle: usize, length: usize) -> Result<NonNull<u8>, Errno> {
    with_local(handle, |local| local.get(length))
}

/// Takes a block back.
///
/// Fails with EINVAL when there is no such pool, when the address is not that of a block of it, and (for blocks of
/// the slabs) when it is not out.
pub fn put(handle: usize, block: NonNull<u8>) -> Result<(), Errno> {
    with_local(handle, |local| local.put(block))
}

/// Fills `out` with blocks of at least `length` bytes, or with nulls when it fails as [`get`] does.
pub fn get_many(handle: usize, length: usize, out: &mut [*mut u8]) -> Result<(), Errno> {
    with_local(handle, |local| local.get_many(length, out))
}

/// Takes blocks back, of any sizes. Fails with EINVAL when one of them is not the pool's; the others are taken back.
pub fn put_many(handle: usize, blocks: &[*mut u8]) -> Result<(), Errno> {
    with_local(handle, |local| {
        let mut outcome = Ok(());
        for block in blocks.iter().filter_map(|block| NonNull::new(*block)) {
            outcome = outcome.and(local.put(block));
        }
        outcome
    })
}

struct Local {
    handle: usize,
    /// As [`destroyed`] was when the pool was last seen to be there.
    seen: Cell<usize>,
    /// Where the small blocks begin, and the bits of an offset inside a class.
    first: usize,
    shift: u32,
    trays: [Arc<Tray>; CLASSES],
    pool: Arc<Pool>,
}

impl Local {
    fn new(handle: usize) -> Result<Local, Errno> {
        let seen = Cell::new(destroyed());
        let pool = lookup(handle).ok_or(Errno::EINVAL)?;
        let small = pool.small()?;
        let trays = small.shelves.each_ref().map(Tray::new);
        let (first, shift) = (small.arena.first(), small.arena.shift);
        Ok(Local { handle, seen, first, shift, trays, pool })
    }

    /// The tray for this block: nothing else is at its address, if it is anything at all.
    #[inline(always)]
    fn tray_of(&self, block: NonNull<u8>) -> Option<&Tray> {
        let address = block.as_ptr().addr();
        let tray = self.trays.get(address.wrapping_sub(self.first) >> self.shift)?;
        (address & tray.hand.mask as usize == 0).then_some(tray)
    }

    fn get(&self, length: usize) -> Result<NonNull<u8>, Errno> {
        match self.fitting(length).iter().find_map(|tray| tray.get().ok()) {
            Some(block) => Ok(block),
            None if self.is_enough(length) => Err(Errno::ENOMEM),
            None => self.pool.take(length).map(|block| block.start),
        }
    }

    fn get_many(&self, length: usize, out: &mut [*mut u8]) -> Result<(), Errno> {
        if self.fitting(length).first().is_some_and(|tray| tray.get_many(out).is_ok()) {
            return Ok(());
        }
        // Not all of one class then.
        for place in 0..out.len() {
            match (self.get(length), out.get_mut(place)) {
                (Ok(block), Some(out)) => *out = block.as_ptr(),
                (outcome, _) => {
                    let taken = out.iter_mut().take(place).map(|out| std::mem::replace(out, ptr::null_mut()));
                    taken.filter_map(NonNull::new).for_each(|block| _ = self.put(block));
                    outcome?;
                }
            }
        }
        Ok(())
    }

    fn put(&self, block: NonNull<u8>) -> Result<(), Errno> {
        let is_ours = |tray: &&Tray| tray.is_block(block);
        match self.tray_of(block).filter(is_ours) {
            Some(tray) => tray.put(block),
            None if self.pool.give_back_at(block.as_ptr().addr()) => {}
            None => return Err(Errno::EINVAL),
        }
        Ok(())
    }

    /// The trays whose blocks may be used for `length` bytes, the smallest first.
    fn fitting(&self, length: usize) -> &[Arc<Tray>] {
        let Some(class) = class_for(length) else { return &[] };
        let end = if self.pool.flags.smallest_only { class + 1 } else { CLASSES };
        self.trays.get(class..end).unwrap_or_default()
    }

    /// Whether no larger block than that of the class may be taken.
    fn is_enough(&self, length: usize) -> bool {
        self.pool.flags.smallest_only && class_for(length).is_some()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.trays.iter().for_each(Tray::retire);
    }
}

/// The set that was used last, if it is this pool's and the pool is there.
#[inline(always)]
fn hot<'a>(handle: usize) -> Option<&'a Local> {
    // SAFETY: null, or a set in this thread's list: whatever takes one off the list clears this first.
    let local = unsafe { HOT.get().as_ref() }?;
    (local.handle == handle && local.seen.get() == destroyed()).then_some(local)
}

/// Runs `call` with this thread's set for the pool. A thread that is ending makes one for this call alone.
fn with_local<T>(handle: usize, call: impl FnOnce(&Local) -> Result<T, Errno>) -> Result<T, Errno> {
    match SETS.try_with(|sets| found(sets, handle)) {
        Ok(local) => call(&*local?),
        Err(_) => call(&Local::new(handle)?),
    }
}

fn found(sets: &Sets, handle: usize) -> Result<Rc<Local>, Errno> {
    let mut list = sets.0.borrow_mut();
    let now = destroyed();
    if list.iter().any(|local| local.seen.get() != now) {
        HOT.set(ptr::null());
        list.retain(|local| lookup(local.handle).is_some_and(|pool| Arc::ptr_eq(&pool, &local.pool)));
        list.iter().for_each(|local| local.seen.set(now));
    }
    let local = match list.iter().find(|local| local.handle == handle) {
        Some(local) => Rc::clone(local),
        None => {
            let local = Rc::new(Local::new(handle)?);
            list.push(Rc::clone(&local));
            local
        }
    };
    HOT.set(Rc::as_ptr(&local));
    Ok(local)
}

/// All sets of a thread; dropped when it ends.
struct Sets(RefCell<Vec<Rc<Local>>>);

impl Drop for Sets {
    fn drop(&mut self) {
        HOT.set(ptr::null());
    }
}

thread_local! {
    // Two of them, because one that has something to drop costs a look at its state each time.
    static HOT: Cell<*const Local> = const { Cell::new(ptr::null()) };
    static SETS: Sets = const { Sets(RefCell::new(Vec::new())) };
}
