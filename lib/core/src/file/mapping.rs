//! A new file of a given size, in memory: shared with everybody who maps it.

use crate::error::Error;
use crate::sys::Map;
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

/// A mapped file.
#[derive(Debug)]
pub struct Mapping {
    /// The file.
    pub file: File,
    /// Its bytes.
    pub map: Map,
}

impl Mapping {
    /// Makes `path` a file of `size` zeroes, which the disk has room for, and maps it. One that is there is emptied first.
    ///
    /// # Errors
    /// When it cannot be made (ENOSPC: there is no such room), or `size` is 0 (EINVAL).
    pub fn create(path: &Path, size: usize) -> Result<Mapping, Error> {
        let failed = |error: io::Error| Error::file("map", path, error);
        if size == 0 {
            return Err(failed(io::Error::from_raw_os_error(libc::EINVAL)));
        }
        if i64::try_from(size).is_err() {
            return Err(failed(io::Error::from_raw_os_error(libc::EFBIG)));
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(path).map_err(failed)?;
        file.set_len(size as u64).map_err(failed)?;
        reserve(&file, size).map_err(|error| {
            // Whoever maps a file with holes that cannot be filled is killed when he writes there.
            let _ = file.set_len(0);
            failed(error)
        })?;
        let map = Map::shared(&file, size).map_err(failed)?;
        Ok(Mapping { file, map })
    }
}

/// On a disk that is full by then, the first touch of a page would be a SIGBUS.
fn reserve(file: &File, size: usize) -> io::Result<()> {
    let Ok(length) = libc::off_t::try_from(size) else { return Ok(()) };
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        // Not every file system can.
        Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn what_is_written_to_the_memory_is_in_the_file() {
        let path = std::env::temp_dir().join(format!("msf-mapping-{}", std::process::id()));
        std::fs::write(&path, "old").unwrap();
        let mapping = Mapping::create(&path, 5000).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [0; 5000]);
        // SAFETY: the mapping has 5000 bytes and lives.
        unsafe { mapping.map.start().write(b'n') };
        let mut byte = [0];
        mapping.file.read_at(&mut byte, 0).unwrap();
        assert_eq!(&byte, b"n");
        assert_eq!(Mapping::create(&path, 0).unwrap_err().errno(), Errno::EINVAL);
        #[cfg(target_pointer_width = "64")]
        assert_eq!(Mapping::create(&path, usize::MAX).unwrap_err().errno(), Errno::EFBIG);
        std::fs::remove_file(path).unwrap();
        assert_eq!(Mapping::create(Path::new("/nowhere/at/all"), 1).unwrap_err().errno(), Errno::ENOENT);
    }
}
