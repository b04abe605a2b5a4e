//! msf_process.h: the description of the process, its places, its name and its title.

use crate::guard::{bytes, guard, guard_or, plain, told};
use crate::header;
use msf_core::process::{self, Claim, Held};
use msf_core::sys::place;
use nix::errno::Errno;
use std::ffi::{c_char, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

as_declared! {
    msf_run_dir msf_log_dir msf_process_claim msf_process_release msf_process_holder msf_process_title
}

/// Points at a zeroed description from the first moment on; the program fills it in, or points elsewhere.
#[unsafe(no_mangle)]
pub static mut g_proc: *mut header::process = (&raw mut DESCRIPTION).cast();

// SAFETY: numbers and pointers only, so all-zero is a valid value; it is the program's from here on.
static mut DESCRIPTION: MaybeUninit<header::process> = MaybeUninit::zeroed();

/// # Safety
/// `path_out` is null or has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_run_dir(path_out: *mut c_char, size: usize) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| unsafe { copy_out(&place::run_dir().map_err(told)?, path_out, size) })
}

/// # Safety
/// `path_out` is null or has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_log_dir(path_out: *mut c_char, size: usize) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| unsafe { copy_out(&place::log_dir().map_err(told)?, path_out, size) })
}

/// # Safety
/// `name` is null or NUL-terminated; `holder_out` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_process_claim(name: *const c_char, holder_out: *mut libc::pid_t) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        match claim(unsafe { text(name) }?) {
            Err(Held::By { pid, .. }) => {
                if !holder_out.is_null() {
                    // SAFETY: not null, and our caller says that it may be written.
                    unsafe { holder_out.write(pid) };
                }
                Err(Errno::EALREADY)
            }
            Err(Held::Failed(error)) => Err(told(error)),
            Ok(()) => Ok(()),
        }
    })
}

/// # Safety
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_process_release(name: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let name = unsafe { text(name) }?;
        let mut claims = claims();
        let at = claims.iter().position(|(of, claim)| of == name && claim.is_ours()).ok_or(Errno::ENOENT)?;
        claims.swap_remove(at);
        Ok(())
    })
}

/// # Safety
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_process_holder(name: *const c_char) -> libc::pid_t {
    // SAFETY: the contract is our caller's.
    guard_or(-1, || process::holder(unsafe { text(name) }?).ok_or(Errno::ESRCH))
}

/// # Safety
/// `title` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_process_title(title: *const c_char) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| process::title(unsafe { text(title) }?).map_err(plain))
}

/// After a fork whose parent ends: the child holds what the parent held.
pub(crate) fn take_over_claims() -> Result<(), Errno> {
    claims().iter_mut().try_for_each(|(_, claim)| claim.renew()).map_err(told)
}

fn claim(name: &str) -> Result<(), Held> {
    static AT_EXIT: Once = Once::new();
    let mut claims = claims();
    // What a fork inherited is the parent's, and must not keep the child from asking.
    claims.retain(|(_, claim)| claim.is_ours());
    if !claims.iter().any(|(of, _)| of == name) {
        let claim = process::claim(name)?;
        claims.push((name.to_owned(), claim));
        AT_EXIT.call_once(|| {
            // Without it the files would stay behind; the lock itself is the kernel's to release.
            // SAFETY: the function belongs to a library that is never unmapped.
            let _ = unsafe { libc::atexit(release_all) };
        });
    }
    Ok(())
}

extern "C" fn release_all() {
    // A thread that is in the middle of a claim while the process ends keeps its files.
    if let Ok(mut claims) = CLAIMS.try_lock() {
        claims.clear();
    }
}

fn claims() -> MutexGuard<'static, Vec<(String, Claim)>> {
    CLAIMS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// `text` is null or NUL-terminated and stays unchanged for `'a`.
unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, Errno> {
    // SAFETY: the contract is our caller's.
    str::from_utf8(unsafe { bytes(text) }?).map_err(|_| Errno::EINVAL)
}

/// # Safety
/// `out` is null or has room for `size` bytes.
unsafe fn copy_out(path: &Path, out: *mut c_char, size: usize) -> Result<(), Errno> {
    let path = path.as_os_str().as_bytes();
    if out.is_null() {
        return Err(Errno::EINVAL);
    }
    if size <= path.len() {
        return Err(Errno::ERANGE);
    }
    // SAFETY: there is room for the path and its NUL (checked above), and it does not lie in a buffer of the caller's.
    unsafe { ptr::copy_nonoverlapping(path.as_ptr(), out.cast(), path.len()) };
    // SAFETY: the index is below `size`.
    let end = unsafe { out.add(path.len()) };
    // SAFETY: as above.
    unsafe { end.write(0) };
    Ok(())
}

/// What this process has claimed, with the names.
static CLAIMS: Mutex<Vec<(String, Claim)>> = Mutex::new(Vec::new());
