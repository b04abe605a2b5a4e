//! What must happen around `fork` and at the process's end, and the one way to ask for it.

use nix::errno::Errno;

/// Registers three functions with the C library, for the rest of the process: `before` runs in the parent before each
/// fork, `parent` and `child` after it, all on the thread that forks.
pub(crate) fn around(before: extern "C" fn(), parent: extern "C" fn(), child: extern "C" fn()) -> Result<(), Errno> {
    // SAFETY: the three are functions of a library that is never unmapped, so they outlive every fork.
    match unsafe { pthread_atfork(Some(before), Some(parent), Some(child)) } {
        0 => Ok(()),
        number => Err(Errno::from_raw(number)),
    }
}

/// Has `last` run when the process ends by `exit` or by returning from `main`.
pub(crate) fn at_exit(last: extern "C" fn()) {
    // SAFETY: it is a function of a library that is never unmapped. Without memory for it, it does not run.
    unsafe { libc::atexit(last) };
}

unsafe extern "C" {
    fn pthread_atfork(
        prepare: Option<extern "C" fn()>,
        parent: Option<extern "C" fn()>,
        child: Option<extern "C" fn()>,
    ) -> libc::c_int;
}
