//! msf_threadpool.h: threads that carry out what is queued.
//!
//! A `threadpool_t *` is a number in the shape of a pointer, given once: what is called with one that is gone finds nobody.

use crate::cancel::Uncancelled;
use crate::guard::{bytes, guard, guard_ptr, system};
use crate::header::{
    MSF_PIN_EACH, msf_threadpool_attr, msf_threadpool_counts, threadpool_graceful, threadpool_invalid,
    threadpool_queue_full, threadpool_shutdown, threadpool_t, threadpool_thread_failure,
};
use crate::sized::{Sized32, give, take};
use crate::thread::{class_of, pin_of};
use msf_core::thread::{Job, Pool, PoolBuilder, Queued, Refused};
use nix::errno::Errno;
use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

as_declared! {
    threadpool_create threadpool_add threadpool_destroy msf_threadpool_create msf_threadpool_add_wait msf_threadpool_wait
    msf_threadpool_stats
}

// SAFETY: numbers and a pointer, the first of them the size.
unsafe impl Sized32 for msf_threadpool_attr {}
// SAFETY: numbers, the first of them the size.
unsafe impl Sized32 for msf_threadpool_counts {}

type Function = Option<unsafe extern "C" fn(*mut c_void)>;

/// A function and what it is called with.
struct Task {
    function: unsafe extern "C" fn(*mut c_void),
    argument: *mut c_void,
}

// SAFETY: by msf_threadpool.h the function runs, with its argument, on a thread of the pool; here nothing but that call
// touches the argument.
unsafe impl Send for Task {}

impl Job for Task {
    fn run(self) {
        // SAFETY: whoever queued the task vouched that the function may be called so, once.
        unsafe { (self.function)(self.argument) }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn threadpool_create(threads: c_int, queue: c_int, _flags: c_int) -> *mut threadpool_t {
    guard_ptr(|| {
        let number = |given: c_int| u32::try_from(given).ok().filter(|&number| number > 0).ok_or(Errno::EINVAL);
        begin(&Pool::builder().threads(number(threads)?).queue(number(queue)?))
    })
}

/// # Safety
/// `func` may be called with `arg` on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn threadpool_add(
    pool: *mut threadpool_t,
    func: Function,
    arg: *mut c_void,
    _flags: c_int,
) -> c_int {
    coded(|| add(pool, func, arg, Duration::ZERO, Errno::EAGAIN))
}

#[unsafe(no_mangle)]
pub extern "C" fn threadpool_destroy(pool: *mut threadpool_t, flags: c_int) -> c_int {
    let _uncancelled = Uncancelled::begin();
    coded(|| {
        let queued = if flags & threadpool_graceful != 0 { Queued::Run } else { Queued::Drop };
        if !lookup(pool)?.finish(queued) {
            return Err(Errno::ESHUTDOWN);
        }
        POOLS.write().unwrap_or_else(PoisonError::into_inner).retain(|(number, _)| *number != pool.addr());
        Ok(())
    })
}

/// # Safety
/// `attr` is null or begins with its size, and its name is null or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_threadpool_create(attr: *const msf_threadpool_attr) -> *mut threadpool_t {
    let _uncancelled = Uncancelled::begin();
    // SAFETY: the contract is our caller's.
    guard_ptr(|| begin(&unsafe { builder(attr) }?))
}

/// # Safety
/// `func` may be called with `arg` on another thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_threadpool_add_wait(
    pool: *mut threadpool_t,
    func: Function,
    arg: *mut c_void,
    ms: c_int,
) -> c_int {
    guard(|| add(pool, func, arg, limit(ms)?, Errno::ETIMEDOUT))
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_threadpool_wait(pool: *mut threadpool_t, ms: c_int) -> c_int {
    guard(|| match lookup(pool)?.wait_idle(limit(ms)?) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Errno::ETIMEDOUT),
        Err(error) => Err(system(error)),
    })
}

/// # Safety
/// `stats_out` is null or begins with its size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_threadpool_stats(pool: *mut threadpool_t, stats_out: *mut msf_threadpool_counts) -> c_int {
    guard(|| {
        let now = lookup(pool)?.statistics();
        let (threads, queued, running) = (now.threads, now.queued, now.running);
        let stats = msf_threadpool_counts { size: 0, threads, queued, running, done: now.done, refused: now.refused };
        // SAFETY: the contract is our caller's.
        unsafe { give(stats_out, &stats) }
    })
}

/// # Safety
/// As [`msf_threadpool_create`].
unsafe fn builder(attr: *const msf_threadpool_attr) -> Result<PoolBuilder, Errno> {
    // SAFETY: the contract is our caller's.
    let attr = unsafe { take(attr) }?;
    let mut builder = Pool::builder().threads(attr.threads);
    if attr.queue != 0 {
        builder = builder.queue(attr.queue);
    }
    if attr.pin == MSF_PIN_EACH {
        builder = builder.pin_each();
    } else if let Some(pin) = pin_of(attr.pin, attr.place)? {
        builder = builder.pin(pin);
    }
    if let Some(class) = class_of(attr.sched, attr.priority)? {
        builder = builder.class(class);
    }
    if attr.stack != 0 {
        builder = builder.stack(attr.stack);
    }
    // SAFETY: as above.
    Ok(match unsafe { name(attr.name) }? {
        Some(name) => builder.name(name),
        None => builder,
    })
}

/// # Safety
/// `text` is null or NUL-terminated, and stays so while the result is used.
unsafe fn name<'a>(text: *const c_char) -> Result<Option<&'a str>, Errno> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the contract is our caller's.
    str::from_utf8(unsafe { bytes(text) }?).map(Some).map_err(|_| Errno::EINVAL)
}

fn begin(builder: &PoolBuilder) -> Result<*mut threadpool_t, Errno> {
    let pool = builder.start::<Task>().map_err(system)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    POOLS.write().unwrap_or_else(PoisonError::into_inner).push((number, Arc::new(pool)));
    Ok(ptr::without_provenance_mut(number))
}

fn add(
    pool: *mut threadpool_t,
    func: Function,
    argument: *mut c_void,
    limit: Duration,
    full: Errno,
) -> Result<(), Errno> {
    let function = func.ok_or(Errno::EINVAL)?;
    lookup(pool)?.add_within(Task { function, argument }, limit).map_err(|refused| match refused {
        Refused::Full(_) => full,
        Refused::Finishing(_) => Errno::ESHUTDOWN,
    })
}

fn lookup(pool: *mut threadpool_t) -> Result<Arc<Pool<Task>>, Errno> {
    let pools = POOLS.read().unwrap_or_else(PoisonError::into_inner);
    let found = pools.iter().find(|(number, _)| *number == pool.addr());
    found.map(|(_, pool)| Arc::clone(pool)).ok_or(Errno::EINVAL)
}

/// A limit in milliseconds: MSF_WAIT_FOREVER, or none below 0.
fn limit(ms: c_int) -> Result<Duration, Errno> {
    match ms {
        -1 => Ok(Duration::MAX),
        _ => u64::try_from(ms).map(Duration::from_millis).map_err(|_| Errno::EINVAL),
    }
}

/// Runs the body of a doorway whose failures have numbers of their own.
fn coded(call: impl FnOnce() -> Result<(), Errno>) -> c_int {
    match guard(call) {
        0 => 0,
        _ => match Errno::last() {
            Errno::EAGAIN => threadpool_queue_full,
            Errno::ESHUTDOWN => threadpool_shutdown,
            Errno::ENOTRECOVERABLE => threadpool_thread_failure,
            _ => threadpool_invalid,
        },
    }
}

/// The pools there are, by their numbers. They are few: looking through them is faster than a table.
static POOLS: RwLock<Vec<(usize, Arc<Pool<Task>>)>> = RwLock::new(Vec::new());
/// A number is given once.
static NEXT: AtomicUsize = AtomicUsize::new(1);
