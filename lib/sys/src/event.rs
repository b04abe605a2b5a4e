//! The event loop of libmsf.so for Rust closures.
//!
//! Level-triggered: a closure runs again while its descriptor is ready. Closures are `Send`, because the
//! thread that dispatches need not be the one that made the event. An event may be dropped anywhere, also by its own closure.
//!
//! A closure is not called again while it runs, since it has its captures to itself: a pass that is nested in it
//! ([`Base::wait`] or [`Base::dispatch`] from inside) runs the others only. What it left unread keeps its descriptor
//! ready, so that such a pass does not sleep: whoever nests, reads first.

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ffi::msf as c;
use crate::outcome::{checked, non_null};

type Callback = Box<dyn FnMut(BorrowedFd<'_>) + Send>;

/// A loop. Clones are handles to the same one; it is freed with the last.
#[derive(Clone, Debug)]
pub struct Base {
    shared: Arc<OwnBase>,
}

#[derive(Debug)]
struct OwnBase {
    base: NonNull<c::msf_event_base>,
    /// Somebody else frees it.
    lent: bool,
}

// SAFETY: of the functions called on it, add, del, signal and loopexit are for any thread by the header's
// word, dispatch and wait refuse a second thread with EBUSY, and free happens once, with the last handle.
unsafe impl Send for OwnBase {}
// SAFETY: the same.
unsafe impl Sync for OwnBase {}

impl Base {
    /// A new, empty loop.
    pub fn new() -> io::Result<Base> {
        // SAFETY: the function takes nothing.
        let base = non_null(unsafe { c::msf_event_base_new() })?;
        Ok(Base { shared: Arc::new(OwnBase { base, lent: false }) })
    }

    /// A handle of a base that somebody else frees.
    ///
    /// # Safety
    /// `base` is one, and is not freed before the last clone of this handle and the last event are gone.
    pub(crate) unsafe fn lent(base: NonNull<c::msf_event_base>) -> Base {
        Base { shared: Arc::new(OwnBase { base, lent: true }) }
    }

    /// Runs closures on this thread until [`exit`](Base::exit).
    pub fn dispatch(&self) -> io::Result<()> {
        // SAFETY: the base lives as long as this handle.
        checked(unsafe { c::msf_event_base_dispatch(self.raw()) }).map(drop)
    }

    /// One pass: waits until something is ready or [`signal`](Base::signal) is called.
    pub fn wait(&self) -> io::Result<()> {
        // SAFETY: the base lives as long as this handle.
        checked(unsafe { c::msf_event_base_wait(self.raw()) }).map(drop)
    }

    /// Wakes the thread inside; it stays in `dispatch`.
    pub fn signal(&self) {
        // SAFETY: the base lives as long as this handle; any thread may call.
        unsafe { c::msf_event_base_signal(self.raw()) }
    }

    /// Ends the dispatch that runs, or the next one if none runs.
    pub fn exit(&self) {
        // SAFETY: the base lives as long as this handle; any thread may call.
        unsafe { c::msf_event_base_loopexit(self.raw()) }
    }

    /// Adds an event that calls `read` while `fd` has something to read or has hung up.
    pub fn on_read(&self, fd: OwnedFd, read: impl FnMut(BorrowedFd<'_>) + Send + 'static) -> io::Result<Event> {
        self.add(fd, Callbacks::default().read(read))
    }

    /// Adds an event with any of the three callbacks.
    pub fn add(&self, fd: OwnedFd, callbacks: Callbacks) -> io::Result<Event> {
        let Callbacks { read, write, error } = callbacks;
        let (reads, writes, errors) = (read.is_some(), write.is_some(), error.is_some());
        let watch = Arc::new(Watch { fd, read: read.into(), write: write.into(), error: error.into() });
        let args = Arc::as_ptr(&watch).cast_mut().cast::<c_void>();
        type Trampoline = unsafe extern "C" fn(*mut c_void);
        // SAFETY: `args` stays valid until msf_event_free has returned, see `Event::drop`.
        let raw = unsafe {
            c::msf_event_new(
                watch.fd.as_raw_fd(),
                reads.then_some(on_read as Trampoline),
                writes.then_some(on_write as Trampoline),
                errors.then_some(on_error as Trampoline),
                args,
            )
        };
        let event = Event { raw: non_null(raw)?, watch, _base: self.clone() };
        // SAFETY: base and event are both alive and this event was never added.
        checked(unsafe { c::msf_event_add(self.raw(), event.raw.as_ptr()) })?;
        Ok(event)
    }

    /// How many events are armed and how many timers run; exact on the thread that turns it.
    pub fn count(&self) -> (u32, u32) {
        let (mut events, mut timers) = (0, 0);
        // SAFETY: the base lives as long as this handle, and there is room for both numbers.
        let counted = checked(unsafe { c::msf_event_base_count(self.raw(), &raw mut events, &raw mut timers) });
        counted.map_or((0, 0), |_| (events, timers))
    }

    pub(crate) fn raw(&self) -> *mut c::msf_event_base {
        self.shared.base.as_ptr()
    }
}

impl Drop for OwnBase {
    fn drop(&mut self) {
        if !self.lent {
            // SAFETY: the last handle is going, and with it the last event, so nobody can be inside.
            unsafe { c::msf_event_base_free(self.base.as_ptr()) }
        }
    }
}

/// What an event does; it is interested in what it has callbacks for.
#[derive(Default)]
pub struct Callbacks {
    read: Option<Callback>,
    write: Option<Callback>,
    error: Option<Callback>,
}

impl Callbacks {
    /// While there is something to read; without an error callback also at hang-up.
    pub fn read(mut self, run: impl FnMut(BorrowedFd<'_>) + Send + 'static) -> Callbacks {
        self.read = Some(Box::new(run));
        self
    }

    /// While there is room to write.
    pub fn write(mut self, run: impl FnMut(BorrowedFd<'_>) + Send + 'static) -> Callbacks {
        self.write = Some(Box::new(run));
        self
    }

    /// On errors and hang-up.
    pub fn error(mut self, run: impl FnMut(BorrowedFd<'_>) + Send + 'static) -> Callbacks {
        self.error = Some(Box::new(run));
        self
    }
}

/// An armed event. Dropping it takes it out of its loop, then closes its descriptor.
pub struct Event {
    raw: NonNull<c::msf_event>,
    watch: Arc<Watch>,
    // Keeps the loop alive as long as an event is in it.
    _base: Base,
}

// SAFETY: the only call made on a live event is msf_event_free, which the header allows from any thread.
unsafe impl Send for Event {}
// SAFETY: through `&Event` only the descriptor can be reached.
unsafe impl Sync for Event {}

impl AsFd for Event {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.fd.as_fd()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("fd", &self.watch.fd).finish_non_exhaustive()
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: the event is ours and freed once. No callback starts after this returns; the one that may be
        // running now, when it is what drops us, holds its own count of `watch`.
        unsafe { c::msf_event_free(self.raw.as_ptr()) }
    }
}

/// What `args` points at.
struct Watch {
    fd: OwnedFd,
    read: Mutex<Option<Callback>>,
    write: Mutex<Option<Callback>>,
    error: Mutex<Option<Callback>>,
}

/// # Safety
/// `args` came from `Base::add`, and the event was not freed before this call began.
unsafe extern "C" fn on_read(args: *mut c_void) {
    // SAFETY: word for word the caller's promise.
    run(&*unsafe { held(args) }, |watch| &watch.read);
}

/// # Safety
/// As `on_read`.
unsafe extern "C" fn on_write(args: *mut c_void) {
    // SAFETY: word for word the caller's promise.
    run(&*unsafe { held(args) }, |watch| &watch.write);
}

/// # Safety
/// As `on_read`.
unsafe extern "C" fn on_error(args: *mut c_void) {
    // SAFETY: word for word the caller's promise.
    run(&*unsafe { held(args) }, |watch| &watch.error);
}

/// A count of our own, so that the closure may drop its event while it runs.
///
/// # Safety
/// As `on_read`.
unsafe fn held(args: *mut c_void) -> Arc<Watch> {
    let watch = args.cast_const().cast::<Watch>();
    // SAFETY: the event holds a count until msf_event_free returns, and it has not been called.
    unsafe { Arc::increment_strong_count(watch) };
    // SAFETY: the count taken on the line above is the one handed out here.
    unsafe { Arc::from_raw(watch) }
}

fn run(watch: &Watch, which: fn(&Watch) -> &Mutex<Option<Callback>>) {
    let slot = which(watch);
    // Taken out while it runs: nothing is locked then, and a nested pass finds nothing to call.
    let Some(mut callback) = lock(slot).take() else { return };
    match catch_unwind(AssertUnwindSafe(|| callback(watch.fd.as_fd()))) {
        Ok(()) => *lock(slot) = Some(callback),
        // Unwinding into C would be undefined, and a level-triggered event whose closure is gone would spin.
        Err(_) => std::process::abort(),
    }
}

fn lock(slot: &Mutex<Option<Callback>>) -> std::sync::MutexGuard<'_, Option<Callback>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
