//! What wakes a side that sleeps: a futex in the segment, or an eventfd that an event loop can watch.

use crate::sys::{futex, sync::atomic::AtomicU32};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::{read, write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// The two eventfds of a ring that was made with `bells`: both sides have both, the same ones.
#[derive(Debug)]
pub struct Bells {
    data: OwnedFd,
    space: OwnedFd,
}

impl Bells {
    /// New ones, for whoever makes the ring.
    pub fn new() -> Result<Bells, Errno> {
        let made = || EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map(OwnedFd::from);
        Ok(Bells { data: made()?, space: made()? })
    }

    /// Those that somebody else made: `data` tells the consumer of messages, `space` the producer of room. EINVAL for
    /// descriptors that would block.
    pub fn from_fds(data: OwnedFd, space: OwnedFd) -> Result<Bells, Errno> {
        for each in [&data, &space] {
            let flags = OFlag::from_bits_retain(fcntl(each, FcntlArg::F_GETFL)?);
            if !flags.contains(OFlag::O_NONBLOCK) {
                return Err(Errno::EINVAL);
            }
        }
        Ok(Bells { data, space })
    }

    /// Rung when there are messages.
    pub fn data(&self) -> BorrowedFd<'_> {
        self.data.as_fd()
    }

    /// Rung when there is room.
    pub fn space(&self) -> BorrowedFd<'_> {
        self.space.as_fd()
    }

    /// The same eventfds again, for the other side.
    pub fn try_clone(&self) -> std::io::Result<Bells> {
        Ok(Bells { data: self.data.try_clone()?, space: self.space.try_clone()? })
    }
}

/// How this side sleeps and wakes the other.
#[derive(Debug)]
pub(super) enum Bell {
    Futex,
    Event { ours: OwnedFd, theirs: OwnedFd },
}

impl Bell {
    pub fn of_producer(bells: Option<Bells>) -> Bell {
        bells.map_or(Bell::Futex, |bells| Bell::Event { ours: bells.space, theirs: bells.data })
    }

    pub fn of_consumer(bells: Option<Bells>) -> Bell {
        bells.map_or(Bell::Futex, |bells| Bell::Event { ours: bells.data, theirs: bells.space })
    }

    /// While the word is as `seen`, until rung, at most so long; may end for no reason. True when the time is over.
    pub fn sleep(&self, word: &AtomicU32, seen: u32, most: Option<Duration>) -> Result<bool, Errno> {
        match self {
            Bell::Futex => futex::wait(word, seen, most),
            Bell::Event { ours, .. } => {
                // A wait of less than a millisecond is one of a millisecond: rather late than busy.
                let most = most.map_or(u16::MAX, |most| u16::try_from(most.as_millis()).unwrap_or(u16::MAX).max(1));
                let found = match poll(&mut [PollFd::new(ours.as_fd(), PollFlags::POLLIN)], PollTimeout::from(most)) {
                    Err(Errno::EINTR) => return Ok(false),
                    found => found?,
                };
                if found > 0 {
                    self.silence();
                }
                Ok(found == 0)
            }
        }
    }

    /// Wakes the other, whose word this is.
    #[cold]
    pub fn ring(&self, word: &AtomicU32) {
        match self {
            Bell::Futex => futex::wake(word, 1),
            Bell::Event { theirs, .. } => strike(theirs),
        }
    }

    /// Wakes whoever watches our own descriptor.
    pub fn ring_ours(&self) {
        if let Bell::Event { ours, .. } = self {
            strike(ours);
        }
    }

    /// Takes back what was rung: who goes to sleep after this is woken by what happens from now on.
    pub fn silence(&self) {
        if let Bell::Event { ours, .. } = self
            && ready(ours.as_fd(), PollFlags::POLLIN)
        {
            let _ = read(ours, &mut [0; 8]);
        }
    }
}

/// A counter that is full is rung already.
fn strike(bell: &OwnedFd) {
    if ready(bell.as_fd(), PollFlags::POLLOUT) {
        let _ = write(bell, &1u64.to_ne_bytes());
    }
}

/// Whether it would not block. Both sides have the same open file: the other one can make it a blocking one.
fn ready(bell: BorrowedFd<'_>, what: PollFlags) -> bool {
    poll(&mut [PollFd::new(bell, what)], PollTimeout::ZERO).is_ok_and(|found| found > 0)
}
