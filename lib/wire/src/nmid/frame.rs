//! Header and payload, found in a stream of bytes.

use super::{NmidError, conn};

/// Length of a header on the wire.
pub const HEADER_LEN: usize = 12;

/// A header in host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Who sends, see [`conn`].
    pub conn: u32,
    /// What, see [`pdt`](super::pdt).
    pub kind: u32,
    /// Bytes of payload that follow.
    pub len: u32,
}

impl Head {
    /// The header as it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let words = [self.conn, self.kind, self.len];
        for (place, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        bytes
    }
}

/// One frame, its payload lent from the buffer it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Who sends, see [`conn`].
    pub conn: u32,
    /// What, see [`pdt`](super::pdt).
    pub kind: u32,
    /// The payload.
    pub body: &'a [u8],
}

/// What a look at a buffer showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// No whole frame yet: at least this many bytes are missing.
    NeedMore(usize),
    /// The first frame, and how many bytes of the buffer it used.
    Frame(Frame<'a>, usize),
}

/// Finds the frame a buffer begins with. A wrong sender is refused from the fourth byte on, a payload over
/// `payload_limit` as soon as the header is there.
///
/// # Errors
/// [`NmidError::ConnType`] or [`NmidError::Oversized`].
pub fn decode(buf: &[u8], payload_limit: u32) -> Result<Step<'_>, NmidError> {
    if let Some((conn, _)) = word(buf)
        && !(conn::SERVER..=conn::SERVICE).contains(&conn)
    {
        return Err(NmidError::ConnType(conn));
    }
    let Some(([conn, kind, len], rest)) = words::<3>(buf) else {
        return Ok(Step::NeedMore(HEADER_LEN.saturating_sub(buf.len())));
    };
    if len > payload_limit {
        return Err(NmidError::Oversized { conn, kind, len, limit: payload_limit });
    }
    // A usize holds a u32 on every machine we build for.
    match rest.get(..len as usize) {
        Some(body) => Ok(Step::Frame(Frame { conn, kind, body }, HEADER_LEN + body.len())),
        None => Ok(Step::NeedMore(len as usize - rest.len())),
    }
}

/// A frame without payload.
#[must_use]
pub fn empty(conn: u32, kind: u32) -> [u8; HEADER_LEN] {
    Head { conn, kind, len: 0 }.encode()
}

/// Appends a frame whose payload is all of `name`: SET_NAME, ADD_FUNC, DEL_FUNC, a PING's text.
pub fn append_name(out: &mut Vec<u8>, conn: u32, kind: u32, name: &[u8]) {
    append_head(out, conn, kind, name.len());
    out.extend_from_slice(name);
}

/// Appends the header of a frame whose `len` bytes the caller appends next.
pub(super) fn append_head(out: &mut Vec<u8>, conn: u32, kind: u32, len: usize) {
    out.reserve(HEADER_LEN + len);
    // What is longer than a u32 can say has been refused long before it is encoded.
    out.extend_from_slice(&Head { conn, kind, len: len as u32 }.encode());
}

/// The first big-endian word of `bytes`, and what follows it.
pub(super) fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*word), rest))
}

/// The first `N` big-endian words of `bytes`, and what follows them.
pub(super) fn words<const N: usize>(bytes: &[u8]) -> Option<([u32; N], &[u8])> {
    let mut words = [0; N];
    let mut rest = bytes;
    for place in &mut words {
        (*place, rest) = word(rest)?;
    }
    Some((words, rest))
}
