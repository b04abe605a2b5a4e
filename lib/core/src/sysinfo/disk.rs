//! How full the file system of a path is.

use crate::error::Error;
use crate::sys::volume;
use std::path::Path;

/// A file system's room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Bytes of a block, the unit it is given out in.
    pub block: u64,
    /// Bytes in all.
    pub total: u64,
    /// Bytes not in use.
    pub free: u64,
    /// Bytes that are left for programs without special rights.
    pub available: u64,
    /// How many files it can have; 0 where that is not limited.
    pub files: u64,
    /// How many more.
    pub files_free: u64,
}

/// The file system that `path` is in.
///
/// # Errors
/// When there is no such path, or it may not be looked at.
pub fn usage(path: impl AsRef<Path>) -> Result<Disk, Error> {
    let path = path.as_ref();
    let found = volume::look(path).map_err(|errno| Error::file("look at the file system of", path, errno))?;
    let bytes = |blocks: u64| blocks.saturating_mul(found.block);
    Ok(Disk {
        block: found.block,
        total: bytes(found.blocks),
        free: bytes(found.blocks_free),
        available: bytes(found.blocks_available),
        files: found.files,
        files_free: found.files_free,
    })
}

impl Disk {
    /// What is in use, of what programs may use: 0 to 1, as `df` prints it.
    pub fn used_part(&self) -> f64 {
        let used = self.total.saturating_sub(self.free);
        let usable = used + self.available;
        if usable == 0 { 0.0 } else { used as f64 / usable as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn the_root_has_room_and_nowhere_is_an_error() {
        let root = usage("/").unwrap();
        assert!(root.block >= 512 && root.total >= root.free && root.free >= root.available, "{root:?}");
        assert_eq!(usage("/nowhere/at/all").unwrap_err().errno(), Errno::ENOENT);
    }

    #[test]
    fn what_is_kept_for_root_counts_neither_way() {
        let disk = Disk { total: 100, free: 40, available: 20, ..Disk::default() };
        assert_eq!(disk.used_part(), 0.75);
        assert_eq!(Disk::default().used_part(), 0.0);
    }
}
