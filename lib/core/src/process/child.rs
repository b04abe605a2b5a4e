//! A process this one is the parent of: how it ended, and how to send it a signal.
//!
//! The pid is ours until it is collected, so signals by number cannot hit a stranger. Where the kernel has pidfds the
//! end is readable from a descriptor; where it has none, SIGCHLD is the hint to look, and [`wait`](Child::wait) looks
//! again and again. Dropping a [`Child`] leaves the
//! process running: whoever replaces us may find it again.

use super::spawn::open_pidfd;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

/// A running, or ended but not yet collected, child.
#[derive(Debug)]
pub struct Child {
    pid: libc::pid_t,
    pidfd: Option<OwnedFd>,
    collected: bool,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned this code.
    Code(i32),
    /// A signal ended it.
    Signal {
        /// The signal's number.
        number: i32,
        /// Whether a core was dumped.
        core: bool,
    },
}

impl Child {
    pub(super) fn new(pid: libc::pid_t, pidfd: Option<OwnedFd>) -> Child {
        Child { pid, pidfd, collected: false }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// A descriptor that becomes readable when the process ends; `None` where the kernel has no pidfds.
    pub fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// How it ended, if it has, and releases the pid. What it left behind in its process group is killed first, while
    /// the unreleased pid still keeps the group's number from belonging to anybody else.
    pub fn collect(&mut self) -> io::Result<Option<Exit>> {
        let Some(exit) = self.leave()? else { return Ok(None) };
        reap(self.pid)?;
        Ok(Some(exit))
    }

    /// As [`Child::collect`], but the pid is not released: that is the caller's, by [`reap`], on whichever thread he likes.
    /// The kernel may take its time for it.
    pub fn leave(&mut self) -> io::Result<Option<Exit>> {
        if self.collected {
            return Ok(None);
        }
        let ended = ended_of(libc::P_PID, self.pid, libc::WNOWAIT)?;
        self.collected = ended.is_some();
        if self.collected {
            // Refused when it is a set-user-ID program's group: no reason to leave the dead uncollected.
            let _ = send(-self.pid, libc::SIGKILL);
        }
        Ok(ended.map(|(_, exit)| exit))
    }

    /// How it ended, as soon as it has: [`Child::collect`], waiting for at most `patience` (for ever without one).
    /// `None` when it goes on, or was collected before.
    pub fn wait(&mut self, patience: Option<Duration>) -> io::Result<Option<Exit>> {
        if self.collected {
            return Ok(None);
        }
        await_end(self.pid, self.pidfd(), patience)?;
        self.collect()
    }

    /// Sends `signal` to the process; nothing happens when it was collected already.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        if self.collected { Ok(()) } else { send(self.pid, signal) }
    }

    /// Ends it, and every process of its group that is left. It may have left that group itself.
    pub fn kill(&self) -> io::Result<()> {
        if self.collected {
            return Ok(());
        }
        send(self.pid, libc::SIGKILL).and(send(-self.pid, libc::SIGKILL))
    }
}

/// The pid of some child that has ended and is not collected yet, or of an orphan that became ours. It stays
/// uncollected, so the caller may decide whose it is.
pub fn ended() -> io::Result<Option<i32>> {
    match ended_of(libc::P_ALL, 0, libc::WNOWAIT) {
        Err(e) if e.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        other => Ok(other?.map(|(pid, _)| pid)),
    }
}

/// How the child `pid` of ours ended, as soon as it has: waits for at most `patience` (for ever without one), and releases
/// the pid. `None` when it goes on. What it has left in its process group goes on as well.
///
/// # Errors
/// ECHILD when it is no child of ours, or was collected.
pub fn wait(pid: i32, patience: Option<Duration>) -> io::Result<Option<Exit>> {
    // 0 and below mean groups of processes to the kernel.
    if pid <= 0 || patience == Some(Duration::ZERO) {
        return if pid <= 0 { Err(io::Error::from_raw_os_error(libc::ECHILD)) } else { reap(pid) };
    }
    // Asked for first: the descriptor of a stranger would be waited for.
    if let Some(exit) = reap(pid)? {
        return Ok(Some(exit));
    }
    let pidfd = open_pidfd(pid);
    await_end(pid, pidfd.as_ref().map(AsFd::as_fd), patience)?;
    reap(pid)
}

/// Sleeps until the child has ended, or patience has.
fn await_end(pid: libc::pid_t, pidfd: Option<BorrowedFd<'_>>, patience: Option<Duration>) -> io::Result<()> {
    let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
    let mut nap = Duration::from_millis(1);
    while ended_of(libc::P_PID, pid, libc::WNOWAIT)?.is_none() {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            break;
        }
        match pidfd {
            Some(fd) => sleep_on(fd, left)?,
            None => {
                thread::sleep(left.unwrap_or(nap).min(nap));
                nap = (nap * 2).min(LONGEST_NAP);
            }
        }
    }
    Ok(())
}

fn sleep_on(fd: BorrowedFd<'_>, left: Option<Duration>) -> io::Result<()> {
    // Rounded up: ending a little early would mean asking again and again for the last millisecond.
    let timeout =
        left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX));
    match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Collects an ended child that no [`Child`] stands for.
pub fn reap(pid: i32) -> io::Result<Option<Exit>> {
    Ok(ended_of(libc::P_PID, pid, 0)?.map(|(_, exit)| exit))
}

pub(super) fn ended_of(kind: libc::idtype_t, pid: libc::pid_t, flags: i32) -> io::Result<Option<(i32, Exit)>> {
    // SAFETY: a siginfo_t is numbers and a union of numbers and pointers, for which all bits zero is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | flags;
    // A pid is positive, and P_ALL does not look at it.
    // SAFETY: `info` is ours, writable and of the type the call fills.
    let failed = unsafe { libc::waitid(kind, pid.unsigned_abs(), &mut info, flags) };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: waitid fills the SIGCHLD members, or leaves the zeroes when nobody has ended.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    Ok((pid != 0).then_some(match info.si_code {
        libc::CLD_EXITED => (pid, Exit::Code(status)),
        code => (pid, Exit::Signal { number: status, core: code == libc::CLD_DUMPED }),
    }))
}

/// ESRCH is no failure: whom the signal was for has ended, which the caller learns by waiting.
fn send(pid: libc::pid_t, signal: i32) -> io::Result<()> {
    // SAFETY: kill takes two numbers and touches no memory of ours.
    if unsafe { libc::kill(pid, signal) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        e if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        e => Err(e),
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal { number, core } => {
                match Signal::try_from(number) {
                    Ok(signal) => f.write_str(signal.as_str())?,
                    Err(_) => write!(f, "signal {number}")?,
                }
                f.write_str(if core { " (core dumped)" } else { "" })
            }
        }
    }
}

/// Where the kernel has no pidfds: how long an end may go unnoticed.
const LONGEST_NAP: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_is_told_in_words() {
        assert_eq!(Exit::Code(3).to_string(), "exit code 3");
        assert_eq!(Exit::Signal { number: libc::SIGKILL, core: false }.to_string(), "SIGKILL");
        assert_eq!(Exit::Signal { number: libc::SIGSEGV, core: true }.to_string(), "SIGSEGV (core dumped)");
        assert_eq!(Exit::Signal { number: 40, core: false }.to_string(), "signal 40");
    }
}
