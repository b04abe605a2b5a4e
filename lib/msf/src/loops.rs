//! msf_loop.h: jobs for event bases, and loops with a thread of their own.
//!
//! A `struct msf_loop` is a boxed [`Handle`]. The thread's own one is noted by the first job it runs, so that
//! `msf_loop_current` gives the pointer that the program knows.

use crate::event::{Callbacks, base_of, errno};
use crate::guard::{guard, guard_or, guard_ptr};
use crate::header::{MSF_LOOP_PIN, msf_event_base, msf_loop, msf_loop_group, msf_loop_options};
use msf_core::event::{Base, Group, Job, Loop, LoopSettings, Refused};
use nix::errno::Errno;
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::mem::{ManuallyDrop, offset_of};
use std::ptr;

as_declared! {
    msf_event_base_post msf_loop_new msf_loop_adopt msf_loop_current msf_loop_base msf_loop_post msf_loop_stop
    msf_loop_join msf_loop_free msf_loop_group_new msf_loop_group_count msf_loop_group_at msf_loop_group_next
    msf_loop_group_for msf_loop_group_free
}

type Function = Option<unsafe extern "C" fn(*mut c_void)>;

/// What C posts: exactly one of the two functions is called, once.
pub(crate) struct Post {
    run: unsafe extern "C" fn(*mut c_void),
    dropped: Function,
    arg: *mut c_void,
}

// SAFETY: by msf_loop.h `arg` goes to the thread of the loop; here nothing but the calls below touches it.
unsafe impl Send for Post {}

impl Post {
    /// The errno of a refusal; the argument stays the caller's, so nothing of it is called.
    fn accepted(posted: Result<(), Refused<Post>>) -> Result<(), Errno> {
        let Err(refused) = posted else { return Ok(()) };
        let errno = match refused {
            Refused::Full(_) => Errno::EAGAIN,
            Refused::Closed(_) => Errno::ESHUTDOWN,
        };
        let _ = ManuallyDrop::new(refused.into_job());
        Err(errno)
    }
}

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

/// What a `struct msf_loop` is.
struct Handle {
    lane: Loop<Callbacks>,
    /// The program's own handle of an adopted base.
    adopted: *mut msf_event_base,
    /// It belongs to a group.
    member: bool,
}

/// What a `struct msf_loop_group` is.
struct Handles {
    group: Group<Callbacks>,
    loops: Vec<*mut msf_loop>,
}

thread_local! {
    static CURRENT: Cell<*mut msf_loop> = const { Cell::new(ptr::null_mut()) };
}

extern "C" fn note_current(this: *mut c_void) {
    CURRENT.set(this.cast());
}

/// Boxes a handle and lets the loop's thread know it, before anybody else can post.
fn handle_for(lane: Loop<Callbacks>, member: bool) -> Result<*mut msf_loop, Errno> {
    let handle = Box::into_raw(Box::new(Handle { lane: lane.clone(), adopted: ptr::null_mut(), member }));
    Post::accepted(lane.post(Post { run: note_current, dropped: None, arg: handle.cast() }))?;
    Ok(handle.cast())
}

/// # Safety
/// `handle` came from [`handle_for`] or an adoption, and is freed once.
unsafe fn free_handle(handle: *mut msf_loop) {
    if CURRENT.get() == handle {
        CURRENT.set(ptr::null_mut());
    }
    // SAFETY: it came from a box, and is freed once, as our caller promises.
    drop(unsafe { Box::from_raw(handle.cast::<Handle>()) });
}

/// # Safety
/// `handle` is null or a loop that is not freed while the result is used.
unsafe fn handle_of<'a>(handle: *mut msf_loop) -> Result<&'a Handle, Errno> {
    // SAFETY: not null is checked by `as_ref`, the rest is our caller's promise.
    unsafe { handle.cast::<Handle>().as_ref() }.ok_or(Errno::EINVAL)
}

/// # Safety
/// `group` is null or a group that is not freed while the result is used.
unsafe fn group_of<'a>(group: *mut msf_loop_group) -> Result<&'a Handles, Errno> {
    // SAFETY: not null is checked by `as_ref`, the rest is our caller's promise.
    unsafe { group.cast::<Handles>().as_ref() }.ok_or(Errno::EINVAL)
}

/// # Safety
/// `options` is null or begins with its size, has as many bytes, and its name is null or NUL-terminated.
unsafe fn settings(options: *const msf_loop_options) -> Result<LoopSettings, Errno> {
    let mut settings = LoopSettings::default();
    if options.is_null() {
        return Ok(settings);
    }
    let mut known = msf_loop_options { size: 0, flags: 0, cpu: 0, mailbox: 0, name: ptr::null() };
    // SAFETY: not null (checked above), and our caller vouches for the first member.
    let size = unsafe { options.cast::<u32>().read() } as usize;
    if size < offset_of!(msf_loop_options, flags) + size_of::<u32>() {
        return Err(Errno::EINVAL);
    }
    // SAFETY: `size` bytes can be read, says our caller, and no more than the struct has are written.
    unsafe { ptr::copy_nonoverlapping(options.cast::<u8>(), (&raw mut known).cast(), size.min(size_of_val(&known))) };
    if known.flags & !MSF_LOOP_PIN != 0 || known.mailbox as usize > Base::<Callbacks>::LARGEST_MAILBOX {
        return Err(Errno::EINVAL);
    }
    settings.processor = (known.flags & MSF_LOOP_PIN != 0).then_some(known.cpu);
    if known.mailbox != 0 {
        settings.mailbox = known.mailbox as usize;
    }
    if !known.name.is_null() {
        // SAFETY: not null (checked above) and NUL-terminated, says our caller.
        settings.name = unsafe { CStr::from_ptr(known.name) }.to_string_lossy().into_owned();
    }
    Ok(settings)
}

/// # Safety
/// `base` is null or a base that is not freed during the call; the functions may be called as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_event_base_post(
    base: *mut msf_event_base,
    run: Function,
    drop: Function,
    arg: *mut c_void,
) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let base = unsafe { base_of(base) }?;
        Post::accepted(base.post(Post { run: run.ok_or(Errno::EINVAL)?, dropped: drop, arg }))
    })
}

/// # Safety
/// `options` is null or as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_new(options: *const msf_loop_options) -> *mut msf_loop {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let settings = unsafe { settings(options) }?;
        handle_for(Loop::spawn(settings).map_err(errno)?, false)
    })
}

/// # Safety
/// `base` is null or a base that is not freed while the loop lives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_adopt(base: *mut msf_event_base) -> *mut msf_loop {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let lane = Loop::adopt(unsafe { base_of(base) }?.clone()).map_err(errno)?;
        let handle = Box::into_raw(Box::new(Handle { lane, adopted: base, member: false }));
        CURRENT.set(handle.cast());
        Ok(handle.cast())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn msf_loop_current() -> *mut msf_loop {
    guard_ptr(|| Some(CURRENT.get()).filter(|current| !current.is_null()).ok_or(Errno::ENOENT))
}

/// # Safety
/// `loop_` is null or a loop that is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_base(loop_: *mut msf_loop) -> *mut msf_event_base {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let handle = unsafe { handle_of(loop_) }?;
        // A `struct msf_event_base` is a `Base` at an address that stays: this one lives as long as the loop.
        let own = ptr::from_ref(handle.lane.base()).cast_mut().cast();
        Ok(if handle.adopted.is_null() { own } else { handle.adopted })
    })
}

/// # Safety
/// `loop_` is null or a loop that is not freed during the call; the functions may be called as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_post(loop_: *mut msf_loop, run: Function, drop: Function, arg: *mut c_void) -> c_int {
    guard(|| {
        // SAFETY: our caller's promise is the callee's.
        let lane = &unsafe { handle_of(loop_) }?.lane;
        Post::accepted(lane.post(Post { run: run.ok_or(Errno::EINVAL)?, dropped: drop, arg }))
    })
}

/// # Safety
/// `loop_` is null or a loop that is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_stop(loop_: *mut msf_loop) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { handle_of(loop_) }.map(|handle| handle.lane.stop()))
}

/// # Safety
/// `loop_` is null or a loop that is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_join(loop_: *mut msf_loop) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard(|| unsafe { handle_of(loop_) }?.lane.join().map_err(errno))
}

/// # Safety
/// `loop_` is null or a loop that is not freed twice and that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_free(loop_: *mut msf_loop) {
    guard_or((), || {
        // SAFETY: our caller's promise is the callee's.
        let Ok(Handle { lane, adopted, member: false }) = (unsafe { handle_of(loop_) }) else { return Ok(()) };
        if adopted.is_null() {
            lane.stop();
            // On its own thread, or joined before: nothing to wait for.
            let _ = lane.join();
        }
        lane.release();
        // SAFETY: not null (it was found), and freed once, as our caller promises.
        unsafe { free_handle(loop_) };
        Ok(())
    });
}

/// # Safety
/// `options` is null or as the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_group_new(count: u32, options: *const msf_loop_options) -> *mut msf_loop_group {
    guard_ptr(|| {
        // SAFETY: our caller's promise is the callee's.
        let settings = unsafe { settings(options) }?;
        let group = Group::spawn(count as usize, &settings).map_err(errno)?;
        let loops: Result<_, _> = group.loops().iter().map(|one| handle_for(one.clone(), true)).collect();
        Ok(Box::into_raw(Box::new(Handles { group, loops: loops? })).cast())
    })
}

/// # Safety
/// `group` is null or a group that is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_group_count(group: *mut msf_loop_group) -> c_int {
    // SAFETY: our caller's promise is the callee's.
    guard_or(-1, || unsafe { group_of(group) }.map(|group| group.loops.len() as c_int))
}

/// # Safety
/// `group` is null or a group that is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_group_at(group: *mut msf_loop_group, index: u32) -> *mut msf_loop {
    // SAFETY: our caller's promise is the callee's.
    guard_ptr(|| unsafe { group_of(group) }?.loops.get(index as usize).copied().ok_or(Errno::EINVAL))
}

/// # Safety
/// `group` is null or a group that is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_group_next(group: *mut msf_loop_group) -> *mut msf_loop {
    // SAFETY: our caller's promise is the callee's.
    guard_ptr(|| unsafe { group_of(group) }.map(|group| group.loops[group.group.pick()]))
}

/// # Safety
/// `group` is null or a group that is not freed during the call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_group_for(group: *mut msf_loop_group, key: u64) -> *mut msf_loop {
    // SAFETY: our caller's promise is the callee's.
    guard_ptr(|| unsafe { group_of(group) }.map(|group| group.loops[group.group.pick_for(key)]))
}

/// # Safety
/// `group` is null or a group that is not freed twice and that no other thread uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_loop_group_free(group: *mut msf_loop_group) {
    guard_or((), || {
        if !group.is_null() {
            // SAFETY: it came from `msf_loop_group_new`'s box, and is freed once, as our caller promises.
            let handles = unsafe { Box::from_raw(group.cast::<Handles>()) };
            drop(handles.group);
            // SAFETY: each came from `handle_for`; the threads have ended, but for ours.
            handles.loops.into_iter().for_each(|one| unsafe { free_handle(one) });
        }
        Ok(())
    });
}
