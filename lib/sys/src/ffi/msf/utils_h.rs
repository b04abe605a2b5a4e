//! `include/msf_utils.h`.

use core::ffi::{c_char, c_int};

pub const MSF_FALSE: c_int = 0;
pub const MSF_TRUE: c_int = 1;
pub const MSF_OK: c_int = 0;
pub const MSF_ERR: c_int = -1;
pub const MSF_NO_WAIT: c_int = 0;
pub const MSF_WAIT_FOREVER: c_int = -1;
pub const MSF_INVALID_SOCKET: c_int = -1;
pub const MSF_CONF_UNSET_UINT: u32 = 0xffff_ffff;
pub const MSF_INT32_LEN: c_int = 11;
pub const MSF_INT64_LEN: c_int = 20;

pub type sighandler_t = Option<unsafe extern "C" fn(sig: c_int)>;

unsafe extern "C" {
    pub fn daemonize(nochdir: c_int, noclose: c_int) -> c_int;
    pub fn signal_handler(sig: c_int, handler: sighandler_t) -> c_int;
    pub fn safe_strtoull(text: *const c_char, value_out: *mut u64) -> u8;
    pub fn safe_strtoll(text: *const c_char, value_out: *mut i64) -> u8;
    pub fn safe_strtoul(text: *const c_char, value_out: *mut u32) -> u8;
    pub fn safe_strtol(text: *const c_char, value_out: *mut i32) -> u8;
}
