//! msf_mem.h: memory by alignment, page size and node.

use crate::guard::{guard, guard_or, guard_ptr};
use crate::header::msf_reg_mem;
use msf_core::mem::{HugePages, page_size, unmap};
use nix::errno::Errno;
use std::ffi::{c_int, c_void};
use std::io;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, PoisonError};

as_declared! {
    msf_mem_alloc msf_mem_free msf_memalign msf_mem_mmap msf_mem_munmap msf_malloc_huge_pages msf_free_huge_pages
}

/// # Safety
/// `mem` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_mem_alloc(size: usize, mem: *mut msf_reg_mem) -> c_int {
    guard(|| {
        if mem.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: not null (checked above), and our caller says that it may be written.
        unsafe { mem.write(NOTHING) };
        let addr = at_a_page(size)?;
        let held = msf_reg_mem { addr, length: size, mr: ptr::null_mut(), r#priv: BUFFER };
        // SAFETY: as above.
        unsafe { mem.write(held) };
        Ok(())
    })
}

/// # Safety
/// `mem` is null or holds zeros, or what `msf_mem_alloc` or a pool wrote.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_mem_free(mem: *mut msf_reg_mem) -> c_int {
    guard(|| {
        // SAFETY: null is `None`; else our caller lends it.
        let held = unsafe { mem.as_mut() }.filter(|mem| mem.r#priv == BUFFER).ok_or(Errno::EINVAL)?;
        let addr = std::mem::replace(held, NOTHING).addr;
        // SAFETY: what is marked so came from `posix_memalign`, and the mark has just been taken off.
        unsafe { libc::free(addr) };
        Ok(())
    })
}

/// # Safety
/// `memory_out` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_memalign(memory_out: *mut *mut c_void, align: usize, size: usize) -> c_int {
    let failed = Errno::ENOTRECOVERABLE as c_int;
    guard_or(failed, || {
        if memory_out.is_null() || !align.is_power_of_two() || !align.is_multiple_of(size_of::<usize>()) {
            return Ok(libc::EINVAL);
        }
        // SAFETY: not null (checked above), and our caller says that it may be written.
        Ok(unsafe { libc::posix_memalign(memory_out, align, size) })
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mem_mmap(size: usize) -> *mut c_void {
    guard_or(libc::MAP_FAILED, || Ok(HugePages::present(size).map_err(errno)?.into_raw().as_ptr().cast()))
}

/// # Safety
/// `memory` and `size` are what `msf_mem_mmap` gave and was given, and nobody uses it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_mem_munmap(memory: *mut c_void, size: usize) -> c_int {
    guard(|| {
        let start = NonNull::new(memory.cast()).ok_or(Errno::EINVAL)?;
        // SAFETY: our caller says that the bytes are nobody's.
        unsafe { unmap(start, size) }.map_err(errno)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_malloc_huge_pages(size: usize) -> *mut c_void {
    guard_ptr(|| {
        let pages = HugePages::new(size).map_err(errno)?;
        let start = pages.start().as_ptr();
        HUGE.lock().unwrap_or_else(PoisonError::into_inner).push(pages);
        Ok(start.cast())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_free_huge_pages(memory: *mut c_void) {
    guard_or((), || {
        let mut huge = HUGE.lock().unwrap_or_else(PoisonError::into_inner);
        let place = huge.iter().position(|pages| pages.start().as_ptr().cast() == memory);
        let pages = place.map(|place| huge.swap_remove(place));
        drop(huge);
        // Unmapped outside the lock.
        drop(pages);
        Ok(())
    });
}

fn at_a_page(size: usize) -> Result<*mut c_void, Errno> {
    if size == 0 {
        return Err(Errno::EINVAL);
    }
    let mut memory = ptr::null_mut();
    // SAFETY: the out-parameter is ours.
    match unsafe { libc::posix_memalign(&raw mut memory, page_size(), size) } {
        0 => Ok(memory),
        code => Err(Errno::from_raw(code)),
    }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EINVAL))
}

/// What `msf_malloc_huge_pages` gave: its counterpart is told no size. Nobody has many of them.
static HUGE: Mutex<Vec<HugePages>> = Mutex::new(Vec::new());
pub(crate) const NOTHING: msf_reg_mem =
    msf_reg_mem { addr: ptr::null_mut(), length: 0, mr: ptr::null_mut(), r#priv: ptr::null_mut() };
/// The mark of what `msf_mem_alloc` gave: no ticket of a pool is this word.
const BUFFER: *mut c_void = ptr::without_provenance_mut(1);

// ---- NUMA nodes ----
