//! One job, lent to a function of the program: what it may ask for, and what it has answered.

use crate::errno::Errno;
use msf_client::nmid::wire::{RetStruct, Value};
use msf_client::nmid::{Failure, Job, ret};
use msf_sys::ffi::ipc::nmid_job;
use std::ffi::{CString, c_int, c_void};
use std::ptr;

/// A function of the program.
pub(super) struct Function {
    pub(super) run: unsafe extern "C" fn(job: *mut nmid_job, arg: *mut c_void) -> c_int,
    pub(super) arg: *mut c_void,
}

// SAFETY: the header says on which threads it runs; what `arg` points at is the program's business.
unsafe impl Send for Function {}
// SAFETY: the same; and `concurrency` says how many threads may be inside at once.
unsafe impl Sync for Function {}

/// See the module. It lives on the stack of the thread that runs the function, and only that thread uses it.
pub(super) struct Task<'a> {
    job: &'a Job,
    name: CString,
    /// Everything that was asked for by name: C has pointers into it.
    strings: Vec<CString>,
    reply: Option<Reply>,
}

struct Reply {
    code: i64,
    ret: Vec<u8>,
}

impl Function {
    /// Runs it on `job`; what the caller gets.
    pub(super) fn result(&self, job: &Job) -> Vec<u8> {
        // The worker's own names come from C, so there is no NUL in them.
        let name = CString::new(job.function()).unwrap_or_default();
        let mut task = Task { job, name, strings: Vec::new(), reply: None };
        // SAFETY: the program's own function and argument; the task outlives the call.
        let outcome = unsafe { (self.run)(ptr::from_mut(&mut task).cast(), self.arg) };
        match (outcome, task.reply) {
            (0, Some(reply)) => reply.ret,
            (0, None) => Failure::new(Failure::BROKEN, "the function gave no answer").ret(),
            (_, Some(reply)) if reply.code != 0 => reply.ret,
            (code, _) => Failure::new(code.into(), "the function failed").ret(),
        }
    }
}

impl Task<'_> {
    pub(super) fn job(&self) -> &Job {
        self.job
    }

    pub(super) fn name(&self) -> &CString {
        &self.name
    }

    pub(super) fn string(&mut self, key: &[u8]) -> Result<&CString, Errno> {
        let text = match self.job.value(key).ok_or(Errno(libc::ENOENT))? {
            Value::Text(text) => text.into_owned(),
            Value::Float(number) => decimal(number),
        };
        self.strings.push(CString::new(text).map_err(|_| Errno(libc::EILSEQ))?);
        self.strings.last().ok_or(Errno::NOMEM)
    }

    pub(super) fn reply(&mut self, answer: &RetStruct<'_>) -> Result<(), Errno> {
        if self.reply.is_some() {
            return Err(Errno::ALREADY);
        }
        self.reply = Some(Reply { code: answer.code, ret: ret(answer) });
        Ok(())
    }
}

/// By C's printf, which is in the process anyway; ours would weigh more than all else that reads params. The shortest that
/// is read as the same number.
fn decimal(number: f64) -> Vec<u8> {
    let mut text = [0_u8; 32];
    for digits in [15, 17] {
        // SAFETY: the format takes an int and a double, and no more is written than there is room for.
        unsafe { libc::snprintf(text.as_mut_ptr().cast(), text.len(), c"%.*g".as_ptr(), digits as c_int, number) };
        // SAFETY: snprintf has terminated it.
        if unsafe { libc::strtod(text.as_ptr().cast(), ptr::null_mut()) } == number {
            break;
        }
    }
    text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

/// # Safety
/// `face` is null or what a function of the program was given and has not returned from, and no other reference to the task
/// is in use.
pub(super) unsafe fn borrow<'a>(face: *mut nmid_job) -> Result<&'a mut Task<'a>, Errno> {
    // SAFETY: null, or the task that `result` points its function at, by the caller's word.
    unsafe { face.cast::<Task<'a>>().as_mut() }.ok_or(Errno::INVAL)
}
