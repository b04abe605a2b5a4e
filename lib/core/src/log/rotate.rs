//! Rotation by renaming: x.log becomes x.log.1, x.log.1 becomes x.log.2, and the oldest is replaced.
//!
//! Several processes may share the file and find it full at the same moment. Whoever rotates holds a lock on the very
//! file he is about to rename; the others wait for it, find another file under the name, and are done.

use crate::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// When a file is full and how many full ones are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    /// Bytes after which a new file is begun.
    pub bytes: u64,
    /// How many renamed files are kept.
    pub files: u32,
}

impl Limit {
    pub const DEFAULT: Limit = Limit { bytes: 10 * 1024 * 1024, files: 5 };

    /// The limits an operator may ask for.
    pub fn checked(bytes: u64, files: u32) -> Result<Limit, Error> {
        let refused = |given: String, expected| Err(Error::Argument { given, expected });
        match (bytes, files) {
            (..4096, _) => refused(bytes.to_string(), "a size of log files in bytes, at least 4096"),
            (_, 100..) => refused(files.to_string(), "a number of kept log files, at most 99"),
            _ => Ok(Limit { bytes, files }),
        }
    }

    /// Whether a file of `size` bytes must give way before `more` are added. One record alone never does that.
    pub fn is_reached(&self, size: u64, more: u64) -> bool {
        size > 0 && size + more > self.bytes
    }
}

/// Renames the chain if the file under `path` is still too full for `more` bytes. Afterwards `path` may be missing.
pub(super) fn rotate(path: &Path, limit: &Limit, more: u64) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        // Another process has renamed it and not begun the next one yet.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    while let Err(error) = file.lock() {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let (ours, current) = (file.metadata()?, fs::metadata(path));
    let still_full = match current {
        Ok(current) => same_file(&ours, &current) && limit.is_reached(current.len(), more),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if still_full { shift(path, limit.files) } else { Ok(()) }
}

pub(super) fn same_file(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Moves each file one number up, the oldest first, so that no name is overwritten before it was moved. A number that is
/// missing (whoever rotated was killed half way) ends that: it takes the one before.
fn shift(path: &Path, files: u32) -> io::Result<()> {
    if files == 0 {
        return fs::remove_file(path);
    }
    let free = (1..files).find(|number| !numbered(path, *number).exists()).unwrap_or(files);
    for number in (1..free).rev() {
        match fs::rename(numbered(path, number), numbered(path, number + 1)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    fs::rename(path, numbered(path, 1))
}

/// The name of the renamed file with that number.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_moves_up_and_the_oldest_is_replaced() {
        let folder = std::env::temp_dir().join(format!("msf-rotate-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.log");
        let limit = Limit { bytes: 1, files: 2 };
        for text in ["one", "two", "three", "four"] {
            fs::write(&path, text).unwrap();
            rotate(&path, &limit, 1).unwrap();
        }
        assert!(!path.exists());
        assert_eq!(fs::read_to_string(numbered(&path, 1)).unwrap(), "four");
        assert_eq!(fs::read_to_string(numbered(&path, 2)).unwrap(), "three");
        assert!(!numbered(&path, 3).exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_gap_that_a_killed_rotation_left_is_closed_and_nothing_behind_it_moves() {
        let folder = std::env::temp_dir().join(format!("msf-rotate-gap-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.log");
        for (name, text) in [("x.log", "new"), ("x.log.1", "one"), ("x.log.3", "three")] {
            fs::write(folder.join(name), text).unwrap();
        }
        rotate(&path, &Limit { bytes: 1, files: 5 }, 1).unwrap();
        let text = |number| fs::read_to_string(numbered(&path, number)).unwrap();
        assert_eq!((text(1).as_str(), text(2).as_str(), text(3).as_str()), ("new", "one", "three"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_somebody_else_has_rotated_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("msf-rotated-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.log");
        let limit = Limit { bytes: 100, files: 2 };
        rotate(&path, &limit, 10).unwrap();
        fs::write(&path, "fresh").unwrap();
        rotate(&path, &limit, 10).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "fresh");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_record_larger_than_the_limit_gets_a_file_of_its_own() {
        let limit = Limit { bytes: 100, files: 5 };
        assert!(!limit.is_reached(0, 500));
        assert!(limit.is_reached(1, 500));
        assert!(!limit.is_reached(50, 50));
    }
}
