//! Where Prometheus asks for the numbers: one request of HTTP per connection, and the answer.
//!
//! As much of HTTP as a scraper speaks: GET and HEAD of `/metrics`. Nobody is waited for; what a slow reader has not
//! taken lies in his own answer and nowhere else.

use msf_conf::daemon::Metrics;
use msf_core::event::{Interest, Reactor, Token};
use msf_core::exposition::MEDIA_TYPE;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Instant;

/// The listening socket; a socket file goes when it is dropped.
#[derive(Debug)]
pub struct Stall {
    /// Where it was asked to listen.
    pub place: Metrics,
    listener: Listener,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Somebody who asks.
#[derive(Debug)]
pub struct Scraper {
    stream: Stream,
    heard: Vec<u8>,
    /// The answer, once there is one.
    to_say: Option<Vec<u8>>,
    said: usize,
    /// Bytes that came behind the request.
    ignored: usize,
    /// When he came.
    pub since: Instant,
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What a scraper needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing, until he moves.
    Nothing,
    /// The page.
    Page,
    /// To be forgotten.
    End,
}

impl Stall {
    /// Listens at `place`.
    pub fn open(place: &Metrics) -> io::Result<Stall> {
        let listen = || -> io::Result<Listener> {
            Ok(match place {
                Metrics::Tcp(address) => {
                    let listener = TcpListener::bind(address)?;
                    listener.set_nonblocking(true)?;
                    Listener::Tcp(listener)
                }
                Metrics::Unix(path) => {
                    // A dead daemon's; anything but a socket is somebody's.
                    if fs::symlink_metadata(path).is_ok_and(|about| about.file_type().is_socket()) {
                        fs::remove_file(path)?;
                    }
                    let listener = UnixListener::bind(path)?;
                    listener.set_nonblocking(true)?;
                    fs::set_permissions(path, Permissions::from_mode(0o660))?;
                    Listener::Unix(listener)
                }
            })
        };
        let listener =
            listen().map_err(|e| io::Error::new(e.kind(), format!("cannot show metrics at {place}: {e}")))?;
        Ok(Stall { place: place.clone(), listener })
    }

    /// Begins to watch for connections under `token`.
    pub fn watch(&self, reactor: &Reactor, token: Token) -> io::Result<()> {
        match &self.listener {
            Listener::Tcp(listener) => reactor.watch(listener, token, Interest::READ),
            Listener::Unix(listener) => reactor.watch(listener, token, Interest::READ),
        }
    }

    /// The next one who asks, if there is one.
    pub fn accept(&self) -> io::Result<Option<Scraper>> {
        loop {
            let accepted = match &self.listener {
                Listener::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
                Listener::Unix(listener) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
            };
            match accepted {
                Ok(stream) => return Scraper::new(stream).map(Some),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        if let Metrics::Unix(path) = &self.place {
            let _ = fs::remove_file(Path::new(path));
        }
    }
}

impl Scraper {
    fn new(stream: Stream) -> io::Result<Scraper> {
        match &stream {
            Stream::Tcp(stream) => stream.set_nonblocking(true)?,
            Stream::Unix(stream) => stream.set_nonblocking(true)?,
        }
        Ok(Scraper { stream, heard: Vec::new(), to_say: None, said: 0, ignored: 0, since: Instant::now() })
    }

    /// Begins to watch him under `token`.
    pub fn watch(&self, reactor: &Reactor, token: Token) -> io::Result<()> {
        reactor.watch(self, token, Interest::BOTH)
    }

    /// Reads and writes as far as it goes.
    pub fn go_on(&mut self) -> io::Result<Need> {
        let ended = self.read()?;
        if self.to_say.is_some() {
            let all = self.write()?;
            return Ok(if all && ended { Need::End } else { Need::Nothing });
        }
        let is_whole = self.heard.windows(4).any(|window| window == b"\r\n\r\n");
        match (is_whole, self.heard.len() > LONGEST || ended) {
            (true, _) => self.consider(),
            (false, true) if self.heard.is_empty() => Ok(Need::End),
            (false, true) => self.refuse("400 Bad Request", "expected GET /metrics\n"),
            (false, false) => Ok(Need::Nothing),
        }
    }

    fn consider(&mut self) -> io::Result<Need> {
        let line = self.heard.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["GET" | "HEAD", target, version] if version.starts_with("HTTP/1.") => {
                match target.split('?').next() == Some(PATH) {
                    true => Ok(Need::Page),
                    false => self.refuse("404 Not Found", "the metrics are at /metrics\n"),
                }
            }
            [_, _, version] if version.starts_with("HTTP/1.") => {
                self.refuse("405 Method Not Allowed\r\nAllow: GET, HEAD", "the metrics can be read, and nothing else\n")
            }
            _ => self.refuse("400 Bad Request", "expected GET /metrics\n"),
        }
    }

    fn refuse(&mut self, status: &str, text: &str) -> io::Result<Need> {
        self.answer(status, "text/plain; charset=utf-8", text).map(|()| Need::Nothing)
    }

    /// Gives him the page.
    pub fn serve(&mut self, page: &str) -> io::Result<()> {
        self.answer("200 OK", MEDIA_TYPE, page)
    }

    fn answer(&mut self, status: &str, kind: &str, text: &str) -> io::Result<()> {
        let length = text.len();
        let body = if self.heard.starts_with(b"HEAD ") { "" } else { text };
        let head = format!("Content-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close");
        self.to_say = Some(format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}").into_bytes());
        self.heard = Vec::new();
        self.write().map(drop)
    }

    /// True at his end. What comes behind a request is of no interest; whoever goes on and on is not listened to.
    fn read(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 1024];
        loop {
            let read = match &mut self.stream {
                Stream::Tcp(stream) => stream.read(&mut bytes),
                Stream::Unix(stream) => stream.read(&mut bytes),
            };
            match read {
                Ok(0) => return Ok(true),
                Ok(length) if self.to_say.is_some() => self.ignored += length,
                Ok(length) => self.heard.extend_from_slice(&bytes[..length]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
            if self.heard.len() > LONGEST {
                return Ok(false);
            }
            if self.ignored > LONGEST {
                return Err(io::Error::new(ErrorKind::InvalidData, "goes on talking behind its request"));
            }
        }
    }

    /// True when all of the answer has been written.
    fn write(&mut self) -> io::Result<bool> {
        let Some(answer) = &self.to_say else { return Ok(false) };
        while self.said < answer.len() {
            let left = &answer[self.said..];
            let written = match &mut self.stream {
                Stream::Tcp(stream) => stream.write(left),
                Stream::Unix(stream) => stream.write(left),
            };
            match written {
                Ok(more) => self.said += more,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
        // He closes when he has read to the end.
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        }
        .map(|()| true)
    }
}

impl AsFd for Scraper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

const PATH: &str = "/metrics";
/// A request longer than this is none.
const LONGEST: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(request: &[u8]) -> (Need, String) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut scraper = Scraper::new(Stream::Unix(ours)).unwrap();
        theirs.write_all(request).unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        let need = scraper.go_on().unwrap();
        if need == Need::Page {
            scraper.serve("a 1\n").unwrap();
        }
        let mut answer = String::new();
        if need != Need::End {
            theirs.read_to_string(&mut answer).unwrap();
        }
        (need, answer)
    }

    #[test]
    fn the_page_is_given_to_whoever_asks_for_it_and_only_its_head_if_he_wants_that() {
        let (need, answer) = asked(b"GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(need, Need::Page);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\na 1\n"), "{answer}");
        let (_, head) = asked(b"HEAD /metrics HTTP/1.0\r\n\r\n");
        assert!(head.contains("Content-Length: 4\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    }

    #[test]
    fn whatever_else_is_asked_gets_its_answer() {
        for (request, status) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "404"),
            (b"POST /metrics HTTP/1.1\r\n\r\n", "405"),
            (b"\0\xff\r\n\r\n", "400"),
            (b"GET /metrics\r\n\r\n", "400"),
            (b"GET /met", "400"),
            (&[b'x'; LONGEST + 1024], "400"),
        ] {
            let (need, answer) = asked(request);
            assert_eq!((need, answer.get(9..12)), (Need::Nothing, Some(status)), "{answer}");
        }
        assert_eq!(asked(b""), (Need::End, String::new()));
    }

    #[test]
    fn who_goes_on_talking_behind_a_request_is_cut_off() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut scraper = Scraper::new(Stream::Unix(ours)).unwrap();
        theirs.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(scraper.go_on().unwrap(), Need::Page);
        scraper.serve("a 1\n").unwrap();
        theirs.write_all(&[b'x'; LONGEST]).unwrap();
        assert_eq!(scraper.go_on().unwrap(), Need::Nothing);
        theirs.write_all(b"x").unwrap();
        assert!(scraper.go_on().is_err());
    }
}
