//! Into the background: two forks, a session of its own, and a parent that waits until the service says it is there.
//!
//! The parent ends with 0 only after [`Ready::tell`]; if the background process ends before that, the parent ends
//! with 1, so a script or an init system knows what became of it.

use crate::error::Error;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, pipe2, read, setsid, write};
use std::env;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

/// The background process's word to the parent that waits for it. Dropped untold, it means failure.
#[derive(Debug)]
#[must_use = "the parent waits until the service tells that it is ready, and reports failure if it never does"]
pub struct Ready {
    parent: OwnedFd,
}

impl Ready {
    /// Lets the parent end with exit status 0.
    pub fn tell(self) -> Result<(), Error> {
        loop {
            match write(&self.parent, b"\n") {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::System { doing: "tell the parent of the daemon", source: errno }),
            }
        }
    }
}

/// Goes on in a background process; the calling process waits there and never returns from this call.
///
/// The background process has no terminal, umask 022, `/` as its folder (unless `keep_folder`) and `/dev/null` as
/// stdin, stdout and stderr (unless `keep_files`). Call it before starting threads: only the calling one goes on.
pub fn daemonize(keep_folder: bool, keep_files: bool) -> Result<Ready, Error> {
    let (child_tells, parent) = pipe2(OFlag::O_CLOEXEC).map_err(Error::system("make a pipe for the daemon"))?;
    match fork_now()? {
        ForkResult::Parent { .. } => {
            drop(parent);
            exit(wait_for_word(&child_tells))
        }
        ForkResult::Child => drop(child_tells),
    }
    let parent = above_error(parent)?;
    setsid().map_err(Error::system("begin a session"))?;
    // No longer the session's leader, the second child can never get a terminal by opening one.
    if let ForkResult::Parent { .. } = fork_now()? {
        exit(0);
    }
    umask(Mode::from_bits_truncate(0o022));
    if !keep_folder {
        env::set_current_dir("/").map_err(|error| Error::file("change to", "/", error))?;
    }
    if !keep_files {
        detach_files()?;
    }
    Ok(Ready { parent })
}

/// The pipe, at a number above stderr's: where one of the three was closed, it would be lost to /dev/null, or be what the
/// program takes for its output.
fn above_error(pipe: OwnedFd) -> Result<OwnedFd, Error> {
    let copy = fcntl(&pipe, FcntlArg::F_DUPFD_CLOEXEC(3)).map_err(Error::system("move the pipe of the daemon"))?;
    // SAFETY: the kernel has just made it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

fn detach_files() -> Result<(), Error> {
    let null =
        open("/dev/null", OFlag::O_RDWR, Mode::empty()).map_err(|errno| Error::file("open", "/dev/null", errno))?;
    dup2_stdin(&null).map_err(Error::system("put /dev/null over stdin"))?;
    dup2_stdout(&null).map_err(Error::system("put /dev/null over stdout"))?;
    dup2_stderr(&null).map_err(Error::system("put /dev/null over stderr"))?;
    if null.as_raw_fd() <= 2 {
        // One of the three was closed, and /dev/null was opened right there.
        let _ = null.into_raw_fd();
    }
    Ok(())
}

/// The exit status of the waiting parent: 0 after the word, 1 when the pipe ends without one.
fn wait_for_word(pipe: &OwnedFd) -> i32 {
    let mut word = [0];
    loop {
        match read(pipe, &mut word) {
            Ok(1) => return 0,
            Err(Errno::EINTR) => {}
            _ => return 1,
        }
    }
}

fn fork_now() -> Result<ForkResult, Error> {
    // SAFETY: the contract of `daemonize` is that no other thread runs yet, so the child may do whatever it likes.
    unsafe { fork() }.map_err(Error::system("fork"))
}

/// Without the destructors and exit handlers: they belong to the process that goes on.
fn exit(status: i32) -> ! {
    // SAFETY: _exit only ends the process.
    unsafe { libc::_exit(status) }
}
