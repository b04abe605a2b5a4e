//! A segment: memory of a fixed size that several processes map, without a name or with one.
//!
//! Who maps a file whose owner can make it shorter can be killed by him: touching what is no longer there is SIGBUS. So
//! only two kinds are mapped: memfds whose size is sealed, and files that nobody but us, root, or those whom the caller
//! names by a mode can write to.

use super::named;
use crate::error::Error;
use crate::sys::Map;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::unistd::geteuid;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;

/// Shared memory of a fixed size, mapped for reading and writing until it is dropped.
///
/// ```
/// use msf_core::shm::Segment;
/// use std::os::fd::AsFd;
///
/// let ours = Segment::sealed("frames", 1 << 20)?;
/// // The descriptor goes to the other process (SCM_RIGHTS); here it stays at home.
/// let theirs = Segment::attach(ours.as_fd().try_clone_to_owned()?)?;
/// assert_eq!(theirs.size(), 1 << 20);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Segment {
    map: Map,
    file: OwnedFd,
}

// SAFETY: a mapping is a range of addresses; no thread is special to it, and its owner unmaps it once.
unsafe impl Send for Segment {}
// SAFETY: a shared segment only tells its address, its size and its descriptor.
unsafe impl Sync for Segment {}

impl Segment {
    /// A new segment of zeros that nobody can make shorter or longer. It has no name: pass its descriptor on. `label` is
    /// what `/proc/PID/maps` shows (at most 249 bytes).
    ///
    /// Memory is taken when a page is first touched, not before.
    pub fn sealed(label: &str, size: usize) -> Result<Segment, Error> {
        let doing = Error::system("make a sealed segment");
        made(label, size).and_then(Segment::mapped).map_err(doing)
    }

    /// A new segment of zeros called `name` (one word without slashes; a leading one is allowed, as in `shm_open`), which
    /// stays until it is unlinked or the machine restarts. `mode` are its permissions. It appears complete or not at all,
    /// and its memory is reserved at once: there is no SIGBUS when the machine's shared memory is used up later.
    ///
    /// Fails with EEXIST when there is one of that name, ENOSPC when there is not so much memory.
    pub fn create(name: &str, size: usize, mode: u32) -> Result<Segment, Error> {
        let (file, path) = named::create(name, size, mode)?;
        let segment = Segment::mapped(file).map_err(Error::system("map a new segment"))?;
        named::appear(segment.as_fd(), &path)?;
        Ok(segment)
    }

    /// The segment called `name`. It must belong to us or to root, and have no permission bit that is not in `mode`: 0600
    /// unless whoever else may write to it is trusted (he could cut the file, which kills us by SIGBUS).
    ///
    /// Fails with ENOENT, with ELOOP for a symbolic link, with EPERM for an owner or a mode that was not expected.
    pub fn open(name: &str, mode: u32) -> Result<Segment, Error> {
        let file = named::open(name, mode)?;
        Segment::mapped(file).map_err(Error::system("map a segment"))
    }

    /// The segment called `name`, with mode 0600: the one there is, or a new one of `size` bytes; and whether there was one.
    /// Fails with EINVAL when the one there is is smaller, else as `open` and `create` do.
    pub fn open_or_create(name: &str, size: usize) -> Result<(Segment, bool), Error> {
        loop {
            match Segment::create(name, size, 0o600) {
                Ok(segment) => return Ok((segment, false)),
                Err(error) if error.errno() != Errno::EEXIST => return Err(error),
                Err(_) => {}
            }
            match Segment::open(name, 0o600) {
                Ok(segment) if segment.size() < size => return Err(Error::system("use the segment")(Errno::EINVAL)),
                Ok(segment) => return Ok((segment, true)),
                // It was unlinked meanwhile.
                Err(error) if error.errno() == Errno::ENOENT => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Removes the name. Who has the segment mapped keeps it.
    pub fn unlink(name: &str) -> Result<(), Error> {
        named::unlink(name)
    }

    /// The segment behind a descriptor that came from somebody else. Accepted are memfds that are sealed against
    /// shrinking and growing, whoever made them, and regular files of our own user or root that nobody else may write to.
    ///
    /// Fails with EPERM for any other, EINVAL when it has no bytes, EACCES when it was not opened for writing.
    pub fn attach(file: OwnedFd) -> Result<Segment, Error> {
        let doing = Error::system("use the descriptor as a segment");
        safe(file.as_fd()).and_then(|()| Segment::mapped(file)).map_err(doing)
    }

    /// Its first byte; page-aligned. What other processes may write is read by atomics or copied first.
    pub fn start(&self) -> NonNull<u8> {
        self.map.start()
    }

    /// How many bytes it has.
    pub fn size(&self) -> usize {
        self.map.len()
    }

    /// Leaves the mapping where it is, for the rest of the process or until [`Segment::unmap`].
    pub fn into_raw(self) -> (NonNull<u8>, usize) {
        let Segment { map, file } = self;
        drop(file);
        let map = ManuallyDrop::new(map);
        (map.start(), map.len())
    }

    /// Unmaps what [`Segment::into_raw`] left.
    ///
    /// # Safety
    /// - `start` and `size` came from one `into_raw` and were not unmapped since;
    /// - nobody uses the memory any more.
    pub unsafe fn unmap(start: NonNull<u8>, size: usize) -> Result<(), Errno> {
        // SAFETY: the range is a whole mapping that our caller gives up.
        let status = unsafe { libc::munmap(start.as_ptr().cast(), size) };
        Errno::result(status).map(drop)
    }

    fn mapped(file: OwnedFd) -> Result<Segment, Errno> {
        let size = usize::try_from(fstat(&file)?.st_size).map_err(|_| Errno::EFBIG)?;
        if isize::try_from(size).is_err() {
            return Err(Errno::EFBIG);
        }
        let map = Map::shared(&file, size).map_err(|error| number(&error))?;
        Ok(Segment { map, file })
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn made(label: &str, size: usize) -> Result<OwnedFd, Errno> {
    if size == 0 || label.len() > LONGEST_LABEL {
        return Err(Errno::EINVAL);
    }
    isize::try_from(size).map_err(|_| Errno::EFBIG)?;
    let label = CString::new(label).map_err(|_| Errno::EINVAL)?;
    let file = memfd_create(label.as_c_str(), MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let file = File::from(file);
    file.set_len(size as u64).map_err(|error| number(&error))?;
    let seals = SIZE | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Whether nobody who is not trusted can make it shorter.
fn safe(file: BorrowedFd<'_>) -> Result<(), Errno> {
    let status = fstat(file)?;
    if status.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFREG.bits() {
        return Err(Errno::EPERM);
    }
    if sealed(file) || private(&status, 0o600 | 0o055) { Ok(()) } else { Err(Errno::EPERM) }
}

/// Huge pages can be sealed, too, but are taken from us by a hole: only ordinary memory counts.
fn sealed(file: BorrowedFd<'_>) -> bool {
    let ordinary = fstatfs(file).is_ok_and(|system| system.filesystem_type() == TMPFS_MAGIC);
    ordinary && fcntl(file, FcntlArg::F_GET_SEALS).is_ok_and(|seals| SealFlag::from_bits_retain(seals).contains(SIZE))
}

/// Whether it belongs to us or root, and nobody has a permission that is not in `mode`.
pub(super) fn private(status: &FileStat, mode: u32) -> bool {
    let ours = status.st_uid == geteuid().as_raw() || status.st_uid == 0;
    ours && status.st_mode & 0o777 & !mode == 0
}

fn number(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

const SIZE: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW);
/// The kernel's limit.
const LONGEST_LABEL: usize = 249;

#[cfg(test)]
mod tests {
    use super::*;

    fn memfd(size: u64) -> File {
        let file = File::from(memfd_create(c"t", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap());
        file.set_len(size).unwrap();
        file
    }

    #[test]
    fn a_sealed_segment_keeps_its_size_and_shows_the_same_bytes_twice() {
        let ours = Segment::sealed("segment", 8192).unwrap();
        let theirs = Segment::attach(ours.as_fd().try_clone_to_owned().unwrap()).unwrap();
        // SAFETY: the mapping is 8192 bytes long and lives.
        unsafe { ours.start().write(7) };
        // SAFETY: as above.
        assert_eq!(unsafe { theirs.start().read() }, 7);
        let file = File::from(ours.as_fd().try_clone_to_owned().unwrap());
        assert_eq!(file.set_len(4096).unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(file.set_len(16384).unwrap_err().raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn what_could_be_cut_under_us_is_refused() {
        let refused = |file: OwnedFd| Segment::attach(file).unwrap_err().errno();
        assert_eq!(refused(memfd(4096).into()), Errno::EPERM);
        let half = memfd(4096);
        fcntl(&half, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_GROW)).unwrap();
        assert_eq!(refused(half.into()), Errno::EPERM);
        assert_eq!(refused(File::open("/dev/null").unwrap().into()), Errno::EPERM);
        let empty = memfd(0);
        fcntl(&empty, FcntlArg::F_ADD_SEALS(SIZE)).unwrap();
        assert_eq!(refused(empty.into()), Errno::EINVAL);
    }

    #[test]
    fn a_segment_of_nothing_is_refused() {
        assert_eq!(Segment::sealed("none", 0).unwrap_err().errno(), Errno::EINVAL);
        assert_eq!(Segment::sealed("a\0b", 4096).unwrap_err().errno(), Errno::EINVAL);
    }

    #[test]
    fn a_raw_segment_stays_mapped_until_it_is_unmapped() {
        let (start, size) = Segment::sealed("raw", 4096).unwrap().into_raw();
        // SAFETY: it is still mapped.
        unsafe { start.write(1) };
        // SAFETY: it is ours, and nobody uses it any more.
        assert_eq!(unsafe { Segment::unmap(start, size) }, Ok(()));
    }
}
