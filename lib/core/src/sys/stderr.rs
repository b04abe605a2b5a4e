//! Writing to stderr as a library may: without a lock, and without ending the process when its reader is gone.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::unistd;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

/// Writes `text`, as far as that is possible; a closed or broken stderr is nobody's business.
///
/// A pipe without a reader would raise SIGPIPE, which ends programs that never asked for a log on stderr: the signal is
/// blocked meanwhile and taken back if it came from here.
pub(crate) fn write(text: &[u8]) {
    let mut sigpipe = SigSet::empty();
    sigpipe.add(Signal::SIGPIPE);
    let was_pending = is_pending();
    let Ok(before) = sigpipe.thread_swap_mask(SigmaskHow::SIG_BLOCK) else { return };
    let broken = write_all(text) == Err(Errno::EPIPE);
    if broken && !was_pending {
        take_back(&sigpipe);
    }
    // Restoring a mask that was valid a moment ago cannot fail.
    let _ = before.thread_set_mask();
}

fn write_all(mut text: &[u8]) -> Result<(), Errno> {
    while !text.is_empty() {
        match unistd::write(io::stderr(), text) {
            Ok(count) => text = text.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_signal_is_left_behind() {
        let before = SigSet::thread_get_mask().unwrap();
        write(b"");
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
        assert!(!is_pending());
    }
}
