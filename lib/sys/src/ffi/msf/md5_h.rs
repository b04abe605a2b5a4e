//! `include/msf_md5.h`.

use core::ffi::c_void;

pub const MD5_DIGEST_BYTES: usize = 16;
pub const MD5_BLOCK_BYTES: usize = 64;

#[repr(C)]
pub struct md5_ctx {
    pub block: [u32; 16],
    pub digest: [u32; 4],
    pub count: u64,
}

unsafe extern "C" {
    pub fn md5_init(ctx: *mut md5_ctx);
    pub fn md5_update(ctx: *mut md5_ctx, data: *const c_void, len: usize);
    pub fn md5_final(ctx: *mut md5_ctx, out: *mut u8);
}
