//! `include/msf_thread.h`.

use core::ffi::{c_int, c_void};
use libc::pthread_t;

pub type pfn_msf_thrd = Option<unsafe extern "C" fn(arg: *mut c_void) -> *mut c_void>;

unsafe extern "C" {
    pub fn msf_pthread_spawn(
        tid: *mut pthread_t,
        func: Option<unsafe extern "C" fn(arg: *mut c_void) -> *mut c_void>,
        arg: *mut c_void,
    ) -> c_int;
}
