//! `include/msf_ringbuff.h`.

use core::ffi::{c_int, c_void};
use libc::{size_t, ssize_t};

#[repr(C)]
pub struct ringbuffer {
    pub buffer: *mut c_void,
    pub length: c_int,
    pub start: size_t,
    pub end: size_t,
}

unsafe extern "C" {
    pub fn rb_create(size: c_int) -> *mut ringbuffer;
    pub fn rb_destroy(rb: *mut ringbuffer);
    pub fn rb_write(rb: *mut ringbuffer, buf: *const c_void, len: size_t) -> ssize_t;
    pub fn rb_read(rb: *mut ringbuffer, buf: *mut c_void, len: size_t) -> ssize_t;
    pub fn rb_dump(rb: *mut ringbuffer, len_out: *mut size_t) -> *mut c_void;
    pub fn rb_cleanup(rb: *mut ringbuffer);
}
