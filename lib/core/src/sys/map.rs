//! A file's bytes (or a memfd's) in memory, shared with everybody who has mapped the same file.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;

/// A shared mapping that may be read and written. Nobody is kept from changing the bytes meanwhile: what is read through
/// the address is to be taken as what another process may write, and to be read by atomics or copied first.
#[derive(Debug)]
pub struct Map(memmap2::MmapRaw);

impl Map {
    /// The first `length` bytes of `file`. Fails with EINVAL for a length of 0, EACCES when the file was not opened for
    /// reading and writing. Bytes behind the file's end raise SIGBUS when they are touched: make the file long enough
    /// first, and seal or lock it against becoming shorter.
    pub fn shared(file: &impl AsFd, length: usize) -> io::Result<Map> {
        if length == 0 {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        memmap2::MmapOptions::new().len(length).map_raw(file.as_fd().as_raw_fd()).map(Map)
    }

    /// A forked child will not have it: neither its bytes nor, through it, the file's lock.
    pub fn keep_from_children(&self) -> io::Result<()> {
        self.0.advise(memmap2::Advice::DontFork)
    }

    /// Where it begins: at a page.
    pub fn start(&self) -> NonNull<u8> {
        NonNull::new(self.0.as_mut_ptr()).unwrap_or(NonNull::dangling())
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none; never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::memfd::{MFdFlags, memfd_create};
    use std::fs::File;

    #[test]
    fn two_mappings_of_one_file_show_the_same_bytes() {
        let file = File::from(memfd_create("map", MFdFlags::MFD_CLOEXEC).unwrap());
        file.set_len(4096).unwrap();
        let (ours, theirs) = (Map::shared(&file, 4096).unwrap(), Map::shared(&file, 4096).unwrap());
        // SAFETY: the mapping is 4096 bytes long and lives.
        unsafe { ours.start().write(42) };
        // SAFETY: as above.
        assert_eq!(unsafe { theirs.start().read() }, 42);
        assert_eq!(theirs.len(), 4096);
    }

    #[test]
    fn a_mapping_of_nothing_is_refused() {
        let file = File::open("/dev/null").unwrap();
        assert_eq!(Map::shared(&file, 0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
