//! libipc.so: how a C service calls others, and is called, through the agent.
//!
//! This file is the doors and nothing else: check, translate, call, translate back (`include/client.h` is their
//! contract). Behind them, from the outside in:
//!
//! - `home`: the one client of the process, and what fork does to it; `face`: the variable `rpc`;
//! - `client`: the client's life (init, calls, deinit); `waiter`: where a caller waits for his answer;
//! - `link`: what all threads share, under one lock: session, socket, outbox;
//! - `io`: the io thread, a loop of libmsf: connects, reads, hands answers to waiters and requests to the queue;
//! - `jobs` and `callbacks`: the queue, and the thread on which every callback of the program runs;
//! - `nmid`: callers and workers of nmid's protocol, with doors of their own. They share `home`'s watch over fork, the
//!   log and nothing else.
//!
//! Locks, outer first: `io`, `link`, a waiter's or the queue's own. No lock is held while a callback of the program runs.

mod callbacks;
mod client;
mod environment;
mod errno;
mod events;
mod face;
mod guard;
mod handover;
mod home;
mod io;
mod jobs;
mod link;
mod loss;
mod nmid;
mod params;
mod signals;
mod socket;
mod waiter;

pub use face::rpc;

use errno::Errno;
use events::Subscription;
use guard::guard;
use msf_sys::ffi::ipc as header;
use msf_sys::ffi::ipc::{basic_pdu, client_event_cb, client_param};
use std::ffi::{c_char, c_int, c_void};
use std::os::fd::AsFd;
use std::time::Duration;

/// Two functions of different type cannot share an array: a definition that differs from the header's mirror does not
/// compile.
macro_rules! as_declared {
    ($($name:ident)*) => { $(const _: () = { let _ = [$name, header::$name]; };)* };
}

as_declared! {
    client_agent_init client_agent_deinit client_agent_service client_agent_wait client_agent_hand_over
    client_agent_take_over client_agent_subscribe client_agent_unsubscribe client_agent_publish
}

/// Connects, logs in, and returns once the agent has said yes.
///
/// # Safety
/// `param` is null or points to a `struct client_param` whose strings are null or terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn client_agent_init(param: *mut client_param) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's, word for word.
        let settings = unsafe { params::settings(param) }?;
        home::open(settings).map(|()| 0)
    })
}

/// Logs out and ends libipc's threads.
#[unsafe(no_mangle)]
pub extern "C" fn client_agent_deinit() -> c_int {
    guard(|| home::close().map(|()| 0))
}

/// Makes one call.
///
/// # Safety
/// `pdu` is null or points to a `struct basic_pdu` whose pointers are null or good for their lengths until the call
/// returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn client_agent_service(pdu: *mut basic_pdu) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's, word for word.
        let request = unsafe { params::request(pdu) }?;
        match home::current()?.call(&request) {
            // The one failure that 2019 gave a number of its own.
            Err(Errno::TIMEDOUT) => {
                Errno::TIMEDOUT.set();
                Ok(-2)
            }
            outcome => outcome,
        }
    })
}

/// Hands the connection to a successor over `channel`.
#[unsafe(no_mangle)]
pub extern "C" fn client_agent_hand_over(channel: c_int, ms: u32) -> c_int {
    guard(|| {
        let channel = socket::lent(channel)?;
        home::hand_over(channel.as_fd(), Duration::from_millis(ms.into())).map(|()| 0)
    })
}

/// Goes on with the connection that comes over `channel`.
///
/// # Safety
/// `param` is null or points to a `struct client_param` whose strings are null or terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn client_agent_take_over(param: *mut client_param, channel: c_int, ms: u32) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's, word for word.
        let settings = unsafe { params::settings(param) }?;
        let channel = socket::lent(channel)?;
        home::take_over(settings, channel.as_fd(), Duration::from_millis(ms.into())).map(|()| 0)
    })
}

/// From here on `callback` is told of events of this name.
///
/// # Safety
/// `name` is null or terminated; `callback` may be called with `arg` until it is unsubscribed or the client has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn client_agent_subscribe(
    name: *const c_char,
    callback: client_event_cb,
    arg: *mut c_void,
) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's, word for word.
        let name = unsafe { params::text(name) }?;
        let subscription = Subscription::new(name, callback.ok_or(Errno::INVAL)?, arg)?;
        home::current()?.subscribe(&subscription).map(|()| 0)
    })
}

/// It is no longer.
///
/// # Safety
/// `name` is null or terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn client_agent_unsubscribe(
    name: *const c_char,
    callback: client_event_cb,
    arg: *mut c_void,
) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's, word for word.
        let name = unsafe { params::text(name) }?;
        let subscription = Subscription::new(name, callback.ok_or(Errno::INVAL)?, arg)?;
        home::current()?.unsubscribe(&subscription).map(|()| 0)
    })
}

/// Tells everybody who wants events of this name.
///
/// # Safety
/// `name` is null or terminated; `data` is null or good for `len` bytes until the call returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn client_agent_publish(name: *const c_char, data: *const c_void, len: u32) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's, word for word.
        let name = unsafe { params::text(name) }?;
        // SAFETY: the same.
        let data = unsafe { params::bytes(data, len) }?;
        home::current()?.publish(name, data).map(|()| 0)
    })
}

/// How long the next init waits for the agent.
#[unsafe(no_mangle)]
pub extern "C" fn client_agent_wait(ms: u32) -> c_int {
    guard(|| {
        params::set_patience(ms);
        Ok(0)
    })
}
