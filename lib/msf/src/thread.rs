//! msf_thread.h: starting a thread.

use crate::guard::{guard, plain};
use msf_core::thread;
use nix::errno::Errno;
use std::ffi::{c_int, c_void};

as_declared! {
    msf_pthread_spawn
}

/// # Safety
/// `tid` is null or may be written; `func` may run with `arg` on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_pthread_spawn(
    tid: *mut libc::pthread_t,
    func: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>,
    arg: *mut c_void,
) -> c_int {
    guard(|| {
        let (false, Some(main)) = (tid.is_null(), func) else { return Err(Errno::EINVAL) };
        // SAFETY: the contract is our caller's.
        let thread = unsafe { thread::spawn(main, arg) }.map_err(plain)?;
        // SAFETY: not null (checked above), and our caller says that it may be written.
        unsafe { tid.write(thread) };
        Ok(())
    })
}
