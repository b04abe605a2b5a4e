//! Why a message was not sent or received: conditions that a caller handles.

use nix::errno::Errno;
use std::fmt;

/// What a ring says instead of doing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing to receive, or no room to send, and waiting was not asked for.
    Later,
    /// The same after the time that was given.
    TimedOut,
    /// The other side has closed its handle. Told once; what it had sent was received before.
    Left,
    /// The other side died. Told once; what it had sent was received before, and a successor may take its place.
    Died,
    /// The message is longer than the ring, the block, or the buffer allows. A received one is still there.
    TooLong,
    /// The other side wrote what it must not. The handle is of no use any more; nothing of it was delivered.
    Corrupt,
    /// Nothing was reserved or looked at that this call could refer to, or a block that is not held.
    NotHeld,
    /// The operating system failed.
    System(Errno),
}

impl Refusal {
    /// The number a C caller finds in `errno`.
    pub fn errno(self) -> Errno {
        match self {
            Refusal::Later => Errno::EAGAIN,
            Refusal::TimedOut => Errno::ETIMEDOUT,
            Refusal::Left => Errno::EPIPE,
            Refusal::Died => Errno::EOWNERDEAD,
            Refusal::TooLong => Errno::EMSGSIZE,
            Refusal::Corrupt => Errno::EPROTO,
            Refusal::NotHeld => Errno::EINVAL,
            Refusal::System(errno) => errno,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Later => "the ring has nothing to receive, or no room, right now",
            Refusal::TimedOut => "the other side did nothing for as long as was asked",
            Refusal::Left => "the other side of the ring has closed it",
            Refusal::Died => "the other side of the ring has died",
            Refusal::TooLong => "the message is too long",
            Refusal::Corrupt => "the other side broke the ring",
            Refusal::NotHeld => "nothing was reserved or looked at before",
            Refusal::System(errno) => return write!(f, "cannot wait for the other side: {}", errno.desc()),
        })
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for std::io::Error {
    fn from(refusal: Refusal) -> std::io::Error {
        refusal.errno().into()
    }
}
