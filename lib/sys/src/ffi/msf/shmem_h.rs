//! `include/msf_shmem.h`.

use core::ffi::{c_char, c_int, c_void};
use core::marker::{PhantomData, PhantomPinned};
use libc::size_t;

pub const MSF_SHMRING_EVENTFD: u32 = 0x01;
pub const MSF_SHMRING_NEVER: c_int = 0;
pub const MSF_SHMRING_HERE: c_int = 1;
pub const MSF_SHMRING_LEFT: c_int = 2;
pub const MSF_SHMRING_DIED: c_int = 3;

/// Shared memory as 2019 described it.
#[repr(C)]
pub struct ngx_shm_s {
    pub addr: *mut u8,
    pub size: size_t,
    pub name: *mut c_char,
    pub exists: u32,
}

pub type ngx_shm_t = ngx_shm_s;

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_shm {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// What a new ring is to be like.
#[repr(C)]
pub struct msf_shmring_config {
    pub size: u32,
    pub flags: u32,
    pub capacity: u32,
    pub blocks: u32,
    pub block_size: u32,
}

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_shmring {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

unsafe extern "C" {
    pub fn ngx_shm_alloc(shm: *mut ngx_shm_t) -> c_int;
    pub fn ngx_shm_free(shm: *mut ngx_shm_t);
    pub fn msf_shm_new(label: *const c_char, size: size_t) -> *mut msf_shm;
    pub fn msf_shm_create(name: *const c_char, size: size_t, mode: u32) -> *mut msf_shm;
    pub fn msf_shm_open(name: *const c_char, mode: u32) -> *mut msf_shm;
    pub fn msf_shm_attach(fd: c_int) -> *mut msf_shm;
    pub fn msf_shm_unlink(name: *const c_char) -> c_int;
    pub fn msf_shm_addr(shm: *const msf_shm) -> *mut c_void;
    pub fn msf_shm_size(shm: *const msf_shm) -> size_t;
    pub fn msf_shm_fd(shm: *const msf_shm) -> c_int;
    pub fn msf_shm_close(shm: *mut msf_shm);
    pub fn msf_shmring_size(config: *const msf_shmring_config) -> size_t;
    pub fn msf_shmring_format(shm: *mut msf_shm, config: *const msf_shmring_config) -> c_int;
    pub fn msf_shmring_producer(shm: *mut msf_shm, data_fd: c_int, space_fd: c_int) -> *mut msf_shmring;
    pub fn msf_shmring_consumer(shm: *mut msf_shm, data_fd: c_int, space_fd: c_int) -> *mut msf_shmring;
    pub fn msf_shmring_close(ring: *mut msf_shmring);
    pub fn msf_shmring_send(ring: *mut msf_shmring, data: *const c_void, len: u32, timeout: c_int) -> c_int;
    pub fn msf_shmring_recv(ring: *mut msf_shmring, buf: *mut c_void, len: u32, timeout: c_int) -> c_int;
    pub fn msf_shmring_reserve(ring: *mut msf_shmring, len: u32, timeout: c_int) -> *mut c_void;
    pub fn msf_shmring_commit(ring: *mut msf_shmring, len: u32) -> c_int;
    pub fn msf_shmring_peek(ring: *mut msf_shmring, timeout: c_int, len_out: *mut u32) -> *const c_void;
    pub fn msf_shmring_release(ring: *mut msf_shmring) -> c_int;
    pub fn msf_shmring_block(ring: *mut msf_shmring, timeout: c_int) -> *mut c_void;
    pub fn msf_shmring_send_block(ring: *mut msf_shmring, block: *mut c_void, len: u32, timeout: c_int) -> c_int;
    pub fn msf_shmring_take(ring: *mut msf_shmring) -> c_int;
    pub fn msf_shmring_free_block(ring: *mut msf_shmring, block: *mut c_void) -> c_int;
    pub fn msf_shmring_peer(ring: *mut msf_shmring) -> c_int;
    pub fn msf_shmring_sequence(ring: *mut msf_shmring) -> u64;
    pub fn msf_shmring_fd(ring: *mut msf_shmring) -> c_int;
}
