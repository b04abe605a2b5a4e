//! What every doorway goes through: the instance check, the catch of panics, the translation into −1/NULL and errno.
//!
//! On success errno is what it was before the call: C code reports `errno` after calls that worked, too.

use crate::instance;
use msf_core::log::Level;
use nix::errno::Errno;
use std::any::Any;
use std::ffi::{CStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// Runs the body of an `int` doorway: 0, or −1 and errno.
pub(crate) fn guard(call: impl FnOnce() -> Result<(), Errno>) -> c_int {
    guard_or(-1, || call().map(|()| 0))
}

/// Runs the body of a doorway that returns a pointer: NULL and errno when it fails.
pub(crate) fn guard_ptr<T>(call: impl FnOnce() -> Result<*mut T, Errno>) -> *mut T {
    guard_or(ptr::null_mut(), call)
}

/// Runs the body of a doorway whose failure is told by `failed` (and errno).
///
/// What each doorway has of its own is its body; the rest is [`enter`], once for all of them: with everything inlined the
/// library would be an eighth larger.
pub(crate) fn guard_or<T>(failed: T, call: impl FnOnce() -> Result<T, Errno>) -> T {
    let mut room = Room { call: Some(call), value: None };
    enter(run_of(&room), (&raw mut room).cast());
    room.value.unwrap_or(failed)
}

/// A body, and what it returned.
struct Room<T, F> {
    call: Option<F>,
    value: Option<T>,
}

/// Runs the body in a room of one certain type.
type Run = unsafe fn(room: *mut ()) -> Result<(), Errno>;

/// The runner for rooms of this one's type.
fn run_of<T, F: FnOnce() -> Result<T, Errno>>(_room: &Room<T, F>) -> Run {
    run::<T, F>
}

/// # Safety
/// `room` points to a `Room<T, F>` that nobody else uses.
unsafe fn run<T, F: FnOnce() -> Result<T, Errno>>(room: *mut ()) -> Result<(), Errno> {
    // SAFETY: our caller's promise.
    let room = unsafe { &mut *room.cast::<Room<T, F>>() };
    if let Some(call) = room.call.take() {
        room.value = Some(call()?);
    }
    Ok(())
}

/// Runs a body, unless another libmsf came first, and leaves errno as the contract says. `extern "C"`, so that the
/// compiler knows that nothing comes through.
#[inline(never)]
#[allow(improper_ctypes_definitions, reason = "no C code calls it")]
extern "C" fn enter(run: Run, room: *mut ()) {
    let before = Errno::last_raw();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        instance::check()?;
        // SAFETY: `guard_or` hands the room over with the runner for its type, and does not touch it meanwhile.
        unsafe { run(room) }
    }));
    Errno::set_raw(match outcome {
        Ok(Ok(())) => before,
        Ok(Err(errno)) => errno as c_int,
        Err(panic) => caught(panic) as c_int,
    });
}

/// The panic hook has logged it; what the call worked on may be half done.
#[cold]
#[inline(never)]
fn caught(panic: Box<dyn Any + Send>) -> Errno {
    drop(panic);
    Errno::ENOTRECOVERABLE
}

/// The bytes of a C string, without the NUL.
///
/// # Safety
/// `text` is null or points to a NUL-terminated string that stays unchanged for `'a`.
pub(crate) unsafe fn bytes<'a>(text: *const c_char) -> Result<&'a [u8], Errno> {
    if text.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: not null (checked above); the caller vouches for the NUL and for the lifetime.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// The errno of a failure that a number says enough about.
#[cold]
#[inline(never)]
pub(crate) fn plain(error: msf_core::Error) -> Errno {
    error.errno()
}

/// The errno of a call of the operating system.
#[cold]
#[inline(never)]
pub(crate) fn system(error: std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// The errno of a failure that needs more words than a number: they go to the log.
#[cold]
#[inline(never)]
pub(crate) fn told(error: msf_core::Error) -> Errno {
    msf_core::log!(Level::Error, "MSF", "{error}");
    error.errno()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn success_leaves_errno_alone_and_failure_sets_it() {
        Errno::set_raw(4711);
        let succeeds_late = || {
            Errno::EAGAIN.set();
            Ok(())
        };
        assert_eq!(guard(succeeds_late), 0);
        assert_eq!(Errno::last_raw(), 4711);
        assert_eq!(guard(|| Err(Errno::EBADF)), -1);
        assert_eq!(Errno::last(), Errno::EBADF);
        assert!(guard_ptr::<u8>(|| Err(Errno::ENOMEM)).is_null());
        assert_eq!(Errno::last(), Errno::ENOMEM);
    }

    #[test]
    fn a_panic_ends_at_the_doorway() {
        assert_eq!(guard(|| panic!("inside the doorway")), -1);
        assert_eq!(Errno::last(), Errno::ENOTRECOVERABLE);
    }
}
