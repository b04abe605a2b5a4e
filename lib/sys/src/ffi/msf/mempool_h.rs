//! `include/msf_mempool.h`.

use core::ffi::{c_int, c_void};
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

#[repr(C)]
pub struct msf_memcache {
    pub size: u32,
    pub count: u32,
    pub room: u32,
    pub mask: u32,
    pub slots: *mut *mut c_void,
    pub first: size_t,
    pub span: size_t,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_mempool_slab {
    pub size: u32,
    pub small: u32,
    pub block: u64,
    pub used: u64,
    pub cached: u64,
    pub allocated: u64,
    pub max: u64,
    pub refills: u64,
    pub growths: u64,
}

unsafe extern "C" {
    pub fn msf_mempool_create_prv(nodeid: c_int, flags: u32) -> *mut msf_mempool;
    pub fn msf_mempool_add_slab(
        pool: *mut msf_mempool,
        size: size_t,
        min: size_t,
        max: size_t,
        quantum: size_t,
        align: c_int,
    ) -> c_int;
    pub fn msf_mempool_owner(owner: u32) -> u32;
    pub fn msf_mempool_owned(owner: u32) -> u64;
    pub fn msf_mempool_alloc(pool: *mut msf_mempool, len: size_t, mem: *mut msf_reg_mem) -> c_int;
    pub fn msf_mempool_free(mem: *mut msf_reg_mem);
    pub fn msf_mempool_get(pool: *mut msf_mempool, len: size_t) -> *mut c_void;
    pub fn msf_mempool_put(pool: *mut msf_mempool, block: *mut c_void) -> c_int;
    pub fn msf_mempool_get_bulk(pool: *mut msf_mempool, len: size_t, blocks_out: *mut *mut c_void, n: size_t) -> c_int;
    pub fn msf_mempool_put_bulk(pool: *mut msf_mempool, blocks: *const *mut c_void, n: size_t) -> c_int;
    pub fn msf_memcache_new(pool: *mut msf_mempool, len: size_t) -> *mut msf_memcache;
    pub fn msf_memcache_free(cache: *mut msf_memcache);
    pub fn msf_memcache_refill(cache: *mut msf_memcache) -> *mut c_void;
    pub fn msf_memcache_flush(cache: *mut msf_memcache, block: *mut c_void) -> c_int;
    pub fn msf_memcache_get_bulk(cache: *mut msf_memcache, blocks_out: *mut *mut c_void, n: size_t) -> c_int;
    pub fn msf_memcache_put_bulk(cache: *mut msf_memcache, blocks: *const *mut c_void, n: size_t) -> c_int;
    pub fn msf_mempool_stats(pool: *mut msf_mempool, index: u32, slab_out: *mut msf_mempool_slab) -> c_int;
    pub fn msf_mempool_dump(pool: *mut msf_mempool);
    pub fn msf_mempool_destroy(pool: *mut msf_mempool);
}
