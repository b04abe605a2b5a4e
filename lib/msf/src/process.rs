//! msf_process.h: the description of the process, its places, its name and its title, its user and its limits.

use crate::guard::{bytes, guard, guard_or, plain, told};
use crate::header::{self, MSF_DAEMON_KEEP_FILES, MSF_DAEMON_KEEP_FOLDER, MSF_FALSE, MSF_TRUE};
use msf_core::file::Lock;
use msf_core::process::{self, Claim, Held, Identity, Ready, Resource};
use msf_core::sys::place;
use msf_core::sysinfo;
use nix::errno::Errno;
use std::ffi::{OsStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

as_declared! {
    msf_run_dir msf_log_dir msf_process_claim msf_process_release msf_process_holder msf_process_title
    msf_process_daemonize msf_process_ready msf_get_process_name msf_getpid_by_name msf_set_user msf_set_rlimit
    process_try_lock msf_crash_notify
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

/// # Safety
/// None. It is unsafe because every function of the header is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_crash_notify() -> c_int {
    guard(|| process::crash::notify().map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO))))
}

/// # Safety
/// None: it takes a number. It is unsafe because every function of the header is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_process_daemonize(flags: u32) -> c_int {
    guard(|| {
        if flags & !(MSF_DAEMON_KEEP_FOLDER | MSF_DAEMON_KEEP_FILES) != 0 {
            return Err(Errno::EINVAL);
        }
        let keeps = |flag| flags & flag != 0;
        let ready = process::daemonize(keeps(MSF_DAEMON_KEEP_FOLDER), keeps(MSF_DAEMON_KEEP_FILES)).map_err(told)?;
        take_over_claims()?;
        *READY.lock().unwrap_or_else(PoisonError::into_inner) = Some(ready);
        Ok(())
    })
}

/// # Safety
/// None: it takes nothing. It is unsafe because every function of the header is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_process_ready() -> c_int {
    guard(|| {
        let ready = READY.lock().unwrap_or_else(PoisonError::into_inner).take();
        ready.ok_or(Errno::EALREADY)?.tell().map_err(plain)
    })
}

/// # Safety
/// `name` is null or has room for 256 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_get_process_name(name: *mut c_char) -> c_int {
    guard(|| {
        let path =
            std::env::current_exe().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
        let path = path.as_os_str().as_bytes();
        // What the kernel says of a file that was removed, or replaced by an upgrade.
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        // SAFETY: the contract is our caller's.
        unsafe { copy_out(Path::new(OsStr::from_bytes(path)), name, 256) }
    })
}

/// # Safety
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_getpid_by_name(name: *const c_char) -> libc::pid_t {
    guard_or(-1, || {
        // SAFETY: the contract is our caller's.
        let name = unsafe { text(name) }?;
        let found = if name.is_empty() { Err(Errno::EINVAL) } else { sysinfo::process::named(name).map_err(plain) };
        found?.first().copied().ok_or(Errno::ESRCH)
    })
}

/// # Safety
/// `proc_` is null or a description, whose `username` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_set_user(proc_: *mut header::process) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let described = unsafe { proc_.as_mut() }.ok_or(Errno::EINVAL)?;
        if described.username.is_null() {
            let (uid, gid) = (described.user, described.group);
            let asked = (uid, gid) != (0, 0);
            return if asked { Identity { uid, gid, groups: vec![gid] }.assume().map_err(plain) } else { Ok(()) };
        }
        // SAFETY: the contract is our caller's.
        let identity = Identity::of(unsafe { text(described.username) }?).map_err(told)?;
        (described.user, described.group) = (identity.uid, identity.gid);
        identity.assume().map_err(plain)
    })
}

/// # Safety
/// `proc_` is null or a description.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_set_rlimit(proc_: *const header::process) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let described = unsafe { proc_.as_ref() }.ok_or(Errno::EINVAL)?;
        if described.rlimit_nofile > 0 {
            set_soft_limit(Resource::RLIMIT_NOFILE, described.rlimit_nofile)?;
        }
        if described.rlimit_core >= 0 {
            set_soft_limit(Resource::RLIMIT_CORE, described.rlimit_core)?;
        }
        Ok(())
    })
}

/// # Safety
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn process_try_lock(name: *const c_char, _mode: u32) -> c_int {
    guard_or(MSF_FALSE, || {
        // SAFETY: the contract is our caller's.
        let name = unsafe { text(name) }?;
        if name.is_empty() || name.contains('/') {
            return Err(Errno::EINVAL);
        }
        let lock = match Lock::try_hold(&Path::new(OF_2019).join(name)) {
            Err(error) if matches!(error.errno(), Errno::EACCES | Errno::ENOENT | Errno::EROFS | Errno::EPERM) => {
                Lock::try_hold(&place::run_dir().map_err(told)?.join(name))
            }
            other => other,
        };
        lock.map_err(told)?.ok_or(Errno::EWOULDBLOCK)?.keep();
        Ok(MSF_TRUE)
    })
}

fn set_soft_limit(resource: Resource, value: c_int) -> Result<(), Errno> {
    process::set_soft_limit(resource, u64::from(value.unsigned_abs())).map_err(plain)
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

/// Where 2019 had its locks.
const OF_2019: &str = "/var/run";
/// The parent that waits for us in the foreground.
static READY: Mutex<Option<Ready>> = Mutex::new(None);
/// What this process has claimed, with the names.
static CLAIMS: Mutex<Vec<(String, Claim)>> = Mutex::new(Vec::new());
