//! What ties the process of an isolated service to its shell: it ends when that does, and what it has forked with it.
//!
//! Until the service is loaded the kernel ends it (`PR_SET_PDEATHSIG`). From then on it is told instead, by SIGHUP, which the
//! kernel sends in the shell's name, because SIGKILL would leave behind what the service has forked. The socket's hang-up
//! says the same, should somebody in here take the signal; and the signal does, should somebody the shell has forked hold
//! the socket.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, getppid};
use std::io;
use std::os::fd::AsFd;

/// The end of the shell, awaited. Belongs to the process's first thread, which the kernel's promise is made to.
pub struct Bond {
    shell: Pid,
    hang_ups: SignalFd,
}

impl Bond {
    /// Has the kernel end this process with its shell.
    pub fn tie() -> nix::Result<()> {
        // The shell's thread that has started us lives as long as it wants us.
        set_pdeathsig(Signal::SIGKILL)
    }

    /// Has it tell us instead. SIGHUP is blocked in all threads.
    pub fn loosen() -> nix::Result<Bond> {
        let hang_ups =
            SignalFd::with_flags(&SigSet::from(Signal::SIGHUP), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let bond = Bond { shell: getppid(), hang_ups };
        set_pdeathsig(Signal::SIGHUP)?;
        Ok(bond)
    }

    /// Waits until the shell says something; if it has ended, so do we.
    pub fn hold(&self, shell: &impl AsFd) -> io::Result<()> {
        loop {
            let mut watched =
                [PollFd::new(shell.as_fd(), PollFlags::POLLIN), PollFd::new(self.hang_ups.as_fd(), PollFlags::POLLIN)];
            match poll(&mut watched, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
            let [said, signalled] = watched.map(|one| one.any().unwrap_or(false));
            if signalled && self.has_come()? {
                end_with_the_shell();
            }
            if said {
                return Ok(());
            }
        }
    }

    /// Anybody may send a SIGHUP; only the one in the shell's name means its end, since the shell sends none while it lives.
    fn has_come(&self) -> nix::Result<bool> {
        while let Some(signal) = self.hang_ups.read_signal()? {
            if i64::from(signal.ssi_pid) == i64::from(self.shell.as_raw()) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The shell is gone, or has had enough: nobody is there to be asked how long an orderly end may take. This process leads
/// a group, in which is what it has forked.
pub fn end_with_the_shell() -> ! {
    loop {
        let _ = killpg(Pid::this(), Signal::SIGKILL);
        // It has left the group.
        let _ = kill(Pid::this(), Signal::SIGKILL);
    }
}
