//! `include/msf_source.h`.

use super::event_h::msf_event_base;
use core::ffi::{c_char, c_int, c_void};
use core::marker::{PhantomData, PhantomPinned};
use libc::pid_t;

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_source {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

unsafe extern "C" {
    pub fn msf_source_new_signal(
        signo: c_int,
        told: Option<unsafe extern "C" fn(signo: c_int, arg: *mut c_void)>,
        arg: *mut c_void,
    ) -> *mut msf_source;
    pub fn msf_source_new_child(
        pid: pid_t,
        ended: Option<unsafe extern "C" fn(pid: pid_t, status: c_int, arg: *mut c_void)>,
        arg: *mut c_void,
    ) -> *mut msf_source;
    pub fn msf_source_new_inotify(
        changed: Option<unsafe extern "C" fn(wd: c_int, mask: u32, cookie: u32, name: *const c_char, arg: *mut c_void)>,
        arg: *mut c_void,
    ) -> *mut msf_source;
    pub fn msf_source_watch(source: *mut msf_source, path: *const c_char, mask: u32) -> c_int;
    pub fn msf_source_unwatch(source: *mut msf_source, wd: c_int) -> c_int;
    pub fn msf_source_start(base: *mut msf_event_base, source: *mut msf_source) -> c_int;
    pub fn msf_source_stop(base: *mut msf_event_base, source: *mut msf_source) -> c_int;
    pub fn msf_source_free(source: *mut msf_source);
}
