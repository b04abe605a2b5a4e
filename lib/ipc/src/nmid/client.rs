//! The doors of `include/nmid_client.h`: check, translate, call, translate back.

use super::answer::Answer;
use super::caller::{Caller, Request};
use super::errands::Callback;
use super::handle::{self, Handle};
use crate::errno::Errno;
use crate::guard::{guard, guard_pointer};
use crate::{home, params};
use msf_client::Place;
use msf_client::nmid::wire::{Params, Table, handle_type, params_type};
use msf_sys::ffi::ipc as header;
use msf_sys::ffi::ipc::{nmid_answer_cb, nmid_client, nmid_params, nmid_ret};
use std::ffi::{c_char, c_int, c_void};
use std::path::PathBuf;
use std::process;
use std::ptr;
use std::slice;
use std::sync::{Mutex, PoisonError};

/// Two functions of different type cannot share an array, see `lib.rs`.
macro_rules! as_declared {
    ($($name:ident)*) => { $(const _: () = { let _ = [$name, header::$name]; };)* };
}

as_declared! {
    nmid_client_new nmid_client_timeout nmid_client_call nmid_ret_free nmid_client_do nmid_client_fd
    nmid_client_process nmid_client_free
    nmid_params_new nmid_params_add_string nmid_params_add_int nmid_params_add_bytes nmid_params_data nmid_params_free
}

/// A client of one broker.
///
/// # Safety
/// `host` is null or terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_client_new(host: *const c_char, port: u16) -> *mut nmid_client {
    guard_pointer(|| {
        // SAFETY: the contract is our caller's, word for word.
        let place = unsafe { place(host, port) }?;
        home::prepare()?;
        Ok(handle::lend(Caller::new(place)))
    })
}

/// How long later calls wait.
///
/// # Safety
/// `client` is null or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_client_timeout(client: *mut nmid_client, ms: u32) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| unsafe { handle::borrow::<Caller>(client) }?.set_patience(ms).map(|()| 0))
}

/// Calls a function and waits.
///
/// # Safety
/// `client` is null or lives; `function` is null or terminated, `params` null or good for `len` bytes, `ret_out` null or
/// writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_client_call(
    client: *mut nmid_client,
    function: *const c_char,
    params_type: u32,
    params: *const c_void,
    len: u32,
    ret_out: *mut *mut nmid_ret,
) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let caller = unsafe { handle::borrow::<Caller>(client) }?;
        // SAFETY: the same.
        let request = unsafe { request(function, params_type, params, len) }?;
        if ret_out.is_null() {
            return Err(Errno::INVAL);
        }
        let answer = caller.call(&request)?;
        // SAFETY: not null, and writable by the caller's word.
        unsafe { *ret_out = answer.lend() };
        Ok(0)
    })
}

/// Frees what a call returned.
///
/// # Safety
/// `ret` is null or came from `nmid_client_call` and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_ret_free(ret: *mut nmid_ret) {
    guard(|| {
        // SAFETY: the contract is our caller's.
        unsafe { Answer::take_back(ret) };
        Ok(0)
    });
}

/// Calls a function; `done` is told.
///
/// # Safety
/// As for `nmid_client_call`; `done` may be called with `arg` as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_client_do(
    client: *mut nmid_client,
    function: *const c_char,
    params_type: u32,
    params: *const c_void,
    len: u32,
    done: nmid_answer_cb,
    arg: *mut c_void,
) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let caller = unsafe { handle::borrow::<Caller>(client) }?;
        // SAFETY: the same.
        let request = unsafe { request(function, params_type, params, len) }?;
        let run = done.ok_or(Errno::INVAL)?;
        caller.errand(&request, Callback { run, arg }).map(|()| 0)
    })
}

/// What is readable while callbacks wait for `nmid_client_process`.
///
/// # Safety
/// `client` is null or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_client_fd(client: *mut nmid_client) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| unsafe { handle::borrow::<Caller>(client) }?.descriptor())
}

/// Runs the callbacks that wait.
///
/// # Safety
/// `client` is null or lives; a callback may free it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_client_process(client: *mut nmid_client) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's. What is borrowed ends with this line: a callback may free the client.
        let errands = unsafe { handle::borrow::<Caller>(client) }?.errands();
        Ok(errands.process())
    })
}

/// Ends the client.
///
/// # Safety
/// `client` is null or lives, and no other thread is inside it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_client_free(client: *mut nmid_client) {
    guard(|| {
        // SAFETY: the contract is our caller's.
        if let Some(caller) = unsafe { handle::take::<Caller>(client) } {
            caller.errands().end();
        }
        Ok(0)
    });
}

/// A map of params.
struct Map {
    owner: u32,
    table: Mutex<Table>,
}

impl Handle for Map {
    type Face = nmid_params;

    fn owner(&self) -> u32 {
        self.owner
    }
}

/// An empty map.
#[unsafe(no_mangle)]
pub extern "C" fn nmid_params_new() -> *mut nmid_params {
    guard_pointer(|| Ok(handle::lend(Map { owner: process::id(), table: Mutex::default() })))
}

/// Adds a text.
///
/// # Safety
/// `params` is null or lives; the strings are null or terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_params_add_string(
    params: *mut nmid_params,
    key: *const c_char,
    value: *const c_char,
) -> c_int {
    // SAFETY: the contract is our caller's.
    let value = || unsafe { params::text(value) };
    // SAFETY: the same.
    guard(|| unsafe {
        add(params, key, value, |table, key, value| {
            table.text(key, value);
        })
    })
}

/// Adds an integer.
///
/// # Safety
/// `params` is null or lives; `key` is null or terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_params_add_int(params: *mut nmid_params, key: *const c_char, value: i64) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| unsafe {
        add(
            params,
            key,
            || Ok(value),
            |table, key, value| {
                table.int(key, value);
            },
        )
    })
}

/// Adds bytes.
///
/// # Safety
/// `params` is null or lives; `key` is null or terminated, `data` null or good for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_params_add_bytes(
    params: *mut nmid_params,
    key: *const c_char,
    data: *const c_void,
    len: u32,
) -> c_int {
    // SAFETY: the contract is our caller's.
    let value = || unsafe { bytes(data, len) };
    // SAFETY: the same.
    guard(|| unsafe {
        add(params, key, value, |table, key, value| {
            table.binary(key, value);
        })
    })
}

/// The map, to call with.
///
/// # Safety
/// `params` is null or lives; `len_out` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_params_data(params: *mut nmid_params, len_out: *mut u32) -> *const c_void {
    guard_pointer(|| {
        // SAFETY: the contract is our caller's.
        let map = unsafe { handle::borrow::<Map>(params) }?;
        if len_out.is_null() {
            return Err(Errno::INVAL);
        }
        let mut table = map.table.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = table.bytes();
        // SAFETY: not null, and writable by the caller's word.
        unsafe { *len_out = u32::try_from(bytes.len()).map_err(|_| Errno::MSGSIZE)? };
        Ok(bytes.as_ptr().cast_mut().cast::<c_void>())
    })
}

/// Ends the map.
///
/// # Safety
/// `params` is null or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_params_free(params: *mut nmid_params) {
    guard(|| {
        // SAFETY: the contract is our caller's.
        drop(unsafe { handle::take::<Map>(params) });
        Ok(0)
    });
}

/// # Safety
/// `params` is null or lives; `key` is null or terminated; `value` may be called.
unsafe fn add<T>(
    params: *mut nmid_params,
    key: *const c_char,
    value: impl FnOnce() -> Result<T, Errno>,
    put: impl FnOnce(&mut Table, &[u8], T),
) -> Result<c_int, Errno> {
    // SAFETY: the contract is our caller's.
    let map = unsafe { handle::borrow::<Map>(params) }?;
    // SAFETY: the same.
    let key = unsafe { params::name(key) }?;
    put(&mut map.table.lock().unwrap_or_else(PoisonError::into_inner), key, value()?);
    Ok(0)
}

/// # Safety
/// `function` is null or terminated, `params` null or good for `len` bytes, both during `'a`.
unsafe fn request<'a>(
    function: *const c_char,
    kind: u32,
    params: *const c_void,
    len: u32,
) -> Result<Request<'a>, Errno> {
    // SAFETY: the contract is our caller's.
    let function = unsafe { params::name(function) }?;
    // SAFETY: the same.
    let bytes = unsafe { bytes(params, len) }?;
    // No broker takes a call without params.
    let bytes = match (kind, bytes) {
        (params_type::MSGPACK, b"") => &b"\x80"[..],
        (params_type::JSON, b"") => b"{}",
        (params_type::MSGPACK | params_type::JSON, bytes) => bytes,
        _ => return Err(Errno::INVAL),
    };
    Ok(Request { function, params: Params { kind, handle: handle_type::ENCODE, bytes } })
}

/// # Safety
/// `data` is null or good for `len` bytes during `'a`.
pub(super) unsafe fn bytes<'a>(data: *const c_void, len: u32) -> Result<&'a [u8], Errno> {
    match (data.is_null(), len) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno::INVAL),
        // SAFETY: not null; the caller vouches for the length.
        (false, len) => Ok(unsafe { slice::from_raw_parts(data.cast(), len as usize) }),
    }
}

/// # Safety
/// `host` is null or terminated.
pub(super) unsafe fn place(host: *const c_char, port: u16) -> Result<Place, Errno> {
    let port = if port == 0 { header::NMID_PORT as u16 } else { port };
    if ptr::eq(host, ptr::null()) {
        return Ok(Place::Remote { host: "127.0.0.1".into(), port });
    }
    // SAFETY: not null; the caller vouches for the rest.
    let host = String::from_utf8_lossy(unsafe { params::name(host) }?);
    if host.starts_with('/') {
        return Ok(Place::Local(vec![PathBuf::from(host.as_ref())]));
    }
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
    Ok(Place::Remote { host: bare.to_owned(), port })
}
