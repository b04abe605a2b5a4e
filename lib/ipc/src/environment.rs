//! The environment, as far as it may be believed: in a program that runs with more rights than who started it (setuid,
//! file capabilities) it is an attacker's, who would be taken for the agent.

use std::env;
use std::ffi::OsString;

/// The value of a variable; none when it is not to be believed.
pub(crate) fn variable(name: &'static str) -> Option<OsString> {
    // SAFETY: it reads a table the kernel has left.
    let distrusted = unsafe { libc::getauxval(libc::AT_SECURE) != 0 };
    if distrusted { None } else { env::var_os(name) }
}
