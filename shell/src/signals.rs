//! The signals of the shell, read from a descriptor instead of interrupting anybody.

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

/// SIGTERM, SIGINT, SIGHUP and SIGUSR1, blocked for this thread and all it will make.
pub struct Signals {
    fd: SignalFd,
    /// Taken from the descriptor and not acted upon yet.
    early: RefCell<VecDeque<Signal>>,
}

impl Signals {
    /// Blocks them. Before the first thread exists, or one without the block would be hit.
    pub fn block() -> nix::Result<Signals> {
        let set = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1]);
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        Ok(Signals { fd, early: RefCell::default() })
    }

    /// The next one that has come, without waiting.
    pub fn next(&self) -> nix::Result<Option<Signal>> {
        match self.early.borrow_mut().pop_front() {
            Some(signal) => Ok(Some(signal)),
            None => self.read(),
        }
    }

    fn read(&self) -> nix::Result<Option<Signal>> {
        let Some(info) = self.fd.read_signal()? else { return Ok(None) };
        Signal::try_from(info.ssi_signo.cast_signed()).map(Some)
    }

    /// Whether the end was asked for while services were still going up. Whatever else came is kept for the loop.
    pub fn stop_is_pending(&self) -> bool {
        let mut early = self.early.borrow_mut();
        early.extend(std::iter::from_fn(|| self.read().ok().flatten()));
        early.iter().any(|signal| matches!(signal, Signal::SIGTERM | Signal::SIGINT))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
