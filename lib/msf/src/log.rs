//! msf_log.h: the doorways of the logger.
//!
//! Rust cannot define a function with `...`, so `msf_log_write` is one jump to the C function in `write.c`, which
//! formats the text and calls back [`log_text`]. The jump leaves registers and stack as the caller made them.

use crate::guard::{bytes, guard, guard_or, plain, told};
use crate::header;
use crate::instance;
use crate::sized::{Sized32, give};
use msf_core::log::{self, Level, Mode, Output, Policy, Quick, Source};
use nix::errno::Errno;
use std::ffi::{OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::slice;

as_declared! {
    msf_log_init msf_log_init_default msf_log_reopen msf_log_limit msf_log_level msf_log_module_level msf_log_free
    msf_log_mode msf_log_policy msf_log_ring msf_log_flush msf_log_output msf_log_output_end msf_log_recover msf_log_stats
}

unsafe extern "C" {
    fn msf_log_write_c(
        level: c_int,
        module: *const c_char,
        func: *const c_char,
        file: *const c_char,
        line: c_int,
        fmt: *const c_char,
        ...
    ) -> c_int;
}

/// `s32 msf_log_write(level, mod, func, file, line, fmt, ...)`: the arguments behind `fmt` stay where they are.
///
/// # Safety
/// Strings are null or NUL-terminated; what follows `fmt` is what `fmt` says, as for printf.
#[unsafe(no_mangle)]
#[unsafe(naked)]
pub unsafe extern "C" fn msf_log_write(
    level: c_int,
    module: *const c_char,
    func: *const c_char,
    file: *const c_char,
    line: c_int,
    fmt: *const c_char,
) -> c_int {
    core::arch::naked_asm!(jump!(), sym msf_log_write_c)
}

// SAFETY: numbers, the first of them the size.
unsafe impl Sized32 for header::msf_log_stats {}

// The jump's target is what the header says msf_log_write is (the jump itself cannot be declared so).
const _: () = {
    let _ = [msf_log_write_c, header::msf_log_write];
};

// `write.c` finds `log_text`, `log_quick` and `log_wants` under these names; hidden, they are no symbols of the finished library.
core::arch::global_asm!(
    ".globl msf_log_text",
    ".hidden msf_log_text",
    ".set msf_log_text, {}",
    ".globl msf_log_quick",
    ".hidden msf_log_quick",
    ".set msf_log_quick, {}",
    ".globl msf_log_wants",
    ".hidden msf_log_wants",
    ".set msf_log_wants, {}",
    sym log_text,
    sym log_quick,
    sym log_wants
);

/// What `write.c` asks before it formats anything: 0 where the record is not wanted.
///
/// # Safety
/// `module` is NUL-terminated.
unsafe extern "C" fn log_wants(level: c_int, module: *const c_char) -> c_int {
    let level = clamped(level);
    let wanted = log::wants_all(level).unwrap_or_else(|| {
        // SAFETY: the contract is our caller's.
        let module = unsafe { bytes(module) }.unwrap_or_default();
        log::wants_bytes(level, module)
    });
    c_int::from(wanted)
}

/// What `write.c` tries first with the formatted text, before it prepares for what may take longer: 0 it is done, 1 it is
/// not, 2 it is in the ring but [`log_text`] has to look after it. It neither panics nor can it be cancelled.
///
/// # Safety
/// As [`log_text`].
unsafe extern "C" fn log_quick(
    level: c_int,
    module: *const c_char,
    func: *const c_char,
    file: *const c_char,
    line: c_int,
    text: *const c_char,
    length: usize,
) -> c_int {
    if instance::check().is_err() {
        return NOT_DONE;
    }
    // SAFETY: the contract is our caller's.
    let (source, text) = unsafe { parts(module, func, file, line, text, length) };
    match log::write_quickly(clamped(level), &source, text) {
        Quick::Done => 0,
        Quick::Refused => NOT_DONE,
        Quick::Unattended => UNATTENDED,
    }
}

/// What `write.c` calls with the formatted text, and with what [`log_quick`] has returned: 0, −1, or −2 in a second copy of
/// the library. It restores errno.
///
/// # Safety
/// `module` is NUL-terminated, `func` and `file` are null or NUL-terminated, `text` points to `length` bytes.
unsafe extern "C" fn log_text(
    level: c_int,
    module: *const c_char,
    func: *const c_char,
    file: *const c_char,
    line: c_int,
    text: *const c_char,
    length: usize,
    quick: c_int,
) -> c_int {
    if instance::check().is_err() {
        return -2;
    }
    guard(|| {
        if quick == UNATTENDED {
            return log::look_after().map_err(plain);
        }
        // SAFETY: the contract is our caller's.
        let (source, text) = unsafe { parts(module, func, file, line, text, length) };
        log::write_bytes(clamped(level), &source, text).map_err(plain)
    })
}

/// # Safety
/// `module`, `func` and `file` are null or NUL-terminated, `text` points to `length` bytes; all of them live for `'a`.
#[inline]
unsafe fn parts<'a>(
    module: *const c_char,
    func: *const c_char,
    file: *const c_char,
    line: c_int,
    text: *const c_char,
    length: usize,
) -> (Source<'a>, &'a [u8]) {
    // SAFETY: null or NUL-terminated, says our caller.
    let module = unsafe { bytes(module) }.unwrap_or(b"?");
    // SAFETY: as above.
    let func = unsafe { bytes(func) }.unwrap_or(b"?");
    // SAFETY: as above.
    let file = unsafe { bytes(file) }.unwrap_or(b"?");
    // SAFETY: `length` bytes are there, says our caller.
    let text = unsafe { slice::from_raw_parts(text.cast::<u8>(), length) };
    (Source { module, func, file, line: i64::from(line) }, text)
}

/// # Safety
/// `log_path` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_log_init(log_path: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let path = unsafe { bytes(log_path) }?;
        log::open(Path::new(OsStr::from_bytes(path))).map_err(told)
    })
}

/// # Safety
/// `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_log_init_default(name: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let name = str::from_utf8(unsafe { bytes(name) }?).map_err(|_| Errno::EINVAL)?;
        log::open_default(name).map_err(told)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_log_reopen() -> c_int {
    guard(|| log::reopen().map_err(plain))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_log_limit(bytes: u64, files: u32) -> c_int {
    guard(|| log::limit(bytes, files).map_err(plain))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_log_level(level: c_int) -> c_int {
    guard(|| {
        log::set_level(Level::from_number(level).ok_or(Errno::EINVAL)?);
        Ok(())
    })
}

/// # Safety
/// `module` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_log_module_level(module: *const c_char, level: c_int) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let module = str::from_utf8(unsafe { bytes(module) }?).map_err(|_| Errno::EINVAL)?;
        let level = if level == -1 { None } else { Some(Level::from_number(level).ok_or(Errno::EINVAL)?) };
        log::set_module_level(module, level).map_err(plain)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_log_mode(mode: c_int) -> c_int {
    guard(|| {
        let mode = match mode {
            header::MSF_LOG_RING => Mode::Ring,
            header::MSF_LOG_DIRECT => Mode::Direct,
            _ => return Err(Errno::EINVAL),
        };
        log::set_mode(mode).map_err(plain)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_log_policy(policy: c_int) -> c_int {
    guard(|| {
        log::set_policy(match policy {
            header::MSF_LOG_BLOCK => Policy::Block,
            header::MSF_LOG_DROP => Policy::Drop,
            _ => return Err(Errno::EINVAL),
        });
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_log_ring(bytes: u32) -> c_int {
    guard(|| log::set_ring(bytes).map_err(plain))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_log_flush() -> c_int {
    guard(|| log::flush().map_err(plain))
}

/// # Safety
/// `at` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_log_output(output: c_int, at: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: the contract is our caller's.
        let path = unsafe { bytes(at) }.ok().map(|path| PathBuf::from(OsStr::from_bytes(path)));
        log::add_output(&named(output, path)?).map_err(plain)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_log_output_end(output: c_int) -> c_int {
    guard(|| {
        let ended = log::remove_output(&named(output, Some(PathBuf::from(".")))?);
        if ended { Ok(()) } else { Err(Errno::ENOENT) }
    })
}

/// # Safety
/// `log_path` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_log_recover(log_path: *const c_char) -> c_int {
    guard_or(-1, || {
        // SAFETY: the contract is our caller's.
        let path = Path::new(OsStr::from_bytes(unsafe { bytes(log_path) }?));
        let count = log::recover(path).map_err(plain)?;
        Ok(c_int::try_from(count).unwrap_or(c_int::MAX))
    })
}

/// # Safety
/// `stats_out` is null or begins with its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_log_stats(stats_out: *mut header::msf_log_stats) -> c_int {
    guard(|| {
        let log::Stats { written, dropped, lost, recovered, refused, rings } = log::stats().map_err(plain)?;
        let stats = header::msf_log_stats { size: 0, rings, written, dropped, lost, recovered, refused };
        // SAFETY: the contract is our caller's.
        unsafe { give(stats_out, &stats) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_log_free() {
    guard_or((), || {
        log::close();
        Ok(())
    });
}

/// What `write.c` knows by these numbers, too.
const NOT_DONE: c_int = 1;
const UNATTENDED: c_int = 2;

/// The output of that number.
fn named(output: c_int, path: Option<PathBuf>) -> Result<Output, Errno> {
    match output {
        header::MSF_LOG_JSON => path.map(Output::JsonLines).ok_or(Errno::EINVAL),
        header::MSF_LOG_SYSLOG => Ok(Output::Syslog(path)),
        header::MSF_LOG_SYSLOG5424 => Ok(Output::Syslog5424(path)),
        header::MSF_LOG_JOURNAL => Ok(Output::Journal(path)),
        _ => Err(Errno::EINVAL),
    }
}

/// Numbers outside the levels count as the nearest one: a record is not lost for it.
fn clamped(level: c_int) -> Level {
    Level::from_number(level).unwrap_or(if level < 0 { Level::Fatal } else { Level::Info })
}
