//! The handles of timers: addresses inside pages, each a door to one timer of one base.
//!
//! A page says of which base it is and the number of its first timer, so the address of a door tells both without the
//! door being read. With a million timers that is the difference between a cache miss and none for every call; a door is
//! only an address, and its memory is never touched. Where in the page that stands differs from page to page: at the same
//! place in each of them it would compete for the same few lines of the cache.

use crate::event::Callbacks;
use crate::header::msf_event_timer;
use msf_core::event::{Base, TimerSlot};
use nix::errno::Errno;
use std::alloc::{Layout, alloc, dealloc};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ptr::NonNull;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// What a page says.
struct Page {
    base: Base<Callbacks>,
    /// The number of the timer behind the first door.
    first: u32,
}

/// A page of ours, and how many of its doors are open.
struct Open {
    /// Where it begins.
    start: NonNull<u8>,
    doors: usize,
}

// SAFETY: the page is written before it gets here and freed by whoever takes it out; between that it is only read.
unsafe impl Send for Open {}

/// By the base's address, then by the page's place among those of its base.
static PAGES: LazyLock<Mutex<HashMap<(usize, u32), Open>>> = LazyLock::new(Mutex::default);

/// Bytes of a page, and what its address is a multiple of.
const PAGE: usize = 64 << 10;
const LAYOUT: Layout = match Layout::from_size_align(PAGE, PAGE) {
    Ok(layout) => layout,
    Err(_) => panic!("a power of two"),
};
/// The first of these bytes hold a `Page`, in one of so many lines of the cache.
const FIRST_DOOR: usize = 4 << 10;
const LINE: usize = 64;
/// As far apart as pointers that people print and compare may be expected to be.
const DOOR: usize = 4;
const DOORS: u32 = ((PAGE - FIRST_DOOR) / DOOR) as u32;

const _: () = assert!(size_of::<Page>() <= LINE);

/// The door to a timer of `base`.
pub(crate) fn open(base: &Base<Callbacks>, slot: TimerSlot) -> Result<*mut msf_event_timer, Errno> {
    let (place, door) = (slot.number() / DOORS, slot.number() % DOORS);
    let mut pages = pages();
    let open = match pages.entry((base.address(), place)) {
        Entry::Occupied(open) => open.into_mut(),
        Entry::Vacant(gap) => gap.insert(Open { start: new_page(base, place * DOORS)?, doors: 0 }),
    };
    open.doors += 1;
    Ok(open.start.as_ptr().wrapping_add(FIRST_DOOR + door as usize * DOOR).cast())
}

/// What is behind a door.
///
/// # Safety
/// `timer` is null or came from [`open`], and is not closed during `'a`.
#[inline(always)]
pub(crate) unsafe fn behind<'a>(timer: *mut msf_event_timer) -> Result<(&'a Base<Callbacks>, TimerSlot), Errno> {
    if timer.is_null() {
        return Err(Errno::EINVAL);
    }
    let page = said_at(timer.cast::<u8>().map_addr(|address| address & !(PAGE - 1)));
    let door = (timer.addr() % PAGE - FIRST_DOOR) / DOOR;
    // SAFETY: every door lies inside its page, which is as large as it is aligned and says what it is there; it stays
    // while one of its doors is open.
    let page = unsafe { &*page };
    Ok((&page.base, TimerSlot::from_number(page.first + door as u32)))
}

/// Closes the door to a timer that was freed. The page goes with its last door.
pub(crate) fn close(base: &Base<Callbacks>, slot: TimerSlot) {
    let key = (base.address(), slot.number() / DOORS);
    let mut pages = pages();
    let Some(open) = pages.get_mut(&key) else { return };
    open.doors -= 1;
    if open.doors > 0 {
        return;
    }
    let last = pages.remove(&key);
    drop(pages);
    if let Some(Open { start, .. }) = last {
        // SAFETY: it was written by `new_page`, and nobody finds it any more. (Our caller has a handle of the base.)
        unsafe { said_at(start.as_ptr()).drop_in_place() };
        // SAFETY: it came from `alloc` with this layout.
        unsafe { dealloc(start.as_ptr(), LAYOUT) };
    }
}

fn new_page(base: &Base<Callbacks>, first: u32) -> Result<NonNull<u8>, Errno> {
    // SAFETY: the layout is not empty.
    let start = NonNull::new(unsafe { alloc(LAYOUT) }).ok_or(Errno::ENOMEM)?;
    // SAFETY: it is ours, and the place is aligned and inside.
    unsafe { said_at(start.as_ptr()).write(Page { base: base.clone(), first }) };
    Ok(start)
}

/// Where a page that begins at `start` says what it is.
#[inline(always)]
fn said_at(start: *mut u8) -> *mut Page {
    start.wrapping_add(start.addr() / PAGE % (FIRST_DOOR / LINE) * LINE).cast()
}

fn pages() -> MutexGuard<'static, HashMap<(usize, u32), Open>> {
    PAGES.lock().unwrap_or_else(PoisonError::into_inner)
}
