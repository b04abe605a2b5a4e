//! One holder per file, until he lets go or ends: the kernel gives the lock back with the last descriptor.

use crate::error::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// An exclusive lock on a file. Dropped, it is given back; the file stays.
///
/// A child that is forked, and not one that is started, has it as well.
///
/// ```
/// use msf_core::file::Lock;
///
/// let path = std::env::temp_dir().join(format!("msf-doc-{}.lock", std::process::id()));
/// let lock = Lock::try_hold(&path)?.expect("nobody else has it");
/// assert!(Lock::try_hold(&path)?.is_none());
/// drop(lock);
/// assert!(Lock::try_hold(&path)?.is_some());
/// # std::fs::remove_file(&path).unwrap();
/// # Ok::<(), msf_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Locks the file, which is made if it is missing; `None` when somebody holds it.
    ///
    /// # Errors
    /// When it cannot be opened for writing, or is a symbolic link.
    pub fn try_hold(path: &Path) -> Result<Option<Lock>, Error> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lock { file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::file("lock", path, error)),
        }
    }

    /// Locks the file as soon as nobody holds it.
    ///
    /// # Errors
    /// As [`Lock::try_hold`].
    pub fn hold(path: &Path) -> Result<Lock, Error> {
        let file = open(path)?;
        loop {
            match file.lock() {
                Ok(()) => return Ok(Lock { file }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::file("lock", path, error)),
            }
        }
    }

    /// Holds it until the process ends.
    pub fn keep(self) {
        std::mem::forget(self.file);
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(path).map_err(|error| Error::file("lock", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_waited_for() {
        let path = std::env::temp_dir().join(format!("msf-lock-{}", std::process::id()));
        let first = Lock::try_hold(&path).unwrap().unwrap();
        assert!(Lock::try_hold(&path).unwrap().is_none());
        std::thread::scope(|scope| {
            let second = scope.spawn(|| Lock::hold(&path).map(drop));
            drop(first);
            second.join().unwrap().unwrap();
        });
        std::fs::remove_file(&path).unwrap();
        assert!(Lock::try_hold(Path::new("/nowhere/at/all")).is_err());
    }
}
