//! `include/msf_time.h`.

use core::ffi::c_int;
use libc::timespec;

unsafe extern "C" {
    pub fn msf_clock_gettime(now_out: *mut timespec) -> c_int;
    pub fn msf_time_sleep(ms: u64);
}
