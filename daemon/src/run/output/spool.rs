//! A file into which a process writes what is to be in the log, and from which its lines are taken.
//!
//! A file and not a pipe: whoever writes into it is never held up, and goes on writing when nobody reads, even when the
//! daemon has been killed; the next one finds what was said meanwhile. What has been read is given back to the file
//! system as a hole at the file's start, so nothing is lost and the file takes no room; where there are no holes
//! it is emptied when all of it has been read, and what is written at that very moment is lost.

use msf_core::sys::hole;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek64};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// See the module.
#[derive(Debug)]
pub struct Spool {
    file: File,
    /// Up to where it was read.
    at: u64,
    /// Up to where it is a hole.
    hole: u64,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    /// The last lines.
    last: VecDeque<String>,
    /// As many bytes are in them.
    last_bytes: usize,
}

/// What one look has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Lines, without their ends.
    pub lines: Vec<String>,
    /// Bytes passed over, for more came than could be read.
    pub skipped: u64,
    /// Whether more is there already.
    pub more: bool,
}

impl Spool {
    /// Reads what is in `file`, which is open for reading and writing, behind what somebody before us has read.
    pub fn new(file: File) -> Spool {
        let mut spool = Spool { file, at: 0, hole: 0, rest: Vec::new(), last: VecDeque::new(), last_bytes: 0 };
        // Where the hole ends; of a file that is all hole, its end.
        let start = match lseek64(&spool.file, 0, Whence::SeekData) {
            Ok(at) => u64::try_from(at).unwrap_or(0),
            Err(Errno::ENXIO) => spool.length(),
            Err(_) => 0,
        };
        (spool.at, spool.hole) = (start, start);
        spool
    }

    fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |about| about.len())
    }

    /// The lines that have come, as far as one look goes.
    pub fn take(&mut self) -> io::Result<Taken> {
        let mut taken = Taken::default();
        let length = self.length();
        if length < self.at {
            // Somebody has emptied it: programs do that with what they take for their own.
            (self.at, self.hole) = (0, 0);
        }
        if length - self.at > MOST_WAITING {
            taken.skipped = length - self.at - PIECE as u64;
            self.at = length - PIECE as u64;
            self.end_line(&mut taken.lines);
        }
        let mut piece = vec![0; PIECE];
        let read = self.file.read_at(&mut piece, self.at)?;
        for part in piece[..read].split_inclusive(|byte| *byte == b'\n') {
            if taken.lines.len() >= MOST_LINES {
                break;
            }
            self.at += part.len() as u64;
            self.add(part, &mut taken.lines);
        }
        taken.more = self.length() > self.at;
        self.give_back()?;
        Ok(taken)
    }

    /// The process has ended: what it has said without an end is a line, too.
    pub fn end_line(&mut self, lines: &mut Vec<String>) {
        if !self.rest.is_empty() {
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned();
            self.keep(&line);
            lines.push(line);
        }
    }

    /// Passes over what has not been read; so many bytes.
    pub fn skip(&mut self) -> u64 {
        let left = self.length().saturating_sub(self.at);
        self.at += left;
        left
    }

    /// Starts anew: all that is in it has been read.
    pub fn empty(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        (self.at, self.hole) = (0, 0);
        Ok(())
    }

    /// The last `count` lines.
    pub fn last(&self, count: usize) -> impl Iterator<Item = &String> {
        self.last.iter().skip(self.last.len().saturating_sub(count))
    }

    fn add(&mut self, part: &[u8], lines: &mut Vec<String>) {
        let (text, ends) = match part.split_last() {
            Some((b'\n', text)) => (text, true),
            _ => (part, false),
        };
        for piece in text.chunks(LONGEST) {
            if self.rest.len() + piece.len() > LONGEST {
                self.end_line(lines);
            }
            self.rest.extend_from_slice(piece);
        }
        if ends {
            if self.rest.is_empty() {
                lines.push(String::new());
            }
            self.end_line(lines);
        }
    }

    fn keep(&mut self, line: &str) {
        self.last_bytes += line.len();
        self.last.push_back(line.to_owned());
        while self.last.len() > MOST_KEPT || self.last_bytes > MOST_KEPT_BYTES {
            self.last_bytes -= self.last.pop_front().map_or(self.last_bytes, |line| line.len());
        }
    }

    fn give_back(&mut self) -> io::Result<()> {
        let read = self.at / PAGE * PAGE;
        if read == self.hole {
            return Ok(());
        }
        match hole::punch(&self.file, self.hole, read - self.hole) {
            Ok(()) => self.hole = read,
            Err(_) if self.at == self.length() => self.empty()?,
            Err(_) => {}
        }
        Ok(())
    }
}

/// Read in one look.
const PIECE: usize = 64 << 10;
/// A record is longer than an empty line.
const MOST_LINES: usize = 256;
/// If more waits, what is before the last piece is passed over.
const MOST_WAITING: u64 = 1 << 20;
/// A longer line becomes several.
const LONGEST: usize = 4096;
const MOST_KEPT: usize = 200;
const MOST_KEPT_BYTES: usize = 32 << 10;
/// What file systems give back; where their blocks are larger, they keep a little.
const PAGE: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    fn spool(name: &str) -> (File, Spool) {
        let path = std::env::temp_dir().join(format!("msf-spool-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let theirs = File::options().append(true).create(true).open(&path).unwrap();
        let ours = File::options().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        (theirs, Spool::new(ours))
    }

    fn all(spool: &mut Spool) -> usize {
        let lines = std::iter::from_fn(|| Some(spool.take().unwrap().lines.len()).filter(|count| *count > 0));
        lines.sum()
    }

    #[test]
    fn lines_come_in_pieces_and_the_last_needs_no_end() {
        let (mut theirs, mut spool) = spool("pieces");
        theirs.write_all(b"one\n\ntwo").unwrap();
        assert_eq!(spool.take().unwrap().lines, ["one", ""]);
        theirs.write_all(b" and a half\nthree \xff").unwrap();
        assert_eq!(spool.take().unwrap().lines, ["two and a half"]);
        let mut lines = Vec::new();
        spool.end_line(&mut lines);
        spool.end_line(&mut lines);
        assert_eq!(lines, ["three \u{fffd}"]);
        assert_eq!(spool.last(2).collect::<Vec<_>>(), ["two and a half", "three \u{fffd}"]);
    }

    #[test]
    fn a_line_of_any_length_is_cut_into_several_and_nothing_is_lost() {
        let (mut theirs, mut spool) = spool("long");
        theirs.write_all(&vec![b'x'; 10 * LONGEST + 5]).unwrap();
        theirs.write_all(b"\nend\n").unwrap();
        let lines = spool.take().unwrap().lines;
        assert_eq!((lines.len(), lines.iter().map(String::len).sum::<usize>()), (12, 10 * LONGEST + 8));
        assert!(spool.last(usize::MAX).map(String::len).sum::<usize>() <= MOST_KEPT_BYTES);
    }

    #[test]
    fn a_flood_is_read_piece_by_piece_or_passed_over_and_told() {
        let (mut theirs, mut spool) = spool("flood");
        theirs.write_all(&b"123456789\n".repeat(20_000)).unwrap();
        let first = spool.take().unwrap();
        assert_eq!((first.skipped, first.more), (0, true));
        theirs.write_all(&b"123456789\n".repeat(200_000)).unwrap();
        let second = spool.take().unwrap();
        assert!(second.skipped > 1 << 20 && second.lines.len() == MOST_LINES, "{second:?}");
        assert!(all(&mut spool) > 6_000);
        assert_eq!((spool.take().unwrap(), spool.skip()), (Taken::default(), 0));
        theirs.write_all(b"x\ny").unwrap();
        assert_eq!(spool.skip(), 3);
    }

    #[test]
    fn what_was_read_takes_no_room_and_is_not_read_again_by_the_next_one() {
        let (mut theirs, mut spool) = spool("room");
        theirs.write_all(&b"123456789\n".repeat(6_000)).unwrap();
        assert_eq!(all(&mut spool), 6_000);
        assert!(spool.file.metadata().unwrap().blocks() * 512 <= 2 * PAGE, "{:?}", spool.file.metadata());
        let mut next = Spool::new(spool.file.try_clone().unwrap());
        // At most a page, where there are holes.
        assert!(all(&mut next) <= 410);
        spool.empty().unwrap();
        theirs.write_all(b"new\n").unwrap();
        assert_eq!(spool.take().unwrap().lines, ["new"]);
        theirs.set_len(0).unwrap();
        theirs.write_all(b"n\n").unwrap();
        assert_eq!(spool.take().unwrap().lines, ["n"]);
    }
}
