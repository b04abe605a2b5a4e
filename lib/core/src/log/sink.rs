//! The log file: appending whole lines, noticing that the name belongs to another file by now, and a full disk.
//!
//! As long as our descriptor is open the kernel cannot give its inode number to another file, so comparing it with what
//! the name leads to tells for certain whether somebody rotated.

use super::rotate::{self, Limit, same_file};
use super::spool::Spot;
use crate::error::Error;
use crate::sys::place;
use nix::fcntl::{FallocateFlags, fallocate};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::mem::{self, ManuallyDrop};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// An open log file.
#[derive(Debug)]
pub(super) struct Sink {
    path: PathBuf,
    open: Open,
    /// How large the file was when it was made ready.
    size: u64,
    /// As long as it is this large it ends as we have left it, with a whole line. Others that append may be killed in the
    /// middle of one, and a write of ours that fails may leave half of one.
    whole_at: Option<u64>,
    /// Rotation failed; not tried again before this.
    no_rotation_before: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    file: File,
    identity: Metadata,
}

impl Sink {
    /// Opens `path` for appending and creates what is missing, folders included.
    pub fn open(path: &Path) -> Result<Sink, Error> {
        if path.as_os_str().is_empty() {
            return Err(Error::file("open the log", path, io::ErrorKind::InvalidInput));
        }
        let path = place::absolute(path).map_err(|error| Error::file("open the log", path, error))?;
        let open = Open::at(&path).map_err(|error| Error::file("open the log", &path, error))?;
        Ok(Sink { path, open, size: 0, whole_at: None, no_rotation_before: None })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the name again, for example after an outside tool has renamed the file.
    pub fn reopen(&mut self) -> Result<(), Error> {
        self.open = Open::at(&self.path).map_err(|error| Error::file("open the log", &self.path, error))?;
        self.whole_at = None;
        Ok(())
    }

    /// Appends `lines`: [`Sink::prepare`] and [`Sink::write`].
    pub fn append(&mut self, lines: &[u8], limit: &Limit, complain: impl FnOnce(&str)) -> Result<(), Error> {
        self.prepare(lines.len() as u64, limit, complain)?;
        self.write(lines)
    }

    /// Makes ready for `more` bytes: rotates first if they would not fit, and ends a line that is not whole. A rotation
    /// that fails is told to `complain`, and the file that is open grows. Returns where the file ends.
    pub fn prepare(&mut self, more: u64, limit: &Limit, complain: impl FnOnce(&str)) -> Result<Spot, Error> {
        let mut size = self.follow().map_err(|error| self.not_open(error))?;
        if limit.is_reached(size, more) && self.may_rotate() {
            if let Err(error) = rotate::rotate(&self.path, limit, more) {
                self.no_rotation_before = Some(Instant::now() + BETWEEN_ROTATIONS_THAT_FAIL);
                complain(&format!("cannot rotate {}: {error}; it keeps growing", self.path.display()));
            }
            size = self.follow().map_err(|error| self.not_open(error))?;
        }
        self.size = size;
        self.end_line().map_err(|error| self.not_written(error))?;
        Ok(Spot { dev: self.open.identity.dev(), ino: self.open.identity.ino(), size })
    }

    /// Appends whole lines to the file that [`Sink::prepare`] has made ready.
    pub fn write(&mut self, lines: &[u8]) -> Result<(), Error> {
        // Until they are written whole, they may be there in part.
        self.whole_at = None;
        self.open.file.write_all(lines).map_err(|error| self.not_written(error))?;
        self.whole_at = Some(self.size + lines.len() as u64);
        Ok(())
    }

    /// Whether `more` bytes can be appended to the file that is open, as it is: then no memory is needed for it.
    pub fn takes(&self, more: u64, limit: &Limit) -> bool {
        let is_the_log =
            |found: &Metadata| same_file(found, &self.open.identity) && !limit.is_reached(found.len(), more);
        let brief = self.path.as_os_str().len() < BRIEF && self.whole_at.is_some() && self.open.is_intact();
        brief && fs::metadata(&self.path).is_ok_and(|found| is_the_log(&found))
    }

    /// Whether what is written is in a file that can be read back.
    pub fn is_a_file(&self) -> bool {
        self.open.identity.is_file()
    }

    fn not_open(&self, error: io::Error) -> Error {
        Error::file("open the log", &self.path, error)
    }

    fn not_written(&self, error: io::Error) -> Error {
        Error::file("write to the log", &self.path, error)
    }

    /// Makes sure that the file under the name is the one that is open, and returns its size.
    ///
    /// Where the name cannot be opened (a folder that is gone for us after dropping privileges) the old file is still
    /// there, and writing to it loses nothing. A program that closes descriptors it did not open, as daemons used to,
    /// may have taken ours away: what has their numbers now must not be written to.
    fn follow(&mut self) -> io::Result<u64> {
        let intact = self.open.is_intact();
        if intact
            && let Ok(current) = fs::metadata(&self.path)
            && same_file(&current, &self.open.identity)
        {
            return Ok(current.len());
        }
        match Open::at(&self.path) {
            Ok(open) => {
                let old = mem::replace(&mut self.open, open);
                if !intact {
                    old.abandon();
                }
                self.whole_at = None;
                Ok(self.open.identity.len())
            }
            Err(_) if intact => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn may_rotate(&mut self) -> bool {
        let regular = self.open.identity.is_file();
        regular && self.no_rotation_before.is_none_or(|instant| Instant::now() >= instant)
    }

    fn end_line(&mut self) -> io::Result<()> {
        if self.whole_at != Some(self.size) && !self.open.ends_with_newline() {
            self.open.file.write_all(b"\n")?;
            self.size += 1;
        }
        Ok(())
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Open> {
        loop {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = OpenOptions::new().read(true).append(true).create(true).open(path);
            // A pipe or a device that may only be written to is a log, too.
            let file = file.or_else(|why| OpenOptions::new().append(true).open(path).map_err(|_| why))?;
            let identity = file.metadata()?;
            match fs::metadata(path) {
                Ok(current) if same_file(&current, &identity) => return Ok(Open { file, identity }),
                // Another process has rotated in between.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Lets go of descriptors that are somebody else's by now, and not ours to close.
    fn abandon(self) {
        ABANDONED.lock().unwrap_or_else(PoisonError::into_inner).push(ManuallyDrop::new(self));
    }

    /// Whether the descriptors are still the ones that were opened.
    fn is_intact(&self) -> bool {
        self.file.metadata().is_ok_and(|found| same_file(&found, &self.identity))
    }

    /// While another process appends, the size runs ahead of a line's end: so whoever is at it is waited for.
    fn ends_with_newline(&self) -> bool {
        (0..3).any(|attempt| {
            if attempt > 0 {
                wait_for_others(&self.file);
            }
            let size = self.file.metadata().map_or(0, |metadata| metadata.size());
            let mut last = [b'\n'];
            // A file that cannot be read back (a pipe, a device) is taken as whole.
            size == 0 || self.file.read_at(&mut last, size - 1).is_err() || last == [b'\n']
        })
    }
}

/// Returns when whoever is just writing to the file has done so. Blocks are allocated when nobody writes, and the first
/// byte's are there already. Where a file system has no such call, time has to do.
pub(super) fn wait_for_others(file: &File) {
    if fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, 1).is_err() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Kept for good, so that nothing of it is ever closed.
static ABANDONED: Mutex<Vec<ManuallyDrop<Open>>> = Mutex::new(Vec::new());

/// Paths that std hands to the kernel without asking for memory.
const BRIEF: usize = 256;
const BETWEEN_ROTATIONS_THAT_FAIL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regress_half_a_line_that_another_has_left_is_ended_first() {
        let path = std::env::temp_dir().join(format!("msf-sink-{}.log", std::process::id()));
        let _ = fs::remove_file(&path);
        let limit = Limit { bytes: 4096, files: 1 };
        let mut sink = Sink::open(&path).unwrap();
        let mut add = |line: &[u8]| sink.append(line, &limit, |_| ()).unwrap();
        add(b"one\n");
        let mut other = OpenOptions::new().append(true).open(&path).unwrap();
        other.write_all(b"half").unwrap();
        add(b"two\n");
        other.write_all(b"whole\n").unwrap();
        add(b"three\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\nhalf\ntwo\nwhole\nthree\n");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn regress_why_a_log_cannot_be_made_is_told_and_not_that_it_is_not_there() {
        // Nobody makes files there, not even root.
        let Err(why) = Sink::open(Path::new("/sys/msf.log")) else { panic!("a log in /sys") };
        assert!(!why.to_string().contains("No such file"), "{why}");
    }
}
