//! What one process uses, looked at again and again: its files in `/proc` stay open, and nothing is allocated by a look.
//!
//! A kept file is the process's own: when its number belongs to somebody else, looking fails with ESRCH.

use super::process::page_size;
use super::{odd, ticks};
use crate::error::Error;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// A process that is looked at.
#[derive(Debug)]
pub struct Gauge {
    pid: i32,
    stat: File,
    folder: Option<File>,
    page: u64,
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Bytes of memory it has in use.
    pub resident: u64,
    /// Processor time, of the kernel for it as well, its ended threads included.
    pub busy: Duration,
    /// How many threads it has.
    pub threads: u64,
    /// A signal is ending it: perhaps its core is being written.
    pub is_dying: bool,
}

impl Gauge {
    /// For the process `pid`.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(pid: i32) -> Result<Gauge, Error> {
        let path = format!("/proc/{pid}/stat");
        let stat = File::open(&path).map_err(|error| Error::file("read", &path, error))?;
        Ok(Gauge { pid, stat, folder: None, page: page_size() })
    }

    /// Looks.
    ///
    /// # Errors
    /// ESRCH when it has ended and was collected.
    pub fn look(&self) -> Result<Reading, Error> {
        let mut line = [0; 1024];
        let failed = |error| Error::file("read", format!("/proc/{}/stat", self.pid), error);
        let len = self.stat.read_at(&mut line, 0).map_err(failed)?;
        let read = line.get(..len).and_then(|line| parse(line, self.page));
        read.ok_or_else(|| odd(&format!("/proc/{}/stat", self.pid)))
    }

    /// How many descriptors it has open.
    ///
    /// # Errors
    /// EACCES when it is somebody else's.
    pub fn descriptors(&mut self) -> Result<u64, Error> {
        let path = format!("/proc/{}/fd", self.pid);
        let failed = |error| Error::file("look into", &path, error);
        let folder = match &self.folder {
            Some(folder) => folder,
            None => self.folder.insert(File::open(&path).map_err(failed)?),
        };
        // Since Linux 6.2 the folder's size is how many there are. Before that it is nothing, and they have to be counted.
        match folder.metadata().map_err(failed)?.len() {
            0 => {
                let entries = fs::read_dir(&path).map_err(failed)?;
                entries.map(|entry| entry.map(|_| 1)).sum::<io::Result<u64>>().map_err(failed)
            }
            count => Ok(count),
        }
    }
}

/// As proc(5) counts them: 9 are flags, 14 and 15 times, 20 threads, 24 pages.
fn parse(stat: &[u8], page: u64) -> Option<Reading> {
    let name_ends = stat.iter().rposition(|byte| *byte == b')')?;
    // The third is the first behind the name.
    let words = std::str::from_utf8(stat.get(name_ends + 1..)?).ok()?.split_ascii_whitespace();
    let (mut busy, mut threads, mut pages, mut is_dying) = (0u64, None, None, false);
    for (field, word) in (3..=24).zip(words) {
        match field {
            9 => is_dying = word.parse::<u64>().ok()? & PF_SIGNALED != 0,
            14 | 15 => busy = busy.saturating_add(word.parse().ok()?),
            20 => threads = Some(word.parse().ok()?),
            24 => pages = Some(word.parse::<i64>().ok()?.max(0).cast_unsigned()),
            _ => {}
        }
    }
    Some(Reading { resident: pages?.saturating_mul(page), busy: ticks(busy), threads: threads?, is_dying })
}

/// The kernel's flag of whom a signal ends.
const PF_SIGNALED: u64 = 0x400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_seen_as_it_is_now() {
        let mut own = Gauge::open(std::process::id().cast_signed()).unwrap();
        let before = own.look().unwrap();
        assert!(before.resident > 100_000 && before.threads > 0);
        let open = own.descriptors().unwrap();
        let more: Vec<File> = (0..200).map(|_| File::open("/dev/null").unwrap()).collect();
        // Other tests open and close files meanwhile.
        assert!(own.descriptors().unwrap() >= open + 100);
        drop(more);
        let big = vec![1u8; 64 << 20];
        assert!(own.look().unwrap().resident >= before.resident + (32 << 20), "{}", big.len());
        let begun = own.look().unwrap().busy;
        while own.look().unwrap().busy < begun + Duration::from_millis(20) {}
    }

    #[test]
    fn one_that_has_ended_is_not_somebody_else() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let mut gauge = Gauge::open(child.id().cast_signed()).unwrap();
        assert!(gauge.look().is_ok() && gauge.descriptors().is_ok());
        assert!(!gauge.look().unwrap().is_dying);
        child.kill().unwrap();
        while !gauge.look().unwrap().is_dying {}
        child.wait().unwrap();
        assert_eq!(gauge.look().unwrap_err().errno(), nix::errno::Errno::ESRCH);
        assert!(gauge.descriptors().is_err());
        assert!(Gauge::open(i32::MAX).is_err());
    }

    #[test]
    fn a_name_that_looks_like_the_rest_is_only_a_name() {
        let rest = (4..=30).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
        let read = parse(format!("17 (a) R 1 (b) S {rest}\n").as_bytes(), 10).unwrap();
        let expected = Reading { resident: 240, busy: Duration::from_millis(290), threads: 20, is_dying: false };
        assert_eq!(read, expected);
        assert_eq!(parse(b"17 (a) S 4 5 6", 10), None);
        assert_eq!(parse(b"", 10), None);
    }
}
