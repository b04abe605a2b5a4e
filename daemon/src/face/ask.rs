//! The other side of the control socket: a command line that asks the running daemon and prints its answer.

use super::control::{Request, SOCKET};
use msf_core::process::holder;
use msf_core::sys::place::run_dirs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug)]
pub enum AskError {
    /// Nobody listens in any of these places.
    NobodyThere(Vec<PathBuf>),
    /// A daemon holds the name but does not listen.
    Deaf(i32),
    /// The daemon was reached, and then something failed.
    Broken(io::Error),
    /// The daemon says no, and why.
    Refused(String),
}

/// Asks, waits for the answer, and for `shutdown` until the daemon has ended.
pub fn ask(request: Request) -> Result<String, AskError> {
    let mut stream = connect()?;
    stream.write_all(format!("{}\n", request.line()).as_bytes()).map_err(AskError::Broken)?;
    // Stopping takes as long as the processes are given; anything else is answered at once.
    let patience = (request != Request::Shutdown).then_some(PATIENCE);
    stream.set_read_timeout(patience).map_err(AskError::Broken)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|e| match e.kind() {
        ErrorKind::WouldBlock => AskError::Broken(io::Error::other(format!("nothing was heard for {PATIENCE:?}"))),
        _ => AskError::Broken(e),
    })?;
    match answer.split_once('\n') {
        Some(("ok", text)) => Ok(text.to_owned()),
        Some(("failed", text)) => Err(AskError::Refused(text.trim_end().to_owned())),
        _ => Err(AskError::Broken(ErrorKind::UnexpectedEof.into())),
    }
}

/// Ends the daemon at once, without its processes: they go on.
pub fn kill_at_once() -> Result<String, AskError> {
    let pid = holder(NAME).filter(|pid| *pid > 0).ok_or_else(|| AskError::NobodyThere(run_dirs()))?;
    kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(|errno| AskError::Broken(errno.into()))?;
    Ok(format!("killed pid {pid}; its processes go on\n"))
}

fn connect() -> Result<UnixStream, AskError> {
    let places = run_dirs();
    let mut denied = None;
    for place in &places {
        match UnixStream::connect(place.join(SOCKET)) {
            Ok(stream) => return Ok(stream),
            Err(e) if e.kind() == ErrorKind::NotFound || e.kind() == ErrorKind::ConnectionRefused => {}
            // Somebody else's daemon; ours may be in the next place.
            Err(e) if e.kind() == ErrorKind::PermissionDenied => denied = Some(e),
            Err(e) => return Err(AskError::Broken(e)),
        }
    }
    match (holder(NAME), denied) {
        (Some(_), Some(e)) => Err(AskError::Broken(e)),
        (Some(pid), None) => Err(AskError::Deaf(pid)),
        (None, _) => Err(AskError::NobodyThere(places)),
    }
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::NobodyThere(places) => {
                let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
                write!(f, "no msf_daemon is running (looked in {})", places.join(", "))
            }
            AskError::Deaf(pid) => {
                write!(f, "msf_daemon (pid {pid}) is running but its control socket does not answer")
            }
            AskError::Broken(e) => write!(f, "msf_daemon did not answer: {e}"),
            AskError::Refused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for AskError {}

/// The daemon's name, as it is claimed.
pub const NAME: &str = "msf_daemon";
const PATIENCE: Duration = Duration::from_secs(10);
