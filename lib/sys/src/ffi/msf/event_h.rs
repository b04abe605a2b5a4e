//! `include/msf_event.h`.

use core::ffi::{c_int, c_uint, c_void};
use core::marker::{PhantomData, PhantomPinned};

pub const MSF_EVENT_TIMEOUT: c_int = 1;
pub const MSF_EVENT_READ: c_int = 2;
pub const MSF_EVENT_WRITE: c_int = 4;
pub const MSF_EVENT_SIGNAL: c_int = 8;
pub const MSF_EVENT_PERSIST: c_int = 16;
pub const MSF_EVENT_ET: c_int = 32;
pub const MSF_EVENT_FINALIZE: c_int = 64;
pub const MSF_EVENT_CLOSED: c_int = 128;
pub const MSF_EVENT_ERROR: c_int = 256;
pub const MSF_EVENT_EXCEPT: c_int = 512;

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_event_base {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_event {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_event_timer {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

pub const LIMIT_TIMER: c_int = 1;
pub const CYCLE_TIMER: c_int = 2;

unsafe extern "C" {
    pub fn msf_event_base_new() -> *mut msf_event_base;
    pub fn msf_event_base_free(base: *mut msf_event_base);
    pub fn msf_event_base_dispatch(base: *mut msf_event_base) -> c_int;
    pub fn msf_event_base_wait(base: *mut msf_event_base) -> c_int;
    pub fn msf_event_base_signal(base: *mut msf_event_base);
    pub fn msf_event_base_loopexit(base: *mut msf_event_base);
    pub fn msf_event_base_count(base: *mut msf_event_base, events_out: *mut u32, timers_out: *mut u32) -> c_int;
    pub fn msf_event_new(
        fd: c_int,
        read_cb: Option<unsafe extern "C" fn(args: *mut c_void)>,
        write_cb: Option<unsafe extern "C" fn(args: *mut c_void)>,
        error_cb: Option<unsafe extern "C" fn(args: *mut c_void)>,
        args: *mut c_void,
    ) -> *mut msf_event;
    pub fn msf_event_add(base: *mut msf_event_base, ev: *mut msf_event) -> c_int;
    pub fn msf_event_del(base: *mut msf_event_base, ev: *mut msf_event) -> c_int;
    pub fn msf_event_free(ev: *mut msf_event);
    pub fn msf_event_timer_new(
        base: *mut msf_event_base,
        cb: Option<unsafe extern "C" fn(args: *mut c_void)>,
        args: *mut c_void,
    ) -> *mut msf_event_timer;
    pub fn msf_event_timer_start(timer: *mut msf_event_timer, delay_ms: u64, interval_ms: u64) -> c_int;
    pub fn msf_event_timer_stop(timer: *mut msf_event_timer) -> c_int;
    pub fn msf_event_timer_free(timer: *mut msf_event_timer);
    pub fn msf_timer_init() -> c_int;
    pub fn msf_timer_destroy();
    pub fn msf_timer_count(from: *const c_void, to: *const c_void) -> c_int;
    pub fn msf_timer_add(
        timer_id: c_uint,
        interval_ms: c_int,
        fun: Option<unsafe extern "C" fn(arg: *mut c_void) -> c_int>,
        arg: *mut c_void,
        flag: c_int,
        exe_num: c_int,
    ) -> c_int;
    pub fn msf_timer_remove(timer_id: c_uint) -> c_int;
}
