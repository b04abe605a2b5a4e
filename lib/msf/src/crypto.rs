//! msf_md5.h, msf_sha1.h, msf_crc.h, msf_crypto.h: digests, checks and encodings.
//!
//! The contexts of MD5 and SHA-1 lie in the caller's memory, field by field what a [`Chain`] is. A `struct msf_digest`
//! is a boxed [`Digest`].

use crate::guard::{guard, guard_or, guard_ptr};
use crate::header::{MSF_DIGEST_HMAC_SHA1, MSF_DIGEST_HMAC_SHA256, MSF_DIGEST_SHA256, md5_ctx, msf_digest, sha1_ctx};
use libc::ssize_t;
use msf_core::crypto::base64::{self, Refused};
use msf_core::crypto::{self, Chain, HmacSha1, HmacSha256, Md5, Sha1, Sha256};
use nix::errno::Errno;
use std::borrow::Cow;
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::{ptr, slice};

as_declared! {
    md5_init md5_update md5_final sha1_init sha1_update sha1_final msf_compute_crc crc64 msf_sha256 msf_hmac_sha256
    msf_hmac_sha1 msf_digest_new msf_digest_update msf_digest_final msf_digest_free msf_crypto_equal msf_base64_encode
    msf_base64_decode
}

/// The bytes a C caller points at; NULL stands for none.
///
/// # Safety
/// `data` is null or readable for `len` bytes that nobody changes during `'a`.
unsafe fn read<'a>(data: *const c_void, len: usize) -> Result<&'a [u8], Errno> {
    match (data.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno::EINVAL),
        (false, len) if isize::try_from(len).is_err() => Err(Errno::EINVAL),
        // SAFETY: not null; the rest is our caller's promise.
        (false, len) => Ok(unsafe { slice::from_raw_parts(data.cast(), len) }),
    }
}

/// Writes a result that has just come to be.
///
/// # Safety
/// `out` is null or writable for as many bytes as `result` has.
unsafe fn write(out: *mut u8, result: &[u8]) -> Result<(), Errno> {
    if out.is_null() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: room is our caller's promise; `result` is a value of ours, so they do not overlap.
    unsafe { ptr::copy_nonoverlapping(result.as_ptr(), out, result.len()) };
    Ok(())
}

/// # Safety
/// `pointer` is null or points at a `T` that nobody else uses during `'a`.
unsafe fn borrow<'a, T>(pointer: *mut T) -> Result<&'a mut T, Errno> {
    // SAFETY: not null is checked by `as_mut`, the rest is our caller's promise.
    unsafe { pointer.as_mut() }.ok_or(Errno::EINVAL)
}

fn to_bytes(words: &[u32; 16]) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes.as_chunks_mut::<4>().0.iter_mut().zip(words).for_each(|(bytes, word)| *bytes = word.to_ne_bytes());
    bytes
}

fn to_words(bytes: &[u8; 64]) -> [u32; 16] {
    let mut words = [0; 16];
    words.iter_mut().zip(bytes.as_chunks::<4>().0).for_each(|(word, bytes)| *word = u32::from_ne_bytes(*bytes));
    words
}

/// The doorways of a digest whose context, of so many words of digest, lies in the caller's memory.
macro_rules! digest_doors {
    ($context:ident, $digest:ident, $words:literal: $init:ident $update:ident $finish:ident) => {
        impl $context {
            fn load(&self) -> $digest {
                $digest::from_chain(Chain { block: to_bytes(&self.block), digest: self.digest, count: self.count })
            }

            fn store(&mut self, digest: &$digest) {
                let chain = digest.chain();
                *self = $context { block: to_words(&chain.block), digest: chain.digest, count: chain.count };
            }
        }

        /// # Safety
        /// `ctx` is null or a context that nobody else uses during the call; it need not have been written yet.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $init(ctx: *mut $context) {
            guard(|| {
                // SAFETY: our caller's promise is the callee's; every bit pattern is a context.
                unsafe { borrow(ctx) }?.store(&$digest::new());
                Ok(())
            });
        }

        /// # Safety
        /// `ctx` is null or a context that nobody else uses, `data` null or readable for `len` bytes.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $update(ctx: *mut $context, data: *const c_void, len: usize) {
            guard(|| {
                // SAFETY: our caller's promise is the callee's.
                let ctx = unsafe { borrow(ctx) }?;
                let mut digest = ctx.load();
                // SAFETY: our caller's promise is the callee's.
                digest.update(unsafe { read(data, len) }?);
                ctx.store(&digest);
                Ok(())
            });
        }

        /// # Safety
        /// `ctx` is null or a context that nobody else uses, `out` null or writable for the digest's bytes.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $finish(ctx: *mut $context, out: *mut u8) {
            guard(|| {
                // SAFETY: our caller's promise is the callee's.
                let ctx = unsafe { borrow(ctx) }?;
                // SAFETY: our caller's promise is the callee's.
                unsafe { write(out, &ctx.load().finish()) }?;
                // What was digested is nobody else's business.
                *ctx = $context { block: [0; 16], digest: [0; $words], count: 0 };
                Ok(())
            });
        }
    };
}

digest_doors! { md5_ctx, Md5, 4: md5_init md5_update md5_final }
digest_doors! { sha1_ctx, Sha1, 5: sha1_init sha1_update sha1_final }

/// # Safety
/// `data` is null or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_compute_crc(data: *const u8, len: c_uint) -> c_uint {
    // SAFETY: our caller's promise is the callee's.
    guard_or(0, || Ok(crypto::crc32(unsafe { read(data.cast(), len as usize) }?)))
}

/// # Safety
/// `data` is null or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn crc64(crc: u64, data: *const u8, len: u64) -> u64 {
    guard_or(crc, || {
        let len = isize::try_from(len).map_err(|_| Errno::EINVAL)? as usize;
        // SAFETY: our caller's promise is the callee's.
        Ok(crypto::crc64(crc, unsafe { read(data.cast(), len) }?))
    })
}

/// # Safety
/// `data` is null or readable for `len` bytes, `out` null or writable for 32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_sha256(data: *const c_void, len: usize, out: *mut u8) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let data = unsafe { read(data, len) }?;
        // SAFETY: our caller's promise is the callee's.
        unsafe { write(out, &Sha256::of(data)) }
    })
}

/// # Safety
/// `key` and `data` are null or readable for their lengths, `out` null or writable for 32 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_hmac_sha256(
    key: *const c_void,
    key_len: usize,
    data: *const c_void,
    len: usize,
    out: *mut u8,
) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { hmac(MSF_DIGEST_HMAC_SHA256, (key, key_len), (data, len), out) })
}

/// # Safety
/// `key` and `data` are null or readable for their lengths, `out` null or writable for 20 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_hmac_sha1(
    key: *const c_void,
    key_len: usize,
    data: *const c_void,
    len: usize,
    out: *mut u8,
) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { hmac(MSF_DIGEST_HMAC_SHA1, (key, key_len), (data, len), out) })
}

/// # Safety
/// The pairs are null or readable for their lengths, `out` null or writable for the code's bytes.
unsafe fn hmac(
    kind: c_int,
    key: (*const c_void, usize),
    data: (*const c_void, usize),
    out: *mut u8,
) -> Result<(), Errno> {
    // SAFETY: our caller's promise is the callee's.
    let mut digest = Digest::new(kind, unsafe { read(key.0, key.1) }?)?;
    // SAFETY: our caller's promise is the callee's.
    digest.now.update(unsafe { read(data.0, data.1) }?);
    // SAFETY: our caller's promise is the callee's.
    digest.now.finish(|code| unsafe { write(out, code) })
}

/// A message taken in piece by piece.
struct Digest {
    /// As it was before the first piece.
    fresh: Kind,
    now: Kind,
}

#[derive(Clone)]
enum Kind {
    Sha256(Sha256),
    HmacSha256(HmacSha256),
    HmacSha1(HmacSha1),
}

impl Digest {
    fn new(kind: c_int, key: &[u8]) -> Result<Digest, Errno> {
        let fresh = match kind {
            MSF_DIGEST_SHA256 if key.is_empty() => Kind::Sha256(Sha256::new()),
            MSF_DIGEST_HMAC_SHA256 => Kind::HmacSha256(HmacSha256::new(key)),
            MSF_DIGEST_HMAC_SHA1 => Kind::HmacSha1(HmacSha1::new(key)),
            _ => return Err(Errno::EINVAL),
        };
        Ok(Digest { now: fresh.clone(), fresh })
    }
}

impl Kind {
    fn update(&mut self, data: &[u8]) {
        match self {
            Kind::Sha256(sha256) => sha256.update(data),
            Kind::HmacSha256(hmac) => hmac.update(data),
            Kind::HmacSha1(hmac) => hmac.update(data),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Kind::Sha256(_) | Kind::HmacSha256(_) => Sha256::BYTES,
            Kind::HmacSha1(_) => 20,
        }
    }

    fn finish<T>(&self, take: impl FnOnce(&[u8]) -> T) -> T {
        match self.clone() {
            Kind::Sha256(sha256) => take(&sha256.finish()),
            Kind::HmacSha256(hmac) => take(&hmac.finish()),
            Kind::HmacSha1(hmac) => take(&hmac.finish()),
        }
    }
}

/// # Safety
/// `key` is null or readable for `key_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_digest_new(kind: c_int, key: *const c_void, key_len: usize) -> *mut msf_digest {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let digest = Digest::new(kind, unsafe { read(key, key_len) }?)?;
        Ok(Box::into_raw(Box::new(digest)).cast())
    })
}

/// # Safety
/// `digest` is null or came from `msf_digest_new` and is used by nobody else, `data` null or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_digest_update(digest: *mut msf_digest, data: *const c_void, len: usize) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let digest = unsafe { borrow(digest.cast::<Digest>()) }?;
        // SAFETY: our caller's promise is the callee's.
        digest.now.update(unsafe { read(data, len) }?);
        Ok(())
    })
}

/// # Safety
/// `digest` is null or came from `msf_digest_new` and is used by nobody else, `out` null or writable for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_digest_final(digest: *mut msf_digest, out: *mut u8, size: usize) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let digest = unsafe { borrow(digest.cast::<Digest>()) }?;
        let bytes = digest.now.bytes();
        if size < bytes && !out.is_null() {
            return Err(Errno::ENOSPC);
        }
        // SAFETY: `size` says that there is room.
        digest.now.finish(|result| unsafe { write(out, result) })?;
        digest.now = digest.fresh.clone();
        Ok(bytes as c_int)
    })
}

/// # Safety
/// `digest` is null or came from `msf_digest_new` and is not freed twice.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_digest_free(digest: *mut msf_digest) {
    guard(|| {
        if !digest.is_null() {
            // SAFETY: it came from `msf_digest_new`'s box, and is freed once, as our caller promises.
            drop(unsafe { Box::from_raw(digest.cast::<Digest>()) });
        }
        Ok(())
    });
}

/// # Safety
/// Both are null or readable for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_crypto_equal(one: *const c_void, other: *const c_void, len: usize) -> c_int {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let one = unsafe { read(one, len) }?;
        // SAFETY: our caller's promise is the callee's.
        Ok(c_int::from(crypto::equal(one, unsafe { read(other, len) }?)))
    })
}

/// # Safety
/// `data` is null or readable for `len` bytes, `text` null or writable for `size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_base64_encode(data: *const c_void, len: usize, text: *mut c_char, size: usize) -> ssize_t {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let data = kept(unsafe { read(data, len) }?, text.addr(), size);
        // SAFETY: our caller's promise is the callee's.
        let text = unsafe { room(text.cast(), size) }?;
        let (end, text) = text.split_last_mut().ok_or(Errno::ENOSPC)?;
        let length = base64::encode_into(&data, text).map_err(errno)?;
        *text.get_mut(length).unwrap_or(end) = 0;
        Ok(length as isize)
    })
}

/// # Safety
/// `text` is null or readable for `len` bytes, `out` null or writable for `size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_base64_decode(text: *const c_char, len: usize, out: *mut c_void, size: usize) -> ssize_t {
    guard_or(-1, || {
        // SAFETY: our caller's promise is the callee's.
        let text = kept(unsafe { read(text.cast(), len) }?, out.addr(), size);
        // SAFETY: our caller's promise is the callee's.
        let out = unsafe { room(out.cast(), size) }?;
        Ok(base64::decode_into(&text, out).map_err(errno)? as isize)
    })
}

/// What is read, copied when it lies where `size` bytes are to be written: C may do both in one buffer.
fn kept(data: &[u8], out: usize, size: usize) -> Cow<'_, [u8]> {
    let from = data.as_ptr().addr();
    let overlap = from < out.saturating_add(size) && out < from + data.len();
    // Four characters stand for a byte or more: what is longer is refused anyway, and may be more than memory has.
    if overlap && data.len() <= size.saturating_mul(4) { Cow::Owned(data.to_vec()) } else { Cow::Borrowed(data) }
}

/// The room a C caller points at; NULL stands for none.
///
/// # Safety
/// `out` is null or writable for `size` bytes that nobody else uses during `'a`.
unsafe fn room<'a>(out: *mut u8, size: usize) -> Result<&'a mut [u8], Errno> {
    match (out.is_null(), size) {
        (true, 0) => Ok(&mut []),
        (true, _) => Err(Errno::EINVAL),
        (false, size) if isize::try_from(size).is_err() => Err(Errno::EINVAL),
        // SAFETY: not null; the rest is our caller's promise.
        (false, size) => Ok(unsafe { slice::from_raw_parts_mut(out, size) }),
    }
}

fn errno(refused: Refused) -> Errno {
    match refused {
        Refused::Room => Errno::ENOSPC,
        Refused::Text => Errno::EINVAL,
    }
}
