//! `-d`: two processes. The one that was called waits and tells how the start ended; the one that detaches is a second
//! copy of this program, with a pipe to the first for its standard input.
//!
//! libmsf's `daemonize` lets the caller go as soon as the background process exists, which is long before its services
//! are started; and a fork of our own would need unsafe code. Hence the second copy. It knows itself by its first
//! word, which no environment hands on to anybody else.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// How the start ended, as the process that was called sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// Every service is started.
    Ready,
    /// It has failed, and said so; the exit status.
    Failed(u8),
    /// The background process is gone without a word.
    Vanished,
}

/// Whether this process is the second copy.
pub fn is_second() -> bool {
    env::args_os().next().is_some_and(|word| word == SECOND)
}

/// Starts the second copy and waits until its services are started, or are known not to be.
pub fn start() -> io::Result<Start> {
    let (mut news, pipe) = io::pipe()?;
    let mut second = Command::new(env::current_exe()?);
    second.arg0(SECOND).args(env::args_os().skip(1)).stdin(Stdio::from(OwnedFd::from(pipe)));
    let mut child = second.spawn()?;
    // It holds the pipe's other end for as long as it lives.
    drop(second);
    let mut word = [0];
    let word = match news.read_exact(&mut word) {
        Ok(()) => Some(word[0]),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => None,
        Err(e) => return Err(e),
    };
    // It ends when it has detached, if not before.
    let status = child.wait()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(match (word, status) {
        (Some(READY), _) => Start::Ready,
        (_, Some(status)) if status != 0 => Start::Failed(status),
        (Some(_), _) => Start::Failed(crate::FAILED),
        (None, _) => Start::Vanished,
    })
}

/// The second copy's end of the pipe.
pub struct Caller(Option<File>);

impl Caller {
    /// Takes it off the standard input, which leads nowhere from then on.
    pub fn from_input() -> io::Result<Caller> {
        let pipe = OwnedFd::from(File::options().write(true).open("/proc/self/fd/0")?);
        nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
        Ok(Caller(Some(File::from(pipe))))
    }

    /// Nobody, for a shell that stays in the foreground.
    pub fn nobody() -> Caller {
        Caller(None)
    }

    /// Whether somebody waits, and this process is to be a daemon.
    pub fn waits(&self) -> bool {
        self.0.is_some()
    }

    /// Every service is started. Who called may be gone by now, and nobody minds.
    pub fn ready(&mut self) {
        self.tell(READY);
    }

    fn tell(&mut self, word: u8) {
        if let Some(mut pipe) = self.0.take() {
            let _ = pipe.write_all(&[word]);
        }
    }
}

impl Drop for Caller {
    /// Told, because a child that some service has forked may hold the pipe's end for ever.
    fn drop(&mut self) {
        self.tell(FAILED);
    }
}

/// The first word of the second copy.
const SECOND: &str = "msf_shell (detaching)";
const READY: u8 = b'\n';
const FAILED: u8 = b'!';
