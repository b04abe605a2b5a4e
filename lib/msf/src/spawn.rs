//! msf_process.h: starting programs by a plan, and waiting for them.

use crate::guard::{bytes, guard, guard_or};
use crate::header::{
    MSF_FD_NULL, MSF_SPAWN_DETACHED, MSF_SPAWN_IDS, MSF_SPAWN_OUR_GROUP, MSF_SPAWN_SESSION, msf_process_limit,
    msf_process_plan, process_desc,
};
use crate::sized::{Sized32, take};
use msf_core::process::{self, Exit, Identity, Plan, Resource, SpawnError, Stdio};
use nix::errno::Errno;
use std::env;
use std::ffi::{OsStr, OsString, c_char, c_int};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::Duration;

as_declared! {
    process_spwan msf_process_spawn msf_process_wait
}

// SAFETY: numbers and pointers, the first of them the size.
unsafe impl Sized32 for msf_process_plan {}

/// # Safety
/// `plan` is null or begins with its size, and what it points at is as its comments say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_process_spawn(plan: *const msf_process_plan) -> libc::pid_t {
    guard_or(-1, || {
        // SAFETY: the contract is our caller's.
        let given = unsafe { take(plan) }?;
        // SAFETY: as above.
        let plan = unsafe { plan_of(&given) }?;
        let detached = given.flags & MSF_SPAWN_DETACHED != 0;
        let pid = if detached { plan.spawn_detached() } else { plan.spawn().map(|child| child.pid()) };
        pid.map_err(|error| refused(&error))
    })
}

/// # Safety
/// `status_out` is null or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msf_process_wait(pid: libc::pid_t, timeout_ms: c_int, status_out: *mut c_int) -> c_int {
    guard(|| {
        let patience = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let status = status_of(process::wait(pid, patience).map_err(errno)?.ok_or(Errno::ETIMEDOUT)?);
        if !status_out.is_null() {
            // SAFETY: not null, and our caller says that it may be written.
            unsafe { status_out.write(status) };
        }
        Ok(())
    })
}

/// # Safety
/// `desc` is null or a description.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn process_spwan(desc: *mut process_desc) -> libc::pid_t {
    let mut failed = -1;
    let pid = guard_or(-1, || {
        // SAFETY: the contract is our caller's.
        let desc = unsafe { desc.as_mut() }.ok_or(Errno::EINVAL)?;
        let plan = plan_of_2019(within(&desc.proc_path)?, within(&desc.proc_conf)?)?;
        desc.proc_pid = plan.in_own_session().spawn_detached().map_err(|error| {
            failed = if error.is_creation() { NO_PROCESS } else { -1 };
            refused(&error)
        })?;
        Ok(desc.proc_pid)
    });
    if pid == -1 { failed } else { pid }
}

fn plan_of_2019(path: &OsStr, conf: &OsStr) -> Result<Plan, Errno> {
    if path.is_empty() {
        return Err(Errno::EINVAL);
    }
    let program = found(path)?;
    let mut words = vec![path];
    if !conf.is_empty() {
        words.extend([OsStr::new("-c"), conf]);
    }
    Plan::new(&program, words, ours()).map_err(errno)
}

/// The environment we have.
fn ours() -> Vec<(OsString, OsString)> {
    env::vars_os().collect()
}

/// # Safety
/// What the plan points at is as its comments say.
unsafe fn plan_of(given: &msf_process_plan) -> Result<Plan, Errno> {
    if given.flags & !ALL_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    // SAFETY: the contract is our caller's.
    let path = OsStr::from_bytes(unsafe { bytes(given.path) }?);
    // SAFETY: as above.
    let argv = unsafe { words(given.argv) }?.unwrap_or_else(|| vec![path]);
    // SAFETY: as above.
    let envp = match unsafe { words(given.envp) }? {
        None => ours(),
        Some(words) => words.into_iter().map(pair).collect::<Result<_, _>>()?,
    };
    if path.is_empty() || argv.is_empty() {
        return Err(Errno::EINVAL);
    }
    let mut plan = Plan::new(&found(path)?, argv, envp).map_err(errno)?.nicer(given.nice);
    if !given.folder.is_null() {
        // SAFETY: as above.
        plan = plan.in_folder(Path::new(OsStr::from_bytes(unsafe { bytes(given.folder) }?))).map_err(errno)?;
    }
    // SAFETY: as above.
    if let Some(identity) = unsafe { identity(given) }? {
        plan = plan.as_user(identity);
    }
    if given.flags & MSF_SPAWN_SESSION != 0 {
        plan = plan.in_own_session();
    } else if given.flags & MSF_SPAWN_OUR_GROUP != 0 {
        plan = plan.in_our_group();
    }
    // SAFETY: as above.
    unsafe { with_lists(plan, given) }
}

/// # Safety
/// As [`plan_of`].
unsafe fn with_lists(mut plan: Plan, given: &msf_process_plan) -> Result<Plan, Errno> {
    // SAFETY: the contract is our caller's.
    for handed in unsafe { list(given.fds, given.fd_count) }? {
        let stdio = || if handed.fd == MSF_FD_NULL { Ok(Stdio::Null) } else { copy(handed.fd).map(Stdio::Fd) };
        plan = match handed.number {
            0 => plan.input(stdio()?),
            1 => plan.output(stdio()?),
            2 => plan.error(stdio()?),
            number => plan.descriptor(copy(handed.fd)?, number).map_err(errno)?,
        };
    }
    // SAFETY: as above.
    for msf_process_limit { soft, hard, resource } in unsafe { list(given.limits, given.limit_count) }? {
        plan = plan.limit(resource_of(*resource)?, *soft, *hard);
    }
    // SAFETY: as above.
    Ok(plan.on_processors(unsafe { list(given.cpus, given.cpu_count) }?.iter().copied()))
}

/// # Safety
/// `user` is null or NUL-terminated.
unsafe fn identity(given: &msf_process_plan) -> Result<Option<Identity>, Errno> {
    if given.flags & MSF_SPAWN_IDS != 0 {
        return Ok(Some(Identity { uid: given.uid, gid: given.gid, groups: vec![given.gid] }));
    }
    if given.user.is_null() {
        return Ok(None);
    }
    // SAFETY: the contract is our caller's.
    let name = str::from_utf8(unsafe { bytes(given.user) }?).map_err(|_| Errno::EINVAL)?;
    Identity::of(name).map(Some).map_err(|error| error.errno())
}

/// A descriptor of the caller's stays his; the plan has its own.
fn copy(fd: c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: F_DUPFD_CLOEXEC takes numbers only, and refuses what is not open.
    let copied = Errno::result(unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel has just made it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(copied) })
}

fn resource_of(number: c_int) -> Result<Resource, Errno> {
    use Resource::*;
    let all = [
        RLIMIT_AS,
        RLIMIT_CORE,
        RLIMIT_CPU,
        RLIMIT_DATA,
        RLIMIT_FSIZE,
        RLIMIT_LOCKS,
        RLIMIT_MEMLOCK,
        RLIMIT_MSGQUEUE,
        RLIMIT_NICE,
        RLIMIT_NOFILE,
        RLIMIT_NPROC,
        RLIMIT_RSS,
        RLIMIT_RTPRIO,
        RLIMIT_RTTIME,
        RLIMIT_SIGPENDING,
        RLIMIT_STACK,
    ];
    all.into_iter().find(|resource| *resource as c_int == number).ok_or(Errno::EINVAL)
}

/// # Safety
/// `first` is null or the first of `count`.
unsafe fn list<'a, T>(first: *const T, count: u32) -> Result<&'a [T], Errno> {
    match (first.is_null(), count) {
        (_, 0) => Ok(&[]),
        (true, _) => Err(Errno::EINVAL),
        // SAFETY: not null; the rest is our caller's promise.
        (false, _) => Ok(unsafe { slice::from_raw_parts(first, count as usize) }),
    }
}

/// # Safety
/// `first` is null or the first of NUL-terminated strings, behind the last of which there is a null.
unsafe fn words<'a>(first: *const *mut c_char) -> Result<Option<Vec<&'a OsStr>>, Errno> {
    if first.is_null() {
        return Ok(None);
    }
    let mut words = Vec::new();
    loop {
        // SAFETY: no null was met before this one, so it is part of the list.
        let place = unsafe { first.add(words.len()) };
        // SAFETY: as above.
        let word = unsafe { place.read() };
        if word.is_null() {
            return Ok(Some(words));
        }
        // SAFETY: our caller's promise.
        words.push(OsStr::from_bytes(unsafe { bytes(word) }?));
    }
}

fn pair(word: &OsStr) -> Result<(OsString, OsString), Errno> {
    let at = word.as_bytes().iter().position(|byte| *byte == b'=').filter(|at| *at > 0).ok_or(Errno::EINVAL)?;
    let (key, value) = word.as_bytes().split_at(at);
    Ok((OsStr::from_bytes(key).to_owned(), OsStr::from_bytes(value.get(1..).unwrap_or_default()).to_owned()))
}

fn found(path: &OsStr) -> Result<PathBuf, Errno> {
    if path.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(path));
    }
    process::in_path(path).ok_or(Errno::ENOENT)
}

/// The string in an array, which need not be filled up.
fn within(array: &[c_char]) -> Result<&OsStr, Errno> {
    // SAFETY: a c_char is a byte, with or without a sign.
    let bytes = unsafe { slice::from_raw_parts(array.as_ptr().cast::<u8>(), array.len()) };
    let end = bytes.iter().position(|byte| *byte == 0).ok_or(Errno::EINVAL)?;
    Ok(OsStr::from_bytes(bytes.get(..end).unwrap_or_default()))
}

/// As waitpid tells it.
fn status_of(exit: Exit) -> c_int {
    match exit {
        Exit::Code(code) => (code & 0xff) << 8,
        Exit::Signal { number, core } => number | if core { 0x80 } else { 0 },
    }
}

fn refused(error: &SpawnError) -> Errno {
    Errno::from_raw(error.source().raw_os_error().unwrap_or(libc::EIO))
}

fn errno(error: io::Error) -> Errno {
    match error.kind() {
        // A NUL inside a word, a number that means something else.
        io::ErrorKind::InvalidInput if error.raw_os_error().is_none() => Errno::EINVAL,
        _ => Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)),
    }
}

const ALL_FLAGS: u32 = MSF_SPAWN_SESSION | MSF_SPAWN_OUR_GROUP | MSF_SPAWN_DETACHED | MSF_SPAWN_IDS;
/// What 2019 answers when fork fails.
const NO_PROCESS: libc::pid_t = 0;
