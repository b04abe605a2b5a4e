//! Room of a file that is given back to the file system. (nix has offsets of 31 bits for this on 32-bit machines.)

use nix::errno::Errno;
use std::fs::File;
use std::os::fd::AsRawFd;

/// Makes `length` bytes of the file from `from` on a hole: they read as zeros, and the file is as long as before.
/// EOPNOTSUPP where the file system has no holes.
pub fn punch(file: &File, from: u64, length: u64) -> Result<(), Errno> {
    allocate(file, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, from, length)
}

/// Takes the first `length` bytes out of the file: what was behind them is its beginning now. EOPNOTSUPP where the file
/// system cannot, EINVAL if that is not whole blocks, or all the file has.
pub fn cut_head(file: &File, length: u64) -> Result<(), Errno> {
    allocate(file, libc::FALLOC_FL_COLLAPSE_RANGE, 0, length)
}

fn allocate(file: &File, mode: i32, from: u64, length: u64) -> Result<(), Errno> {
    // SAFETY: the descriptor is open as long as the file is borrowed, and no memory is touched.
    let status = unsafe { libc::fallocate64(file.as_raw_fd(), mode, from.cast_signed(), length.cast_signed()) };
    Errno::result(status).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt, MetadataExt};

    #[test]
    fn a_hole_reads_as_zeros_and_what_is_behind_a_cut_moves_to_the_front() {
        let path = std::env::temp_dir().join(format!("msf-hole-{}", std::process::id()));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all_at(&[7; 3 << 16], 0).unwrap();
        let mut byte = [1];
        match punch(&file, 0, 1 << 16) {
            Ok(()) => {
                file.read_exact_at(&mut byte, 100).unwrap();
                assert_eq!((byte, file.metadata().unwrap().size()), ([0], 3 << 16));
            }
            Err(error) => assert_eq!(error, Errno::EOPNOTSUPP),
        }
        match cut_head(&file, 1 << 16) {
            Ok(()) => {
                file.read_exact_at(&mut byte, 0).unwrap();
                assert_eq!((byte, file.metadata().unwrap().size()), ([7], 2 << 16));
            }
            Err(error) => assert_eq!(error, Errno::EOPNOTSUPP),
        }
    }
}
