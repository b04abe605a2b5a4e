//! msf_ringbuff.h: a ring of bytes.

use crate::guard::{guard_or, guard_ptr};
use crate::header::ringbuffer;
use msf_core::mem::Ring;
use nix::errno::Errno;
use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::slice;

as_declared! {
    rb_create rb_destroy rb_write rb_read rb_dump rb_cleanup
}

/// The ring, and before it what C may look at: a face that is brought up to date after each call.
#[repr(C)]
struct Shown {
    face: ringbuffer,
    ring: Ring,
}

impl Shown {
    fn show(&mut self) {
        (self.face.start, self.face.end) = self.ring.positions();
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn rb_create(size: c_int) -> *mut ringbuffer {
    guard_ptr(|| {
        let length = size.checked_add(1).filter(|length| *length > 1).ok_or(Errno::EINVAL)?;
        let ring = Ring::try_new(length as usize - 1).ok_or(Errno::ENOMEM)?;
        let face = ringbuffer { buffer: ring.storage().as_ptr().cast_mut().cast(), length, start: 0, end: 0 };
        Ok(Box::into_raw(Box::new(Shown { face, ring })).cast())
    })
}

/// # Safety
/// `rb` is null or came from `rb_create`, is not freed, and nobody is inside it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rb_destroy(rb: *mut ringbuffer) {
    guard_or((), || {
        if !rb.is_null() {
            // SAFETY: it came from `Box::into_raw` in `rb_create`, our caller says.
            drop(unsafe { Box::from_raw(rb.cast::<Shown>()) });
        }
        Ok(())
    });
}

/// # Safety
/// As for `rb_destroy`; `buf` is null, or `len` bytes may be read there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rb_write(rb: *mut ringbuffer, buf: *const c_void, len: usize) -> isize {
    guard_or(-1, || {
        // SAFETY: the contract is our caller's.
        let shown = unsafe { borrow(rb, buf) }?;
        if len > shown.ring.room() {
            return Err(Errno::ENOSPC);
        }
        // SAFETY: not null (`borrow` checks it); our caller vouches for the rest.
        shown.ring.write(unsafe { slice::from_raw_parts(buf.cast(), len) });
        shown.show();
        Ok(len as isize)
    })
}

/// # Safety
/// As for `rb_destroy`; `buf` is null, or `len` bytes may be written there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rb_read(rb: *mut ringbuffer, buf: *mut c_void, len: usize) -> isize {
    guard_or(-1, || {
        // SAFETY: the contract is our caller's.
        let shown = unsafe { borrow(rb, buf) }?;
        let count = len.min(shown.ring.len());
        // SAFETY: not null (`borrow` checks it); our caller says that there is room for `len`.
        shown.ring.read(unsafe { slice::from_raw_parts_mut(buf.cast(), count) });
        shown.show();
        Ok(count as isize)
    })
}

/// # Safety
/// As for `rb_destroy`; `len_out` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rb_dump(rb: *mut ringbuffer, len_out: *mut usize) -> *mut c_void {
    guard_ptr(|| {
        // SAFETY: the contract is our caller's.
        let shown = unsafe { borrow(rb, len_out.cast()) }?;
        let count = shown.ring.len();
        let copy = allocated(count)?;
        // SAFETY: `count` bytes were allocated, if any.
        shown.ring.peek(unsafe { slice::from_raw_parts_mut(copy.as_ptr().cast(), count) });
        // SAFETY: not null (`borrow` checks it), and our caller says that it may be written.
        unsafe { len_out.write(count) };
        if count == 0 { Err(Errno::ENODATA) } else { Ok(copy.as_ptr()) }
    })
}

/// # Safety
/// As for `rb_destroy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rb_cleanup(rb: *mut ringbuffer) {
    guard_or((), || {
        // SAFETY: the contract is our caller's.
        if let Ok(shown) = unsafe { borrow(rb, rb.cast()) } {
            shown.ring.clear();
            shown.show();
        }
        Ok(())
    });
}

/// The ring behind the pointer, if what comes with it is not null either.
///
/// # Safety
/// `rb` is null or came from `rb_create`, is not freed, and nobody is inside it as long as `'a`.
unsafe fn borrow<'a>(rb: *mut ringbuffer, other: *const c_void) -> Result<&'a mut Shown, Errno> {
    // SAFETY: null is `None`; the caller vouches for the rest.
    unsafe { rb.cast::<Shown>().as_mut() }.filter(|_| !other.is_null()).ok_or(Errno::EINVAL)
}

/// Memory of the C library's, for who frees it with its `free`. Nothing is allocated for 0.
fn allocated(length: usize) -> Result<NonNull<c_void>, Errno> {
    if length == 0 {
        return Ok(NonNull::dangling());
    }
    // SAFETY: the call takes any length.
    NonNull::new(unsafe { libc::calloc(1, length) }).ok_or(Errno::ENOMEM)
}
