//! What every door goes through: the catch of panics, and the translation into -1 and errno.

use crate::errno::Errno;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

/// Runs a door's body. Success leaves errno as the body left it.
pub(crate) fn guard(call: impl FnOnce() -> Result<c_int, Errno>) -> c_int {
    let before = Errno::last();
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => {
            // -2 has just set it; system calls that were retried must not show.
            if value >= 0 {
                before.set();
            }
            value
        }
        Ok(Err(errno)) => {
            errno.set();
            -1
        }
        // The panic hook has said what happened.
        Err(_) => {
            Errno::NOTRECOVERABLE.set();
            -1
        }
    }
}

/// The same for a door that returns a pointer: null and errno.
pub(crate) fn guard_pointer<T>(call: impl FnOnce() -> Result<*mut T, Errno>) -> *mut T {
    let mut pointer = ptr::null_mut();
    guard(|| {
        pointer = call()?;
        Ok(0)
    });
    pointer
}
