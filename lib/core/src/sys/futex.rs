//! Waiting for a word in memory to change, as the kernel does it: no lock, no memory, fit for a signal handler.

use super::sync::atomic::AtomicU32;
use nix::errno::Errno;
use std::ptr;
use std::time::Duration;

/// Until woken, at most `limit`; returns at once when the word is not `expected`, and may return for no reason. True when
/// the time is over. The word may be in memory that processes share.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit: Option<Duration>) -> Result<bool, Errno> {
    let limit = limit.map(|limit| KernelTime {
        // Where seconds have 32 bits, 68 years: who has waited so long waits again.
        seconds: libc::c_long::try_from(limit.as_secs()).unwrap_or(libc::c_long::MAX),
        nanoseconds: limit.subsec_nanos() as _,
    });
    let time: *const KernelTime = limit.as_ref().map_or(ptr::null(), |time| time);
    let word: *const AtomicU32 = word;
    // SAFETY: the word is an aligned u32 that lives for the call, the time is null or read only.
    let status = unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAIT, expected, time) };
    match Errno::result(status) {
        Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(false),
        Err(Errno::ETIMEDOUT) => Ok(true),
        Err(errno) => Err(errno),
    }
}

/// Wakes so many of those who wait for the word.
pub(crate) fn wake(word: &AtomicU32, how_many: u32) {
    let word: *const AtomicU32 = word;
    // SAFETY: waking looks at the address only.
    unsafe { libc::syscall(libc::SYS_futex, word, libc::FUTEX_WAKE, how_many) };
}

/// A relative time in the kernel's own words, which are not the C library's where that has a 64-bit time on 32 bits.
#[repr(C)]
struct KernelTime {
    seconds: libc::c_long,
    nanoseconds: libc::c_long,
}
