//! Whole pages for who needs them: huge ones where the system has any.

use super::region::{Region, Wish};
use crate::log::Level;
use nix::errno::Errno;
use std::io;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};

/// The size of a huge page.
pub const HUGE_PAGE: usize = 2 << 20;

/// Zeroed memory of the process's own that begins at a page; unmapped when dropped.
///
/// ```
/// use msf_core::mem::HugePages;
///
/// let mut table = HugePages::new(1 << 20)?;
/// table[4711] = 1;
/// assert_eq!(table.iter().map(|byte| u32::from(*byte)).sum::<u32>(), 1);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct HugePages {
    region: Region,
    length: usize,
}

impl HugePages {
    /// `length` bytes on huge pages. Where the system has none reserved they are normal ones, with the wish that the
    /// kernel join them, and the log says so once. HugePages cost nothing until they are touched.
    ///
    /// Fails with EINVAL for a length of 0, ENOMEM.
    pub fn new(length: usize) -> io::Result<HugePages> {
        if length == 0 {
            return Err(Errno::EINVAL.into());
        }
        let (region, unfulfilled) = Region::map(length, Wish::Huge)?;
        tell(unfulfilled);
        Ok(HugePages { region, length })
    }

    /// `length` bytes that are all there already: no page of them is missing later. Huge pages are tried when the length is a
    /// multiple of their size, quietly.
    ///
    /// Fails with EINVAL for a length of 0, ENOMEM.
    pub fn present(length: usize) -> io::Result<HugePages> {
        if length == 0 {
            return Err(Errno::EINVAL.into());
        }
        let region = Region::present(length, length.is_multiple_of(HUGE_PAGE))?;
        Ok(HugePages { region, length })
    }

    /// Where they begin.
    pub fn start(&self) -> NonNull<u8> {
        self.region.at(0)
    }

    /// Leaves the mapping to the caller, who unmaps its `length` bytes (`munmap`) when he is done.
    pub fn into_raw(self) -> NonNull<u8> {
        let start = self.start();
        std::mem::forget(self);
        start
    }
}

impl Deref for HugePages {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping has at least `length` bytes, which the kernel zeroed, and lives as long as `self`.
        unsafe { slice::from_raw_parts(self.start().as_ptr(), self.length) }
    }
}

impl DerefMut for HugePages {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and nobody else has the mapping.
        unsafe { slice::from_raw_parts_mut(self.start().as_ptr(), self.length) }
    }
}

/// The size of a normal page.
pub fn page_size() -> usize {
    // SAFETY: the call reads a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Unmaps `length` bytes from `start`, as [`HugePages::into_raw`] left them.
///
/// # Safety
/// Nobody uses any of these bytes any more.
pub unsafe fn unmap(start: NonNull<u8>, length: usize) -> io::Result<()> {
    // SAFETY: the caller says that the bytes are nobody's.
    let status = unsafe { libc::munmap(start.as_ptr().cast(), length) };
    Ok(Errno::result(status).map(drop)?)
}

/// That there are no huge pages is worth one record in a process's life.
fn tell(unfulfilled: Option<String>) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if let Some(why) = unfulfilled
        && !TOLD.swap(true, Ordering::Relaxed)
    {
        crate::log!(Level::Info, "MEM", "{why}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_zeroed_and_have_the_length_that_was_asked_for() {
        for mut pages in
            [HugePages::new(5000).unwrap(), HugePages::present(5000).unwrap(), HugePages::present(HUGE_PAGE).unwrap()]
        {
            assert!(pages.len() == 5000 || pages.len() == HUGE_PAGE);
            assert!(pages.iter().all(|byte| *byte == 0));
            pages.fill(0xa5);
            assert_eq!(pages.start().as_ptr().addr() % 4096, 0);
        }
    }

    #[test]
    fn no_pages_and_more_than_there_are_is_refused() {
        assert_eq!(HugePages::new(0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(HugePages::present(0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(HugePages::new(usize::MAX).unwrap_err().raw_os_error(), Some(libc::ENOMEM));
        assert_eq!(HugePages::present(usize::MAX - 4096).unwrap_err().raw_os_error(), Some(libc::ENOMEM));
    }

    #[test]
    fn what_is_left_to_the_caller_is_unmapped_by_him() {
        let start = HugePages::present(8192).unwrap().into_raw();
        // SAFETY: these are the 8192 bytes of the line above.
        unsafe { unmap(start, 8192) }.unwrap();
        // SAFETY: an address that is at no page is refused before anything is unmapped.
        let refused = unsafe { unmap(NonNull::without_provenance(std::num::NonZero::<usize>::MIN), 1) };
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EINVAL));
    }
}
