//! Anonymous memory from the kernel, on huge pages or near a NUMA node where that can be had.

use super::huge::HUGE_PAGE;
use crate::sys::node;
use nix::errno::Errno;
use std::io;
use std::ptr::{self, NonNull};

/// What is wished for; a wish that cannot be fulfilled is told, not an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Ordinary pages.
    Plain,
    /// Huge pages.
    Huge,
    /// Pages of this NUMA node.
    Node(u32),
}

/// Mapped memory; unmapped when dropped. Pages cost nothing until they are touched.
#[derive(Debug)]
pub(super) struct Region {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a region is a range of addresses that belongs to nobody but its owner; no thread is special to it.
unsafe impl Send for Region {}
// SAFETY: a shared region only tells its address.
unsafe impl Sync for Region {}

impl Region {
    /// Maps `length` zeroed bytes. The second value says why the wish was not fulfilled, if it was not.
    pub fn map(length: usize, wish: Wish) -> Result<(Region, Option<String>), Errno> {
        match wish {
            Wish::Plain => Ok((Region::anonymous(length, LAZY)?, None)),
            Wish::Huge => {
                // Where there are any, huge pages are mapped and unmapped whole.
                let length = length.checked_next_multiple_of(HUGE_PAGE).ok_or(Errno::ENOMEM)?;
                match Region::anonymous(length, libc::MAP_HUGETLB | MEGABYTES_2) {
                    Ok(region) => Ok((region, None)),
                    Err(errno) => {
                        let region = Region::anonymous(length, LAZY)?;
                        region.advise_huge();
                        let why = format!(
                            "no huge pages for {length} bytes ({}), using transparent ones",
                            io::Error::from(errno)
                        );
                        Ok((region, Some(why)))
                    }
                }
            }
            Wish::Node(number) => {
                let region = Region::anonymous(length, LAZY)?;
                let told = node::prefer(region.start, region.length, number);
                let why = told.err().map(io::Error::from);
                let why = why.map(|error| format!("memory is not bound to NUMA node {number}: {error}"));
                Ok((region, why))
            }
        }
    }

    /// Maps `length` zeroed bytes and has the kernel provide all of them now, on huge pages if `huge` and there are any.
    pub fn present(length: usize, huge: bool) -> Result<Region, Errno> {
        if huge && let Ok(region) = Region::anonymous(length, libc::MAP_HUGETLB | MEGABYTES_2 | libc::MAP_POPULATE) {
            return Ok(region);
        }
        Region::anonymous(length, libc::MAP_POPULATE)
    }

    /// The address `offset` bytes into the region.
    pub fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset < self.length);
        // SAFETY: the callers' offsets lie inside the mapping, which is one allocation.
        unsafe { self.start.add(offset) }
    }

    fn anonymous(length: usize, extra: libc::c_int) -> Result<Region, Errno> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | extra;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or(Errno::ENOMEM)?;
        Ok(Region { start, length })
    }

    fn advise_huge(&self) {
        // SAFETY: the range is exactly this region's mapping; the advice changes no contents.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.length, libc::MADV_HUGEPAGE) };
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `anonymous`, has this length, and its owner is gone.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Swap is not reserved for blocks nobody has touched: a pool may be far larger than what is used of it.
const LAZY: libc::c_int = libc::MAP_NORESERVE;
/// Of all huge pages the size every architecture of ours has: lengths are multiples of it.
const MEGABYTES_2: libc::c_int = 21 << libc::MAP_HUGE_SHIFT;
