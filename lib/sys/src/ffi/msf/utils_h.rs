//! `include/msf_utils.h`.

use core::ffi::c_int;

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
}
