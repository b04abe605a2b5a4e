//! The doors of `include/nmid_worker.h`: check, translate, call, translate back.

use super::client::{bytes, place};
use super::handle;
use super::server::Server;
use super::task::{self, Function};
use crate::errno::Errno;
use crate::guard::{guard, guard_pointer};
use crate::{home, params};
use msf_client::nmid::wire::RetStruct;
use msf_sys::ffi::ipc as header;
use msf_sys::ffi::ipc::{nmid_function, nmid_job, nmid_worker};
use std::ffi::{c_char, c_int, c_void};
use std::time::Duration;

/// Two functions of different type cannot share an array, see `lib.rs`.
macro_rules! as_declared {
    ($($name:ident)*) => { $(const _: () = { let _ = [$name, header::$name]; };)* };
}

as_declared! {
    nmid_worker_new nmid_worker_add_server nmid_worker_add_function nmid_worker_concurrency nmid_worker_start
    nmid_worker_run nmid_worker_fd nmid_worker_process nmid_worker_ready nmid_worker_close nmid_worker_free
    nmid_job_function nmid_job_params nmid_job_params_type nmid_job_string nmid_job_reply
}

/// A worker that is not started.
///
/// # Safety
/// `name` is null or terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_worker_new(name: *const c_char) -> *mut nmid_worker {
    guard_pointer(|| {
        // SAFETY: the contract is our caller's, word for word.
        let name = unsafe { params::name(name) }?;
        home::prepare()?;
        Ok(handle::lend(Server::new(name)))
    })
}

/// Adds a broker.
///
/// # Safety
/// `worker` is null or lives; `host` is null or terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_worker_add_server(worker: *mut nmid_worker, host: *const c_char, port: u16) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let server = unsafe { handle::borrow::<Server>(worker) }?;
        // SAFETY: the same.
        server.add_server(unsafe { place(host, port) }?).map(|()| 0)
    })
}

/// Adds a function.
///
/// # Safety
/// `worker` is null or lives; `name` is null or terminated; `run` may be called with `arg` as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_worker_add_function(
    worker: *mut nmid_worker,
    name: *const c_char,
    run: nmid_function,
    arg: *mut c_void,
) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let server = unsafe { handle::borrow::<Server>(worker) }?;
        // SAFETY: the same.
        let name = unsafe { params::name(name) }?;
        server.add_function(name, Function { run: run.ok_or(Errno::INVAL)?, arg }).map(|()| 0)
    })
}

/// How many functions may run at the same time.
///
/// # Safety
/// `worker` is null or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_worker_concurrency(worker: *mut nmid_worker, threads: u32) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| unsafe { handle::borrow::<Server>(worker) }?.set_concurrency(threads).map(|()| 0))
}

/// Serves on threads of its own.
///
/// # Safety
/// `worker` is null or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_worker_start(worker: *mut nmid_worker) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| unsafe { handle::borrow::<Server>(worker) }?.start().map(|_| 0))
}

/// Serves until it is closed.
///
/// # Safety
/// `worker` is null or lives until this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_worker_run(worker: *mut nmid_worker) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        unsafe { handle::borrow::<Server>(worker) }?.start()?.wait_closed();
        Ok(0)
    })
}

/// Serves in the program's loop.
///
/// # Safety
/// `worker` is null or lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_worker_fd(worker: *mut nmid_worker) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| unsafe { handle::borrow::<Server>(worker) }?.descriptor())
}

/// Runs what waits.
///
/// # Safety
/// `worker` is null or lives until this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_worker_process(worker: *mut nmid_worker) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| unsafe { handle::borrow::<Server>(worker) }?.process())
}

/// Waits until the brokers know the functions.
///
/// # Safety
/// `worker` is null or lives until this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_worker_ready(worker: *mut nmid_worker, ms: u32) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| unsafe { handle::borrow::<Server>(worker) }?.ready(milliseconds(ms)))
}

/// Leaves.
///
/// # Safety
/// `worker` is null or lives until this returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_worker_close(worker: *mut nmid_worker, ms: u32) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| unsafe { handle::borrow::<Server>(worker) }?.close(milliseconds(ms)).map(|()| 0))
}

/// Ends the worker.
///
/// # Safety
/// `worker` is null or lives, and no other thread is inside it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_worker_free(worker: *mut nmid_worker) {
    guard(|| {
        // SAFETY: the contract is our caller's.
        if let Some(server) = unsafe { handle::take::<Server>(worker) } {
            // One that is closed already has nothing to lose.
            let _ = server.close(Duration::ZERO);
        }
        Ok(0)
    });
}

/// The function's name.
///
/// # Safety
/// `job` is null or what a function was given and has not returned from.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_job_function(job: *mut nmid_job) -> *const c_char {
    // SAFETY: the contract is our caller's.
    guard_pointer(|| Ok(unsafe { task::borrow(job) }?.name().as_ptr().cast_mut()))
}

/// The params.
///
/// # Safety
/// As for `nmid_job_function`; `len_out` is null or writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_job_params(job: *mut nmid_job, len_out: *mut u32) -> *const c_void {
    guard_pointer(|| {
        // SAFETY: the contract is our caller's.
        let params = unsafe { task::borrow(job) }?.job().params();
        if len_out.is_null() {
            return Err(Errno::INVAL);
        }
        // SAFETY: not null, and writable by the caller's word.
        unsafe { *len_out = params.len() as u32 };
        Ok(params.as_ptr().cast_mut().cast::<c_void>())
    })
}

/// How they are written.
///
/// # Safety
/// As for `nmid_job_function`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_job_params_type(job: *mut nmid_job) -> c_int {
    // SAFETY: the contract is our caller's.
    guard(|| Ok(unsafe { task::borrow(job) }?.job().params_type().cast_signed() & c_int::MAX))
}

/// One of them.
///
/// # Safety
/// As for `nmid_job_function`; `key` is null or terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_job_string(job: *mut nmid_job, key: *const c_char) -> *const c_char {
    guard_pointer(|| {
        // SAFETY: the contract is our caller's.
        let task = unsafe { task::borrow(job) }?;
        // SAFETY: the same.
        Ok(task.string(unsafe { params::name(key) }?)?.as_ptr().cast_mut())
    })
}

/// The answer.
///
/// # Safety
/// As for `nmid_job_function`; `msg` is null or terminated, `data` null or good for `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nmid_job_reply(
    job: *mut nmid_job,
    code: i64,
    msg: *const c_char,
    data: *const c_void,
    len: u32,
) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let task = unsafe { task::borrow(job) }?;
        // SAFETY: the same.
        let msg = if msg.is_null() { &[] } else { unsafe { params::text(msg) }? };
        // SAFETY: the same.
        let data = unsafe { bytes(data, len) }?;
        task.reply(&RetStruct { code, msg, data }).map(|()| 0)
    })
}

fn milliseconds(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}
