//! msf_serial.h: serial lines. A `struct msf_serial` is a boxed [`Port`].

use crate::guard::{bytes, guard, guard_or, guard_ptr, plain};
use crate::header as h;
use crate::header::{msf_serial, msf_serial_settings};
use crate::network::{copy_sized, fd_of, give, size_of_sized};
use msf_core::Error;
use msf_core::serial::{self, DataBits, Flow, Parity, Port, Settings, StopBits};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use std::ffi::{OsStr, c_char, c_int};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::time::Duration;

as_declared! {
    msf_serial_baud msf_serial_rawmode msf_serial_open msf_serial_close msf_serial_fd msf_serial_set msf_serial_get
    msf_serial_drain msf_serial_discard msf_serial_break msf_serial_lines msf_serial_set_lines
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_serial_baud(fd: c_int, speed: c_int) -> c_int {
    guard(|| serial::set_baud(fd_of(fd)?, u32::try_from(speed).map_err(|_| Errno::EINVAL)?))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_serial_rawmode(fd: c_int) -> c_int {
    guard(|| serial::make_raw(fd_of(fd)?))
}

/// # Safety
/// `path` is null or a C string, `settings` null or as long as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_serial_open(path: *const c_char, settings: *const msf_serial_settings) -> *mut msf_serial {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let path = Path::new(OsStr::from_bytes(unsafe { bytes(path) }?));
        // SAFETY: our caller's promise is the callee's.
        let given = if settings.is_null() { DEFAULT } else { unsafe { read(settings) }? };
        let open = if given.shared != 0 { Port::open_shared } else { Port::open };
        let port = open(path, &asked(&given)?).map_err(plain)?;
        port.set_nonblocking(given.nonblocking != 0).map_err(plain)?;
        Ok(Box::into_raw(Box::new(port)).cast())
    })
}

/// # Safety
/// `port` is null or open, and is not used again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_serial_close(port: *mut msf_serial) {
    guard(|| {
        if !port.is_null() {
            // SAFETY: it came from `msf_serial_open`'s box, and is freed once, as our caller promises.
            drop(unsafe { Box::from_raw(port.cast::<Port>()) });
        }
        Ok(())
    });
}

/// # Safety
/// `port` is null or open while the call runs.
unsafe fn with(port: *const msf_serial, call: impl FnOnce(&Port) -> Result<(), Error>) -> c_int {
    // SAFETY: our caller's promise: null, or the box that `msf_serial_open` made.
    guard(|| unsafe { port.cast::<Port>().as_ref() }.ok_or(Errno::EINVAL).and_then(|port| call(port).map_err(plain)))
}

/// # Safety
/// As [`with`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_serial_fd(port: *const msf_serial) -> c_int {
    // SAFETY: our caller's promise: null, or the box that `msf_serial_open` made.
    guard_or(-1, || match unsafe { port.cast::<Port>().as_ref() } {
        Some(port) => Ok(port.as_fd().as_raw_fd()),
        None => Err(Errno::EINVAL),
    })
}

/// # Safety
/// As [`with`]; `settings` is null or as long as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_serial_set(port: *mut msf_serial, settings: *const msf_serial_settings) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise: null, or the box that `msf_serial_open` made.
        let port = unsafe { port.cast::<Port>().as_ref() }.ok_or(Errno::EINVAL)?;
        // SAFETY: our caller's promise is the callee's.
        let given = unsafe { read(settings) }?;
        port.apply(&asked(&given)?).map_err(plain)?;
        port.set_nonblocking(given.nonblocking != 0).map_err(plain)
    })
}

/// # Safety
/// As [`with`]; `settings_out` is null or as long as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_serial_get(port: *const msf_serial, settings_out: *mut msf_serial_settings) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise: null, or the box that `msf_serial_open` made.
        let port = unsafe { port.cast::<Port>().as_ref() }.ok_or(Errno::EINVAL)?;
        // SAFETY: our caller's promise is the callee's.
        let size = unsafe { size_of_sized(settings_out.cast()) }?;
        if size < LEAST {
            return Err(Errno::EINVAL);
        }
        let flags = OFlag::from_bits_retain(fcntl(port, FcntlArg::F_GETFL)?);
        let mut told = said(&port.settings().map_err(plain)?);
        (told.size, told.nonblocking) = (size as u32, flags.contains(OFlag::O_NONBLOCK).into());
        // SAFETY: our caller says that so much may be written.
        unsafe { copy_sized(settings_out.cast(), size, &told) };
        Ok(())
    })
}

/// # Safety
/// As [`with`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_serial_drain(port: *mut msf_serial) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    unsafe { with(port, Port::drain) }
}

/// # Safety
/// As [`with`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_serial_discard(port: *mut msf_serial) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    unsafe { with(port, Port::discard) }
}

/// # Safety
/// As [`with`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_serial_break(port: *mut msf_serial, ms: u32) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    unsafe { with(port, |port| port.send_break(Duration::from_millis(ms.into()))) }
}

/// # Safety
/// As [`with`]; `lines_out` may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_serial_lines(port: *const msf_serial, lines_out: *mut u32) -> c_int {
    let ask = |port: &Port| {
        let lines = port.lines()?;
        let all = [
            (lines.dtr, h::MSF_SERIAL_DTR),
            (lines.rts, h::MSF_SERIAL_RTS),
            (lines.cts, h::MSF_SERIAL_CTS),
            (lines.dsr, h::MSF_SERIAL_DSR),
            (lines.dcd, h::MSF_SERIAL_DCD),
            (lines.ring, h::MSF_SERIAL_RING),
        ];
        let bits = all.iter().filter(|(on, _)| *on).fold(0, |bits, (_, bit)| bits | *bit as u32);
        // SAFETY: our caller says that it may be written.
        unsafe { give(lines_out, bits) };
        Ok(())
    };
    // Nowhere to tell is refused as no port is, whatever the device says.
    let port = if lines_out.is_null() { ptr::null() } else { port };
    // SAFETY: our caller's promise is the callee's.
    unsafe { with(port, ask) }
}

/// # Safety
/// As [`with`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_serial_set_lines(port: *mut msf_serial, raised: u32, dropped: u32) -> c_int {
    let (dtr, rts) = (h::MSF_SERIAL_DTR as u32, h::MSF_SERIAL_RTS as u32);
    if (raised | dropped) & !(dtr | rts) != 0 || raised & dropped != 0 {
        return guard(|| Err(Errno::EINVAL));
    }
    let set = |port: &Port| {
        if (raised | dropped) & dtr != 0 {
            port.set_dtr(raised & dtr != 0)?;
        }
        if (raised | dropped) & rts != 0 {
            port.set_rts(raised & rts != 0)?;
        }
        Ok(())
    };
    // SAFETY: our caller's promise is the callee's.
    unsafe { with(port, set) }
}

/// The caller's settings; what his header does not have yet is zero, which is the default.
///
/// # Safety
/// It is null or as long as its `size` says.
unsafe fn read(settings: *const msf_serial_settings) -> Result<msf_serial_settings, Errno> {
    // SAFETY: our caller's promise is the callee's.
    let size = unsafe { size_of_sized(settings.cast()) }?;
    if size < LEAST {
        return Err(Errno::EINVAL);
    }
    let mut ours = DEFAULT;
    // SAFETY: both have as many bytes as are copied.
    unsafe { (&raw mut ours).cast::<u8>().copy_from(settings.cast(), size.min(size_of::<msf_serial_settings>())) };
    Ok(ours)
}

fn asked(given: &msf_serial_settings) -> Result<Settings, Errno> {
    let is_default = given.read_least == 0 && given.read_wait == 0;
    Ok(Settings {
        baud: if given.baud == 0 { 115_200 } else { given.baud },
        data_bits: match given.data_bits {
            5 => DataBits::Five,
            6 => DataBits::Six,
            7 => DataBits::Seven,
            0 | 8 => DataBits::Eight,
            _ => return Err(Errno::EINVAL),
        },
        parity: match given.parity {
            0 | b'N' => Parity::None,
            b'E' => Parity::Even,
            b'O' => Parity::Odd,
            b'M' => Parity::Mark,
            b'S' => Parity::Space,
            _ => return Err(Errno::EINVAL),
        },
        stop_bits: match given.stop_bits {
            0 | 1 => StopBits::One,
            2 => StopBits::Two,
            _ => return Err(Errno::EINVAL),
        },
        flow: match c_int::from(given.flow) {
            h::MSF_SERIAL_FLOW_NONE => Flow::None,
            h::MSF_SERIAL_FLOW_HARDWARE => Flow::Hardware,
            h::MSF_SERIAL_FLOW_SOFTWARE => Flow::Software,
            _ => return Err(Errno::EINVAL),
        },
        read_least: if is_default { 1 } else { given.read_least },
        read_wait: Duration::from_millis(u64::from(given.read_wait) * 100),
    })
}

fn said(settings: &Settings) -> msf_serial_settings {
    msf_serial_settings {
        baud: settings.baud,
        data_bits: match settings.data_bits {
            DataBits::Five => 5,
            DataBits::Six => 6,
            DataBits::Seven => 7,
            DataBits::Eight => 8,
        },
        parity: match settings.parity {
            Parity::None => b'N',
            Parity::Even => b'E',
            Parity::Odd => b'O',
            Parity::Mark => b'M',
            Parity::Space => b'S',
        },
        stop_bits: if settings.stop_bits == StopBits::Two { 2 } else { 1 },
        flow: match settings.flow {
            Flow::None => h::MSF_SERIAL_FLOW_NONE as u8,
            Flow::Hardware => h::MSF_SERIAL_FLOW_HARDWARE as u8,
            Flow::Software => h::MSF_SERIAL_FLOW_SOFTWARE as u8,
        },
        read_least: settings.read_least,
        read_wait: u8::try_from(settings.read_wait.as_millis() / 100).unwrap_or(u8::MAX),
        ..DEFAULT
    }
}

/// Size and speed.
const LEAST: usize = 8;

const DEFAULT: msf_serial_settings = msf_serial_settings {
    size: 0,
    baud: 0,
    data_bits: 0,
    parity: 0,
    stop_bits: 0,
    flow: 0,
    read_least: 0,
    read_wait: 0,
    nonblocking: 0,
    shared: 0,
};
