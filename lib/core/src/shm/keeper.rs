//! A thread whose end the kernel announces: how one who sleeps learns that the other side has died.
//!
//! When a thread ends, the kernel goes through the list of words it named (`set_robust_list`), marks those that bear its
//! number and wakes who sleeps on them. A process that has sides of rings has one thread for that, asleep as long as the
//! process lives: whatever kills the one ends the other. No thread of the program will do, because a side is not tied to
//! one, and the C library has a list of its own in each.
//!
//! The kernel looks for each word at the same distance from its link. So the link is in a page of our own, and right
//! behind that the page of the segment with the word is mapped again: the other side reaches the word, never our list. A
//! pair of pages is not unmapped, as the kernel may be walking over it; it serves the next side.
//!
//! Where the kernel has no such lists (an emulator), nobody is watched, and who waits asks from time to time.

use super::handoff::UNWATCHED;
use crate::sys::starting;
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::unistd::{SysconfVar, gettid, sysconf};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// A word that the kernel marks when this process ends, until this is dropped.
#[derive(Debug)]
pub(super) struct Watched {
    keeper: &'static Keeper,
    pair: Pair,
    link: NonNull<Link>,
}

#[derive(Debug)]
struct Keeper {
    process: u32,
    /// Its thread's; [`UNWATCHED`] until there is one.
    number: AtomicU32,
    list: List,
    pairs: Mutex<Pairs>,
}

/// A link of the kernel's list: the address of the next one; the last has the list's.
type Link = AtomicUsize;

/// `struct robust_list_head`.
#[repr(C)]
#[derive(Debug)]
struct List {
    first: Link,
    distance: libc::c_long,
    pending: usize,
}

#[derive(Debug, Default)]
struct Pairs {
    tried: bool,
    used: usize,
    spare: Vec<Pair>,
}

/// Two pages: ours, and one of a segment (or nobody's).
#[derive(Clone, Copy, Debug)]
struct Pair(NonNull<c_void>);

// SAFETY: it is the address of memory that is never unmapped and that no thread is special to.
unsafe impl Send for Pair {}

/// Has the word at byte `offset` of a segment's first page watched. None when that cannot be had.
pub(super) fn watch(segment: BorrowedFd<'_>, offset: usize) -> Option<Watched> {
    let keeper = Keeper::ours();
    let mut pairs = keeper.pairs();
    if !pairs.tried {
        pairs.tried = true;
        // Without a thread its number stays what it is.
        let _ = keeper.hire();
    }
    if keeper.number.load(Ordering::Relaxed) == UNWATCHED || pairs.used >= MOST {
        return None;
    }
    let pair = pairs.spare.pop().map_or_else(Pair::new, Ok).ok()?;
    if pair.show(Some(segment)).is_err() {
        pairs.spare.push(pair);
        return None;
    }
    pairs.used += 1;
    let link = pair.link(offset);
    keeper.list.add(link);
    Some(Watched { keeper, pair, link })
}

impl Watched {
    /// What the word has to bear to be marked.
    pub fn number(&self) -> u32 {
        self.keeper.number.load(Ordering::Relaxed)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // What a child has of its parent's keeper is a copy that nobody walks.
        if self.keeper.process != std::process::id() {
            return;
        }
        let mut pairs = self.keeper.pairs();
        self.keeper.list.remove(self.link);
        pairs.used -= 1;
        // Where the page cannot be taken away it stays until the pair is used again.
        let _ = self.pair.show(None);
        pairs.spare.push(self.pair);
    }
}

impl Keeper {
    /// This process's. A child made by `fork` has none of its parent's threads, and makes one of its own.
    fn ours() -> &'static Keeper {
        loop {
            let there = CURRENT.load(Ordering::Acquire);
            // SAFETY: what was published is never freed.
            if let Some(keeper) = unsafe { there.as_ref() }
                && keeper.process == std::process::id()
            {
                return keeper;
            }
            let new = Box::into_raw(Box::new(Keeper::new()));
            if CURRENT.compare_exchange(there, new, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                // SAFETY: it came out of a box just now, and nobody has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }

    fn new() -> Keeper {
        let list = List { first: Link::new(0), distance: page() as libc::c_long, pending: 0 };
        let number = AtomicU32::new(UNWATCHED);
        Keeper { process: std::process::id(), number, list, pairs: Mutex::default() }
    }

    fn pairs(&self) -> MutexGuard<'_, Pairs> {
        self.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the thread. Signals are other threads' business.
    fn hire(&'static self) -> Result<(), Errno> {
        self.list.first.store(self.list.end(), Ordering::Relaxed);
        let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let ready = Box::new(move || {
            self.list.name()?;
            self.number.store(gettid().as_raw() as u32, Ordering::Relaxed);
            Ok(())
        });
        let main = Box::new(|| {
            loop {
                thread::park();
            }
        });
        let started = starting::start("msf-shm", Some(STACK), Some(ready), main);
        // Restoring a mask that was valid a moment ago cannot fail.
        let _ = before.thread_set_mask();
        started.map(drop).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EAGAIN)))
    }
}

impl List {
    fn end(&self) -> usize {
        (&raw const self.first).addr()
    }

    /// Tells the kernel that this is the calling thread's.
    fn name(&'static self) -> Result<(), Errno> {
        let list: *const List = self;
        // SAFETY: the list lives as long as the process, and each link in it does.
        let status = unsafe { libc::syscall(libc::SYS_set_robust_list, list, size_of::<List>()) };
        Errno::result(status).map(drop)
    }

    /// The list is whole after every step: the kernel may walk it at any moment.
    fn add(&self, link: NonNull<Link>) {
        at(link).store(self.first.load(Ordering::Relaxed), Ordering::Relaxed);
        self.first.store(link.addr().get(), Ordering::Release);
    }

    /// What is taken out still leads to the rest.
    fn remove(&self, link: NonNull<Link>) {
        let mut place = &self.first;
        loop {
            let next = place.load(Ordering::Relaxed);
            match NonNull::new(ptr::with_exposed_provenance_mut(next)) {
                Some(there) if there != link && next != self.end() => place = at(there),
                _ => break,
            }
        }
        let next = at(link).load(Ordering::Relaxed);
        place.store(next, Ordering::Release);
    }
}

impl Pair {
    fn new() -> Result<Pair, Errno> {
        let both = NonZeroUsize::new(2 * page()).ok_or(Errno::EINVAL)?;
        // SAFETY: new memory, wherever the kernel likes.
        unsafe { mmap_anonymous(None, both, USE, MapFlags::MAP_PRIVATE) }.map(Pair)
    }

    /// Maps a segment's first page over our second one, or nobody's.
    fn show(self, segment: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let (place, length) = (NonZeroUsize::new(self.0.addr().get() + page()), NonZeroUsize::new(page()));
        let length = length.ok_or(Errno::EINVAL)?;
        let fixed = MapFlags::MAP_FIXED;
        match segment {
            // SAFETY: the place is the second page of the pair, which nobody but the kernel's walk looks at.
            Some(file) => unsafe { mmap(place, length, USE, fixed | MapFlags::MAP_SHARED, file, 0) },
            // SAFETY: as above.
            None => unsafe { mmap_anonymous(place, length, USE, fixed | MapFlags::MAP_PRIVATE) },
        }
        .map(drop)
    }

    /// The link of a word at `offset` of the second page.
    fn link(self, offset: usize) -> NonNull<Link> {
        debug_assert!(offset < page() && offset.is_multiple_of(align_of::<Link>()));
        // SAFETY: the offset is within the first page.
        let link = unsafe { self.0.byte_add(offset) }.cast::<Link>();
        link.as_ptr().expose_provenance();
        link
    }
}

fn at(link: NonNull<Link>) -> &'static Link {
    // SAFETY: links are in pages that are never unmapped, zeroed when new, and all access is atomic.
    unsafe { link.as_ref() }
}

fn page() -> usize {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().map_or(4096, |size| size as usize)
}

static CURRENT: AtomicPtr<Keeper> = AtomicPtr::new(ptr::null_mut());
const USE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);
/// The kernel follows 2048 links at most.
const MOST: usize = 2000;
/// It does nothing.
const STACK: usize = 64 * 1024;
