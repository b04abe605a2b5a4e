//! The other side of the control socket: a command line that asks the running daemon and prints its answer.

use super::control::SOCKET;
use super::conversation::Verdict;
use super::request::{Request, Verb};
use msf_core::process::holder;
use msf_core::sys::place::run_dirs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
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
    /// The daemon does not do it, and why.
    Refused(Verdict, String),
    /// The daemon has not done it, and what it says of that has been handed on.
    Answered(Verdict),
    /// What was to go on and on has ended.
    Ended,
}

/// Asks, and hands on to `to` what is answered, as it comes. Returns when all of it is there, for `shutdown` when the
/// daemon has ended.
pub fn ask(request: &Request, to: &mut dyn Write) -> Result<(), AskError> {
    let mut stream = connect()?;
    // What takes time takes the time it was given, and without one for ever; anything else is answered at once.
    let patience = match request.takes_time() {
        true => request.timeout.map(|timeout| timeout + PATIENCE),
        false => Some(PATIENCE),
    };
    stream.set_read_timeout(patience).map_err(AskError::Broken)?;
    stream.write_all(format!("{}\n", request.line()).as_bytes()).map_err(AskError::Broken)?;
    let mut answer = BufReader::new(stream);
    let mut verdict = String::new();
    answer.read_line(&mut verdict).map_err(|e| unheard(e, patience))?;
    match Verdict::from_word(verdict.trim_end()) {
        Some(Verdict::Done) => hand_on(&mut answer, to).map_err(|e| unheard(e, patience))?,
        Some(verdict) => {
            let mut why = Vec::new();
            io::copy(&mut answer, &mut why).map_err(|e| unheard(e, patience))?;
            // For a program it is an answer like any other.
            if request.json && why.starts_with(b"{") {
                let _ = to.write_all(&why);
                return Err(AskError::Answered(verdict));
            }
            return Err(AskError::Refused(verdict, String::from_utf8_lossy(&why).trim_end().to_owned()));
        }
        None => return Err(AskError::Broken(ErrorKind::UnexpectedEof.into())),
    }
    match request.verb {
        Verb::Tail | Verb::Events if request.follow => Err(AskError::Ended),
        _ => Ok(()),
    }
}

/// As it comes: whoever follows wants each line now. Somebody who closed our output does not want to know.
fn hand_on(answer: &mut BufReader<UnixStream>, to: &mut dyn Write) -> io::Result<()> {
    loop {
        let piece = match answer.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(piece) => piece,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if to.write_all(piece).and_then(|()| to.flush()).is_err() {
            std::process::exit(0);
        }
        let length = piece.len();
        answer.consume(length);
    }
}

fn unheard(e: io::Error, patience: Option<Duration>) -> AskError {
    match (e.kind(), patience) {
        (ErrorKind::WouldBlock, Some(patience)) => {
            AskError::Broken(io::Error::other(format!("nothing was heard for {patience:?}")))
        }
        _ => AskError::Broken(e),
    }
}

impl AskError {
    /// The exit status that tells it.
    pub fn code(&self) -> u8 {
        match self {
            AskError::NobodyThere(_) => NOBODY_THERE,
            AskError::Refused(verdict, _) | AskError::Answered(verdict) => verdict.code(),
            AskError::Deaf(_) | AskError::Broken(_) | AskError::Ended => Verdict::Failed.code(),
        }
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
            AskError::Refused(_, why) => f.write_str(why),
            AskError::Answered(_) => f.write_str("it has not been done"),
            AskError::Ended => f.write_str("no more comes: the daemon has ended, or this was read too slowly"),
        }
    }
}

impl std::error::Error for AskError {}

/// The daemon's name, as it is claimed.
pub const NAME: &str = "msf_daemon";
const PATIENCE: Duration = Duration::from_secs(10);
/// The exit status when no daemon runs.
const NOBODY_THERE: u8 = 5;
