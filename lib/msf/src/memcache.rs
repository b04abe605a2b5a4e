//! msf_mempool.h: caches that C programs hold, and work with by themselves as long as something is at hand.

use crate::guard::{guard, guard_or, guard_ptr};
use crate::header::{msf_memcache, msf_mempool};
use crate::mempool::{listed, room};
use msf_core::mem::{self, Cache, Hand};
use nix::errno::Errno;
use std::ffi::{c_int, c_void};
use std::mem::{ManuallyDrop, offset_of};
use std::ptr::NonNull;

as_declared! {
    msf_memcache_new msf_memcache_free msf_memcache_refill msf_memcache_flush msf_memcache_get_bulk
    msf_memcache_put_bulk
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_memcache_new(pool: *mut msf_mempool, len: usize) -> *mut msf_memcache {
    guard_ptr(|| {
        let cache = mem::lookup(pool.addr()).ok_or(Errno::EINVAL)?.cache(len)?;
        Ok(cache.into_raw().as_ptr().cast())
    })
}

/// # Safety
/// `cache` is null or came from `msf_memcache_new`, is not freed, and nobody is inside it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_memcache_free(cache: *mut msf_memcache) {
    guard_or((), || {
        // SAFETY: the contract is our caller's.
        let lent = unsafe { borrow(cache) };
        drop(lent.map(ManuallyDrop::into_inner));
        Ok(())
    });
}

/// # Safety
/// As for `msf_memcache_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_memcache_refill(cache: *mut msf_memcache) -> *mut c_void {
    // SAFETY: the contract is our caller's.
    guard_ptr(|| Ok(unsafe { borrow(cache) }?.get()?.as_ptr().cast()))
}

/// # Safety
/// As for `msf_memcache_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_memcache_flush(cache: *mut msf_memcache, block: *mut c_void) -> c_int {
    guard(|| {
        let Some(block) = NonNull::new(block.cast()) else { return Ok(()) };
        // SAFETY: the contract is our caller's.
        unsafe { borrow(cache) }?.put(block).then_some(()).ok_or(Errno::EINVAL)
    })
}

/// # Safety
/// As for `msf_memcache_free`; `blocks_out` is null, or `n` pointers may be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_memcache_get_bulk(
    cache: *mut msf_memcache,
    blocks_out: *mut *mut c_void,
    n: usize,
) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let out = unsafe { room(blocks_out, n) }?;
        // SAFETY: as above.
        unsafe { borrow(cache) }?.get_many(out)
    })
}

/// # Safety
/// As for `msf_memcache_free`; `blocks` is null, or `n` pointers may be read there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_memcache_put_bulk(
    cache: *mut msf_memcache,
    blocks: *const *mut c_void,
    n: usize,
) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let blocks = unsafe { listed(blocks, n) }?;
        // SAFETY: as above.
        unsafe { borrow(cache) }?.put_many(blocks).then_some(()).ok_or(Errno::EINVAL)
    })
}

/// The cache behind the pointer; it stays the caller's.
///
/// # Safety
/// `cache` is null or came from `msf_memcache_new`, is not freed, and nobody else is inside it.
unsafe fn borrow(cache: *mut msf_memcache) -> Result<ManuallyDrop<Cache>, Errno> {
    let hand = NonNull::new(cache.cast::<Hand>()).ok_or(Errno::EINVAL)?;
    // SAFETY: the caller says where it came from; the second owner this makes is never dropped, except to free it.
    Ok(ManuallyDrop::new(unsafe { Cache::from_raw(hand) }))
}

// What the header shows is what the core works with.
const _: () = {
    assert!(size_of::<msf_memcache>() == size_of::<Hand>());
    assert!(offset_of!(msf_memcache, size) == offset_of!(Hand, size));
    assert!(offset_of!(msf_memcache, count) == offset_of!(Hand, count));
    assert!(offset_of!(msf_memcache, room) == offset_of!(Hand, room));
    assert!(offset_of!(msf_memcache, mask) == offset_of!(Hand, mask));
    assert!(offset_of!(msf_memcache, slots) == offset_of!(Hand, slots));
    assert!(offset_of!(msf_memcache, first) == offset_of!(Hand, first));
    assert!(offset_of!(msf_memcache, span) == offset_of!(Hand, span));
};
