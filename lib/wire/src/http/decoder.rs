//! One connection's requests, one after the other, out of whatever pieces they come in.

use super::Refusal;
use super::chunks::Chunks;
use super::head::{Framing, Head};
use std::borrow::Cow;

/// How much one request may bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request line and the headers, and again of the trailers.
    pub head: usize,
    /// Bytes of the body.
    pub body: usize,
}

/// A whole request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its request line and headers.
    pub head: Head<'a>,
    /// Its body, without any transfer coding; lent when it lay whole in the buffer.
    pub body: Cow<'a, [u8]>,
}

/// What a look at the stream showed. Each variant says how many bytes were used; the others are to be shown again,
/// together with what comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// No whole request yet.
    NeedMore(usize),
    /// The same, and the client sends no body before it has got `100 Continue`. Said once per request.
    Continue(usize),
    /// The next request.
    Request(Request<'a>, usize),
}

/// How far a request has come: what a client that has fallen silent is owed depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// None has begun.
    Idle,
    /// In its request line or its headers.
    Head,
    /// In its body.
    Body,
}

crate::state! { enum Stage { 0 Idle, 1 Head, 2 Body } }

/// What must be kept between two reads.
#[derive(Debug, Default)]
pub struct Decoder {
    place: Place,
    /// The head whose body is still coming.
    head: Vec<u8>,
    /// What has come of that body. It grows with what comes, not with what is announced.
    body: Vec<u8>,
}

crate::state! { struct Decoder { place, head, body } }

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In a head, of which this much has been searched for its end; its last line begun starts at `line`.
    Head { searched: usize, line: usize },
    /// In a body with this many bytes to come.
    Length(usize),
    /// In a chunked body.
    Chunked(Chunks),
}

crate::state! { enum Place { 0 Head { searched: usize, line: usize }, 1 Length(left: usize), 2 Chunked(chunks: Chunks) } }

impl Decoder {
    /// Takes the next step.
    ///
    /// # Errors
    /// Whatever is not a request we answer. The connection cannot go on after it.
    pub fn step<'a>(&'a mut self, bytes: &'a [u8], limits: &Limits) -> Result<Step<'a>, Refusal> {
        let Place::Head { .. } = self.place else {
            return self.body(bytes, 0, limits);
        };
        self.head.clear();
        // Empty lines before a request are what old clients leave behind a body.
        let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (_, bytes) = bytes.split_at(blank);
        let Some(length) = self.head_length(bytes, limits)? else { return Ok(Step::NeedMore(blank)) };
        let (lines, rest) = bytes.split_at(length);
        let head = Head::parse(lines)?;
        let place = match head.framing() {
            Framing::Chunked => Place::Chunked(Chunks::Size),
            Framing::Length(announced) => {
                let announced = usize::try_from(announced).unwrap_or(usize::MAX);
                if announced > limits.body {
                    return Err(Refusal::BodyTooLong(limits.body));
                }
                if let Some(body) = rest.get(..announced) {
                    self.place = Place::default();
                    let request = Request { head, body: Cow::Borrowed(body) };
                    return Ok(Step::Request(request, blank + length + announced));
                }
                Place::Length(announced)
            }
        };
        self.place = place;
        self.head.extend_from_slice(lines);
        if head.waits_to_continue() && rest.is_empty() {
            return Ok(Step::Continue(blank + length));
        }
        self.body(rest, blank + length, limits)
    }

    /// How far the request that is coming in has come, as of the last step.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.place {
            Place::Head { searched: 0, .. } => Stage::Idle,
            Place::Head { .. } => Stage::Head,
            Place::Length(_) | Place::Chunked(_) => Stage::Body,
        }
    }

    /// Bytes it holds.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.head.len() + self.body.len()
    }

    /// Where the head ends that `bytes` begin with, if it does.
    fn head_length(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        // Whoever speaks another protocol is told at once, not when his patience ends.
        if bytes.first().is_some_and(|first| !first.is_ascii_alphabetic()) {
            return Err(Refusal::NotHttp("it does not begin with a method"));
        }
        let Place::Head { mut searched, mut line } = self.place else { return Ok(None) };
        let seen = bytes.get(..limits.head).unwrap_or(bytes);
        while let Some(at) = seen.get(searched..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
            let end = searched + at + 1;
            match seen.get(line..end) {
                Some(b"\r\n") => {
                    self.place = Place::default();
                    return Ok(Some(end));
                }
                Some([.., b'\r', b'\n']) => (searched, line) = (end, end),
                _ => return Err(Refusal::NotHttp("a line does not end in CRLF")),
            }
        }
        if seen.len() >= limits.head {
            return Err(Refusal::HeadTooLong(limits.head));
        }
        self.place = Place::Head { searched: seen.len(), line };
        Ok(None)
    }

    /// Goes on in a body that did not come with its head. `before` bytes have been used already.
    fn body<'a>(&'a mut self, bytes: &[u8], before: usize, limits: &Limits) -> Result<Step<'a>, Refusal> {
        let (used, whole) = match &mut self.place {
            Place::Head { .. } => return Ok(Step::NeedMore(before)),
            Place::Length(left) => {
                let (part, _) = bytes.split_at(bytes.len().min(*left));
                self.body.extend_from_slice(part);
                *left -= part.len();
                (part.len(), *left == 0)
            }
            Place::Chunked(chunks) => {
                let used = chunks.step(bytes, &mut self.body, limits)?;
                (used, *chunks == Chunks::Done)
            }
        };
        if !whole {
            return Ok(Step::NeedMore(before + used));
        }
        self.place = Place::default();
        let body = Cow::Owned(std::mem::take(&mut self.body));
        Ok(Step::Request(Request { head: Head::parse(&self.head)?, body }, before + used))
    }
}

impl Default for Place {
    fn default() -> Place {
        Place::Head { searched: 0, line: 0 }
    }
}

impl Default for Limits {
    /// 16 KiB and 16 MiB.
    fn default() -> Limits {
        Limits { head: 16 << 10, body: 16 << 20 }
    }
}
