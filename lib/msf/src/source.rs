//! msf_source.h: signals, ends of children and changes of files on an event base.
//!
//! A `struct msf_source` is an [`Arc`] of a [`Source`]: a callback may free its own source, so the delivery that calls it
//! holds a handle of its own. One thing is taken and told for each readiness, so that nothing taken is left untold when
//! a callback stops its source.

use crate::event::{Callbacks, base_of, errno};
use crate::guard::{bytes, guard, guard_or, guard_ptr};
use crate::header::{msf_event_base, msf_source};
use msf_core::event::{Catch, Event, Watcher};
use msf_core::process::{Ended, Ending};
use nix::errno::Errno;
use std::ffi::{OsStr, c_char, c_int, c_void};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::ptr;
use std::sync::{Arc, OnceLock};

as_declared! {
    msf_source_new_signal msf_source_new_child msf_source_new_inotify msf_source_watch msf_source_unwatch
    msf_source_start msf_source_stop msf_source_free
}

type Told = unsafe extern "C" fn(c_int, *mut c_void);
type ChildEnded = unsafe extern "C" fn(libc::pid_t, c_int, *mut c_void);
type Changed = unsafe extern "C" fn(c_int, u32, u32, *const c_char, *mut c_void);

struct Source {
    /// On the feed's descriptor; dropped before it. Filled once, by [`new`].
    event: OnceLock<Event<Callbacks>>,
    feed: Feed,
    arg: *mut c_void,
}

// SAFETY: its functions may be called from any thread, and by msf_source.h the callbacks run, with `arg`, on whichever
// thread dispatches the base; here nothing but that call touches `arg`.
unsafe impl Send for Source {}
// SAFETY: as above.
unsafe impl Sync for Source {}

enum Feed {
    Signal(Catch, c_int, Told),
    Child(Ending, ChildEnded),
    Files(Watcher, Changed),
}

fn new(feed: Feed, arg: *mut c_void) -> Result<*mut msf_source, Errno> {
    let fd = match &feed {
        Feed::Signal(catch, ..) => catch.as_fd().as_raw_fd(),
        Feed::Child(ending, _) => ending.as_fd().as_raw_fd(),
        Feed::Files(watcher, _) => watcher.as_fd().as_raw_fd(),
    };
    let source = Arc::into_raw(Arc::new(Source { event: OnceLock::new(), feed, arg }));
    let callbacks = Callbacks { read: Some(ready), write: None, error: None, args: source.cast_mut().cast() };
    // SAFETY: it was made on the line before last, and nobody else has it yet.
    let this = unsafe { &*source };
    // Refused only without a callback.
    let _ = this.event.set(Event::new(fd, callbacks).map_err(errno)?);
    Ok(source.cast_mut().cast())
}

/// The event's callback: `args` is the source.
unsafe extern "C" fn ready(args: *mut c_void) {
    let source = args.cast_const().cast::<Source>();
    // SAFETY: freeing a source bars callbacks that have not begun, so when this one begins it is there.
    unsafe { Arc::increment_strong_count(source) };
    // SAFETY: for the reference that was added on the line above.
    let source = unsafe { Arc::from_raw(source) };
    source.deliver();
}

impl Source {
    /// Tells one thing. A readiness that was not true tells nothing.
    fn deliver(&self) {
        match &self.feed {
            Feed::Signal(catch, signal, told) => {
                if catch.take() {
                    // SAFETY: whoever made the source vouched for the callback and its argument.
                    unsafe { told(*signal, self.arg) }
                }
            }
            Feed::Child(ending, ended) => {
                if let Ok(Some(how)) = ending.take() {
                    self.event.get().into_iter().for_each(Event::retire);
                    let status = if let Ended::With(status) = how { status.into_raw() } else { -1 };
                    // SAFETY: as above.
                    unsafe { ended(ending.pid(), status, self.arg) }
                }
            }
            Feed::Files(watcher, changed) => {
                if let Ok(Some(change)) = watcher.take() {
                    let name = change.name.as_deref().map_or(ptr::null(), |name| name.as_ptr());
                    // SAFETY: as above; the name lives until the call has returned.
                    unsafe { changed(change.watch, change.mask, change.cookie, name, self.arg) }
                }
            }
        }
    }

    fn event(&self) -> Result<&Event<Callbacks>, Errno> {
        self.event.get().ok_or(Errno::EINVAL)
    }

    fn watcher(&self) -> Result<&Watcher, Errno> {
        match &self.feed {
            Feed::Files(watcher, _) => Ok(watcher),
            Feed::Signal(..) | Feed::Child(..) => Err(Errno::EINVAL),
        }
    }
}

/// # Safety
/// `source` is null or came from [`new`] and is not freed while the result is used.
unsafe fn source_of<'a>(source: *mut msf_source) -> Result<&'a Source, Errno> {
    // SAFETY: not null is checked by `as_ref`, the rest is our caller's promise.
    unsafe { source.cast::<Source>().as_ref() }.ok_or(Errno::EINVAL)
}

/// # Safety
/// `told` is null or may be called with `arg`, by whichever thread dispatches, until the source is stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_source_new_signal(signo: c_int, told: Option<Told>, arg: *mut c_void) -> *mut msf_source {
    guard_ptr(|| {
        let told = told.ok_or(Errno::EINVAL)?;
        new(Feed::Signal(Catch::new(signo).map_err(errno)?, signo, told), arg)
    })
}

/// # Safety
/// `ended` is null or may be called with `arg`, by whichever thread dispatches, until the source is stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_source_new_child(
    pid: libc::pid_t,
    ended: Option<ChildEnded>,
    arg: *mut c_void,
) -> *mut msf_source {
    guard_ptr(|| {
        let ended = ended.ok_or(Errno::EINVAL)?;
        new(Feed::Child(Ending::of(pid).map_err(errno)?, ended), arg)
    })
}

/// # Safety
/// `changed` is null or may be called with `arg`, by whichever thread dispatches, until the source is stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_source_new_inotify(changed: Option<Changed>, arg: *mut c_void) -> *mut msf_source {
    guard_ptr(|| {
        let changed = changed.ok_or(Errno::EINVAL)?;
        new(Feed::Files(Watcher::new().map_err(errno)?, changed), arg)
    })
}

/// # Safety
/// `source` is null or a source that is not freed during the call, `path` null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_source_watch(source: *mut msf_source, path: *const c_char, mask: u32) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let watcher = unsafe { source_of(source) }?.watcher()?;
        // SAFETY: our caller's promise is the callee's.
        let path = Path::new(OsStr::from_bytes(unsafe { bytes(path) }?));
        watcher.watch(path, mask).map_err(errno)
    })
}

/// # Safety
/// `source` is null or a source that is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_source_unwatch(source: *mut msf_source, wd: c_int) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { source_of(source) }?.watcher()?.unwatch(wd).map_err(errno))
}

/// # Safety
/// Both are null or handles of ours, neither freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_source_start(base: *mut msf_event_base, source: *mut msf_source) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let base = unsafe { base_of(base) }?;
        // SAFETY: our caller's promise is the callee's.
        base.add(unsafe { source_of(source) }?.event()?).map_err(errno)
    })
}

/// # Safety
/// Both are null or handles of ours, neither freed before the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_source_stop(base: *mut msf_event_base, source: *mut msf_source) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let base = unsafe { base_of(base) }?;
        // SAFETY: our caller's promise is the callee's.
        base.del(unsafe { source_of(source) }?.event()?).map_err(errno)
    })
}

/// # Safety
/// `source` is null or a source that is not freed twice.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_source_free(source: *mut msf_source) {
    guard(|| {
        if !source.is_null() {
            // SAFETY: our caller's promise is the callee's. Its callback may still use the source until this returns.
            unsafe { source_of(source) }?.event()?.retire();
            // SAFETY: it came from `new`'s Arc, and is freed once, as our caller promises.
            drop(unsafe { Arc::from_raw(source.cast_const().cast::<Source>()) });
        }
        Ok(())
    });
}
