//! msf_utils.h and msf.h: the functions that belong to no other room.

use crate::guard::{bytes, guard, guard_or, told};
use crate::header::{MSF_FALSE, MSF_TRUE, sighandler_t};
use crate::process;
use msf_core::process::daemonize as into_background;
use nix::errno::Errno;
use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::num::{IntErrorKind, ParseIntError};
use std::ptr;

as_declared! {
    msf_version daemonize signal_handler safe_strtoull safe_strtoll safe_strtoul safe_strtol
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_version() -> *const c_char {
    guard_or(ptr::null(), || Ok(VERSION.as_ptr()))
}

/// The parent leaves inside this call, with status 0 once the child is here; the child goes on with 0.
#[unsafe(no_mangle)]
pub extern "C" fn daemonize(nochdir: c_int, noclose: c_int) -> c_int {
    guard(|| {
        let ready = into_background(nochdir != 0, noclose != 0).map_err(told)?;
        process::take_over_claims()?;
        ready.tell().map_err(told)
    })
}

/// # Safety
/// `handler` may be called at any time from now on, on any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn signal_handler(sig: c_int, handler: sighandler_t) -> c_int {
    guard(|| {
        let handler = handler.map_or(libc::SIG_DFL, |handler| handler as usize);
        // What signal() answers when it has failed: called, it would be a jump to nowhere.
        if handler == libc::SIG_ERR {
            return Err(Errno::EINVAL);
        }
        // SAFETY: a sigaction is numbers and function pointers that may be null.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = handler;
        action.sa_flags = libc::SA_NODEFER | libc::SA_RESTART;
        // SAFETY: `action` is complete, with an empty mask, and the old one is not asked for.
        Errno::result(unsafe { libc::sigaction(sig, &raw const action, ptr::null_mut()) }).map(drop)
    })
}

/// # Safety
/// `text` is null or NUL-terminated, `value_out` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn safe_strtoull(text: *const c_char, value_out: *mut u64) -> u8 {
    // SAFETY: the contract is our caller's.
    unsafe { parsed(text, value_out) }
}

/// # Safety
/// As `safe_strtoull`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn safe_strtoll(text: *const c_char, value_out: *mut i64) -> u8 {
    // SAFETY: the contract is our caller's.
    unsafe { parsed(text, value_out) }
}

/// # Safety
/// As `safe_strtoull`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn safe_strtoul(text: *const c_char, value_out: *mut u32) -> u8 {
    // SAFETY: the contract is our caller's.
    unsafe { parsed(text, value_out) }
}

/// # Safety
/// As `safe_strtoull`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn safe_strtol(text: *const c_char, value_out: *mut i32) -> u8 {
    // SAFETY: the contract is our caller's.
    unsafe { parsed(text, value_out) }
}

/// # Safety
/// `text` is null or NUL-terminated, `out` is null or may be written.
unsafe fn parsed<T: TryFrom<i128>>(text: *const c_char, out: *mut T) -> u8 {
    guard_or(MSF_FALSE as u8, || {
        // SAFETY: the contract is our caller's.
        let value = number(unsafe { bytes(text) }?, T::try_from(-1).is_ok())?;
        if out.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: not null, and our caller says that it may be written.
        unsafe { out.write(T::try_from(value).map_err(|_| Errno::ERANGE)?) };
        Ok(MSF_TRUE as u8)
    })
}

/// The first word is the number, which may have a minus where `signed`; what follows after white space is somebody else's. What Rust
/// parses is what is wanted: perhaps a sign, and digits.
fn number(text: &[u8], signed: bool) -> Result<i128, Errno> {
    let space = |byte: &u8| byte.is_ascii_whitespace() || *byte == VERTICAL_TAB;
    let word = text.split(space).find(|word| !word.is_empty()).ok_or(Errno::EINVAL)?;
    let word = str::from_utf8(word).map_err(|_| Errno::EINVAL)?;
    // Of a number that is too long Rust does not look at the end.
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    if (word.starts_with('-') && !signed) || digits.bytes().any(|byte| !byte.is_ascii_digit()) {
        return Err(Errno::EINVAL);
    }
    word.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Errno::ERANGE,
        _ => Errno::EINVAL,
    })
}

/// White space to C, and not to Rust.
const VERTICAL_TAB: u8 = 11;
const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => c"",
};
const _: () = assert!(!VERSION.is_empty());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::MSF_VERSION_STRING;

    #[test]
    fn the_version_is_the_headers() {
        assert_eq!(VERSION, MSF_VERSION_STRING);
    }
}
