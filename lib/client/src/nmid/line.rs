//! A connected socket, and the list of those that are open: a child process inherits them with a fork, and the broker
//! would not see a death before every child has let go. Whoever can run something in a child
//! (libipc can, a Rust program forks rarely) asks for the list there and closes them.

use crate::{Place, Stream};
use msf_wire::nmid::{Step, decode};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// See the module.
#[derive(Debug)]
pub(super) struct Line {
    stream: Stream,
    noted: Option<&'static AtomicI32>,
}

impl Line {
    pub(super) fn connect(place: &Place, patience: Duration) -> Result<Self, (String, io::Error)> {
        // std refuses a time of zero.
        let stream = Stream::connect(place, patience.max(Duration::from_millis(1)))?;
        let fd = stream.as_fd().as_raw_fd();
        let free = |slot: &&AtomicI32| slot.compare_exchange(NONE, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        Ok(Self { stream, noted: OPEN.iter().find(free) })
    }

    /// What came; `None` when nothing did within `patience` (without one it waits for ever).
    pub(super) fn read(&self, buffer: &mut [u8], patience: Option<Duration>) -> io::Result<Option<usize>> {
        self.stream.set_read_timeout(patience.map(|time| time.max(SHORTEST)))?;
        loop {
            match (&self.stream).read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if would_block(&error) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends whole frames, one write for each. One that does not leave within `patience` ends the connection: half a
    /// frame may be out.
    pub(super) fn send(&self, frames: &[u8], patience: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(patience.map(|time| time.max(SHORTEST)))?;
        let mut rest = frames;
        while let Ok(Step::Frame(_, used)) = decode(rest, u32::MAX) {
            let Some((frame, others)) = rest.split_at_checked(used) else { break };
            if let Err(error) = (&self.stream).write_all(frame) {
                self.shutdown();
                return Err(if would_block(&error) { io::ErrorKind::TimedOut.into() } else { error });
            }
            rest = others;
        }
        Ok(())
    }

    /// Whether the other end is there and has said nothing.
    pub(super) fn is_quiet(&self) -> bool {
        let looked = self.stream.block(false).and_then(|()| (&self.stream).read(&mut [0]));
        let quiet = looked.is_err_and(|error| would_block(&error));
        quiet && self.stream.block(true).is_ok()
    }

    pub(super) fn shutdown(&self) {
        self.stream.shutdown();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Before it is closed: its number may soon be somebody else's.
        if let Some(slot) = self.noted {
            slot.store(NONE, Ordering::Release);
        }
    }
}

/// Takes the numbers of this process's open connections to brokers out of the list. For a child process between fork
/// and exec, to close them: neither lock nor memory is taken. Lines beyond the 256th are not in the list.
pub fn take_open_sockets() -> impl Iterator<Item = RawFd> {
    OPEN.iter().map(|slot| slot.swap(NONE, Ordering::AcqRel)).filter(|fd| *fd != NONE)
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

static OPEN: [AtomicI32; 256] = [const { AtomicI32::new(NONE) }; 256];
const NONE: RawFd = -1;
/// The kernel takes a time of zero for none at all.
const SHORTEST: Duration = Duration::from_millis(1);
