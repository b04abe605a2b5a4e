//! Starting a program as its plan says.
//!
//! std's `Command` forks, copying the page tables, as soon as more than the plainest things are asked of it. Here the
//! child borrows our memory (`CLONE_VM | CLONE_VFORK`) until it has become the new program; between the two it makes
//! system calls and nothing else: no allocation, no lock, no libc function that keeps state, for all of them would be
//! ours. Its failure is a number it leaves in that memory. Where that cannot be (an emulator turns vfork into fork, an
//! old one knows no `CLONE_PIDFD`), it is a fork, and the number comes through a pipe that exec closes.
//!
//! Who is to be another user, or to have other capabilities, is forked, too: the kernel takes the right to dump core away
//! from the memory in which a user changes, and that would be ours. So is who is to be nobody's child.
//!
//! The program starts with default signal dispositions, nothing blocked, `/dev/null` for input, our output and error,
//! no other descriptor, and a process group of its own: a Ctrl-C meant for us does not reach it past our order of
//! stopping. The plan may say otherwise.

use super::child::Child;
use super::image::{Image, become_program, call, say_hello};
use super::plan::{Plan, pointers};
use super::report::{Report, What};
use libc::{c_int, c_long, c_void};
use std::fmt;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

/// A program that could not be started.
#[derive(Debug)]
pub struct SpawnError {
    what: What,
    source: io::Error,
}

impl Plan {
    /// Runs it. When this returns a child, exec has succeeded.
    pub fn spawn(&self) -> Result<Child, SpawnError> {
        let other_rights = self.identity.is_some() || self.capabilities.is_some();
        self.spawn_by(if other_rights { Way::Fork } else { way() })
    }

    /// Runs it as nobody's child: who waits for orphans (usually process 1) will collect it, nobody else has to.
    /// Its number; exec has succeeded.
    pub fn spawn_detached(&self) -> Result<i32, SpawnError> {
        let (argv, envp, handed) = (pointers(&self.argv), self.environment(), self.handed());
        let (between, report) = fork(Image { detached: true, ..self.image(&argv, &envp, &handed) })?;
        bury(between);
        match report {
            Report { failure: Some(failure), .. } => Err(failed(failure)),
            Report { pid: Some(pid), .. } => Ok(pid),
            // It was killed before it had made the other one.
            Report { .. } => Err(create(io::Error::from_raw_os_error(libc::EINTR))),
        }
    }

    fn spawn_by(&self, way: Way) -> Result<Child, SpawnError> {
        let (argv, envp, handed) = (pointers(&self.argv), self.environment(), self.handed());
        let image = self.image(&argv, &envp, &handed);
        match way {
            Way::Borrow => borrow(&image),
            Way::Fork => {
                let (pid, report) = fork(image)?;
                settled(pid, None, report.failure)
            }
        }
    }
}

/// How children are made on this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Borrow,
    Fork,
}

/// Found out once, with a child that only says that its memory is ours.
fn way() -> Way {
    static WAY: OnceLock<Way> = OnceLock::new();
    if let Some(way) = WAY.get() {
        return *way;
    }
    let mark = AtomicI32::new(0);
    let way = match clone_borrowing(say_hello, ptr::from_ref(&mark).cast_mut().cast()) {
        Ok((pid, _pidfd)) => {
            bury(pid);
            if mark.load(Ordering::Acquire) == 1 { Way::Borrow } else { Way::Fork }
        }
        // No room for a process or a descriptor just now says nothing about the kernel: asked again the next time.
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE)) => {
            return Way::Fork;
        }
        Err(_) => Way::Fork,
    };
    *WAY.get_or_init(|| way)
}

fn borrow(image: &Image<'_>) -> Result<Child, SpawnError> {
    let (pid, pidfd) = clone_borrowing(become_program, ptr::from_ref(image).cast_mut().cast()).map_err(create)?;
    settled(pid, pidfd, image.failure())
}

/// A child, or the reason why there is none.
fn settled(pid: libc::pid_t, pidfd: Option<OwnedFd>, failure: Option<(What, c_int)>) -> Result<Child, SpawnError> {
    match failure {
        None => Ok(Child::new(pid, pidfd.or_else(|| open_pidfd(pid)))),
        Some(failure) => {
            bury(pid);
            Err(failed(failure))
        }
    }
}

/// The child, and what it has said by the time it has become the program or has ended.
fn fork(image: Image<'_>) -> Result<(libc::pid_t, Report), SpawnError> {
    let (mut read, write) = io::pipe().map_err(create)?;
    image.report_to.store(write.as_raw_fd(), Ordering::Relaxed);
    let mask = block_signals();
    // SAFETY: the child calls `become_program` only, which keeps to system calls.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        become_program(ptr::from_ref(&image).cast_mut().cast());
    }
    let forked = if pid < 0 { Err(create(io::Error::last_os_error())) } else { Ok(pid) };
    restore_signals(&mask);
    let pid = forked?;
    drop(write);
    let mut report = Vec::new();
    // Ends when exec or exit closes the last end the child, and its own, have.
    read.read_to_end(&mut report).map_err(create)?;
    Ok((pid, Report::read(&report)))
}

/// Waits for a child that is exiting and that nobody else knows of.
fn bury(pid: libc::pid_t) {
    loop {
        // SAFETY: waitpid may be given a null status.
        let buried = unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
        if buried >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}

/// Runs `entry` in a child that shares our memory, and sleeps until it has called exec or exit. Signals are blocked
/// meanwhile: their handlers would run in the child, on our data.
fn clone_borrowing(
    entry: extern "C" fn(*mut c_void) -> c_int,
    arg: *mut c_void,
) -> io::Result<(c_int, Option<OwnedFd>)> {
    let mut stack = vec![0u128; STACK_LEN];
    let top = stack.as_mut_ptr_range().end.cast::<c_void>();
    // Kernels without CLONE_PIDFD ignore the flag and leave this alone.
    let mut pidfd: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let mask = block_signals();
    // SAFETY: `top` ends a stack that, like `arg`, lives until the call returns, and with CLONE_VFORK it returns when
    // the child no longer uses them; CLONE_PIDFD writes one int to the last argument.
    let pid = unsafe { libc::clone(entry, top, flags, arg, &raw mut pidfd) };
    let error = io::Error::last_os_error();
    restore_signals(&mask);
    if pid < 0 {
        return Err(error);
    }
    // SAFETY: a descriptor the kernel has just made for us, close-on-exec, that nobody else knows of.
    let pidfd = (pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(pidfd) });
    Ok((pid, pidfd))
}

pub(super) fn open_pidfd(pid: libc::pid_t) -> Option<OwnedFd> {
    // SAFETY: pidfd_open takes numbers only.
    let fd = unsafe { call(libc::SYS_pidfd_open, [c_long::from(pid), 0, 0, 0]) }.ok()?;
    // SAFETY: a descriptor the kernel has just made for us, close-on-exec, that nobody else knows of.
    Some(unsafe { OwnedFd::from_raw_fd(c_int::try_from(fd).ok()?) })
}

fn block_signals() -> libc::sigset_t {
    // SAFETY: a sigset_t is an array of numbers, for which all bits zero is a value.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    let mut before = all;
    // SAFETY: `all` is ours and writable.
    unsafe { libc::sigfillset(&mut all) };
    // SAFETY: both sets are ours; the call reads one and writes the other.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) };
    before
}

fn restore_signals(mask: &libc::sigset_t) {
    // SAFETY: `mask` came from `block_signals`; a null for the old set is allowed.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, mask, ptr::null_mut()) };
}

fn failed((what, errno): (What, c_int)) -> SpawnError {
    SpawnError { what, source: io::Error::from_raw_os_error(errno) }
}

fn create(source: io::Error) -> SpawnError {
    SpawnError { what: What::Create, source }
}

impl SpawnError {
    /// Whether there was no process to begin with, as opposed to one that could not become the program.
    pub fn is_creation(&self) -> bool {
        self.what == What::Create
    }

    /// The reason the kernel gave.
    pub fn source(&self) -> &io::Error {
        &self.source
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::Create => "cannot create a process",
            What::Folder => "cannot enter the working directory",
            What::Execute => "cannot execute",
            What::Descriptor => "cannot hand over a descriptor",
            What::Limit => "cannot set a limit",
            What::Nice => "cannot set the niceness",
            What::Processors => "cannot choose the processors",
            What::Identity => "cannot change the user",
            What::Class => "cannot choose the scheduling class",
            What::Cgroup => "cannot enter the control group",
            What::Capabilities => "cannot set the capabilities",
            What::Session => "cannot begin a session or a process group",
        };
        write!(f, "{what}: {}", self.source)
    }
}

impl std::error::Error for SpawnError {}

/// In 16-byte units, which is also the alignment a stack needs: 32 KiB.
const STACK_LEN: usize = 2048;

#[cfg(test)]
mod tests;
