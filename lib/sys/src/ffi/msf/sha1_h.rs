//! `include/msf_sha1.h`.

use core::ffi::c_void;

pub const SHA1_DIGEST_BYTES: usize = 20;
pub const SHA1_BLOCK_BYTES: usize = 64;

#[repr(C)]
pub struct sha1_ctx {
    pub digest: [u32; 5],
    pub block: [u32; 16],
    pub count: u64,
}

unsafe extern "C" {
    pub fn sha1_init(ctx: *mut sha1_ctx);
    pub fn sha1_update(ctx: *mut sha1_ctx, data: *const c_void, len: usize);
    pub fn sha1_final(ctx: *mut sha1_ctx, out: *mut u8);
}
