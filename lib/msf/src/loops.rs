//! msf_loop.h: jobs for loops, and loops with a thread of their own.

use msf_core::event::Job;
use std::ffi::c_void;
use std::mem::ManuallyDrop;

pub(crate) type Function = Option<unsafe extern "C" fn(*mut c_void)>;

/// What C posts: exactly one of the two functions is called, once.
pub(crate) struct Post {
    run: unsafe extern "C" fn(*mut c_void),
    dropped: Function,
    arg: *mut c_void,
}

// SAFETY: by msf_loop.h `arg` goes to the thread of the loop; here nothing but the calls below touches it.
unsafe impl Send for Post {}

impl Job for Post {
    fn run(self) {
        let job = ManuallyDrop::new(self);
        // SAFETY: whoever posted vouched that the function may be called once with this argument on the loop's thread.
        unsafe { (job.run)(job.arg) }
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if let Some(dropped) = self.dropped {
            // SAFETY: as above, for a job that was not run.
            unsafe { dropped(self.arg) }
        }
    }
}
