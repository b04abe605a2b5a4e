//! `include/msf_log.h`.

use core::ffi::{c_char, c_int};

pub const DBG_FATAL: c_int = 0;
pub const DBG_ERROR: c_int = 1;
pub const DBG_WARN: c_int = 2;
pub const DBG_DEBUG: c_int = 3;
pub const DBG_INFO: c_int = 4;
pub const DBG_MAX: c_int = 5;

pub const MSF_LOG_RING: c_int = 0;
pub const MSF_LOG_DIRECT: c_int = 1;

pub const MSF_LOG_BLOCK: c_int = 0;
pub const MSF_LOG_DROP: c_int = 1;

pub const MSF_LOG_JSON: c_int = 0;
pub const MSF_LOG_SYSLOG: c_int = 1;
pub const MSF_LOG_SYSLOG5424: c_int = 2;
pub const MSF_LOG_JOURNAL: c_int = 3;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct msf_log_stats {
    pub size: u32,
    pub rings: u32,
    pub written: u64,
    pub dropped: u64,
    pub lost: u64,
    pub recovered: u64,
    pub refused: u64,
}

unsafe extern "C" {
    pub fn msf_log_write(
        level: c_int,
        module: *const c_char,
        func: *const c_char,
        file: *const c_char,
        line: c_int,
        fmt: *const c_char,
        ...
    ) -> c_int;
    pub fn msf_log_init(log_path: *const c_char) -> c_int;
    pub fn msf_log_init_default(name: *const c_char) -> c_int;
    pub fn msf_log_reopen() -> c_int;
    pub fn msf_log_limit(bytes: u64, files: u32) -> c_int;
    pub fn msf_log_level(level: c_int) -> c_int;
    pub fn msf_log_module_level(module: *const c_char, level: c_int) -> c_int;
    pub fn msf_log_free();
    pub fn msf_log_mode(mode: c_int) -> c_int;
    pub fn msf_log_policy(policy: c_int) -> c_int;
    pub fn msf_log_ring(bytes: u32) -> c_int;
    pub fn msf_log_flush() -> c_int;
    pub fn msf_log_output(output: c_int, at: *const c_char) -> c_int;
    pub fn msf_log_output_end(output: c_int) -> c_int;
    pub fn msf_log_recover(log_path: *const c_char) -> c_int;
    pub fn msf_log_stats(stats_out: *mut msf_log_stats) -> c_int;
}
