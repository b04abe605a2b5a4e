//! How full a file system is, in numbers of 64 bits on every machine (the plain call's are as wide as a pointer).

use nix::NixPath;
use nix::errno::Errno;
use std::mem::MaybeUninit;
use std::path::Path;

/// Blocks and files of a file system, as the kernel counts them.
pub(crate) struct Volume {
    pub block: u64,
    pub blocks: u64,
    pub blocks_free: u64,
    pub blocks_available: u64,
    pub files: u64,
    pub files_free: u64,
}

/// The file system that `path` is in.
pub(crate) fn look(path: &Path) -> Result<Volume, Errno> {
    let mut about = MaybeUninit::<libc::statvfs64>::zeroed();
    // SAFETY: the path is NUL-terminated, and the call writes no further than the struct it is given.
    let status = path.with_nix_path(|path| unsafe { libc::statvfs64(path.as_ptr(), about.as_mut_ptr()) })?;
    Errno::result(status)?;
    // SAFETY: numbers only, so all-zero was a value already.
    let about = unsafe { about.assume_init() };
    Ok(Volume {
        // f_bsize is what is best read at once; the counts are in these.
        block: about.f_frsize as _,
        blocks: about.f_blocks,
        blocks_free: about.f_bfree,
        blocks_available: about.f_bavail,
        files: about.f_files,
        files_free: about.f_ffree,
    })
}
