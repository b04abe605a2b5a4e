//! A joinable thread with SIGPIPE blocked: writing to a peer that is gone is an error there, not the end of the process.

use crate::error::Error;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::ffi::c_void;
use std::mem::{self, MaybeUninit};
use std::ptr;

/// What a thread runs: it gets the argument, and whoever joins it gets what it returns.
pub type Main = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

/// Starts a thread that runs `main(argument)`; it is to be joined with `pthread_join`, or detached.
///
/// The calling thread's signal mask is the same afterwards as before. Fails with EAGAIN when there may be no more
/// threads.
///
/// # Safety
/// `main` may be called with `argument` on another thread, and what both refer to lives until it returns.
pub unsafe fn spawn(main: Main, argument: *mut c_void) -> Result<libc::pthread_t, Error> {
    let mut sigpipe = SigSet::empty();
    sigpipe.add(Signal::SIGPIPE);
    // A thread begins with its creator's mask, so the creator wears it for a moment. The C library knows an attribute
    // for this only since 2.32.
    let before =
        sigpipe.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(Error::system("block SIGPIPE for a new thread"))?;
    // The C library runs the function itself, without a frame of ours below it: `pthread_exit` and cancellation unwind to
    // the end of the stack, and must not meet Rust there.
    // SAFETY: only the word `unsafe` is dropped from the type, because libc's declaration has none; our caller vouches.
    let main = unsafe { mem::transmute::<Main, extern "C" fn(*mut c_void) -> *mut c_void>(main) };
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: the out-parameter is valid, null attributes mean the defaults (joinable), and our caller vouches for
    // function and argument.
    let status = unsafe { libc::pthread_create(thread.as_mut_ptr(), ptr::null(), main, argument) };
    let restored = before.thread_set_mask();
    if status != 0 {
        return Err(Error::System { doing: "start a thread", source: Errno::from_raw(status) });
    }
    restored.map_err(Error::system("restore the signal mask after starting a thread"))?;
    // SAFETY: pthread_create returned 0, so it has written the id.
    Ok(unsafe { thread.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn tells_whether_sigpipe_is_blocked(argument: *mut c_void) -> *mut c_void {
        let blocked = SigSet::thread_get_mask().unwrap().contains(Signal::SIGPIPE);
        if blocked { argument } else { ptr::null_mut() }
    }

    #[test]
    fn sigpipe_is_blocked_in_the_new_thread_and_only_there() {
        let before = SigSet::thread_get_mask().unwrap();
        let mut argument = 7;
        let expected = (&raw mut argument).cast::<c_void>();
        // SAFETY: the function only looks at the pointer, and the thread is joined below.
        let thread = unsafe { spawn(tells_whether_sigpipe_is_blocked, expected) }.unwrap();
        let mut result = ptr::null_mut();
        // SAFETY: the thread was just started and nobody else joins it.
        assert_eq!(unsafe { libc::pthread_join(thread, &raw mut result) }, 0);
        assert_eq!(result, expected);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
