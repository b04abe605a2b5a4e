//! msf_file.h: pid files.

use crate::file::path_of;
use crate::guard::{guard, guard_or, plain, told};
use msf_core::file::{PidFile, named_pid, running};
use nix::errno::Errno;
use std::ffi::{c_char, c_int};
use std::fs;

as_declared! {
    msf_create_pidfile msf_write_pidfile msf_delete_pidfile msf_read_pidfile msf_check_runningpid
}

/// # Safety
/// `path` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_create_pidfile(path: *const c_char) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| PidFile::create(unsafe { path_of(path) }?).map(PidFile::keep).map_err(plain))
}

/// # Safety
/// `path` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_write_pidfile(path: *const c_char) {
    // SAFETY: the contract is our caller's.
    guard(|| PidFile::write(unsafe { path_of(path) }?).map(PidFile::keep).map_err(told));
}

/// # Safety
/// `path` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_delete_pidfile(path: *const c_char) {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let path = unsafe { path_of(path) }?;
        let ours = std::process::id().cast_signed();
        if named_pid(path).map_err(told)?.is_some_and(|pid| pid == ours || !running(pid)) {
            fs::remove_file(path).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
        }
        Ok(())
    });
}

/// # Safety
/// `path` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_read_pidfile(path: *const c_char) -> libc::pid_t {
    // SAFETY: the contract is our caller's.
    guard_or(-1, || named_pid(unsafe { path_of(path) }?).map_err(plain)?.ok_or(Errno::ENOENT))
}

/// # Safety
/// `path` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_check_runningpid(path: *const c_char) -> c_int {
    // SAFETY: the contract is our caller's.
    guard_or(-1, || Ok(named_pid(unsafe { path_of(path) }?).map_err(plain)?.is_some_and(running).into()))
}
