//! msf_mempool.h: pools of blocks. Handles and tickets are numbers in the shape of pointers; the core looks them up.

use crate::guard::{guard, guard_or, guard_ptr};
use crate::header::{msf_mempool, msf_mr, msf_reg_mem};
use crate::mem::NOTHING;
use msf_core::mem::{self, Block, Flags, Ticket};
use nix::errno::Errno;
use std::ffi::{CString, c_int};
use std::ptr;

as_declared! {
    msf_mempool_create_prv msf_mempool_alloc msf_mempool_free msf_mempool_dump msf_mempool_destroy
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_mempool_create_prv(nodeid: c_int, flags: u32) -> *mut msf_mempool {
    guard_ptr(|| mem::create(nodeid, Flags::from_bits(flags)).map(ptr::without_provenance_mut))
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

fn described(block: &Block, length: usize) -> msf_reg_mem {
    // There is no device to register with yet: the pointer only says that it was asked for.
    let mr = if block.registered { (&raw const REGISTRATION).cast_mut().cast::<msf_mr>() } else { ptr::null_mut() };
    let addr = block.start.as_ptr().cast();
    msf_reg_mem { addr, length, mr, r#priv: ptr::without_provenance_mut(block.ticket.to_word()) }
}

static REGISTRATION: u8 = 0;
