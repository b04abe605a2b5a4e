//! msf_svc.h: loading and unloading a service.

use crate::guard::{bytes, guard, guard_ptr, told};
use crate::header::{SVCINST_EMPTY, SVCINST_LOADED, msf_svc, svcinst};
use msf_core::svc::{self, Loaded};
use nix::errno::Errno;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

as_declared! {
    msf_svcinst_init msf_svcinst_deinit msf_load_dynamic msf_load_symbol
}

/// # Safety
/// `svc` is null or points to an instance no other thread uses; its libraries may run their constructors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_svcinst_init(svc: *mut svcinst) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let instance = unsafe { svc.as_mut() }.ok_or(Errno::EINVAL)?;
        if instance.state == SVCINST_LOADED as u32 && !instance.svc_handle.is_null() {
            return Err(Errno::EALREADY);
        }
        (instance.svc_handle, instance.svc_cb) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the dependencies' strings are the caller's, and NUL-terminated.
        let needs = unsafe { needs(instance) }?;
        let (library, name) = (filled(&instance.svc_lib)?, filled(&instance.svc_name)?);
        let name = str::from_utf8(name).map_err(|_| Errno::EINVAL)?;
        // SAFETY: the contract is our caller's.
        let loaded = unsafe { svc::load(OsStr::from_bytes(library), name, &needs) }.map_err(told)?;
        (instance.svc_handle, instance.svc_cb) = (loaded.handle, loaded.variable.cast::<msf_svc>());
        instance.state = SVCINST_LOADED as u32;
        Ok(())
    })
}

/// # Safety
/// `svc` is null or points to an instance no other thread uses; nothing of its library runs or will be called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_svcinst_deinit(svc: *mut svcinst) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let instance = unsafe { svc.as_mut() }.ok_or(Errno::EINVAL)?;
        if instance.state != SVCINST_LOADED as u32 || instance.svc_handle.is_null() {
            return Err(Errno::EINVAL);
        }
        let loaded = Loaded { handle: instance.svc_handle, variable: instance.svc_cb.cast() };
        // SAFETY: the dependencies' strings are the caller's, and NUL-terminated.
        let needs = unsafe { needs(instance) }?;
        // SAFETY: the handle came from `msf_svcinst_init` and is forgotten below; our caller vouches for the rest.
        let unloaded = unsafe { svc::unload(loaded, &needs) };
        (instance.svc_handle, instance.svc_cb) = (ptr::null_mut(), ptr::null_mut());
        instance.state = SVCINST_EMPTY as u32;
        unloaded.map_err(told)
    })
}

/// The text of a field: not empty, and ended within it.
/// # Safety
/// `path` is null or NUL-terminated; the library may run its constructors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_load_dynamic(path: *const c_char) -> *mut c_void {
    guard_ptr(|| {
        // SAFETY: the contract is our caller's.
        let name = Some(unsafe { bytes(path) }?).filter(|name| !name.is_empty()).ok_or(Errno::EINVAL)?;
        // SAFETY: the contract is our caller's.
        unsafe { svc::open_library(OsStr::from_bytes(name)) }.map_err(told)
    })
}

/// # Safety
/// `handle` is null or an open handle of the loader, `symbol` null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_load_symbol(handle: *mut c_void, symbol: *const c_char) -> *mut c_void {
    guard_ptr(|| {
        if handle.is_null() || symbol.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: not null (checked above) and NUL-terminated, says our caller.
        let name = unsafe { CStr::from_ptr(symbol) };
        // SAFETY: the contract is our caller's.
        unsafe { svc::symbol(handle, name) }.map_err(told)
    })
}

fn filled(field: &[c_char]) -> Result<&[u8], Errno> {
    // SAFETY: c_char and u8 have the same size and alignment, and every value of one is one of the other.
    let field = unsafe { std::slice::from_raw_parts(field.as_ptr().cast::<u8>(), field.len()) };
    let text = CStr::from_bytes_until_nul(field).map_err(|_| Errno::EINVAL)?;
    if text.is_empty() { Err(Errno::EINVAL) } else { Ok(text.to_bytes()) }
}

/// The libraries to be loaded first.
///
/// # Safety
/// The first `svc_deplib_num` entries are null or NUL-terminated strings.
unsafe fn needs(instance: &svcinst) -> Result<Vec<&OsStr>, Errno> {
    let named = instance.svc_deplib.get(..instance.svc_deplib_num as usize).ok_or(Errno::EINVAL)?;
    let mut needs = Vec::with_capacity(named.len());
    for entry in named {
        // SAFETY: the contract is our caller's.
        needs.push(OsStr::from_bytes(unsafe { crate::guard::bytes(*entry) }?));
    }
    Ok(needs)
}
