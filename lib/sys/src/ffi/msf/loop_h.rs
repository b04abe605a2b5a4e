//! `include/msf_loop.h`.

use super::event_h::msf_event_base;
use core::ffi::{c_char, c_int, c_void};
use core::marker::{PhantomData, PhantomPinned};

pub const MSF_LOOP_PIN: u32 = 1;

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_loop {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_loop_group {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_loop_options {
    pub size: u32,
    pub flags: u32,
    pub cpu: u32,
    pub mailbox: u32,
    pub name: *const c_char,
}

unsafe extern "C" {
    pub fn msf_event_base_post(
        base: *mut msf_event_base,
        run: Option<unsafe extern "C" fn(arg: *mut c_void)>,
        drop: Option<unsafe extern "C" fn(arg: *mut c_void)>,
        arg: *mut c_void,
    ) -> c_int;
    pub fn msf_loop_new(options: *const msf_loop_options) -> *mut msf_loop;
    pub fn msf_loop_adopt(base: *mut msf_event_base) -> *mut msf_loop;
    pub fn msf_loop_current() -> *mut msf_loop;
    pub fn msf_loop_base(loop_: *mut msf_loop) -> *mut msf_event_base;
    pub fn msf_loop_post(
        loop_: *mut msf_loop,
        run: Option<unsafe extern "C" fn(arg: *mut c_void)>,
        drop: Option<unsafe extern "C" fn(arg: *mut c_void)>,
        arg: *mut c_void,
    ) -> c_int;
    pub fn msf_loop_stop(loop_: *mut msf_loop) -> c_int;
    pub fn msf_loop_join(loop_: *mut msf_loop) -> c_int;
    pub fn msf_loop_free(loop_: *mut msf_loop);
    pub fn msf_loop_group_new(count: u32, options: *const msf_loop_options) -> *mut msf_loop_group;
    pub fn msf_loop_group_count(group: *mut msf_loop_group) -> c_int;
    pub fn msf_loop_group_at(group: *mut msf_loop_group, index: u32) -> *mut msf_loop;
    pub fn msf_loop_group_next(group: *mut msf_loop_group) -> *mut msf_loop;
    pub fn msf_loop_group_for(group: *mut msf_loop_group, key: u64) -> *mut msf_loop;
    pub fn msf_loop_group_free(group: *mut msf_loop_group);
}
