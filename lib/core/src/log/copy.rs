//! The copy of a record on stderr, made by the caller: in order with what the program itself prints there, and not owed to
//! anybody when it crashes. It asks for no memory, for a signal handler may make it while its thread is inside malloc.

use super::entry::Entry;
use super::record::{self, Out};
use crate::sys::{stderr, wall::Stamp};
use nix::unistd;

/// Prints the record with its time.
#[cold]
pub(super) fn dated(entry: &Entry<'_>) {
    print(Stamp::new().near(entry.stamp), entry);
}

/// Prints the record of a handler that has interrupted the logger itself: `[?` in place of the time says so.
#[cold]
pub(super) fn reentered(entry: &Entry<'_>) {
    print(b"?", entry);
}

fn print(time: &[u8], entry: &Entry<'_>) {
    let mut pieces = Pieces { bytes: [0; PIECE], length: 0 };
    pieces.put(b"[");
    pieces.put(time);
    let (pid, tid) = (unistd::getpid().as_raw(), unistd::gettid().as_raw());
    record::compose(&mut pieces, entry.level, &entry.source, entry.text, pid, tid);
    pieces.print();
}

/// A line on its way: as much as stderr takes at once, printed whenever it is full.
struct Pieces {
    bytes: [u8; PIECE],
    length: usize,
}

impl Pieces {
    fn print(&mut self) {
        stderr::write(self.bytes.get(..self.length).unwrap_or_default());
        self.length = 0;
    }
}

impl Out for Pieces {
    fn put(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.length == PIECE {
                self.print();
            }
            let free = self.bytes.get_mut(self.length..).unwrap_or_default();
            let (now, later) = bytes.split_at(bytes.len().min(free.len()));
            if let Some(place) = free.get_mut(..now.len()) {
                place.copy_from_slice(now);
            }
            self.length += now.len();
            bytes = later;
        }
    }
}

const PIECE: usize = libc::PIPE_BUF;
