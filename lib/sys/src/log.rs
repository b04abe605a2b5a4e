//! The process's log, which lives in libmsf.so: [`log!`](crate::log!) writes a record, the functions open
//! and tune it. Records of the program, its plugins and libipc go to the same file.

use std::ffi::{CStr, CString, c_int};
use std::fmt;
use std::io;
use std::path::Path;

use crate::ffi::msf as c;
use crate::outcome::{c_string, checked};

/// How bad it is. A larger number is more verbose: `Debug` ranks above `Info`, as in 2019.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i32)]
pub enum Level {
    /// The program cannot go on.
    Fatal = c::DBG_FATAL,
    /// Something asked for was not done.
    Error = c::DBG_ERROR,
    /// Something is odd and was dealt with.
    Warn = c::DBG_WARN,
    /// For whoever looks for a fault.
    Debug = c::DBG_DEBUG,
    /// What goes on; in the file only, not on stderr.
    Info = c::DBG_INFO,
}

/// Writes one record: `log!(Level::Warn, "SHELL", "{path} is not there")`.
#[macro_export]
macro_rules! log {
    ($level:expr, $module:expr, $($text:tt)+) => {{
        fn here() {}
        $crate::log::write(
            $level,
            $module,
            $crate::log::function_around(::std::any::type_name_of_val(&here)),
            ::core::file!(),
            ::core::line!(),
            ::core::format_args!($($text)+),
        )
    }};
}

/// Opens `path` as the log of this process; its folders are made.
pub fn init(path: &Path) -> io::Result<()> {
    let path = c_string(path)?;
    // SAFETY: `path` is terminated and lives until the end of this function.
    checked(unsafe { c::msf_log_init(path.as_ptr()) }).map(drop)
}

/// Opens `<name>.log` in the log directory unless a log is open already.
pub fn init_default(name: &str) -> io::Result<()> {
    let name = c_string(name)?;
    // SAFETY: `name` is terminated and lives until the end of this function.
    checked(unsafe { c::msf_log_init_default(name.as_ptr()) }).map(drop)
}

/// Opens the file again by its path, after somebody has moved it away.
pub fn reopen() -> io::Result<()> {
    // SAFETY: the function takes nothing.
    checked(unsafe { c::msf_log_reopen() }).map(drop)
}

/// Rotates at `bytes` and keeps `files` old ones.
pub fn limit(bytes: u64, files: u32) -> io::Result<()> {
    // SAFETY: plain numbers; bad ones are refused with EINVAL.
    checked(unsafe { c::msf_log_limit(bytes, files) }).map(drop)
}

/// Drops what is more verbose than `level` from now on.
pub fn set_level(level: Level) -> io::Result<()> {
    // SAFETY: plain numbers.
    checked(unsafe { c::msf_log_level(level as c_int) }).map(drop)
}

/// Gives the records of `module` a level of their own; None: no longer.
pub fn set_module_level(module: &str, level: Option<Level>) -> io::Result<()> {
    let module = c_string(module)?;
    let level = level.map_or(-1, |level| level as c_int);
    // SAFETY: `module` is terminated and lives until the end of this function.
    checked(unsafe { c::msf_log_module_level(module.as_ptr(), level) }).map(drop)
}

/// Returns when every record written before is in the file.
pub fn flush() -> io::Result<()> {
    // SAFETY: the function takes nothing.
    checked(unsafe { c::msf_log_flush() }).map(drop)
}

/// Writes out and closes the log.
pub fn close() {
    // SAFETY: the function takes nothing and may be called from any thread.
    unsafe { c::msf_log_free() }
}

/// Writes one record; [`log!`](crate::log!) fills in where from. A log that cannot be written has nowhere to say so,
/// hence no result.
pub fn write(level: Level, module: &str, func: &str, file: &str, line: u32, text: fmt::Arguments<'_>) {
    let (module, func, file) = (visible(module.into()), visible(func.into()), visible(file.into()));
    let text = visible(text.to_string());
    let line = c_int::try_from(line).unwrap_or(c_int::MAX);
    const AS_IS: &CStr = c"%s";
    // SAFETY: all five strings are terminated and outlive the call, and "%s" takes exactly one of them.
    let _ = unsafe {
        c::msf_log_write(
            level as c_int,
            module.as_ptr(),
            func.as_ptr(),
            file.as_ptr(),
            line,
            AS_IS.as_ptr(),
            text.as_ptr(),
        )
    };
}

/// The function's own name out of the type name of an item inside it: `shell::run::here` is `run`.
#[doc(hidden)]
pub fn function_around(item: &'static str) -> &'static str {
    let around = item.rsplit_once("::").map_or(item, |(around, _)| around);
    around.rsplit("::").find(|part| !part.starts_with('{')).unwrap_or(around)
}

/// A NUL would end the string for C and hide what is behind it.
fn visible(mut text: String) -> CString {
    if text.contains('\0') {
        text = text.replace('\0', "\u{fffd}");
    }
    CString::new(text).unwrap_or_default()
}
