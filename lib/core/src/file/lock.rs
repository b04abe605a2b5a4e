//! One holder per file, until he lets go or ends: the kernel gives the lock back with the last descriptor.

use crate::error::Error;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

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
        Lock::within(path, Some(Duration::ZERO))
    }

    /// Locks the file as soon as nobody holds it; `None` when that takes longer than `patience`.
    ///
    /// # Errors
    /// As [`Lock::try_hold`].
    pub fn within(path: &Path, patience: Option<Duration>) -> Result<Option<Lock>, Error> {
        let file = open(path)?;
        let locked = lock(&file, patience).map_err(|error| Error::file("lock", path, error))?;
        Ok(locked.then_some(Lock { file }))
    }

    /// Holds it until the process ends.
    pub fn keep(self) {
        std::mem::forget(self.file);
    }
}

/// Locks an open file, for all who have this descriptor or a copy of it; `false` when `patience` (without one there is
/// no end to it) was over before whoever holds it let go.
///
/// # Errors
/// For what cannot be locked.
pub fn lock(file: &File, patience: Option<Duration>) -> io::Result<bool> {
    let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
    let mut nap = Duration::from_millis(1);
    loop {
        let tried = if deadline.is_some() { file.try_lock() } else { file.lock().map_err(TryLockError::Error) };
        match tried {
            Ok(()) => return Ok(true),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        // The kernel has no lock with a time limit, and a signal to interrupt one would be the program's.
        let left = deadline.map_or(nap, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(false);
        }
        thread::sleep(left.min(nap));
        nap = (nap * 2).min(LONGEST_NAP);
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(path).map_err(|error| Error::file("lock", path, error))
}

/// How long a lock may be free before we notice.
const LONGEST_NAP: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_waited_for() {
        let path = std::env::temp_dir().join(format!("msf-lock-{}", std::process::id()));
        let first = Lock::try_hold(&path).unwrap().unwrap();
        assert!(Lock::within(&path, Some(Duration::from_millis(10))).unwrap().is_none());
        std::thread::scope(|scope| {
            let second = scope.spawn(|| Lock::within(&path, None).map(drop));
            drop(first);
            second.join().unwrap().unwrap();
        });
        std::fs::remove_file(&path).unwrap();
        assert!(Lock::try_hold(Path::new("/nowhere/at/all")).is_err());
    }
}
