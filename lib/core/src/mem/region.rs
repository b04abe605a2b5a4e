//! Anonymous memory from the kernel, on huge pages or near a NUMA node where that can be had.

use super::huge::{HUGE_PAGE, page_size};
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
                        advise_huge(region.start, length);
                        Ok((region, Some(no_huge_pages(length, errno))))
                    }
                }
            }
            Wish::Node(number) => {
                let region = Region::anonymous(length, LAZY)?;
                let unfulfilled = near(region.start, region.length, number);
                Ok((region, unfulfilled))
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

    /// Reserves `length` bytes of addresses that nobody may touch before they are opened.
    pub fn reserve(length: usize) -> Result<Region, Errno> {
        Region::mapped(length, libc::PROT_NONE, LAZY)
    }

    /// Opens `length` bytes from `start` on, whole pages of a reserved region. The value says why the wish was not
    /// fulfilled, if it was not.
    pub fn open(&self, start: NonNull<u8>, length: usize, wish: Wish) -> Result<Option<String>, Errno> {
        debug_assert!(start >= self.start && start.addr().get() + length <= self.start.addr().get() + self.length);
        if wish == Wish::Huge {
            let Err(errno) = placed(start, length, libc::MAP_FIXED | libc::MAP_HUGETLB | MEGABYTES_2) else {
                return Ok(None);
            };
            allow(start, length)?;
            advise_huge(start, length);
            return Ok(Some(no_huge_pages(length, errno)));
        }
        allow(start, length)?;
        let Wish::Node(number) = wish else { return Ok(None) };
        Ok(near(start, length, number))
    }

    /// Maps `length` zeroed bytes that begin at a multiple of `align`, a power of two. As [`Region::map`] otherwise.
    pub fn map_at(length: usize, align: usize, wish: Wish) -> Result<(Region, usize, Option<String>), Errno> {
        let slack = if align <= page_size() { 0 } else { align };
        let (region, unfulfilled) = Region::map(length.checked_add(slack).ok_or(Errno::ENOMEM)?, wish)?;
        let offset = region.start.align_offset(align);
        Ok((region, offset, unfulfilled))
    }

    /// The address `offset` bytes into the region.
    pub fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset < self.length);
        // SAFETY: the callers' offsets lie inside the mapping, which is one allocation.
        unsafe { self.start.add(offset) }
    }

    fn anonymous(length: usize, extra: libc::c_int) -> Result<Region, Errno> {
        Region::mapped(length, libc::PROT_READ | libc::PROT_WRITE, extra)
    }

    fn mapped(length: usize, protection: libc::c_int, extra: libc::c_int) -> Result<Region, Errno> {
        // No object may be larger: addresses inside it are compared by signed numbers.
        if length > isize::MAX as usize {
            return Err(Errno::ENOMEM);
        }
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | extra;
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        let start = NonNull::new(start.cast::<u8>()).ok_or(Errno::ENOMEM)?;
        Ok(Region { start, length })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `anonymous`, has this length, and its owner is gone.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// Maps fresh pages over part of a region that is ours.
fn placed(start: NonNull<u8>, length: usize, extra: libc::c_int) -> Result<(), Errno> {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | extra);
    // SAFETY: the callers' range is reserved and nobody has been given any of it; or, with NOREPLACE, only what is free is mapped.
    let at = unsafe { libc::mmap(start.as_ptr().cast(), length, protection, flags, -1, 0) };
    if at == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
}

/// Makes part of a reserved region readable and writable. An attempt at huge pages may have left a hole there.
fn allow(start: NonNull<u8>, length: usize) -> Result<(), Errno> {
    // SAFETY: the range is reserved; nobody has been given any of it.
    let status = unsafe { libc::mprotect(start.as_ptr().cast(), length, libc::PROT_READ | libc::PROT_WRITE) };
    match Errno::result(status) {
        Ok(_) => Ok(()),
        Err(_) => placed(start, length, libc::MAP_FIXED_NOREPLACE | LAZY),
    }
}

fn advise_huge(start: NonNull<u8>, length: usize) {
    // SAFETY: the range is a mapping of the caller's; the advice changes no contents.
    unsafe { libc::madvise(start.as_ptr().cast(), length, libc::MADV_HUGEPAGE) };
}

#[cold]
fn no_huge_pages(length: usize, errno: Errno) -> String {
    format!("no huge pages for {length} bytes ({}), using transparent ones", io::Error::from(errno))
}

/// Why the pages are not taken from the node, if they are not.
fn near(start: NonNull<u8>, length: usize, number: u32) -> Option<String> {
    let error = io::Error::from(node::prefer(start, length, number).err()?);
    Some(format!("memory is not bound to NUMA node {number}: {error}"))
}

/// Swap is not reserved for blocks nobody has touched: a pool may be far larger than what is used of it.
const LAZY: libc::c_int = libc::MAP_NORESERVE;
/// Of all huge pages the size every architecture of ours has: lengths are multiples of it.
const MEGABYTES_2: libc::c_int = 21 << libc::MAP_HUGE_SHIFT;
