//! The environment, as far as it may be believed: in a program that runs with more rights than who started it (setuid,
//! file capabilities) it is an attacker's, who would have files of his choice written with rights he has not.

use std::env;
use std::ffi::OsString;

/// The value of a variable that says where files are; none when it is empty, or not to be believed.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    if distrusted() { None } else { env::var_os(name).filter(|value| !value.is_empty()) }
}

/// Whether the program was started with more rights than its starter has.
pub(crate) fn distrusted() -> bool {
    // SAFETY: it reads a table the kernel has left.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
