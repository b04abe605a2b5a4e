//! This process: its places, its claim on a name, its title, and what its plugins read about it in `g_proc`.

use std::ffi::{CStr, OsStr, c_char};
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ffi::msf as c;
use crate::outcome::{c_string, checked};

/// The run directory: sockets, pid files, locks.
pub fn run_dir() -> io::Result<PathBuf> {
    place(c::msf_run_dir)
}

/// The log directory.
pub fn log_dir() -> io::Result<PathBuf> {
    place(c::msf_log_dir)
}

/// Detaches from the terminal; `Ok` in the daemon only. Call it before any thread exists.
pub fn daemonize(keep_directory: bool, keep_streams: bool) -> io::Result<()> {
    // SAFETY: plain numbers.
    checked(unsafe { c::daemonize(keep_directory.into(), keep_streams.into()) }).map(drop)
}

/// From now on whoever started this process is told the moment it begins to crash; false when nobody wants to know.
pub fn tell_crashes() -> io::Result<bool> {
    // SAFETY: takes nothing.
    match checked(unsafe { c::msf_crash_notify() }) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        done => done.map(|_| true),
    }
}

/// What `ps` shows.
pub fn title(title: &str) -> io::Result<()> {
    let title = c_string(title)?;
    // SAFETY: `title` is terminated and copied by the function.
    checked(unsafe { c::msf_process_title(title.as_ptr()) }).map(drop)
}

/// The pid that holds the claim on `name`, if anybody does.
pub fn holder(name: &str) -> io::Result<Option<libc::pid_t>> {
    let name = c_string(name)?;
    // SAFETY: `name` is terminated and lives until the end of this function.
    match checked(unsafe { c::msf_process_holder(name.as_ptr()) }) {
        Ok(pid) => Ok(Some(pid)),
        Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A name claimed for this process, given back when dropped.
#[derive(Debug)]
pub struct Claim {
    name: std::ffi::CString,
}

/// Why a name could not be claimed.
#[derive(Debug)]
pub enum Refused {
    /// Another live process has it: its pid, or 0 when it cannot be told.
    Held(libc::pid_t),
    /// The lock or pid file could not be made.
    Failed(io::Error),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Held(0) => write!(f, "already running"),
            Refused::Held(pid) => write!(f, "already running as pid {pid}"),
            Refused::Failed(e) => write!(f, "cannot claim the name: {e}"),
        }
    }
}

impl std::error::Error for Refused {}

/// Claims `name`: lock and pid file in the run directory.
pub fn claim(name: &str) -> Result<Claim, Refused> {
    let name = c_string(name).map_err(Refused::Failed)?;
    let mut pid: libc::pid_t = 0;
    // SAFETY: `name` is terminated, and `pid` has room for what the function writes.
    match checked(unsafe { c::msf_process_claim(name.as_ptr(), &raw mut pid) }) {
        Ok(_) => Ok(Claim { name }),
        Err(e) if e.raw_os_error() == Some(libc::EALREADY) => Err(Refused::Held(pid)),
        Err(e) => Err(Refused::Failed(e)),
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // SAFETY: `name` is terminated and still ours.
        unsafe { c::msf_process_release(self.name.as_ptr()) };
    }
}

/// What a configuration says about the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct About<'a> {
    /// Its name.
    pub name: &'a str,
    /// Who wrote it.
    pub author: &'a str,
    /// What it is for.
    pub desc: &'a str,
    /// Its version.
    pub version: &'a str,
}

static PUBLISHED: AtomicBool = AtomicBool::new(false);

/// Fills in `g_proc`; `rows` is what its services will be entered in. EALREADY while somebody else has.
pub(crate) fn publish(about: About<'_>, rows: *mut c::svcinst) -> io::Result<()> {
    if PUBLISHED.swap(true, Ordering::AcqRel) {
        return Err(io::Error::from_raw_os_error(libc::EALREADY));
    }
    // SAFETY: an all-zero `process` is valid: numbers and null pointers.
    let mut filled: c::process = unsafe { std::mem::zeroed() };
    filled.proc_state = c::PROCESS_STATE_STARTING;
    filled.pid = std::process::id().cast_signed();
    copy(about.name, &mut filled.proc_name);
    copy(about.author, &mut filled.proc_author);
    copy(about.desc, &mut filled.proc_desc);
    copy(about.version, &mut filled.proc_version);
    filled.logfd = -1;
    filled.proc_svcs = rows;
    store(filled);
    Ok(())
}

/// Says in `g_proc` where the services are, and how many. First the number that is smaller, so that nobody who reads
/// meanwhile goes beyond a table.
pub(crate) fn set_services(rows: *mut c::svcinst, count: u32) {
    // SAFETY: a plain load of a pointer variable of libmsf; only we and C code at load time use it.
    let proc = unsafe { c::g_proc };
    if proc.is_null() {
        return;
    }
    // SAFETY: the header promises a struct process behind it, and PUBLISHED lets one writer in.
    let proc = unsafe { &mut *proc };
    if proc.proc_svcs == rows || count <= proc.proc_svc_num {
        proc.proc_svc_num = count;
        proc.proc_svcs = rows;
    } else {
        proc.proc_svcs = rows;
        proc.proc_svc_num = count;
    }
}

/// Empties `g_proc` again.
pub(crate) fn retract() {
    // SAFETY: an all-zero `process` is valid: numbers and null pointers.
    store(unsafe { std::mem::zeroed() });
    PUBLISHED.store(false, Ordering::Release);
}

fn store(filled: c::process) {
    // SAFETY: a plain load of a pointer variable of libmsf; only `publish` and C code at load time use it.
    let proc = unsafe { c::g_proc };
    if !proc.is_null() {
        // SAFETY: the header promises a struct process behind it, and PUBLISHED lets one writer in.
        unsafe { proc.write(filled) };
    }
}

/// Cuts at a character's border and leaves room for the NUL.
pub(crate) fn copy(text: &str, room: &mut [c_char]) {
    let mut end = text.len().min(room.len().saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    room.fill(0);
    for (to, from) in room.iter_mut().zip(text.bytes().take(end)) {
        *to = from as c_char;
    }
}

fn place(ask: unsafe extern "C" fn(*mut c_char, libc::size_t) -> i32) -> io::Result<PathBuf> {
    let mut room = vec![0u8; c::MSF_MAX_PATH_LEN];
    // SAFETY: `room` has as many bytes as we say.
    checked(unsafe { ask(room.as_mut_ptr().cast(), room.len()) })?;
    let path = CStr::from_bytes_until_nul(&room).map_err(|_| io::Error::from_raw_os_error(libc::ERANGE))?;
    Ok(PathBuf::from(OsStr::from_bytes(path.to_bytes())))
}
