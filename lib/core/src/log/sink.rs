//! The log file: appending whole lines, noticing that the name belongs to another file by now, and a full disk.
//! The only file that names flexi_logger.
//!
//! flexi_logger's `FileLogWriter` writes; beside it stands the *anchor*, a descriptor of our own on the same file. As
//! long as the anchor is open the kernel cannot give its inode number to another file, so comparing it with what the
//! name leads to tells for certain whether somebody rotated.

use super::rotate::{self, Limit, same_file};
use crate::error::Error;
use crate::sys::place;
use flexi_logger::writers::{ArcFileLogWriter, FileLogWriter, FileLogWriterHandle};
use flexi_logger::{FileSpec, FlexiLoggerError, WriteMode};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write};
use std::mem::{self, ManuallyDrop};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// An open log file.
pub(super) struct Sink {
    path: PathBuf,
    open: Open,
    end: End,
    /// Rotation failed; not tried again before this.
    no_rotation_before: Option<Instant>,
}

struct Open {
    writer: ArcFileLogWriter,
    anchor: File,
    identity: Metadata,
    _flush_at_the_end: FileLogWriterHandle,
}

/// How the file ends: an append that failed may have left half a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Torn,
    Unknown,
}

impl Sink {
    /// Opens `path` for appending and creates what is missing, folders included.
    pub fn open(path: &Path) -> Result<Sink, Error> {
        let path = place::absolute(path).map_err(|error| Error::file("open the log", path, error))?;
        let open = Open::at(&path).map_err(|error| Error::file("open the log", &path, error))?;
        Ok(Sink { path, open, end: End::Unknown, no_rotation_before: None })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the name again, for example after an outside tool has renamed the file.
    pub fn reopen(&mut self) -> Result<(), Error> {
        self.open = Open::at(&self.path).map_err(|error| Error::file("open the log", &self.path, error))?;
        self.end = End::Unknown;
        Ok(())
    }

    /// Appends `line`, rotating first if it would not fit. A failed rotation is told to `complain`, and the line goes
    /// to the file that is open.
    pub fn append(&mut self, line: &[u8], limit: &Limit, complain: impl FnOnce(&str)) -> Result<(), Error> {
        let more = line.len() as u64;
        let size = self.follow().map_err(|error| Error::file("open the log", &self.path, error))?;
        if limit.is_reached(size, more) && self.may_rotate() {
            if let Err(error) = rotate::rotate(&self.path, limit, more) {
                self.no_rotation_before = Some(Instant::now() + BETWEEN_ROTATIONS_THAT_FAIL);
                complain(&format!("cannot rotate {}: {error}; it keeps growing", self.path.display()));
            }
            self.follow().map_err(|error| Error::file("open the log", &self.path, error))?;
        }
        self.write(line).map_err(|error| Error::file("write to the log", &self.path, error))
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
                self.end = End::Whole;
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

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.end == End::Unknown {
            self.end = if self.open.ends_with_newline() { End::Whole } else { End::Torn };
        }
        if self.end == End::Torn {
            self.open.writer.write_all(b"\n")?;
        }
        // Until the line is written whole, it may be there in part.
        self.end = End::Unknown;
        self.open.writer.write_all(line)?;
        self.end = End::Whole;
        Ok(())
    }
}

impl Open {
    fn at(path: &Path) -> io::Result<Open> {
        loop {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let anchor = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            let identity = anchor.metadata()?;
            let (mut writer, handle) = writer(path).map_err(into_io)?;
            // The writer opens its file when it is first used.
            writer.write_all(b"")?;
            // Had another process rotated in between, writer and anchor would be two files.
            match fs::metadata(path) {
                Ok(current) if same_file(&current, &identity) => {
                    return Ok(Open { writer, anchor, identity, _flush_at_the_end: handle });
                }
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
        self.anchor.metadata().is_ok_and(|found| same_file(&found, &self.identity))
    }

    /// While another process appends, the size runs ahead of a line's end for a moment: so it is looked at again.
    fn ends_with_newline(&self) -> bool {
        (0..3).any(|attempt| {
            if attempt > 0 {
                thread::sleep(Duration::from_millis(1));
            }
            let size = self.anchor.metadata().map_or(0, |metadata| metadata.size());
            let mut last = [b'\n'];
            // A file that cannot be read back (a pipe, a device) is taken as whole.
            size == 0 || self.anchor.read_at(&mut last, size - 1).is_err() || last == [b'\n']
        })
    }
}

fn writer(path: &Path) -> Result<(ArcFileLogWriter, FileLogWriterHandle), FlexiLoggerError> {
    let spec = FileSpec::try_from(path)?;
    FileLogWriter::builder(spec).append().write_mode(WriteMode::Direct).try_build_with_handle()
}

fn into_io(error: FlexiLoggerError) -> io::Error {
    match error {
        FlexiLoggerError::OutputIo(error) => error,
        // What is left are names a log file cannot have: a folder, an empty one, ".log".
        _ => io::Error::new(io::ErrorKind::InvalidInput, "it is no name for a log file"),
    }
}

/// Kept for good, so that nothing of it is ever closed.
static ABANDONED: Mutex<Vec<ManuallyDrop<Open>>> = Mutex::new(Vec::new());

const BETWEEN_ROTATIONS_THAT_FAIL: Duration = Duration::from_secs(60);
