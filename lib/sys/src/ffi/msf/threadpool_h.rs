//! `include/msf_threadpool.h`.

use core::ffi::{c_char, c_int, c_void};
use core::marker::{PhantomData, PhantomPinned};
use libc::size_t;

pub const MSF_THREADPOOL_THREADS_MAX: c_int = 64;
pub const MSF_THREADPOOL_QUEUE_MAX: c_int = 65_536;
pub const threadpool_invalid: c_int = -1;
pub const threadpool_lock_failure: c_int = -2;
pub const threadpool_queue_full: c_int = -3;
pub const threadpool_shutdown: c_int = -4;
pub const threadpool_thread_failure: c_int = -5;
pub const threadpool_graceful: c_int = 1;

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct threadpool_t {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_threadpool_attr {
    pub size: u32,
    pub threads: u32,
    pub queue: u32,
    pub pin: c_int,
    pub place: u32,
    pub sched: c_int,
    pub priority: c_int,
    pub stack: size_t,
    pub name: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_threadpool_counts {
    pub size: u32,
    pub threads: u32,
    pub queued: u32,
    pub running: u32,
    pub done: u64,
    pub refused: u64,
}

unsafe extern "C" {
    pub fn threadpool_create(threads: c_int, queue: c_int, flags: c_int) -> *mut threadpool_t;
    pub fn threadpool_add(
        pool: *mut threadpool_t,
        func: Option<unsafe extern "C" fn(arg: *mut c_void)>,
        arg: *mut c_void,
        flags: c_int,
    ) -> c_int;
    pub fn threadpool_destroy(pool: *mut threadpool_t, flags: c_int) -> c_int;
    pub fn msf_threadpool_create(attr: *const msf_threadpool_attr) -> *mut threadpool_t;
    pub fn msf_threadpool_add_wait(
        pool: *mut threadpool_t,
        func: Option<unsafe extern "C" fn(arg: *mut c_void)>,
        arg: *mut c_void,
        ms: c_int,
    ) -> c_int;
    pub fn msf_threadpool_wait(pool: *mut threadpool_t, ms: c_int) -> c_int;
    pub fn msf_threadpool_stats(pool: *mut threadpool_t, stats_out: *mut msf_threadpool_counts) -> c_int;
}
