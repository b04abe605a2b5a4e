//! The one convention of the C ABI (0 or a count, else -1 and errno; a pointer, else NULL and errno) as `Result`.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::ptr::NonNull;

/// The outcome of a function that returns 0 or a count.
pub(crate) fn checked(code: i32) -> io::Result<i32> {
    // Read at once: the next call may change errno.
    if code < 0 { Err(io::Error::last_os_error()) } else { Ok(code) }
}

/// The outcome of a function that returns a pointer.
pub(crate) fn non_null<T>(pointer: *mut T) -> io::Result<NonNull<T>> {
    NonNull::new(pointer).ok_or_else(io::Error::last_os_error)
}

/// A string for C; one with a NUL inside is refused, C would see half of it.
pub(crate) fn c_string(text: impl AsRef<OsStr>) -> io::Result<CString> {
    let text = text.as_ref();
    CString::new(text.as_bytes()).map_err(|nul| {
        let at = nul.nul_position();
        io::Error::new(io::ErrorKind::InvalidInput, format!("{}: NUL byte at position {at}", text.display()))
    })
}
