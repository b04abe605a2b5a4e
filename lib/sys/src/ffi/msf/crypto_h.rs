//! `include/msf_crypto.h`.

use core::ffi::{c_char, c_int, c_void};
use core::marker::{PhantomData, PhantomPinned};
use libc::ssize_t;

pub const MSF_SHA256_BYTES: usize = 32;
pub const MSF_HMAC_SHA256_BYTES: usize = 32;
pub const MSF_HMAC_SHA1_BYTES: usize = 20;
pub const MSF_DIGEST_SHA256: c_int = 1;
pub const MSF_DIGEST_HMAC_SHA256: c_int = 2;
pub const MSF_DIGEST_HMAC_SHA1: c_int = 3;

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_digest {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

unsafe extern "C" {
    pub fn msf_sha256(data: *const c_void, len: usize, out: *mut u8) -> c_int;
    pub fn msf_hmac_sha256(key: *const c_void, key_len: usize, data: *const c_void, len: usize, out: *mut u8) -> c_int;
    pub fn msf_hmac_sha1(key: *const c_void, key_len: usize, data: *const c_void, len: usize, out: *mut u8) -> c_int;
    pub fn msf_digest_new(kind: c_int, key: *const c_void, key_len: usize) -> *mut msf_digest;
    pub fn msf_digest_update(digest: *mut msf_digest, data: *const c_void, len: usize) -> c_int;
    pub fn msf_digest_final(digest: *mut msf_digest, out: *mut u8, size: usize) -> c_int;
    pub fn msf_digest_free(digest: *mut msf_digest);
    pub fn msf_crypto_equal(one: *const c_void, other: *const c_void, len: usize) -> c_int;
    pub fn msf_base64_encode(data: *const c_void, len: usize, text: *mut c_char, size: usize) -> ssize_t;
    pub fn msf_base64_decode(text: *const c_char, len: usize, out: *mut c_void, size: usize) -> ssize_t;
}
