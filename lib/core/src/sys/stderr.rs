//! Writing to stderr as a library may: without a lock, without ending the process when its reader is gone, and without
//! waiting for one who does not read.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Writes `text`, as far as that is possible; a closed or broken stderr is nobody's business.
///
/// A pipe without a reader would raise SIGPIPE, which ends programs that never asked for a log on stderr: the signal is
/// blocked meanwhile and taken back if it came from here.
pub(crate) fn write(text: &[u8]) {
    let mut sigpipe = SigSet::empty();
    sigpipe.add(Signal::SIGPIPE);
    let was_pending = is_pending();
    let Ok(before) = sigpipe.thread_swap_mask(SigmaskHow::SIG_BLOCK) else { return };
    let broken = write_all(io::stderr().as_fd(), text) == Err(Errno::EPIPE);
    if broken && !was_pending {
        take_back(&sigpipe);
    }
    // Restoring a mask that was valid a moment ago cannot fail.
    let _ = before.thread_set_mask();
}

fn write_all(to: BorrowedFd<'_>, mut text: &[u8]) -> Result<(), Errno> {
    while !text.is_empty() {
        wait_for(to)?;
        match unistd::write(to, text.get(..AT_ONCE).unwrap_or(text)) {
            Ok(count) => text = text.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Until [`AT_ONCE`] bytes can be written. Who reads slowly is given a moment, who has stopped reading none until he reads
/// again: a supervisor must not hang on whoever watches it.
fn wait_for(to: BorrowedFd<'_>) -> Result<(), Errno> {
    static STALLED: AtomicBool = AtomicBool::new(false);
    let patience = if STALLED.load(Ordering::Relaxed) { PollTimeout::ZERO } else { PollTimeout::from(MOMENT_MS) };
    let found = poll(&mut [PollFd::new(to, PollFlags::POLLOUT)], patience);
    STALLED.store(found == Ok(0), Ordering::Relaxed);
    // Any other trouble is for write to tell.
    if found == Ok(0) { Err(Errno::EAGAIN) } else { Ok(()) }
}

/// Whether a SIGPIPE of the program's own is waiting already.
fn is_pending() -> bool {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the pointer is valid; sigpending fills the set.
    unsafe { libc::sigpending(set.as_mut_ptr()) };
    // SAFETY: all-zero is a valid signal set, and sigpending only overwrites it.
    let set = unsafe { set.assume_init() };
    // SAFETY: the set is initialised and SIGPIPE is a signal.
    unsafe { libc::sigismember(&raw const set, libc::SIGPIPE) == 1 }
}

fn take_back(sigpipe: &SigSet) {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let set: *const libc::sigset_t = sigpipe.as_ref();
    // SAFETY: set and time are valid for the call, and a null pointer means that nothing is told about the signal.
    unsafe { libc::sigtimedwait(set, ptr::null_mut(), &raw const at_once) };
}

/// What a pipe that is writable takes without blocking.
const AT_ONCE: usize = libc::PIPE_BUF;
const MOMENT_MS: u8 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::time::{Duration, Instant};

    #[test]
    fn regress_one_who_does_not_read_is_not_waited_for_and_one_who_reads_again_hears_again() {
        let (mut read, write) = io::pipe().unwrap();
        let record = [b'x'; 10_000];
        let began = Instant::now();
        let mut written = 0;
        while write_all(write.as_fd(), &record).is_ok() {
            written += record.len();
        }
        for _ in 0..100 {
            assert_eq!(write_all(write.as_fd(), &record), Err(Errno::EAGAIN));
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        read.read_exact(&mut vec![0; written]).unwrap();
        assert_eq!(write_all(write.as_fd(), &record), Ok(()));
    }

    #[test]
    fn no_signal_is_left_behind() {
        let before = SigSet::thread_get_mask().unwrap();
        write(b"");
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
        assert!(!is_pending());
    }
}
