//! A file as one piece of bytes: read with a limit, replaced so that nobody ever sees a part of it.

use crate::error::Error;
use crate::sys::regular;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// All bytes of the file.
///
/// # Errors
/// When it cannot be read, is a folder (EISDIR), a pipe, a socket or a device (EINVAL), or has more than `most` bytes (EFBIG).
pub fn read(path: impl AsRef<Path>, most: usize) -> Result<Vec<u8>, Error> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let read = regular::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    match read {
        Ok(_) if bytes.len() <= most => Ok(bytes),
        Ok(_) => Err(Error::file("read", path, io::Error::from_raw_os_error(libc::EFBIG))),
        Err(error) => Err(Error::file("read", path, error)),
    }
}

/// The file has these bytes from now on. Others see the old ones or the new ones, also after a crash of the machine:
/// they are written beside it, to the disk, and take its name in one step.
///
/// It is a new file: made with `mode` (less the umask), owned by us, and not the one that other names may lead to.
///
/// # Errors
/// When it cannot be written; then the old one is still there.
pub fn replace(path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let path = path.as_ref();
    let aside = aside(path).map_err(|error| Error::file("replace", path, error))?;
    let written = write_new(&aside, bytes, mode).and_then(|()| fs::rename(&aside, path));
    if written.is_err() {
        let _ = fs::remove_file(&aside);
    }
    // The new name is the folder's content.
    written.and_then(|()| File::open(folder_of(path))?.sync_all()).map_err(|error| Error::file("replace", path, error))
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name in the same folder that no other thread or process uses.
pub(super) fn aside(path: &Path) -> io::Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nameless = if path.as_os_str().is_empty() { libc::ENOENT } else { libc::EISDIR };
    let name = path.file_name().ok_or_else(|| io::Error::from_raw_os_error(nameless))?.as_bytes();
    let ending = format!(".{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    // A name that is as long as a name may be has room beside it, too.
    let kept = name.get(..LONGEST_NAME - ending.len()).unwrap_or(name);
    Ok(path.with_file_name(OsStr::from_bytes(&[kept, ending.as_bytes()].concat())))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Bytes, on every file system of Linux.
const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_a_failure_leaves_the_old_one_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("msf-whole-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x");
        replace(&path, b"old", 0o600).unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(read(&path, 3).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&path, 2).unwrap_err().errno(), Errno::EFBIG);
        fs::create_dir(folder.join("taken")).unwrap();
        assert!(replace(folder.join("taken"), b"new", 0o600).is_err());
        assert_eq!(replace("/", b"new", 0o600).unwrap_err().errno(), Errno::EISDIR);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn regress_names_as_long_as_can_be_are_replaced_and_no_name_is_no_folder() {
        let path = std::env::temp_dir().join(format!("{:a<255}", std::process::id()));
        replace(&path, b"x", 0o600).unwrap();
        assert_eq!(read(&path, 1).unwrap(), b"x");
        fs::remove_file(&path).unwrap();
        assert_eq!(
            replace(path.with_file_name("b".repeat(256)), b"x", 0o600).unwrap_err().errno(),
            Errno::ENAMETOOLONG
        );
        assert_eq!(replace("", b"x", 0o600).unwrap_err().errno(), Errno::ENOENT);
    }
}
