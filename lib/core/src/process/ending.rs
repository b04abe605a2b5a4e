//! The end of a child that somebody else has started: told through a descriptor, and collected there.
//!
//! The descriptor is a pidfd; on a kernel without them it counts SIGCHLD. Only this one child is ever waited for, so the
//! program's other children, and its own calls of wait, are left alone.

use super::child;
use super::spawn::open_pidfd;
use crate::sys::Catch;
use nix::errno::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// A child of this process, watched until it ends.
///
/// ```
/// use msf_core::process::{Ended, Ending};
///
/// let child = std::process::Command::new("false").spawn()?;
/// let ending = Ending::of(child.id() as i32)?;
/// // With a reactor: watch `ending` for reading, and take when it is ready.
/// let ended = loop {
///     if let Some(ended) = ending.take()? {
///         break ended;
///     }
///     std::thread::yield_now();
/// };
/// assert!(matches!(ended, Ended::With(status) if status.code() == Some(1)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Ending {
    pid: libc::pid_t,
    sign: Sign,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With this status; its pid is free for others now.
    With(ExitStatus),
    /// Somebody else has collected it, or the program ignores SIGCHLD.
    Unknown,
}

#[derive(Debug)]
enum Sign {
    Pidfd(OwnedFd),
    Signal(Catch),
}

impl Ending {
    /// Watches the child `pid`, which may have ended already. EINVAL for what is no pid, ECHILD when it is no child of
    /// this process.
    pub fn of(pid: i32) -> io::Result<Ending> {
        check(pid)?;
        match open_pidfd(pid) {
            Some(pidfd) => Ok(Ending { pid, sign: Sign::Pidfd(pidfd) }),
            None => Self::by_signal(pid),
        }
    }

    fn by_signal(pid: i32) -> io::Result<Ending> {
        let catch = Catch::new(libc::SIGCHLD)?;
        // It may have ended before we listened.
        catch.pretend();
        Ok(Ending { pid, sign: Sign::Signal(catch) })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// How it ended, once: the child is collected. `None` while it runs.
    pub fn take(&self) -> io::Result<Option<Ended>> {
        if let Sign::Signal(catch) = &self.sign {
            catch.take();
        }
        let mut status = 0;
        // SAFETY: the status is a local int, and the rest are numbers.
        match unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG) } {
            0 => Ok(None),
            pid if pid > 0 => Ok(Some(Ended::With(ExitStatus::from_raw(status)))),
            _ if Errno::last() == Errno::ECHILD => Ok(Some(Ended::Unknown)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn check(pid: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(Errno::EINVAL.into());
    }
    child::ended_of(libc::P_PID, pid, libc::WNOWAIT).map(drop)
}

impl AsFd for Ending {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.sign {
            Sign::Pidfd(pidfd) => pidfd.as_fd(),
            Sign::Signal(catch) => catch.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::process::{Command, Stdio};

    fn awaited(ending: &Ending) -> Ended {
        loop {
            let mut fds = [PollFd::new(ending.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(10_000u16));
            // The signal that tells of it may interrupt the wait.
            assert!(ready != Ok(0), "the end was not told");
            if let Some(ended) = ending.take().unwrap() {
                return ended;
            }
        }
    }

    #[test]
    #[allow(clippy::zombie_processes, reason = "collected by what is tested")]
    fn end_is_told_with_and_without_pidfds_early_and_late() {
        for (by_signal, late) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
            let pid = child.id() as i32;
            if late {
                drop(child.stdin.take());
                // Until it is a zombie.
                while child::ended_of(libc::P_PID, pid, libc::WNOWAIT).unwrap().is_none() {
                    std::thread::yield_now();
                }
            }
            let ending = if by_signal { Ending::by_signal(pid) } else { Ending::of(pid) }.unwrap();
            if !late {
                assert_eq!(ending.take().unwrap(), None);
            }
            drop(child.stdin.take());
            assert_eq!(awaited(&ending), Ended::With(ExitStatus::from_raw(0)), "{by_signal} {late}");
        }
    }

    #[test]
    fn stranger_and_nonsense_are_refused_and_a_child_that_others_collected_is_said_to_be_so() {
        assert_eq!(Ending::of(1).unwrap_err().raw_os_error(), Some(libc::ECHILD));
        assert_eq!(Ending::of(0).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        assert_eq!(Ending::of(-1).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        let mut child = Command::new("true").spawn().unwrap();
        let ending = Ending::of(child.id() as i32).unwrap();
        child.wait().unwrap();
        assert_eq!(awaited(&ending), Ended::Unknown);
    }
}
