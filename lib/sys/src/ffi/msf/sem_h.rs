//! `include/msf_sem.h`.

use core::ffi::c_int;
use libc::sem_t;

unsafe extern "C" {
    pub fn msf_sem_wait(sem: *mut sem_t, ms: c_int) -> c_int;
}
