//! msf_utils.h and msf.h: the functions that belong to no other room.

use crate::guard::{guard, guard_or, told};
use crate::process;
use msf_core::process::daemonize as into_background;
use std::ffi::{CStr, c_char, c_int};
use std::ptr;

as_declared! {
    msf_version daemonize
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
