//! One client's messages, out of frames that come in whatever pieces.

use super::close::may_be_sent;
use super::frame::{Header, LONGEST_CONTROL, append_masked};
use super::{Refusal, opcode};

/// What a client said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text.
    Text(&'a str),
    /// A whole message of bytes.
    Binary(&'a [u8]),
    /// A ping, to be answered with its payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The end, with a code when the client gave one, and its reason.
    Close(Option<u16>, &'a str),
}

/// What a look at the stream showed. Both say how many bytes were used; the others are to be shown again, together with
/// what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Nothing whole yet.
    NeedMore(usize),
    /// The next thing said.
    Event(Event<'a>, usize),
}

/// What must be kept between two reads.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What has come of the message, without masks. It grows with what comes, not with what is announced.
    message: Vec<u8>,
    /// The message's opcode, from its first frame to its last.
    kind: Option<u8>,
    /// The data frame whose payload is coming.
    open: Option<Open>,
    /// The last control frame's payload.
    control: Vec<u8>,
    /// Whether the message was handed out with the last step.
    told: bool,
}

crate::state! { struct Decoder { message, kind, open, told; control: Vec::new() } }

/// A data frame of which `left` bytes are to come.
#[derive(Clone, Copy, Debug)]
struct Open {
    left: usize,
    mask: [u8; 4],
    /// Bytes of the payload that came already.
    turned: usize,
    end: bool,
}

crate::state! { struct Open { left, mask, turned, end } }

impl Decoder {
    /// Takes the next step. A message may have `limit` bytes, however many frames it comes in.
    ///
    /// # Errors
    /// Whatever breaks the rules. The connection cannot go on after it.
    pub fn step(&mut self, bytes: &[u8], limit: usize) -> Result<Step<'_>, Refusal> {
        self.let_go();
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if let Some(open) = self.open {
                used += self.take(open, rest);
                if self.open.is_some() {
                    return Ok(Step::NeedMore(used));
                }
                if open.end {
                    return Ok(Step::Event(self.finish()?, used));
                }
                continue;
            }
            let Some(header) = Header::parse(rest) else { return Ok(Step::NeedMore(used)) };
            let mask = permitted(&header)?;
            if header.opcode < opcode::CLOSE {
                self.begin(&header, mask, limit)?;
                used += header.size;
                continue;
            }
            let length = control_length(&header)?;
            let Some(payload) = rest.get(header.size..header.size + length) else { return Ok(Step::NeedMore(used)) };
            self.control.clear();
            append_masked(&mut self.control, payload, mask, 0);
            used += header.size + length;
            return Ok(Step::Event(control(header.opcode, &self.control)?, used));
        }
    }

    /// Gives back the memory of a message that was handed out; the next step does so in any case.
    pub fn let_go(&mut self) {
        if std::mem::take(&mut self.told) {
            self.message = Vec::new();
        }
    }

    /// Whether a message has begun and not ended.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.kind.is_some()
    }

    /// Bytes it holds.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.message.len()
    }

    /// A data frame's header has come.
    fn begin(&mut self, header: &Header, mask: [u8; 4], limit: usize) -> Result<(), Refusal> {
        match (header.opcode, self.kind) {
            (opcode::CONTINUATION, None) => return Err(Refusal::Protocol("a continuation of nothing")),
            (opcode::CONTINUATION, Some(_)) => {}
            (_, Some(_)) => return Err(Refusal::Protocol("a message begins within another")),
            (kind, None) => self.kind = Some(kind),
        }
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        if length > limit.saturating_sub(self.message.len()) {
            return Err(Refusal::TooLong(limit));
        }
        self.open = Some(Open { left: length, mask, turned: 0, end: header.end });
        Ok(())
    }

    /// Takes what has come of an open frame; how much that was.
    fn take(&mut self, open: Open, bytes: &[u8]) -> usize {
        let (part, _) = bytes.split_at(bytes.len().min(open.left));
        append_masked(&mut self.message, part, open.mask, open.turned);
        let left = open.left - part.len();
        self.open = (left > 0).then_some(Open { left, turned: open.turned + part.len(), ..open });
        part.len()
    }

    /// The message is whole.
    fn finish(&mut self) -> Result<Event<'_>, Refusal> {
        self.told = true;
        match self.kind.take() {
            Some(opcode::TEXT) => std::str::from_utf8(&self.message).map(Event::Text).map_err(|_| Refusal::NotUtf8),
            _ => Ok(Event::Binary(&self.message)),
        }
    }
}

/// What holds for every frame of a client; its mask.
fn permitted(header: &Header) -> Result<[u8; 4], Refusal> {
    if header.reserved {
        return Err(Refusal::Protocol("a reserved bit is set and no extension was agreed on"));
    }
    if matches!(header.opcode, 0x3..=0x7 | 0xb..) {
        return Err(Refusal::Protocol("an opcode that means nothing"));
    }
    if header.wasteful || header.length > i64::MAX as u64 {
        return Err(Refusal::Protocol("a length that is not written the shortest way"));
    }
    header.mask.ok_or(Refusal::Protocol("a client's frame without a mask"))
}

fn control_length(header: &Header) -> Result<usize, Refusal> {
    match usize::try_from(header.length) {
        Ok(length @ ..=LONGEST_CONTROL) if header.end => Ok(length),
        _ => Err(Refusal::Protocol("a control frame that is fragmented or longer than 125 bytes")),
    }
}

fn control(kind: u8, payload: &[u8]) -> Result<Event<'_>, Refusal> {
    match kind {
        opcode::PING => Ok(Event::Ping(payload)),
        opcode::PONG => Ok(Event::Pong(payload)),
        _ => match payload.split_first_chunk::<2>() {
            None if payload.is_empty() => Ok(Event::Close(None, "")),
            None => Err(Refusal::Protocol("a Close with half a code")),
            Some((code, reason)) => {
                let code = u16::from_be_bytes(*code);
                if !may_be_sent(code) {
                    return Err(Refusal::Protocol("a Close with a code that nobody may send"));
                }
                Ok(Event::Close(Some(code), std::str::from_utf8(reason).map_err(|_| Refusal::NotUtf8)?))
            }
        },
    }
}
