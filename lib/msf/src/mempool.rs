//! msf_mempool.h: pools of blocks. Handles and tickets are numbers in the shape of pointers; the core looks them up.

use crate::guard::{guard, guard_or, guard_ptr};
use crate::header::{msf_mempool, msf_mempool_slab, msf_mr, msf_reg_mem};
use crate::mem::NOTHING;
use crate::sized::{Sized32, give};
use msf_core::mem::{self, Block, Flags, SlabPlan, SlabStatistics, Ticket};
use nix::errno::Errno;
use std::ffi::{CString, c_int, c_void};
use std::ptr::{self, NonNull};
use std::slice;

as_declared! {
    msf_mempool_create_prv msf_mempool_add_slab msf_mempool_alloc msf_mempool_free msf_mempool_get msf_mempool_put
    msf_mempool_get_bulk msf_mempool_put_bulk msf_mempool_owner msf_mempool_owned msf_mempool_stats msf_mempool_dump msf_mempool_destroy
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mempool_create_prv(nodeid: c_int, flags: u32) -> *mut msf_mempool {
    guard_ptr(|| mem::create(nodeid, Flags::from_bits(flags)).map(ptr::without_provenance_mut))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mempool_add_slab(
    pool: *mut msf_mempool,
    size: usize,
    min: usize,
    max: usize,
    quantum: usize,
    align: c_int,
) -> c_int {
    guard(|| {
        let align = usize::try_from(align).map_err(|_| Errno::EINVAL)?;
        let plan = SlabPlan { block: size, least: min, most: max, quantum, align };
        mem::lookup(pool.addr()).ok_or(Errno::EINVAL)?.add_slab(plan)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mempool_owner(owner: u32) -> u32 {
    guard_or(0, || Ok(mem::set_owner(owner)))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mempool_owned(owner: u32) -> u64 {
    guard_or(0, || Ok(mem::owned(owner)))
}

/// # Safety
/// `mem` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_mempool_alloc(pool: *mut msf_mempool, len: usize, mem: *mut msf_reg_mem) -> c_int {
    guard(|| {
        if mem.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: not null (checked above), and our caller says that it may be written.
        unsafe { mem.write(NOTHING) };
        let block = mem::lookup(pool.addr()).ok_or(Errno::EINVAL)?.take(len)?;
        // SAFETY: as above.
        unsafe { mem.write(described(&block, len)) };
        Ok(())
    })
}

/// # Safety
/// `mem` is null or holds zeros or what `msf_mempool_alloc` wrote.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_mempool_free(mem: *mut msf_reg_mem) {
    guard_or((), || {
        if mem.is_null() {
            return Ok(());
        }
        // SAFETY: not null (checked above), and our caller lends it.
        let held = unsafe { mem.replace(NOTHING) };
        // A ticket that is no longer good (freed through a copy, a pool that is gone) is nobody's block.
        let _ = Ticket::from_word(held.r#priv.addr()).is_some_and(mem::free);
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mempool_get(pool: *mut msf_mempool, len: usize) -> *mut c_void {
    // What is at hand went through the guard once: nothing of this can fail, and errno is not touched.
    if let Some(block) = mem::at_hand(pool.addr(), len) {
        return block.as_ptr().cast();
    }
    get_elsewhere(pool, len)
}

/// Out of the way of what is at hand.
#[cold]
#[inline(never)]
extern "C" fn get_elsewhere(pool: *mut msf_mempool, len: usize) -> *mut c_void {
    guard_ptr(|| Ok(mem::get(pool.addr(), len)?.as_ptr().cast()))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mempool_put(pool: *mut msf_mempool, block: *mut c_void) -> c_int {
    if NonNull::new(block.cast()).is_some_and(|block| mem::keep_at_hand(pool.addr(), block)) {
        return 0;
    }
    put_elsewhere(pool, block)
}

#[cold]
#[inline(never)]
extern "C" fn put_elsewhere(pool: *mut msf_mempool, block: *mut c_void) -> c_int {
    let Some(block) = NonNull::new(block.cast()) else { return 0 };
    guard(|| mem::put(pool.addr(), block))
}

/// # Safety
/// `blocks_out` is null, or `n` pointers may be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_mempool_get_bulk(
    pool: *mut msf_mempool,
    len: usize,
    blocks_out: *mut *mut c_void,
    n: usize,
) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| mem::get_many(pool.addr(), len, unsafe { room(blocks_out, n) }?))
}

/// # Safety
/// `blocks` is null, or `n` pointers may be read there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_mempool_put_bulk(pool: *mut msf_mempool, blocks: *const *mut c_void, n: usize) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| mem::put_many(pool.addr(), unsafe { listed(blocks, n) }?))
}

/// # Safety
/// `slab_out` is null or begins with the number of bytes that may be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_mempool_stats(
    pool: *mut msf_mempool,
    index: u32,
    slab_out: *mut msf_mempool_slab,
) -> c_int {
    guard(|| {
        let figures = mem::lookup(pool.addr()).ok_or(Errno::EINVAL)?.statistics();
        let figures = figures.get(index as usize).ok_or(Errno::ENOENT)?;
        // SAFETY: the contract is our caller's.
        unsafe { give(slab_out, &told(figures)) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mempool_dump(pool: *mut msf_mempool) {
    guard_or((), || {
        let Some(pool) = mem::lookup(pool.addr()) else { return Ok(()) };
        let text = CString::new(pool.describe()).map_err(|_| Errno::EINVAL)?;
        // Through the C library's stdout, so that it stays in order with what the program prints.
        // SAFETY: the text is NUL-terminated.
        unsafe { libc::puts(text.as_ptr()) };
        Ok(())
    });
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mempool_destroy(pool: *mut msf_mempool) {
    guard_or((), || {
        mem::destroy(pool.addr());
        Ok(())
    });
}

/// Room for `n` blocks' addresses, all null as yet.
///
/// # Safety
/// `blocks_out` is null, or `n` pointers may be written there as long as `'a`.
pub(crate) unsafe fn room<'a>(blocks_out: *mut *mut c_void, n: usize) -> Result<&'a mut [*mut u8], Errno> {
    if blocks_out.is_null() || n > MOST {
        return Err(Errno::EINVAL);
    }
    // SAFETY: our caller says that there is room for `n`; all bits zero is a null pointer.
    unsafe { ptr::write_bytes(blocks_out, 0, n) };
    // SAFETY: not null, and `n` pointers were written on the line above.
    Ok(unsafe { slice::from_raw_parts_mut(blocks_out.cast(), n) })
}

/// The addresses of `n` blocks.
///
/// # Safety
/// `blocks` is null, or `n` pointers may be read there as long as `'a`.
pub(crate) unsafe fn listed<'a>(blocks: *const *mut c_void, n: usize) -> Result<&'a [*mut u8], Errno> {
    if blocks.is_null() || n > MOST {
        return Err(Errno::EINVAL);
    }
    // SAFETY: not null; our caller vouches for the rest.
    Ok(unsafe { slice::from_raw_parts(blocks.cast(), n) })
}

fn described(block: &Block, length: usize) -> msf_reg_mem {
    // There is no device to register with yet: the pointer only says that it was asked for.
    let mr = if block.registered { (&raw const REGISTRATION).cast_mut().cast::<msf_mr>() } else { ptr::null_mut() };
    let addr = block.start.as_ptr().cast();
    msf_reg_mem { addr, length, mr, r#priv: ptr::without_provenance_mut(block.ticket.to_word()) }
}

fn told(figures: &SlabStatistics) -> msf_mempool_slab {
    msf_mempool_slab {
        size: size_of::<msf_mempool_slab>() as u32,
        small: u32::from(figures.small),
        block: figures.block as u64,
        used: figures.used as u64,
        cached: figures.cached as u64,
        allocated: figures.allocated as u64,
        max: figures.most as u64,
        refills: figures.refills,
        growths: figures.growths,
    }
}

// SAFETY: numbers, the first of them the size.
unsafe impl Sized32 for msf_mempool_slab {}

static REGISTRATION: u8 = 0;
/// No array of pointers has more.
const MOST: usize = isize::MAX as usize / size_of::<usize>();
