//! `include/msf.h`.

use core::ffi::{CStr, c_char, c_int};

pub const MSF_HAVE_EPOLL: c_int = 1;
pub const MSF_HAVE_EVENTFD: c_int = 1;
pub const MSF_HAVE_SYS_EVENTFD_H: c_int = 1;
pub const MSF_HAVE_UNIX_DOMAIN: c_int = 1;
pub const MSF_HAVE_POSIX_SEM: c_int = 1;
pub const MSF_HAVE_GCC_ATOMIC: c_int = 1;
pub const MSF_VERSION_MAJOR: c_int = 0;
pub const MSF_VERSION_MINOR: c_int = 1;
pub const MSF_VERSION_PATCH: c_int = 0;
pub const MSF_VERSION_STRING: &CStr = c"0.1.0";

unsafe extern "C" {
    pub fn msf_version() -> *const c_char;
}
