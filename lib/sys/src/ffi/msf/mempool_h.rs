//! `include/msf_mempool.h`.

use core::ffi::c_int;
use core::marker::{PhantomData, PhantomPinned};
use libc::size_t;

use super::msf_reg_mem;

pub const MSF_MEM_SLABS_NR: c_int = 4;
pub const MSF_MAX_SLABS_NR: c_int = 6;

pub const MSF_MEMPOOL_FLAG_NONE: u32 = 0x00;
pub const MSF_MEMPOOL_FLAG_REG_MR: u32 = 0x01;
pub const MSF_MEMPOOL_FLAG_HUGE_PAGES_ALLOC: u32 = 0x02;
pub const MSF_MEMPOOL_FLAG_NUMA_ALLOC: u32 = 0x04;
pub const MSF_MEMPOOL_FLAG_REGULAR_PAGES_ALLOC: u32 = 0x08;
pub const MSF_MEMPOOL_FLAG_USE_SMALLEST_SLAB: u32 = 0x16;

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_mempool {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

unsafe extern "C" {
    pub fn msf_mempool_create_prv(nodeid: c_int, flags: u32) -> *mut msf_mempool;
    pub fn msf_mempool_alloc(pool: *mut msf_mempool, len: size_t, mem: *mut msf_reg_mem) -> c_int;
    pub fn msf_mempool_free(mem: *mut msf_reg_mem);
    pub fn msf_mempool_dump(pool: *mut msf_mempool);
    pub fn msf_mempool_destroy(pool: *mut msf_mempool);
}
