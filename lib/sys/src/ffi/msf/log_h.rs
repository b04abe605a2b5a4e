//! `include/msf_log.h`.

use core::ffi::{c_char, c_int};

pub const DBG_FATAL: c_int = 0;
pub const DBG_ERROR: c_int = 1;
pub const DBG_WARN: c_int = 2;
pub const DBG_DEBUG: c_int = 3;
pub const DBG_INFO: c_int = 4;
pub const DBG_MAX: c_int = 5;

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
    pub fn msf_log_free();
}
