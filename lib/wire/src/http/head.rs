//! Request line and headers. The only file that names httparse, which says whether a line is one; what the lines mean
//! for the connection and for the body is read here, once, and kept.

use super::Refusal;
use super::target;
use httparse::{Error, Status};
use std::mem::MaybeUninit;

/// The head of a request, lent from the buffer it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// As it was sent: methods are case-sensitive.
    pub method: &'a str,
    /// What follows the method: a path with its query, or a whole URL.
    pub target: &'a str,
    minor: u8,
    /// Header lines, each known to be well-formed and to end in CRLF.
    lines: &'a [u8],
    known: Known,
}

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persistence {
    /// It stays: the rule of HTTP/1.1.
    Stays,
    /// It stays because a client of HTTP/1.0 asked for it, and must be told.
    Granted,
    /// It ends.
    Ends,
}

crate::state! { enum Persistence { 0 Stays, 1 Granted, 2 Ends } }

/// How the end of the body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After this many bytes; none when no length is given.
    Length(u64),
    /// After the last chunk.
    Chunked,
}

/// The headers a decoder obeys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Known {
    length: Option<u64>,
    chunked: bool,
    host: bool,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    expects_continue: bool,
}

impl<'a> Head<'a> {
    /// Reads a head that ends, with its empty line, where `bytes` end.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Head<'a>, Refusal> {
        let mut lines = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(bytes, &mut lines) {
            Ok(Status::Complete(length)) if length == bytes.len() => {}
            Ok(_) => return Err(Refusal::NotHttp("the head does not end where its empty line is")),
            Err(error) => return Err(refusal(error, bytes)),
        }
        let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
            return Err(Refusal::NotHttp("the request line is not complete"));
        };
        let mut known = Known::default();
        for line in request.headers.iter() {
            known.note(line.name, line.value.trim_ascii())?;
        }
        known.judge(minor)?;
        let after = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        Ok(Head { method, target, minor, lines: bytes.get(after..).unwrap_or_default(), known })
    }

    /// The target's path, still percent-encoded, without host and query.
    #[must_use]
    pub fn path(&self) -> &'a str {
        target::path(self.target)
    }

    /// The first header of this name; names are the same in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// All headers in order, values without the blanks around them.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        self.lines.split(|byte| *byte == b'\n').filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            Some((line.get(..colon)?, line.get(colon + 1..)?.trim_ascii()))
        })
    }

    /// What becomes of the connection after the answer.
    #[must_use]
    pub fn persistence(&self) -> Persistence {
        match (self.minor, self.known.close, self.known.keep_alive) {
            (_, true, _) | (0, _, false) => Persistence::Ends,
            (0, _, true) => Persistence::Granted,
            _ => Persistence::Stays,
        }
    }

    /// Whether the client asks to go on in this protocol.
    #[must_use]
    pub fn upgrades_to(&self, protocol: &str) -> bool {
        self.minor > 0 && self.known.upgrade && self.header("upgrade").is_some_and(|asked| lists(asked, protocol))
    }

    /// Whether the client waits for `100 Continue` before it sends the body.
    pub(super) fn waits_to_continue(&self) -> bool {
        // One of 1.0 cannot know it.
        self.minor > 0 && self.known.expects_continue
    }

    pub(super) fn framing(&self) -> Framing {
        if self.known.chunked { Framing::Chunked } else { Framing::Length(self.known.length.unwrap_or(0)) }
    }
}

impl Known {
    fn note(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        if name.eq_ignore_ascii_case("content-length") {
            let length = length(value)?;
            if self.length.is_some_and(|before| before != length) {
                return Err(Refusal::Framing("it has two lengths"));
            }
            self.length = Some(length);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::Coding);
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            self.close |= lists(value, "close");
            self.keep_alive |= lists(value, "keep-alive");
            self.upgrade |= lists(value, "upgrade");
        } else if name.eq_ignore_ascii_case("expect") {
            if !value.eq_ignore_ascii_case(b"100-continue") {
                return Err(Refusal::Expectation);
            }
            self.expects_continue = true;
        } else if name.eq_ignore_ascii_case("host") {
            if self.host {
                return Err(Refusal::NotHttp("it has two Host headers"));
            }
            self.host = true;
        }
        Ok(())
    }

    /// What only all headers together show.
    fn judge(&self, minor: u8) -> Result<(), Refusal> {
        if self.chunked && self.length.is_some() {
            return Err(Refusal::Framing("it has a Content-Length and a Transfer-Encoding"));
        }
        if self.chunked && minor == 0 {
            return Err(Refusal::Framing("HTTP/1.0 has no Transfer-Encoding"));
        }
        if !self.host && minor > 0 {
            return Err(Refusal::NotHttp("it has no Host header"));
        }
        Ok(())
    }
}

/// A Content-Length: digits and nothing else. One that no u64 holds is only too long.
fn length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Framing("its Content-Length is not a number"));
    }
    let digit = |sum: u64, byte: &u8| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    Ok(value.iter().fold(0, digit))
}

/// Whether a comma-separated list names `word`.
fn lists(value: &[u8], word: &str) -> bool {
    value.split(|byte| *byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

fn refusal(error: Error, bytes: &[u8]) -> Refusal {
    match error {
        Error::HeaderName => Refusal::NotHttp("a header's name is not one"),
        Error::HeaderValue => Refusal::NotHttp("a header's value holds a control character"),
        Error::TooManyHeaders => Refusal::TooManyHeaders(MAX_HEADERS),
        Error::Version if names_a_version(bytes) => Refusal::Version,
        _ => Refusal::NotHttp("the request line is not one"),
    }
}

/// Whether the request line ends in a version of HTTP, whichever.
fn names_a_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let last = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    last.strip_prefix(b"HTTP/").and_then(|rest| rest.first()).is_some_and(u8::is_ascii_digit)
}

/// More than any client sends; the array for them lies on the stack.
const MAX_HEADERS: usize = 100;
