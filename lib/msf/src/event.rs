//! msf_event.h: the doorways of the event loop.
//!
//! A `struct msf_event_base` is a boxed [`Base`], a `struct msf_event` a boxed [`Event`]. The loop calls copies of the
//! callbacks and never looks at the event meanwhile, so a callback may free its own event, and the base, too.

use crate::cancel::Uncancelled;
use crate::guard::{guard, guard_ptr};
use crate::header::{msf_event, msf_event_base};
use crate::loops::Post;
use crate::timer::TimerCall;
use msf_core::event::{Base, Call, Event, Handler};
use nix::errno::Errno;
use std::ffi::{c_int, c_void};
use std::io;

as_declared! {
    msf_event_base_new msf_event_base_free msf_event_base_dispatch msf_event_base_wait msf_event_base_signal
    msf_event_base_loopexit msf_event_base_count msf_event_new msf_event_add msf_event_del msf_event_free
}

pub(crate) type Callback = Option<unsafe extern "C" fn(*mut c_void)>;

/// The callbacks of one event, and the argument they all get.
#[derive(Clone, Copy)]
pub(crate) struct Callbacks {
    pub(crate) read: Callback,
    pub(crate) write: Callback,
    pub(crate) error: Callback,
    pub(crate) args: *mut c_void,
}

// SAFETY: by msf_event.h the callbacks run, with `args`, on whichever thread dispatches the base; here nothing but
// that call touches `args`.
unsafe impl Send for Callbacks {}

impl Callbacks {
    #[inline]
    fn of(&self, call: Call) -> Callback {
        match call {
            Call::Read => self.read,
            Call::Write => self.write,
            Call::Error => self.error,
        }
    }
}

impl Handler for Callbacks {
    type Job = Post;
    type Timer = TimerCall;

    #[inline]
    fn wants(&self, call: Call) -> bool {
        self.of(call).is_some()
    }

    #[inline]
    fn call(self, call: Call) {
        if let Some(callback) = self.of(call) {
            // SAFETY: whoever called msf_event_new vouched that the callback may be called with these args until the
            // event is deleted, and the loop calls nothing that was deleted before.
            unsafe { callback(self.args) }
        }
    }
}

/// # Safety
/// `base` is null or came from `msf_event_base_new` and is not freed while the result is used.
pub(crate) unsafe fn base_of<'a>(base: *mut msf_event_base) -> Result<&'a Base<Callbacks>, Errno> {
    // SAFETY: not null is checked by `as_ref`, the rest is our caller's promise.
    unsafe { base.cast::<Base<Callbacks>>().as_ref() }.ok_or(Errno::EINVAL)
}

/// # Safety
/// `event` is null or came from `msf_event_new` and is not freed while the result is used.
unsafe fn event_of<'a>(event: *mut msf_event) -> Result<&'a Event<Callbacks>, Errno> {
    // SAFETY: not null is checked by `as_ref`, the rest is our caller's promise.
    unsafe { event.cast::<Event<Callbacks>>().as_ref() }.ok_or(Errno::EINVAL)
}

pub(crate) fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Of what is freed under its own call no reference may be left: a handle of our own is turned instead.
///
/// # Safety
/// As [`base_of`].
unsafe fn handle_of(base: *mut msf_event_base) -> Result<Base<Callbacks>, Errno> {
    // SAFETY: our caller's promise is the callee's.
    unsafe { base_of(base) }.cloned()
}

/// # Safety
/// `base` is null or a base that is not freed during the call; both numbers are null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_base_count(
    base: *mut msf_event_base,
    events_out: *mut u32,
    timers_out: *mut u32,
) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let base = unsafe { base_of(base) }?;
        for (out, count) in [(events_out, base.events()), (timers_out, base.timers())] {
            if !out.is_null() {
                // SAFETY: not null, and our caller says that it may be written.
                unsafe { out.write(u32::try_from(count).unwrap_or(u32::MAX)) };
            }
        }
        Ok(())
    })
}

/// # Safety
/// None: it takes nothing. It is unsafe because every function of the header is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_base_new() -> *mut msf_event_base {
    guard_ptr(|| Ok(Box::into_raw(Box::new(Base::<Callbacks>::new().map_err(errno)?)).cast()))
}

/// # Safety
/// `base` is null or a base that is not freed twice, and that no other thread uses but by dispatching it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_base_free(base: *mut msf_event_base) {
    guard(|| {
        if !base.is_null() {
            // SAFETY: our caller's promise is the callee's. Callbacks may still use the base until this returns.
            unsafe { base_of(base) }?.close();
            // SAFETY: it came from `msf_event_base_new`'s box, and is freed once, as our caller promises.
            drop(unsafe { Box::from_raw(base.cast::<Base<Callbacks>>()) });
        }
        Ok(())
    });
}

/// # Safety
/// `base` is null or a base that was not freed before this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_base_dispatch(base: *mut msf_event_base) -> c_int {
    let _uncancelled = Uncancelled::begin();
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { handle_of(base) }?.dispatch().map_err(errno))
}

/// # Safety
/// `base` is null or a base that was not freed before this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_base_wait(base: *mut msf_event_base) -> c_int {
    let _uncancelled = Uncancelled::begin();
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { handle_of(base) }?.wait().map_err(errno))
}

/// # Safety
/// `base` is null or a base that is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_base_signal(base: *mut msf_event_base) {
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { base_of(base) }.map(Base::signal));
}

/// # Safety
/// `base` is null or a base that is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_base_loopexit(base: *mut msf_event_base) {
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { base_of(base) }.map(Base::loopexit));
}

/// # Safety
/// The callbacks are null or may be called with `args`, by whichever thread dispatches, until the event is deleted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_new(
    fd: c_int,
    read_cb: Callback,
    write_cb: Callback,
    error_cb: Callback,
    args: *mut c_void,
) -> *mut msf_event {
    let callbacks = Callbacks { read: read_cb, write: write_cb, error: error_cb, args };
    guard_ptr(|| Ok(Box::into_raw(Box::new(Event::new(fd, callbacks).map_err(errno)?)).cast()))
}

/// # Safety
/// Both are null or handles of ours, neither freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_add(base: *mut msf_event_base, ev: *mut msf_event) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let base = unsafe { base_of(base) }?;
        // SAFETY: our caller's promise is the callee's.
        base.add(unsafe { event_of(ev) }?).map_err(errno)
    })
}

/// # Safety
/// Both are null or handles of ours, neither freed before the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_del(base: *mut msf_event_base, ev: *mut msf_event) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let base = unsafe { base_of(base) }?;
        // SAFETY: our caller's promise is the callee's.
        base.del(unsafe { event_of(ev) }?).map_err(errno)
    })
}

/// # Safety
/// `ev` is null or an event that is not freed twice.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_free(ev: *mut msf_event) {
    guard(|| {
        if !ev.is_null() {
            // SAFETY: our caller's promise is the callee's. Its callback may still use the event until this returns.
            unsafe { event_of(ev) }?.retire();
            // SAFETY: it came from `msf_event_new`'s box, and is freed once, as our caller promises.
            drop(unsafe { Box::from_raw(ev.cast::<Event<Callbacks>>()) });
        }
        Ok(())
    });
}
