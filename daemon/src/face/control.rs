//! The control socket: `msf_daemon.sock` in the run directory, one request per connection.
//!
//! A request is one line; the answer is `ok` or `failed` on a line of its own, then text for whoever asked, then the
//! end. The answer to `shutdown` ends when the daemon does, so whoever asked knows that nothing is left. Only our own
//! user and root are heard.

use msf_core::event::{Interest, Reactor, Token};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use std::fmt;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The socket's name in the run directory.
pub const SOCKET: &str = "msf_daemon.sock";

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The table of processes, or the document.
    Status {
        /// Whether the document is wanted.
        json: bool,
    },
    /// Read the configuration again.
    Reload,
    /// Open the log anew.
    Rotate,
    /// Stop everything and end.
    Shutdown,
}

impl Request {
    /// The request a line stands for.
    pub fn from_line(line: &str) -> Option<Request> {
        Request::ALL.iter().copied().find(|request| request.line() == line)
    }

    /// The line that stands for it.
    pub fn line(self) -> &'static str {
        match self {
            Request::Status { json: false } => "status",
            Request::Status { json: true } => "status json",
            Request::Reload => "reload",
            Request::Rotate => "rotate",
            Request::Shutdown => "shutdown",
        }
    }

    const ALL: &'static [Request] = &[
        Request::Status { json: false },
        Request::Status { json: true },
        Request::Reload,
        Request::Rotate,
        Request::Shutdown,
    ];
}

/// What became of a request, with text for whoever asked.
pub type Answer = Result<String, String>;

/// The listening socket; its file goes when it is dropped.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

/// A connection on which a request arrives and an answer leaves.
#[derive(Debug)]
pub struct Conversation {
    stream: UnixStream,
    heard: Vec<u8>,
    to_say: Vec<u8>,
    answered: bool,
    /// Whether the connection is to stay open after the answer.
    linger: bool,
    since: Instant,
}

/// What a conversation needs next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing, until the peer moves.
    Wait,
    /// An answer to this line.
    Answer(String),
    /// To be forgotten.
    End,
}

impl Control {
    /// Listens in `run_dir`. The caller holds the daemon's name, so a file that is there already is a dead daemon's.
    pub fn listen(run_dir: &Path) -> io::Result<Control> {
        let path = run_dir.join(SOCKET);
        match bind(&path) {
            Ok(listener) => Ok(Control { listener, path }),
            Err(e) => Err(io::Error::new(e.kind(), format!("cannot listen on {}: {e}", path.display()))),
        }
    }

    /// Begins to watch for connections under `token`.
    pub fn watch(&self, reactor: &Reactor, token: Token) -> io::Result<()> {
        reactor.watch(&self.listener, token, Interest::READ)
    }

    /// The next connection, if there is one.
    pub fn accept(&self) -> io::Result<Option<Conversation>> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Conversation::new(stream).map(Some),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(e) => return Err(e),
            }
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Conversation {
    fn new(stream: UnixStream) -> io::Result<Conversation> {
        stream.set_nonblocking(true)?;
        Ok(Conversation {
            stream,
            heard: Vec::new(),
            to_say: Vec::new(),
            answered: false,
            linger: false,
            since: Instant::now(),
        })
    }

    /// The user at the other end, if he may not be heard.
    pub fn stranger(&self) -> io::Result<Option<u32>> {
        let uid = getsockopt(&self.stream, PeerCredentials)?.uid();
        Ok((uid != 0 && uid != geteuid().as_raw()).then_some(uid))
    }

    /// When it began; `None` when the peer waits for our end, for which our patience is endless.
    pub fn patience_since(&self) -> Option<Instant> {
        (!self.linger).then_some(self.since)
    }

    /// Begins to watch it under `token`.
    pub fn watch(&self, reactor: &Reactor, token: Token) -> io::Result<()> {
        reactor.watch(&self.stream, token, Interest::BOTH)
    }

    /// Reads and writes as far as it goes.
    pub fn go_on(&mut self) -> io::Result<Next> {
        let ended = self.read()?;
        if self.answered {
            self.write()?;
            // He may have closed his side and still read.
            return Ok(if ended && self.to_say.is_empty() && !self.linger { Next::End } else { Next::Wait });
        }
        if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
            return Ok(Next::Answer(String::from_utf8_lossy(&self.heard[..end]).into_owned()));
        }
        if self.heard.len() > LONGEST {
            return Err(io::Error::new(ErrorKind::InvalidData, "no end of line in the first bytes of a request"));
        }
        Ok(if ended { Next::End } else { Next::Wait })
    }

    /// Answers; with `linger` the connection stays open until the conversation is dropped.
    pub fn answer(&mut self, answer: &Answer, linger: bool) -> io::Result<()> {
        let (word, text) = match answer {
            Ok(text) => ("ok", text),
            Err(text) => ("failed", text),
        };
        self.to_say = format!("{word}\n{text}").into_bytes();
        self.answered = true;
        self.linger = linger;
        self.write()
    }

    /// True at the peer's end. What comes after a request is of no interest.
    fn read(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 256];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(true),
                Ok(_) if self.answered => {}
                Ok(len) => self.heard.extend_from_slice(&bytes[..len]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
            if self.heard.len() > LONGEST {
                return Ok(false);
            }
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.to_say.is_empty() {
            match self.stream.write(&self.to_say) {
                Ok(said) => drop(self.to_say.drain(..said)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        if !self.linger {
            // The peer closes when he has read to the end, which is the end of the conversation.
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line())
    }
}

/// A request longer than this is none.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Conversation, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Conversation::new(ours).unwrap(), theirs)
    }

    #[test]
    fn every_request_is_found_by_its_line_and_nothing_else_is() {
        for request in Request::ALL {
            assert_eq!(Request::from_line(request.line()), Some(*request));
        }
        assert_eq!(Request::from_line("stat"), None);
        assert_eq!(Request::from_line(""), None);
    }

    #[test]
    fn a_request_may_come_in_pieces_and_the_answer_ends_with_the_stream() {
        let (mut conversation, mut peer) = pair();
        for piece in [&b"sta"[..], b"tus"] {
            peer.write_all(piece).unwrap();
            assert_eq!(conversation.go_on().unwrap(), Next::Wait);
        }
        peer.write_all(b"\n").unwrap();
        assert_eq!(conversation.go_on().unwrap(), Next::Answer("status".to_owned()));
        conversation.answer(&Ok("fine\n".to_owned()), false).unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ok\nfine\n");
        drop(peer);
        assert_eq!(conversation.go_on().unwrap(), Next::End);
    }

    #[test]
    fn a_lingering_answer_leaves_the_connection_open() {
        let (mut conversation, mut peer) = pair();
        conversation.answer(&Err("no".to_owned()), true).unwrap();
        let mut answer = [0; 9];
        peer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"failed\nno");
        peer.set_nonblocking(true).unwrap();
        assert_eq!(peer.read(&mut answer).unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(conversation);
        assert_eq!(peer.read(&mut answer).unwrap(), 0);
    }

    #[test]
    fn a_peer_that_never_ends_its_line_is_cut_off() {
        let (mut conversation, mut peer) = pair();
        peer.write_all(&[b'x'; 4 * LONGEST]).unwrap();
        assert!(conversation.go_on().is_err());
    }

    #[test]
    fn we_are_no_stranger_to_ourselves() {
        assert_eq!(pair().0.stranger().unwrap(), None);
    }
}
