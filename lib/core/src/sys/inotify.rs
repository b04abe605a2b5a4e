//! Changes in the file system, through a descriptor (inotify).

use nix::errno::Errno;
use std::ffi::{CString, c_int};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Watches on files and folders. The masks are those of `inotify(7)`.
#[derive(Debug)]
pub struct Watcher {
    fd: OwnedFd,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The watch it belongs to; −1 when the kernel's queue was full and changes were lost (`IN_Q_OVERFLOW`).
    pub watch: i32,
    /// What happened. `IN_IGNORED` is the last of its watch.
    pub mask: u32,
    /// Connects the two halves of a renaming; else 0.
    pub cookie: u32,
    /// The entry of the watched folder that it is about, if it is about one.
    pub name: Option<CString>,
}

impl Watcher {
    /// A watcher that watches nothing yet.
    pub fn new() -> io::Result<Watcher> {
        // SAFETY: takes a number.
        let fd = checked(unsafe { libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC) })?;
        // SAFETY: the call returned it just now, so it is open and ours alone.
        Ok(Watcher { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Watches `path` (what it names now: a file that is put in its place later is another one); the watch's number.
    /// Watching the same file again replaces the mask.
    pub fn watch(&self, path: &Path, mask: u32) -> io::Result<i32> {
        let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(Errno::EINVAL))?;
        // SAFETY: an open descriptor, a NUL-terminated string and a number.
        checked(unsafe { libc::inotify_add_watch(self.fd.as_raw_fd(), path.as_ptr(), mask) })
    }

    /// Ends a watch; EINVAL when there is no such one. What the kernel has queued for it still comes, then `IN_IGNORED`.
    pub fn unwatch(&self, watch: i32) -> io::Result<()> {
        // SAFETY: numbers only.
        checked(unsafe { libc::inotify_rm_watch(self.fd.as_raw_fd(), watch) }).map(drop)
    }

    /// Takes one change, the oldest; `None` when there is none.
    pub fn take(&self) -> io::Result<Option<Change>> {
        let mut buffer = [0; HEADER + LONGEST_NAME];
        // The kernel gives as many as fit, and what was read must be told: room for just the first one is found by trying.
        for size in (HEADER..=buffer.len()).step_by(HEADER) {
            match nix::unistd::read(&self.fd, &mut buffer[..size]) {
                Ok(length) => return Ok(parsed(&buffer[..length])),
                Err(Errno::EINVAL) => {}
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Errno::EINVAL.into())
    }
}

/// Names are padded to a multiple of the header's size.
const HEADER: usize = 16;
const LONGEST_NAME: usize = 256;

fn parsed(bytes: &[u8]) -> Option<Change> {
    let (header, name) = bytes.split_first_chunk::<HEADER>()?;
    let word = |at: usize| header[at..at + 4].try_into().map(u32::from_ne_bytes).ok();
    let name: Vec<u8> = name.iter().copied().take_while(|&byte| byte != 0).collect();
    let name = if name.is_empty() { None } else { CString::new(name).ok() };
    Some(Change { watch: word(0)? as i32, mask: word(4)?, cookie: word(8)?, name })
}

fn checked(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn changes_come_one_by_one_with_names_of_any_length() {
        let folder = std::env::temp_dir().join(format!("msf-watcher-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let watcher = Watcher::new().unwrap();
        let watch = watcher.watch(&folder, libc::IN_CREATE | libc::IN_DELETE_SELF).unwrap();
        let names = ["a".to_owned(), "b".repeat(15), "c".repeat(16), "d".repeat(255)];
        for name in &names {
            fs::write(folder.join(name), "").unwrap();
        }
        for name in &names {
            let change = watcher.take().unwrap().unwrap();
            assert_eq!((change.watch, change.mask), (watch, libc::IN_CREATE));
            assert_eq!(change.name.unwrap().to_str().unwrap(), name);
        }
        assert_eq!(watcher.take().unwrap(), None);
        fs::remove_dir_all(&folder).unwrap();
        let masks: Vec<_> = std::iter::from_fn(|| watcher.take().unwrap()).map(|change| change.mask).collect();
        assert_eq!(masks, [libc::IN_DELETE_SELF, libc::IN_IGNORED]);
        assert_eq!(watcher.unwatch(watch).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
