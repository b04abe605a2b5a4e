//! What a process that was killed has left in its rings goes into the log when the log is opened next.
//!
//! It is written the way the dead would have done it, between the same marks in the same file: so whoever is killed while
//! he recovers leaves it to the next one, and each record still appears once. Only the batch that was being written takes
//! more: it is composed again, and looked for in the log, at lines that begin behind where the log ended before.

use super::logger::{self, Cursor, Logger};
use super::ring::Ring;
use super::rotate;
use super::sink::{Sink, wait_for_others};
use super::spool::{self, Batch, Spool, Spot};
use crate::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::iter;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

impl Logger {
    /// Writes to the open log what processes that are gone had for it. Returns how many records.
    pub fn recover(&mut self) -> u64 {
        let Some(sink) = self.sink.as_ref().filter(|sink| sink.is_a_file()) else { return 0 };
        let mut total = 0;
        for orphan in spool::orphans(sink.path()) {
            total += self.take_over(&orphan);
        }
        self.stats.recovered += total;
        total
    }

    /// Writes what is in the rings of a process that is gone, and removes their file. Returns how many records.
    ///
    /// The log is rotated as the dead would have done it: with a limit of our own it could lose files that he kept.
    pub fn take_over(&mut self, orphan: &Spool) -> u64 {
        self.inherited = orphan.limit();
        let begun = match orphan.batch() {
            Batch::Begun(spot) => self.complete(orphan, spot),
            Batch::Written => {
                orphan.finish();
                0
            }
            Batch::Complete => 0,
        };
        let total = begun + self.drain(orphan, u64::MAX);
        self.inherited = None;
        orphan.remove();
        total
    }

    /// Writes what is missing of the batch that was begun. Returns how many records it holds.
    fn complete(&mut self, orphan: &Spool, spot: Spot) -> u64 {
        let range = |ring: Ring| (ring.positions().waiting().0, ring.positions().intended());
        let mut cursors: Vec<Cursor> = logger::cursors_of(orphan, range).collect();
        let count = self.compose(orphan, &mut cursors, u64::MAX, usize::MAX, false);
        if let Some(mut sink) = self.sink.take() {
            if let Err(error) = self.complete_in(&mut sink, spot) {
                logger::complain(&format!("{error}; records of process {} are lost", orphan.pid()));
            }
            self.sink = Some(sink);
        }
        orphan.finish();
        count
    }

    fn complete_in(&self, sink: &mut Sink, spot: Spot) -> Result<(), Error> {
        let lines = self.lines();
        let (file, found) =
            find(sink.path(), spot, lines).map_err(|error| Error::file("look into the log", sink.path(), error))?;
        let missing = lines.get(found.there..).unwrap_or_default();
        match file {
            _ if missing.is_empty() => Ok(()),
            // The rest of a line goes where its beginning is, though that file was rotated; and what is behind it with it.
            Some(mut file) if found.torn => {
                file.write_all(missing).map_err(|error| Error::file("write to the log", sink.path(), error))
            }
            _ => sink.append(missing, self.log_limit(), logger::complain),
        }
    }
}

/// How much of some lines a log has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    there: usize,
    /// They are at the file's very end, and the last one there is not whole.
    torn: bool,
}

impl Found {
    /// What of it is in whole lines.
    fn whole(self, lines: &[u8]) -> Found {
        Found { there: whole_lines(lines.get(..self.there).unwrap_or_default()), torn: false }
    }
}

/// Looks for `lines` in the file that was the log when they were written, which may have been rotated since.
fn find(log: &Path, spot: Spot, lines: &[u8]) -> io::Result<(Option<File>, Found)> {
    let rotated = (1..100).map(|number| rotate::numbered(log, number));
    for name in iter::once(log.to_owned()).chain(rotated) {
        let file = OpenOptions::new().read(true).append(true).open(&name);
        let may_grow = file.is_ok();
        match file.or_else(|_| File::open(&name)) {
            Ok(file) if is_at(&file, spot)? => {
                let found = look(&file, spot, lines)?;
                return Ok(if may_grow { (Some(file), found) } else { (None, found.whole(lines)) });
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok((None, Found { there: 0, torn: false }))
}

fn look(file: &File, spot: Spot, lines: &[u8]) -> io::Result<Found> {
    let mut found = search(&tail(file, spot.size, lines.len())?, lines);
    // What looks like half a line of ours may be another's that is just being written.
    for _ in 0..3 {
        if found.torn {
            wait_for_others(file);
            found = search(&tail(file, spot.size, lines.len())?, lines);
        }
    }
    Ok(found)
}

fn is_at(file: &File, spot: Spot) -> io::Result<bool> {
    let found = file.metadata()?;
    Ok((found.dev(), found.ino()) == (spot.dev, spot.ino))
}

/// What the file has behind `from`: as much as others may have written meanwhile, within reason.
fn tail(file: &File, from: u64, length: usize) -> io::Result<Vec<u8>> {
    let there = file.metadata()?.len().saturating_sub(from);
    let mut bytes = vec![0; usize::try_from(there).unwrap_or(0).min(length + MEANWHILE)];
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + read as u64)? {
            0 => break,
            count => read += count,
        }
    }
    bytes.truncate(read);
    Ok(bytes)
}

/// The lines were written with one call, so as far as they are there they are in one piece. The first line alone tells
/// them from others: it has its second, its process and its thread.
fn search(text: &[u8], lines: &[u8]) -> Found {
    let first = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |end| end + 1);
    let mut start = 0;
    while let Some(here) = text.get(start..) {
        let there = here.iter().zip(lines).take_while(|(one, other)| one == other).count();
        let at_the_end = start + there == text.len();
        if there >= first || (there > 0 && at_the_end) {
            let torn = at_the_end && there < lines.len() && text.last() != Some(&b'\n');
            let whole = if at_the_end { there } else { whole_lines(lines.get(..there).unwrap_or_default()) };
            return Found { there: whole, torn };
        }
        match here.iter().position(|byte| *byte == b'\n') {
            Some(end) => start += end + 1,
            None => break,
        }
    }
    Found { there: 0, torn: false }
}

fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
}

/// How far behind its own records other processes' are looked through.
const MEANWHILE: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &[u8] = b"[1] a\n[1] b\n[1] c\n";

    #[test]
    fn regress_half_a_line_is_found_where_it_is_also_in_a_file_that_was_rotated() {
        let folder = std::env::temp_dir().join(format!("msf-recover-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let log = folder.join("x.log");
        let rotated = rotate::numbered(&log, 2);
        std::fs::write(&log, "[2] z\n").unwrap();
        std::fs::write(&rotated, "[0] x\n[1] a\n[1]").unwrap();
        let about = std::fs::metadata(&rotated).unwrap();
        let spot = Spot { dev: about.dev(), ino: about.ino(), size: 6 };
        let (file, found) = find(&log, spot, LINES).unwrap();
        assert_eq!(found, Found { there: 9, torn: true });
        file.unwrap().write_all(&LINES[9..]).unwrap();
        assert_eq!(std::fs::read_to_string(&rotated).unwrap(), "[0] x\n[1] a\n[1] b\n[1] c\n");
        assert_eq!(find(&log, spot, LINES).unwrap().1, Found { there: 18, torn: false });
        // Not where it was, and not there at all.
        assert_eq!(find(&log, Spot { ino: 0, ..spot }, LINES).unwrap().1, Found { there: 0, torn: false });
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_there_is_found_wherever_the_write_stopped() {
        for there in 0..=LINES.len() {
            let found = search(&LINES[..there], LINES);
            let torn = there > 0 && LINES[there - 1] != b'\n';
            assert_eq!(found, Found { there, torn }, "{there}");
        }
    }

    #[test]
    fn lines_of_others_before_and_behind_are_not_taken_for_ours() {
        let among = |ours: &str| search(format!("[1] x\n[1] y\n{ours}[2] z\n").as_bytes(), LINES);
        assert_eq!(among(""), Found { there: 0, torn: false });
        assert_eq!(among("[1] a\n[1] b\n"), Found { there: 12, torn: false });
        // Torn, and somebody else has ended the line since: it is written again, whole.
        assert_eq!(among("[1] a\n[1]\n"), Found { there: 6, torn: false });
        assert_eq!(among("[1] a\n[1] b\n[1] c\n"), Found { there: 18, torn: false });
    }
}
