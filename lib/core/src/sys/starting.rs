//! Starting a thread. Straight from the C library: what std brings for its threads (a table of their stacks, hooks, handles to
//! unpark them) weighs more than all of ours, and what std makes of each closure that is spawned as much again.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{SysconfVar, sysconf};
use std::ffi::{CString, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, ThreadId};

/// What a thread does to itself before it begins.
pub(crate) type Ready = Box<dyn FnOnce() -> io::Result<()> + Send>;
/// What it does then.
pub(crate) type Main = Box<dyn FnOnce() + Send>;

/// Starts a thread and, where something is to be made ready, waits for that. If it cannot be, `main` is dropped without
/// having run, the thread has ended, and the reason is returned. The kernel shows the first 15 bytes of the name, without one the starter's;
/// `stack` is in bytes, [`STACK`] when `None`, and never less than the C library needs.
pub(crate) fn start(name: &str, stack: Option<usize>, ready: Option<Ready>, main: Main) -> io::Result<Thread> {
    let answer = ready.is_some().then(Answer::new);
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    let begin = Begin { id: Id::default(), name, ready: ready.zip(answer.clone()), main };
    let thread = Thread::create(stack.unwrap_or(STACK), Box::new(begin))?;
    match answer.map_or(Ok(()), Answer::wait) {
        Ok(()) => Ok(thread),
        Err(error) => {
            // It ends now, and its panic, if any, has been told by the panic hook.
            let _ = thread.join();
            Err(error)
        }
    }
}

/// What std gives a thread.
const STACK: usize = 2 << 20;

/// A thread that was started here. Dropped, it goes on, and nobody can wait for it any more.
#[derive(Debug)]
pub struct Thread {
    /// Until somebody waits for it.
    handle: Option<libc::pthread_t>,
    id: Id,
}

/// Which thread; nobody, until it has begun.
#[derive(Clone, Debug, Default)]
pub(crate) struct Id(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    id: OnceLock<ThreadId>,
    panicked: AtomicBool,
}

/// A thread has panicked; the panic hook has told with what.
#[derive(Debug)]
pub struct Panicked;

impl Thread {
    fn create(stack: usize, begin: Box<Begin>) -> io::Result<Thread> {
        // Miri knows neither stacks nor their sizes.
        let attributes = if cfg!(miri) { None } else { Some(Attributes::with_stack(stack.max(least_stack()))?) };
        let wanted = attributes.as_ref().map_or(ptr::null(), |attributes| &raw const attributes.0);
        let id = begin.id.clone();
        let begin = Box::into_raw(begin);
        let mut thread = MaybeUninit::uninit();
        // SAFETY: the attributes are null or initialised, and `run` takes what `begin` points to, once.
        let status = unsafe { libc::pthread_create(thread.as_mut_ptr(), wanted, run, begin.cast()) };
        if status != 0 {
            // SAFETY: there is no thread, so the box is still ours.
            drop(unsafe { Box::from_raw(begin) });
            return Err(io::Error::from_raw_os_error(status));
        }
        // SAFETY: pthread_create returned 0, so it has written the id.
        Ok(Thread { handle: Some(unsafe { thread.assume_init() }), id })
    }

    pub(crate) fn id(&self) -> Id {
        self.id.clone()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It has panicked.
    pub fn join(mut self) -> Result<(), Panicked> {
        let Some(handle) = self.handle.take() else { return Err(Panicked) };
        // SAFETY: the thread is joinable and has not been joined: the handle was there.
        let status = unsafe { libc::pthread_join(handle, ptr::null_mut()) };
        if status == 0 && !self.id.0.panicked.load(Ordering::Relaxed) { Ok(()) } else { Err(Panicked) }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(handle) = self.handle {
            // SAFETY: the thread has not been joined: the handle is there.
            unsafe { libc::pthread_detach(handle) };
        }
    }
}

impl Id {
    /// Whether it is the calling thread.
    pub fn is_own(&self) -> bool {
        self.0.id.get() == Some(&thread::current().id())
    }
}

struct Begin {
    id: Id,
    name: CString,
    ready: Option<(Ready, Answer)>,
    main: Main,
}

impl Begin {
    fn go(self) {
        let _ = self.id.0.id.set(thread::current().id());
        if !self.name.is_empty() {
            // A name that is too long is cut, and the system says nothing.
            let _ = prctl::set_name(&self.name);
        }
        if let Some((ready, teller)) = self.ready {
            let outcome = ready();
            let refused = outcome.is_err();
            if refused {
                drop(self.main);
                return teller.give(outcome);
            }
            teller.give(outcome);
        }
        (self.main)();
    }
}

extern "C" fn run(begin: *mut c_void) -> *mut c_void {
    // SAFETY: it came from `Box::into_raw` in `create`, which gave it to us alone.
    let begin = unsafe { Box::from_raw(begin.cast::<Begin>()) };
    let known = begin.id.clone();
    if catch_unwind(AssertUnwindSafe(|| begin.go())).is_err() {
        known.0.panicked.store(true, Ordering::Relaxed);
    }
    ptr::null_mut()
}

/// What the C library needs for itself.
fn least_stack() -> usize {
    sysconf(SysconfVar::PTHREAD_STACK_MIN).ok().flatten().map_or(0, |least| least as usize)
}

/// The C library's attributes of a new thread.
pub(crate) struct Attributes(pub libc::pthread_attr_t);

impl Attributes {
    pub fn with_stack(bytes: usize) -> Result<Attributes, Errno> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the out-parameter is valid.
        checked(unsafe { libc::pthread_attr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: it was initialised on the line above.
        let mut attributes = Attributes(unsafe { attributes.assume_init() });
        // SAFETY: they are initialised.
        checked(unsafe { libc::pthread_attr_setstacksize(&raw mut attributes.0, bytes) })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: they are initialised, and nobody uses them afterwards.
        unsafe { libc::pthread_attr_destroy(&raw mut self.0) };
    }
}

fn checked(status: libc::c_int) -> Result<(), Errno> {
    if status == 0 { Ok(()) } else { Err(Errno::from_raw(status)) }
}

/// How a new thread tells its starter whether it is as it should be.
#[derive(Clone)]
pub(crate) struct Answer(Arc<(Mutex<Option<io::Result<()>>>, Condvar)>);

impl Answer {
    pub fn new() -> Answer {
        Answer(Arc::new((Mutex::new(None), Condvar::new())))
    }

    pub fn give(self, result: io::Result<()>) {
        let (slot, told) = &*self.0;
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        told.notify_one();
    }

    pub fn wait(self) -> io::Result<()> {
        let (slot, told) = &*self.0;
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match slot.take() {
                Some(result) => return result,
                None => slot = told.wait(slot).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
