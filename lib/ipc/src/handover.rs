//! The connection of a service passes to its successor: the same socket, so that the agent and everybody else notice
//! nothing.
//!
//! The old one lets its own calls be answered, reads nothing more, and answers what it has read; the bytes of half a
//! frame pass with the socket. Requests that come meanwhile wait in the kernel for the successor. It is the successor's
//! when the old one has said `GO`; until then the old one can go on with it.

use crate::client::Client;
use crate::errno::Errno;
use crate::link::Phase;
use crate::socket;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// What a successor must know beside the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passed {
    /// The id that is logged in.
    pub(crate) id: u32,
    /// The number of its last call.
    pub(crate) seq: u32,
    /// The longest payload the agent takes.
    pub(crate) limit: u32,
    /// What has come of a frame that is not whole.
    pub(crate) rest: Vec<u8>,
}

impl Passed {
    fn encode(&self) -> Vec<u8> {
        let words = [MAGIC, VERSION, self.id, self.seq, self.limit, self.rest.len() as u32];
        let mut bytes: Vec<u8> = words.into_iter().flat_map(u32::to_ne_bytes).collect();
        bytes.extend_from_slice(&self.rest);
        bytes
    }

    /// From the head; how many bytes of the rest follow.
    fn parse(head: &[u8; HEAD]) -> Result<(Self, usize), Errno> {
        let mut words = head.as_chunks::<4>().0.iter().map(|word| u32::from_ne_bytes(*word));
        let mut word = || words.next().unwrap_or_default();
        if (word(), word()) != (MAGIC, VERSION) {
            return Err(Errno::PROTO);
        }
        let passed = Self { id: word(), seq: word(), limit: word(), rest: Vec::new() };
        let length = word() as usize;
        // A frame that is whole is longer than that.
        if length > passed.limit as usize + LONGEST_HEAD { Err(Errno::PROTO) } else { Ok((passed, length)) }
    }
}

impl Client {
    /// Hands the connection over. After an error this client goes on.
    pub(crate) fn hand_over(self: &Arc<Self>, channel: BorrowedFd<'_>, end: Instant) -> Result<(), Errno> {
        {
            let mut link = self.lock();
            if link.phase != Phase::Up {
                return Err(Errno::NOTCONN);
            }
            // From here on only callbacks make calls.
            link.phase = Phase::Handing;
        }
        let handed = self.fall_silent(end).and_then(|()| self.pass(channel, end));
        let handed = handed.map_err(|errno| if errno.0 == libc::EPIPE { Errno::CONNRESET } else { errno });
        let mut link = self.lock();
        match handed {
            Ok(()) => link.phase = Phase::Over,
            Err(_) if link.phase == Phase::Handing => link.phase = Phase::Up,
            Err(_) => {}
        }
        drop(link);
        if handed.is_err() {
            self.io().freeze(false);
        }
        handed
    }

    /// Comes back when nothing is under way and nothing is read any more.
    fn fall_silent(self: &Arc<Self>, end: Instant) -> Result<(), Errno> {
        loop {
            self.until(end, || self.lock().session.is_idle())?;
            self.io().freeze(true);
            // A callback that waits for an answer of its own needs the reader again.
            let mut is_done = false;
            self.until(end, || {
                let mut link = self.lock();
                link.push_out();
                is_done = link.is_sent() && self.jobs.is_idle();
                is_done || !link.session.is_idle()
            })?;
            if is_done {
                return Ok(());
            }
            self.io().freeze(false);
        }
    }

    fn until(&self, end: Instant, mut condition: impl FnMut() -> bool) -> Result<(), Errno> {
        while !condition() {
            if Instant::now() >= end {
                return Err(Errno::TIMEDOUT);
            }
            if self.lock().phase != Phase::Handing {
                return Err(Errno::NOTCONN);
            }
            thread::sleep(A_MOMENT);
        }
        Ok(())
    }

    fn pass(&self, channel: BorrowedFd<'_>, end: Instant) -> Result<(), Errno> {
        let rest = self.io().unread().to_vec();
        let link = self.lock();
        let socket = link.socket.as_ref().ok_or(Errno::NOTCONN)?.as_fd().try_clone_to_owned()?;
        let passed =
            Passed { id: self.settings.id, seq: link.session.seq(), limit: link.session.payload_limit(), rest };
        drop(link);
        socket::pass(channel, &passed.encode(), socket.as_fd(), end)?;
        let mut word = [0];
        socket::receive_all(channel, &mut word, end)?;
        if word != READY {
            return Err(Errno::PROTO);
        }
        socket::send_all(channel, &GO, end)
    }
}

/// The successor's side: the socket, and what goes with it. It is ours when this returns.
pub(crate) fn take_over(channel: BorrowedFd<'_>, id: u32, end: Instant) -> Result<(OwnedFd, Passed), Errno> {
    let mut head = [0; HEAD];
    let socket = socket::receive_passed(channel, &mut head, end)?;
    let parsed = Passed::parse(&head).and_then(|passed| if passed.0.id == id { Ok(passed) } else { Err(Errno::INVAL) });
    let (mut passed, length) = parsed.inspect_err(|_| {
        // He need not wait for us; where even that fails, he will not.
        let _ = socket::send_all(channel, &NO, end);
    })?;
    passed.rest.try_reserve_exact(length).map_err(|_| Errno::NOMEM)?;
    passed.rest.resize(length, 0);
    socket::receive_all(channel, &mut passed.rest, end)?;
    socket::send_all(channel, &READY, end)?;
    let mut word = [0];
    match socket::receive_all(channel, &mut word, end) {
        Ok(()) if word == GO => Ok((socket, passed)),
        Ok(()) => Err(Errno::PROTO),
        Err(errno) => Err(errno),
    }
}

const MAGIC: u32 = 0x6963_7031;
const VERSION: u32 = 1;
const HEAD: usize = 24;
const LONGEST_HEAD: usize = 256;
const READY: [u8; 1] = [b'R'];
const GO: [u8; 1] = [b'G'];
const NO: [u8; 1] = [b'N'];
const A_MOMENT: Duration = Duration::from_micros(200);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[test]
    fn golden_what_passes() {
        let passed = Passed { id: 7, seq: 8, limit: 9, rest: b"xy".to_vec() };
        let words = [0x6963_7031, 1, 7, 8, 9, 2].map(u32::to_ne_bytes).concat();
        assert_eq!(passed.encode(), [words.as_slice(), b"xy"].concat());
    }

    #[test]
    fn nonsense_and_half_of_it_are_refused() {
        let whole = Passed { id: 7, seq: 8, limit: 100, rest: vec![5; 50] }.encode();
        for length in 0..=whole.len() {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let sent = socket::pass(ours.as_fd(), &whole[..length.max(1)], theirs.as_fd(), soon());
            assert_eq!(sent, Ok(()));
            drop(ours);
            assert!(take_over(theirs.as_fd(), 7, soon()).is_err(), "{length} bytes");
        }
        let (ours, theirs) = UnixStream::pair().unwrap();
        socket::pass(ours.as_fd(), &[9; HEAD], theirs.as_fd(), soon()).unwrap();
        assert_eq!(take_over(theirs.as_fd(), 7, soon()).unwrap_err(), Errno::PROTO);
        let (ours, theirs) = UnixStream::pair().unwrap();
        socket::pass(ours.as_fd(), &whole, theirs.as_fd(), soon()).unwrap();
        assert_eq!(take_over(theirs.as_fd(), 8, soon()).unwrap_err(), Errno::INVAL, "somebody else's connection");
    }

    #[test]
    fn whoever_does_not_answer_is_not_waited_for() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let end = Instant::now() + Duration::from_millis(30);
        assert_eq!(take_over(ours.as_fd(), 7, end).unwrap_err(), Errno::TIMEDOUT);
    }
}
