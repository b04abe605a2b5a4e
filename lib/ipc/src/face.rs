//! The variable `rpc`: what a program may see of its client.
//!
//! libipc writes it and never reads it back: a program that scribbles over it, as the snippet of the original's README
//! does with `tx_evt_base`, harms nobody but itself. Only init, deinit and the io thread write, one at a time (the
//! link's lock).

use msf_sys::ffi::ipc::{CLIENT_INITED, CLIENT_UNINIT, MAX_CONN_NAME, client, conn};
use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

/// Never null. It is zeroed before the first init.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals, reason = "the original's name")]
pub static mut rpc: *mut client = &raw mut FACE;

static mut FACE: client = client {
    stop_flag: 0,
    state: 0,
    evt_conn: NO_CONN,
    cli_conn: NO_CONN,
    rx_tid: 0,
    tx_tid: 0,
    rx_evt_base: ptr::null_mut(),
    tx_evt_base: ptr::null_mut(),
    rx_evt: ptr::null_mut(),
    tx_evt: ptr::null_mut(),
};

const NO_CONN: conn = conn { fd: 0, cid: 0, state: 0, name: [0; MAX_CONN_NAME] };

/// The place of a field of FACE.
macro_rules! field {
    ($($path:tt)+) => {{
        // SAFETY: only the address is taken, and FACE is static.
        unsafe { &raw mut FACE.$($path)+ }
    }};
}

/// At the beginning of an init: the name, so that `MSF_RPC_LOG` works from here on, and the eventfd.
pub(crate) fn introduce(id: u32, name: &[u8], eventfd: c_int) {
    let mut padded = [0; MAX_CONN_NAME];
    for (place, byte) in padded.iter_mut().take(MAX_CONN_NAME - 1).zip(name) {
        *place = *byte as c_char;
    }
    write(field!(evt_conn), conn { fd: eventfd, cid: id, state: 0, name: padded });
    write(field!(cli_conn), conn { fd: -1, cid: id, state: 0, name: padded });
    set(field!(stop_flag), 0);
}

/// Logged in on this socket.
pub(crate) fn online(socket: c_int) {
    write(field!(cli_conn.fd), socket);
    write(field!(cli_conn.state), CLIENT_INITED);
    set(field!(state), CLIENT_INITED);
}

/// Not logged in.
pub(crate) fn offline() {
    set(field!(state), CLIENT_UNINIT);
    write(field!(cli_conn.state), CLIENT_UNINIT);
    write(field!(cli_conn.fd), -1);
}

/// A deinit has begun.
pub(crate) fn stopping() {
    set(field!(stop_flag), 1);
}

fn write<T>(field: *mut T, value: T) {
    // SAFETY: every `field` is one of FACE, which is static and aligned; no reference to it exists anywhere.
    unsafe { field.write_volatile(value) };
}

/// The two words that programs poll from other threads.
fn set(word: *mut u32, value: u32) {
    // SAFETY: as in `write`; an aligned u32 of a static.
    let word = unsafe { AtomicU32::from_ptr(word) };
    word.store(value, Ordering::Release);
}
