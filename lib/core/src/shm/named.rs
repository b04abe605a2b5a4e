//! Files of shared memory with a name: in /dev/shm, or in the run directory where a machine has no /dev/shm.

use super::segment::private;
use crate::error::Error;
use crate::sys::place;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open as open_file, posix_fallocate};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat};
use nix::unistd::{linkat, unlink as remove};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A file of `size` zeros, made without a name, and what [`appear`] is to call it when it is whole: so nobody opens half a
/// segment, and a process that dies meanwhile, or cannot use it, leaves nothing behind.
pub(super) fn create(name: &str, size: usize, mode: u32) -> Result<(OwnedFd, PathBuf), Error> {
    let path = path(name)?;
    let size = libc::off_t::try_from(size).map_err(|_| failed("create the segment", &path)(Errno::EFBIG))?;
    if size == 0 || mode & !0o777 != 0 || mode & 0o600 != 0o600 {
        return Err(failed("create the segment", &path)(Errno::EINVAL));
    }
    let file = nameless(&path, size, mode).map_err(failed("create the segment", &path))?;
    Ok((file, path))
}

/// From now on it has its name.
pub(super) fn appear(file: BorrowedFd<'_>, path: &Path) -> Result<(), Error> {
    let here = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    linkat(AT_FDCWD, &here, AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW).map_err(failed("create the segment", path))
}

fn nameless(path: &Path, size: libc::off_t, mode: u32) -> Result<OwnedFd, Errno> {
    let folder = path.parent().unwrap_or(Path::new(FOLDER));
    let file = open_file(folder, OFlag::O_TMPFILE | OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::S_IRUSR | Mode::S_IWUSR)?;
    // The permissions are what was asked for, whatever the umask.
    fchmod(&file, Mode::from_bits_truncate(mode))?;
    posix_fallocate(&file, 0, size)?;
    Ok(file)
}

pub(super) fn open(name: &str, mode: u32) -> Result<OwnedFd, Error> {
    let path = path(name)?;
    // Without O_NONBLOCK a FIFO of that name would hold us up.
    let flags = OFlag::O_RDWR | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    let file = open_file(&path, flags, Mode::empty()).map_err(failed("open the segment", &path))?;
    let status = fstat(&file).map_err(failed("open the segment", &path))?;
    let regular = status.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
    if regular && private(&status, mode) {
        return Ok(file);
    }
    let (uid, found) = (status.st_uid, status.st_mode & 0o777);
    let reason = format!("user {uid} owns it with mode {found:04o}; ours or root's, within {mode:04o}, was expected");
    Err(Error::Unsafe { path, reason })
}

pub(super) fn unlink(name: &str) -> Result<(), Error> {
    let path = path(name)?;
    remove(&path).map_err(failed("unlink the segment", &path))
}

fn path(name: &str) -> Result<PathBuf, Error> {
    let word = name.strip_prefix('/').unwrap_or(name);
    if word.is_empty() || word.len() > LONGEST_NAME || word.starts_with('.') || word.contains(['/', '\0']) {
        return Err(Error::Argument { given: name.to_owned(), expected: "a name of shared memory" });
    }
    let folder = Path::new(FOLDER);
    let folder = if folder.is_dir() { folder.to_owned() } else { place::run_dir()? };
    Ok(folder.join(word))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(Errno) -> Error {
    let path = path.to_owned();
    move |errno| Error::file(doing, path, errno)
}

const FOLDER: &str = "/dev/shm";
const LONGEST_NAME: usize = 200;

#[cfg(test)]
mod tests {
    use crate::shm::Segment;
    use nix::errno::Errno;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn name(what: &str) -> String {
        format!("msf-test-{}-{what}", std::process::id())
    }

    #[test]
    fn a_named_segment_is_made_once_found_by_its_name_and_gone_when_unlinked() {
        let name = name("once");
        let ours = Segment::create(&name, 10_000, 0o600).unwrap();
        assert_eq!(Segment::create(&name, 10_000, 0o600).unwrap_err().errno(), Errno::EEXIST);
        let theirs = Segment::open(&format!("/{name}"), 0o600).unwrap();
        assert_eq!((ours.size(), theirs.size()), (10_000, 10_000));
        Segment::unlink(&name).unwrap();
        assert_eq!(Segment::open(&name, 0o600).unwrap_err().errno(), Errno::ENOENT);
        assert_eq!(Segment::unlink(&name).unwrap_err().errno(), Errno::ENOENT);
    }

    #[test]
    fn a_mode_wider_than_expected_is_refused() {
        let name = name("mode");
        let made = Segment::create(&name, 4096, 0o660).unwrap();
        let file = format!("/dev/shm/{name}");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o660);
        let error = Segment::open(&name, 0o600).unwrap_err();
        assert_eq!(error.errno(), Errno::EPERM);
        assert!(error.to_string().contains("mode 0660"), "{error}");
        assert!(Segment::open(&name, 0o660).is_ok());
        drop(made);
        Segment::unlink(&name).unwrap();
    }

    #[test]
    fn a_symbolic_link_is_not_followed_and_a_path_is_no_name() {
        let name = name("link");
        symlink("/etc/passwd", format!("/dev/shm/{name}")).unwrap();
        assert_eq!(Segment::open(&name, 0o600).unwrap_err().errno(), Errno::ELOOP);
        Segment::unlink(&name).unwrap();
        for wrong in ["", "/", "a/b", "..", "../x", ".hidden"] {
            assert_eq!(Segment::open(wrong, 0o600).unwrap_err().errno(), Errno::EINVAL, "{wrong}");
        }
        assert_eq!(Segment::create("msf-test-x", 0, 0o600).unwrap_err().errno(), Errno::EINVAL);
        assert_eq!(Segment::create("msf-test-x", 1, 0o400).unwrap_err().errno(), Errno::EINVAL);
    }
}
