//! The little that libipc does about signals: a broken pipe must not kill the process, and the program's handlers run
//! on the program's threads. Nothing else is touched.

use crate::errno::Errno;
use std::mem::MaybeUninit;
use std::ptr;

/// Ignores SIGPIPE if the program left it at its default. Our own sends never raise it; the program's may.
pub(crate) fn ignore_sigpipe() {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: only asks; `now` has room for the answer.
    if unsafe { libc::sigaction(libc::SIGPIPE, ptr::null(), now.as_mut_ptr()) } != 0 {
        return;
    }
    // SAFETY: the call above succeeded, so it is written.
    let now = unsafe { now.assume_init() };
    if now.sa_sigaction == libc::SIG_DFL {
        // SAFETY: SIG_IGN is a disposition like any other.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    }
}

/// Runs `start` with every signal blocked that may be, so that a thread it starts inherits that.
pub(crate) fn shielded<T>(start: impl FnOnce() -> T) -> T {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: writes the whole set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: written on the line above.
    let mut all = unsafe { all.assume_init() };
    for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS] {
        // SAFETY: an initialised set and a valid signal. A fault belongs to the thread that made it.
        unsafe { libc::sigdelset(&mut all, fault) };
    }
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: an initialised set in, room for one out.
    let blocked = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &all, before.as_mut_ptr()) } == 0;
    let result = start();
    if blocked {
        // `start` may have failed; what errno says is its business.
        let errno = Errno::last();
        // SAFETY: `before` was written by the call that blocked.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
        errno.set();
    }
    result
}
