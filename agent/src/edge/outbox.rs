//! What waits to be written to one peer: whole frames, back to back, sent with one system call per turn.
//!
//! Many of nmid's peers lose a frame, or themselves, when it does not come in one piece. For them frames are pushed with
//! [`Outbox::push_whole`], and a write holds one of them, or several that fit one segment of any network together.

use msf_wire::snapshot::{Damage, Reader, State, What, Writer};
use nix::errno::Errno;
use nix::unistd::write;
use std::collections::VecDeque;
use std::os::fd::AsFd;

/// Bytes in the order in which they must leave.
#[derive(Debug, Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    /// How many of them are gone already.
    sent: usize,
    /// For frames that must be written whole: where each ends, counted from the first byte there ever was.
    ends: VecDeque<u64>,
    /// How many bytes have left the buffer.
    gone: u64,
}

/// What waits, and where its frames end counted from there; what has left is nobody's business.
impl State for Outbox {
    fn save(&self, out: &mut Writer) {
        let sent = self.gone + self.sent as u64;
        let ends: Vec<u64> = self.ends.iter().map(|end| end.saturating_sub(sent)).filter(|end| *end > 0).collect();
        self.bytes.get(self.sent..).unwrap_or_default().to_vec().save(out);
        ends.save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<Outbox, Damage> {
        let (bytes, ends) = <(Vec<u8>, VecDeque<u64>)>::load(from)?;
        if ends.back().is_some_and(|last| *last > bytes.len() as u64) || !ends.iter().is_sorted() {
            return Err(from.damage(What::Contradiction("an outbox whose frames do not end with it")));
        }
        Ok(Outbox { bytes, sent: 0, ends, gone: 0 })
    }

    fn shape(out: &mut String) {
        <(Vec<u8>, VecDeque<u64>)>::shape(out);
    }
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
            self.gone += self.sent as u64;
            self.sent = 0;
        }
        self.bytes.extend_from_slice(frame);
    }

    /// Adds a frame for a peer that must get it in one piece.
    pub fn push_whole(&mut self, frame: &[u8]) {
        self.push(frame);
        self.ends.push_back(self.gone + self.bytes.len() as u64);
    }

    /// Writes as much as the peer takes. One call when everything fits, which is the rule.
    pub fn flush(&mut self, socket: impl AsFd) -> Flushed {
        loop {
            let piece = self.piece();
            let Some(rest) = self.bytes.get(self.sent..self.sent + piece).filter(|rest| !rest.is_empty()) else {
                self.clear();
                return Flushed::Empty;
            };
            match write(socket.as_fd(), rest) {
                Ok(count) => {
                    self.sent += count;
                    // Less than all was taken: the next write would only say so.
                    if count < piece {
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

    /// How much the next write holds.
    fn piece(&mut self) -> usize {
        let sent = self.gone + self.sent as u64;
        while self.ends.pop_front_if(|end| *end <= sent).is_some() {}
        let Some(first) = self.ends.front() else { return self.len() };
        let fits = self.ends.iter().take_while(|end| **end - sent <= SEGMENT).last();
        (fits.unwrap_or(first) - sent) as usize
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.gone += self.bytes.len() as u64;
        self.bytes.clear();
        self.sent = 0;
        self.ends.clear();
    }

    /// Gives back what a burst has claimed, once nothing waits.
    pub fn trim(&mut self, keep: usize) {
        if self.is_empty() && self.bytes.capacity() > keep {
            *self = Outbox::default();
        }
    }
}

/// What one segment of an Ethernet holds at least.
const SEGMENT: u64 = 1400;

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
    fn whole_frames_share_a_write_only_where_they_fit_a_segment_together() {
        let mut outbox = Outbox::default();
        [600, 600, 600, 5000, 10].iter().for_each(|length| outbox.push_whole(&vec![0; *length]));
        let mut pieces = Vec::new();
        while !outbox.is_empty() {
            let piece = outbox.piece();
            pieces.push(piece);
            outbox.sent += piece;
            outbox.push(&[]);
        }
        assert_eq!(pieces, [1200, 600, 5000, 10]);
    }

    #[test]
    fn the_rest_of_a_frame_goes_out_before_the_next_begins() {
        let mut outbox = Outbox::default();
        outbox.push_whole(&[1; 900]);
        outbox.push_whole(&[2; 900]);
        outbox.sent = 100;
        assert_eq!(outbox.piece(), 800);
        outbox.sent = 1000;
        assert_eq!(outbox.piece(), 800);
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
