//! `include/msf_errno.h`.

use core::ffi::c_int;

pub const MSF_ENOMOREFILES: c_int = 0;
