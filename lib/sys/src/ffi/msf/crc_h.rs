//! `include/msf_crc.h`.

use core::ffi::c_uint;

unsafe extern "C" {
    pub fn msf_compute_crc(data: *const u8, len: c_uint) -> c_uint;
    pub fn crc64(crc: u64, data: *const u8, len: u64) -> u64;
}
