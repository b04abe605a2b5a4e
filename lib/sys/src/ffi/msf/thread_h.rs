//! `include/msf_thread.h`.

use core::ffi::{c_char, c_int, c_void};
use libc::{pid_t, pthread_t, size_t};

pub const MSF_PIN_INHERIT: c_int = 0;
pub const MSF_PIN_CPU: c_int = 1;
pub const MSF_PIN_CORE: c_int = 2;
pub const MSF_PIN_NODE: c_int = 3;
pub const MSF_PIN_ANYWHERE: c_int = 4;
pub const MSF_PIN_EACH: c_int = 5;

pub const MSF_SCHED_INHERIT: c_int = 0;
pub const MSF_SCHED_OTHER: c_int = 1;
pub const MSF_SCHED_BATCH: c_int = 2;
pub const MSF_SCHED_IDLE: c_int = 3;
pub const MSF_SCHED_FIFO: c_int = 4;
pub const MSF_SCHED_RR: c_int = 5;

pub const MSF_THREAD_NAME_LEN: size_t = 16;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct msf_thread_attr {
    pub size: u32,
    pub pin: c_int,
    pub place: u32,
    pub sched: c_int,
    pub priority: c_int,
    pub detached: u32,
    pub stack: size_t,
    pub name: *const c_char,
}

pub type pfn_msf_thrd = Option<unsafe extern "C" fn(arg: *mut c_void) -> *mut c_void>;

unsafe extern "C" {
    pub fn msf_pthread_spawn(
        tid: *mut pthread_t,
        func: Option<unsafe extern "C" fn(arg: *mut c_void) -> *mut c_void>,
        arg: *mut c_void,
    ) -> c_int;
    pub fn msf_thread_spawn(
        attr: *const msf_thread_attr,
        func: Option<unsafe extern "C" fn(arg: *mut c_void) -> *mut c_void>,
        arg: *mut c_void,
        tid_out: *mut pthread_t,
    ) -> c_int;
    pub fn msf_thread_pin(tid: pid_t, pin: c_int, place: u32) -> c_int;
    pub fn msf_thread_pin_cpus(tid: pid_t, cpus: *const u32, count: u32) -> c_int;
    pub fn msf_thread_sched_set(tid: pid_t, sched: c_int, priority: c_int) -> c_int;
    pub fn msf_thread_sched_get(tid: pid_t, sched_out: *mut c_int, priority_out: *mut c_int) -> c_int;
    pub fn msf_thread_name_set(tid: pthread_t, name: *const c_char) -> c_int;
    pub fn msf_thread_name_get(tid: pthread_t, name_out: *mut c_char, size: size_t) -> c_int;
}
