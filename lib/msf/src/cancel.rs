//! Keeping cancellation away from Rust.

use std::ffi::c_int;
use std::ptr;

/// While it lives, `pthread_cancel` on this thread is kept for later. What sleeps in the C library, or reads
/// files by it, is a cancellation point, and the unwinding that cancels a thread must not meet Rust: it would end the process.
pub(crate) struct Uncancelled {
    before: c_int,
}

impl Uncancelled {
    #[inline(never)]
    pub(crate) fn begin() -> Uncancelled {
        let mut before = PTHREAD_CANCEL_ENABLE;
        // SAFETY: the state is one of the two that exist, and `before` is a local int.
        unsafe { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &raw mut before) };
        Uncancelled { before }
    }
}

impl Drop for Uncancelled {
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: the state is what the same function gave; null says that the old one is not wanted.
        unsafe { pthread_setcancelstate(self.before, ptr::null_mut()) };
    }
}

const PTHREAD_CANCEL_ENABLE: c_int = 0;
const PTHREAD_CANCEL_DISABLE: c_int = 1;

unsafe extern "C" {
    fn pthread_setcancelstate(state: c_int, before_out: *mut c_int) -> c_int;
}
