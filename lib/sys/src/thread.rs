//! Threads started through libmsf.so, so that they are made like those of C services (SIGPIPE blocked).

use std::ffi::{CString, c_void};
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use crate::ffi::msf as c;
use crate::outcome::{c_string, checked};

/// A running thread. Dropping the handle lets it go on alone.
#[derive(Debug)]
pub struct Thread {
    id: libc::pthread_t,
}

struct Start {
    name: CString,
    body: Box<dyn FnOnce() + Send>,
}

/// Starts `body` on a thread that `ps -L` shows as the first 15 bytes of `name`.
pub fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<Thread> {
    let start = Box::into_raw(Box::new(Start { name: c_string(name)?, body: Box::new(body) }));
    let mut id = MaybeUninit::<libc::pthread_t>::uninit();
    // SAFETY: `id` has room for one pthread_t, and `run` takes over `start`, which nobody else has.
    let code = unsafe { c::msf_pthread_spawn(id.as_mut_ptr(), Some(run), start.cast()) };
    if let Err(failed) = checked(code) {
        // SAFETY: no thread was started, so the box made above is still only ours.
        drop(unsafe { Box::from_raw(start) });
        return Err(failed);
    }
    // SAFETY: the header promises that the id is written on success.
    Ok(Thread { id: unsafe { id.assume_init() } })
}

/// # Safety
/// `start` came from `Box::<Start>::into_raw` and is given to nobody else.
unsafe extern "C" fn run(start: *mut c_void) -> *mut c_void {
    // SAFETY: see above.
    let Start { name, body } = *unsafe { Box::from_raw(start.cast::<Start>()) };
    // SAFETY: PR_SET_NAME reads a terminated string, of which the kernel takes 15 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    // The panic hook has already said what happened; unwinding into C would abort the process.
    let _ = catch_unwind(AssertUnwindSafe(body));
    ptr::null_mut()
}

impl Thread {
    /// Waits for its end. Not from itself: that is EDEADLK.
    pub fn join(self) -> io::Result<()> {
        let id = ManuallyDrop::new(self).id;
        // SAFETY: the id is of a joinable thread, and ManuallyDrop keeps `drop` from detaching it too.
        match unsafe { libc::pthread_join(id, ptr::null_mut()) } {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // SAFETY: the thread was neither joined nor detached, or this handle would be gone.
        unsafe { libc::pthread_detach(self.id) };
    }
}
