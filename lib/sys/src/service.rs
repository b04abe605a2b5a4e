//! The services of a process: `struct msf_svc` variables in shared libraries, loaded by libmsf.so.
//!
//! The table is one array that never moves, because C plugins may read it through `g_proc->proc_svcs`.

use std::ffi::CStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};

use crate::ffi::msf as c;
use crate::outcome::checked;

/// Services in the order of their configuration.
pub struct Services {
    // Not a Box: that would claim nobody else looks at it, and plugins do.
    table: NonNull<[c::svcinst]>,
}

/// The slots a host calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Makes the service ready; not yet at work.
    Init,
    /// Sets it to work.
    Start,
    /// The reverse of `Start`.
    Stop,
    /// The reverse of `Init`.
    Deinit,
}

/// What calling a slot came to.
#[derive(Debug)]
pub enum Answer {
    /// The service does not offer the slot, or is not loaded.
    Absent,
    /// 0 or more.
    Done(i32),
    /// Below 0, and what errno said then (it may be stale: services of 2019 do not set it).
    Failed(i32, io::Error),
}

impl Services {
    /// The table for `(svc_name, library)` pairs; nothing is loaded. A name of more than 63 bytes or a path of
    /// more than 4095 is an error naming it.
    pub fn new<'a>(wanted: impl IntoIterator<Item = (&'a str, &'a Path)>) -> io::Result<Services> {
        let table = wanted.into_iter().map(|(name, library)| {
            // SAFETY: an all-zero `svcinst` is valid: numbers and null pointers.
            let mut inst: c::svcinst = unsafe { std::mem::zeroed() };
            fill(&mut inst.svc_name, name.as_bytes())?;
            fill(&mut inst.svc_lib, library.as_os_str().as_bytes())?;
            Ok(inst)
        });
        let table = table.collect::<io::Result<Box<[_]>>>()?;
        Ok(Services { table: NonNull::from(Box::leak(table)) })
    }

    /// How many there are, loaded or not.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Loads service number `at` and finds its variable; runs the library's constructors, calls no slot. The
    /// log has a record with what the loader said.
    pub fn load(&mut self, at: usize) -> io::Result<()> {
        let inst = self.inst(at)?;
        // SAFETY: a live svcinst with terminated strings, lent to nobody else during the call.
        checked(unsafe { c::msf_svcinst_init(inst) }).map(drop)
    }

    /// Unloads service number `at`.
    ///
    /// # Safety
    /// Nothing of its library is in use: its threads have ended, nobody holds a pointer into it.
    pub unsafe fn unload(&mut self, at: usize) -> io::Result<()> {
        let inst = self.inst(at)?;
        // SAFETY: a live svcinst, lent to nobody else; that its code is idle is the caller's promise.
        checked(unsafe { c::msf_svcinst_deinit(inst) }).map(drop)
    }

    /// Calls one slot of service number `at` with (NULL, 0), on this thread.
    pub fn call(&mut self, at: usize, slot: Slot) -> Answer {
        let Some(call) = self.slot(at, slot) else { return Answer::Absent };
        clear_errno();
        // SAFETY: a function of a loaded library, of the type its header gives it; NULL and 0 are what the
        // host promises every service.
        let code = unsafe { call(ptr::null_mut(), 0) };
        if code < 0 { Answer::Failed(code, io::Error::last_os_error()) } else { Answer::Done(code) }
    }

    /// Whether service number `at` has something in that slot now.
    pub fn offers(&self, at: usize, slot: Slot) -> bool {
        self.slot(at, slot).is_some()
    }

    /// The name of service number `at`, for messages.
    pub fn name(&self, at: usize) -> &str {
        let Ok(inst) = self.inst(at) else { return "?" };
        // SAFETY: inside the table, as `inst` has just checked.
        let name = unsafe { &raw const (*inst).svc_name };
        // SAFETY: `fill` left at least one NUL at the end of the array, and nobody writes to it.
        unsafe { CStr::from_ptr(name.cast()) }.to_str().unwrap_or("?")
    }

    pub(crate) fn raw(&mut self) -> (*mut c::svcinst, u32) {
        (self.table.as_ptr().cast(), u32::try_from(self.len()).unwrap_or(u32::MAX))
    }

    fn slot(&self, at: usize, slot: Slot) -> c::svc_func {
        let inst = self.inst(at).ok()?;
        // SAFETY: inside the table, as `inst` has just checked.
        let service = unsafe { (*inst).svc_cb };
        if service.is_null() {
            return None;
        }
        // SAFETY: not null, so it points at the msf_svc of a library that is loaded. Read here, not at load
        // time: services may change their slots.
        let service = unsafe { service.read() };
        match slot {
            Slot::Init => service.init,
            Slot::Start => service.start,
            Slot::Stop => service.stop,
            Slot::Deinit => service.deinit,
        }
    }

    fn inst(&self, at: usize) -> io::Result<*mut c::svcinst> {
        if at >= self.len() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        Ok(self.table.as_ptr().cast::<c::svcinst>().wrapping_add(at))
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // SAFETY: it was a Box once; g_proc no longer points at it, `Published` borrows us while it does.
        drop(unsafe { Box::from_raw(self.table.as_ptr()) });
    }
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries((0..self.len()).map(|at| self.name(at))).finish()
    }
}

/// Refuses what does not fit, rather than load something else than was asked for.
fn fill(room: &mut [std::ffi::c_char], text: &[u8]) -> io::Result<()> {
    if text.len() >= room.len() || text.contains(&0) {
        let shown = String::from_utf8_lossy(text);
        let why = format!("{shown}: at most {} bytes without NUL are allowed", room.len() - 1);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    for (to, from) in room.iter_mut().zip(text) {
        *to = *from as std::ffi::c_char;
    }
    Ok(())
}

fn clear_errno() {
    // SAFETY: glibc and musl give every thread an errno of its own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: the pointer of the line above is this thread's for its whole life.
    unsafe { *errno = 0 };
}
