//! msf_thread.h: starting threads, where they run, how urgent they are.

use crate::cancel::Uncancelled;
use crate::guard::{bytes, guard, plain, system};
use crate::header::{
    MSF_PIN_ANYWHERE, MSF_PIN_CORE, MSF_PIN_CPU, MSF_PIN_INHERIT, MSF_PIN_NODE, MSF_SCHED_BATCH, MSF_SCHED_FIFO,
    MSF_SCHED_IDLE, MSF_SCHED_INHERIT, MSF_SCHED_OTHER, MSF_SCHED_RR, msf_thread_attr,
};
use crate::sized::{Sized32, take};
use msf_core::sys::sched::{self, Class};
use msf_core::thread::{self, Likeness, Pin};
use nix::errno::Errno;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::slice;

as_declared! {
    msf_pthread_spawn msf_thread_spawn msf_thread_pin msf_thread_pin_cpus msf_thread_sched_set msf_thread_sched_get
    msf_thread_name_set msf_thread_name_get
}

// SAFETY: numbers and a pointer, the first of them the size.
unsafe impl Sized32 for msf_thread_attr {}

type Main = Option<unsafe extern "C" fn(*mut c_void) -> *mut c_void>;

/// # Safety
/// `tid` is null or may be written; `func` may run with `arg` on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_pthread_spawn(tid: *mut libc::pthread_t, func: Main, arg: *mut c_void) -> c_int {
    guard(|| {
        let (false, Some(main)) = (tid.is_null(), func) else { return Err(Errno::EINVAL) };
        // SAFETY: the contract is our caller's.
        let thread = unsafe { thread::spawn(main, arg) }.map_err(plain)?;
        // SAFETY: not null (checked above), and our caller says that it may be written.
        unsafe { tid.write(thread) };
        Ok(())
    })
}

/// # Safety
/// `attr` is null or begins with its size; `func` may run with `arg` on another thread; `tid_out` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_thread_spawn(
    attr: *const msf_thread_attr,
    func: Main,
    arg: *mut c_void,
    tid_out: *mut libc::pthread_t,
) -> c_int {
    if attr.is_null() {
        // SAFETY: the contract is our caller's.
        return unsafe { msf_pthread_spawn(tid_out, func, arg) };
    }
    let _uncancelled = Uncancelled::begin();
    guard(|| {
        // SAFETY: the contract is our caller's.
        let likeness = unsafe { likeness(attr) }?;
        let (true, Some(main)) = (likeness.detached || !tid_out.is_null(), func) else { return Err(Errno::EINVAL) };
        // SAFETY: as above.
        let thread = unsafe { thread::spawn_like(main, arg, &likeness) }.map_err(plain)?;
        // SAFETY: null, or our caller says that it may be written.
        unsafe { give(tid_out, thread) };
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_thread_pin(tid: libc::pid_t, pin: c_int, place: u32) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard(|| pin_of(pin, place)?.ok_or(Errno::EINVAL)?.thread(tid).map_err(system))
}

/// # Safety
/// `cpus` is null or points to `count` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_thread_pin_cpus(tid: libc::pid_t, cpus: *const u32, count: u32) -> c_int {
    guard(|| {
        if cpus.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: not null (checked above), and our caller vouches for the count.
        let numbers = unsafe { slice::from_raw_parts(cpus, count as usize) };
        Pin::Cpus(numbers.iter().copied().collect()).thread(tid).map_err(system)
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_thread_sched_set(tid: libc::pid_t, sched: c_int, priority: c_int) -> c_int {
    guard(|| sched::set_class(tid, class_of(sched, priority)?.ok_or(Errno::EINVAL)?).map_err(system))
}

/// # Safety
/// Both out-parameters are null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_thread_sched_get(
    tid: libc::pid_t,
    sched_out: *mut c_int,
    priority_out: *mut c_int,
) -> c_int {
    guard(|| {
        if sched_out.is_null() || priority_out.is_null() {
            return Err(Errno::EINVAL);
        }
        let (sched, priority) = in_numbers(sched::class(tid).map_err(system)?);
        // SAFETY: not null (checked above), and our caller says that it may be written.
        unsafe { sched_out.write(sched) };
        // SAFETY: as above.
        unsafe { priority_out.write(priority) };
        Ok(())
    })
}

/// # Safety
/// `tid` is a thread that was not joined; `name` is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_thread_name_set(tid: libc::pthread_t, name: *const c_char) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard(|| {
        // SAFETY: the contract is our caller's.
        unsafe { bytes(name) }?;
        // SAFETY: as above, and `name` is not null.
        done(unsafe { libc::pthread_setname_np(tid, name) })
    })
}

/// # Safety
/// `tid` is a thread that was not joined; `name_out` is null or has room for `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_thread_name_get(tid: libc::pthread_t, name_out: *mut c_char, size: usize) -> c_int {
    let _uncancelled = Uncancelled::begin();
    guard(|| {
        if name_out.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: not null (checked above), the rest is our caller's contract.
        done(unsafe { libc::pthread_getname_np(tid, name_out, size) })
    })
}

/// What MSF_PIN_* and a place mean; `None` is MSF_PIN_INHERIT.
pub(crate) fn pin_of(pin: c_int, place: u32) -> Result<Option<Pin>, Errno> {
    match pin {
        MSF_PIN_INHERIT => Ok(None),
        MSF_PIN_CPU => Ok(Some(Pin::Cpu(place))),
        MSF_PIN_CORE => Ok(Some(Pin::Core(place))),
        MSF_PIN_NODE => Ok(Some(Pin::Node(place))),
        MSF_PIN_ANYWHERE => Ok(Some(Pin::Anywhere)),
        _ => Err(Errno::EINVAL),
    }
}

/// What MSF_SCHED_* and a priority mean; `None` is MSF_SCHED_INHERIT.
pub(crate) fn class_of(sched: c_int, priority: c_int) -> Result<Option<Class>, Errno> {
    let nice = i8::try_from(priority).map_err(|_| Errno::EINVAL);
    let real_time = u8::try_from(priority).map_err(|_| Errno::EINVAL);
    match sched {
        MSF_SCHED_INHERIT => Ok(None),
        MSF_SCHED_OTHER => Ok(Some(Class::Other(nice?))),
        MSF_SCHED_BATCH => Ok(Some(Class::Batch(nice?))),
        MSF_SCHED_IDLE => Ok(Some(Class::Idle)),
        MSF_SCHED_FIFO => Ok(Some(Class::Fifo(real_time?))),
        MSF_SCHED_RR => Ok(Some(Class::RoundRobin(real_time?))),
        _ => Err(Errno::EINVAL),
    }
}

fn in_numbers(class: Class) -> (c_int, c_int) {
    match class {
        Class::Other(nice) => (MSF_SCHED_OTHER, nice.into()),
        Class::Batch(nice) => (MSF_SCHED_BATCH, nice.into()),
        Class::Idle => (MSF_SCHED_IDLE, 0),
        Class::Fifo(priority) => (MSF_SCHED_FIFO, priority.into()),
        Class::RoundRobin(priority) => (MSF_SCHED_RR, priority.into()),
    }
}

/// # Safety
/// `attr` begins with its size, and its name is null or NUL-terminated.
unsafe fn likeness(attr: *const msf_thread_attr) -> Result<Likeness, Errno> {
    // SAFETY: the contract is our caller's.
    let attr = unsafe { take(attr) }?;
    // SAFETY: not null (checked here), NUL-terminated by our caller's contract.
    let name = (!attr.name.is_null()).then(|| unsafe { CStr::from_ptr(attr.name) }.to_owned());
    Ok(Likeness {
        name,
        stack: (attr.stack != 0).then_some(attr.stack),
        pin: pin_of(attr.pin, attr.place)?,
        class: class_of(attr.sched, attr.priority)?,
        detached: attr.detached != 0,
    })
}

/// # Safety
/// `out` is null or may be written.
unsafe fn give<T>(out: *mut T, value: T) {
    if !out.is_null() {
        // SAFETY: not null; our caller vouches for the rest.
        unsafe { out.write(value) };
    }
}

/// What a function of pthread returned.
fn done(status: c_int) -> Result<(), Errno> {
    if status == 0 { Ok(()) } else { Err(Errno::from_raw(status)) }
}
