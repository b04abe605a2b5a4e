//! The kernel's readiness, behind one small type. The only file that names mio.
//!
//! mio arms edge-triggered only; what must be level-triggered (the fds of C callers) is armed by `epoll_ctl` on mio's
//! own epoll descriptor and comes back through the same events. An io_uring poller would stand here.

use super::call::{Call, Handler, Report};
use super::slots::Token;
use mio::unix::SourceFd;
use nix::sys::eventfd::{EfdFlags, EventFd};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
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
#[derive(Debug)]
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

    /// Like [`Poller::wait`], for descriptors in the [`LevelSet`]. A signal is an error of kind `Interrupted`.
    pub fn wait_level(&mut self, timeout: Option<Duration>, reports: &mut ReportBatch) -> io::Result<()> {
        reports.clear();
        self.poll.poll(&mut self.events, timeout)?;
        for event in &self.events {
            let token = Token::from_bits(event.token().0 as u32);
            if token != Token::WAKER {
                reports.push((token, report(event)));
            }
        }
        Ok(())
    }

    /// A second handle of the set, for level-triggered descriptors and for other threads.
    pub fn level_set(&self) -> io::Result<LevelSet> {
        Ok(LevelSet(self.poll.registry().try_clone()?))
    }

    /// Puts an empty set (but for `waker`) in the place of the one that `self` and `set` share.
    pub fn renew(&self, set: &LevelSet, waker: &KernelWaker) -> io::Result<()> {
        let fresh = Poller::new(1)?;
        fresh.add_waker(waker)?;
        let fresh = fresh.poll;
        // The polled one last: should that fail, the old set still reports what made us do this.
        for old in [set.0.as_raw_fd(), self.poll.as_raw_fd()] {
            // SAFETY: both numbers are open epoll descriptors owned by `self` and `set`, which keep owning the numbers.
            if unsafe { libc::dup3(fresh.as_raw_fd(), old, libc::O_CLOEXEC) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
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

/// Reports of one poll, in the kernel's order.
pub(super) type ReportBatch = Vec<(Token, Report)>;

#[inline]
fn report(event: &mio::event::Event) -> Report {
    let bit = |is: bool, bit: u8| if is { bit } else { 0 };
    let mut bits = bit(event.is_readable(), Report::READ) | bit(event.is_writable(), Report::WRITE);
    // mio folds HUP and RDHUP into one answer for the reading side; only HUP and ERR show on the writing side, too.
    if event.is_error() || event.is_write_closed() {
        bits |= Report::BROKEN;
    } else if event.is_read_closed() || bits == 0 {
        // mio does not show RDHUP without IN, so a report of nothing is that.
        bits |= Report::HALF_CLOSED;
    }
    Report(bits)
}

/// The level-triggered side of a poller's set. mio cannot arm so, hence `epoll_ctl` on its descriptor.
#[derive(Debug)]
pub(super) struct LevelSet(mio::Registry);

impl LevelSet {
    pub fn add(&self, fd: RawFd, token: Token, handler: &impl Handler) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, interest(handler))
    }

    pub fn change(&self, fd: RawFd, token: Token, handler: &impl Handler) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, interest(handler))
    }

    pub fn remove(&self, fd: RawFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, Token::WAKER, 0)
    }

    fn control(&self, operation: i32, fd: RawFd, token: Token, events: u32) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: u64::from(token.bits()) };
        // SAFETY: `event` is a local that the kernel only reads during the call; a wrong `fd` is an error, not harm.
        match unsafe { libc::epoll_ctl(self.0.as_raw_fd(), operation, fd, &raw mut event) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Hang-up and failure are always reported; half-closing only to who has an error callback, because a reader sees it
/// as the end of data anyhow.
fn interest(handler: &impl Handler) -> u32 {
    let bits = [(Call::Read, libc::EPOLLIN), (Call::Write, libc::EPOLLOUT), (Call::Error, libc::EPOLLRDHUP)];
    bits.iter().filter(|(call, _)| handler.wants(*call)).map(|(_, bit)| *bit as u32).sum()
}

/// Whether data waits on `fd`. Where the kernel cannot say, the next read will.
pub(super) fn unread(fd: RawFd) -> bool {
    let mut count: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int to its argument, which is a local int; a wrong `fd` is an error, not harm.
    match unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut count) } {
        0 => count > 0,
        _ => io::Error::last_os_error().raw_os_error() != Some(libc::EBADF),
    }
}

/// An eventfd whose edges end a wait; it is never read, only the edge matters.
#[derive(Debug)]
pub(super) struct KernelWaker(EventFd);

impl KernelWaker {
    pub fn new() -> io::Result<KernelWaker> {
        Ok(KernelWaker(EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?))
    }

    /// How often it was written since this was last asked.
    #[cfg(test)]
    pub fn writes(&self) -> u64 {
        self.0.read().unwrap_or(0)
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
