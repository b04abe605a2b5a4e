//! What waits to be written to one peer: whole frames, back to back, sent with one system call per turn.

use nix::errno::Errno;
use nix::unistd::write;
use std::os::fd::AsFd;

/// Bytes in the order in which they must leave.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// How many of them are gone already.
    sent: usize,
}

/// What became of a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    /// All of it left.
    Empty,
    /// The peer's buffer is full; the rest waits.
    Blocked,
    /// The kernel has no memory for it just now; nothing will say when it has.
    Starved,
    /// The peer is gone.
    Broken(Errno),
}

impl Outbox {
    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a frame.
    pub fn push(&mut self, frame: &[u8]) {
        if self.sent > 0 && self.sent >= self.len() {
            // Moving fewer bytes than have been sent since the last move keeps the cost per byte constant.
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
        self.bytes.extend_from_slice(frame);
    }

    /// Writes as much as the peer takes. One call when everything fits, which is the rule.
    pub fn flush(&mut self, socket: impl AsFd) -> Flushed {
        loop {
            let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) else {
                self.clear();
                return Flushed::Empty;
            };
            match write(socket.as_fd(), rest) {
                Ok(count) => {
                    self.sent += count;
                    // Less than all was taken: the next write would only say so.
                    if !self.is_empty() {
                        return Flushed::Blocked;
                    }
                }
                Err(Errno::EAGAIN) => return Flushed::Blocked,
                Err(Errno::EINTR) => {}
                Err(Errno::ENOMEM | Errno::ENOBUFS) => return Flushed::Starved,
                Err(errno) => return Flushed::Broken(errno),
            }
        }
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.sent = 0;
    }

    /// Gives back what a burst has claimed, once nothing waits.
    pub fn trim(&mut self, keep: usize) {
        if self.is_empty() && self.bytes.capacity() > keep {
            *self = Outbox::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn bytes_leave_in_order_through_a_narrow_pipe() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut outbox = Outbox::default();
        let sent: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        sent.chunks(1000).for_each(|chunk| outbox.push(chunk));
        let mut got = Vec::new();
        let mut buffer = [0; 10_000];
        while got.len() < sent.len() {
            assert!(!matches!(outbox.flush(&ours), Flushed::Broken(_)));
            let count = theirs.read(&mut buffer).unwrap();
            got.extend_from_slice(&buffer[..count]);
            if got.len() == 1_000_000 {
                outbox.push(&[]);
            }
        }
        assert_eq!(got, sent);
        assert_eq!(outbox.flush(&ours), Flushed::Empty);
    }

    #[test]
    fn a_peer_that_is_gone_is_said_so() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut outbox = Outbox::default();
        outbox.push(b"x");
        assert_eq!(outbox.flush(&ours), Flushed::Broken(Errno::EPIPE));
    }
}
