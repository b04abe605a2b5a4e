//! The kernel's readiness, behind one small type. The only file that names mio.
//!
//! mio arms edge-triggered only; what must be level-triggered (the fds of C callers) is armed by `epoll_ctl` on mio's
//! own epoll descriptor and comes back through the same events. An io_uring poller would stand here.

use super::slots::Token;
use mio::unix::SourceFd;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

/// What to be told about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Data to read, or the end of it.
    pub read: bool,
    /// Room to write.
    pub write: bool,
}

impl Interest {
    /// Reading only.
    pub const READ: Interest = Interest { read: true, write: false };
    /// Reading and writing.
    pub const BOTH: Interest = Interest { read: true, write: true };
    /// Writing only.
    pub const WRITE: Interest = Interest { read: false, write: true };

    fn to_mio(self) -> io::Result<mio::Interest> {
        match (self.read, self.write) {
            (true, true) => Ok(mio::Interest::READABLE | mio::Interest::WRITABLE),
            (true, false) => Ok(mio::Interest::READABLE),
            (false, true) => Ok(mio::Interest::WRITABLE),
            (false, false) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

/// What has become true of one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// There is something to read (or end of file).
    pub read: bool,
    /// There is room to write.
    pub write: bool,
    /// The peer will send no more.
    pub hangup: bool,
    /// The descriptor has failed.
    pub error: bool,
}

/// An epoll descriptor and its event buffer.
pub(super) struct Poller {
    poll: mio::Poll,
    events: mio::Events,
}

impl Poller {
    pub fn new(capacity: usize) -> io::Result<Poller> {
        Ok(Poller { poll: mio::Poll::new()?, events: mio::Events::with_capacity(capacity) })
    }

    /// Sleeps until something is ready or `timeout` is over, and replaces the contents of `ready`. A signal is an
    /// early return with nothing ready.
    pub fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<(Token, Ready)>) -> io::Result<()> {
        ready.clear();
        match self.poll.poll(&mut self.events, timeout) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let awaited = self.events.iter().filter(|event| event.token().0 as u32 != Token::WAKER.bits());
        ready.extend(awaited.map(|event| {
            let ready = Ready {
                read: event.is_readable(),
                write: event.is_writable(),
                hangup: event.is_read_closed(),
                error: event.is_error(),
            };
            (Token::from_bits(event.token().0 as u32), ready)
        }));
        Ok(())
    }

    /// Puts a loop's waker into the set; its readiness is not reported, it only ends the wait.
    pub fn add_waker(&self, waker: &KernelWaker) -> io::Result<()> {
        self.add_edge(waker.0.as_fd(), Token::WAKER, Interest::READ)
    }

    pub fn add_edge(&self, fd: BorrowedFd, token: Token, interest: Interest) -> io::Result<()> {
        let registry = self.poll.registry();
        registry.register(&mut SourceFd(&fd.as_raw_fd()), mio::Token(token.bits() as usize), interest.to_mio()?)
    }

    pub fn change_edge(&self, fd: BorrowedFd, token: Token, interest: Interest) -> io::Result<()> {
        let registry = self.poll.registry();
        registry.reregister(&mut SourceFd(&fd.as_raw_fd()), mio::Token(token.bits() as usize), interest.to_mio()?)
    }

    pub fn remove(&self, fd: BorrowedFd) -> io::Result<()> {
        self.poll.registry().deregister(&mut SourceFd(&fd.as_raw_fd()))
    }
}

/// An eventfd whose edges end a wait; it is never read, only the edge matters.
#[derive(Debug)]
pub(super) struct KernelWaker(EventFd);

impl KernelWaker {
    pub fn new() -> io::Result<KernelWaker> {
        Ok(KernelWaker(EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?))
    }

    /// Lets the set that holds it report an edge. Async-signal-safe.
    pub fn wake(&self) {
        if self.0.write(1).is_err() {
            // Only a counter that is full after 2^64 - 2 wakes refuses: empty it and try once more.
            let _ = self.0.read();
            let _ = self.0.write(1);
        }
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // mio lends its descriptor as a raw number only.
        // SAFETY: the descriptor lives as long as `self.poll`, which the borrow of `self` keeps.
        unsafe { BorrowedFd::borrow_raw(self.poll.as_raw_fd()) }
    }
}
