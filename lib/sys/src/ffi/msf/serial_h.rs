//! `include/msf_serial.h`.

use core::ffi::{c_char, c_int};
use core::marker::{PhantomData, PhantomPinned};

pub const MSF_SERIAL_FLOW_NONE: c_int = 0;
pub const MSF_SERIAL_FLOW_HARDWARE: c_int = 1;
pub const MSF_SERIAL_FLOW_SOFTWARE: c_int = 2;
pub const MSF_SERIAL_DTR: c_int = 1;
pub const MSF_SERIAL_RTS: c_int = 2;
pub const MSF_SERIAL_CTS: c_int = 4;
pub const MSF_SERIAL_DSR: c_int = 8;
pub const MSF_SERIAL_DCD: c_int = 16;
pub const MSF_SERIAL_RING: c_int = 32;

#[derive(Clone, Copy)]
#[repr(C)]
pub struct msf_serial_settings {
    pub size: u32,
    pub baud: u32,
    pub data_bits: u8,
    pub parity: u8,
    pub stop_bits: u8,
    pub flow: u8,
    pub read_least: u8,
    pub read_wait: u8,
    pub nonblocking: u8,
    pub shared: u8,
}

/// Opaque: only ever behind a pointer.
#[repr(C)]
pub struct msf_serial {
    _opaque: [u8; 0],
    _marker: PhantomData<(*mut u8, PhantomPinned)>,
}

unsafe extern "C" {
    pub fn msf_serial_baud(fd: c_int, speed: c_int) -> c_int;
    pub fn msf_serial_rawmode(fd: c_int) -> c_int;
    pub fn msf_serial_open(path: *const c_char, settings: *const msf_serial_settings) -> *mut msf_serial;
    pub fn msf_serial_close(port: *mut msf_serial);
    pub fn msf_serial_fd(port: *const msf_serial) -> c_int;
    pub fn msf_serial_set(port: *mut msf_serial, settings: *const msf_serial_settings) -> c_int;
    pub fn msf_serial_get(port: *const msf_serial, settings_out: *mut msf_serial_settings) -> c_int;
    pub fn msf_serial_drain(port: *mut msf_serial) -> c_int;
    pub fn msf_serial_discard(port: *mut msf_serial) -> c_int;
    pub fn msf_serial_break(port: *mut msf_serial, ms: u32) -> c_int;
    pub fn msf_serial_lines(port: *const msf_serial, lines_out: *mut u32) -> c_int;
    pub fn msf_serial_set_lines(port: *mut msf_serial, raised: u32, dropped: u32) -> c_int;
}
