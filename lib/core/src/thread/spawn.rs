//! A thread of C with SIGPIPE blocked: writing to a peer that is gone is an error there, not the end of the process.

use super::Pin;
use super::builder::Settings;
use crate::error::Error;
use crate::sys::sched::Class;
use crate::sys::starting::{Answer, Attributes};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use std::ffi::{CString, c_void};
use std::io;
use std::mem::{self, MaybeUninit};
use std::ptr;

/// What a thread runs: it gets the argument, and whoever joins it gets what it returns.
pub type Main = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

/// Starts a thread that runs `main(argument)`; it is to be joined with `pthread_join`, or detached.
///
/// The calling thread's signal mask is the same afterwards as before. Fails with EAGAIN when there may be no more
/// threads.
///
/// # Safety
/// `main` may be called with `argument` on another thread, and what both refer to lives until it returns.
pub unsafe fn spawn(main: Main, argument: *mut c_void) -> Result<libc::pthread_t, Error> {
    // SAFETY: the contract is our caller's.
    unsafe { create(main, argument, None) }
}

/// How a thread of C is to be. Whatever is not said is as in the thread that starts it.
#[derive(Clone, Debug, Default)]
pub struct Likeness {
    /// What `ps` and `top` show: at most 15 bytes.
    pub name: Option<CString>,
    /// Bytes of its stack.
    pub stack: Option<usize>,
    /// Where it runs.
    pub pin: Option<Pin>,
    /// How urgent it is.
    pub class: Option<Class>,
    /// Nobody joins it.
    pub detached: bool,
}

/// As [`spawn`], and waits until the thread is as it should be; only then `main` begins.
///
/// Fails, without `main` having run, with ERANGE for a name that is too long, EINVAL for a stack that is too small or a
/// place or priority that does not exist, EPERM or EACCES when the user may not have the class, EAGAIN when there may be
/// no more threads.
///
/// # Safety
/// As for [`spawn`].
pub unsafe fn spawn_like(main: Main, argument: *mut c_void, likeness: &Likeness) -> Result<libc::pthread_t, Error> {
    if likeness.name.as_ref().is_some_and(|name| name.count_bytes() > NAME_MOST) {
        return Err(Error::System { doing: "name a thread", source: Errno::ERANGE });
    }
    let answer = Answer::new();
    let settings = Settings { pin: likeness.pin.clone(), class: likeness.class };
    let start = Start { main, argument, name: likeness.name.clone(), settings, answer: answer.clone() };
    let start = Box::into_raw(Box::new(start));
    // SAFETY: `first` takes what `start` points to, once; our caller vouches for the rest.
    let thread = unsafe { create(first, start.cast(), likeness.stack) };
    let thread = thread.inspect_err(|_| {
        // SAFETY: there is no thread, so the box is still ours.
        drop(unsafe { Box::from_raw(start) });
    })?;
    let told = answer.wait();
    let result = if told.is_err() {
        // SAFETY: the thread was just started, is ending, and nobody else knows of it.
        unsafe { libc::pthread_join(thread, ptr::null_mut()) }
    } else if likeness.detached {
        // SAFETY: the thread is joinable, and nobody else knows of it.
        unsafe { libc::pthread_detach(thread) }
    } else {
        0
    };
    debug_assert_eq!(result, 0);
    let errno = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
    told.map_err(errno).map_err(Error::system("make a thread as it was to be"))?;
    Ok(thread)
}

/// What a new thread needs before it begins.
struct Start {
    main: Main,
    argument: *mut c_void,
    name: Option<CString>,
    settings: Settings,
    answer: Answer,
}

/// The first function of the new thread: asks [`prepared`] what is to run, and jumps there. No frame of ours is left below
/// `main`, which may leave by `pthread_exit` or be cancelled: that unwinds to the end of the stack, and must not meet Rust.
///
/// # Safety
/// `start` is a box of [`Start`], and is ours.
#[unsafe(naked)]
unsafe extern "C" fn first(start: *mut c_void) -> *mut c_void {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "sub rsp, 24", "mov rsi, rsp", "call {prepared}", "mov rdi, [rsp]", "add rsp, 24",
        "test rax, rax", "je 2f", "jmp rax", "2:", "ret",
        prepared = sym prepared
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "stp x29, x30, [sp, #-32]!", "add x1, sp, #16", "bl {prepared}", "mov x9, x0", "ldr x0, [sp, #16]",
        "ldp x29, x30, [sp], #32", "cbz x9, 2f", "br x9", "2:", "mov x0, #0", "ret",
        prepared = sym prepared
    );
    #[cfg(target_arch = "arm")]
    core::arch::naked_asm!(
        "push {{r4, lr}}", "sub sp, sp, #8", "mov r1, sp", "bl {prepared}", "mov r12, r0", "ldr r0, [sp]",
        "add sp, sp, #8", "pop {{r4, lr}}", "cmp r12, #0", "beq 2f", "bx r12", "2:", "mov r0, #0", "bx lr",
        prepared = sym prepared
    );
}

/// Makes this thread what it is to be, tells the starter, and says what is to run, with which argument; nothing if it
/// could not be done.
///
/// # Safety
/// As [`first`]; `argument` may be written.
unsafe extern "C" fn prepared(start: *mut c_void, argument: *mut *mut c_void) -> Option<Main> {
    // SAFETY: it came from `Box::into_raw` in `spawn_like`, which gave it to us alone.
    let start = unsafe { Box::from_raw(start.cast::<Start>()) };
    let mut applied = start.settings.apply();
    if let (Ok(()), Some(name)) = (&applied, &start.name) {
        applied = prctl::set_name(name).map_err(io::Error::from);
    }
    let ready = applied.is_ok();
    start.answer.give(applied);
    // SAFETY: our caller's promise.
    unsafe { argument.write(start.argument) };
    ready.then_some(start.main)
}

/// # Safety
/// As for [`spawn`].
unsafe fn create(main: Main, argument: *mut c_void, stack: Option<usize>) -> Result<libc::pthread_t, Error> {
    let attributes = stack.map(Attributes::with_stack).transpose().map_err(Error::system("set a thread's stack"))?;
    let mut sigpipe = SigSet::empty();
    sigpipe.add(Signal::SIGPIPE);
    // A thread begins with its creator's mask, so the creator wears it for a moment. The C library knows an attribute
    // for this only since 2.32.
    let before =
        sigpipe.thread_swap_mask(SigmaskHow::SIG_BLOCK).map_err(Error::system("block SIGPIPE for a new thread"))?;
    // The C library runs the function itself, without a frame of ours below it: `pthread_exit` and cancellation unwind to
    // the end of the stack, and must not meet Rust there.
    // SAFETY: only the word `unsafe` is dropped from the type, because libc's declaration has none; our caller vouches.
    let main = unsafe { mem::transmute::<Main, extern "C" fn(*mut c_void) -> *mut c_void>(main) };
    let mut thread = MaybeUninit::<libc::pthread_t>::uninit();
    let attributes = attributes.as_ref().map_or(ptr::null(), |attributes| &raw const attributes.0);
    // SAFETY: the out-parameter is valid, the attributes are null (the defaults: joinable) or initialised, and our caller
    // vouches for function and argument.
    let status = unsafe { libc::pthread_create(thread.as_mut_ptr(), attributes, main, argument) };
    let restored = before.thread_set_mask();
    if status != 0 {
        return Err(Error::System { doing: "start a thread", source: Errno::from_raw(status) });
    }
    restored.map_err(Error::system("restore the signal mask after starting a thread"))?;
    // SAFETY: pthread_create returned 0, so it has written the id.
    Ok(unsafe { thread.assume_init() })
}

/// What the kernel has room for.
const NAME_MOST: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn tells_whether_sigpipe_is_blocked(argument: *mut c_void) -> *mut c_void {
        let blocked = SigSet::thread_get_mask().unwrap().contains(Signal::SIGPIPE);
        if blocked { argument } else { ptr::null_mut() }
    }

    #[test]
    fn sigpipe_is_blocked_in_the_new_thread_and_only_there() {
        let before = SigSet::thread_get_mask().unwrap();
        let mut argument = 7;
        let expected = (&raw mut argument).cast::<c_void>();
        // SAFETY: the function only looks at the pointer, and the thread is joined below.
        let thread = unsafe { spawn(tells_whether_sigpipe_is_blocked, expected) }.unwrap();
        let mut result = ptr::null_mut();
        // SAFETY: the thread was just started and nobody else joins it.
        assert_eq!(unsafe { libc::pthread_join(thread, &raw mut result) }, 0);
        assert_eq!(result, expected);
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }

    fn joined(thread: libc::pthread_t) -> *mut c_void {
        let mut result = ptr::null_mut();
        // SAFETY: the callers have just started the thread, and nobody else joins it.
        assert_eq!(unsafe { libc::pthread_join(thread, &raw mut result) }, 0);
        result
    }

    #[test]
    fn a_thread_with_a_likeness_has_sigpipe_blocked_too() {
        let likeness = Likeness { name: Some(c"fifteen letters".into()), stack: Some(1 << 18), ..Likeness::default() };
        let argument = ptr::without_provenance_mut(7);
        // SAFETY: the function only looks at the pointer.
        let thread = unsafe { spawn_like(tells_whether_sigpipe_is_blocked, argument, &likeness) }.unwrap();
        assert_eq!(joined(thread), argument);
    }

    #[test]
    fn a_thread_with_a_likeness_that_cannot_be_does_not_begin() {
        let plain = Likeness::default;
        for (likeness, errno) in [
            (Likeness { name: Some(c"sixteen letters!".into()), ..plain() }, Errno::ERANGE),
            (Likeness { stack: Some(1), ..plain() }, Errno::EINVAL),
            (Likeness { pin: Some(Pin::Cpu(60_000)), ..plain() }, Errno::EINVAL),
            (Likeness { class: Some(Class::Other(20)), detached: true, ..plain() }, Errno::EINVAL),
        ] {
            // SAFETY: the function takes any pointer.
            let failed = unsafe { spawn_like(tells_whether_sigpipe_is_blocked, ptr::null_mut(), &likeness) };
            assert_eq!(failed.unwrap_err().errno(), errno, "{likeness:?}");
        }
    }
}
