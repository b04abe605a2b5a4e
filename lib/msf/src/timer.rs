//! msf_event.h's timers, of a base and of 2019, and msf_time.h.
//!
//! A `struct msf_event_timer` is a door: see [`doors`].

use crate::doors;
use crate::event::base_of;
use crate::guard::{guard, guard_or, guard_ptr};
use crate::header::{CYCLE_TIMER, LIMIT_TIMER, msf_event_base, msf_event_timer};
use crate::instance;
use msf_core::event::Expire;
use msf_core::timer::{Keep, TimerThread};
use nix::errno::Errno;
use std::ffi::{c_int, c_uint, c_void};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

as_declared! {
    msf_event_timer_new msf_event_timer_start msf_event_timer_stop msf_event_timer_free msf_timer_init
    msf_timer_destroy msf_timer_add msf_timer_remove msf_timer_count msf_clock_gettime msf_time_sleep
}

/// The callback of a base's timer.
#[derive(Clone, Copy)]
pub(crate) struct TimerCall {
    callback: unsafe extern "C" fn(*mut c_void),
    args: *mut c_void,
}

// SAFETY: by msf_event.h the callback runs, with `args`, on whichever thread dispatches the base; here nothing but that
// call touches `args`.
unsafe impl Send for TimerCall {}

impl Expire for TimerCall {
    #[inline]
    fn expired(self) {
        // SAFETY: whoever called msf_event_timer_new vouched that the callback may be called with these args until the
        // timer is stopped, and the loop calls nothing that was stopped before.
        unsafe { (self.callback)(self.args) }
    }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}

/// # Safety
/// `base` is null or a base that is not freed during the call; `cb` is null or may be called with `args`, by whichever
/// thread dispatches, until the timer is stopped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_timer_new(
    base: *mut msf_event_base,
    cb: Option<unsafe extern "C" fn(*mut c_void)>,
    args: *mut c_void,
) -> *mut msf_event_timer {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let base = unsafe { base_of(base) }?;
        let callback = cb.ok_or(Errno::EINVAL)?;
        let slot = base.new_timer(TimerCall { callback, args }).map_err(errno)?;
        doors::open(base, slot).inspect_err(|_| base.free_timer(slot))
    })
}

/// Whether it was enough to keep a note, as it is on the base's own thread. Nothing in here can fail or panic, so there is
/// no guard: the shorter these calls are, the more of them overlap.
///
/// # Safety
/// `timer` is null or a timer that is not freed during the call.
#[inline(always)]
unsafe fn noted(timer: *mut msf_event_timer, after: Option<u64>) -> bool {
    // SAFETY: our caller's promise is the callee's.
    let behind = unsafe { doors::behind(timer) };
    instance::check().is_ok() && behind.is_ok_and(|(base, slot)| base.note_timer(slot, after))
}

/// # Safety
/// `timer` is null or a timer that is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_timer_start(timer: *mut msf_event_timer, delay_ms: u64, interval_ms: u64) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    if interval_ms == 0 && unsafe { noted(timer, Some(delay_ms.saturating_mul(1_000_000))) } {
        return 0;
    }
    // SAFETY: our caller's promise is the callee's.
    unsafe { start(timer, delay_ms, interval_ms) }
}

/// Apart, so that the way through a note has nothing to save and restore.
///
/// # Safety
/// As [`msf_event_timer_start`].
#[inline(never)]
unsafe fn start(timer: *mut msf_event_timer, delay_ms: u64, interval_ms: u64) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let (base, slot) = unsafe { doors::behind(timer) }?;
        let interval = (interval_ms > 0).then(|| Duration::from_millis(interval_ms));
        base.start_timer(slot, Duration::from_millis(delay_ms), interval).map_err(errno)
    })
}

/// # Safety
/// `timer` is null or a timer that was not freed before this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_timer_stop(timer: *mut msf_event_timer) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    if unsafe { noted(timer, None) } {
        return 0;
    }
    // SAFETY: our caller's promise is the callee's.
    unsafe { stop(timer) }
}

/// # Safety
/// As [`msf_event_timer_stop`].
#[inline(never)]
unsafe fn stop(timer: *mut msf_event_timer) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let (base, slot) = unsafe { doors::behind(timer) }?;
        base.stop_timer(slot);
        Ok(())
    })
}

/// # Safety
/// `timer` is null or a timer that is not freed twice.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_timer_free(timer: *mut msf_event_timer) {
    guard(|| {
        if !timer.is_null() {
            // SAFETY: our caller's promise is the callee's.
            let (base, slot) = unsafe { doors::behind(timer) }?;
            // The door's page, and with it its handle of the base, may go.
            let base = base.clone();
            base.free_timer(slot);
            doors::close(&base, slot);
        }
        Ok(())
    });
}

/// The thread of 2019's timers, and the process that started it: it does not survive fork.
struct Running {
    timers: Arc<TimerThread>,
    process: u32,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn timers() -> Result<Arc<TimerThread>, Errno> {
    let running = running();
    let ours = running.as_ref().filter(|running| running.process == std::process::id());
    ours.map(|running| Arc::clone(&running.timers)).ok_or(Errno::ESRCH)
}

/// # Safety
/// None: it takes nothing. It is unsafe because every function of the header is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_timer_init() -> c_int {
    guard(|| {
        let mut running = running();
        let process = std::process::id();
        if running.as_ref().is_none_or(|running| running.process != process) {
            let timers = Arc::new(TimerThread::start().map_err(errno)?);
            // The parent's, of which only memory came here: stopping it would wait for its thread.
            std::mem::forget(running.replace(Running { timers, process }));
        }
        Ok(())
    })
}

/// # Safety
/// None: it takes nothing. It is unsafe because every function of the header is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_timer_destroy() {
    guard(|| {
        let timers = timers();
        running().take_if(|running| running.process == std::process::id());
        timers.map(|timers| timers.stop())
    });
}

/// What 2019's callback and its argument are.
struct Call {
    fun: unsafe extern "C" fn(*mut c_void) -> c_int,
    arg: *mut c_void,
}

// SAFETY: by msf_event.h the callback runs, with `arg`, on the timers' thread; nothing else touches `arg`.
unsafe impl Send for Call {}

impl Call {
    fn call(&self) -> Keep {
        // SAFETY: whoever called msf_timer_add vouched that the callback may be called with this arg until it is
        // removed, and nothing is called that was removed before.
        match unsafe { (self.fun)(self.arg) } {
            0 => Keep::Ending,
            _ => Keep::Going,
        }
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_timer_count(from: *const c_void, to: *const c_void) -> c_int {
    guard_or(-1, || match timers() {
        Ok(timers) => Ok(c_int::try_from(timers.count(from.addr()..to.addr())).unwrap_or(c_int::MAX)),
        Err(_) => Ok(0),
    })
}

/// # Safety
/// `fun` is null or may be called with `arg`, on another thread, until the timer is removed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_timer_add(
    timer_id: c_uint,
    interval_ms: c_int,
    fun: Option<unsafe extern "C" fn(*mut c_void) -> c_int>,
    arg: *mut c_void,
    flag: c_int,
    exe_num: c_int,
) -> c_int {
    guard_or(-1, || {
        let call = Call { fun: fun.ok_or(Errno::EINVAL)?, arg };
        let interval = u64::try_from(interval_ms).map_err(|_| Errno::EINVAL)?;
        let times = times(flag, exe_num)?;
        // As a result it would mean failure.
        let result = Some(timer_id as c_int).filter(|&id| id != -1).ok_or(Errno::EINVAL)?;
        let mark = call.fun as usize;
        timers()?.add_marked(timer_id, mark, Duration::from_millis(interval), times, move || call.call());
        Ok(result)
    })
}

fn times(flag: c_int, exe_num: c_int) -> Result<Option<u32>, Errno> {
    match flag {
        CYCLE_TIMER => Ok(None),
        LIMIT_TIMER => u32::try_from(exe_num).ok().filter(|&times| times > 0).map(Some).ok_or(Errno::EINVAL),
        _ => Err(Errno::EINVAL),
    }
}

/// # Safety
/// None: it takes a number. It is unsafe because every function of the header is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_timer_remove(timer_id: c_uint) -> c_int {
    guard(|| if timers()?.remove(timer_id) { Ok(()) } else { Err(Errno::ENOENT) })
}

/// # Safety
/// `now_out` is null or may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_clock_gettime(now_out: *mut libc::timespec) -> c_int {
    guard(|| {
        if now_out.is_null() {
            return Err(Errno::EINVAL);
        }
        // SAFETY: not null, and our caller's promise.
        Errno::result(unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, now_out) }).map(drop)
    })
}

/// # Safety
/// None: it takes a number. It is unsafe because every function of the header is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_time_sleep(ms: u64) {
    guard(|| {
        std::thread::sleep(Duration::from_millis(ms));
        Ok(())
    });
}
